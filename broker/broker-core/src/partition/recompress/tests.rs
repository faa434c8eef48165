//! Every codec into every other, the limit on the result, and what must survive.

use bytes::Bytes;
use log_codec::{Compression, compress};
use log_record::{BatchBuilder, BatchHeader, Header, Records, verify_crc};
use log_types::{ProducerEpoch, ProducerId};

use crate::config::BrokerCompression;
use crate::partition::{AppendError, AppendRules, Partition, Verdict, batch_records};

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
fn semantics_5_max_message_bytes_applies_to_the_result() {
    let (plain, small) = (batch(Compression::None, 50_000), batch(Compression::Zstd, 50_000));
    let code =
        |sent: &Bytes, topic| stored(sent, &rules(topic)).map_err(|error| error.code()).err();
    assert_eq!(code(&plain, BrokerCompression::Producer), Some(10), "too large as it is");
    assert_eq!(code(&plain, BrokerCompression::Zstd), None, "small enough once compressed");
    assert_eq!(code(&small, BrokerCompression::Producer), None);
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

/// `reliability.md` §13.2: ratio at most 1000, which counts from 1 MiB on, and 64 MiB in any case.
#[test]
fn z2_a_decompression_bomb_is_refused_at_one_byte_above_the_limit() {
    let opened = |batch: &Bytes| {
        let header = BatchHeader::parse(batch).expect("a batch");
        batch_records(&header, batch).map(|records| records.len())
    };
    let free = super::super::append::DECOMPRESSED_BYTES_FREE;
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
    let max = super::super::append::decompressed_bytes_max;
    assert_eq!([0, 1_048, 1_049, 5_000].map(max), [1 << 20, 1 << 20, 1_049_000, 5_000_000]);
    assert_eq!([67_108, 67_109, usize::MAX].map(max), [67_108_000, 64 << 20, 64 << 20]);
}
