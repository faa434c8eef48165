//! What is left of a slice of work that a core does for one request before it lets others run.
//!
//! A core serves its connections on one thread. Whoever has much to do counts what it does, in nanoseconds that it is taken to
//! cost and not in time, so that the same work yields at the same places in every run.

use crate::yield_once;

/// Work done without a yield, in nanoseconds.
const SLICE_NS: usize = 100_000;

/// The present slice of work.
#[derive(Debug)]
pub struct Slice {
    left_ns: usize,
}

impl Default for Slice {
    fn default() -> Self {
        Self { left_ns: SLICE_NS }
    }
}

impl Slice {
    /// Counts work as done; whoever may yield does so for it.
    pub fn count(&mut self, ns: usize) {
        self.left_ns = self.left_ns.saturating_sub(ns);
    }

    /// Yields when the slice is used up, and begins the next one.
    pub async fn rest(&mut self) {
        if self.left_ns == 0 {
            *self = Self::default();
            yield_once().await;
        }
    }

    /// Counts work as done; yields when that ends the slice.
    pub async fn worked(&mut self, ns: usize) {
        self.count(ns);
        self.rest().await;
    }
}
