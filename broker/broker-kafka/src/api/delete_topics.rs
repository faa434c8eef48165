//! DeleteTopics (20), versions 1–6: by name, from version 6 also by id (KIP-516); messages from version 5 (KIP-599).
//!
//! A topic that is named by its id is that topic or none: not one that was made meanwhile under the same name.
//!
//! The answer comes when the deletion is durable and every core knows of it. `delete.topic.enable=false` refuses all:
//! TOPIC_DELETION_DISABLED from version 3 (KIP-322), INVALID_REQUEST before.

use std::collections::BTreeMap;

use broker_core::catalog::{Catalog, CatalogRecord, TopicRef};
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::delete_topics_response::DeletableTopicResult;
use kafka_protocol::messages::{DeleteTopicsRequest, DeleteTopicsResponse, ResponseKind};
use log_types::TopicId;

use super::refusal::{DUPLICATE_NAME, Refusal, UNKNOWN_ID};
use super::text::{text, topic_id, topic_name, uuid};
use crate::broker::{Broker, CatalogCommand, Fatal};
use crate::code;
use crate::context::Context;
use broker_kafka_wire::Pace;

const BY_ID_VERSION_MIN: i16 = 6;
const MESSAGE_VERSION_MIN: i16 = 5;
const DISABLED_VERSION_MIN: i16 = 3;

/// One topic of the request: a name, an id, or (wrongly) both or none.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Wanted {
    name: Option<String>,
    id: TopicId,
}

pub(crate) async fn handle(
    context: &Context,
    request: DeleteTopicsRequest,
) -> Result<ResponseKind, Fatal> {
    let version = context.header.version;
    let wanted: Vec<Wanted> = match version >= BY_ID_VERSION_MIN {
        true => request.topics.iter().map(by_state).collect(),
        false => request.topic_names.iter().map(|name| by_name(name)).collect(),
    };
    let mut counts = BTreeMap::new();
    for wanted in &wanted {
        *counts.entry(wanted.clone()).or_insert(0_usize) += 1;
    }
    let mut response = DeleteTopicsResponse::default();
    let mut pace = Pace::default();
    for wanted in wanted {
        // A topic that stands several times is answered once.
        let Some(count) = counts.remove(&wanted) else { continue };
        let mut result = DeletableTopicResult::default();
        result.name = wanted.name.as_deref().map(topic_name);
        result.topic_id = uuid(wanted.id);
        match delete(&*context.broker, version, &wanted, count > 1).await? {
            Ok((name, id)) => {
                result.name = Some(topic_name(&name));
                result.topic_id = uuid(id);
            }
            Err(refusal) => {
                result.error_code = refusal.code;
                if version >= MESSAGE_VERSION_MIN {
                    result.error_message = Some(text(&refusal.message));
                }
            }
        }
        if version < BY_ID_VERSION_MIN {
            result.topic_id = uuid(TopicId::default());
        }
        response.responses.push(result);
        pace.partition(0).await;
    }
    Ok(ResponseKind::DeleteTopics(response))
}

fn by_state(state: &DeleteTopicState) -> Wanted {
    let name = state.name.as_ref().map(|name| name.to_string());
    Wanted { name, id: topic_id(state.topic_id) }
}

fn by_name(name: &str) -> Wanted {
    Wanted { name: Some(name.to_owned()), id: TopicId::default() }
}

async fn delete(
    broker: &dyn Broker,
    version: i16,
    wanted: &Wanted,
    repeated: bool,
) -> Result<Result<(String, TopicId), Refusal>, Fatal> {
    let config = broker.broker_config();
    let disabled = config
        .value("delete.topic.enable")
        .is_some_and(|value| value.eq_ignore_ascii_case("false"));
    if disabled {
        let code = match version >= DISABLED_VERSION_MIN {
            true => code::TOPIC_DELETION_DISABLED,
            false => code::INVALID_REQUEST,
        };
        return Ok(Err(Refusal::new(code, "Topic deletion is disabled.")));
    }
    let found = match find(&broker.catalog(), wanted, repeated) {
        Ok(found) => found,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let topic = match wanted.id == TopicId::default() {
        true => TopicRef::Name(found.0.clone()),
        false => TopicRef::Id(wanted.id),
    };
    match broker.change_catalog(CatalogCommand::DeleteTopic(topic)).await {
        Ok(CatalogRecord::TopicDeleted { id }) => Ok(Ok((found.0, id))),
        // The catalog answers a command with its own record.
        Ok(_) => Err(Fatal),
        Err(failure) => Refusal::of_catalog(failure).map(Err),
    }
}

fn find(catalog: &Catalog, wanted: &Wanted, repeated: bool) -> Result<(String, TopicId), Refusal> {
    let invalid = |message: &str| Err(Refusal::new(code::INVALID_REQUEST, message));
    let by_id = wanted.id != TopicId::default();
    let topic = match (&wanted.name, by_id) {
        (Some(_), true) => return invalid("You may not specify both topic name and topic id."),
        (None, false) => return invalid("Neither topic name nor id were specified."),
        (Some(_), false) if repeated => return invalid(DUPLICATE_NAME),
        (None, true) if repeated => return invalid("Duplicate topic id."),
        (Some(name), false) => catalog.topic(name).ok_or_else(Refusal::unknown_topic)?,
        (None, true) => {
            let unknown = || Refusal::new(code::UNKNOWN_TOPIC_ID, UNKNOWN_ID);
            catalog.topic_by_id(wanted.id).ok_or_else(unknown)?
        }
    };
    Ok((topic.name.clone(), topic.id))
}
