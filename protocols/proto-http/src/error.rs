//! Responses that are not a page: JSON with a status, and the one failure there is.

use std::fmt;

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::Value;

/// A JSON body on one line.
pub(crate) fn json_response(status: StatusCode, body: &Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], format!("{body}\n")).into_response()
}

/// Formatting into memory failed: a defect, so the page has no details and the log has them.
pub(crate) fn not_rendered(error: fmt::Error) -> Response {
    tracing::error!(%error, "cannot render metrics");
    StatusCode::INTERNAL_SERVER_ERROR.into_response()
}
