//! Producers: pipelined, idempotent or not, acks = all.
//!
//! ```text
//!  window of requests ─► send in order ─► answers in order ─► acknowledged: forget
//!                              ▲                         └──► refused or lost: idempotent ones go again, in order
//!                              └────────────── once nothing is in flight ◄──┘
//! ```
//!
//! A plain producer never retries: what it does not know stays unknown.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use broker_kafka_wire::{
    ApiKey, PartitionProduceData, ProduceRequest, ProduceResponse, TopicProduceData,
};
use kafka_protocol::messages::{InitProducerIdRequest, RequestKind, ResponseKind};
use log_codec::Compression;
use log_types::PartitionId;

use crate::payload::{Codec, RecordId, Stamp, batch};
use crate::random::{between, index, one_in};
use crate::rpc::{Context, Lost, Rpc, TOPIC};

const VERSION: i16 = 9;
const OUT_OF_ORDER_SEQUENCE: i16 = 45;
const UNKNOWN_PRODUCER: i16 = 59;

/// How a producer behaves.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ProducerPlan {
    pub(crate) number: u32,
    pub(crate) idempotent: bool,
    /// Requests in flight.
    pub(crate) window: usize,
    /// Batches are compressed, with a codec that follows from the first record.
    pub(crate) compressed: bool,
    /// Compressed batches say that they are of another codec: a seeded bug.
    pub(crate) mislabelled: bool,
    /// A retry gets a fresh producer id and sequence, as if the broker had forgotten the old one: a seeded bug.
    pub(crate) forgotten_on_retry: bool,
}

struct Batch {
    partition: i32,
    ids: Vec<RecordId>,
    sequence: i32,
    floor: i64,
}

type Request = Vec<Batch>;

pub(crate) struct Producer {
    context: Context,
    plan: ProducerPlan,
    identity: Option<(i64, i16)>,
    sequences: BTreeMap<i32, i32>,
    numbers: u32,
    /// Not acknowledged, oldest first.
    pending: VecDeque<Request>,
    /// The broker has lost its sequence: like the real clients it gives up.
    fatal: bool,
}

impl Producer {
    pub(crate) fn new(context: Context, plan: ProducerPlan) -> Self {
        Self {
            context,
            plan,
            identity: None,
            sequences: BTreeMap::new(),
            numbers: 0,
            pending: VecDeque::new(),
            fatal: false,
        }
    }

    /// Produces until the scenario drains and everything that can be known is known.
    pub(crate) async fn run(mut self) {
        while !self.done() {
            let rpc = self.context.connect_to_topic().await;
            if self.plan.idempotent && self.identity.is_none() && self.init(&rpc).await.is_err() {
                continue;
            }
            if self.session(&rpc).await == Err(Lost) {
                self.lost();
                self.context.pause(5).await;
            }
        }
    }

    fn done(&self) -> bool {
        self.fatal || (self.context.draining.get() && self.pending.is_empty())
    }

    /// What was in flight when the connection ended.
    fn lost(&mut self) {
        if !self.plan.idempotent {
            self.pending.clear();
        }
        if self.plan.forgotten_on_retry {
            self.identity = None;
            self.sequences.clear();
        }
    }

    async fn init(&mut self, rpc: &Rpc) -> Result<(), Lost> {
        let request = InitProducerIdRequest::default()
            .with_transactional_id(None)
            .with_transaction_timeout_ms(60_000);
        let answer =
            rpc.call(ApiKey::InitProducerId, 4, RequestKind::InitProducerId(request)).await?;
        let ResponseKind::InitProducerId(answer) = answer else { return Err(Lost) };
        if answer.error_code != 0 {
            self.context
                .world
                .note(&format!("{}: no producer id: {}", self.context.name, answer.error_code));
            self.context.pause(20).await;
            return Err(Lost);
        }
        self.identity = Some((answer.producer_id.0, answer.producer_epoch));
        if self.plan.forgotten_on_retry {
            for request in &mut self.pending {
                for batch in request {
                    batch.sequence =
                        next_sequence(&mut self.sequences, batch.partition, batch.ids.len());
                }
            }
        }
        Ok(())
    }

    /// Works on one connection until it is lost or nothing is left to do.
    async fn session(&mut self, rpc: &Rpc) -> Result<(), Lost> {
        loop {
            // Everything pending goes again, then new requests until the window is full.
            let mut in_flight = 0;
            let mut refused = false;
            while in_flight < self.pending.len() {
                self.send(rpc, in_flight).await?;
                in_flight += 1;
            }
            let mut kept = 0;
            loop {
                while !refused
                    && in_flight + kept < self.plan.window
                    && !self.context.draining.get()
                {
                    self.think().await;
                    self.new_request();
                    self.send(rpc, in_flight).await?;
                    in_flight += 1;
                }
                if in_flight == 0 {
                    break;
                }
                let whole = self.take_answer(rpc, kept, refused).await?;
                if self.fatal {
                    return Ok(());
                }
                in_flight -= 1;
                if !whole {
                    refused = true;
                    kept += 1;
                }
            }
            if self.done() {
                return Ok(());
            }
            if refused {
                self.context.pause(between(&self.context.world.random.workload, 5, 50)).await;
            }
        }
    }

    /// Mostly at once, sometimes after a while: without it a run would be all load and few events.
    async fn think(&self) {
        let rng = &self.context.world.random.workload;
        if one_in(rng, 3) {
            let pause_us = between(rng, 50, 6_000);
            self.context.runtime.sleep(Duration::from_micros(pause_us)).await;
        }
    }

    fn new_request(&mut self) {
        let rng = &self.context.world.random.workload;
        let partitions = usize::try_from(self.context.partitions).expect("a few partitions");
        let count = if one_in(rng, 3) { 1 + index(rng, partitions) } else { 1 };
        let first = index(rng, partitions);
        let mut request = Vec::new();
        for at in 0..count {
            let partition = i32::try_from((first + at) % partitions).expect("a few partitions");
            let records = 1 + rng.below(4);
            let mut ids = Vec::new();
            let mut floor = 0;
            for _ in 0..records {
                let id = RecordId { producer: self.plan.number, number: self.numbers };
                self.numbers += 1;
                floor = self.context.history.sent(id, partition, self.plan.idempotent);
                ids.push(id);
            }
            let sequence = next_sequence(&mut self.sequences, partition, ids.len());
            request.push(Batch { partition, ids, sequence, floor });
        }
        self.pending.push_back(request);
    }

    /// The same for every attempt.
    fn codec(&self, ids: &[RecordId]) -> Codec {
        let all = Compression::ALL;
        let number = ids.first().map_or(0, |id| id.number) as usize;
        let codec = if self.plan.compressed { all[number % all.len()] } else { Compression::None };
        let other = if codec == Compression::Zstd { Compression::Lz4 } else { Compression::Zstd };
        let mislabelled = self.plan.mislabelled && codec != Compression::None;
        let compressed = u64::from(codec != Compression::None);
        self.context.history.count(|counts| counts.compressed += compressed);
        Codec { codec, label: if mislabelled { other } else { codec } }
    }

    async fn send(&self, rpc: &Rpc, at: usize) -> Result<(), Lost> {
        let now_ms = self.context.runtime.clock().wall_ms();
        let data = self.pending[at].iter().map(|pending| {
            let stamp =
                self.identity.map(|(id, epoch)| Stamp { id, epoch, sequence: pending.sequence });
            PartitionProduceData {
                partition: PartitionId(pending.partition),
                records: Some(batch(&pending.ids, stamp, now_ms, self.codec(&pending.ids))),
            }
        });
        let topic = TopicProduceData {
            name: TOPIC.to_owned(),
            partitions: data.collect(),
            ..TopicProduceData::default()
        };
        let request = ProduceRequest {
            acks: -1,
            timeout_ms: 30_000,
            topics: vec![topic],
            ..ProduceRequest::default()
        };
        let id = rpc.correlation_id();
        rpc.send(request.encode(VERSION, id, Some(&self.context.name))).await
    }

    /// Takes the answer to the request at `at`; `true` when all of it was settled.
    async fn take_answer(
        &mut self,
        rpc: &Rpc,
        at: usize,
        refused_before: bool,
    ) -> Result<bool, Lost> {
        let answer = rpc.answer(|body| ProduceResponse::decode(body, VERSION)).await?;
        let codes: BTreeMap<i32, (i16, i64)> = answer
            .topics
            .iter()
            .flat_map(|topic| &topic.partitions)
            .map(|answer| (answer.partition.0, (answer.error_code, answer.base_offset.0)))
            .collect();
        let history = Rc::clone(&self.context.history);
        let mut left = Vec::new();
        for batch in std::mem::take(&mut self.pending[at]) {
            match codes.get(&batch.partition) {
                Some((0, offset)) => {
                    history.acked(batch.partition, *offset, &batch.ids, batch.floor)
                }
                Some((code, _)) => {
                    let sequence_lost = *code == OUT_OF_ORDER_SEQUENCE && !refused_before;
                    if sequence_lost || *code == UNKNOWN_PRODUCER {
                        let (name, partition) = (&self.context.name, batch.partition);
                        history.violation(format!(
                            "L3: {name}: error {code} on partition {partition} without cause"
                        ));
                        self.fatal = true;
                    }
                    left.push(batch);
                }
                None => {
                    history
                        .violation(format!("wire: partition {} was not answered", batch.partition));
                }
            }
        }
        if left.is_empty() || !self.plan.idempotent {
            self.pending.remove(at);
            return Ok(true);
        }
        self.pending[at] = left;
        Ok(false)
    }
}

fn next_sequence(sequences: &mut BTreeMap<i32, i32>, partition: i32, count: usize) -> i32 {
    let next = sequences.entry(partition).or_default();
    let sequence = *next;
    *next += i32::try_from(count).expect("a few records");
    sequence
}
