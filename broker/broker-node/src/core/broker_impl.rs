//! [`Broker`] for the handlers on one core: routes each request to the shards it concerns.
//!
//! Requests for several shards are sent to all of them before any answer is awaited, except reads, where what one
//! shard gives is taken off the budget of the next.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use broker_core::catalog::{Catalog, CatalogRecord, PartitionPlace, Topic};
use broker_core::config::{BrokerConfigs, TopicConfig};
use broker_core::partition::AppendError;
use broker_kafka::broker::{
    AppendRequest, Appended, Broker, CatalogCommand, CatalogFailure, Fatal, FoundOffset,
    GroupAnswer, GroupCall, Held as _, Identity, LogDir, OffsetQuery, PartitionError,
    PartitionSize, ReadReplies, ReadRequest, Reserved,
};
use broker_kafka_wire::Pace;
use futures_util::future::{join_all, select_all};
use log_io::LocalFuture;
use log_types::{LeaderEpoch, Offset, ShardId, TopicId};

use super::Core;
use crate::fair::fair;
use crate::shard::{AppendItem, META_SHARD, Replies, Shard};

/// Producer ids a core takes from the catalog at a time.
const PRODUCER_IDS_RESERVED: i64 = 1000;

/// The broker as seen from one core.
#[derive(Clone)]
pub(crate) struct CoreBroker(pub(crate) Rc<Core>);

type Answer<T> = LocalFuture<'static, Result<T, Fatal>>;

/// Indices of `places` by shard, in order.
fn by_shard(places: impl Iterator<Item = PartitionPlace>) -> BTreeMap<ShardId, Vec<usize>> {
    let mut groups: BTreeMap<ShardId, Vec<usize>> = BTreeMap::new();
    for (index, place) in places.enumerate() {
        groups.entry(place.shard).or_default().push(index);
    }
    groups
}

/// Puts each shard's answers back where its requests stood.
fn in_request_order<T>(count: usize, answers: Vec<(Vec<usize>, Vec<T>)>) -> Vec<T> {
    let mut slots: Vec<Option<T>> = (0..count).map(|_| None).collect();
    for (indices, results) in answers {
        assert_eq!(indices.len(), results.len(), "a shard answers every request");
        for (index, result) in indices.into_iter().zip(results) {
            slots[index] = Some(result);
        }
    }
    slots.into_iter().map(|slot| slot.expect("every request went to one shard")).collect()
}

/// Moves the items at `indices` (ascending) out of their slots.
fn take<T>(items: &mut [Option<T>], indices: &[usize]) -> Vec<T> {
    indices.iter().map(|index| items[*index].take().expect("each request is sent once")).collect()
}

/// What a fetch may read when the budget for answers is used up.
const READ_BYTES_MIN: usize = 64 << 10;

impl CoreBroker {
    async fn read_leased(
        self,
        requests: Rc<Vec<ReadRequest>>,
        bytes_max: usize,
    ) -> Result<ReadReplies, Fatal> {
        let mut lease = self.0.answers.take_up_to(bytes_max, READ_BYTES_MIN);
        let curtailed = lease.bytes() < bytes_max;
        let (replies, bytes) = self.read_shards(&requests, lease.bytes()).await?;
        lease.resize(bytes);
        Ok(ReadReplies { replies, bytes, curtailed, held: Box::new(lease) })
    }

    /// The replies in the order of the requests, and the bytes of their records.
    async fn read_shards(
        self,
        requests: &[ReadRequest],
        bytes_max: usize,
    ) -> Result<(Replies, usize), Fatal> {
        let mut pace = Pace::default();
        let mut wanted: BTreeMap<ShardId, Vec<ReadRequest>> = BTreeMap::new();
        for request in requests {
            wanted.entry(request.place.shard).or_default().push(*request);
            pace.element().await;
        }
        let (mut left, mut read) = (bytes_max, 0);
        let mut answers = BTreeMap::new();
        for (shard, wanted) in wanted {
            let at_least_one = read == 0;
            let reading = self.0.read_on_shard(shard, move |shard| {
                Box::pin(shard.read_all(wanted, left, at_least_one))
            });
            let (replies, bytes) = reading.await?;
            left = left.saturating_sub(bytes);
            read += bytes;
            answers.insert(shard, replies.into_iter());
        }
        let mut replies = Vec::with_capacity(requests.len());
        for request in requests {
            let of_shard = answers.get_mut(&request.place.shard);
            let reply = of_shard.and_then(Iterator::next);
            replies.push(reply.expect("a shard answers every request"));
            pace.element().await;
        }
        Ok((replies, read))
    }

    async fn change(self, command: CatalogCommand) -> Result<CatalogRecord, CatalogFailure> {
        let shared = Arc::clone(&self.0.shared);
        let changing = self
            .0
            .on_shard(META_SHARD, move |shard| Box::pin(shard.change_catalog(command, shared)));
        let change = changing.await.map_err(|Fatal| CatalogFailure::Fatal)??;
        if let Some((topic, id)) = change.deleted {
            self.forget_offsets(&topic, id).await.map_err(|Fatal| CatalogFailure::Fatal)?;
        }
        Ok(change.record)
    }

    /// Forgets the committed offsets of a deleted topic in every shard. When a crash comes first they stay, harmless:
    /// they carry the id of the topic that is gone. By that id they go: a new topic of the name may have commits already.
    async fn forget_offsets(&self, topic: &str, id: TopicId) -> Result<(), Fatal> {
        let sent = (0..self.0.shared.router.shard_count()).map(|shard| {
            let topic = topic.to_owned();
            self.0.on_shard(ShardId(shard), move |shard| Box::pin(shard.forget_topic(topic, id)))
        });
        let answers = join_all(sent.collect::<Vec<_>>()).await;
        answers.into_iter().try_for_each(|answer| answer?)
    }

    async fn next_producer_id(self) -> Result<i64, CatalogFailure> {
        let mut ids = self.0.producer_ids.take();
        if ids.is_empty() {
            let shared = Arc::clone(&self.0.shared);
            let reserving = self.0.on_shard(META_SHARD, move |shard| {
                Box::pin(shard.reserve_producer_ids(PRODUCER_IDS_RESERVED, shared))
            });
            let first = reserving.await.map_err(|Fatal| CatalogFailure::Fatal)??;
            ids = first..first + PRODUCER_IDS_RESERVED;
        }
        let id = ids.start;
        // Another task may have reserved meanwhile; its range is the one that gets lost, which is harmless.
        self.0.producer_ids.set(id + 1..ids.end);
        Ok(id)
    }
}

impl Broker for CoreBroker {
    fn identity(&self) -> Arc<Identity> {
        Arc::clone(&self.0.identity.borrow())
    }

    fn now_ms(&self) -> i64 {
        self.0.runtime.clock().wall_ms()
    }

    fn random(&self) -> u64 {
        self.0.runtime.random().next_u64()
    }

    fn catalog(&self) -> Arc<Catalog> {
        self.0.catalog()
    }

    fn broker_config(&self) -> Arc<BrokerConfigs> {
        self.0.broker_config()
    }

    fn topic_config(&self, topic: &Topic) -> Arc<TopicConfig> {
        self.0.topic_config(topic)
    }

    fn leader_epoch(&self) -> LeaderEpoch {
        self.0.shared.epoch
    }

    fn sleep(&self, duration: Duration) -> LocalFuture<'static, ()> {
        self.0.runtime.sleep(duration)
    }

    fn reserve(&self, bytes: usize) -> LocalFuture<'static, Reserved> {
        let decoded = self.0.decoded.clone();
        Box::pin(async move { Box::new(decoded.take(bytes).await) as Reserved })
    }

    fn room_for_answer(&self) -> LocalFuture<'static, Reserved> {
        let listings = self.0.listings.clone();
        // The least there is: who has it takes more as it needs it, and whoever comes next waits the longer.
        Box::pin(async move { Box::new(listings.take(1).await) as Reserved })
    }

    fn hold(&self, bytes: usize) -> Reserved {
        Box::new(self.0.decoded.take_up_to(bytes, bytes))
    }

    fn open(
        &self,
        request: AppendRequest,
        request_bytes: usize,
        held: Option<(Reserved, usize)>,
    ) -> LocalFuture<'static, (Result<AppendRequest, AppendError>, Reserved)> {
        let opening = self.0.opening.clone();
        let opened = async move { opening.open(request, request_bytes, held).await };
        Box::pin(fair(self.0.yielding.clone(), opened))
    }

    fn append(
        &self,
        requests: Vec<AppendRequest>,
    ) -> Answer<Vec<Result<Appended, PartitionError>>> {
        let count = requests.len();
        let groups = by_shard(requests.iter().map(|request| request.place));
        let items = requests.into_iter().map(|request| {
            let AppendRequest { place, batch, opened, config } = request;
            Some(AppendItem { stream: place.stream, batch, opened, config })
        });
        let mut items: Vec<_> = items.collect();
        let mut sent = Vec::with_capacity(groups.len());
        for (shard, indices) in groups {
            let items = take(&mut items, &indices);
            let appending = self.0.on_shard(shard, move |shard| Box::pin(shard.append_all(items)));
            sent.push(async move { Ok((indices, appending.await??)) });
        }
        Box::pin(async move {
            let answers = join_all(sent).await.into_iter().collect::<Result<Vec<_>, Fatal>>()?;
            Ok(in_request_order(count, answers))
        })
    }

    fn read(&self, requests: Rc<Vec<ReadRequest>>, bytes_max: usize) -> Answer<ReadReplies> {
        Box::pin(self.clone().read_leased(requests, bytes_max))
    }

    fn watch(&self, partitions: Vec<(PartitionPlace, Offset)>) -> LocalFuture<'static, ()> {
        let mut watching: Vec<LocalFuture<'static, ()>> = Vec::new();
        for (shard, indices) in by_shard(partitions.iter().map(|(place, _)| *place)) {
            let streams: Vec<_> = indices
                .iter()
                .map(|index| (partitions[*index].0.stream, partitions[*index].1))
                .collect();
            let watch = self.0.read_on_shard(shard, move |shard| Box::pin(shard.watch(streams)));
            watching.push(Box::pin(async move {
                // A core that stopped wakes its watchers too: they look again and find out.
                let _ = watch.await;
            }));
        }
        Box::pin(async move {
            if watching.is_empty() {
                std::future::pending::<()>().await;
            }
            select_all(watching).await;
        })
    }

    fn find_offset(
        &self,
        place: PartitionPlace,
        query: OffsetQuery,
        current_epoch: LeaderEpoch,
    ) -> Answer<Result<FoundOffset, PartitionError>> {
        self.0.read_on_shard(place.shard, move |shard| {
            Box::pin(shard.find_offset(place.stream, query, current_epoch))
        })
    }

    fn epoch_end(
        &self,
        place: PartitionPlace,
        epoch: LeaderEpoch,
        current_epoch: LeaderEpoch,
    ) -> Answer<Result<Option<(LeaderEpoch, Offset)>, PartitionError>> {
        self.0.read_on_shard(place.shard, move |shard| {
            Box::pin(async move { shard.epoch_end(place.stream, epoch, current_epoch) })
        })
    }

    fn delete_records(
        &self,
        place: PartitionPlace,
        before: Option<Offset>,
    ) -> Answer<Result<Offset, PartitionError>> {
        let deleting = self.0.on_shard(place.shard, move |shard| {
            Box::pin(shard.delete_records(place.stream, before))
        });
        Box::pin(async move { deleting.await? })
    }

    fn partition_sizes(&self, places: Vec<PartitionPlace>) -> Answer<Vec<PartitionSize>> {
        let sent = by_shard(places.iter().copied()).into_iter().map(|(shard, indices)| {
            let wanted: Vec<_> = indices.iter().map(|index| places[*index]).collect();
            let sizes = self.0.read_on_shard(shard, move |shard| {
                let size = |place: PartitionPlace| PartitionSize {
                    place,
                    bytes: shard.journal.stream_bytes(place.stream),
                };
                let sizes: Vec<_> = wanted.into_iter().map(size).collect();
                Box::pin(async move { sizes })
            });
            async move { Ok((indices, sizes.await?)) }
        });
        let (sent, count) = (sent.collect::<Vec<_>>(), places.len());
        Box::pin(async move {
            let answers = join_all(sent).await.into_iter().collect::<Result<Vec<_>, Fatal>>()?;
            Ok(in_request_order(count, answers))
        })
    }

    fn log_dir(&self) -> LogDir {
        crate::disk_space::log_dir(&self.0.shared.settings.data_dir)
    }

    fn change_catalog(
        &self,
        command: CatalogCommand,
    ) -> LocalFuture<'static, Result<CatalogRecord, CatalogFailure>> {
        Box::pin(self.clone().change(command))
    }

    fn new_producer_id(&self) -> LocalFuture<'static, Result<i64, CatalogFailure>> {
        Box::pin(self.clone().next_producer_id())
    }

    fn group(&self, call: GroupCall) -> Answer<GroupAnswer> {
        let shard = self.0.shared.router.shard_of_group(call.group_id());
        let reads = call.only_reads();
        let work =
            move |shard: Rc<Shard>| -> LocalFuture<'static, _> { Box::pin(shard.group_call(call)) };
        let answering = match reads {
            true => self.0.read_on_shard(shard, work),
            false => self.0.on_shard(shard, work),
        };
        Box::pin(async move { answering.await? })
    }

    fn group_everywhere(&self, call: GroupCall) -> Answer<Vec<GroupAnswer>> {
        let sent = (0..self.0.shared.router.shard_count()).map(|shard| {
            let call = call.clone();
            self.0.on_shard(ShardId(shard), move |shard| Box::pin(shard.group_call(call)))
        });
        let sent = sent.collect::<Vec<_>>();
        Box::pin(async move {
            let answers: Result<Vec<_>, Fatal> = join_all(sent).await.into_iter().collect();
            answers?.into_iter().collect()
        })
    }
}
