//! A topic that comes and goes while it is produced to: what is deleted stays away, in every later topic of the name too.
//!
//! ```text
//!  create ─► produce, produce, … ─► read all ─► produce, delete, produce (in flight together) ─► create …
//!     └── a lost answer: the topic may be there or not ◄──┘
//! ```
//!
//! A deletion whose answer was lost may take effect later than what is asked on the next connection (`lost`). Retention may
//! delete here as anywhere: the node goes by its own clock, which may be a minute ahead of the one that stamps the records.

use std::collections::BTreeMap;

use broker_kafka_wire::{
    ApiKey, FetchPartition, FetchPartitionResponse, FetchRequest, FetchResponse, FetchTopic,
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsResponse, ListOffsetsTopic,
    ProduceRequest, ProduceResponse,
};
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::{
    CreateTopicsRequest, DeleteTopicsRequest, RequestKind, ResponseKind, TopicName,
};
use kafka_protocol::protocol::StrBytes;
use log_codec::Compression;
use log_types::{Offset, PartitionId};

use crate::payload::{Codec, RecordId, batch, parse};
use crate::random::between;
use crate::rpc::{Context, Lost, Rpc};

mod lost;

use lost::LostDeletions;

const NAME: &str = "churn";
/// Tells the records of this client from those of the producers.
const PRODUCER: u32 = 1_000;
const PLAIN: Codec = Codec { codec: Compression::None, label: Compression::None };
const OFFSET_OUT_OF_RANGE: i16 = 1;
const UNKNOWN_TOPIC: i16 = 3;
const TOPIC_EXISTS: i16 = 36;
const STORAGE_ERROR: i16 = 56;
/// What ListOffsets asks for.
const EARLIEST: i64 = -2;
/// How often a reader goes on where the log starts by then, when retention is faster.
const READS_MAX: usize = 3;

/// What is known of the topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Absent,
    Present,
    Unknown,
}

pub(crate) struct Churn {
    context: Context,
    /// Deletes are not sent and count as done: a seeded bug.
    keeping: bool,
    state: State,
    /// Number of the next record.
    next: u32,
    /// Number of the first record that this topic may hold.
    first: u32,
    /// What was acknowledged of this topic, by offset.
    acked: BTreeMap<i64, RecordId>,
    lost: LostDeletions,
    /// A deletion was sent and not answered.
    deleting: bool,
}

impl Churn {
    pub(crate) fn new(context: Context, keeping: bool) -> Self {
        let (state, acked) = (State::Absent, BTreeMap::new());
        let lost = LostDeletions::default();
        Self { context, keeping, state, next: 0, first: 0, acked, lost, deleting: false }
    }

    /// Goes on until the scenario drains.
    pub(crate) async fn run(mut self) {
        while !self.context.draining.get() {
            let rpc = self.context.connect().await;
            let start = self.context.node.starts();
            while !self.context.draining.get() {
                if self.round(&rpc).await == Err(Lost) {
                    if std::mem::take(&mut self.deleting) {
                        self.lost.add(start);
                    }
                    break;
                }
                self.context.pause(between(&self.context.world.random.workload, 1, 40)).await;
            }
        }
    }

    fn violation(&self, text: &str) {
        self.context.history.violation(text.to_owned());
    }

    async fn round(&mut self, rpc: &Rpc) -> Result<(), Lost> {
        if self.state != State::Present && !self.create(rpc).await? {
            return Ok(());
        }
        for _ in 0..3 {
            let id = self.send_batch(rpc).await?;
            self.take_produced(rpc, id).await?;
        }
        self.read(rpc).await?;
        if self.state != State::Present {
            return Ok(());
        }
        let before = self.send_batch(rpc).await?;
        if self.keeping {
            self.take_produced(rpc, before).await?;
            self.forget();
            return Ok(());
        }
        let was = std::mem::replace(&mut self.state, State::Unknown);
        self.deleting = true;
        self.send_delete(rpc).await?;
        let after = self.send_batch(rpc).await?;
        self.take_produced(rpc, before).await?;
        self.take_deleted(rpc, was).await?;
        self.take_produced(rpc, after).await
    }

    /// The topic is gone, and everything in it.
    fn forget(&mut self) {
        self.state = State::Absent;
        self.acked.clear();
    }

    /// Takes note that the topic is not there; `false` when nothing explains that.
    fn gone(&mut self) -> bool {
        let explained = self.lost.take_effect(self.context.node.starts());
        if explained {
            self.forget();
        }
        explained
    }

    /// Whether the topic is there now.
    async fn create(&mut self, rpc: &Rpc) -> Result<bool, Lost> {
        let was = std::mem::replace(&mut self.state, State::Unknown);
        let topic = CreatableTopic::default()
            .with_name(TopicName(StrBytes::from_static_str(NAME)))
            .with_num_partitions(1)
            .with_replication_factor(1);
        let request = CreateTopicsRequest::default().with_topics(vec![topic]);
        let answer = rpc.call(ApiKey::CreateTopics, 5, RequestKind::CreateTopics(request)).await?;
        let ResponseKind::CreateTopics(answer) = answer else { return Err(Lost) };
        match answer.topics.first().map_or(-1, |topic| topic.error_code) {
            0 => {
                if was == State::Unknown {
                    // A topic that is created anew was gone: a lost deletion, if there was one, has done its work.
                    self.lost.take_effect(self.context.node.starts());
                }
                self.first = self.next;
                self.acked.clear();
                self.state = State::Present;
            }
            TOPIC_EXISTS if was == State::Unknown => {
                // It may be a later one than that of which something was acknowledged.
                self.acked.clear();
                self.state = State::Present;
            }
            STORAGE_ERROR => self.state = was,
            code => {
                self.violation(&format!("T: error {code} on the creation of a topic in {was:?}"))
            }
        }
        Ok(self.state == State::Present)
    }

    async fn send_batch(&mut self, rpc: &Rpc) -> Result<RecordId, Lost> {
        let id = RecordId { producer: PRODUCER, number: self.next };
        self.next += 1;
        let now_ms = self.context.runtime.clock().wall_ms();
        let batch = batch(&[id], None, now_ms, PLAIN);
        let request = ProduceRequest::of_batch(NAME, PartitionId(0), batch);
        let correlation = rpc.correlation_id();
        rpc.send(request.encode(9, correlation, Some(&self.context.name))).await?;
        Ok(id)
    }

    async fn take_produced(&mut self, rpc: &Rpc, id: RecordId) -> Result<(), Lost> {
        let answer = rpc.answer(|body| ProduceResponse::decode(body, 9)).await?;
        let answers = answer.topics.iter().flat_map(|topic| &topic.partitions);
        for answer in answers {
            match answer.error_code {
                0 if self.state == State::Present => {
                    self.acked.insert(answer.base_offset.0, id);
                }
                UNKNOWN_TOPIC if self.state == State::Present && !self.gone() => {
                    self.violation("T: a topic that was created is unknown");
                }
                _ => {}
            }
        }
        Ok(())
    }

    async fn send_delete(&self, rpc: &Rpc) -> Result<(), Lost> {
        let names = vec![TopicName(StrBytes::from_static_str(NAME))];
        let request = DeleteTopicsRequest::default().with_topic_names(names);
        let request = RequestKind::DeleteTopics(request.with_timeout_ms(30_000));
        rpc.start(ApiKey::DeleteTopics, 5, &request).await
    }

    async fn take_deleted(&mut self, rpc: &Rpc, was: State) -> Result<(), Lost> {
        let answer = rpc.guarded_answer(ApiKey::DeleteTopics, 5).await?;
        let ResponseKind::DeleteTopics(answer) = answer else { return Err(Lost) };
        self.deleting = false;
        match answer.responses.first().map_or(-1, |topic| topic.error_code) {
            0 => {
                self.context.history.count(|counts| counts.topics_deleted += 1);
                self.forget();
            }
            STORAGE_ERROR => self.state = was,
            UNKNOWN_TOPIC if self.gone() => {}
            code => self.violation(&format!("T: error {code} on the deletion of a topic")),
        }
        Ok(())
    }

    /// Reads the topic from its start: nothing of an earlier one, and everything that was acknowledged.
    async fn read(&mut self, rpc: &Rpc) -> Result<(), Lost> {
        let mut from = 0;
        for _ in 0..READS_MAX {
            if self.state != State::Present {
                return Ok(());
            }
            let Some(answer) = self.fetch(rpc, from).await? else { return Ok(()) };
            match answer.error_code {
                0 => {
                    match parse(&answer.records.0.concat()) {
                        Ok(records) => self.check(&records),
                        Err(what) => self.violation(&format!("L2: {NAME}: {what}")),
                    }
                    return Ok(());
                }
                OFFSET_OUT_OF_RANGE if self.context.history.may_retain() => {
                    let Some(start) = self.log_start(rpc).await? else { return Ok(()) };
                    if start <= from {
                        self.violation(&format!(
                            "F5: {from} is out of range: {NAME}/{start} is the first"
                        ));
                        return Ok(());
                    }
                    self.acked = self.acked.split_off(&start);
                    from = start;
                }
                UNKNOWN_TOPIC if self.gone() => return Ok(()),
                // Rot may hit this topic as any other.
                code => {
                    self.context.fetch_refused(0, code);
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    async fn fetch(&self, rpc: &Rpc, from: i64) -> Result<Option<FetchPartitionResponse>, Lost> {
        let partition = FetchPartition {
            partition: PartitionId(0),
            fetch_offset: Offset(from),
            partition_max_bytes: 1 << 20,
            ..FetchPartition::default()
        };
        let topic = FetchTopic {
            topic: NAME.to_owned(),
            partitions: vec![partition],
            ..FetchTopic::default()
        };
        let request =
            FetchRequest { max_bytes: 1 << 20, topics: vec![topic], ..FetchRequest::default() };
        let id = rpc.correlation_id();
        rpc.send(request.encode(12, id, Some(&self.context.name))).await?;
        let answer = rpc.answer(|body| FetchResponse::decode(body, 12)).await?;
        Ok(answer.topics.into_iter().flat_map(|topic| topic.partitions).next())
    }

    /// Where the log starts; `None` when that is refused.
    async fn log_start(&self, rpc: &Rpc) -> Result<Option<i64>, Lost> {
        let partition = ListOffsetsPartition {
            partition: PartitionId(0),
            timestamp: EARLIEST,
            ..ListOffsetsPartition::default()
        };
        let topic = ListOffsetsTopic { name: NAME.to_owned(), partitions: vec![partition] };
        let request = ListOffsetsRequest { topics: vec![topic], ..ListOffsetsRequest::default() };
        let id = rpc.correlation_id();
        rpc.send(request.encode(7, id, Some(&self.context.name))).await?;
        let answer = rpc.answer(|body| ListOffsetsResponse::decode(body, 7)).await?;
        let answer = answer.topics.into_iter().flat_map(|topic| topic.partitions).next();
        Ok(answer.filter(|answer| answer.error_code == 0).map(|answer| answer.offset.0))
    }

    fn check(&self, records: &[(i64, RecordId)]) {
        for (offset, id) in records {
            if id.producer != PRODUCER || id.number < self.first {
                let first = self.first;
                self.violation(&format!(
                    "L2: {id:?} at offset {offset} of {NAME} is of an earlier topic: {first} is the first"
                ));
            }
        }
        let Some((last, _)) = records.last() else { return };
        for (offset, id) in self.acked.range(..=last) {
            if !records.contains(&(*offset, *id)) {
                self.violation(&format!(
                    "L1: {id:?} was acknowledged at {NAME}/{offset} and is gone"
                ));
            }
        }
    }
}
