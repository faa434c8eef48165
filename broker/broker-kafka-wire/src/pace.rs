//! Lets other tasks of the core run while one request works through very many elements or partitions.
//!
//! A core serves its connections on one thread, so a loop over a hundred thousand elements would hold all of them up. Such
//! loops count their work with a [`Pace`], which yields when a slice of work is used up.
//!
//! It yields by waking itself: any executor then runs what else is ready first.

use log_io::Slice;

/// A partition that a handler or a shard works on, in nanoseconds.
const PARTITION_NS: usize = 800;
/// An array element that is decoded or encoded.
const ELEMENT_NS: usize = 200;
/// Bytes copied or checked in a nanosecond.
const BYTES_PER_NS: usize = 8;

/// What is left of the present slice of work.
#[derive(Debug, Default)]
pub struct Pace(Slice);

impl Pace {
    /// Counts one partition with so many bytes as done; yields when that ends a slice.
    pub async fn partition(&mut self, bytes: usize) {
        self.0.worked(PARTITION_NS + bytes / BYTES_PER_NS).await;
    }

    /// Counts one element of an array as done; yields when that ends a slice.
    pub async fn element(&mut self) {
        self.0.worked(ELEMENT_NS).await;
    }

    /// Frees what holds very many pieces of memory, piece by piece.
    pub async fn free<T>(&mut self, pieces: impl IntoIterator<Item = T>) {
        for piece in pieces {
            drop(piece);
            self.element().await;
        }
    }

    /// Counts a text as checked and copied; whoever is between two elements yields for it.
    pub(crate) fn text(&mut self, bytes: usize) {
        self.0.count(2 * bytes / BYTES_PER_NS);
    }
}
