//! Independent streams of seeded randomness.
//!
//! Invariant: a draw from one stream never shifts another, so one more packet does not change the schedule's choices
//! by itself.

use log_io::Random;
use log_testkit::SimRng;

/// One generator per kind of choice.
#[derive(Debug)]
pub struct Streams {
    pub schedule: SimRng,
    pub disk: SimRng,
    pub network: SimRng,
    pub workload: SimRng,
    pub faults: SimRng,
}

impl Streams {
    /// The streams of a run.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let root = SimRng::new(seed);
        let next = || SimRng::new(root.next_u64());
        Self { schedule: next(), disk: next(), network: next(), workload: next(), faults: next() }
    }
}

/// An index into something of `len` elements.
///
/// # Panics
/// When `len` is 0.
pub(crate) fn index(rng: &SimRng, len: usize) -> usize {
    assert!(len > 0, "there is something to choose from");
    usize::try_from(rng.below(len as u64)).expect("below len, a usize")
}

/// True once in `n` draws.
pub(crate) fn one_in(rng: &SimRng, n: u64) -> bool {
    rng.below(n) == 0
}

/// A number in `min..=max`.
pub(crate) fn between(rng: &SimRng, min: u64, max: u64) -> u64 {
    assert!(min <= max, "the range {min}..={max} is not reversed");
    min + rng.below(max - min + 1)
}
