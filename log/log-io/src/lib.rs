//! The seam to the outside world: clock, randomness and disk as small object-safe traits.
//!
//! `broker-rt` implements them on io_uring and on a thread pool, `log-testkit` and `jepsen-sim` in memory with
//! faults. Everything in `log-*` takes these traits and never names a runtime. All futures are thread-local
//! (`!Send`): a shard and its files belong to one core.
//!
//! ```text
//!  log-journal ──► Disk ──open──► File: read_at · write_at(Block, durable) · sync_data
//!       │            └─alloc──► BlockMut (4 KiB aligned) ──freeze──► Block (shared, immutable)
//!       └──────► Clock: mono_ns (never goes back) · wall_ms (never orders data)
//! ```

mod block;
mod disk;
mod slice;

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

pub use block::{Block, BlockMut, IoMemory, block_bytes};
pub use disk::{BLOCK_BYTES, Disk, Durability, File};
pub use slice::Slice;

/// A boxed future that stays on the core that made it.
pub type LocalFuture<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// Time as the process sees it.
pub trait Clock {
    /// Nanoseconds since an arbitrary start; never goes back.
    fn mono_ns(&self) -> u64;
    /// Milliseconds since the Unix epoch; may jump, so it never orders data.
    fn wall_ms(&self) -> i64;
}

/// A source of random numbers; seeded in the simulator.
pub trait Random {
    fn next_u64(&self) -> u64;
}

/// Lets everything else of the core that is ready run first. It yields by waking itself, so any executor can drive it.
pub async fn yield_once() {
    let mut yielded = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
