//! ApiVersions (18): what the broker serves. Versions 0 to 4, flexible from 3; the response header never is.
//!
//! Source: KIP-35, KIP-511, KIP-584.

use crate::api::{ApiInfo, ApiKey};
use crate::message::{message, request, response};

/// UNSUPPORTED_VERSION of Kafka's error codes.
const UNSUPPORTED_VERSION: i16 = 35;

message! {
    /// Asks for the served APIs.
    pub struct ApiVersionsRequest {
        /// Name of the client library.
        client_software_name: String, 3.., String::new();
        /// Version of the client library.
        client_software_version: String, 3.., String::new();
    }
}

message! {
    /// One served API.
    pub struct ApiVersion {
        /// Key of the API.
        api_key: i16, 0.., 0;
        /// Lowest version served.
        min_version: i16, 0.., 0;
        /// Highest version served.
        max_version: i16, 0.., 0;
    }
}

message! {
    /// A feature that the broker could use (KIP-584).
    pub struct SupportedFeature {
        name: String, 3.., String::new();
        min_version: i16, 3.., 0;
        max_version: i16, 3.., 0;
    }
}

message! {
    /// A feature that the cluster uses, such as `transaction.version`.
    pub struct FinalizedFeature {
        name: String, 3.., String::new();
        max_version_level: i16, 3.., 0;
        min_version_level: i16, 3.., 0;
    }
}

message! {
    /// The served APIs and features.
    pub struct ApiVersionsResponse {
        error_code: i16, 0.., 0;
        api_keys: Vec<ApiVersion>, 0.., Vec::new();
        /// Milliseconds the client was throttled.
        throttle_time_ms: i32, 1.., 0;
    }
    tagged {
        0 supported_features: Vec<SupportedFeature>, 3.., Vec::new();
        /// −1 when no features are finalized.
        1 finalized_features_epoch: i64, 3.., -1;
        2 finalized_features: Vec<FinalizedFeature>, 3.., Vec::new();
        3 zk_migration_ready: bool, 3.., false;
    }
}

request!(ApiVersionsRequest, ApiKey::ApiVersions);
response!(ApiVersionsResponse, ApiKey::ApiVersions);

impl From<ApiInfo> for ApiVersion {
    fn from(info: ApiInfo) -> Self {
        Self { api_key: info.api.key(), min_version: info.advertised_min(), max_version: info.max }
    }
}

impl ApiVersionsResponse {
    /// Lists the served APIs with the ranges of the table.
    #[must_use]
    pub fn of(served: &[ApiKey]) -> Self {
        let api_keys = served.iter().map(|api| api.info().into()).collect();
        Self { api_keys, ..Self::default() }
    }

    /// The answer to an unknown version of `ApiVersions`: encode it as version 0. It lists `ApiVersions` itself so
    /// that the client can ask again (KIP-511).
    #[must_use]
    pub fn unsupported_version() -> Self {
        Self { error_code: UNSUPPORTED_VERSION, ..Self::of(&[ApiKey::ApiVersions]) }
    }
}

#[cfg(test)]
mod tests;
