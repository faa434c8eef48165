//! Whether a core makes a synced write itself instead of handing it to a disk thread.
//!
//! Handing over costs two switches of threads, a seventh of the time of one small durable write. They buy that the core
//! serves others meanwhile, which is worth nothing when there are none:
//!
//! ```text
//!  the core slept until just now, the write is small, no other is under way,
//!  and no write made by the core was slow lately                              the core writes
//!  otherwise                                                                  a disk thread writes
//! ```
//!
//! Under load a core hardly sleeps, so its writes go to the threads. A device that stalls holds a core up once per
//! [`AVOIDED_FOR`] and disk, for as long as that one write takes.

use std::cell::Cell;
use std::time::{Duration, Instant};

/// What is more takes the device long enough for others to come.
const BYTES_MAX: usize = 64 << 10;
/// A core that has been awake for longer than this is busy.
const FRESH_FOR: Duration = Duration::from_micros(100);
/// A write that takes longer than this is slow.
const SLOW_FROM: Duration = Duration::from_micros(500);
/// For this long after a slow write the core makes none.
const AVOIDED_FOR: Duration = Duration::from_millis(100);

/// The state of one disk of one core.
#[derive(Default)]
pub(crate) struct Lone {
    slow_at: Cell<Option<Instant>>,
}

impl Lone {
    /// Whether the core, awake since `awake_since`, may make a write of `len` bytes, the only one under way, at `now`.
    pub(crate) fn may_write(&self, len: usize, awake_since: Option<Instant>, now: Instant) -> bool {
        let within = |at: Instant, limit| now.saturating_duration_since(at) < limit;
        len <= BYTES_MAX
            && awake_since.is_some_and(|at| within(at, FRESH_FOR))
            && !self.slow_at.get().is_some_and(|at| within(at, AVOIDED_FOR))
    }

    /// A write that the core has made began at `began` and ended at `ended`.
    pub(crate) fn has_written(&self, began: Instant, ended: Instant) {
        if ended.saturating_duration_since(began) > SLOW_FROM {
            self.slow_at.set(Some(ended));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{AVOIDED_FOR, BYTES_MAX, FRESH_FOR, Lone, SLOW_FROM};

    const NS: Duration = Duration::from_nanos(1);

    #[test]
    fn a_core_writes_when_it_has_just_woken_and_the_write_is_small() {
        let (lone, awake) = (Lone::default(), Instant::now());
        assert!(lone.may_write(BYTES_MAX, Some(awake), awake + FRESH_FOR - NS));
        assert!(!lone.may_write(BYTES_MAX + 1, Some(awake), awake), "a large write");
        assert!(!lone.may_write(BYTES_MAX, Some(awake), awake + FRESH_FOR), "a busy core");
        assert!(!lone.may_write(BYTES_MAX, None, awake), "a core that has never slept");
    }

    #[test]
    fn a_slow_write_keeps_the_core_from_writing_for_a_while() {
        let (lone, began) = (Lone::default(), Instant::now());
        lone.has_written(began, began + SLOW_FROM);
        assert!(lone.may_write(1, Some(began), began), "as fast as it must be");
        let ended = began + SLOW_FROM + NS;
        lone.has_written(began, ended);
        let last = ended + AVOIDED_FOR - NS;
        assert!(!lone.may_write(1, Some(last), last));
        let first = ended + AVOIDED_FOR;
        assert!(lone.may_write(1, Some(first), first));
    }
}
