//! One function for each column of the client table. A failed assertion is a failed operation.

use crate::{
    Target,
    records::{self, COUNT},
};
use futures_executor::block_on;
use rdkafka::{
    ClientConfig, ClientContext, Message, Offset, TopicPartitionList,
    admin::{
        AdminClient, AdminOptions, AlterConfig, NewPartitions, NewTopic, OwnedResourceSpecifier,
        ResourceSpecifier, TopicReplication, TopicResult,
    },
    client::DefaultClientContext,
    consumer::{BaseConsumer, CommitMode, Consumer},
    message::{DeliveryResult, OwnedMessage},
    producer::{BaseProducer, BaseRecord, Producer, ProducerContext},
    types::RDKafkaErrorCode,
};
use std::{
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};

const DEADLINE: Duration = Duration::from_secs(60);
const CALL_DEADLINE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(100);

pub type Operation = fn(&Target);

/// The operations in the order in which they depend on each other.
pub const ALL: &[(&str, Operation)] = &[
    ("produce none", |target| produce(target, "none")),
    ("produce gzip", |target| produce(target, "gzip")),
    ("produce snappy", |target| produce(target, "snappy")),
    ("produce lz4", |target| produce(target, "lz4")),
    ("produce zstd", |target| produce(target, "zstd")),
    ("idempotent", idempotent),
    ("group rebalance", group_rebalance),
    ("commit resume", commit_resume),
    ("seek time", seek_time),
    ("topics", topics),
    ("configs", configs),
    ("partitions", partitions),
    ("delete records", delete_records),
    ("groups", groups),
];

/// Calls `step` until it gives a value.
fn until<T>(what: &str, mut step: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = step() {
            return value;
        }
        assert!(start.elapsed() < DEADLINE, "{what}: not within {DEADLINE:?}");
    }
}

/// As [`until`], for what nothing can be waited for.
fn shows(what: &str, condition: impl Fn() -> bool) {
    until(what, || {
        if condition() {
            return Some(());
        }
        thread::sleep(Duration::from_millis(20));
        None
    });
}

impl Target {
    fn name(&self, what: &str) -> String {
        format!("{}-{what}", self.prefix)
    }

    fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.bootstrap);
        config
    }

    fn admin(&self) -> AdminClient<DefaultClientContext> {
        self.config().create().expect("an admin client")
    }

    fn consumer(&self, group: &str) -> BaseConsumer {
        let mut config = self.config();
        config.set("group.id", self.name(group)).set("auto.offset.reset", "earliest");
        config.set("enable.auto.commit", "false").set("check.crcs", "true");
        config.set("session.timeout.ms", "6000").set("heartbeat.interval.ms", "500");
        config.create().expect("a consumer")
    }

    /// A consumer of partition 0 that is in no group, from `offset` on.
    fn reader(&self, topic: &str, offset: Offset) -> BaseConsumer {
        let consumer = self.consumer("read");
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, 0, offset).expect("an offset");
        consumer.assign(&list).expect("an assignment");
        consumer
    }

    fn create(&self, topic: &str, partitions: i32, configs: &[(&str, &str)]) {
        let mut new = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
        for &(name, value) in configs {
            new = new.set(name, value);
        }
        done(block_on(self.admin().create_topics([&new], &AdminOptions::new())));
        // Kafka answers before every thread of the broker knows the topic.
        shows("the topic", || self.partition_count(topic) == Some(partitions as usize));
    }

    /// `None` when the broker does not know the topic.
    fn partition_count(&self, topic: &str) -> Option<usize> {
        let admin = self.admin();
        // All topics: asking for one would create it.
        let metadata = admin.inner().fetch_metadata(None, CALL_DEADLINE).expect("metadata");
        let found = metadata.topics().iter().find(|t| t.name() == topic)?;
        found.error().is_none().then(|| found.partitions().len())
    }

    /// Sends the record set to partition 0; the delivery reports must come in order.
    fn send(&self, topic: &str, options: &[(&str, &str)]) {
        let mut config = self.config();
        config.set("linger.ms", "5");
        for &(name, value) in options {
            config.set(name, value);
        }
        let producer: BaseProducer<Reports> =
            config.create_with_context(Reports::default()).expect("a producer");
        for i in 0..COUNT {
            let (key, value) = (records::key(i), records::value(i));
            let mut record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(topic)
                .partition(0)
                .payload(value.as_slice())
                .timestamp(records::timestamp_ms(i))
                .headers(records::owned_headers(i));
            if let Some(key) = &key {
                record = record.key(key);
            }
            producer.send(record).map_err(|(error, _)| error).expect("room in the queue");
        }
        producer.flush(DEADLINE).expect("all records sent");
        let offsets = producer.context().offsets.lock().expect("no panic in a report").clone();
        assert_eq!(offsets, (0..COUNT).collect::<Vec<_>>(), "delivery reports");
    }
}

/// Keeps the offsets of the delivery reports.
#[derive(Default)]
struct Reports {
    offsets: Mutex<Vec<i64>>,
}

impl ClientContext for Reports {}

impl ProducerContext for Reports {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, _opaque: ()) {
        let offset = result.as_ref().map_or(-1, |message| message.offset());
        self.offsets.lock().expect("no panic in a report").push(offset);
    }
}

/// The topics of an administrative call that succeeded for all of them.
fn done(result: rdkafka::error::KafkaResult<Vec<TopicResult>>) -> Vec<String> {
    let all = result.expect("an answer").into_iter();
    all.map(|topic| topic.expect("the call succeeds for each topic")).collect()
}

/// The error of an administrative call that was refused for its only topic.
fn refusal(result: rdkafka::error::KafkaResult<Vec<TopicResult>>) -> RDKafkaErrorCode {
    result.expect("an answer").remove(0).expect_err("it must be refused").1
}

fn poll(consumer: &BaseConsumer) -> Option<OwnedMessage> {
    let message = consumer.poll(POLL)?;
    Some(records::owned(&message.expect("a message, no error")))
}

fn read(consumer: &BaseConsumer, count: i64) -> Vec<OwnedMessage> {
    let mut got = Vec::new();
    until(&format!("{count} records"), || {
        got.extend(poll(consumer));
        (got.len() as i64 >= count).then_some(())
    });
    got
}

fn owned_partitions(consumer: &BaseConsumer) -> Vec<i32> {
    let list = consumer.assignment().expect("an assignment");
    list.elements().iter().map(|element| element.partition()).collect()
}

fn produce(target: &Target, codec: &str) {
    let topic = target.name(codec);
    target.create(&topic, 1, &[]);
    target.send(&topic, &[("compression.type", codec)]);
    records::check(&read(&target.reader(&topic, Offset::Beginning), COUNT));
}

fn idempotent(target: &Target) {
    let topic = target.name("idempotent");
    target.create(&topic, 1, &[]);
    target.send(&topic, &[("enable.idempotence", "true"), ("compression.type", "lz4")]);
    records::check(&read(&target.reader(&topic, Offset::Beginning), COUNT));
}

fn group_rebalance(target: &Target) {
    let topic = target.name("rebalance");
    target.create(&topic, 4, &[]);
    let (one, two) = (target.consumer("rebalance"), target.consumer("rebalance"));
    one.subscribe(&[&topic]).expect("a subscription");
    let nothing = |consumer: &BaseConsumer| assert!(poll(consumer).is_none(), "the topic is empty");
    until("one member owns all", || {
        nothing(&one);
        (owned_partitions(&one).len() == 4).then_some(())
    });
    two.subscribe(&[&topic]).expect("a subscription");
    let mut owned = until("two members share", || {
        nothing(&one);
        nothing(&two);
        let (first, second) = (owned_partitions(&one), owned_partitions(&two));
        (first.len() == 2 && second.len() == 2).then(|| [first, second].concat())
    });
    owned.sort_unstable();
    assert_eq!(owned, [0, 1, 2, 3], "partitions overlap");
    drop(two);
    until("the one that stays owns all", || {
        nothing(&one);
        (owned_partitions(&one).len() == 4).then_some(())
    });
    let producer: BaseProducer = target.config().create().expect("a producer");
    for i in 0..40 {
        let value = i.to_string();
        let record = BaseRecord::<(), str>::to(&topic).partition(i % 4).payload(&value);
        producer.send(record).map_err(|(error, _)| error).expect("room in the queue");
    }
    producer.flush(DEADLINE).expect("all records sent");
    let number =
        |message: &OwnedMessage| std::str::from_utf8(message.payload()?).ok()?.parse::<i32>().ok();
    let mut values: Vec<_> = read(&one, 40).iter().filter_map(number).collect();
    values.sort_unstable();
    assert_eq!(values, (0..40).collect::<Vec<_>>(), "records lost or doubled by the rebalance");
}

fn commit_resume(target: &Target) {
    let topic = target.name("commit");
    target.create(&topic, 1, &[]);
    target.send(&topic, &[]);
    let first = target.consumer("commit");
    first.subscribe(&[&topic]).expect("a subscription");
    read(&first, COUNT);
    let mut half = TopicPartitionList::new();
    half.add_partition(&topic, 0).set_offset(Offset::Offset(120)).expect("an offset");
    half.find_partition(&topic, 0).expect("just added").set_metadata("half way");
    first.commit(&half, CommitMode::Sync).expect("a commit");
    drop(first);
    let second = target.consumer("commit");
    let mut asked = TopicPartitionList::new();
    asked.add_partition(&topic, 0);
    let committed = second.committed_offsets(asked, CALL_DEADLINE).expect("committed offsets");
    let element = committed.find_partition(&topic, 0).expect("the partition that was asked for");
    assert_eq!((element.offset(), element.metadata()), (Offset::Offset(120), "half way"));
    second.subscribe(&[&topic]).expect("a subscription");
    assert_eq!(read(&second, COUNT - 120)[0].offset(), 120, "where the group resumed");
}

fn seek_time(target: &Target) {
    let topic = target.name("none");
    let consumer = target.consumer("seek");
    let at = |time_ms: i64| {
        let mut asked = TopicPartitionList::new();
        asked.add_partition_offset(&topic, 0, Offset::Offset(time_ms)).expect("a time");
        let found = consumer.offsets_for_times(asked, CALL_DEADLINE).expect("offsets");
        found.find_partition(&topic, 0).expect("the partition that was asked for").offset()
    };
    assert_eq!(at(records::timestamp_ms(100)), Offset::Offset(100));
    assert_eq!(at(records::timestamp_ms(100) - 3), Offset::Offset(100));
    assert_eq!(at(records::timestamp_ms(0) - 1), Offset::Offset(0));
    assert_eq!(at(records::timestamp_ms(COUNT)), Offset::End, "after the last record");
    let watermarks = consumer.fetch_watermarks(&topic, 0, CALL_DEADLINE).expect("watermarks");
    assert_eq!(watermarks, (0, COUNT));
    assert_eq!(read(&target.reader(&topic, Offset::Offset(100)), 1)[0].offset(), 100);
}

fn topics(target: &Target) {
    let topic = target.name("topics");
    target.create(&topic, 3, &[]);
    let (admin, options) = (target.admin(), AdminOptions::new());
    let again = NewTopic::new(&topic, 3, TopicReplication::Fixed(1));
    let refused = refusal(block_on(admin.create_topics([&again], &options)));
    assert_eq!(refused, RDKafkaErrorCode::TopicAlreadyExists);
    assert_eq!(done(block_on(admin.delete_topics(&[&topic], &options))), [topic.as_str()]);
    shows("the topic is gone", || target.partition_count(&topic).is_none());
}

fn configs(target: &Target) {
    let topic = target.name("configs");
    target.create(&topic, 1, &[("retention.ms", "3600000")]);
    let admin = target.admin();
    let entry = |name: &str| {
        let asked = [ResourceSpecifier::Topic(&topic)];
        let answer = block_on(admin.describe_configs(asked.iter(), &AdminOptions::new()));
        let resource = answer.expect("an answer").remove(0).expect("the topic's configuration");
        assert_eq!(resource.specifier, OwnedResourceSpecifier::Topic(topic.clone()));
        let entry = resource.get(name).expect("a known setting");
        (entry.value.clone().unwrap_or_default(), format!("{:?}", entry.source))
    };
    assert_eq!(entry("retention.ms"), ("3600000".to_owned(), "DynamicTopic".to_owned()));
    assert_eq!(entry("cleanup.policy"), ("delete".to_owned(), "Default".to_owned()));
    // This call replaces the whole configuration: what it does not name goes back to its default.
    let change =
        AlterConfig::new(ResourceSpecifier::Topic(&topic)).set("max.message.bytes", "54321");
    let altered = block_on(admin.alter_configs([&change], &AdminOptions::new()));
    altered.expect("an answer").remove(0).expect("the change is made");
    shows("the change", || entry("max.message.bytes").0 == "54321");
    let kept = entry("retention.ms").1 == "DynamicTopic";
    assert!(!kept, "a key that was not named keeps its value");
}

fn partitions(target: &Target) {
    let topic = target.name("partitions");
    target.create(&topic, 1, &[]);
    let (admin, options) = (target.admin(), AdminOptions::new());
    done(block_on(admin.create_partitions([&NewPartitions::new(&topic, 3)], &options)));
    shows("three partitions", || target.partition_count(&topic) == Some(3));
    let fewer = block_on(admin.create_partitions([&NewPartitions::new(&topic, 2)], &options));
    assert_eq!(refusal(fewer), RDKafkaErrorCode::InvalidPartitions);
}

fn delete_records(target: &Target) {
    let topic = target.name("gzip");
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(&topic, 0, Offset::Offset(50)).expect("an offset");
    let deleted =
        block_on(target.admin().delete_records(&list, &AdminOptions::new())).expect("an answer");
    let element = deleted.find_partition(&topic, 0).expect("the partition that was asked for");
    element.error().expect("the records are deleted");
    assert_eq!(element.offset(), Offset::Offset(50), "the low watermark");
    let left = read(&target.reader(&topic, Offset::Beginning), COUNT - 50);
    assert_eq!(left[0].offset(), 50, "the first record left");
}

fn groups(target: &Target) {
    let (topic, group) = (target.name("none"), target.name("groups"));
    let consumer = target.consumer("groups");
    consumer.subscribe(&[&topic]).expect("a subscription");
    read(&consumer, 1);
    let listed = || {
        let list = consumer.fetch_group_list(None, CALL_DEADLINE).expect("groups");
        list.groups().iter().map(|g| g.name().to_owned()).collect::<Vec<_>>()
    };
    assert!(listed().contains(&group), "the group is not listed");
    let described = consumer.fetch_group_list(Some(&group), CALL_DEADLINE).expect("the group");
    let found = &described.groups()[0];
    assert_eq!((found.state(), found.members().len()), ("Stable", 1));
    let (admin, options) = (target.admin(), AdminOptions::new());
    let delete =
        || block_on(admin.delete_groups(&[&group], &options)).expect("an answer").remove(0);
    assert_eq!(delete().expect_err("it has a member").1, RDKafkaErrorCode::NonEmptyGroup);
    consumer.unsubscribe();
    until("the member has left", || {
        poll(&consumer); // Leaving is served by polling.
        delete().is_ok().then_some(())
    });
    shows("the group is gone", || !listed().contains(&group));
}
