//! Every codec into every other, the limit on the result, and what must survive.

use bytes::Bytes;
use log_codec::{Compression, compress};
use log_record::{BATCH_HEADER_BYTES, BatchBuilder, BatchHeader, Header, Records, verify_crc};
use log_types::{ProducerEpoch, ProducerId};

use crate::config::BrokerCompression;
use log_io::Slice;

use super::{at_once, open};
use crate::partition::{AppendError, AppendRules, NotOpened, Partition, Verdict};

const NOW_MS: i64 = 1_700_000_000_000;
const TOPIC_CODECS: [(BrokerCompression, u8); 5] = [
    (BrokerCompression::Uncompressed, 0),
    (BrokerCompression::Gzip, 1),
    (BrokerCompression::Snappy, 2),
    (BrokerCompression::Lz4, 3),
    (BrokerCompression::Zstd, 4),
];

fn rules(compression: BrokerCompression) -> AppendRules {
    AppendRules {
        batch_bytes_max: 10_000,
        log_append_time: false,
        timestamp_before_ms_max: i64::MAX,
        timestamp_after_ms_max: 3_600_000,
        key_required: false,
        compression,
    }
}

fn batch_records(header: &BatchHeader, batch: &[u8]) -> Result<Vec<u8>, String> {
    let records = at_once(super::batch_records(header, batch, &mut Slice::default()));
    records.map(std::borrow::Cow::into_owned)
}

/// Three records, with a duplicated header key, null and empty values, and timestamps out of order.
fn batch(codec: Compression, value_bytes: usize) -> Bytes {
    let value = vec![b'v'; value_bytes];
    let headers = [Header { key: b"h", value: Some(b"1") }, Header { key: b"h", value: None }];
    let mut builder = BatchBuilder::new().producer(ProducerId(7), ProducerEpoch(2), 40);
    builder.push(NOW_MS + 5, Some(b"k"), Some(&value), &headers).expect("fits");
    builder.push(NOW_MS - 5, None, None, &[]).expect("fits");
    builder.push(NOW_MS, Some(b""), Some(b""), &[]).expect("fits");
    if codec == Compression::None {
        return builder.build().expect("fits");
    }
    let compressed = compress(codec, builder.records()).expect("compresses");
    builder.build_compressed(codec.id(), &compressed).expect("fits")
}

fn stored(batch: &Bytes, rules: &AppendRules) -> Result<Bytes, AppendError> {
    let mut partition = Partition::default();
    // The producer's first batch here begins at its sequence 40: an unknown producer may begin anywhere.
    match partition.check_append(batch, rules, NOW_MS)? {
        Verdict::Append(prepared) => {
            partition.record_append(
                &prepared.header,
                log_types::Offset(0),
                log_types::LeaderEpoch(1),
            );
            Ok(prepared.batch)
        }
        Verdict::Duplicate { .. } => panic!("nothing was appended before"),
    }
}

type Shown = (i64, Option<Vec<u8>>, Option<Vec<u8>>, Vec<(Vec<u8>, Option<Vec<u8>>)>);

fn shown(batch: &Bytes) -> Vec<Shown> {
    let header = BatchHeader::parse(batch).expect("a batch");
    let records = batch_records(&header, batch).expect("decompresses");
    let records = Records::new(&records, header.records_count).map(|record| {
        let record = record.expect("a record");
        let headers = record.headers.map(|header| {
            let header = header.expect("a header");
            (header.key.to_vec(), header.value.map(<[u8]>::to_vec))
        });
        let timestamp = header.base_timestamp + record.timestamp_delta;
        let (key, value) = (record.key.map(<[u8]>::to_vec), record.value.map(<[u8]>::to_vec));
        (timestamp, key, value, headers.collect())
    });
    records.collect()
}

#[test]
fn semantics_5_batches_are_stored_in_the_topics_codec() {
    for from in Compression::ALL {
        let sent = batch(from, 500);
        for (topic, id) in TOPIC_CODECS {
            let kept = stored(&sent, &rules(topic)).expect("appendable");
            let header = BatchHeader::parse(&kept).expect("a batch");
            assert_eq!(header.attributes.compression(), id, "{from:?} into {topic:?}");
            assert_eq!(verify_crc(&kept), Ok(()), "{from:?} into {topic:?}");
            assert_eq!(shown(&kept), shown(&sent), "{from:?} into {topic:?}");
            assert_eq!(header.producer_id, ProducerId(7));
            assert_eq!((header.producer_epoch, header.base_sequence), (ProducerEpoch(2), 40));
            assert_eq!(header.max_timestamp, NOW_MS + 5);
            if from.id() == id {
                assert_eq!(kept, sent, "the same codec keeps the bytes");
            }
        }
        let kept = stored(&sent, &rules(BrokerCompression::Producer)).expect("appendable");
        assert_eq!(kept, sent, "compression.type=producer keeps the bytes");
    }
}

#[test]
fn semantics_5_max_message_bytes_applies_to_what_is_sent_and_to_the_result() {
    let (plain, small) = (batch(Compression::None, 50_000), batch(Compression::Zstd, 50_000));
    let code =
        |sent: &Bytes, topic| stored(sent, &rules(topic)).map_err(|error| error.code()).err();
    assert_eq!(code(&plain, BrokerCompression::Producer), Some(10), "too large as it is");
    // Kafka's `UnifiedLog.analyzeAndValidateRecords` refuses it before it is compressed.
    assert_eq!(code(&plain, BrokerCompression::Zstd), Some(10), "also where it would be small");
    assert_eq!(code(&small, BrokerCompression::Producer), None);
    assert_eq!(code(&small, BrokerCompression::Lz4), None);
    assert_eq!(
        code(&small, BrokerCompression::Uncompressed),
        Some(10),
        "too large once decompressed"
    );
}

#[test]
fn a_batch_that_does_not_decompress_is_corrupt() {
    let mut builder = BatchBuilder::new();
    builder.push(NOW_MS, None, Some(b"v"), &[]).expect("fits");
    let broken = builder.build_compressed(Compression::Zstd.id(), b"not zstd").expect("fits");
    let refused = stored(&broken, &rules(BrokerCompression::Lz4)).expect_err("unreadable");
    assert_eq!(refused.code(), 2, "{refused}");
}

#[test]
fn log_append_time_holds_after_recompression() {
    let stamped = AppendRules { log_append_time: true, ..rules(BrokerCompression::Lz4) };
    let kept = stored(&batch(Compression::Gzip, 100), &stamped).expect("appendable");
    let header = BatchHeader::parse(&kept).expect("a batch");
    assert_eq!(header.attributes.compression(), Compression::Lz4.id());
    assert_eq!(header.attributes.timestamp_type(), log_record::TimestampType::LogAppend);
    assert_eq!((header.max_timestamp, verify_crc(&kept)), (NOW_MS, Ok(())));
}

/// One record of zeros whose records section is exactly `records_bytes` long before compression.
fn zeros(codec: Compression, records_bytes: usize) -> Bytes {
    let mut value_bytes = records_bytes - 40;
    loop {
        let mut builder = BatchBuilder::new();
        builder.push(NOW_MS, None, Some(&vec![0; value_bytes]), &[]).expect("fits");
        let left = records_bytes - builder.records().len();
        if left == 0 {
            let compressed = compress(codec, builder.records()).expect("compresses");
            return builder.build_compressed(codec.id(), &compressed).expect("fits");
        }
        value_bytes += left;
    }
}

/// docs/bad-inputs.md: ratio at most 1000, which counts from 1 MiB on, and 64 MiB in any case.
#[test]
fn z2_a_decompression_bomb_is_refused_at_one_byte_above_the_limit() {
    let opened = |batch: &Bytes| {
        let header = BatchHeader::parse(batch).expect("a batch");
        batch_records(&header, batch).map(|records| records.len())
    };
    let free = super::DECOMPRESSED_BYTES_FREE;
    let within = zeros(Compression::Zstd, free);
    assert!(within.len() * 1000 < free, "a few zeros may compress to almost nothing");
    assert_eq!(opened(&within), Ok(free));
    let beyond = zeros(Compression::Zstd, free + 1);
    assert!(opened(&beyond).is_err_and(|error| error.contains("1048576")));
    // 1032 to 1 is the most that deflate can do.
    let bomb = zeros(Compression::Gzip, 8 << 20);
    assert!(opened(&bomb).is_err(), "8 MiB from {} bytes", bomb.len());
}

#[test]
fn z2_the_limit_of_a_decompressed_batch_follows_its_size() {
    let max = super::decompressed_bytes_max;
    assert_eq!([0, 1_048, 1_049, 5_000].map(max), [1 << 20, 1 << 20, 1_049_000, 5_000_000]);
    assert_eq!([67_108, 67_109, usize::MAX].map(max), [67_108_000, 64 << 20, 64 << 20]);
}

/// What opening comes to, and between how many yields.
fn opened(
    batch: &Bytes,
    rules: &AppendRules,
    plain_max: usize,
) -> (Result<Bytes, NotOpened>, usize) {
    let (mut polls, mut held_most) = (0, 0);
    let mut held = |bytes: usize| held_most = held_most.max(bytes);
    let opened = {
        let mut opening = std::pin::pin!(open(batch, rules, plain_max, &mut held));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        loop {
            polls += 1;
            if let std::task::Poll::Ready(opened) = opening.as_mut().poll(&mut context) {
                break opened;
            }
        }
    };
    let compressed = BatchHeader::parse(batch).is_ok_and(|h| h.attributes.compression() != 0);
    if opened.is_ok() && compressed {
        assert!(held_most > 0, "what is held is said");
    }
    (opened.map(|opened| opened.batch), polls)
}

/// JSON of so many bytes in records of some 1000.
fn json(codec: Compression, bytes: usize) -> Bytes {
    let mut builder = BatchBuilder::new();
    let mut state = 1_u32;
    while builder.records().len() < bytes {
        let mut value = Vec::new();
        while value.len() < 1000 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            value.extend_from_slice(format!("{{\"id\":{}}} ", state >> 12).as_bytes());
        }
        builder.push(NOW_MS, Some(b"k"), Some(&value), &[]).expect("fits");
    }
    packed(codec, builder)
}

fn packed(codec: Compression, builder: BatchBuilder) -> Bytes {
    if codec == Compression::None {
        return builder.build().expect("fits");
    }
    let compressed = compress(codec, builder.records()).expect("compresses");
    builder.build_compressed(codec.id(), &compressed).expect("fits")
}

/// The story: a batch of 1 MiB was decompressed, looked at and compressed again in one go, and everybody else on the core
/// waited for that, 50 ms and more.
#[test]
fn a_large_batch_is_opened_in_slices() {
    let bytes = 512 << 10;
    for from in Compression::ALL {
        let sent = json(from, bytes);
        for (topic, id) in TOPIC_CODECS {
            if from.id() == id {
                continue;
            }
            let slice_max = if id == Compression::Gzip.id() { 8 << 10 } else { 128 << 10 };
            let rules =
                AppendRules { batch_bytes_max: usize::MAX, key_required: true, ..rules(topic) };
            let (kept, polls) = opened(&sent, &rules, usize::MAX);
            assert!(polls * slice_max >= bytes, "{from} into {id}: {polls} polls");
            assert_eq!(kept, stored(&sent, &rules).map_err(NotOpened::from), "{from} into {id}");
        }
    }
}

#[test]
fn a_small_batch_is_opened_at_once() {
    for from in Compression::ALL {
        let rules = AppendRules { key_required: true, ..rules(BrokerCompression::Lz4) };
        let (kept, polls) = opened(&json(from, 4000), &rules, 256 << 10);
        assert!(kept.is_ok(), "{from}");
        assert_eq!(polls, 1, "{from}");
    }
}

/// What opening comes to, the most that it held, and how many polls came after it had it all.
fn opened_and_held(batch: &Bytes, rules: &AppendRules) -> (Result<Bytes, NotOpened>, usize, usize) {
    let (held, polls_since) = (std::cell::Cell::new(0), std::cell::Cell::new(0));
    let mut hold = |bytes: usize| {
        held.set(bytes.max(held.get()));
        polls_since.set(0);
    };
    let mut opening = std::pin::pin!(open(batch, rules, usize::MAX, &mut hold));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    loop {
        polls_since.set(polls_since.get() + 1);
        if let std::task::Poll::Ready(opened) = opening.as_mut().poll(&mut context) {
            return (opened.map(|opened| opened.batch), held.get(), polls_since.get());
        }
    }
}

/// The story: zeros that become 60 MiB were decompressed, put together, copied and summed, the last two in one go of 57 ms, and
/// then refused because a batch may have 1 MiB; 204 MiB were held meanwhile.
#[test]
fn what_becomes_too_large_is_given_up_when_it_does() {
    let records_bytes = 8 << 20;
    let sent = zeros(Compression::Lz4, records_bytes);
    let whole = records_bytes + BATCH_HEADER_BYTES;
    let with_max =
        |max| AppendRules { batch_bytes_max: max, ..rules(BrokerCompression::Uncompressed) };
    let (kept, held, polls) = opened_and_held(&sent, &with_max(whole));
    assert_eq!(kept.as_ref().map(Bytes::len), Ok(whole), "at the limit");
    assert_eq!(kept.map(|kept| verify_crc(&kept)), Ok(Ok(())));
    assert!(held <= 4 * records_bytes, "{held}: what was decompressed, and the result");
    assert!(polls >= 4, "the checksum of 8 MiB is worked out in slices: {polls}");
    let (refused, _, _) = opened_and_held(&sent, &with_max(whole - 1));
    let too_large = |max| Err(NotOpened::from(AppendError::TooLarge { bytes: whole, max }));
    assert_eq!(refused, too_large(whole - 1), "one above it");
    let (refused, held, polls) = opened_and_held(&sent, &with_max(1 << 20));
    assert!(matches!(refused, Err(NotOpened::Refused(AppendError::TooLarge { .. }))));
    assert!(held < 2 * records_bytes + (1 << 20) + (64 << 10), "{held}");
    let given_back = held >> 20;
    assert!(polls <= given_back, "and nothing is done with it after that: {polls}");
}

/// What may not come is not reserved either.
#[test]
fn no_more_is_held_for_what_is_decompressed_than_it_may_become() {
    let max = super::DECOMPRESSED_BYTES_MAX;
    let mut plain = Vec::new();
    while plain.len() <= max {
        super::make_room(&mut plain, max);
        assert!(
            plain.capacity() - plain.len() >= log_codec::SLICE_BYTES.min(max + 1 - plain.len())
        );
        plain.resize(plain.len() + log_codec::SLICE_BYTES.min(max + 1 - plain.len()), 0);
    }
    assert!(plain.capacity() <= max + 2 * log_codec::SLICE_BYTES, "{}", plain.capacity());
}

/// The story: 32 KiB of gzip members without content were one slice, and took 5 ms.
#[test]
fn what_decompresses_to_nothing_is_opened_in_slices() {
    let count = 10_000;
    let mut builder = BatchBuilder::new();
    builder.push(NOW_MS, None, None, &[]).expect("fits");
    let empty = compress(Compression::Gzip, b"").expect("compresses").repeat(count);
    let sent = builder.build_compressed(Compression::Gzip.id(), &empty).expect("fits");
    let rules = AppendRules { batch_bytes_max: usize::MAX, ..rules(BrokerCompression::Lz4) };
    let (refused, polls) = opened(&sent, &rules, usize::MAX);
    assert!(refused.is_err(), "it has no record");
    assert!(polls >= count / 30, "{polls}");
}

#[test]
fn very_many_records_and_headers_are_looked_at_in_slices() {
    let count = 200_000;
    let rules = |key_required| AppendRules {
        batch_bytes_max: usize::MAX,
        key_required,
        ..rules(BrokerCompression::Producer)
    };
    for codec in [Compression::None, Compression::Lz4] {
        let mut records = BatchBuilder::new();
        for _ in 0..count {
            records.push(NOW_MS, None, None, &[]).expect("fits");
        }
        let records = packed(codec, records);
        assert_eq!(super::must_open(&records, &rules(true)), codec != Compression::None, "{codec}");
        let (kept, polls) = opened(&records, &rules(false), usize::MAX);
        assert_eq!(kept, Ok(records.clone()), "{codec}");
        assert!(polls > count / 6000, "{codec}: {polls}");
        let (refused, _) = opened(&records, &rules(true), usize::MAX);
        let Err(NotOpened::Refused(AppendError::InvalidRecord { problems, .. })) = refused else {
            panic!("{codec}: no record has a key")
        };
        assert_eq!((problems.len(), problems.last().map(|last| last.index)), (1000, Some(999)));
        let mut headers = BatchBuilder::new();
        let many = vec![Header { key: b"", value: None }; count];
        headers.push(NOW_MS, Some(b"k"), None, &many).expect("fits");
        let headers = packed(codec, headers);
        let (kept, polls) = opened(&headers, &rules(true), usize::MAX);
        assert_eq!(kept, Ok(headers), "{codec}");
        assert!(polls > count / 6000, "{codec}: {polls}");
    }
}

/// What `seen` comes to before it is appended, and between how many yields.
fn looked_at(
    batch: &Bytes,
    rules: &AppendRules,
) -> (Result<Option<log_record::BatchSummary>, AppendError>, usize) {
    assert!(!super::must_open(batch, rules), "it is not opened");
    let (mut slice, mut polls) = (Slice::default(), 0);
    let mut looking = std::pin::pin!(super::seen(batch, rules, &mut slice));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    loop {
        polls += 1;
        if let std::task::Poll::Ready(seen) = looking.as_mut().poll(&mut context) {
            return (seen, polls);
        }
    }
}

/// The story: only very many records counted, so one record with 8 million headers was checked in one go of 54 ms.
#[test]
fn very_many_headers_are_seen_in_slices_where_nothing_is_opened() {
    let rules = AppendRules { batch_bytes_max: 1 << 20, ..rules(BrokerCompression::Producer) };
    let with_headers = |count: usize, records: usize| {
        let mut builder = BatchBuilder::new();
        let headers = vec![Header { key: b"", value: None }; count];
        for _ in 0..records {
            builder.push(NOW_MS, None, None, &headers).expect("fits");
        }
        builder.build().expect("fits")
    };
    for (count, records) in [(200_000, 1), (200, 1000), (0, 100_000)] {
        let sent = with_headers(count, records);
        let (seen, polls) = looked_at(&sent, &rules);
        assert!(polls > 100_000 / 6000, "{count} in {records}: {polls}");
        let summary = seen.expect("a right batch").expect("looked at");
        assert_eq!(opened_summary(&sent, &rules), summary, "{count} in {records}");
        // What is wrong at the very end is found here as well, and not by the append in one go.
        let mut cut = sent.to_vec();
        cut.push(0);
        let longer = i32::try_from(cut.len() - 12).expect("small");
        cut[8..12].copy_from_slice(&longer.to_be_bytes());
        let crc = log_record::crc32c(&cut[log_record::CRC_COVERS_FROM..]);
        log_record::put_crc(&mut cut, crc);
        let (refused, polls) = looked_at(&Bytes::from(cut), &rules);
        assert_eq!(refused.map_err(|error| error.code()), Err(87), "{count} in {records}");
        assert!(polls > 100_000 / 6000, "{count} in {records}: {polls}");
    }
    let few = with_headers(9000, 1);
    assert_eq!(looked_at(&few, &rules), (Ok(None), 1), "left to the append");
    let large = with_headers(600_000, 1);
    let (refused, polls) = looked_at(&large, &rules);
    assert_eq!((refused.map_err(|error| error.code()), polls), (Err(10), 1));
}

fn opened_summary(batch: &Bytes, rules: &AppendRules) -> log_record::BatchSummary {
    let opened = at_once(open(batch, rules, usize::MAX, &mut |_| {}));
    opened.expect("a right batch").summary
}

#[test]
fn what_grows_beyond_the_first_limit_is_given_back() {
    let rules = AppendRules { batch_bytes_max: usize::MAX, ..rules(BrokerCompression::Lz4) };
    let sent = json(Compression::Gzip, 500_000);
    assert_eq!(opened(&sent, &rules, 400_000).0, Err(NotOpened::Larger));
    assert!(opened(&sent, &rules, 600_000).0.is_ok());
}

/// The story: 64 MiB went back to the system in one go of 6 ms.
#[test]
fn what_was_decompressed_is_given_back_in_slices() {
    let given_back = |bytes: usize| {
        let (mut slice, mut polls) = (Slice::default(), 0);
        let mut giving = std::pin::pin!(super::let_go(vec![1; bytes].into(), &mut slice));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        loop {
            polls += 1;
            if giving.as_mut().poll(&mut context).is_ready() {
                return polls;
            }
        }
    };
    assert_eq!(given_back(64 << 20), 1 + 63, "1 MiB at a time");
    assert_eq!(given_back(100 << 10), 1);
    // The same where the batch is refused for what it becomes, and for what is in it.
    let zeros = |rules: &AppendRules| {
        let mut builder = BatchBuilder::new();
        builder.push(NOW_MS, None, Some(&vec![0; 8 << 20]), &[]).expect("fits");
        opened(&packed(Compression::Lz4, builder), rules, usize::MAX)
    };
    let tight = AppendRules { batch_bytes_max: 64 << 10, ..rules(BrokerCompression::Uncompressed) };
    let keyed = AppendRules {
        key_required: true,
        batch_bytes_max: 1 << 20,
        ..rules(BrokerCompression::Producer)
    };
    let decompressing = (8 << 20) / 100_000;
    for (rules, code) in [(tight, 10), (keyed, 87)] {
        let (refused, polls) = zeros(&rules);
        let Err(NotOpened::Refused(error)) = refused else { panic!("{refused:?}") };
        assert_eq!(error.code(), code);
        assert!(polls > decompressing + 6, "code {code}: {polls}");
    }
}

#[test]
fn what_is_damaged_is_refused_as_it_is_in_one_go() {
    let sent = json(Compression::Zstd, 100_000);
    for at in 0..80 {
        let mut damaged = sent.to_vec();
        damaged[at] ^= 0x10;
        let damaged = Bytes::from(damaged);
        let rules = AppendRules { batch_bytes_max: usize::MAX, ..rules(BrokerCompression::Lz4) };
        let sliced = opened(&damaged, &rules, usize::MAX).0;
        let whole = stored(&damaged, &rules);
        // The base offset and the leader epoch are the broker's to write.
        assert_eq!(sliced.is_err(), whole.is_err(), "byte {at}: {sliced:?}");
    }
}
