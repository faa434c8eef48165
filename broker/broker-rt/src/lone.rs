//! Whether a core makes a synced write itself instead of handing it to a disk thread.
//!
//! Handing over costs two switches of threads, a seventh of the time of one small durable write. They buy that the core
//! serves others meanwhile, which is worth nothing when there are none. And where the core keeps its processor busy, the
//! thread may wait for it until the scheduler's next tick, 4 ms: Linux lets a woken thread go first only when it has had
//! less than its share, and one that has just written has not. So
//!
//! ```text
//!  another synced write is under way, or one made by the core was slow lately     a disk thread writes
//!  the write is small                                                             the core writes
//!  it is larger, but the core slept until just now                                the core writes
//!  otherwise                                                                      a disk thread writes
//! ```
//!
//! Under load frames are large, so they go to the threads. A device that stalls, or is always slow, holds a core up for a
//! hundredth of the time: after a slow write the core makes none for [`AVOIDED_TIMES`] as long.

use std::cell::Cell;
use std::time::{Duration, Instant};

/// Up to this, the core waits for the device for less time than it takes to wake a thread and to hear of it.
const SMALL_BYTES_MAX: usize = 16 << 10;
/// What is more takes the device long enough for others to come.
const BYTES_MAX: usize = 64 << 10;
/// A core that has been awake for longer than this is busy.
const FRESH_FOR: Duration = Duration::from_micros(100);
/// A write that takes longer than this is slow.
const SLOW_FROM: Duration = Duration::from_micros(500);
/// For so many times what a slow write took the core makes none.
const AVOIDED_TIMES: u32 = 100;

/// The state of one disk of one core.
#[derive(Default)]
pub(crate) struct Lone {
    /// The core makes no write before this.
    avoided_until: Cell<Option<Instant>>,
}

impl Lone {
    /// Whether the core, awake since `awake_since`, may make a write of `len` bytes, the only one under way, at `now`.
    pub(crate) fn may_write(&self, len: usize, awake_since: Option<Instant>, now: Instant) -> bool {
        let within = |at: Instant, limit| now.saturating_duration_since(at) < limit;
        let fresh = awake_since.is_some_and(|at| within(at, FRESH_FOR));
        let bytes_max = if fresh { BYTES_MAX } else { SMALL_BYTES_MAX };
        len <= bytes_max && self.avoided_until.get().is_none_or(|until| now >= until)
    }

    /// A write that the core has made began at `began` and ended at `ended`.
    pub(crate) fn has_written(&self, began: Instant, ended: Instant) {
        let took = ended.saturating_duration_since(began);
        if took > SLOW_FROM {
            self.avoided_until.set(Some(ended + AVOIDED_TIMES * took));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{AVOIDED_TIMES, BYTES_MAX, FRESH_FOR, Lone, SLOW_FROM, SMALL_BYTES_MAX};

    const NS: Duration = Duration::from_nanos(1);

    #[test]
    fn a_core_makes_small_writes_and_larger_ones_when_it_has_just_woken() {
        let (lone, awake) = (Lone::default(), Instant::now());
        let (fresh, busy) = (awake + FRESH_FOR - NS, awake + FRESH_FOR);
        assert!(lone.may_write(BYTES_MAX, Some(awake), fresh));
        assert!(!lone.may_write(BYTES_MAX + 1, Some(awake), fresh), "a large write");
        assert!(lone.may_write(SMALL_BYTES_MAX, Some(awake), busy));
        assert!(!lone.may_write(SMALL_BYTES_MAX + 1, Some(awake), busy), "a busy core");
        assert!(lone.may_write(SMALL_BYTES_MAX, None, awake));
        assert!(!lone.may_write(SMALL_BYTES_MAX + 1, None, awake), "a core that has never slept");
    }

    #[test]
    fn a_slow_write_keeps_the_core_from_writing_a_hundred_times_as_long() {
        let (lone, began) = (Lone::default(), Instant::now());
        lone.has_written(began, began + SLOW_FROM);
        assert!(lone.may_write(1, Some(began), began), "as fast as it must be");
        for took in [SLOW_FROM + NS, Duration::from_millis(30)] {
            let ended = began + took;
            lone.has_written(began, ended);
            let first = ended + AVOIDED_TIMES * took;
            assert!(!lone.may_write(1, Some(first - NS), first - NS), "{took:?}");
            assert!(lone.may_write(1, Some(first), first), "{took:?}");
        }
    }
}
