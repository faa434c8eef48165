//! The flusher: turns queued frames into durable ones, in order.
//!
//! ```text
//!  queue: frame │ frame │ SEAL │ frame …
//!    │ start when nothing is in flight, or ≥ frame_bytes_target waits and one is
//!    ▼
//!  in flight (≤ 2) ──all earlier written──► written ──synced write, or sync_data──► durable ─► wake, on_durable
//!  SEAL at the head: everything before durable → footer, next segment (roll) → go on
//! ```
//!
//! A frame is written with `Synced` when every earlier frame is durable or itself written so; a `Synced` frame
//! behind volatile ones is written plainly and covered by one `sync_data`, so an acknowledgement never overtakes.
//!
//! Beside it runs at most one background job (checkpoint, spare segment, recycling, watermark, zero-filling), and the
//! reading of chunks ahead of their readers.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use log_io::{Block, Durability, LocalFuture};
use log_types::Position;

use crate::checkpoint;
use crate::error::JournalError;
use crate::format::DATA_START;
use crate::frame::{OpenFrame, Stamp};
use crate::journal::Inner;
use crate::options::JournalHooks;
use crate::reader;
use crate::roll;
use crate::state::{Pending, Seal, State};

const IN_FLIGHT_MAX: usize = 2;

type Job = LocalFuture<'static, Result<(), JournalError>>;

struct InFlight {
    position: Position,
    /// End of the frame in the file.
    end: u64,
    write: Option<LocalFuture<'static, io::Result<()>>>,
    /// Durable by itself once written.
    synced: bool,
    started_ns: u64,
}

/// An `fdatasync` of every frame up to `covered`.
struct Sync {
    covered: Position,
    started_ns: u64,
    running: LocalFuture<'static, io::Result<()>>,
}

struct Flusher {
    inner: Rc<Inner>,
    hooks: Rc<dyn JournalHooks>,
    in_flight: VecDeque<InFlight>,
    sync: Option<Sync>,
    roll: Option<(Rc<Seal>, Job)>,
    background: Option<Job>,
    /// The background job writes zeros into the spare segment, which no roll may take meanwhile.
    filling: bool,
    prefetches: Vec<LocalFuture<'static, ()>>,
    reported: Position,
    reported_full: bool,
    closing_checkpoint: bool,
    marked_closed: bool,
}

pub(crate) fn run(
    inner: Rc<Inner>,
    hooks: Rc<dyn JournalHooks>,
) -> LocalFuture<'static, Result<(), JournalError>> {
    Box::pin(async move {
        let reported = inner.state.borrow().durable;
        inner.state.borrow_mut().running = true;
        let mut flusher = Flusher {
            inner: Rc::clone(&inner),
            hooks,
            in_flight: VecDeque::with_capacity(IN_FLIGHT_MAX),
            sync: None,
            roll: None,
            background: None,
            filling: false,
            prefetches: Vec::new(),
            reported,
            reported_full: false,
            closing_checkpoint: false,
            marked_closed: false,
        };
        let outcome = poll_fn(|context| flusher.poll(context)).await;
        drop(flusher);
        let mut state = inner.state.borrow_mut();
        state.running = false;
        state.caches.prefetches_ended();
        state.failed |= outcome.is_err();
        state.closed = true;
        state.closing = true;
        state.wake_all();
        outcome
    })
}

impl Drop for Flusher {
    /// Readers that wait for a prefetch must not wait for ever when the flusher is dropped.
    fn drop(&mut self) {
        if let Ok(mut state) = self.inner.state.try_borrow_mut() {
            state.running = false;
            state.set_pressed(false);
            state.caches.prefetches_ended();
        }
    }
}

impl Flusher {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<(), JournalError>> {
        self.inner.state.borrow_mut().flusher = Some(context.waker().clone());
        loop {
            match self.advance(context) {
                Err(error) => return Poll::Ready(Err(error)),
                Ok(true) => {}
                Ok(false) => {
                    let done = self.marked_closed && self.background.is_none();
                    return if done { Poll::Ready(Ok(())) } else { Poll::Pending };
                }
            }
        }
    }

    /// One round: collect what completed, report it, start what can start. Whether anything happened.
    fn advance(&mut self, context: &mut Context<'_>) -> Result<bool, JournalError> {
        let mut progressed = self.poll_writes(context)?;
        progressed |= self.poll_sync(context)?;
        progressed |= self.poll_roll(context)?;
        progressed |= self.poll_background(context)?;
        self.report();
        progressed |= self.plan_seal();
        self.plan_checkpoint();
        progressed |= self.start_sync();
        progressed |= self.start_frame();
        progressed |= self.start_roll();
        progressed |= self.start_background();
        progressed |= self.start_prefetch();
        Ok(progressed)
    }

    fn poll_writes(&mut self, context: &mut Context<'_>) -> Result<bool, JournalError> {
        let mut completed = false;
        for flight in &mut self.in_flight {
            if let Some(write) = &mut flight.write
                && let Poll::Ready(outcome) = Pin::as_mut(write).poll(context)
            {
                flight.write = None;
                completed = true;
                outcome.map_err(|error| self.inner.write_error("write a frame to", error))?;
                if flight.synced {
                    let now_ns = self.inner.clock.mono_ns();
                    self.hooks.on_synced(now_ns.saturating_sub(flight.started_ns));
                }
            }
        }
        if !completed {
            return Ok(false);
        }
        let mut state = self.inner.state.borrow_mut();
        while self.in_flight.front().is_some_and(|flight| flight.write.is_none()) {
            let Some(flight) = self.in_flight.pop_front() else { break };
            assert!(state.written.next() == flight.position, "frames are written in order");
            state.written = flight.position;
            state.written_end = flight.end;
            state.tail.written(flight.position);
            if flight.synced {
                // A volatile frame behind this one may have been started meanwhile; one before it may not.
                assert!(
                    state.last_volatile <= state.durable || state.last_volatile > flight.position,
                    "a synced frame follows durable ones only"
                );
                state.durable = flight.position;
            }
        }
        let (tail_max, written) = (state.options.tail_bytes_max, state.written);
        state.tail.evict(tail_max, written);
        Ok(true)
    }

    fn poll_sync(&mut self, context: &mut Context<'_>) -> Result<bool, JournalError> {
        let Some(sync) = &mut self.sync else { return Ok(false) };
        let Poll::Ready(outcome) = Pin::as_mut(&mut sync.running).poll(context) else {
            return Ok(false);
        };
        let (covered, started_ns) = (sync.covered, sync.started_ns);
        self.sync = None;
        outcome.map_err(|error| self.inner.write_error("sync", error))?;
        self.hooks.on_synced(self.inner.clock.mono_ns().saturating_sub(started_ns));
        let mut state = self.inner.state.borrow_mut();
        state.durable = state.durable.max(covered);
        Ok(true)
    }

    fn poll_roll(&mut self, context: &mut Context<'_>) -> Result<bool, JournalError> {
        let Some((seal, job)) = &mut self.roll else { return Ok(false) };
        let Poll::Ready(outcome) = Pin::as_mut(job).poll(context) else { return Ok(false) };
        let seal = Rc::clone(seal);
        self.roll = None;
        let mut state = self.inner.state.borrow_mut();
        match outcome {
            Ok(()) => {
                state.caches.unpin_footer(seal.segment);
                let head = state.queue.pop_front();
                assert!(
                    matches!(head, Some(Pending::Seal(_))),
                    "a roll belongs to the seal at the head"
                );
                state.disk_full &= state.on_bridge();
                state.wake_room();
                Ok(true)
            }
            Err(error) if error.storage_full() => {
                state.space_failed(self.inner.clock.mono_ns());
                state.disk_full = true;
                state.wake_room();
                Ok(true)
            }
            Err(error) => Err(error),
        }
    }

    fn poll_background(&mut self, context: &mut Context<'_>) -> Result<bool, JournalError> {
        let mut progressed = false;
        let reading = self.prefetches.len();
        self.prefetches.retain_mut(|job| Pin::as_mut(job).poll(context).is_pending());
        progressed |= self.prefetches.len() < reading;
        let Some(job) = &mut self.background else { return Ok(progressed) };
        let Poll::Ready(outcome) = Pin::as_mut(job).poll(context) else { return Ok(progressed) };
        self.background = None;
        self.filling = false;
        match outcome {
            Ok(()) => Ok(true),
            // A checkpoint or a spare that finds no space is put off; the data path says so when it matters.
            Err(error) if error.storage_full() => {
                let now_ns = self.inner.clock.mono_ns();
                self.inner.state.borrow_mut().space_failed(now_ns);
                Ok(true)
            }
            Err(error) => Err(error),
        }
    }

    /// Wakes waiters and tells the owner, outside of any borrow.
    fn report(&mut self) {
        let (durable, full) = {
            let mut state = self.inner.state.borrow_mut();
            state.wake_durable();
            state.tell_pressed();
            (state.durable, state.disk_full)
        };
        if durable > self.reported {
            self.reported = durable;
            self.hooks.on_durable(durable);
        }
        if full != self.reported_full {
            self.reported_full = full;
            self.hooks.on_disk_full(full);
        }
    }

    /// Ends the segment when the next frame would not fit, or hardly.
    fn plan_seal(&mut self) -> bool {
        let last = {
            let mut state = self.inner.state.borrow_mut();
            let bridge = state.bridge_due();
            if !(bridge || state.seal_wanted()) || state.seal_queued() || self.roll.is_some() {
                return false;
            }
            // Without a file for the next segment this one is not ended, so that nothing is accepted that might have
            // to wait for space. The background makes one, if it can.
            if state.spares.is_empty() && !bridge {
                let hopeless = state.space_short || !state.spare_allowed();
                if hopeless && state.seal_requested {
                    state.disk_full = true;
                    state.seal_requested = false;
                    state.wake_room();
                    return true;
                }
                return false;
            }
            state.close_open();
            if state.on_bridge() {
                state.fill_empty_segment(self.inner.disk.as_ref());
            } else if state.plan.offset == DATA_START {
                return false;
            }
            let next = if bridge { state.bridge.take() } else { state.spares.pop() };
            state.disk_full &= bridge;
            state.plan_next_segment(next);
            Position(state.plan.position.0 - 1)
        };
        if self.inner.state.borrow().checkpoint_due() {
            let owner_state = self.hooks.checkpoint_state(last);
            let mut state = self.inner.state.borrow_mut();
            state.checkpoint_wanted = state.checkpoint_wanted.saturating_sub(1);
            state.stage_checkpoint(owner_state);
        }
        let mut state = self.inner.state.borrow_mut();
        state.seal_requested = false;
        state.wake_room();
        true
    }

    /// Takes a checkpoint outside of a seal, when asked to or when closing.
    fn plan_checkpoint(&mut self) {
        let last = {
            let mut state = self.inner.state.borrow_mut();
            let closing = state.closing && !self.closing_checkpoint && !state.disk_full;
            if (!closing && state.checkpoint_wanted == 0)
                || state.checkpoint_busy()
                || state.seal_queued()
            {
                return;
            }
            self.closing_checkpoint |= state.closing;
            state.checkpoint_wanted = state.checkpoint_wanted.saturating_sub(1);
            state.close_open();
            let last = Position(state.plan.position.0 - 1);
            if closing && last == state.position_at_checkpoint {
                return;
            }
            state.sync_target = state.sync_target.max(last);
            last
        };
        let owner_state = self.hooks.checkpoint_state(last);
        self.inner.state.borrow_mut().stage_checkpoint(owner_state);
    }

    fn start_sync(&mut self) -> bool {
        let mut state = self.inner.state.borrow_mut();
        let sealing = matches!(state.queue.front(), Some(Pending::Seal(_))) || state.closing;
        let target =
            if sealing && self.in_flight.is_empty() { state.written } else { state.sync_target };
        let needed = state.durable < target && state.written > state.durable;
        // Waiting for all of the target saves a second sync; frames before it are on their way.
        if self.sync.is_some()
            || !needed
            || state.written < target.min(state.last_started(&self.in_flight))
        {
            return false;
        }
        state.stats.syncs += 1;
        let (covered, current) = (state.written, Rc::clone(&state.current));
        drop(state);
        self.sync = Some(Sync {
            covered,
            started_ns: self.inner.clock.mono_ns(),
            running: Box::pin(async move { current.file.sync_data().await }),
        });
        true
    }

    fn start_frame(&mut self) -> bool {
        let mut state = self.inner.state.borrow_mut();
        let waiting = self.in_flight.len();
        let enough = waiting == 0 || state.pending_bytes >= state.options.frame_bytes_target;
        if waiting >= IN_FLIGHT_MAX || !enough || self.roll.is_some() {
            return false;
        }
        if state.queue.is_empty() {
            state.close_open();
        }
        if !matches!(state.queue.front(), Some(Pending::Frame(_))) {
            return false;
        }
        let Some(Pending::Frame(frame)) = state.queue.pop_front() else { return false };
        assert!(
            frame.segment == state.current_segment,
            "frame {} lies in the current segment",
            frame.position
        );
        let wall_ms = self.inner.clock.wall_ms();
        let (block, len, synced, offset, position) = state.start_write(frame, wall_ms);
        let current = Rc::clone(&state.current);
        state.wake_room();
        drop(state);
        let durability = if synced { Durability::Synced } else { Durability::Volatile };
        let write: LocalFuture<'static, io::Result<()>> =
            Box::pin(async move { current.file.write_at(offset, block, len, durability).await });
        self.in_flight.push_back(InFlight {
            position,
            end: offset + len as u64,
            write: Some(write),
            synced,
            started_ns: self.inner.clock.mono_ns(),
        });
        true
    }

    fn start_roll(&mut self) -> bool {
        if self.roll.is_some() || self.filling || !self.in_flight.is_empty() || self.sync.is_some()
        {
            return false;
        }
        let state = self.inner.state.borrow();
        let Some(Pending::Seal(seal)) = state.queue.front() else { return false };
        if state.durable < state.written
            || (state.waits_for_space() && state.space_short && state.spares.is_empty())
        {
            return false;
        }
        let seal = Rc::clone(seal);
        drop(state);
        self.roll = Some((Rc::clone(&seal), roll::roll(Rc::clone(&self.inner), seal)));
        true
    }

    fn start_background(&mut self) -> bool {
        if self.background.is_some() {
            return false;
        }
        let idle = self.in_flight.is_empty() && self.sync.is_none() && self.roll.is_none();
        let drained = idle && {
            let state = self.inner.state.borrow();
            let nothing_left =
                state.queue.is_empty() && state.open.is_none() && state.durable == state.written;
            // A journal without space can be closed too: what waits for space was never acknowledged.
            state.closing && (nothing_left || state.waits_for_space())
        };
        if let Some(job) = self.next_job(idle, drained) {
            self.background = Some(job);
            return true;
        }
        if drained && !self.marked_closed && self.prefetches.is_empty() {
            self.marked_closed = true;
            self.background = Some(roll::record_watermark(Rc::clone(&self.inner), true));
            return true;
        }
        false
    }

    fn next_job(&mut self, idle: bool, drained: bool) -> Option<Job> {
        if self.marked_closed {
            return None;
        }
        let inner = Rc::clone(&self.inner);
        let mut state = self.inner.state.borrow_mut();
        if state.checkpoint_reserve_wanted() {
            return Some(checkpoint::reserve(inner));
        }
        if self.roll.is_none() && state.bridge_wanted() {
            return Some(roll::add_bridge(inner));
        }
        let spare_due = self.roll.is_none() && state.spare_due();
        if let Some(attempt) = spare_due.then(|| state.begin_attempt()).flatten() {
            return Some(roll::add_spare(inner, attempt));
        }
        if let Some(staged) = state.take_ready_checkpoint() {
            return Some(checkpoint::write(inner, staged));
        }
        if drained {
            return None;
        }
        if state.free_check {
            if let Some(segment) = state.freeable() {
                return Some(roll::free(inner, segment));
            }
            state.free_check = false;
        }
        if self.roll.is_none() && state.spares_surplus() {
            return Some(roll::give_back(inner));
        }
        if state.watermark_wanted && self.roll.is_none() {
            state.watermark_wanted = false;
            if state.watermark_recorded < state.durable && !state.seal_queued() {
                return Some(roll::record_watermark(inner, false));
            }
        }
        if idle && state.open.is_none() && state.queue.is_empty() && state.spare_needs_fill() {
            self.filling = true;
            return Some(roll::fill_spare(Rc::clone(&inner)));
        }
        None
    }

    fn start_prefetch(&mut self) -> bool {
        if self.marked_closed {
            return false;
        }
        let Some(wanted) = self.inner.state.borrow_mut().caches.next_prefetch() else {
            return false;
        };
        self.prefetches.push(reader::prefetch(Rc::clone(&self.inner), wanted));
        true
    }
}

impl State {
    /// The highest frame whose write was started.
    fn last_started(&self, in_flight: &VecDeque<InFlight>) -> Position {
        in_flight.back().map_or(self.written, |flight| flight.position)
    }

    /// Completes a frame's bytes and hands them to the tail. Block, length, synced, file offset, position.
    fn start_write(
        &mut self,
        mut frame: OpenFrame,
        wall_ms: i64,
    ) -> (Block, usize, bool, u64, Position) {
        let stamp = Stamp {
            identity: self.identity,
            term: self.options.term,
            durable: self.durable,
            wall_ms,
            generation: self.generation,
        };
        let data: usize = frame.entries.iter().map(|head| head.len as usize).sum();
        let len = frame.finish(&stamp);
        self.adapt_class(frame.used);
        self.pending_bytes -= data;
        let position = frame.position;
        self.tail.push(position, frame.segment, frame.file_offset, &frame.block, len);
        let wants_sync = frame.durability == Durability::Synced;
        let synced = wants_sync && self.last_volatile <= self.durable;
        if !synced {
            self.last_volatile = position;
        }
        if wants_sync && !synced {
            self.sync_target = self.sync_target.max(position);
        }
        self.stats.frames += 1;
        self.stats.bytes += len as u64;
        self.stats.synced_writes += u64::from(synced);
        self.bytes_since_checkpoint += len as u64;
        frame.entries.clear();
        if self.entry_pool.len() < 8 {
            self.entry_pool.push(frame.entries);
        }
        (Arc::clone(&frame.block), len, synced, frame.file_offset, position)
    }
}

impl Inner {
    fn write_error(&self, doing: &'static str, error: io::Error) -> JournalError {
        JournalError::io(doing, &self.state.borrow().current.name, error)
    }
}
