//! What can be fuzzed: a name, seeds, a dictionary, budgets, and the function that is called.

use std::cell::Cell;

use crate::alloc::{Usage, measured};

/// A bound that grows with the input: `base + factor × input bytes`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    pub base: usize,
    pub factor: usize,
}

impl Limit {
    /// What is allowed for an input of this length.
    #[must_use]
    pub fn of(self, input_bytes: usize) -> usize {
        self.base.saturating_add(self.factor.saturating_mul(input_bytes))
    }
}

/// Live bytes a decoder may hold unless its target says why it needs more.
pub const MEMORY: Limit = Limit { base: 64 << 10, factor: 16 };
/// Steps a decoder may take unless its target says why it needs more.
pub const STEPS: Limit = Limit { base: 1_000, factor: 16 };

/// What the code under test thought of the input. A broken promise is a panic instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It was decoded (in whole or in an interesting part); worth mutating further.
    Accepted,
    Refused,
}

impl Verdict {
    /// Accepted when the decoder gave a value.
    pub fn of<T, E>(result: &Result<T, E>) -> Self {
        if result.is_ok() { Self::Accepted } else { Self::Refused }
    }
}

/// Counts the loop turns that a target itself makes or observes, and what decoding alone allocated.
#[derive(Debug, Default)]
pub struct Steps {
    taken: Cell<u64>,
    decoding: Cell<Option<Usage>>,
}

impl Steps {
    /// One more turn.
    pub fn step(&self) {
        self.taken.set(self.taken.get() + 1);
    }

    #[must_use]
    pub fn taken(&self) -> u64 {
        self.taken.get()
    }

    /// Runs the part that the memory and step budgets are for; what a target does besides to check promises does not
    /// count then. Without a call of this the whole execution counts.
    pub fn decoding<T>(&self, work: impl FnOnce() -> T) -> T {
        let (usage, result) = measured(work);
        let before = self.decoding.get().unwrap_or_default();
        self.decoding.set(Some(Usage {
            peak_bytes: before.peak_bytes.max(usage.peak_bytes),
            allocations: before.allocations + usage.allocations,
        }));
        result
    }

    /// What [`Steps::decoding`] measured, if it was called.
    #[must_use]
    pub fn decoded(&self) -> Option<Usage> {
        self.decoding.get()
    }
}

/// One decoder or group of decoders under test.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Name on the command line and of the corpus file.
    pub name: &'static str,
    /// What the corpus file holds, as text: see [`crate::corpus`].
    pub corpus: &'static str,
    /// Seeds that code builds better than a file stores them.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Byte strings with a meaning in this format.
    pub dictionary: &'static [&'static [u8]],
    /// Longest input that is made.
    pub input_bytes_max: usize,
    /// Peak of live bytes.
    pub memory: Limit,
    /// Allocations plus counted loop turns.
    pub steps: Limit,
    /// Decodes, and checks what the decoder promises. A broken promise panics.
    pub run: fn(&[u8], &Steps) -> Verdict,
}
