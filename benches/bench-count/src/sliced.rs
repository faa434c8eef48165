//! Batches that are checked or opened in slices, as the handler of Produce and the shard do it together.

use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use broker_core::partition::{self, AppendRules, Partition, Verdict};
use bytes::Bytes;
use log_codec::{Compression, compress};
use log_io::Slice;
use log_record::{BatchBuilder, BatchHeader, BatchSummary};

use crate::{NOW_MS, RECORDS, batch, rules};

/// Runs what yields between its slices, with nobody else to let run.
fn run<T>(work: impl Future<Output = T>) -> T {
    let (mut work, mut context) = (pin!(work), Context::from_waker(Waker::noop()));
    loop {
        if let Poll::Ready(output) = work.as_mut().poll(&mut context) {
            return output;
        }
    }
}

/// What the partition's shard does with a batch that was looked at.
fn checked(
    partition: &Partition,
    batch: &Bytes,
    seen: BatchSummary,
    rules: &AppendRules,
) -> BatchHeader {
    match partition.check_opened(batch, Some(seen), rules, NOW_MS).expect("a valid batch") {
        Verdict::Append(prepared) => prepared.header,
        Verdict::Duplicate { .. } => unreachable!("the batch has no producer"),
    }
}

/// An uncompressed batch above the size up to which one is checked in one go.
pub(crate) fn check(count: u32) {
    let (batch, rules, partition) = (batch(RECORDS), rules(), Partition::default());
    for _ in 0..count {
        let mut slice = Slice::default();
        let seen = run(partition::seen(black_box(&batch), &rules, &mut slice));
        let seen = seen.expect("a valid batch").expect("it is large enough to be looked at here");
        black_box(checked(&partition, &batch, seen, &rules));
    }
}

/// A compressed batch for a topic whose records must have keys: decompressed, looked at, and stored as it came.
pub(crate) fn open(count: u32) {
    let (batch, partition) = (packed(), Partition::default());
    let rules = AppendRules { key_required: true, ..rules() };
    for _ in 0..count {
        let opened = run(partition::open(black_box(&batch), &rules, usize::MAX, &mut |_| {}));
        let opened = opened.expect("a valid batch");
        black_box(checked(&partition, &opened.batch, opened.summary, &rules));
    }
}

/// 64 KiB of records of JSON, in lz4.
fn packed() -> Bytes {
    let mut builder = BatchBuilder::new();
    for index in 0_u64..500 {
        // Differs from record to record, the same in every build.
        let number = index.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let value = format!(
            "{{\"order\":{index},\"customer\":\"c-{:05}\",\"amount\":{}.{:02},\"note\":\"{number:x}\",\"paid\":{}}}",
            number % 90_001,
            number % 1_009,
            number % 97,
            number.is_multiple_of(3),
        );
        let key = index.to_be_bytes();
        builder.push(NOW_MS, Some(&key), Some(value.as_bytes()), &[]).expect("fits a batch");
    }
    let packed = compress(Compression::Lz4, builder.records()).expect("to memory");
    builder.build_compressed(Compression::Lz4.id(), &packed).expect("the batch has records")
}
