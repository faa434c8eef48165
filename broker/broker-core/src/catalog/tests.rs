//! The catalog is a deterministic fold, and commands refuse what would break it.

use std::collections::BTreeMap;

use log_types::{ShardId, StreamId, TopicId};

use super::{
    Catalog, CatalogError, CatalogRecord, Declaration, NewTopicSpec, PartitionPlace, Topic,
};

fn spec(name: &str, partition_count: usize) -> NewTopicSpec {
    NewTopicSpec { name: name.to_owned(), partition_count, configs: BTreeMap::new() }
}

fn create(catalog: &mut Catalog, name: &str, partitions: usize) {
    let planned = catalog.plan_topic(spec(name, partitions), 3, 7).expect("the topic is new");
    catalog.apply(planned.record);
}

#[test]
fn streams_are_placed_round_robin_and_never_reused() {
    let mut catalog = Catalog::new();
    create(&mut catalog, "a", 4);
    let first: Vec<_> = catalog.topic("a").expect("created").partitions.clone();
    let shards: Vec<_> = first.iter().map(|place| place.shard).collect();
    assert_eq!(shards, [ShardId(1), ShardId(2), ShardId(0), ShardId(1)]);
    let id = catalog.topic("a").expect("created").id;
    catalog.apply(CatalogRecord::TopicDeleted { id });
    assert!(catalog.topic_by_id(id).is_none());
    create(&mut catalog, "a", 1);
    let again = catalog.topic("a").expect("created").partitions[0];
    assert!(again.stream > first[3].stream, "a new topic never sees an old stream");
}

#[test]
fn a_topic_that_exists_or_collides_is_refused() {
    let mut catalog = Catalog::new();
    create(&mut catalog, "a.b", 1);
    let error = catalog.plan_topic(spec("a.b", 1), 1, 0).expect_err("exists");
    assert_eq!(error, CatalogError::TopicExists { name: "a.b".into() });
    let error = catalog.plan_topic(spec("a_b", 1), 1, 0).expect_err("collides");
    assert_eq!(error, CatalogError::NameCollides { name: "a_b".into(), with: "a.b".into() });
}

#[test]
fn partitions_only_grow() {
    let mut catalog = Catalog::new();
    create(&mut catalog, "a", 2);
    assert!(matches!(
        catalog.plan_partitions("a", 2, 1),
        Err(CatalogError::NotMorePartitions { current: 2, asked: 2, .. })
    ));
    let record = catalog.plan_partitions("a", 5, 1).expect("more");
    catalog.apply(record);
    assert_eq!(catalog.topic("a").expect("there").partitions.len(), 5);
}

#[test]
fn records_and_checkpoints_round_trip() {
    let mut catalog = Catalog::new();
    create(&mut catalog, "orders", 2);
    let topic = catalog.topic("orders").expect("there").clone();
    let configs = BTreeMap::from([("retention.ms".to_owned(), "1".to_owned())]);
    let mut records = vec![
        CatalogRecord::TopicConfigured { id: topic.id, configs: configs.clone() },
        CatalogRecord::BrokerConfigured { configs },
        CatalogRecord::ProducerIdsReserved { next: 1000 },
        catalog.plan_declaration("o", "orders", vec![1, 2]).expect("new"),
        catalog.plan_partitions("orders", 3, 2).expect("more"),
    ];
    for record in records.clone() {
        assert_eq!(CatalogRecord::decode(&record.encode()), Ok(record.clone()));
        catalog.apply(record);
    }
    records.push(CatalogRecord::TopicDeleted { id: topic.id });
    records.push(CatalogRecord::TableDropped { name: "o".into() });
    for record in &records {
        let bytes = record.encode();
        for len in 0..bytes.len() {
            assert!(CatalogRecord::decode(&bytes[..len]).is_err(), "{record:?} cut at {len}");
        }
        let longer = [&bytes[..], &[0]].concat();
        assert!(CatalogRecord::decode(&longer).is_err(), "{record:?} and a byte more");
    }
    assert_eq!(Catalog::import(&catalog.export()), Ok(catalog.clone()));
    let bytes = catalog.export();
    for len in 0..bytes.len() {
        assert!(Catalog::import(&bytes[..len]).is_err(), "cut at {len}");
    }
}

/// `log/FORMAT.md` "Catalog record" and "The owner's state".
#[test]
fn golden_bytes() {
    let id = TopicId(*b"topic-identifier");
    let places = vec![PartitionPlace { stream: StreamId(0x21), shard: ShardId(1) }];
    let configs = BTreeMap::from([("k".to_owned(), "v1".to_owned())]);
    let (name, topic) = ("tbl".to_owned(), "top".to_owned());
    let created = CatalogRecord::TopicCreated(Topic {
        name: topic.clone(),
        id,
        number: 5,
        partitions: places.clone(),
        configs: configs.clone(),
    });
    let declared = CatalogRecord::TableDeclared(Declaration {
        name: name.clone(),
        topic,
        number: 6,
        payload: vec![0xaa, 0xbb],
    });
    let place = [&[1, 0, 0, 0, 0x21][..], &[0; 7], &[1, 0, 0, 0]].concat();
    let config = b"\x01\0\0\0\x01\0\0\0k\x02\0\0\0v1".as_slice();
    let with_id = |kind| [&[1, kind], &id.0[..]].concat();
    let topic = [b"\x01\0\x03\0\0\0top", &id.0[..], &[5, 0, 0, 0, 0, 0, 0, 0], &place, config];
    let topic = topic.concat();
    let table = b"\x01\x05\x03\0\0\0tbl\x03\0\0\0top\x06\0\0\0\0\0\0\0\x02\0\0\0\xaa\xbb".to_vec();
    let golden = [
        (created, topic.clone()),
        (CatalogRecord::TopicDeleted { id }, with_id(1)),
        (CatalogRecord::PartitionsAdded { id, places }, [&with_id(2)[..], &place].concat()),
        (
            CatalogRecord::TopicConfigured { id, configs: configs.clone() },
            [&with_id(3), config].concat(),
        ),
        (CatalogRecord::BrokerConfigured { configs }, [b"\x01\x04", config].concat()),
        (declared, table.clone()),
        (CatalogRecord::TableDropped { name }, b"\x01\x06\x03\0\0\0tbl".to_vec()),
        (
            CatalogRecord::ProducerIdsReserved { next: 0x3e8 },
            b"\x01\x07\xe8\x03\0\0\0\0\0\0".to_vec(),
        ),
    ];
    let mut catalog = Catalog::new();
    for (record, bytes) in golden {
        assert_eq!(record.encode(), bytes, "{record:?}");
        let kept = matches!(bytes[1], 0 | 4 | 5 | 7);
        if kept {
            catalog.apply(record);
        }
    }
    let mut expected = vec![1, 4, 0, 0, 0, 0, 0, 0, 0, 0x22, 0, 0, 0, 0, 0, 0, 0];
    expected.extend([7, 0, 0, 0, 0, 0, 0, 0, 0xe8, 3, 0, 0, 0, 0, 0, 0]);
    for record in [&topic, &table] {
        expected.extend([1, 0, 0, 0, u8::try_from(record.len()).expect("short"), 0, 0, 0]);
        expected.extend(record);
    }
    expected.extend([17, 0, 0, 0, 1, 4]);
    expected.extend(config);
    assert_eq!(catalog.export(), expected);
}

#[test]
fn a_topic_does_not_take_the_name_of_a_table_over_another() {
    let mut catalog = Catalog::new();
    create(&mut catalog, "orders", 1);
    let record = catalog.plan_declaration("o", "orders", Vec::new()).expect("new");
    catalog.apply(record);
    let refused =
        catalog.plan_topic(spec("o", 1), 1, 0).expect_err("its records would hide the table's");
    assert_eq!(refused, CatalogError::NameDeclared { name: "o".into(), topic: "orders".into() });
    let record = catalog.plan_drop_table("o").expect("declared");
    catalog.apply(record);
    assert!(catalog.plan_topic(spec("o", 1), 1, 0).is_ok());
}

#[test]
fn deleting_a_topic_drops_its_declarations() {
    let mut catalog = Catalog::new();
    create(&mut catalog, "orders", 1);
    let record = catalog.plan_declaration("o", "orders", Vec::new()).expect("new");
    catalog.apply(record);
    assert!(catalog.plan_declaration("o", "orders", Vec::new()).is_err());
    let id = catalog.topic("orders").expect("there").id;
    catalog.apply(CatalogRecord::TopicDeleted { id });
    assert_eq!(catalog.plan_drop_table("o"), Err(CatalogError::TableMissing { name: "o".into() }));
}
