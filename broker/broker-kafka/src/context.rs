//! What a handler knows besides its request, and the memory that the request and its answer take.
//!
//! ```text
//!  decoded ─reserve─► elements of the request ──────────► given back with the handler
//!  answer  ─grow────► 256 KiB free ─► turn, then room ─► as large as it becomes ─send─► exact ─► given back when sent
//! ```
//!
//! Invariants:
//! - A core builds one large answer at a time, and begins the next when there is room: answers that are built and not sent
//!   take the budget and one of them at most.
//! - Whoever builds a large answer awaits no write to the log: what it describes was changed before.
//! - Whoever waits to build an answer waits for nobody who waits for memory of its request: requests have theirs first.

use std::cell::RefCell;
use std::rc::Rc;

use broker_core::fetch_session::FetchSessions;
use broker_kafka_wire::{Frame, GuardedElements, RequestHeader, WireError};
use kafka_protocol::messages::ResponseKind;
use kafka_protocol::protocol::Encodable;

use crate::broker::{Broker, Fatal, Reserved};
use crate::handler::{Peer, Response};
use crate::turns::{Turn, Turns};

/// Elements that take less need no reservation: the limits of a connection cover them.
const UNRESERVED_BYTES_MAX: usize = 64 << 10;
/// Answers up to this size wait for nobody: those of a connection are built one after the other.
const FREE_ANSWER_BYTES_MAX: usize = 256 << 10;

/// An answer, or why the connection is closed instead.
pub(crate) type Encoded = Result<Frame, WireError>;

/// What a handler knows besides its request.
pub(crate) struct Context {
    pub(crate) broker: Rc<dyn Broker>,
    pub(crate) peer: Rc<Peer>,
    pub(crate) sessions: Rc<RefCell<FetchSessions>>,
    pub(crate) header: RequestHeader,
    reserved: Option<Reserved>,
    /// Whose turn it is to build a large answer on this core.
    building: Turns,
    answer_bytes: usize,
    answer: Option<(Turn, Reserved)>,
}

impl Context {
    pub(crate) fn new(
        broker: Rc<dyn Broker>,
        peer: Rc<Peer>,
        sessions: Rc<RefCell<FetchSessions>>,
        header: RequestHeader,
        building: Turns,
    ) -> Self {
        let (reserved, answer) = (None, None);
        Self { broker, peer, sessions, header, reserved, building, answer_bytes: 0, answer }
    }

    /// Waits for memory, in place of what the request has reserved so far.
    pub(crate) async fn reserve(&mut self, bytes: usize) {
        self.reserved = None;
        if bytes > UNRESERVED_BYTES_MAX {
            self.reserved = Some(self.broker.reserve(bytes).await);
        }
    }

    /// Takes memory at once, in place of what the request has reserved so far: requests behind it wait for its answer, and
    /// may hold what it would have to wait for.
    pub(crate) fn hold(&mut self, bytes: usize) {
        self.reserved = (bytes > UNRESERVED_BYTES_MAX).then(|| self.broker.hold(bytes));
    }

    /// The answer takes so many bytes more while it is built. Where that makes it a large one, waits until others are built
    /// and there is room.
    pub(crate) async fn grow(&mut self, bytes: usize) {
        self.answer_bytes += bytes;
        if self.answer_bytes <= FREE_ANSWER_BYTES_MAX {
            return;
        }
        if self.answer.is_none() {
            let turn = self.building.take().await;
            self.answer = Some((turn, self.broker.room_for_answer().await));
        }
        if let Some((_, held)) = &mut self.answer {
            held.resize(self.answer_bytes);
        }
    }

    /// An answer that is written element by element.
    pub(crate) fn elements(&self, response: &ResponseKind) -> Result<GuardedElements, Fatal> {
        let RequestHeader { api, version, correlation_id, .. } = self.header;
        GuardedElements::new(api, version, correlation_id, response).map_err(|_| Fatal)
    }

    /// Writes an element, and has the answer grow by it.
    pub(crate) async fn push(
        &mut self,
        answer: &mut GuardedElements,
        element: &impl Encodable,
    ) -> Result<(), Fatal> {
        let before = answer.len();
        answer.push(element).await.map_err(|_| Fatal)?;
        self.grow(answer.len() - before).await;
        Ok(())
    }

    /// The response: the encoded answer and what it holds until it is sent. One that cannot be encoded closes the
    /// connection.
    pub(crate) fn send(self, encoded: Encoded) -> Response {
        let held = self.answer.map(|(_, held)| held);
        Response::of(encoded, held)
    }
}
