//! One Kafka connection: a reader task and a writer task around a pipeline.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use broker_kafka::{Begun, Handler, Peer, Response, UNWEIGHED_BYTES_MAX};
use broker_rt::{Queue, write_all_vectored};
use bytes::Bytes;
use futures_channel::oneshot::{self, Canceled};
use futures_util::future::{Either, select};
use log_io::LocalFuture;

use super::intake::Intake;
use super::progress::HeldBack;
use super::{Live, PIPELINE_BYTES_MAX, PIPELINE_MAX};
use crate::core::Core;
use crate::fair::fair;
use crate::limits::Lease;
use crate::pipeline::Pipeline;
use crate::spawned::{Started, start};

/// A request's body must arrive within this, plus its size over the rate below.
const BODY_SECONDS_MAX: u64 = 30;
/// Slowest rate at which a large body may arrive.
const BODY_BYTES_PER_SECOND_MIN: u64 = 64 << 10;
/// Written at a time, in bytes; other tasks run in between. Smaller pieces cost throughput: a quarter at 256 KiB.
const WRITE_BYTES_MAX: usize = 1 << 20;
/// Requests up to this size do not wait for the core's memory budget: the pipeline's limit covers them.
const SMALL_REQUEST_BYTES: usize = 64 << 10;

/// A started request: its answer, and its place among those of the connection.
struct InFlight {
    answer: Started<Response>,
    api_key: i16,
    started_ns: u64,
    /// Lets the next request of the connection that may answer much begin, when it is dropped: this one was answered.
    turn: Option<oneshot::Sender<()>>,
    only_reads: bool,
}

pub(super) struct KafkaConnection {
    core: Rc<Core>,
    handler: Rc<Handler>,
    live: Rc<Live>,
    peer: Rc<Peer>,
    pipeline: Pipeline<InFlight>,
    /// Ends when the last request that may answer much has been answered.
    last_turn: RefCell<Option<oneshot::Receiver<()>>>,
}

impl KafkaConnection {
    pub(super) fn new(core: Rc<Core>, handler: Rc<Handler>, live: Rc<Live>) -> Rc<Self> {
        let peer = Rc::new(Peer::new(live.connection.peer()));
        let pipeline = Pipeline::new(PIPELINE_MAX, PIPELINE_BYTES_MAX);
        Rc::new(Self { core, handler, live, peer, pipeline, last_turn: RefCell::default() })
    }

    /// Serves until either side closes.
    pub(super) async fn serve(self: Rc<Self>) {
        let writer = Rc::clone(&self).write_loop();
        self.core.runtime.spawn(Queue::Latency, "kafka-writer", Box::pin(writer));
        if let Err(reason) = self.read_loop().await {
            tracing::debug!(peer = %self.live.connection.peer(), reason, "connection closed");
        }
        self.peer.leave();
        self.pipeline.close();
    }

    async fn read_loop(self: &Rc<Self>) -> Result<(), &'static str> {
        let live = Rc::clone(&self.live);
        let clock = self.core.runtime.clock();
        let arrived = move |count| live.progress.arrived(clock.mono_ns(), count);
        let mut intake = Intake::new(Rc::clone(&self.live.connection), arrived);
        while let Some(size) = intake.size().await.map_err(|broken| broken.reason())? {
            if size > self.core.shared.settings.request_bytes_max {
                return Err("request larger than socket.request.max.bytes");
            }
            if !self.pipeline.room().await {
                return Ok(());
            }
            let lease = match size {
                0..=SMALL_REQUEST_BYTES => None,
                _ => Some(self.core.memory.take(size).await),
            };
            if lease.is_some() {
                self.live.progress.receives(self.core.runtime.clock().mono_ns());
            }
            let body = self.body_in_time(&mut intake, size).await?;
            self.live.progress.received();
            self.begin(body, lease).await?;
        }
        Ok(())
    }

    /// Starts a request; what must happen in the order of the requests, such as taking a place in the log, happens here.
    async fn begin(self: &Rc<Self>, body: Bytes, lease: Option<Lease>) -> Result<(), &'static str> {
        let (bytes, started_ns) = (body.len(), self.core.runtime.clock().mono_ns());
        self.live.progress.busy.set(true);
        let begin = Rc::clone(&self.handler).begin(&self.peer, body);
        // What is decoded as it comes has no yields that should let sockets in.
        let begun = match bytes > UNWEIGHED_BYTES_MAX {
            true => Box::pin(fair(self.core.yielding.clone(), begin)).await,
            false => begin.await,
        };
        let Begun { api_key, answering, only_reads, in_turn, bytes: decoded_bytes } =
            begun.map_err(|_| "malformed request")?;
        let (answering, turn) = match in_turn {
            true => {
                self.live.progress.began(api_key);
                self.one_at_a_time(answering, lease.is_some() || decoded_bytes > 0)
            }
            false => (answering, None),
        };
        let answer = match start(answering) {
            Started::Waiting(rest) => {
                Started::Waiting(self.run_on_its_own(rest, only_reads, lease))
            }
            Started::Done(response) => {
                self.pipeline.grow(size_of(&response));
                Started::Done(response)
            }
        };
        let in_flight = InFlight { answer, api_key, started_ns, turn, only_reads };
        self.pipeline.push(in_flight, bytes + decoded_bytes);
        Ok(())
    }

    /// A request that may answer much begins when the one before it has been answered: what it answers is memory until the
    /// client takes it. The sender goes when this one has been answered. `holds`: it has memory that others may wait for.
    fn one_at_a_time(
        &self,
        answering: LocalFuture<'static, Response>,
        holds: bool,
    ) -> (LocalFuture<'static, Response>, Option<oneshot::Sender<()>>) {
        let (tx, rx) = oneshot::channel();
        let Some(mut before) = self.last_turn.replace(Some(rx)) else {
            return (answering, Some(tx));
        };
        if matches!(before.try_recv(), Err(Canceled)) {
            return (answering, Some(tx));
        }
        let clock = self.core.runtime.clock();
        let held_back = holds.then(|| HeldBack::new(&self.live, clock.mono_ns()));
        let in_turn = async move {
            // It is only ever dropped.
            let _ = before.await;
            if let Some(held_back) = held_back {
                held_back.goes_on(clock.mono_ns());
            }
            answering.await
        };
        (Box::pin(in_turn), Some(tx))
    }

    /// Reads a request's body, whose sender holds memory and must therefore make progress.
    async fn body_in_time<F: Fn(usize)>(
        &self,
        intake: &mut Intake<F>,
        size: usize,
    ) -> Result<Bytes, &'static str> {
        if intake.holds(size) {
            return intake.body(size).await.map_err(|broken| broken.reason());
        }
        let seconds = BODY_SECONDS_MAX + size as u64 / BODY_BYTES_PER_SECOND_MIN;
        let time_out = self.core.runtime.sleep(Duration::from_secs(seconds));
        let reading = pin!(intake.body(size));
        match select(reading, time_out).await {
            Either::Left((body, _)) => body.map_err(|broken| broken.reason()),
            Either::Right(((), _)) => Err("request body too slow"),
        }
    }

    /// Gives the rest of a request a task of its own: it may hold what other connections wait for, so it must go on
    /// while earlier responses of this connection are still being awaited or written, and when the peer has gone unless
    /// it only reads. `lease` is the memory of its bytes, given back when it is done and not when the client takes its answer.
    fn run_on_its_own(
        self: &Rc<Self>,
        rest: LocalFuture<'static, Response>,
        only_reads: bool,
        lease: Option<Lease>,
    ) -> LocalFuture<'static, Response> {
        let (mut tx, rx) = oneshot::channel();
        let connection = Rc::downgrade(self);
        let rest = fair(self.core.yielding.clone(), rest);
        let run = async move {
            let response = match only_reads {
                true => match select(pin!(rest), tx.cancellation()).await {
                    Either::Left((response, _)) => response,
                    Either::Right(((), _)) => return,
                },
                false => rest.await,
            };
            drop(lease);
            if let Some(connection) = connection.upgrade() {
                connection.pipeline.grow(size_of(&response));
            }
            // The connection may have ended; the request's effects stand all the same.
            let _ = tx.send(response);
        };
        self.core.runtime.spawn(Queue::Latency, "kafka-request", Box::pin(run));
        Box::pin(async move { rx.await.unwrap_or(Response::Close) })
    }

    async fn write_loop(self: Rc<Self>) {
        while let Some((request, bytes)) = self.pipeline.pop().await {
            let response = match request.answer {
                Started::Done(response) => response,
                Started::Waiting(rest) if request.only_reads => {
                    match select(rest, pin!(self.pipeline.ended())).await {
                        Either::Left((response, _)) => response,
                        // Nobody is there to take it.
                        Either::Right(((), _)) => break,
                    }
                }
                Started::Waiting(rest) => rest.await,
            };
            let held = bytes + size_of(&response);
            let written = match response {
                Response::Send(chunks, _held) => self.write(chunks).await,
                Response::Nothing => true,
                Response::Close => false,
            };
            if request.turn.is_some() {
                self.live.progress.ended(request.api_key);
            }
            self.core.observe(request.api_key, request.started_ns);
            self.pipeline.done(held);
            self.live.progress.busy.set(!self.pipeline.is_idle());
            if !written {
                break;
            }
        }
        self.peer.leave();
        self.pipeline.close();
        self.live.connection.close();
        self.core.release(self.live.connection.peer().ip());
    }

    /// Writes a response piece by piece, so that a peer that takes some of it counts as alive.
    async fn write(&self, mut chunks: VecDeque<Bytes>) -> bool {
        self.live.progress.writing_since_ns.set(Some(self.core.runtime.clock().mono_ns()));
        let mut written = true;
        while written && !chunks.is_empty() {
            let piece = take_piece(&mut chunks);
            written = write_all_vectored(&*self.live.connection, piece).await.is_ok();
            self.live.progress.last_ns.set(self.core.runtime.clock().mono_ns());
            if !chunks.is_empty() {
                self.core.runtime.yield_now().await;
            }
        }
        self.live.progress.writing_since_ns.set(None);
        written
    }
}

/// Bytes that an answer holds until it is written.
fn size_of(response: &Response) -> usize {
    match response {
        Response::Send(chunks, _) => chunks.iter().map(Bytes::len).sum(),
        Response::Nothing | Response::Close => 0,
    }
}

/// Up to [`WRITE_BYTES_MAX`] from the front.
fn take_piece(chunks: &mut VecDeque<Bytes>) -> VecDeque<Bytes> {
    let mut piece = VecDeque::new();
    let mut left = WRITE_BYTES_MAX;
    while left > 0 {
        let Some(first) = chunks.front_mut() else { break };
        if first.len() > left {
            piece.push_back(first.split_to(left));
            break;
        }
        left -= first.len();
        piece.extend(chunks.pop_front());
    }
    piece
}
