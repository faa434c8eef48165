//! What clients learn of the catalog, and when.
//!
//! A client whose connection broke while it created a topic asked again on another core and was told that the topic exists, of
//! a change that was not durable yet; what it then produced was refused as for an unknown topic. And of two topics
//! created at the same time, the later one could be announced first, with a catalog that named the other one before its
//! streams were there.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::task::{Context, Waker};

use broker_core::catalog::{CatalogError, CatalogRecord, NewTopicSpec};
use broker_kafka::broker::{Broker as _, CatalogCommand, CatalogFailure, PartitionError};
use broker_rt::{Queue, Runtime};
use futures_channel::mpsc;
use futures_util::FutureExt;
use log_io::LocalFuture;
use log_types::LeaderEpoch;

use super::fixture;
use crate::core::{Core, CoreBroker};
use crate::router::Job;
use crate::shard::{META_SHARD, Shard};

/// Rounds after which the changes are taken to hang.
const ROUNDS_MAX: usize = 100;

type Change = LocalFuture<'static, Result<CatalogRecord, CatalogFailure>>;

/// A core with the meta shard, whose flusher and mailbox run when the test says.
struct Node {
    core: Rc<Core>,
    shard: Rc<Shard>,
    mailbox: mpsc::UnboundedReceiver<Job>,
}

async fn node(path: &Path, runtime: Rc<dyn Runtime>) -> Node {
    let shard = fixture::shard(path, &*runtime, META_SHARD).await;
    let (shared, mut mailboxes) = fixture::shared(path, 1);
    let core = Core::new(runtime, shared, BTreeMap::from([(META_SHARD, Rc::clone(&shard))]));
    Node { core, shard, mailbox: mailboxes.remove(0) }
}

impl Node {
    fn create(&self, name: &str) -> Change {
        let (name, configs) = (name.to_owned(), BTreeMap::new());
        let spec = NewTopicSpec { name, partition_count: 1, configs };
        CoreBroker(Rc::clone(&self.core)).change_catalog(CatalogCommand::CreateTopic(spec))
    }

    /// Topics that clients see, all of whose streams are there.
    fn topics(&self) -> Vec<String> {
        let catalog = self.core.catalog();
        let places = catalog.topics.values().flat_map(|topic| &topic.partitions);
        for place in places {
            let there = self.shard.epoch_end(place.stream, LeaderEpoch(1), LeaderEpoch(-1));
            assert_ne!(there.err(), Some(PartitionError::Unknown), "{place:?} is announced");
        }
        catalog.topics.keys().cloned().collect()
    }

    async fn make_durable(&self) {
        let running = self.shard.journal.run(Rc::clone(&self.shard) as Rc<_>);
        let run = async move { running.await.expect("the disk works") };
        self.core.runtime.spawn(Queue::Latency, "flusher", Box::pin(run));
        let appended = self.shard.journal.appended();
        self.shard.journal.wait_durable(appended).await.expect("the disk works");
    }

    /// Polls the changes, in this order, with a job of the mailbox in between, until all are answered.
    fn answers(&mut self, changes: Vec<Change>) -> Vec<(CatalogOutcome, Vec<String>)> {
        let mut cx = Context::from_waker(Waker::noop());
        let mut waiting: BTreeMap<usize, Change> = changes.into_iter().enumerate().collect();
        let mut answers = BTreeMap::new();
        for _ in 0..ROUNDS_MAX {
            waiting.retain(|index, change| match change.poll_unpin(&mut cx) {
                std::task::Poll::Ready(answer) => {
                    answers.insert(*index, (answer, self.topics()));
                    false
                }
                std::task::Poll::Pending => true,
            });
            self.topics();
            if waiting.is_empty() {
                return answers.into_values().collect();
            }
            if let Ok(job) = self.mailbox.try_recv() {
                job(Rc::clone(&self.core)).now_or_never().expect("it only tells of the change");
            }
        }
        panic!("no answer to {:?}", waiting.keys());
    }
}

type CatalogOutcome = Result<CatalogRecord, CatalogFailure>;

fn with_node(body: impl AsyncFn(Node) + Clone + Send + Sync + 'static) {
    fixture::on_one_thread(async move |path: PathBuf, runtime| {
        body(node(&path, runtime).await).await;
    });
}

#[test]
fn who_is_told_that_a_topic_exists_finds_it() {
    with_node(async |mut node: Node| {
        let mut cx = Context::from_waker(Waker::noop());
        let (mut created, mut refused) = (node.create("a"), node.create("a"));
        assert!(created.poll_unpin(&mut cx).is_pending(), "it is not durable");
        assert!(refused.poll_unpin(&mut cx).is_pending(), "nor is the reason of the refusal");
        node.make_durable().await;
        let answers = node.answers(vec![refused, created]);
        let exists = CatalogError::TopicExists { name: "a".to_owned() };
        assert_eq!(answers[0].0, Err(CatalogFailure::Refused(exists)));
        assert_eq!(answers[0].1, ["a"], "it is there when its name is refused");
        assert!(answers[1].0.is_ok());
    });
}

#[test]
fn a_topic_is_announced_after_its_streams_whoever_is_faster() {
    with_node(async |mut node: Node| {
        let mut cx = Context::from_waker(Waker::noop());
        let (mut first, mut second) = (node.create("a"), node.create("b"));
        assert!(first.poll_unpin(&mut cx).is_pending(), "it is not durable");
        assert!(second.poll_unpin(&mut cx).is_pending(), "nor is this");
        assert_eq!(node.topics(), [""; 0]);
        node.make_durable().await;
        let answers = node.answers(vec![second, first]);
        assert!(answers.iter().all(|(answer, topics)| answer.is_ok() && *topics == ["a", "b"]));
    });
}
