//! Id newtypes. No arithmetic across them; the named methods are the only conversions.

use std::fmt;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

id!(
    /// Offset of a record within its stream (a Kafka offset). Starts at 0; −1 means unknown on the wire.
    Offset(i64)
);
id!(
    /// Position of a frame within its shard's journal: +1 per frame, starting at 1; 0 means before the first frame.
    Position(u64)
);
id!(
    /// Index of a partition within its topic.
    PartitionId(i32)
);
id!(
    /// Kafka leader epoch of a stream; equal to the Raft term.
    LeaderEpoch(i32)
);
id!(
    /// Raft term of a shard; 1 when not replicated.
    Term(u64)
);
id!(
    /// Kafka producer id; −1 means none.
    ProducerId(i64)
);
id!(
    /// Kafka producer epoch.
    ProducerEpoch(i16)
);
id!(
    /// Broker id as Kafka clients see it.
    NodeId(i32)
);
id!(
    /// Index of a shard; fixed at bootstrap.
    ShardId(u32)
);
id!(
    /// A stream's number, unique in the database for ever; assigned by the catalog. Below 16: internal streams.
    StreamId(u64)
);
id!(
    /// Sequence number of a journal segment within its shard; +1 per segment, never reused.
    SegmentId(u64)
);

impl Offset {
    /// The offset `count` records later.
    ///
    /// # Panics
    /// When the sum leaves `i64`: 2^63 records do not happen, so this is a bug.
    #[must_use]
    pub fn plus(self, count: i64) -> Self {
        Self(self.0.checked_add(count).expect("offsets stay below 2^63"))
    }
}

impl Position {
    /// The position of the following frame.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// 128-bit identity of a database cluster, made once at bootstrap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClusterId(pub [u8; 16]);

/// Kafka topic id (a UUID); all zero means none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicId(pub [u8; 16]);

fn fmt_hex(bytes: &[u8; 16], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for byte in bytes {
        write!(f, "{byte:02x}")?;
    }
    Ok(())
}

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt_hex(&self.0, f)
    }
}

impl fmt::Display for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt_hex(&self.0, f)
    }
}

/// What a write returns and a read may wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token {
    pub shard: ShardId,
    pub position: Position,
}
