//! Which topic a commit is for.

use std::collections::BTreeMap;

use broker_core::catalog::NewTopicSpec;
use log_types::{Offset, PartitionId};

use super::*;

#[test]
fn a_commit_for_a_deleted_topic_of_the_same_name_has_no_place() {
    let mut catalog = Catalog::new();
    let spec = NewTopicSpec { name: "t".to_owned(), partition_count: 1, configs: BTreeMap::new() };
    catalog.apply(catalog.plan_topic(spec, 1, 1).expect("planned").record);
    let id = catalog.topics["t"].id;
    let has_place = |topic: &str, topic_id, partition| {
        let (group, topic, offset) = ("g".to_owned(), topic.to_owned(), Offset(1));
        let partition = PartitionId(partition);
        place_of(&Commit { group, topic, topic_id, partition, offset }, &catalog).is_some()
    };
    assert!(has_place("t", id, 0));
    assert!(has_place("t", TopicId::default(), 0), "old clients do not say which");
    assert!(!has_place("t", TopicId([9; 16]), 0), "one that had the name before");
    assert!(!has_place("t", id, 1));
    assert!(!has_place("u", id, 0));
}
