//! Appending to a partition: what is accepted, what is refused with which code, and that replay gives the same state.

use bytes::Bytes;
use log_record::{BatchBuilder, BatchHeader, TimestampType};
use log_types::{LeaderEpoch, Offset, ProducerEpoch, ProducerId};

use super::{AppendError, AppendRules, EpochHistory, Partition, Verdict};
use crate::fields::{FieldReader, FieldWriter};

const NOW_MS: i64 = 1_000_000;

fn rules() -> AppendRules {
    AppendRules {
        batch_bytes_max: 10_000,
        log_append_time: false,
        timestamp_before_ms_max: i64::MAX,
        timestamp_after_ms_max: 3_600_000,
        key_required: false,
        compression: crate::config::BrokerCompression::Producer,
    }
}

fn batch(builder: BatchBuilder, count: i64) -> Bytes {
    let mut builder = builder;
    for index in 0..count {
        builder.push(NOW_MS + index, Some(b"k"), Some(b"v"), &[]).expect("small records fit");
    }
    builder.build().expect("a small batch fits")
}

fn plain(count: i64) -> Bytes {
    batch(BatchBuilder::new(), count)
}

fn append(partition: &mut Partition, bytes: &Bytes, epoch: i32) -> Offset {
    let base = partition.end();
    match partition.check_append(bytes, &rules(), NOW_MS) {
        Ok(Verdict::Append(prepared)) => {
            partition.record_append(&prepared.header, base, LeaderEpoch(epoch));
            base
        }
        other => panic!("expected an append, got {other:?}"),
    }
}

fn refusal(bytes: &Bytes, rules: &AppendRules) -> AppendError {
    match Partition::default().check_append(bytes, rules, NOW_MS) {
        Err(error) => error,
        Ok(verdict) => panic!("expected a refusal, got {verdict:?}"),
    }
}

#[test]
fn offsets_follow_one_another_and_only_durable_ones_are_visible() {
    let mut partition = Partition::default();
    assert_eq!(append(&mut partition, &plain(3), 1), Offset(0));
    assert_eq!(append(&mut partition, &plain(2), 1), Offset(3));
    assert_eq!((partition.visible(), partition.end()), (Offset(0), Offset(5)));
    partition.raise_visible(Offset(3));
    partition.raise_visible(Offset(1));
    assert_eq!(partition.visible(), Offset(3), "the high watermark never goes back");
}

#[test]
fn semantics_4_validation_codes() {
    let mut torn = plain(1).to_vec();
    let last = torn.len() - 1;
    torn[last] ^= 1;
    assert_eq!(refusal(&Bytes::from(torn), &rules()).code(), 2, "wrong crc");
    let two = [plain(1), plain(1)].concat();
    assert_eq!(refusal(&Bytes::from(two), &rules()).code(), 87, "exactly one batch per partition");
    let mut old = plain(1).to_vec();
    old[16] = 1;
    assert_eq!(refusal(&Bytes::from(old), &rules()).code(), 87, "magic 1");
    assert_eq!(refusal(&plain(1).slice(..40), &rules()).code(), 2, "cut off");
    assert_eq!(
        refusal(&batch(BatchBuilder::new().control(), 1), &rules()).code(),
        87,
        "control batch"
    );
    let small = AppendRules { batch_bytes_max: plain(1).len() - 1, ..rules() };
    assert_eq!(refusal(&plain(1), &small).code(), 10, "max.message.bytes");
    let fits = AppendRules { batch_bytes_max: plain(1).len(), ..rules() };
    assert!(
        Partition::default().check_append(&plain(1), &fits, NOW_MS).is_ok(),
        "exactly the limit"
    );
}

#[test]
fn semantics_4_timestamps_outside_the_window_are_refused() {
    let past = AppendRules { timestamp_before_ms_max: 10, ..rules() };
    let late = Partition::default().check_append(&plain(1), &past, NOW_MS + 11);
    assert!(matches!(late, Err(AppendError::InvalidTimestamp { .. })), "{late:?}");
    assert!(Partition::default().check_append(&plain(1), &past, NOW_MS + 10).is_ok());
    let future = AppendRules { timestamp_after_ms_max: 10, ..rules() };
    let early = Partition::default().check_append(&plain(1), &future, NOW_MS - 11);
    assert_eq!(early.expect_err("too far ahead").code(), 32);
}

#[test]
fn findings_1_keyless_records_are_refused_on_compacted_topics() {
    let compacted = AppendRules { key_required: true, ..rules() };
    let mut builder = BatchBuilder::new();
    builder.push(NOW_MS, Some(b"k"), Some(b"v"), &[]).expect("fits");
    builder.push(NOW_MS, None, Some(b"v"), &[]).expect("fits");
    builder.push(NOW_MS, None, Some(b"w"), &[]).expect("fits");
    let records = builder.records().to_vec();
    let plain = builder.build().expect("fits");
    let AppendError::InvalidRecord { problems, .. } = refusal(&plain, &compacted) else {
        panic!("a record error");
    };
    let indexes: Vec<i32> = problems.iter().map(|problem| problem.index).collect();
    assert_eq!(indexes, [1, 2], "KIP-467 names the records");
    let mut builder = BatchBuilder::new();
    builder.push(NOW_MS, Some(b"k"), Some(b"v"), &[]).expect("fits");
    builder.push(NOW_MS, None, Some(b"v"), &[]).expect("fits");
    builder.push(NOW_MS, None, Some(b"w"), &[]).expect("fits");
    let lz4 = log_codec::compress(log_codec::Compression::Lz4, &records).expect("compresses");
    let compressed =
        builder.build_compressed(log_codec::Compression::Lz4.id(), &lz4).expect("fits");
    assert_eq!(refusal(&compressed, &compacted).code(), 87, "compressed batches are opened there");
}

#[test]
fn log_append_time_stamps_the_batch_and_fixes_its_crc() {
    let stamped = AppendRules { log_append_time: true, ..rules() };
    let verdict = Partition::default().check_append(&plain(2), &stamped, 77).expect("accepted");
    let Verdict::Append(prepared) = verdict else { panic!("an append") };
    assert_eq!(prepared.header.max_timestamp, 77);
    assert_eq!(prepared.header.attributes.timestamp_type(), TimestampType::LogAppend);
    log_record::verify_crc(&prepared.batch).expect("the crc was recomputed");
}

#[test]
fn a_duplicate_is_answered_with_the_original_offset() {
    let mut partition = Partition::default();
    let producer = || BatchBuilder::new().producer(ProducerId(7), ProducerEpoch(0), 0);
    append(&mut partition, &plain(4), 1);
    append(&mut partition, &batch(producer(), 2), 1);
    let again = partition.check_append(&batch(producer(), 2), &rules(), NOW_MS).expect("known");
    assert!(matches!(again, Verdict::Duplicate { base_offset: Offset(4), .. }), "{again:?}");
}

#[test]
fn a_checkpoint_gives_the_same_partition() {
    let mut partition = Partition::default();
    append(&mut partition, &plain(4), 1);
    append(
        &mut partition,
        &batch(BatchBuilder::new().producer(ProducerId(7), ProducerEpoch(0), 0), 2),
        3,
    );
    partition.raise_visible(partition.end());
    partition.raise_log_start(Offset(2));
    let mut out = FieldWriter::new();
    partition.export(&mut out);
    let bytes = out.finish();
    let restored = Partition::import(&mut FieldReader::new(&bytes)).expect("decodes");
    assert_eq!(format!("{restored:?}"), format!("{partition:?}"));
    for len in 0..bytes.len() {
        assert!(Partition::import(&mut FieldReader::new(&bytes[..len])).is_err(), "cut at {len}");
    }
}

#[test]
fn replay_of_the_stored_bytes_gives_the_same_state() {
    let (mut live, mut replayed) = (Partition::default(), Partition::default());
    for (bytes, epoch) in [(plain(4), 1), (plain(1), 1), (plain(2), 2)] {
        let base = append(&mut live, &bytes, epoch);
        let prefix =
            log_record::patched_prefix(&bytes, base, LeaderEpoch(epoch)).expect("a whole header");
        let stored = [&prefix[..], &bytes[prefix.len()..]].concat();
        let header = BatchHeader::parse(&stored).expect("stored bytes parse");
        replayed.record_append(&header, header.base_offset, header.partition_leader_epoch);
    }
    assert_eq!(format!("{live:?}"), format!("{replayed:?}"));
}

#[test]
fn kip_101_the_end_of_an_epoch() {
    let mut history = EpochHistory::default();
    history.assign(LeaderEpoch(2), Offset(0));
    history.assign(LeaderEpoch(5), Offset(10));
    history.assign(LeaderEpoch(5), Offset(12));
    let (current, end) = (LeaderEpoch(7), Offset(20));
    let end_of = |epoch| history.end_of(LeaderEpoch(epoch), current, end);
    assert_eq!(
        end_of(7),
        Some((LeaderEpoch(7), Offset(20))),
        "the current epoch ends at the log end"
    );
    assert_eq!(end_of(6), Some((LeaderEpoch(5), Offset(20))), "the largest epoch at or below");
    assert_eq!(end_of(5), Some((LeaderEpoch(5), Offset(20))));
    assert_eq!(end_of(3), Some((LeaderEpoch(2), Offset(10))));
    assert_eq!(end_of(1), Some((LeaderEpoch(1), Offset(0))), "older than everything kept");
    assert_eq!(end_of(8), None, "an epoch not seen yet");
}

#[test]
fn kip_320_the_epoch_of_the_first_record_that_is_left() {
    let mut partition = Partition::default();
    assert_eq!(partition.log_start_epoch(), None, "empty");
    append(&mut partition, &plain(4), 1);
    append(&mut partition, &plain(2), 3);
    for (log_start, epoch) in [(0, Some(1)), (3, Some(1)), (4, Some(3)), (5, Some(3)), (6, None)] {
        partition.raise_log_start(Offset(log_start));
        assert_eq!(partition.log_start_epoch(), epoch.map(LeaderEpoch), "from {log_start}");
    }
}

#[test]
fn kip_595_a_client_that_has_diverged_is_told_where() {
    let mut history = EpochHistory::default();
    history.assign(LeaderEpoch(1), Offset(0));
    history.assign(LeaderEpoch(2), Offset(10));
    let (current, end) = (LeaderEpoch(2), Offset(15));
    assert_eq!(history.divergence(LeaderEpoch(1), Offset(10), current, end), None);
    let diverged = history.divergence(LeaderEpoch(1), Offset(12), current, end);
    assert_eq!(diverged, Some((LeaderEpoch(1), Offset(10))), "epoch 1 ended at 10");
}

#[test]
fn deleting_records_trims_the_epochs() {
    let mut history = EpochHistory::default();
    history.assign(LeaderEpoch(1), Offset(0));
    history.assign(LeaderEpoch(2), Offset(10));
    history.truncate_start(Offset(12));
    assert_eq!(
        history.end_of(LeaderEpoch(1), LeaderEpoch(2), Offset(20)),
        Some((LeaderEpoch(1), Offset(12)))
    );
}
