//! Drives the group coordinator's state machine: logs its records, holds its replies until they are durable, and wakes
//! it at its deadlines.
//!
//! Invariants:
//! - One request at a time changes the state and logs its records, so the log has them in order.
//! - A reply, and what a reader of committed offsets sees, waits for every record logged before it.
//! - Records that find the disk full stay in a backlog, without those that later ones supersede, and are logged before any
//!   later ones once there is space. Only deletions go before them, into half of the journal's reserve: they free no space,
//!   and what does needs the other half.
//!
//! What a full disk takes: reads, heartbeats, and members that leave, which a restart may forget. Deletions of groups and
//! offsets are answered when they are durable, and where there is no room for them nothing is deleted. Joins, syncs and
//! commits are refused before they change anything: clients try again. An assignment must not be
//! given out in a generation that the log does not know: after a crash another would have its number.

use std::cell::{Cell, Ref, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use broker_core::group::{
    Backlog, CommittedOffset, GroupRecord, Groups, Outputs, Place, Reply, ReplyBody, ReplyTo,
};
use broker_kafka::broker::{CALL_PARTITIONS_MAX, Fatal, GroupAnswer, GroupCall};
use broker_rt::Runtime;
use futures_channel::oneshot;
use log_io::Durability;
use log_journal::{AppendError, Entry};
use log_types::{Offset, Position, TopicId};

use super::{INTERNAL_STREAM, Shard, kind};

/// The groups of one shard and the replies that wait.
pub(crate) struct GroupService {
    groups: RefCell<Groups>,
    next_reply: Cell<u64>,
    /// Whoever asked, until the state machine answers.
    asked: RefCell<BTreeMap<ReplyTo, oneshot::Sender<GroupAnswer>>>,
    /// Answered, but the records up to this position are not durable yet.
    held: RefCell<VecDeque<(Position, Vec<Reply>)>>,
    /// Wakes the deadline task when a deadline may have come closer.
    nudge: RefCell<Option<oneshot::Sender<()>>>,
    /// Position of the last logged record.
    logged: Cell<Position>,
    /// Records of changes that are not logged yet.
    backlog: RefCell<Backlog>,
    /// The log says that no group can be added.
    full: Cell<bool>,
}

impl GroupService {
    /// `backlog`: records of changes that `groups` has and the journal has not.
    pub(super) fn new(groups: Groups, backlog: Backlog) -> Self {
        Self {
            groups: RefCell::new(groups),
            next_reply: Cell::new(0),
            asked: RefCell::default(),
            held: RefCell::default(),
            nudge: RefCell::default(),
            logged: Cell::default(),
            backlog: RefCell::new(backlog),
            full: Cell::new(false),
        }
    }

    pub(super) fn state(&self) -> Ref<'_, Groups> {
        self.groups.borrow()
    }

    pub(super) fn backlog(&self) -> Backlog {
        self.backlog.borrow().clone()
    }

    /// Undoes what a refused call has in the backlog from this place on, where `before` begins: readers of offsets would
    /// see what a crash takes back.
    fn take_back(&self, from: Place, before: Vec<Option<CommittedOffset>>) {
        let (mut backlog, mut groups) = (self.backlog.borrow_mut(), self.groups.borrow_mut());
        for (place, before) in (from..).zip(before).collect::<Vec<_>>().into_iter().rev() {
            if let Some(record) = backlog.remove(place) {
                groups.take_back(record, before);
            }
        }
    }

    fn ask(&self) -> (ReplyTo, oneshot::Receiver<GroupAnswer>) {
        let reply_to = ReplyTo(self.next_reply.get());
        self.next_reply.set(reply_to.0 + 1);
        let (tx, rx) = oneshot::channel();
        self.asked.borrow_mut().insert(reply_to, tx);
        (reply_to, rx)
    }

    /// Sends the replies whose records are durable.
    pub(super) fn release(&self, durable: Position) {
        loop {
            let mut held = self.held.borrow_mut();
            if held.front().is_none_or(|(position, _)| *position > durable) {
                return;
            }
            let (_, replies) = held.pop_front().expect("looked at just now");
            drop(held);
            self.send(replies);
        }
    }

    fn send(&self, replies: Vec<Reply>) {
        for reply in replies {
            if let Some(asker) = self.asked.borrow_mut().remove(&reply.to) {
                // The connection may be gone; the group will notice by its session timeout.
                let _ = asker.send(answer_of(reply.body));
            }
        }
    }

    fn nudge(&self) {
        if let Some(sleeper) = self.nudge.take() {
            // The sleeper may have woken by itself meanwhile.
            let _ = sleeper.send(());
        }
    }
}

fn answer_of(body: ReplyBody) -> GroupAnswer {
    match body {
        ReplyBody::Join(reply) => GroupAnswer::Join(reply),
        ReplyBody::Sync(reply) => GroupAnswer::Sync(reply),
        ReplyBody::Leave(results) => GroupAnswer::Leave(results),
        ReplyBody::Commit(results) => GroupAnswer::Commit(results),
        ReplyBody::DeleteGroups(results) => {
            GroupAnswer::Deleted(results.into_iter().next().and_then(|(_, error)| error))
        }
        ReplyBody::DeleteOffsets(results) => GroupAnswer::OffsetsDeleted(results),
    }
}

impl Shard {
    /// Runs one request of the group protocol; completes when its answer may be sent.
    pub(crate) async fn group_call(self: Rc<Self>, call: GroupCall) -> Result<GroupAnswer, Fatal> {
        let turn = self.turn.take().await;
        let logged = self.log_backlog().await?;
        let full = !logged || self.disk_full.get();
        let advances =
            matches!(call, GroupCall::Commit(_) | GroupCall::Join(_) | GroupCall::Sync(_));
        if (full && advances) || call_bytes(&call) > CALL_BYTES_MAX {
            return Ok(GroupAnswer::Unavailable);
        }
        if !self.log_group_deletion(&call).await? {
            return Ok(GroupAnswer::Unavailable);
        }
        let now_ms = self.steady_ms();
        let answered = self.group_getter(&call, now_ms);
        if let Some(answer) = answered {
            drop(turn);
            // What was read may rest on records that are still on their way.
            self.journal.wait_durable(self.groups.logged.get()).await.map_err(|_| Fatal)?;
            return Ok(answer);
        }
        let (reply_to, receiver) = self.groups.ask();
        let deletes = matches!(call, GroupCall::DeleteOffsets { .. });
        let logged_first = matches!(call, GroupCall::Delete { .. });
        let mut outputs = self.group_command(call, reply_to, now_ms);
        if logged_first {
            outputs.records.clear();
        }
        self.note_full();
        self.carry_out(outputs, deletes).await?;
        self.groups.nudge();
        drop(turn);
        receiver.await.map_err(|_| Fatal)
    }

    /// Tells the operator once that groups are refused: a client only sees its own refusal.
    fn note_full(&self) {
        let full = self.groups.state().is_full();
        if full && !self.groups.full.replace(full) {
            tracing::warn!(
                shard = self.id.0,
                "as many groups as luma.groups.per.shard.max allows; more are refused"
            );
        }
        self.groups.full.set(full);
    }

    fn group_getter(&self, call: &GroupCall, now_ms: i64) -> Option<GroupAnswer> {
        match call {
            GroupCall::Heartbeat(req) => {
                let beat = self.groups.groups.borrow_mut().handle_heartbeat(now_ms, req);
                Some(GroupAnswer::Heartbeat(beat.err()))
            }
            GroupCall::FetchOffsets(req) => {
                Some(GroupAnswer::Offsets(req.answer(&self.groups.groups.borrow())))
            }
            GroupCall::Describe { group_id, unknown_is_error } => {
                let described = self.groups.groups.borrow().describe(group_id, *unknown_is_error);
                Some(GroupAnswer::Described(described))
            }
            GroupCall::List { states, after } => {
                let groups = self.groups.groups.borrow();
                let page = groups.list(states, after.as_deref(), CALL_PARTITIONS_MAX);
                Some(GroupAnswer::Listed(page))
            }
            _ => None,
        }
    }

    fn group_command(&self, call: GroupCall, reply_to: ReplyTo, now_ms: i64) -> Outputs {
        let mut groups = self.groups.groups.borrow_mut();
        match call {
            GroupCall::Join(mut req) => {
                (req.reply_to, req.random) = (reply_to, self.random_u128());
                groups.handle_join(now_ms, &req)
            }
            GroupCall::Sync(mut req) => {
                req.reply_to = reply_to;
                groups.handle_sync(now_ms, &req)
            }
            GroupCall::Leave(mut req) => {
                req.reply_to = reply_to;
                groups.handle_leave(now_ms, req)
            }
            GroupCall::Commit(mut req) => {
                req.reply_to = reply_to;
                groups.handle_commit(now_ms, req)
            }
            GroupCall::Delete { group_id } => groups.handle_delete_groups(reply_to, vec![group_id]),
            GroupCall::DeleteOffsets { group_id, partitions } => {
                groups.handle_delete_offsets(now_ms, reply_to, &group_id, &partitions)
            }
            GroupCall::Heartbeat(_)
            | GroupCall::FetchOffsets(_)
            | GroupCall::Describe { .. }
            | GroupCall::List { .. } => unreachable!("answered by group_getter"),
        }
    }

    /// Logs the records and holds the replies until they, and all before them, are durable. On a full disk the records of a
    /// call that `deletes` take half of the reserve. The caller has the turn.
    async fn carry_out(&self, mut outputs: Outputs, deletes: bool) -> Result<(), Fatal> {
        let from = self.groups.backlog.borrow_mut().add(outputs.records);
        if !self.log_backlog().await? {
            if deletes {
                self.log_deletions(from).await?;
            }
            if self.groups.backlog.borrow().first_from(from).is_some() {
                self.groups.take_back(from, outputs.before);
                self.refuse_unlogged(&mut outputs.replies);
            }
        }
        if outputs.replies.is_empty() {
            return Ok(());
        }
        let wait = self.groups.logged.get();
        if wait <= self.journal.durable() {
            self.groups.send(outputs.replies);
        } else {
            self.groups.held.borrow_mut().push_back((wait, outputs.replies));
        }
        Ok(())
    }

    /// Replies that promise something durable, which is not.
    fn refuse_unlogged(&self, replies: &mut Vec<Reply>) {
        let promises = |reply: &mut Reply| !matches!(reply.body, ReplyBody::Leave(_));
        for reply in replies.extract_if(.., promises) {
            if let Some(asker) = self.groups.asked.borrow_mut().remove(&reply.to) {
                // See `GroupService::send`.
                let _ = asker.send(GroupAnswer::Unavailable);
            }
        }
    }

    /// Logs the deletions from this place of the backlog on before what else waits there, as far as half of the
    /// reserve goes.
    async fn log_deletions(&self, from: Place) -> Result<(), Fatal> {
        let mut from = from;
        loop {
            let next = self.groups.backlog.borrow().first_from(from).map(deletion_bytes);
            let (place, bytes) = match next {
                None => return Ok(()),
                Some((place, None)) => {
                    from = place + 1;
                    continue;
                }
                Some((place, Some(bytes))) => (place, bytes),
            };
            if !self.log_deletion(&bytes).await? {
                return Ok(());
            }
            self.groups.backlog.borrow_mut().remove(place);
        }
    }

    /// Logs what the deletion of a group would leave, before it is done: a group that is gone cannot be put back. `false`
    /// when there is no room for that. What is logged is to be done in the same step.
    async fn log_group_deletion(&self, call: &GroupCall) -> Result<bool, Fatal> {
        let GroupCall::Delete { group_id } = call else { return Ok(true) };
        let planned = self.groups.state().plan_deletion(group_id);
        let Ok(record) = planned else { return Ok(true) };
        if !self.log_deletion(&record.encode()).await? {
            return Ok(false);
        }
        self.groups.backlog.borrow_mut().logged(&record);
        Ok(true)
    }

    /// Logs a record that deletes, on a full disk in half of the reserve; `false` when that is used up.
    async fn log_deletion(&self, bytes: &[u8]) -> Result<bool, Fatal> {
        loop {
            match self.journal.append_half_reserved(&self.group_entry(&[bytes])) {
                Ok(position) => {
                    self.groups.logged.set(position);
                    return Ok(true);
                }
                Err(AppendError::Full) => self.journal.room().await,
                Err(AppendError::DiskFull | AppendError::TooLarge { .. }) => return Ok(false),
                Err(_) => return Err(Fatal),
            }
        }
    }

    /// Logs what waits; `false` when the disk is full.
    async fn log_backlog(&self) -> Result<bool, Fatal> {
        loop {
            let first = self.groups.backlog.borrow().first_from(0).map(encoded);
            let Some((place, bytes)) = first else { return Ok(true) };
            match self.journal.append(&self.group_entry(&[&bytes])) {
                Ok(position) => {
                    self.groups.logged.set(position);
                    self.groups.backlog.borrow_mut().remove(place);
                }
                Err(AppendError::Full) => self.journal.room().await,
                Err(AppendError::DiskFull) => return Ok(false),
                Err(AppendError::TooLarge { bytes, bytes_max }) => {
                    // Members and their metadata are bounded per call, not per group. The group goes on in memory; after
                    // a restart its members join again.
                    tracing::error!(
                        shard = self.id.0,
                        bytes,
                        bytes_max,
                        "group record too large to be logged"
                    );
                    self.groups.backlog.borrow_mut().remove(place);
                }
                Err(_) => return Err(Fatal),
            }
        }
    }

    fn group_entry<'a>(&self, parts: &'a [&'a [u8]]) -> Entry<'a> {
        Entry {
            stream: INTERNAL_STREAM,
            kind: kind::GROUP,
            base_offset: Offset(0),
            last_offset: Offset(0),
            max_timestamp: self.now_ms(),
            durability: Durability::Synced,
            parts,
            last_part_crc: None,
        }
    }

    /// Forgets the committed offsets of a deleted topic.
    pub(crate) async fn forget_topic(
        self: Rc<Self>,
        topic: String,
        id: TopicId,
    ) -> Result<(), Fatal> {
        let _turn = self.turn.take().await;
        let outputs =
            self.groups.groups.borrow_mut().handle_topic_deleted(self.steady_ms(), &topic, id);
        self.carry_out(outputs, false).await
    }

    /// Runs the group deadlines until the core stops.
    pub(crate) async fn group_deadlines(self: Rc<Self>, runtime: Rc<dyn Runtime>) {
        self.groups.groups.borrow_mut().start_sessions(self.steady_ms());
        loop {
            let (tx, nudged) = oneshot::channel();
            self.groups.nudge.replace(Some(tx));
            let next_ms = self.groups.groups.borrow().next_deadline_ms();
            match next_ms.map(|at_ms| at_ms.saturating_sub(self.steady_ms())) {
                Some(wait_ms) if wait_ms > 0 => {
                    let wait = Duration::from_millis(wait_ms.unsigned_abs());
                    let sleep = runtime.sleep(wait);
                    futures_util::future::select(sleep, nudged).await;
                    continue;
                }
                Some(_) => {}
                None => {
                    // Nudged or dropped: either way look again.
                    let _ = nudged.await;
                    continue;
                }
            }
            let _turn = self.turn.take().await;
            let outputs = self.groups.groups.borrow_mut().tick(self.steady_ms());
            if self.carry_out(outputs, false).await.is_err() {
                // The journal has failed or is closed; its owner acts on that.
                return;
            }
        }
    }
}

fn encoded((place, record): (Place, &GroupRecord)) -> (Place, Vec<u8>) {
    (place, record.encode())
}

/// The bytes of a record that deletes an offset.
fn deletion_bytes((place, record): (Place, &GroupRecord)) -> (Place, Option<Vec<u8>>) {
    let deletes = matches!(record, GroupRecord::OffsetDeleted { .. });
    (place, deletes.then(|| record.encode()))
}

/// Largest subscription or assignment data in one request, in bytes.
const CALL_BYTES_MAX: usize = 4 << 20;

/// What a protocol or an assignment takes besides its text and data.
const CALL_ELEMENT_BYTES: usize = 64;

/// What a request would have the group keep.
fn call_bytes(call: &GroupCall) -> usize {
    let element = |name: &str, data: &[u8]| CALL_ELEMENT_BYTES + name.len() + data.len();
    match call {
        GroupCall::Join(req) => {
            req.protocols.iter().map(|one| element(&one.name, &one.metadata)).sum()
        }
        GroupCall::Sync(req) => req.assignments.iter().map(|(id, data)| element(id, data)).sum(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests;
