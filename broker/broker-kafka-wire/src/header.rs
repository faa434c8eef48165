//! Request and response headers.
//!
//! ```text
//! request   size i32 │ apiKey i16 ┼ apiVersion i16 ┼ correlationId i32 ┼ clientId string (never compact) ┼ [tags] │ body
//! response  size i32 │ correlationId i32 ┼ [tags] │ body
//! ```
//!
//! Invariants:
//! - Key, version and correlation id come first and are read before anything is judged, so that a refusal can answer.
//! - `ApiVersions` responses never have header tags (KIP-511).
//!
//! Deliberately absent: the size field and its limit; whoever cuts the stream into frames checks it.

use crate::api::ApiKey;
use crate::error::WireError;
use crate::message::Field;
use crate::reader::{Reader, Version};
use crate::writer::Writer;
use bytes::Bytes;

/// The parsed header of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestHeader {
    pub api: ApiKey,
    /// In the range of the API's row.
    pub version: i16,
    /// Sent back in the response.
    pub correlation_id: i32,
    /// What the client calls itself; at most 32,767 bytes.
    pub client_id: Option<String>,
}

impl RequestHeader {
    /// Parses a request without its size field: the header, and the body as a slice of `request`.
    ///
    /// # Errors
    /// `UnknownApi` and `UnsupportedVersion` carry the correlation id; the others mean that the connection's bytes
    /// are not Kafka's.
    pub fn parse(request: &Bytes) -> Result<(Self, Bytes), WireError> {
        let plain = Version { number: 0, flexible: false };
        let mut reader = Reader::new(request, plain);
        let key = i16::read(&mut reader)?;
        let version = i16::read(&mut reader)?;
        let correlation_id = i32::read(&mut reader)?;
        let Some(api) = ApiKey::from_key(key) else {
            return Err(WireError::UnknownApi { key, version, correlation_id });
        };
        if !api.info().supports(version) {
            return Err(WireError::UnsupportedVersion { api, version, correlation_id });
        }
        let client_id = Option::<String>::read(&mut reader)?;
        if api.flexible(version) {
            reader.tags(|_, _| Ok(false))?;
        }
        Ok((Self { api, version, correlation_id, client_id }, reader.rest()))
    }
}

/// The encoding of a body.
pub(crate) fn encoding(api: ApiKey, version: i16) -> Result<Version, WireError> {
    if !api.info().supports(version) {
        return Err(WireError::UnsupportedVersion { api, version, correlation_id: 0 });
    }
    Ok(Version { number: version, flexible: api.flexible(version) })
}

/// A frame writer that has the request header.
pub(crate) fn request_writer(
    api: ApiKey,
    version: i16,
    correlation_id: i32,
    client_id: Option<&str>,
) -> Result<Writer, WireError> {
    let body = encoding(api, version)?;
    let mut writer = Writer::frame(Version { number: version, flexible: false });
    api.key().write(&mut writer);
    version.write(&mut writer);
    correlation_id.write(&mut writer);
    writer.string(client_id);
    if body.flexible {
        writer.tags(Vec::new());
    }
    writer.version = body;
    Ok(writer)
}

/// A frame writer that has the response header.
pub(crate) fn response_writer(
    api: ApiKey,
    version: i16,
    correlation_id: i32,
) -> Result<Writer, WireError> {
    let mut writer = Writer::frame(encoding(api, version)?);
    correlation_id.write(&mut writer);
    if api.response_header_flexible(version) {
        writer.tags(Vec::new());
    }
    Ok(writer)
}

/// The correlation id, and a reader at the start of the body.
pub(crate) fn response_reader(
    api: ApiKey,
    version: i16,
    response: &Bytes,
) -> Result<(i32, Reader<'_>), WireError> {
    let mut reader = Reader::response(response, encoding(api, version)?);
    let correlation_id = i32::read(&mut reader)?;
    if api.response_header_flexible(version) {
        reader.tags(|_, _| Ok(false))?;
    }
    Ok((correlation_id, reader))
}

#[cfg(test)]
mod tests;
