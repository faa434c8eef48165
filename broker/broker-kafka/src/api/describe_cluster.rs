//! DescribeCluster (60), versions 0–2: cluster id and brokers (KIP-700). Only brokers can be described here, not
//! controllers (endpoint type 2, version 1, KIP-919). Authorized operations only on request (KIP-430).

use kafka_protocol::messages::describe_cluster_response::DescribeClusterBroker;
use kafka_protocol::messages::{DescribeClusterRequest, DescribeClusterResponse, ResponseKind};

use super::metadata::CLUSTER_OPERATIONS;
use super::refusal::Refusal;
use super::text::{broker_id, text};
use crate::broker::Fatal;
use crate::code;
use crate::context::Context;

/// `EndpointType.BROKER`.
const BROKER: i8 = 1;
/// `EndpointType.CONTROLLER`.
const CONTROLLER: i8 = 2;

#[expect(clippy::unused_async, reason = "handlers have one shape")]
pub(crate) async fn handle(
    context: &Context,
    request: DescribeClusterRequest,
) -> Result<ResponseKind, Fatal> {
    let mut response = DescribeClusterResponse::default();
    if let Err(refusal) = check_endpoint(request.endpoint_type) {
        response.error_code = refusal.code;
        response.error_message = Some(text(&refusal.message));
        response.endpoint_type = request.endpoint_type;
        return Ok(ResponseKind::DescribeCluster(response));
    }
    let identity = context.broker.identity();
    let mut broker = DescribeClusterBroker::default();
    broker.broker_id = broker_id(identity.node_id);
    broker.host = text(&identity.host);
    broker.port = i32::from(identity.port);
    response.cluster_id = text(&identity.cluster_id);
    response.controller_id = broker_id(identity.node_id);
    response.brokers = vec![broker];
    if request.include_cluster_authorized_operations {
        response.cluster_authorized_operations = CLUSTER_OPERATIONS;
    }
    Ok(ResponseKind::DescribeCluster(response))
}

fn check_endpoint(endpoint_type: i8) -> Result<(), Refusal> {
    match endpoint_type {
        BROKER => Ok(()),
        CONTROLLER => Err(Refusal::new(
            code::MISMATCHED_ENDPOINT_TYPE,
            "The request was sent to an endpoint of type BROKER, but we wanted an endpoint of type CONTROLLER",
        )),
        other => Err(Refusal::new(
            code::UNSUPPORTED_ENDPOINT_TYPE,
            format!("Unsupported endpoint type {other}"),
        )),
    }
}
