//! One richly filled message per type: every field differs from its default and from its neighbours, so that a field
//! in the wrong place or version shows.

use broker_kafka_wire::*;
use bytes::Bytes;
use log_types::{LeaderEpoch, NodeId, Offset, PartitionId, ProducerId, TopicId};

const ID: TopicId = TopicId([9; 16]);

pub(crate) fn produce_request() -> ProduceRequest {
    let data =
        |partition, records| PartitionProduceData { partition: PartitionId(partition), records };
    ProduceRequest {
        transactional_id: Some("tx".into()),
        acks: -1,
        timeout_ms: 1501,
        topics: vec![
            TopicProduceData {
                name: "a".into(),
                topic_id: ID,
                partitions: vec![data(3, Some(Bytes::from_static(b"batch bytes"))), data(4, None)],
            },
            TopicProduceData { name: "bb".into(), topic_id: ID, partitions: vec![] },
        ],
    }
}

pub(crate) fn produce_response() -> ProduceResponse {
    let partition = PartitionProduceResponse {
        partition: PartitionId(3),
        error_code: 87,
        base_offset: Offset(1001),
        log_append_time_ms: 1002,
        log_start_offset: Offset(1003),
        record_errors: vec![
            BatchIndexAndErrorMessage { batch_index: 5, message: Some("no key".into()) },
            BatchIndexAndErrorMessage { batch_index: 6, message: None },
        ],
        error_message: Some("bad".into()),
        current_leader: LeaderIdAndEpoch { leader_id: NodeId(7), leader_epoch: LeaderEpoch(8) },
    };
    ProduceResponse {
        topics: vec![TopicProduceResponse {
            name: "a".into(),
            topic_id: ID,
            partitions: vec![partition, PartitionProduceResponse::default()],
        }],
        throttle_time_ms: 55,
        node_endpoints: vec![endpoint()],
    }
}

fn endpoint() -> NodeEndpoint {
    NodeEndpoint { node_id: NodeId(7), host: "h".into(), port: 9093, rack: Some("r".into()) }
}

pub(crate) fn fetch_request() -> FetchRequest {
    let partition = FetchPartition {
        partition: PartitionId(3),
        current_leader_epoch: LeaderEpoch(21),
        fetch_offset: Offset(22),
        last_fetched_epoch: LeaderEpoch(23),
        log_start_offset: Offset(24),
        partition_max_bytes: 25,
        replica_directory_id: ID,
        high_watermark: Offset(26),
    };
    FetchRequest {
        replica_id: NodeId(11),
        max_wait_ms: 12,
        min_bytes: 13,
        max_bytes: 14,
        isolation_level: 1,
        session_id: 15,
        session_epoch: 16,
        topics: vec![FetchTopic {
            topic: "a".into(),
            topic_id: ID,
            partitions: vec![partition, FetchPartition::default()],
        }],
        forgotten_topics: vec![ForgottenTopic {
            topic: "f".into(),
            topic_id: ID,
            partitions: vec![PartitionId(17), PartitionId(18)],
        }],
        rack_id: "rack".into(),
        cluster_id: Some("cluster".into()),
        replica_state: ReplicaState { replica_id: NodeId(19), replica_epoch: 20 },
    }
}

pub(crate) fn fetch_response() -> FetchResponse {
    let aborted = |id, offset| AbortedTransaction {
        producer_id: ProducerId(id),
        first_offset: Offset(offset),
    };
    let partition = FetchPartitionResponse {
        partition: PartitionId(3),
        error_code: 6,
        high_watermark: Offset(31),
        last_stable_offset: Offset(32),
        log_start_offset: Offset(33),
        aborted_transactions: Some(vec![aborted(34, 35), aborted(36, 37)]),
        preferred_read_replica: NodeId(38),
        records: BatchSlices(vec![Bytes::from_static(b"one two")]),
        diverging_epoch: EpochEndOffset { epoch: LeaderEpoch(39), end_offset: Offset(40) },
        current_leader: LeaderIdAndEpoch { leader_id: NodeId(41), leader_epoch: LeaderEpoch(42) },
        snapshot_id: SnapshotId { end_offset: Offset(43), epoch: LeaderEpoch(44) },
    };
    FetchResponse {
        throttle_time_ms: 45,
        error_code: 46,
        session_id: 47,
        topics: vec![FetchTopicResponse {
            topic: "a".into(),
            topic_id: ID,
            partitions: vec![partition, FetchPartitionResponse::default()],
        }],
        node_endpoints: vec![endpoint()],
    }
}

pub(crate) fn metadata_request() -> MetadataRequest {
    let topic = |name: &str| MetadataRequestTopic { topic_id: ID, name: Some(name.into()) };
    MetadataRequest {
        topics: Some(vec![topic("a"), topic("bb")]),
        allow_auto_topic_creation: false,
        include_cluster_authorized_operations: true,
        include_topic_authorized_operations: true,
    }
}

pub(crate) fn metadata_response() -> MetadataResponse {
    let partition = MetadataPartition {
        error_code: 5,
        partition: PartitionId(61),
        leader_id: NodeId(62),
        leader_epoch: LeaderEpoch(63),
        replica_nodes: vec![NodeId(64), NodeId(65)],
        isr_nodes: vec![NodeId(66)],
        offline_replicas: vec![NodeId(67)],
    };
    MetadataResponse {
        throttle_time_ms: 51,
        brokers: vec![MetadataBroker {
            node_id: NodeId(52),
            host: "host".into(),
            port: 53,
            rack: Some("rack".into()),
        }],
        cluster_id: Some("cluster".into()),
        controller_id: NodeId(54),
        topics: vec![MetadataTopic {
            error_code: 3,
            name: Some("a".into()),
            topic_id: ID,
            is_internal: true,
            partitions: vec![partition],
            topic_authorized_operations: 55,
        }],
        cluster_authorized_operations: 56,
        error_code: 57,
    }
}

pub(crate) fn list_offsets_request() -> ListOffsetsRequest {
    ListOffsetsRequest {
        replica_id: NodeId(-2),
        isolation_level: 1,
        topics: vec![ListOffsetsTopic {
            name: "a".into(),
            partitions: vec![ListOffsetsPartition {
                partition: PartitionId(71),
                current_leader_epoch: LeaderEpoch(72),
                timestamp: -3,
            }],
        }],
        timeout_ms: 73,
    }
}

pub(crate) fn list_offsets_response() -> ListOffsetsResponse {
    ListOffsetsResponse {
        throttle_time_ms: 81,
        topics: vec![ListOffsetsTopicResponse {
            name: "a".into(),
            partitions: vec![ListOffsetsPartitionResponse {
                partition: PartitionId(82),
                error_code: 83,
                timestamp: 84,
                offset: Offset(85),
                leader_epoch: LeaderEpoch(86),
            }],
        }],
    }
}

pub(crate) fn api_versions_request() -> ApiVersionsRequest {
    ApiVersionsRequest { client_software_name: "me".into(), client_software_version: "1.2".into() }
}

pub(crate) fn api_versions_response() -> ApiVersionsResponse {
    let mut response =
        ApiVersionsResponse::of(&[ApiKey::Produce, ApiKey::Fetch, ApiKey::ApiVersions]);
    response.throttle_time_ms = 91;
    response.supported_features =
        vec![SupportedFeature { name: "f".into(), min_version: 92, max_version: 93 }];
    response.finalized_features_epoch = 94;
    response.finalized_features =
        vec![FinalizedFeature { name: "g".into(), max_version_level: 95, min_version_level: 96 }];
    response.zk_migration_ready = true;
    response
}

pub(crate) fn offset_commit_request() -> OffsetCommitRequest {
    let partition = |partition, metadata: Option<&str>| OffsetCommitPartition {
        partition: PartitionId(partition),
        offset: Offset(102),
        leader_epoch: LeaderEpoch(103),
        metadata: metadata.map(Into::into),
    };
    OffsetCommitRequest {
        group_id: "g".into(),
        generation_id_or_member_epoch: 104,
        member_id: "m".into(),
        group_instance_id: Some("i".into()),
        retention_time_ms: 105,
        topics: vec![OffsetCommitTopic {
            name: "a".into(),
            topic_id: ID,
            partitions: vec![partition(101, Some("note")), partition(106, None)],
        }],
    }
}

pub(crate) fn offset_commit_response() -> OffsetCommitResponse {
    OffsetCommitResponse {
        throttle_time_ms: 111,
        topics: vec![OffsetCommitTopicResponse {
            name: "a".into(),
            topic_id: ID,
            partitions: vec![OffsetCommitPartitionResponse {
                partition: PartitionId(112),
                error_code: 113,
            }],
        }],
    }
}

pub(crate) fn offset_fetch_request() -> OffsetFetchRequest {
    let topic = |name: &str, partition| OffsetFetchTopic {
        name: name.into(),
        topic_id: ID,
        partitions: vec![PartitionId(partition), PartitionId(122)],
    };
    OffsetFetchRequest {
        group_id: "g".into(),
        topics: Some(vec![topic("a", 121)]),
        groups: vec![
            OffsetFetchGroup {
                group_id: "h".into(),
                member_id: Some("m".into()),
                member_epoch: 123,
                topics: Some(vec![topic("b", 124)]),
            },
            OffsetFetchGroup { group_id: "all".into(), topics: None, ..Default::default() },
        ],
        require_stable: true,
    }
}

pub(crate) fn offset_fetch_response() -> OffsetFetchResponse {
    let topic = |name: &str, partition| OffsetFetchTopicResponse {
        name: name.into(),
        topic_id: ID,
        partitions: vec![OffsetFetchPartitionResponse {
            partition: PartitionId(partition),
            offset: Offset(132),
            leader_epoch: LeaderEpoch(133),
            metadata: Some("note".into()),
            error_code: 134,
        }],
    };
    OffsetFetchResponse {
        throttle_time_ms: 135,
        topics: vec![topic("a", 131)],
        error_code: 136,
        groups: vec![OffsetFetchGroupResponse {
            group_id: "h".into(),
            topics: vec![topic("b", 137)],
            error_code: 138,
        }],
    }
}

pub(crate) fn describe_log_dirs_request() -> DescribeLogDirsRequest {
    DescribeLogDirsRequest {
        topics: Some(vec![DescribableLogDirTopic {
            topic: "a".into(),
            partitions: vec![PartitionId(141), PartitionId(142)],
        }]),
    }
}

pub(crate) fn describe_log_dirs_response() -> DescribeLogDirsResponse {
    DescribeLogDirsResponse {
        throttle_time_ms: 151,
        error_code: 152,
        results: vec![DescribeLogDirsResult {
            error_code: 153,
            log_dir: "/d".into(),
            topics: vec![DescribeLogDirsTopic {
                name: "a".into(),
                partitions: vec![DescribeLogDirsPartition {
                    partition: PartitionId(154),
                    size: 155,
                    offset_lag: 156,
                    is_future_key: true,
                }],
            }],
            total_bytes: 157,
            usable_bytes: 158,
            is_cordoned: true,
        }],
    }
}
