//! A Kafka client's connection: frames out, answers in order, and one time limit for all of it.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use broker_kafka_wire::{
    ApiKey, Frame, MetadataRequest, MetadataRequestTopic, MetadataResponse, WireError,
    decode_trusted_response, encode_guarded_request,
};
use broker_rt::{Connection, Runtime, connect_timeout, read_exact, write_all};
use bytes::Bytes;
use futures_util::future::{Either, select};
use kafka_protocol::messages::{RequestKind, ResponseKind};

use crate::check::History;
use crate::node::{NODE_ADDR, SimNode};
use crate::world::World;

/// The topic of every workload.
pub(crate) const TOPIC: &str = "events";

/// How long a client waits for an answer before it gives the connection up.
const ANSWER_WAIT: Duration = Duration::from_secs(8);
/// What a fetch says when stored bytes fail their checks.
const CORRUPT_MESSAGE: i16 = 2;
/// Longest answer a client takes.
const ANSWER_BYTES_MAX: usize = 8 << 20;

/// What every client has.
#[derive(Clone)]
pub(crate) struct Context {
    pub(crate) world: Rc<World>,
    pub(crate) runtime: Rc<dyn Runtime>,
    pub(crate) history: Rc<History>,
    pub(crate) node: Rc<SimNode>,
    pub(crate) name: Rc<str>,
    pub(crate) partitions: i32,
    /// The scenario is over for producers: send nothing new.
    pub(crate) draining: Rc<Cell<bool>>,
    /// The scenario is over for consumers.
    pub(crate) stopping: Rc<Cell<bool>>,
    /// A bit of the stored log is wrong at the moment: reads of it may be refused.
    pub(crate) rotten: Rc<Cell<bool>>,
}

/// The connection is gone, or too slow to be waited for. Whether the requests in flight took effect is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lost;

pub(crate) struct Rpc {
    context: Context,
    connection: Rc<dyn Connection>,
    next_id: Cell<i32>,
    next_answer: Cell<i32>,
}

impl Context {
    /// Waits for so many milliseconds.
    pub(crate) async fn pause(&self, ms: u64) {
        self.runtime.sleep(Duration::from_millis(ms)).await;
    }

    /// A fetch was answered with an error for a partition that exists.
    pub(crate) fn fetch_refused(&self, partition: i32, code: i16) {
        if code == CORRUPT_MESSAGE && self.rotten.get() {
            return;
        }
        let name = &self.name;
        self.history
            .violation(format!("F5: {name}: error {code} on a fetch of partition {partition}"));
    }

    /// Connects, again and again until it works.
    pub(crate) async fn connect(&self) -> Rpc {
        loop {
            let connecting = connect_timeout(&*self.runtime, NODE_ADDR, Duration::from_secs(2));
            match connecting.await {
                Ok(connection) => {
                    return Rpc {
                        context: self.clone(),
                        connection,
                        next_id: Cell::new(0),
                        next_answer: Cell::new(0),
                    };
                }
                Err(_) => self.pause(20).await,
            }
        }
    }

    /// Connects and makes sure that the topic exists.
    pub(crate) async fn connect_to_topic(&self) -> Rpc {
        loop {
            let rpc = self.connect().await;
            if rpc.topic_is_there().await == Ok(true) {
                return rpc;
            }
            self.pause(20).await;
        }
    }
}

impl Rpc {
    /// Sends a frame; the answers come in the order of the requests.
    pub(crate) async fn send(&self, frame: Result<Frame, WireError>) -> Result<(), Lost> {
        let bytes = frame.expect("a client's own request encodes").to_bytes();
        self.within(write_all(&*self.connection, &bytes)).await
    }

    /// The id for the next frame.
    pub(crate) fn correlation_id(&self) -> i32 {
        let id = self.next_id.get();
        self.next_id.set(id + 1);
        id
    }

    /// The oldest answer that has not been taken.
    pub(crate) async fn answer<T>(
        &self,
        decode: impl FnOnce(&Bytes) -> Result<(i32, T), WireError>,
    ) -> Result<T, Lost> {
        let mut size = [0u8; 4];
        self.within(read_exact(&*self.connection, &mut size)).await?;
        let size = usize::try_from(u32::from_be_bytes(size)).expect("32 bits fit");
        if size > ANSWER_BYTES_MAX {
            self.context.history.violation(format!("wire: an answer of {size} bytes"));
            return Err(Lost);
        }
        let mut body = vec![0; size];
        self.within(read_exact(&*self.connection, &mut body)).await?;
        let expected = self.next_answer.get();
        self.next_answer.set(expected + 1);
        match decode(&Bytes::from(body)) {
            Ok((id, answer)) if id == expected => Ok(answer),
            Ok((id, _)) => {
                self.context
                    .history
                    .violation(format!("wire: answer {id} where {expected} is due"));
                Err(Lost)
            }
            Err(error) => {
                self.context.history.violation(format!("wire: {error}"));
                Err(Lost)
            }
        }
    }

    /// Sends a request of the APIs without an own codec and waits for its answer.
    pub(crate) async fn call(
        &self,
        api: ApiKey,
        version: i16,
        request: RequestKind,
    ) -> Result<ResponseKind, Lost> {
        self.start(api, version, &request).await?;
        self.guarded_answer(api, version).await
    }

    /// Sends a request of the APIs without an own codec.
    pub(crate) async fn start(
        &self,
        api: ApiKey,
        version: i16,
        request: &RequestKind,
    ) -> Result<(), Lost> {
        let id = self.correlation_id();
        let name = Rc::clone(&self.context.name);
        self.send(encode_guarded_request(api, version, id, Some(&name), request)).await
    }

    /// The answer to a request of [`Rpc::start`].
    pub(crate) async fn guarded_answer(
        &self,
        api: ApiKey,
        version: i16,
    ) -> Result<ResponseKind, Lost> {
        self.answer(|body| decode_trusted_response(api, version, body)).await
    }

    async fn topic_is_there(&self) -> Result<bool, Lost> {
        let topic = MetadataRequestTopic {
            name: Some(TOPIC.to_owned()),
            ..MetadataRequestTopic::default()
        };
        let request = MetadataRequest { topics: Some(vec![topic]), ..MetadataRequest::default() };
        let id = self.correlation_id();
        self.send(request.encode(9, id, Some(&self.context.name))).await?;
        let response = self.answer(|body| MetadataResponse::decode(body, 9)).await?;
        Ok(response.topics.iter().any(|topic| {
            topic.error_code == 0
                && topic.partitions.len() as u64
                    == u64::from(self.context.partitions.unsigned_abs())
        }))
    }

    async fn within(&self, io: impl Future<Output = std::io::Result<()>>) -> Result<(), Lost> {
        let limit = self.context.runtime.sleep(ANSWER_WAIT);
        match select(Box::pin(io), limit).await {
            Either::Left((Ok(()), _)) => Ok(()),
            Either::Left((Err(_), _)) => Err(Lost),
            Either::Right(_) => {
                self.context.world.note(&format!("{}: no answer in time", self.context.name));
                Err(Lost)
            }
        }
    }
}
