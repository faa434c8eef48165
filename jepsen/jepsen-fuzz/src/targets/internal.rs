//! Internal records and checkpoints: what a node reads back from its own journal after any history of versions.
//!
//! Promises: decoding and encoding are inverses; the folds take whatever decodes without a panic.

use std::collections::BTreeMap;

use broker_core::catalog::{
    Catalog, CatalogRecord, Declaration, PartitionPlace, STREAM_ID_MIN, Topic,
};
use broker_core::fields::{FieldReader, FieldWriter};
use broker_core::group::{
    CommittedOffset, GroupConfig, GroupMetadata, GroupRecord, Groups, MemberMetadata,
    OffsetCommitted,
};
use broker_core::partition::Partition;
use bytes::Bytes;
use log_record::{BatchBuilder, BatchHeader};
use log_types::{
    LeaderEpoch, Offset, PartitionId, ProducerEpoch, ProducerId, ShardId, StreamId, TopicId,
};

use crate::target::{Steps, Verdict};

const ID: TopicId = TopicId([7; 16]);

fn catalog_records() -> Vec<CatalogRecord> {
    let place =
        |stream| PartitionPlace { stream: StreamId(STREAM_ID_MIN + stream), shard: ShardId(1) };
    let configs = BTreeMap::from([("retention.ms".to_owned(), "1000".to_owned())]);
    let topic = Topic {
        name: "orders".to_owned(),
        id: ID,
        number: 1,
        partitions: vec![place(0), place(1)],
        configs: configs.clone(),
    };
    let declaration = Declaration {
        name: "t".to_owned(),
        topic: "orders".to_owned(),
        number: 2,
        payload: b"columns".to_vec(),
    };
    vec![
        CatalogRecord::TopicCreated(topic),
        CatalogRecord::PartitionsAdded { id: ID, places: vec![place(2)] },
        CatalogRecord::TopicConfigured { id: ID, configs: configs.clone() },
        CatalogRecord::BrokerConfigured { configs },
        CatalogRecord::TableDeclared(declaration),
        CatalogRecord::TableDropped { name: "t".to_owned() },
        CatalogRecord::ProducerIdsReserved { next: 1000 },
        CatalogRecord::TopicDeleted { id: ID },
    ]
}

pub(super) fn catalog_record_seeds() -> Vec<Vec<u8>> {
    catalog_records().iter().map(CatalogRecord::encode).collect()
}

/// The catalog after each of the records.
pub(super) fn catalog_state_seeds() -> Vec<Vec<u8>> {
    let mut catalog = Catalog::new();
    let mut states = vec![catalog.export()];
    for record in catalog_records() {
        catalog.apply(record);
        states.push(catalog.export());
    }
    states
}

pub(super) fn catalog_record(input: &[u8], steps: &Steps) -> Verdict {
    let decoded = steps.decoding(|| CatalogRecord::decode(input));
    if let Ok(record) = &decoded {
        assert_eq!(CatalogRecord::decode(&record.encode()).as_ref(), Ok(record));
        let mut catalog = Catalog::new();
        for before in catalog_records().into_iter().take(5) {
            catalog.apply(before);
        }
        catalog.apply(record.clone());
        check_catalog(&catalog);
    }
    Verdict::of(&decoded)
}

pub(super) fn catalog_state(input: &[u8], steps: &Steps) -> Verdict {
    let imported = steps.decoding(|| Catalog::import(input));
    if let Ok(catalog) = &imported {
        check_catalog(catalog);
        let mut catalog = catalog.clone();
        for record in catalog_records() {
            catalog.apply(record);
        }
    }
    Verdict::of(&imported)
}

fn check_catalog(catalog: &Catalog) {
    let back = Catalog::import(&catalog.export()).expect("just exported");
    assert_eq!(&back, catalog, "import is the inverse of export");
}

fn group_records() -> Vec<GroupRecord> {
    let group_id = || "g".to_owned();
    let topic = || "orders".to_owned();
    let member = MemberMetadata {
        member_id: "m".to_owned(),
        instance_id: Some("i".to_owned()),
        client_id: "c".to_owned(),
        client_host: "/127.0.0.1".to_owned(),
        session_timeout_ms: 45_000,
        rebalance_timeout_ms: 300_000,
        subscription: Bytes::from_static(b"\0\x01\0\0\0\x01\0\x06orders\xff\xff\xff\xff"),
        assignment: Bytes::from_static(b"\0\x01\0\0\0\0"),
    };
    let metadata = GroupMetadata {
        generation: 3,
        protocol_type: Some("consumer".to_owned()),
        protocol_name: Some("range".to_owned()),
        leader: Some("m".to_owned()),
        state_since_ms: 1_000,
        members: vec![member],
    };
    let value = CommittedOffset {
        topic_id: ID,
        offset: Offset(42),
        leader_epoch: LeaderEpoch(1),
        metadata: "note".to_owned(),
        committed_at_ms: 1_000,
        expires_at_ms: None,
    };
    let committed =
        OffsetCommitted { group_id: group_id(), topic: topic(), partition: PartitionId(1), value };
    vec![
        GroupRecord::Metadata { group_id: group_id(), metadata },
        GroupRecord::OffsetCommitted(committed),
        GroupRecord::OffsetDeleted {
            group_id: group_id(),
            topic: topic(),
            partition: PartitionId(1),
        },
        GroupRecord::Deleted { group_id: group_id() },
    ]
}

pub(super) fn group_record_seeds() -> Vec<Vec<u8>> {
    group_records().iter().map(GroupRecord::encode).collect()
}

pub(super) fn group_record(input: &[u8], steps: &Steps) -> Verdict {
    let decoded = steps.decoding(|| GroupRecord::decode(input));
    if let Ok(record) = &decoded {
        assert_eq!(GroupRecord::decode(&record.encode()).as_ref(), Ok(record));
        let mut groups = Groups::new(GroupConfig::default());
        for before in group_records().iter().take(2) {
            groups.apply(before);
        }
        groups.apply(record);
        groups.start_sessions(2_000);
        let exported = groups.export();
        let mut back = Groups::new(GroupConfig::default());
        for record in &exported {
            back.apply(record);
        }
        back.start_sessions(2_000);
        assert_eq!(back.export(), exported, "the exported records are the state");
        // Whatever the timeouts say: time goes on.
        for now_ms in [2_001, 60_000, i64::MAX / 2] {
            steps.step();
            drop(groups.tick(now_ms));
        }
    }
    Verdict::of(&decoded)
}

pub(super) fn partition_state_seeds() -> Vec<Vec<u8>> {
    let mut partition = Partition::default();
    let mut states = Vec::new();
    for sequence in 0..7 {
        let mut out = FieldWriter::new();
        partition.export(&mut out);
        states.push(out.finish());
        let id = ProducerId(i64::from(sequence % 2));
        let mut builder = BatchBuilder::new().producer(id, ProducerEpoch(0), sequence / 2);
        builder.push(1_000, None, Some(b"v"), &[]).expect("a small record fits");
        let batch = builder.build().expect("there is a record");
        let header = BatchHeader::parse(&batch).expect("just built");
        partition.record_append(&header, partition.end(), LeaderEpoch(sequence / 3));
    }
    states
}

pub(super) fn partition_state(input: &[u8], steps: &Steps) -> Verdict {
    let imported = steps.decoding(|| Partition::import(&mut FieldReader::new(input)));
    if let Ok(partition) = &imported {
        let export = |partition: &Partition| {
            let mut out = FieldWriter::new();
            partition.export(&mut out);
            out.finish()
        };
        let exported = export(partition);
        let back = Partition::import(&mut FieldReader::new(&exported)).expect("just exported");
        assert_eq!(export(&back), exported, "import is the inverse of export");
        let mut used = partition.clone();
        used.raise_log_start(used.end());
        used.age_producers(i64::MAX, 1);
        let asked = used.epochs().end_of(LeaderEpoch(1), LeaderEpoch(i32::MAX), used.end());
        assert!(asked.is_none_or(|(epoch, _)| epoch <= LeaderEpoch(1)), "{asked:?}");
    }
    Verdict::of(&imported)
}
