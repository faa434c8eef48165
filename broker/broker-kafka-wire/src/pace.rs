//! Lets other tasks of the core run while one request works through very many elements or partitions.
//!
//! A core serves its connections on one thread, so a loop over a hundred thousand elements would hold all of them up. Such
//! loops count their work with a [`Pace`], which yields when a slice of work is used up.
//!
//! It yields by waking itself: any executor then runs what else is ready first.

use log_io::yield_once;

/// Work done without a yield, in nanoseconds that its parts are taken to cost.
const SLICE_NS: usize = 100_000;
/// A partition that a handler or a shard works on.
const PARTITION_NS: usize = 800;
/// An array element that is decoded or encoded.
const ELEMENT_NS: usize = 200;
/// Bytes copied or checked in a nanosecond.
const BYTES_PER_NS: usize = 8;

/// What is left of the present slice of work.
#[derive(Debug)]
pub struct Pace {
    left_ns: usize,
}

impl Default for Pace {
    fn default() -> Self {
        Self { left_ns: SLICE_NS }
    }
}

impl Pace {
    /// Counts one partition with so many bytes as done; yields when that ends a slice.
    pub async fn partition(&mut self, bytes: usize) {
        self.worked(PARTITION_NS + bytes / BYTES_PER_NS);
        self.rest().await;
    }

    /// Counts one element of an array as done; yields when that ends a slice.
    pub async fn element(&mut self) {
        self.worked(ELEMENT_NS);
        self.rest().await;
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
        self.worked(2 * bytes / BYTES_PER_NS);
    }

    fn worked(&mut self, ns: usize) {
        self.left_ns = self.left_ns.saturating_sub(ns);
    }

    async fn rest(&mut self) {
        if self.left_ns == 0 {
            *self = Self::default();
            yield_once().await;
        }
    }
}
