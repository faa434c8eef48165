//! Who opens a batch on this core, and with what memory.
//!
//! ```text
//!  memory ─► small: one at a time ─────────────────────────────────────────► opened
//!                       │ larger than SMALL_BYTES_MAX: given back, begun anew
//!                       └─► large: one at a time, its memory counted apart ─► opened
//!                             └─► enough wait already: busy, to be sent again
//! ```
//!
//! Invariants:
//! - At most one small batch and one large one are being opened at any time, so what that takes besides the result is bounded:
//!   some 64 MiB for the large one's records, and once more what a batch may have (`max.message.bytes`).
//! - Small batches do not wait for large ones: a client that sends only what takes long delays those like it. Who waits for
//!   the large turn holds none of the memory that small ones wait for, but what its request opened before; nor does who has
//!   that turn, until what it opened is there to be appended.
//! - A few wait for the large turn at most, by number and by bytes: each holds the memory of the core that its request was read
//!   into, which everybody's requests need. The rest are answered with what producers repeat after a pause.
//! - Memory is waited for only by those who hold none of it, and given back when the batch has been appended.

use std::cell::Cell;
use std::rc::Rc;

use broker_core::partition::{AppendError, AppendRules, NotOpened, Opened, open};
use broker_kafka::broker::{AppendRequest, Reserved};
use broker_kafka::{Turn, Turns};
use bytes::Bytes;

use crate::limits::Memory;

/// Up to so many bytes, decompressed, a batch is a small one: some milliseconds of work.
const SMALL_BYTES_MAX: usize = 256 << 10;

/// So many wait for the large turn at most, besides the one that has it: a large batch takes from some milliseconds to two
/// seconds (64 MiB into gzip), so that the last in line has its answer before its client gives up.
const LARGE_WAITING_MAX: usize = 8;
/// What their requests take at most, of the memory for requests: a share of it. One may wait whatever it takes.
const LARGE_WAITING_SHARE: usize = 8;

/// The turns and the memory of a core.
#[derive(Clone)]
pub(crate) struct Opening(Rc<Lines>);

struct Lines {
    small: Turns,
    large: Turns,
    memory: Memory,
    /// What the large batch holds that is being opened. The turn bounds it, not the budget.
    large_bytes: Cell<usize>,
    /// How many wait for the large turn, and what their requests take.
    large_waiting: Cell<(usize, usize)>,
    large_waiting_bytes_max: usize,
}

impl Opening {
    /// `memory_bytes_max`: for what is being opened; the same as for requests.
    pub(crate) fn new(memory_bytes_max: usize) -> Self {
        let (small, large) = (Turns::new(1), Turns::new(1));
        let (memory, large_bytes) = (Memory::new(memory_bytes_max), Cell::new(0));
        let (large_waiting, large_waiting_bytes_max) =
            (Cell::default(), memory_bytes_max / LARGE_WAITING_SHARE);
        Self(Rc::new(Lines {
            small,
            large,
            memory,
            large_bytes,
            large_waiting,
            large_waiting_bytes_max,
        }))
    }

    /// Bytes that are held by what is being opened, and by what was until it is appended.
    pub(crate) fn used(&self) -> usize {
        self.0.memory.used() + self.0.large_bytes.get()
    }

    /// Opens a batch of a produce request whose batches take `request_bytes`. `held` is this core's memory for the opened
    /// batches that the same request has already, and their bytes.
    pub(crate) async fn open(
        &self,
        mut request: AppendRequest,
        request_bytes: usize,
        held: Option<(Reserved, usize)>,
    ) -> (Result<AppendRequest, AppendError>, Reserved) {
        let (mut lease, before) = match held {
            Some(held) => held,
            None => (Box::new(self.0.memory.take(SMALL_BYTES_MAX).await) as Reserved, 0),
        };
        let rules = AppendRules::from(&*request.config);
        let mut held = |bytes| lease.resize(before + bytes);
        let opened = self.by_turns(&request.batch, request_bytes, &rules, &mut held).await;
        held(opened.as_ref().map_or(0, |opened| opened.batch.len()));
        let opened = opened.map(|Opened { batch, summary }| {
            (request.batch, request.opened) = (batch, Some(summary));
            request
        });
        (opened, lease)
    }

    async fn by_turns(
        &self,
        batch: &Bytes,
        request_bytes: usize,
        rules: &AppendRules,
        held: &mut dyn FnMut(usize),
    ) -> Result<Opened, AppendError> {
        if batch.len() <= SMALL_BYTES_MAX {
            let _turn = self.0.small.take().await;
            match open(batch, rules, SMALL_BYTES_MAX, held).await {
                Ok(opened) => return Ok(opened),
                Err(NotOpened::Refused(error)) => return Err(error),
                Err(NotOpened::Larger) => {}
            }
        }
        held(0);
        let _turn = self.large_turn(request_bytes).await?;
        let large = LargeBytes(&self.0.large_bytes);
        let opened = open(batch, rules, usize::MAX, &mut |bytes| large.0.set(bytes)).await;
        opened.map_err(|error| match error {
            NotOpened::Refused(error) => error,
            NotOpened::Larger => unreachable!("nothing is larger than the largest number"),
        })
    }

    async fn large_turn(&self, request_bytes: usize) -> Result<Turn, AppendError> {
        let (count, bytes) = self.0.large_waiting.get();
        let full = bytes.saturating_add(request_bytes) > self.0.large_waiting_bytes_max;
        if count == LARGE_WAITING_MAX || (count > 0 && full) {
            return Err(AppendError::Busy);
        }
        self.0.large_waiting.set((count + 1, bytes + request_bytes));
        let _place = WaitingBytes(&self.0.large_waiting, request_bytes);
        Ok(self.0.large.take().await)
    }
}

/// One who waits, counted until it is dropped.
struct WaitingBytes<'a>(&'a Cell<(usize, usize)>, usize);

impl Drop for WaitingBytes<'_> {
    fn drop(&mut self) {
        let (count, bytes) = self.0.get();
        self.0.set((count - 1, bytes - self.1));
    }
}

/// Bytes that are counted until it is dropped.
struct LargeBytes<'a>(&'a Cell<usize>);

impl Drop for LargeBytes<'_> {
    fn drop(&mut self) {
        self.0.set(0);
    }
}

#[cfg(test)]
mod tests;
