//! Limits that stand with no state machine's own tests, at the limit and one above. Each number is written out: a limit that
//! changes is a change of what the broker promises.

use std::collections::BTreeMap;

use log_types::{LeaderEpoch, Offset, TopicId};

use crate::catalog::{Catalog, CatalogError, CatalogRecord, NewTopicSpec, Topic};
use crate::partition::EpochHistory;

fn spec(name: &str, partition_count: usize) -> NewTopicSpec {
    NewTopicSpec { name: name.to_owned(), partition_count, configs: BTreeMap::new() }
}

fn fits<T>(planned: &Result<T, CatalogError>) -> bool {
    match planned {
        Ok(_) => true,
        Err(CatalogError::PartitionsMax { max: 200_000 }) => false,
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn a_catalog_holds_200_000_partitions() {
    let mut catalog = Catalog::new();
    for (count, expected) in [(200_000, true), (200_001, false), (usize::MAX, false)] {
        assert_eq!(fits(&catalog.plan_topic(spec("a", count), 3, 1)), expected, "{count}");
    }
    catalog.apply(catalog.plan_topic(spec("a", 150_000), 3, 1).expect("fits").record);
    for (count, expected) in [(50_000, true), (50_001, false), (usize::MAX, false)] {
        assert_eq!(fits(&catalog.plan_topic(spec("b", count), 3, 2)), expected, "{count} more");
        let grown = count.saturating_add(150_000);
        assert_eq!(fits(&catalog.plan_partitions("a", grown, 3)), expected, "{count} added");
    }
}

#[test]
fn numbers_in_the_catalog_are_at_most_two_to_the_62nd() {
    let decoded = |number| {
        let id = TopicId([1; 16]);
        let (name, partitions) = ("t".to_owned(), Vec::new());
        let topic = Topic { name, id, number, partitions, configs: BTreeMap::new() };
        let record = CatalogRecord::TopicCreated(topic);
        CatalogRecord::decode(&record.encode()).map(|decoded| assert_eq!(decoded, record))
    };
    let limit = 1 << 62;
    for (number, expected) in [(limit, true), (limit + 1, false), (u64::MAX, false)] {
        assert_eq!(decoded(number).is_ok(), expected, "{number}");
    }
}

#[test]
fn a_partition_knows_its_last_1024_epochs() {
    let mut history = EpochHistory::default();
    for epoch in 1..=1024 {
        history.assign(LeaderEpoch(epoch), Offset(i64::from(epoch) * 10));
    }
    assert_eq!(history.at(Offset(10)), Some(LeaderEpoch(1)));
    history.assign(LeaderEpoch(1025), Offset(10_250));
    assert_eq!(history.at(Offset(10)), None, "the oldest went");
    assert_eq!(history.at(Offset(20)), Some(LeaderEpoch(2)));
    assert_eq!(history.at(Offset(10_250)), Some(LeaderEpoch(1025)));
}
