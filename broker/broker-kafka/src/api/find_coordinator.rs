//! FindCoordinator (10), versions 0–6: this node coordinates every group. Version 4 asks for several keys at once (KIP-699).
//!
//! Transactions (key type 1) and share groups (2) are not served: INVALID_REQUEST.

use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::{FindCoordinatorRequest, FindCoordinatorResponse, ResponseKind};
use kafka_protocol::protocol::StrBytes;

use super::text::{broker_id, text};
use crate::broker::{Fatal, Identity};
use crate::code;
use crate::context::Context;

/// `CoordinatorType.GROUP`.
const GROUP: i8 = 0;
const SEVERAL_KEYS_VERSION_MIN: i16 = 4;

pub(crate) async fn handle(
    context: &Context,
    request: FindCoordinatorRequest,
) -> Result<ResponseKind, Fatal> {
    let identity = context.broker.identity();
    let find = |key: &StrBytes| find(&identity, request.key_type, key);
    let mut response = FindCoordinatorResponse::default();
    if context.header.version >= SEVERAL_KEYS_VERSION_MIN {
        response.coordinators = request.coordinator_keys.iter().map(find).collect();
    } else {
        let found = find(&request.key);
        response.error_code = found.error_code;
        response.error_message = found.error_message.or_else(|| Some(text("NONE")));
        response.node_id = found.node_id;
        response.host = found.host;
        response.port = found.port;
    }
    Ok(ResponseKind::FindCoordinator(response))
}

fn find(identity: &Identity, key_type: i8, key: &StrBytes) -> Coordinator {
    let mut coordinator = Coordinator::default();
    coordinator.key = key.clone();
    if key_type != GROUP {
        coordinator.node_id = broker_id(-1);
        coordinator.port = -1;
        coordinator.error_code = code::INVALID_REQUEST;
        coordinator.error_message =
            Some(text("Only groups have a coordinator here: transactions are not supported."));
        return coordinator;
    }
    coordinator.node_id = broker_id(identity.node_id);
    coordinator.host = text(&identity.host);
    coordinator.port = i32::from(identity.port);
    coordinator
}
