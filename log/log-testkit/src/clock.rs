//! A clock that moves only when told, and a seeded random source.

use std::cell::Cell;

use log_io::{Clock, Random};

/// Manual time: starts at 0 ns and the given wall time.
#[derive(Debug)]
pub struct SimClock {
    mono_ns: Cell<u64>,
    wall_ms: Cell<i64>,
}

impl SimClock {
    /// A clock at mono 0 and `wall_ms` milliseconds since the Unix epoch.
    #[must_use]
    pub fn new(wall_ms: i64) -> Self {
        Self { mono_ns: Cell::new(0), wall_ms: Cell::new(wall_ms) }
    }

    /// Moves both readings forward by `ms` milliseconds.
    pub fn advance_ms(&self, ms: u32) {
        self.mono_ns.set(self.mono_ns.get() + u64::from(ms) * 1_000_000);
        self.wall_ms.set(self.wall_ms.get() + i64::from(ms));
    }

    /// Makes the wall clock jump, in either direction.
    pub fn set_wall_ms(&self, wall_ms: i64) {
        self.wall_ms.set(wall_ms);
    }
}

impl Clock for SimClock {
    fn mono_ns(&self) -> u64 {
        self.mono_ns.get()
    }

    fn wall_ms(&self) -> i64 {
        self.wall_ms.get()
    }
}

/// Splitmix64: tiny, seeded, good enough to pick schedules and sectors.
#[derive(Debug, Clone)]
pub struct SimRng(Cell<u64>);

impl SimRng {
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(Cell::new(seed))
    }

    /// A number in `0..bound`; 0 when `bound` is 0.
    pub fn below(&self, bound: u64) -> u64 {
        if bound == 0 { 0 } else { self.next_u64() % bound }
    }
}

impl Random for SimRng {
    fn next_u64(&self) -> u64 {
        let state = self.0.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.0.set(state);
        let mut mixed = state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
