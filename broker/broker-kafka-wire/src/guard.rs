//! The length guard in front of the `kafka-protocol` crate, whose decoders allocate whatever an array count says.
//!
//! A request body is walked once by the tables of [`schema`]; only when every length and count was proven to be
//! there are the same bytes given to the crate.
//!
//! Invariants:
//! - The crate never sees a count larger than the elements present, nor more than [`crate::GUARDED_ELEMENTS_MAX`] of them.
//! - Tagged fields are opaque: bounded count, bounded sizes, ascending tags.
//! - Nothing is allocated by the walk.
//!
//! Deliberately absent: guards for responses. A client trusts its broker's counts no further than the crate does.

mod elements;
pub(crate) mod schema;

pub use elements::GuardedElements;

use crate::api::ApiKey;
use crate::cost::Cost;
use crate::error::WireError;
use crate::header::{encoding, request_writer, response_reader, response_writer};
use crate::reader::{Reader, Version};
use crate::writer::Frame;
use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::{ApiKey as CrateKey, RequestKind, ResponseKind};
use schema::{Field, Kind};

impl ApiKey {
    /// Its messages are those of this crate, in both directions; the others are decoded by the `kafka-protocol` crate.
    #[must_use]
    pub fn has_own_codec(self) -> bool {
        schema::request_fields(self).is_none()
    }
}

/// What a decoded element of the crate takes at most: its structs hold a map of unknown tags beside their fields.
const CRATE_ELEMENT_BYTES: usize = 192;
/// What that map takes besides with its first tag in it, and for each further one.
const CRATE_TAGS_BYTES: usize = 448;
const CRATE_TAG_BYTES: usize = 128;

/// The body of a request of an API that has no codec of its own, whose every length and count was proven to be there.
#[derive(Debug)]
pub struct Guarded {
    api: ApiKey,
    version: i16,
    body: Bytes,
    cost: Cost,
}

impl Guarded {
    /// Walks the body.
    ///
    /// # Errors
    /// The first objection; `Refused` for the APIs with their own codec.
    pub fn check(api: ApiKey, version: i16, body: &Bytes) -> Result<Self, WireError> {
        let Some(fields) = schema::request_fields(api) else {
            return Err(refused(api, version, &"has a codec of its own"));
        };
        let mut reader = Reader::guard(body, encoding(api, version)?);
        check_struct(fields, &mut reader)?;
        Ok(Self { api, version, body: body.clone(), cost: reader.cost() })
    }

    /// What the crate will make of it.
    #[must_use]
    pub fn cost(&self) -> Cost {
        self.cost
    }

    /// Has the crate decode it, in one go.
    ///
    /// # Errors
    /// `Refused` for what the crate refuses.
    pub fn decode(mut self) -> Result<RequestKind, WireError> {
        let crate_key = crate_key(self.api, self.version)?;
        RequestKind::decode(crate_key, &mut self.body, self.version)
            .map_err(|error| refused(self.api, self.version, &error))
    }
}

/// Decodes the body of an API that has no codec of its own.
///
/// # Errors
/// The guard's first objection; `Refused` for the APIs with their own codec and for what the crate refuses.
pub fn decode_guarded(api: ApiKey, version: i16, body: &Bytes) -> Result<RequestKind, WireError> {
    Guarded::check(api, version, body)?.decode()
}

/// Encodes a whole response frame of an API that has no codec of its own.
///
/// # Errors
/// `UnsupportedVersion`, `TooLarge`, and `Refused` when the message is of another API or has a field set that does not
/// exist in `version`.
pub fn encode_guarded(
    api: ApiKey,
    version: i16,
    correlation_id: i32,
    response: &ResponseKind,
) -> Result<Frame, WireError> {
    if response_api(response) != Some(api) {
        return Err(refused(api, version, &"message of another api"));
    }
    let mut writer = response_writer(api, version, correlation_id)?;
    let mut body = BytesMut::new();
    response.encode(&mut body, version).map_err(|error| refused(api, version, &error))?;
    writer.slice(&body.freeze());
    writer.finish()
}

/// Encodes a whole request frame, for clients.
///
/// # Errors
/// As [`encode_guarded`].
pub fn encode_guarded_request(
    api: ApiKey,
    version: i16,
    correlation_id: i32,
    client_id: Option<&str>,
    request: &RequestKind,
) -> Result<Frame, WireError> {
    if request_api(request) != Some(api) {
        return Err(refused(api, version, &"message of another api"));
    }
    let mut writer = request_writer(api, version, correlation_id, client_id)?;
    let mut body = BytesMut::new();
    request.encode(&mut body, version).map_err(|error| refused(api, version, &error))?;
    writer.slice(&body.freeze());
    writer.finish()
}

/// Decodes a response without its size field, for clients: the correlation id and the message. Not guarded: use it
/// only with a broker you trust not to kill the client.
///
/// # Errors
/// Defects of the header, and `Refused` for what the crate refuses.
pub fn decode_trusted_response(
    api: ApiKey,
    version: i16,
    response: &Bytes,
) -> Result<(i32, ResponseKind), WireError> {
    let (correlation_id, reader) = response_reader(api, version, response)?;
    let crate_key = crate_key(api, version)?;
    let message = ResponseKind::decode(crate_key, &mut reader.rest(), version)
        .map_err(|error| refused(api, version, &error))?;
    Ok((correlation_id, message))
}

/// The API a message belongs to: the crate encodes whatever it is given, so a mix-up would reach the peer.
macro_rules! api_of {
    ($kind:ident, $message:expr, $($api:ident)*) => {
        match $message {
            $($kind::$api(_) => Some(ApiKey::$api),)*
            _ => None,
        }
    };
}

/// Clients may also send OffsetCommit, OffsetFetch and DescribeLogDirs as the crate knows them, up to its last versions.
fn request_api(request: &RequestKind) -> Option<ApiKey> {
    api_of!(RequestKind, request,
        OffsetCommit OffsetFetch FindCoordinator JoinGroup Heartbeat LeaveGroup SyncGroup DescribeGroups ListGroups
        CreateTopics DeleteTopics DeleteRecords InitProducerId OffsetForLeaderEpoch DescribeConfigs AlterConfigs
        DescribeLogDirs CreatePartitions DeleteGroups IncrementalAlterConfigs OffsetDelete DescribeCluster
        SaslHandshake SaslAuthenticate)
}

fn response_api(response: &ResponseKind) -> Option<ApiKey> {
    api_of!(ResponseKind, response,
        FindCoordinator JoinGroup Heartbeat LeaveGroup SyncGroup DescribeGroups ListGroups
        CreateTopics DeleteTopics DeleteRecords InitProducerId OffsetForLeaderEpoch DescribeConfigs AlterConfigs
        CreatePartitions DeleteGroups IncrementalAlterConfigs OffsetDelete DescribeCluster
        SaslHandshake SaslAuthenticate)
}

fn refused(api: ApiKey, version: i16, error: &impl std::fmt::Display) -> WireError {
    WireError::Refused { api, version, reason: error.to_string() }
}

fn crate_key(api: ApiKey, version: i16) -> Result<CrateKey, WireError> {
    CrateKey::try_from(api.key()).map_err(|()| refused(api, version, &"unknown to the codec"))
}

fn check_struct(fields: &[Field], reader: &mut Reader<'_>) -> Result<(), WireError> {
    let version = reader.version;
    for field in fields.iter().filter(|field| field.exists(version.number)) {
        let present = check_field(&field.kind, reader)?;
        if !present && version.number < field.null_from {
            return Err(WireError::UnexpectedNull);
        }
    }
    if version.flexible {
        let mut tag_bytes = CRATE_TAGS_BYTES;
        reader.tags(|_, inner| {
            inner.weigh_kept(std::mem::replace(&mut tag_bytes, CRATE_TAG_BYTES));
            Ok(false)
        })?;
    }
    Ok(())
}

/// Walks one field; false for null.
fn check_field(kind: &Kind, reader: &mut Reader<'_>) -> Result<bool, WireError> {
    match kind {
        Kind::Fixed(length) => reader.take(*length).map(|_| true),
        Kind::Text => reader.weigh_string(),
        Kind::Blob => Ok(reader.blob()?.is_some()),
        Kind::Array(element) => {
            let Some(count) =
                reader.count(bytes_min(element, reader.version), CRATE_ELEMENT_BYTES)?
            else {
                return Ok(false);
            };
            for _ in 0..count {
                if !check_field(element, reader)? {
                    return Err(WireError::UnexpectedNull);
                }
            }
            Ok(true)
        }
        Kind::Structs(fields) => {
            let element_bytes_min = struct_bytes_min(fields, reader.version);
            let Some(count) = reader.count(element_bytes_min, CRATE_ELEMENT_BYTES)? else {
                return Ok(false);
            };
            for _ in 0..count {
                check_struct(fields, reader)?;
            }
            Ok(true)
        }
    }
}

fn struct_bytes_min(fields: &[Field], version: Version) -> usize {
    let fields = fields.iter().filter(|field| field.exists(version.number));
    usize::from(version.flexible)
        + fields.map(|field| bytes_min(&field.kind, version)).sum::<usize>()
}

fn bytes_min(kind: &Kind, version: Version) -> usize {
    match kind {
        Kind::Fixed(length) => *length,
        _ if version.flexible => 1,
        Kind::Text => 2,
        Kind::Blob | Kind::Array(_) | Kind::Structs(_) => 4,
    }
}

#[cfg(test)]
mod tests;
