//! InitProducerId (22), versions 0–5: a fresh producer id for an idempotent producer.
//!
//! With a producer id and epoch of its own (version 3, KIP-360) a producer without a transactional id simply gets a new
//! id, as in Kafka. A transactional id is refused: transactions are not served. On a full disk no id can be reserved:
//! KAFKA_STORAGE_ERROR, which clients retry.

use kafka_protocol::messages::{
    InitProducerIdRequest, InitProducerIdResponse, ProducerId, ResponseKind,
};

use super::refusal::Refusal;
use crate::broker::Fatal;
use crate::code;
use crate::context::Context;

pub(crate) async fn handle(
    context: &Context,
    request: InitProducerIdRequest,
) -> Result<ResponseKind, Fatal> {
    let given = match request.transactional_id {
        Some(_) => Err(code::INVALID_REQUEST),
        None => match context.broker.new_producer_id().await {
            Ok(id) => Ok(id),
            Err(failure) => Err(Refusal::of_catalog(failure)?.code),
        },
    };
    let mut response = InitProducerIdResponse::default();
    response.error_code = given.err().unwrap_or(code::NONE);
    response.producer_id = ProducerId(given.unwrap_or(-1));
    response.producer_epoch = if given.is_ok() { 0 } else { -1 };
    Ok(ResponseKind::InitProducerId(response))
}
