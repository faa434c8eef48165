//! The API table: which requests exist here, in which versions, and from which version the encoding is flexible.
//!
//! Invariants:
//! - Rows ascend by key; a version in `min..=max` can be decoded and its response encoded, all of them tested.
//! - Maxima are those of Kafka 4.3.1.
//! - What a broker serves is its own list; absent beats wrong.
//!
//! Source: Kafka's message definitions; KIP-482 (flexible versions); KAFKA-18659 (Produce is advertised from 0).

use std::fmt;

macro_rules! apis {
    ($($name:ident $key:literal: $min:literal ..= $max:literal, flexible $flexible:expr;)*) => {
        /// The APIs that can be decoded and encoded.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(i16)]
        pub enum ApiKey {
            $($name = $key,)*
        }

        /// The table, ascending by key.
        pub const APIS: &[ApiInfo] = &[
            $(ApiInfo { api: ApiKey::$name, name: stringify!($name), min: $min, max: $max, flexible: $flexible },)*
        ];

        impl ApiKey {
            /// The API with this key, if it is in the table.
            #[must_use]
            pub const fn from_key(key: i16) -> Option<Self> {
                match key {
                    $($key => Some(Self::$name),)*
                    _ => None,
                }
            }

            /// The API's row of the table.
            #[must_use]
            pub const fn info(self) -> ApiInfo {
                match self {
                    $(Self::$name => ApiInfo {
                        api: Self::$name, name: stringify!($name), min: $min, max: $max, flexible: $flexible,
                    },)*
                }
            }
        }
    };
}

/// `flexible` of an API that has no flexible version.
const NEVER: i16 = i16::MAX;

/// One row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ApiInfo {
    pub api: ApiKey,
    /// Kafka's name of the API.
    pub name: &'static str,
    /// Lowest version decoded.
    pub min: i16,
    /// Highest version decoded.
    pub max: i16,
    /// First version with compact lengths and tagged fields; `i16::MAX` for none.
    pub flexible: i16,
}

impl ApiInfo {
    /// Lowest version to put into an `ApiVersions` response. Produce says 0 although 0 to 2 are refused: older
    /// librdkafka infers message formats from it (KAFKA-18659).
    #[must_use]
    pub fn advertised_min(&self) -> i16 {
        if self.api == ApiKey::Produce { 0 } else { self.min }
    }

    /// The version is in range.
    #[must_use]
    pub fn supports(&self, version: i16) -> bool {
        (self.min..=self.max).contains(&version)
    }
}

apis! {
    Produce 0: 3..=13, flexible 9;
    Fetch 1: 4..=18, flexible 12;
    ListOffsets 2: 1..=11, flexible 6;
    Metadata 3: 0..=13, flexible 9;
    OffsetCommit 8: 2..=10, flexible 8;
    OffsetFetch 9: 1..=10, flexible 6;
    FindCoordinator 10: 0..=6, flexible 3;
    JoinGroup 11: 0..=9, flexible 6;
    Heartbeat 12: 0..=4, flexible 4;
    LeaveGroup 13: 0..=5, flexible 4;
    SyncGroup 14: 0..=5, flexible 4;
    DescribeGroups 15: 0..=6, flexible 5;
    ListGroups 16: 0..=5, flexible 3;
    SaslHandshake 17: 0..=1, flexible NEVER;
    ApiVersions 18: 0..=4, flexible 3;
    CreateTopics 19: 2..=7, flexible 5;
    DeleteTopics 20: 1..=6, flexible 4;
    DeleteRecords 21: 0..=2, flexible 2;
    InitProducerId 22: 0..=5, flexible 2;
    OffsetForLeaderEpoch 23: 2..=4, flexible 4;
    DescribeConfigs 32: 1..=4, flexible 4;
    AlterConfigs 33: 0..=2, flexible 2;
    DescribeLogDirs 35: 1..=5, flexible 2;
    SaslAuthenticate 36: 0..=2, flexible 2;
    CreatePartitions 37: 0..=3, flexible 2;
    DeleteGroups 42: 0..=2, flexible 2;
    IncrementalAlterConfigs 44: 0..=1, flexible 1;
    OffsetDelete 47: 0..=0, flexible NEVER;
    DescribeCluster 60: 0..=2, flexible 0;
}

impl ApiKey {
    /// The key on the wire.
    #[must_use]
    pub const fn key(self) -> i16 {
        self as i16
    }

    /// This version has compact lengths and tagged fields; its request header is version 2.
    #[must_use]
    pub const fn flexible(self, version: i16) -> bool {
        version >= self.info().flexible
    }

    /// The response header of this version has tagged fields (version 1). `ApiVersions` never has: a client that
    /// does not know the broker must be able to read it (KIP-511).
    #[must_use]
    pub const fn response_header_flexible(self, version: i16) -> bool {
        !matches!(self, Self::ApiVersions) && self.flexible(version)
    }
}

impl fmt::Display for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.info().name)
    }
}
