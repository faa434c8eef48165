//! The request bodies of the guarded APIs as tables: what each version contains, in order.
//!
//! A field: versions it exists in, versions in which it may be null, kind. None of these requests has known tagged
//! fields; tagged sections are skipped as opaque.
//!
//! Source: Kafka's message definitions (the versions of [`crate::APIS`] only).

use crate::api::ApiKey;

/// What a field looks like on the wire.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// This many bytes.
    Fixed(usize),
    /// A string with an i16 or compact length.
    Text,
    /// Bytes with an i32 or compact length.
    Blob,
    /// An array of a simple kind.
    Array(&'static Kind),
    /// An array of structs.
    Structs(&'static [Field]),
}

/// One field of a body.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field {
    pub(crate) from: i16,
    pub(crate) to: i16,
    pub(crate) null_from: i16,
    pub(crate) kind: Kind,
}

const fn since(from: i16, kind: Kind) -> Field {
    Field { from, to: i16::MAX, null_from: i16::MAX, kind }
}

impl Field {
    const fn until(self, to: i16) -> Self {
        Self { to, ..self }
    }

    const fn nullable(self, null_from: i16) -> Self {
        Self { null_from, ..self }
    }

    pub(crate) fn exists(&self, version: i16) -> bool {
        (self.from..=self.to).contains(&version)
    }
}

const I8: Kind = Kind::Fixed(1);
const I16: Kind = Kind::Fixed(2);
const I32: Kind = Kind::Fixed(4);
const I64: Kind = Kind::Fixed(8);
const UUID: Kind = Kind::Fixed(16);
use Kind::{Array, Blob, Structs, Text};

/// The body's fields of a guarded API; `None` for those with a codec of their own.
pub(crate) fn request_fields(api: ApiKey) -> Option<&'static [Field]> {
    Some(match api {
        ApiKey::FindCoordinator => FIND_COORDINATOR,
        ApiKey::JoinGroup => JOIN_GROUP,
        ApiKey::Heartbeat => HEARTBEAT,
        ApiKey::LeaveGroup => LEAVE_GROUP,
        ApiKey::SyncGroup => SYNC_GROUP,
        ApiKey::DescribeGroups => DESCRIBE_GROUPS,
        ApiKey::ListGroups => LIST_GROUPS,
        ApiKey::CreateTopics => CREATE_TOPICS,
        ApiKey::DeleteTopics => DELETE_TOPICS,
        ApiKey::DeleteRecords => DELETE_RECORDS,
        ApiKey::InitProducerId => INIT_PRODUCER_ID,
        ApiKey::OffsetForLeaderEpoch => OFFSET_FOR_LEADER_EPOCH,
        ApiKey::DescribeConfigs => DESCRIBE_CONFIGS,
        ApiKey::AlterConfigs => ALTER_CONFIGS,
        ApiKey::CreatePartitions => CREATE_PARTITIONS,
        ApiKey::DeleteGroups => DELETE_GROUPS,
        ApiKey::IncrementalAlterConfigs => INCREMENTAL_ALTER_CONFIGS,
        ApiKey::OffsetDelete => OFFSET_DELETE,
        ApiKey::DescribeCluster => DESCRIBE_CLUSTER,
        ApiKey::SaslHandshake => SASL_HANDSHAKE,
        ApiKey::SaslAuthenticate => SASL_AUTHENTICATE,
        ApiKey::Produce
        | ApiKey::Fetch
        | ApiKey::ListOffsets
        | ApiKey::Metadata
        | ApiKey::OffsetCommit
        | ApiKey::OffsetFetch
        | ApiKey::ApiVersions
        | ApiKey::DescribeLogDirs => return None,
    })
}

const FIND_COORDINATOR: &[Field] = &[
    since(0, Text).until(3), // key
    since(1, I8),            // keyType
    since(4, Array(&Text)),  // coordinatorKeys
];

const JOIN_GROUP: &[Field] = &[
    since(0, Text),             // groupId
    since(0, I32),              // sessionTimeoutMs
    since(1, I32),              // rebalanceTimeoutMs
    since(0, Text),             // memberId
    since(5, Text).nullable(5), // groupInstanceId
    since(0, Text),             // protocolType
    // protocols
    since(
        0,
        Structs(&[
            since(0, Text), // name
            since(0, Blob), // metadata
        ]),
    ),
    since(8, Text).nullable(8), // reason
];

const HEARTBEAT: &[Field] = &[
    since(0, Text),             // groupId
    since(0, I32),              // generationId
    since(0, Text),             // memberId
    since(3, Text).nullable(3), // groupInstanceId
];

const LEAVE_GROUP: &[Field] = &[
    since(0, Text),          // groupId
    since(0, Text).until(2), // memberId
    // members
    since(
        3,
        Structs(&[
            since(3, Text),             // memberId
            since(3, Text).nullable(3), // groupInstanceId
            since(5, Text).nullable(5), // reason
        ]),
    ),
];

const SYNC_GROUP: &[Field] = &[
    since(0, Text),             // groupId
    since(0, I32),              // generationId
    since(0, Text),             // memberId
    since(3, Text).nullable(3), // groupInstanceId
    since(5, Text).nullable(5), // protocolType
    since(5, Text).nullable(5), // protocolName
    // assignments
    since(
        0,
        Structs(&[
            since(0, Text), // memberId
            since(0, Blob), // assignment
        ]),
    ),
];

const DESCRIBE_GROUPS: &[Field] = &[
    since(0, Array(&Text)), // groups
    since(3, I8),           // includeAuthorizedOperations
];

const LIST_GROUPS: &[Field] = &[
    since(4, Array(&Text)), // statesFilter
    since(5, Array(&Text)), // typesFilter
];

const CREATE_TOPICS: &[Field] = &[
    // topics
    since(
        0,
        Structs(&[
            since(0, Text), // name
            since(0, I32),  // numPartitions
            since(0, I16),  // replicationFactor
            // assignments
            since(
                0,
                Structs(&[
                    since(0, I32),         // partitionIndex
                    since(0, Array(&I32)), // brokerIds
                ]),
            ),
            // configs
            since(
                0,
                Structs(&[
                    since(0, Text),             // name
                    since(0, Text).nullable(0), // value
                ]),
            ),
        ]),
    ),
    since(0, I32), // timeoutMs
    since(1, I8),  // validateOnly
];

const DELETE_TOPICS: &[Field] = &[
    // topics
    since(
        6,
        Structs(&[
            since(6, Text).nullable(6), // name
            since(6, UUID),             // topicId
        ]),
    ),
    since(0, Array(&Text)).until(5), // topicNames
    since(0, I32),                   // timeoutMs
];

const DELETE_RECORDS: &[Field] = &[
    // topics
    since(
        0,
        Structs(&[
            since(0, Text), // name
            // partitions
            since(
                0,
                Structs(&[
                    since(0, I32), // partitionIndex
                    since(0, I64), // offset
                ]),
            ),
        ]),
    ),
    since(0, I32), // timeoutMs
];

const INIT_PRODUCER_ID: &[Field] = &[
    since(0, Text).nullable(0), // transactionalId
    since(0, I32),              // transactionTimeoutMs
    since(3, I64),              // producerId
    since(3, I16),              // producerEpoch
];

const OFFSET_FOR_LEADER_EPOCH: &[Field] = &[
    since(3, I32), // replicaId
    // topics
    since(
        0,
        Structs(&[
            since(0, Text), // topic
            // partitions
            since(
                0,
                Structs(&[
                    since(0, I32), // partition
                    since(2, I32), // currentLeaderEpoch
                    since(0, I32), // leaderEpoch
                ]),
            ),
        ]),
    ),
];

const DESCRIBE_CONFIGS: &[Field] = &[
    // resources
    since(
        0,
        Structs(&[
            since(0, I8),                       // resourceType
            since(0, Text),                     // resourceName
            since(0, Array(&Text)).nullable(0), // configurationKeys
        ]),
    ),
    since(1, I8), // includeSynonyms
    since(3, I8), // includeDocumentation
];

const ALTER_CONFIGS: &[Field] = &[
    // resources
    since(
        0,
        Structs(&[
            since(0, I8),   // resourceType
            since(0, Text), // resourceName
            // configs
            since(
                0,
                Structs(&[
                    since(0, Text),             // name
                    since(0, Text).nullable(0), // value
                ]),
            ),
        ]),
    ),
    since(0, I8), // validateOnly
];

const CREATE_PARTITIONS: &[Field] = &[
    // topics
    since(
        0,
        Structs(&[
            since(0, Text), // name
            since(0, I32),  // count
            // assignments
            since(
                0,
                Structs(&[
                    since(0, Array(&I32)), // brokerIds
                ]),
            )
            .nullable(0),
        ]),
    ),
    since(0, I32), // timeoutMs
    since(0, I8),  // validateOnly
];

const DELETE_GROUPS: &[Field] = &[
    since(0, Array(&Text)), // groupsNames
];

const SASL_HANDSHAKE: &[Field] = &[
    since(0, Text), // mechanism
];

const SASL_AUTHENTICATE: &[Field] = &[
    since(0, Blob), // authBytes
];

const INCREMENTAL_ALTER_CONFIGS: &[Field] = &[
    // resources
    since(
        0,
        Structs(&[
            since(0, I8),   // resourceType
            since(0, Text), // resourceName
            // configs
            since(
                0,
                Structs(&[
                    since(0, Text),             // name
                    since(0, I8),               // configOperation
                    since(0, Text).nullable(0), // value
                ]),
            ),
        ]),
    ),
    since(0, I8), // validateOnly
];

const OFFSET_DELETE: &[Field] = &[
    since(0, Text), // groupId
    // topics
    since(
        0,
        Structs(&[
            since(0, Text), // name
            // partitions
            since(
                0,
                Structs(&[
                    since(0, I32), // partitionIndex
                ]),
            ),
        ]),
    ),
];

const DESCRIBE_CLUSTER: &[Field] = &[
    since(0, I8), // includeClusterAuthorizedOperations
    since(1, I8), // endpointType
    since(2, I8), // includeFencedBrokers
];
