//! ApiVersions (18), versions 0–4: what is served. Version 3 and later validate the client's software name (KIP-511).
//!
//! Source: KIP-35, KIP-511, KIP-584. No features are finalized: none of those that clients ask for is built.

use broker_kafka_wire::{ApiVersionsRequest, ApiVersionsResponse};
use bytes::Bytes;

use crate::code;
use crate::context::Context;
use crate::handler::{Response, SERVED};

pub(crate) async fn handle(context: Context, body: Bytes) -> Response {
    let (version, correlation_id) = (context.header.version, context.header.correlation_id);
    let Ok(request) = ApiVersionsRequest::decode(&body, version) else { return Response::Close };
    let mut response = ApiVersionsResponse::of(SERVED);
    if version >= 3 {
        let valid = is_software_name(&request.client_software_name)
            && is_software_name(&request.client_software_version);
        if !valid {
            response = ApiVersionsResponse { error_code: code::INVALID_REQUEST, ..response };
        }
    }
    context.send(response.encode(version, correlation_id))
}

/// KIP-511: letters, digits, dots and dashes, beginning and ending with a letter or digit.
fn is_software_name(name: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    name.chars().all(inner) && edge(name.chars().next()) && edge(name.chars().last())
}
