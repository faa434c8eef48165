//! Finding topics by name or id, and partitions in them.

use std::sync::Arc;

use broker_core::catalog::{Catalog, PartitionPlace, Topic};
use log_types::{PartitionId, TopicId};

use crate::code;

/// The topic a request names, by id where it gives one; the error code otherwise. No version of a request has both.
pub(super) fn find<'a>(
    catalog: &'a Catalog,
    name: &str,
    id: TopicId,
) -> Result<&'a Arc<Topic>, i16> {
    if id == TopicId::default() {
        return catalog.topic(name).ok_or(code::UNKNOWN_TOPIC_OR_PARTITION);
    }
    catalog.topic_by_id(id).ok_or(code::UNKNOWN_TOPIC_ID)
}

/// The topic a request names in versions that go by name, or by id; the error code otherwise.
pub(super) fn find_by<'a>(
    catalog: &'a Catalog,
    by_id: bool,
    name: &str,
    id: TopicId,
) -> Result<&'a Arc<Topic>, i16> {
    if by_id {
        catalog.topic_by_id(id).ok_or(code::UNKNOWN_TOPIC_ID)
    } else {
        catalog.topic(name).ok_or(code::UNKNOWN_TOPIC_OR_PARTITION)
    }
}

/// The place of a partition; UNKNOWN_TOPIC_OR_PARTITION when the topic has no such partition.
pub(super) fn place(topic: &Topic, partition: PartitionId) -> Result<PartitionPlace, i16> {
    topic.place(partition).ok_or(code::UNKNOWN_TOPIC_OR_PARTITION)
}

/// Bytes of the longest name a topic can have.
const NAME_BYTES_MAX: usize = 249;

/// Whether every name may be a topic's. Names are kept per partition while a request is answered, so a request that
/// repeats a long one a hundred thousand times would cost gigabytes: its connection is closed.
pub(super) fn plausible<'a>(mut names: impl Iterator<Item = &'a str>) -> bool {
    names.all(|name| name.len() <= NAME_BYTES_MAX)
}
