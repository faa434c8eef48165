//! Who goes first at the device: a synced write, for which clients wait, or a read, of which there is always more.
//!
//! A device serves what it was given in its own order, so what must not wait behind reads must find few of them there:
//!
//! ```text
//!  nobody has written lately    reads go whole, as many as there are
//!  somebody has                 reads go in pieces, one at a time, each when no synced write is under way
//!                               or after one that it has waited for
//! ```
//!
//! So a write waits for a piece, and a piece for one write: neither starves. After a write several readers that waited for
//! it may follow one another beside the next write. One for all cores of a process.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

/// A device of 1 GB/s reads this in 120 µs.
const PIECE_BYTES: usize = 128 << 10;
/// After a synced write has begun or ended, others are expected for this long.
const EXPECTED_FOR: Duration = Duration::from_millis(200);

#[derive(Default)]
pub(crate) struct Traffic(Mutex<State>);

#[derive(Default)]
struct State {
    /// Synced writes under way.
    writes: usize,
    /// Synced writes that have ended.
    ended: u64,
    last_write: Option<Instant>,
    /// A piece is being read.
    reading: bool,
    waiting: Vec<Waker>,
}

impl State {
    /// Whether a read that has waited since `ended` was `since` may go on, and how much of it.
    fn grant(&mut self, since: u64, now: Instant) -> Option<usize> {
        let lately = |last: Instant| now.saturating_duration_since(last) < EXPECTED_FOR;
        if self.writes == 0 && !self.last_write.is_some_and(lately) {
            return Some(usize::MAX);
        }
        if self.reading || (self.writes > 0 && self.ended == since) {
            return None;
        }
        self.reading = true;
        Some(PIECE_BYTES)
    }
}

impl Traffic {
    /// A synced write, or a sync, that lasts until the guard is dropped.
    pub(crate) fn write(self: &Arc<Self>) -> Writing {
        let mut state = self.state();
        state.writes += 1;
        state.last_write = Some(Instant::now());
        drop(state);
        Writing(Arc::clone(self))
    }

    /// Waits until the next part of a read may be given to the device.
    pub(crate) async fn read(self: &Arc<Self>) -> Reading {
        let since = self.state().ended;
        let bytes_max = poll_fn(|context| {
            let mut state = self.state();
            match state.grant(since, Instant::now()) {
                Some(bytes_max) => Poll::Ready(bytes_max),
                None => {
                    state.waiting.push(context.waker().clone());
                    Poll::Pending
                }
            }
        });
        let bytes_max = bytes_max.await;
        Reading { traffic: Arc::clone(self), bytes_max }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing can panic while it is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state and lets those who wait look again.
    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state();
        change(&mut state);
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        waiting.into_iter().for_each(Waker::wake);
    }
}

/// A synced write under way.
pub(crate) struct Writing(Arc<Traffic>);

impl Writing {
    /// Whether no other one is under way.
    pub(crate) fn is_alone(&self) -> bool {
        self.0.state().writes == 1
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        self.0.change(|state| {
            state.writes -= 1;
            state.ended += 1;
            state.last_write = Some(Instant::now());
        });
    }
}

/// A part of a read under way.
pub(crate) struct Reading {
    traffic: Arc<Traffic>,
    bytes_max: usize,
}

impl Reading {
    /// How much may be read.
    pub(crate) fn bytes_max(&self) -> usize {
        self.bytes_max
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        if self.bytes_max == PIECE_BYTES {
            self.traffic.change(|state| state.reading = false);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::sync::Arc;
    use std::task::{Context, Poll, Waker};
    use std::time::{Duration, Instant};

    use super::{EXPECTED_FOR, PIECE_BYTES, State, Traffic};

    #[test]
    fn reads_go_whole_unless_somebody_has_written_lately() {
        let now = Instant::now();
        let mut state = State::default();
        assert_eq!(state.grant(0, now), Some(usize::MAX), "nobody has ever written");
        state.last_write = Some(now);
        assert_eq!(state.grant(0, now + EXPECTED_FOR), Some(usize::MAX), "long ago");
        assert!(!state.reading, "whole reads do not wait for each other");
        let soon = now + EXPECTED_FOR - Duration::from_nanos(1);
        assert_eq!(state.grant(0, soon), Some(PIECE_BYTES));
        assert_eq!(state.grant(0, soon), None, "one piece at a time");
    }

    #[test]
    fn a_piece_waits_for_one_write_and_not_for_the_next() {
        let now = Instant::now();
        let mut state = State { writes: 1, ended: 7, last_write: Some(now), ..State::default() };
        assert_eq!(state.grant(7, now), None);
        assert_eq!(state.grant(7, now + 2 * EXPECTED_FOR), None, "a write that takes long");
        state.ended = 8;
        assert_eq!(state.grant(7, now), Some(PIECE_BYTES), "another one is under way already");
    }

    #[test]
    fn the_end_of_a_write_and_of_a_piece_let_the_next_go_on() {
        let traffic = Arc::<Traffic>::default();
        let mut context = Context::from_waker(Waker::noop());
        let writing = traffic.write();
        assert!(writing.is_alone());
        let other = traffic.write();
        assert!(!writing.is_alone() && !other.is_alone());
        drop(other);
        let (mut first, mut second) = (pin!(traffic.read()), pin!(traffic.read()));
        assert!(first.as_mut().poll(&mut context).is_pending());
        assert!(second.as_mut().poll(&mut context).is_pending());
        assert_eq!(traffic.state().waiting.len(), 2);
        drop(writing);
        assert_eq!(traffic.state().waiting.len(), 0, "both were woken");
        let Poll::Ready(reading) = first.as_mut().poll(&mut context) else { panic!("no write") };
        assert_eq!(reading.bytes_max(), PIECE_BYTES);
        assert!(second.as_mut().poll(&mut context).is_pending());
        drop(reading);
        assert!(second.as_mut().poll(&mut context).is_ready());
    }
}
