//! InitProducerId (22), versions 0–5: a fresh producer id for an idempotent producer.
//!
//! With a producer id and epoch of its own (version 3, KIP-360) a producer without a transactional id simply gets a new
//! id, as in Kafka. A transactional id is refused: transactions are not served.

use kafka_protocol::messages::{
    InitProducerIdRequest, InitProducerIdResponse, ProducerId, ResponseKind,
};

use crate::broker::Fatal;
use crate::code;
use crate::handler::Context;

pub(crate) async fn handle(
    context: &Context,
    request: InitProducerIdRequest,
) -> Result<ResponseKind, Fatal> {
    let mut response = InitProducerIdResponse::default();
    if request.transactional_id.is_some() {
        response.error_code = code::INVALID_REQUEST;
        response.producer_id = ProducerId(-1);
        response.producer_epoch = -1;
    } else {
        response.producer_id = ProducerId(context.broker.new_producer_id().await?);
        response.producer_epoch = 0;
    }
    Ok(ResponseKind::InitProducerId(response))
}
