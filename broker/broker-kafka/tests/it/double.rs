//! A broker in memory: the real catalog, partitions and group coordinator, with lists for a disk and a clock that stands.
//!
//! - `sleep` is over at once, unless a test wants to end it, and `watch` never: a fetch that has to wait times out immediately.
//! - Everything is durable at once.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::{pending, ready};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use broker_core::catalog::{Catalog, CatalogRecord, PartitionPlace, Topic};
use broker_core::config::{BrokerConfigs, TopicConfig};
use broker_core::group::{GroupConfig, Groups, Outputs, ReplyBody, ReplyTo};
use broker_core::partition::{AppendError, AppendRules, NotOpened, Partition, Verdict, open};
use broker_kafka::broker::{
    AppendRequest, Appended, Broker, CALL_PARTITIONS_MAX, CatalogCommand, CatalogFailure, Fatal,
    FetchOffsets, FoundOffset, GroupAnswer, GroupCall, Held, Identity, LogDir, OffsetQuery,
    PartitionError, PartitionSize, ReadReplies, ReadReply, ReadRequest, Reserved, WantedOffsets,
};
use bytes::Bytes;
use futures_channel::oneshot;
use log_io::LocalFuture;
use log_types::{LeaderEpoch, Offset, StreamId};

pub(crate) const NODE_ID: i32 = 1;
pub(crate) const EPOCH: LeaderEpoch = LeaderEpoch(3);
pub(crate) const NOW_MS: i64 = 1_700_000_000_000;

#[derive(Default)]
struct Log {
    partition: Partition,
    batches: Vec<(Offset, Bytes)>,
}

pub(crate) struct Double {
    catalog: RefCell<Arc<Catalog>>,
    pub(crate) fixed: RefCell<BTreeMap<String, String>>,
    logs: RefCell<BTreeMap<StreamId, Log>>,
    groups: RefCell<Groups>,
    asked: RefCell<BTreeMap<ReplyTo, oneshot::Sender<GroupAnswer>>>,
    next: Cell<u64>,
    /// The coordinator answers that it cannot log.
    pub(crate) unavailable: Cell<bool>,
    /// Catalog changes find the disk full.
    pub(crate) disk_full: Cell<bool>,
    /// An older catalog that the handlers still see, as on a core that has not been told of a change yet.
    stale: RefCell<Option<Arc<Catalog>>>,
    /// What requests have reserved, in bytes.
    pub(crate) reserved: RefCell<Vec<usize>>,
    /// How each large answer has grown, in bytes.
    pub(crate) answers: Rc<RefCell<Vec<Vec<usize>>>>,
    /// For each change of the catalog how many large answers had been begun before it.
    pub(crate) changed_after: RefCell<Vec<usize>>,
    pub(crate) slept: RefCell<Vec<Duration>>,
    /// Who sleeps until the test says so; `None`: nobody does.
    pub(crate) sleepers: RefCell<Option<Vec<oneshot::Sender<()>>>>,
    /// Batches of each append, and partitions of each commit, fetch or deletion of offsets.
    pub(crate) appends: RefCell<Vec<usize>>,
    /// Whether each batch that was appended had been looked at before.
    pub(crate) seen: RefCell<Vec<bool>>,
    pub(crate) calls: RefCell<Vec<usize>>,
    /// How many bytes each read was to give at most.
    pub(crate) read_bytes_max: RefCell<Vec<usize>>,
}

impl Double {
    pub(crate) fn new() -> Rc<Self> {
        let config = GroupConfig { initial_rebalance_delay_ms: 0, ..GroupConfig::default() };
        Rc::new(Self {
            catalog: RefCell::new(Arc::new(Catalog::new())),
            fixed: RefCell::default(),
            logs: RefCell::default(),
            groups: RefCell::new(Groups::new(config)),
            asked: RefCell::default(),
            next: Cell::new(1),
            unavailable: Cell::new(false),
            disk_full: Cell::new(false),
            stale: RefCell::default(),
            reserved: RefCell::default(),
            answers: Rc::default(),
            changed_after: RefCell::default(),
            slept: RefCell::default(),
            sleepers: RefCell::default(),
            appends: RefCell::default(),
            seen: RefCell::default(),
            calls: RefCell::default(),
            read_bytes_max: RefCell::default(),
        })
    }

    fn count(&self) -> u64 {
        self.next.set(self.next.get() + 1);
        self.next.get()
    }

    fn plan(&self, command: CatalogCommand) -> Result<CatalogRecord, CatalogFailure> {
        if self.disk_full.get() {
            return Err(CatalogFailure::DiskFull);
        }
        let catalog = Arc::clone(&self.catalog.borrow());
        let broker = self.broker_config_of(&catalog);
        let planned = match command {
            CatalogCommand::CreateTopic(spec) => {
                let random = u128::from(self.count());
                catalog.plan_topic(spec, 1, random).map(|planned| planned.record)
            }
            CatalogCommand::DeleteTopic(topic) => catalog.plan_deletion(&topic),
            CatalogCommand::AddPartitions { name, count } => {
                catalog.plan_partitions(&name, count, 1)
            }
            CatalogCommand::ConfigureTopic { name, id, change } => {
                catalog.plan_topic_configs(&name, id, &change, &broker)
            }
            CatalogCommand::ConfigureBroker(change) => {
                catalog.plan_broker_configs(&change, &broker)
            }
            CatalogCommand::DeclareTable { .. } | CatalogCommand::DropTable { .. } => {
                unreachable!("no Kafka request declares tables")
            }
        };
        planned.map_err(CatalogFailure::Refused)
    }

    fn broker_config_of(&self, catalog: &Catalog) -> BrokerConfigs {
        let dynamic = catalog.broker_configs.as_ref().clone();
        BrokerConfigs { fixed: self.fixed.borrow().clone(), dynamic }
    }

    /// Handlers see this catalog instead of the newest, until told otherwise.
    pub(crate) fn show_catalog(&self, catalog: Option<Arc<Catalog>>) {
        self.stale.replace(catalog);
    }

    fn append_one(&self, request: &AppendRequest) -> Result<Appended, PartitionError> {
        let mut logs = self.logs.borrow_mut();
        let log = logs.entry(request.place.stream).or_default();
        let rules = AppendRules::from(&*request.config);
        let verdict = log.partition.check_opened(&request.batch, request.opened, &rules, NOW_MS);
        match verdict.map_err(PartitionError::Append)? {
            Verdict::Duplicate { base_offset, timestamp } => Ok(Appended {
                base_offset,
                log_append_time_ms: timestamp,
                log_start: log.partition.log_start(),
            }),
            Verdict::Append(prepared) => {
                let base_offset = log.partition.end();
                let prefix =
                    log_record::patched_prefix(&prepared.batch, base_offset, EPOCH).unwrap();
                let stored = [&prefix[..], &prepared.batch[prefix.len()..]].concat();
                log.partition.record_append(&prepared.header, base_offset, EPOCH);
                let end = log.partition.end();
                log.partition.raise_visible(end);
                log.batches.push((end, Bytes::from(stored)));
                let log_start = log.partition.log_start();
                Ok(Appended { base_offset, log_append_time_ms: -1, log_start })
            }
        }
    }

    fn read_one(&self, request: &ReadRequest) -> Result<ReadReply, PartitionError> {
        check_epoch(request.current_epoch)?;
        let mut logs = self.logs.borrow_mut();
        let log = logs.entry(request.place.stream).or_default();
        let (log_start, visible) = (log.partition.log_start(), log.partition.visible());
        if request.offset < log_start || request.offset > visible {
            return Err(PartitionError::OutOfRange);
        }
        let (epochs, last) = (log.partition.epochs(), request.last_fetched_epoch);
        let diverging = epochs.divergence(last, request.offset, EPOCH, visible);
        let diverging = diverging.filter(|_| last.0 >= 0);
        let batches = log.batches.iter().filter(|(end, _)| *end > request.offset);
        let batches = batches.filter(|_| diverging.is_none()).map(|(_, batch)| batch.clone());
        Ok(ReadReply { visible, log_start, batches: batches.collect(), diverging })
    }

    fn answer(&self, outputs: Outputs) {
        for reply in outputs.replies {
            let answer = match reply.body {
                ReplyBody::Join(reply) => GroupAnswer::Join(reply),
                ReplyBody::Sync(reply) => GroupAnswer::Sync(reply),
                ReplyBody::Leave(results) => GroupAnswer::Leave(results),
                ReplyBody::Commit(results) => GroupAnswer::Commit(results),
                ReplyBody::DeleteGroups(mut results) => GroupAnswer::Deleted(results.remove(0).1),
                ReplyBody::DeleteOffsets(results) => GroupAnswer::OffsetsDeleted(results),
            };
            if let Some(asker) = self.asked.borrow_mut().remove(&reply.to) {
                // A test may have dropped its question.
                let _ = asker.send(answer);
            }
        }
    }

    fn ask(&self, call: GroupCall) -> LocalFuture<'static, Result<GroupAnswer, Fatal>> {
        if self.unavailable.get() {
            return Box::pin(ready(Ok(GroupAnswer::Unavailable)));
        }
        self.calls.borrow_mut().extend(partitions_of(&call));
        let to = ReplyTo(self.count());
        let (tx, rx) = oneshot::channel();
        self.asked.borrow_mut().insert(to, tx);
        let mut groups = self.groups.borrow_mut();
        let at_once = |answer| -> LocalFuture<'static, _> { Box::pin(ready(Ok(answer))) };
        let outputs = match call {
            GroupCall::Join(mut req) => {
                (req.reply_to, req.random) = (to, u128::from(to.0));
                groups.handle_join(NOW_MS, &req)
            }
            GroupCall::Sync(mut req) => {
                req.reply_to = to;
                groups.handle_sync(NOW_MS, &req)
            }
            GroupCall::Leave(mut req) => {
                req.reply_to = to;
                groups.handle_leave(NOW_MS, req)
            }
            GroupCall::Commit(mut req) => {
                req.reply_to = to;
                groups.handle_commit(NOW_MS, req)
            }
            GroupCall::Delete { group_id } => groups.handle_delete_groups(to, vec![group_id]),
            GroupCall::DeleteOffsets { group_id, partitions } => {
                groups.handle_delete_offsets(NOW_MS, to, &group_id, &partitions)
            }
            GroupCall::Heartbeat(req) => {
                let beat = groups.handle_heartbeat(NOW_MS, &req).err();
                return at_once(GroupAnswer::Heartbeat(beat));
            }
            GroupCall::Describe { group_id, unknown_is_error } => {
                let described = groups.describe(&group_id, unknown_is_error);
                return at_once(GroupAnswer::Described(described));
            }
            GroupCall::List { states, after } => {
                return at_once(GroupAnswer::Listed(groups.list(
                    &states,
                    after.as_deref(),
                    CALL_PARTITIONS_MAX,
                )));
            }
            GroupCall::FetchOffsets(req) => {
                return at_once(GroupAnswer::Offsets(req.answer(&groups)));
            }
        };
        drop(groups);
        self.answer(outputs);
        let ticked = self.groups.borrow_mut().tick(NOW_MS);
        self.answer(ticked);
        Box::pin(async move { rx.await.map_err(|_| Fatal) })
    }
}

/// The memory of a large answer.
struct Answer {
    answers: Rc<RefCell<Vec<Vec<usize>>>>,
    index: usize,
}

impl Held for Answer {
    fn resize(&mut self, bytes: usize) {
        self.answers.borrow_mut()[self.index].push(bytes);
    }
}

fn partitions_of(call: &GroupCall) -> Option<usize> {
    match call {
        GroupCall::Commit(req) => Some(req.partitions.len()),
        GroupCall::FetchOffsets(FetchOffsets { wanted: WantedOffsets::Of(wanted), .. }) => {
            Some(wanted.len())
        }
        GroupCall::DeleteOffsets { partitions, .. } => Some(partitions.len()),
        _ => None,
    }
}

fn check_epoch(epoch: LeaderEpoch) -> Result<(), PartitionError> {
    match epoch {
        epoch if epoch.0 < 0 || epoch == EPOCH => Ok(()),
        epoch if epoch < EPOCH => Err(PartitionError::FencedEpoch),
        _ => Err(PartitionError::UnknownEpoch),
    }
}

impl Broker for Double {
    fn identity(&self) -> Arc<Identity> {
        Arc::new(Identity {
            node_id: NODE_ID,
            cluster_id: "abcdefghijklmnopqrstuv".to_owned(),
            host: "broker.example".to_owned(),
            port: 9092,
        })
    }

    fn now_ms(&self) -> i64 {
        NOW_MS
    }

    fn random(&self) -> u64 {
        self.count() << 32
    }

    fn catalog(&self) -> Arc<Catalog> {
        let stale = self.stale.borrow();
        stale.as_ref().map_or_else(|| Arc::clone(&self.catalog.borrow()), Arc::clone)
    }

    fn broker_config(&self) -> Arc<BrokerConfigs> {
        Arc::new(self.broker_config_of(&self.catalog()))
    }

    fn topic_config(&self, topic: &Topic) -> Arc<TopicConfig> {
        Arc::new(TopicConfig::resolve(&topic.configs, &self.broker_config()))
    }

    fn leader_epoch(&self) -> LeaderEpoch {
        EPOCH
    }

    fn reserve(&self, bytes: usize) -> LocalFuture<'static, Reserved> {
        self.reserved.borrow_mut().push(bytes);
        Box::pin(async { Box::new(()) as Reserved })
    }

    fn room_for_answer(&self) -> LocalFuture<'static, Reserved> {
        self.answers.borrow_mut().push(Vec::new());
        let answer =
            Answer { answers: Rc::clone(&self.answers), index: self.answers.borrow().len() - 1 };
        Box::pin(async { Box::new(answer) as Reserved })
    }

    fn hold(&self, bytes: usize) -> Reserved {
        self.reserved.borrow_mut().push(bytes);
        Box::new(())
    }

    fn sleep(&self, duration: Duration) -> LocalFuture<'static, ()> {
        self.slept.borrow_mut().push(duration);
        let mut sleepers = self.sleepers.borrow_mut();
        let Some(sleepers) = &mut *sleepers else { return Box::pin(ready(())) };
        let (tx, rx) = oneshot::channel();
        sleepers.push(tx);
        Box::pin(async move { rx.await.expect("the test wakes whoever sleeps") })
    }

    fn open(
        &self,
        mut request: AppendRequest,
        _request_bytes: usize,
        held: Option<(Reserved, usize)>,
    ) -> LocalFuture<'static, (Result<AppendRequest, AppendError>, Reserved)> {
        Box::pin(async move {
            let rules = AppendRules::from(&*request.config);
            let held = held.map_or_else(|| Box::new(()) as Reserved, |(held, _)| held);
            match open(&request.batch, &rules, usize::MAX, &mut |_| {}).await {
                Ok(opened) => {
                    request.batch = opened.batch;
                    request.opened = Some(opened.summary);
                    (Ok(request), held)
                }
                Err(NotOpened::Refused(error)) => (Err(error), held),
                Err(NotOpened::Larger) => unreachable!("no limit was given"),
            }
        })
    }

    fn append(
        &self,
        requests: Vec<AppendRequest>,
    ) -> LocalFuture<'static, Result<Vec<Result<Appended, PartitionError>>, Fatal>> {
        self.appends.borrow_mut().push(requests.len());
        self.seen.borrow_mut().extend(requests.iter().map(|request| request.opened.is_some()));
        let results = requests.iter().map(|request| self.append_one(request)).collect();
        Box::pin(ready(Ok(results)))
    }

    fn read(
        &self,
        requests: Rc<Vec<ReadRequest>>,
        bytes_max: usize,
    ) -> LocalFuture<'static, Result<ReadReplies, Fatal>> {
        self.read_bytes_max.borrow_mut().push(bytes_max);
        let replies: Vec<_> = requests.iter().map(|request| self.read_one(request)).collect();
        let bytes = replies.iter().flatten().map(ReadReply::bytes).sum();
        Box::pin(ready(Ok(ReadReplies { replies, bytes, curtailed: false, held: Box::new(()) })))
    }

    fn watch(&self, _: Vec<(PartitionPlace, Offset)>) -> LocalFuture<'static, ()> {
        Box::pin(pending())
    }

    fn find_offset(
        &self,
        place: PartitionPlace,
        query: OffsetQuery,
        current_epoch: LeaderEpoch,
    ) -> LocalFuture<'static, Result<Result<FoundOffset, PartitionError>, Fatal>> {
        let mut logs = self.logs.borrow_mut();
        let partition = &logs.entry(place.stream).or_default().partition;
        let offset = match query {
            OffsetQuery::Earliest => partition.log_start(),
            OffsetQuery::Latest => partition.visible(),
            OffsetQuery::MaxTimestamp | OffsetQuery::Timestamp(_) => Offset(-1),
        };
        let found = FoundOffset { offset, timestamp_ms: -1, epoch: EPOCH };
        Box::pin(ready(Ok(check_epoch(current_epoch).map(|()| found))))
    }

    fn epoch_end(
        &self,
        place: PartitionPlace,
        epoch: LeaderEpoch,
        current_epoch: LeaderEpoch,
    ) -> LocalFuture<'static, Result<Result<Option<(LeaderEpoch, Offset)>, PartitionError>, Fatal>>
    {
        let mut logs = self.logs.borrow_mut();
        let partition = &logs.entry(place.stream).or_default().partition;
        let end = partition.epochs().end_of(epoch, EPOCH, partition.end());
        Box::pin(ready(Ok(check_epoch(current_epoch).map(|()| end))))
    }

    fn delete_records(
        &self,
        place: PartitionPlace,
        before: Option<Offset>,
    ) -> LocalFuture<'static, Result<Result<Offset, PartitionError>, Fatal>> {
        let mut logs = self.logs.borrow_mut();
        let partition = &mut logs.entry(place.stream).or_default().partition;
        let target = before.unwrap_or(partition.visible());
        let deleted = if target > partition.visible() {
            Err(PartitionError::OutOfRange)
        } else {
            partition.raise_log_start(target);
            Ok(partition.log_start())
        };
        Box::pin(ready(Ok(deleted)))
    }

    fn partition_sizes(
        &self,
        places: Vec<PartitionPlace>,
    ) -> LocalFuture<'static, Result<Vec<PartitionSize>, Fatal>> {
        let logs = self.logs.borrow();
        let sizes = places.into_iter().map(|place| {
            let batches = logs.get(&place.stream).map(|log| &log.batches[..]).unwrap_or_default();
            let bytes = batches.iter().map(|(_, batch)| batch.len() as u64).sum();
            PartitionSize { place, bytes }
        });
        Box::pin(ready(Ok(sizes.collect())))
    }

    fn log_dir(&self) -> LogDir {
        LogDir { path: "/data".to_owned(), total_bytes: 1000, usable_bytes: 400 }
    }

    fn change_catalog(
        &self,
        command: CatalogCommand,
    ) -> LocalFuture<'static, Result<CatalogRecord, CatalogFailure>> {
        self.changed_after.borrow_mut().push(self.answers.borrow().len());
        let planned = self.plan(command);
        if let Ok(record) = &planned {
            let mut catalog = Catalog::clone(&self.catalog.borrow());
            catalog.apply(record.clone());
            self.catalog.replace(Arc::new(catalog));
        }
        Box::pin(ready(planned))
    }

    fn new_producer_id(&self) -> LocalFuture<'static, Result<i64, CatalogFailure>> {
        Box::pin(ready(match self.disk_full.get() {
            true => Err(CatalogFailure::DiskFull),
            false => Ok(i64::try_from(self.count()).unwrap()),
        }))
    }

    fn group(&self, call: GroupCall) -> LocalFuture<'static, Result<GroupAnswer, Fatal>> {
        self.ask(call)
    }

    fn group_everywhere(
        &self,
        call: GroupCall,
    ) -> LocalFuture<'static, Result<Vec<GroupAnswer>, Fatal>> {
        let answer = self.ask(call);
        Box::pin(async move { Ok(vec![answer.await?]) })
    }
}
