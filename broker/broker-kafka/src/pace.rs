//! Lets other tasks of the core run while one request works through very many partitions.
//!
//! A core runs its connections on one thread, so a loop over a hundred thousand partitions would hold all of them up. Such
//! loops spend from a [`Pace`], which yields when a slice of work is used up.
//!
//! It yields by waking itself: any executor then runs what else is ready first.

use broker_kafka_wire::yield_once;

/// Partitions worked on without a yield: some 100 µs at about a microsecond each.
const PARTITIONS_MAX: usize = 128;
/// Bytes copied or checked without a yield: some 100 µs at about 10 GB/s.
const BYTES_MAX: usize = 1 << 20;

/// What is left of the present slice of work.
#[derive(Debug)]
pub struct Pace {
    partitions: usize,
    bytes: usize,
}

impl Default for Pace {
    fn default() -> Self {
        Self { partitions: PARTITIONS_MAX, bytes: BYTES_MAX }
    }
}

impl Pace {
    /// Counts one partition with so many bytes as done; yields when that ends a slice.
    pub async fn spend(&mut self, bytes: usize) {
        self.partitions = self.partitions.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
        if self.partitions == 0 || self.bytes == 0 {
            *self = Self::default();
            yield_once().await;
        }
    }
}
