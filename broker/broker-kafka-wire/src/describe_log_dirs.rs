//! DescribeLogDirs (35): where partitions lie and how large they are. Versions 1 to 5, flexible from 2.
//!
//! Source: KIP-113, KIP-784 (error code, 3), KIP-827 (volume, 4), KIP-1066 (cordoned directories, 5).

use crate::api::ApiKey;
use crate::message::{message, request, response};
use log_types::PartitionId;

message! {
    /// Partitions of one topic.
    pub struct DescribableLogDirTopic {
        topic: String, 0.., String::new();
        partitions: Vec<PartitionId>, 0.., Vec::new();
    }
}

message! {
    /// Asks for log directories.
    pub struct DescribeLogDirsRequest {
        /// `None`: all topics.
        topics: Option<Vec<DescribableLogDirTopic>>, 0.., Some(Vec::new());
    }
}

message! {
    /// Size of one partition.
    pub struct DescribeLogDirsPartition {
        partition: PartitionId, 0.., PartitionId(0);
        /// In bytes.
        size: i64, 0.., 0;
        /// Records between the high watermark and the log end.
        offset_lag: i64, 0.., 0;
        /// This log is to replace another one of the partition.
        is_future_key: bool, 0.., false;
    }
}

message! {
    /// Partitions of one topic in a directory.
    pub struct DescribeLogDirsTopic {
        name: String, 0.., String::new();
        partitions: Vec<DescribeLogDirsPartition>, 0.., Vec::new();
    }
}

message! {
    /// One directory.
    pub struct DescribeLogDirsResult {
        error_code: i16, 0.., 0;
        /// Absolute path.
        log_dir: String, 0.., String::new();
        topics: Vec<DescribeLogDirsTopic>, 0.., Vec::new();
        /// Size of the volume; −1 when unknown.
        total_bytes: i64, 4.., -1;
        /// Free bytes of the volume; −1 when unknown.
        usable_bytes: i64, 4.., -1;
        /// Gets no new partitions.
        is_cordoned: bool, 5.., false;
    }
}

message! {
    /// The log directories.
    pub struct DescribeLogDirsResponse {
        /// Milliseconds the client was throttled.
        throttle_time_ms: i32, 0.., 0;
        error_code: i16, 3.., 0;
        results: Vec<DescribeLogDirsResult>, 0.., Vec::new();
    }
}

request!(DescribeLogDirsRequest, ApiKey::DescribeLogDirs);
response!(DescribeLogDirsResponse, ApiKey::DescribeLogDirs);
