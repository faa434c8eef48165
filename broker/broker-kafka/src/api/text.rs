//! Between this crate's strings and ids and those of the `kafka-protocol` crate.

use kafka_protocol::messages::{BrokerId, GroupId, TopicName};
use kafka_protocol::protocol::StrBytes;
use log_types::TopicId;
use uuid::Uuid;

pub(super) fn text(value: &str) -> StrBytes {
    StrBytes::from_string(value.to_owned())
}

pub(super) fn optional(value: Option<&str>) -> Option<StrBytes> {
    value.map(text)
}

pub(super) fn owned(value: Option<&StrBytes>) -> Option<String> {
    value.map(|value| value.to_string())
}

pub(super) fn topic_name(value: &str) -> TopicName {
    TopicName(text(value))
}

pub(super) fn group_id(value: &str) -> GroupId {
    GroupId(text(value))
}

pub(super) fn broker_id(id: i32) -> BrokerId {
    BrokerId(id)
}

pub(super) fn topic_id(id: Uuid) -> TopicId {
    TopicId(id.into_bytes())
}

pub(super) fn uuid(id: TopicId) -> Uuid {
    Uuid::from_bytes(id.0)
}
