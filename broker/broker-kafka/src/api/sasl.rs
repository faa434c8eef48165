//! SaslHandshake (17), versions 0–1, and SaslAuthenticate (36), versions 0–2, on a listener without authentication:
//! ILLEGAL_SASL_STATE and no mechanisms, as Kafka's PLAINTEXT listeners answer. A client that is configured to log in
//! learns from it that it cannot here, instead of a lost connection.

use kafka_protocol::messages::{ResponseKind, SaslAuthenticateResponse, SaslHandshakeResponse};

use super::text::text;
use crate::code;

pub(crate) fn handshake() -> ResponseKind {
    let mut response = SaslHandshakeResponse::default();
    response.error_code = code::ILLEGAL_SASL_STATE;
    ResponseKind::SaslHandshake(response)
}

pub(crate) fn authenticate() -> ResponseKind {
    let mut response = SaslAuthenticateResponse::default();
    response.error_code = code::ILLEGAL_SASL_STATE;
    response.error_message = Some(text("this listener has no authentication"));
    ResponseKind::SaslAuthenticate(response)
}
