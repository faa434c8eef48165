"""confluent-kafka (librdkafka) against a broker: every operation of the client table."""
import os
import sys

import confluent_kafka
from confluent_kafka import Consumer, Producer, TopicPartition, OFFSET_BEGINNING
from confluent_kafka.admin import (AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ConfigSource, NewPartitions, NewTopic,
                                   OffsetSpec)

import common
from common import until

ARGS = common.arguments()
PREFIX = ARGS.prefix + "-confluent"


# One for the whole run: the futures that its calls return end with an error when the client is dropped.
ADMIN = AdminClient({"bootstrap.servers": ARGS.bootstrap})


def done(futures, timeout=30):
    return {name: future.result(timeout) for name, future in futures.items()}


def create(topic, partitions=1, **config):
    done(ADMIN.create_topics([NewTopic(topic, partitions, 1, config=config)]))
    # Kafka answers before every thread of the broker knows the topic.
    until("the topic shows", lambda: len(ADMIN.list_topics(topic, timeout=30).topics[topic].partitions) == partitions)


def producer(**config):
    return Producer({"bootstrap.servers": ARGS.bootstrap, "linger.ms": 5, **config})


def send(topic, **config):
    """Sends the record set to partition 0 and returns the offsets of the delivery reports."""
    offsets, errors = [], []

    def report(error, message):
        (errors if error else offsets).append(error or message.offset())

    p = producer(**config)
    for i in range(common.RECORD_COUNT):
        p.produce(topic, value=common.value_of(i), key=common.key_of(i), headers=common.headers_of(i),
                  timestamp=common.timestamp_of(i), partition=0, on_delivery=report)
    left = p.flush(common.DEADLINE_S)
    assert left == 0 and not errors, f"{left} records not sent, errors {errors[:3]}"
    return offsets


def consumer(group, **config):
    return Consumer({"bootstrap.servers": ARGS.bootstrap, "group.id": f"{PREFIX}-{group}",
                     "auto.offset.reset": "earliest", "enable.auto.commit": False, "session.timeout.ms": 6000,
                     "heartbeat.interval.ms": 500, **config})


def read(c, count):
    got = []

    def poll():
        message = c.poll(0.2)
        if message is None:
            return
        if message.error():
            raise AssertionError(message.error())
        got.append((message.partition(), message.offset(), message.timestamp()[1], message.key(), message.value(),
                    message.headers()))

    until(f"{count} records", lambda: len(got) >= count, step=poll)
    return got


def produce(codec):
    def operation():
        topic = f"{PREFIX}-{codec}"
        create(topic)
        offsets = send(topic, **{"compression.type": codec})
        assert offsets == list(range(common.RECORD_COUNT)), "delivery reports out of order"
        c = consumer("read", **{"check.crcs": True})
        c.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
        common.check_records(read(c, common.RECORD_COUNT))
        c.close()

    return operation


def idempotent():
    topic = f"{PREFIX}-idempotent"
    create(topic)
    send(topic, **{"enable.idempotence": True, "compression.type": "lz4"})
    c = consumer("read")
    c.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
    common.check_records(read(c, common.RECORD_COUNT))
    c.close()


def group_rebalance():
    topic = f"{PREFIX}-rebalance"
    create(topic, 4)
    one, two = consumer("rebalance"), consumer("rebalance")
    one.subscribe([topic])
    until("one member owns all", lambda: len(one.assignment()) == 4, step=lambda: one.poll(0.1))
    two.subscribe([topic])

    def both():
        one.poll(0.1)
        two.poll(0.1)

    until("two members share", lambda: len(one.assignment()) == 2 and len(two.assignment()) == 2, step=both)
    owned = {(p.topic, p.partition) for p in one.assignment() + two.assignment()}
    assert len(owned) == 4, f"partitions overlap: {owned}"
    two.close()
    until("the one that stays owns all", lambda: len(one.assignment()) == 4, step=lambda: one.poll(0.1))
    p = producer()
    for i in range(40):
        p.produce(topic, value=b"%d" % i, partition=i % 4)
    assert p.flush(30) == 0
    values = sorted(int(record[4]) for record in read(one, 40))
    assert values == list(range(40)), "records lost or doubled by the rebalance"
    one.close()


def commit_resume():
    topic = f"{PREFIX}-commit"
    create(topic)
    send(topic)
    first = consumer("commit")
    first.subscribe([topic])
    read(first, common.RECORD_COUNT)
    first.commit(offsets=[TopicPartition(topic, 0, 120, metadata="half way")], asynchronous=False)
    first.close()
    second = consumer("commit")
    committed = second.committed([TopicPartition(topic, 0)], timeout=30)[0]
    assert committed.offset == 120 and committed.metadata == "half way", committed
    second.subscribe([topic])
    got = read(second, common.RECORD_COUNT - 120)
    assert got[0][1] == 120, f"resumed at {got[0][1]}"
    second.close()


def seek_time():
    topic = f"{PREFIX}-none"
    c = consumer("seek")
    wanted = [(common.timestamp_of(100), 100), (common.timestamp_of(100) - 3, 100), (common.timestamp_of(0) - 1, 0)]
    for timestamp, offset in wanted:
        found = c.offsets_for_times([TopicPartition(topic, 0, timestamp)], timeout=30)[0]
        assert found.offset == offset, f"time {timestamp} gave {found.offset} instead of {offset}"
    late = c.offsets_for_times([TopicPartition(topic, 0, common.timestamp_of(common.RECORD_COUNT))], timeout=30)[0]
    assert late.offset == -1, f"a time after the last record gave {late.offset}"
    assert c.get_watermark_offsets(TopicPartition(topic, 0), timeout=30) == (0, common.RECORD_COUNT)
    c.assign([TopicPartition(topic, 0, 100)])
    assert read(c, 1)[0][1] == 100
    c.close()


def topics():
    topic = f"{PREFIX}-topics"
    create(topic, 3)
    described = ADMIN.list_topics(topic, timeout=30).topics[topic]
    assert described.error is None and len(described.partitions) == 3, described
    assert topic in until("the topic is listed", lambda: ADMIN.list_topics(timeout=30).topics)
    try:
        create(topic, 3)
        raise AssertionError("a topic was created twice")
    except confluent_kafka.KafkaException as error:
        assert error.args[0].code() == confluent_kafka.KafkaError.TOPIC_ALREADY_EXISTS, error
    done(ADMIN.delete_topics([topic], operation_timeout=30))
    until("the topic is gone", lambda: topic not in ADMIN.list_topics(timeout=30).topics)


def configs():
    topic = f"{PREFIX}-configs"
    create(topic, 1, **{"retention.ms": "3600000"})
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic)

    def described():
        return list(done(ADMIN.describe_configs([resource])).values())[0]

    entries = described()
    assert entries["retention.ms"].value == "3600000" and not entries["retention.ms"].is_default, entries["retention.ms"]
    assert entries["cleanup.policy"].value == "delete" and entries["cleanup.policy"].is_default
    change = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=[
        ConfigEntry("max.message.bytes", "54321", incremental_operation=AlterConfigOpType.SET),
        ConfigEntry("retention.ms", None, incremental_operation=AlterConfigOpType.DELETE)])
    done(ADMIN.incremental_alter_configs([change]))
    until("the change shows", lambda: described()["max.message.bytes"].value == "54321")
    # The broker may have a static setting beneath, which is no default.
    source = ConfigSource(described()["retention.ms"].source)
    assert source is not ConfigSource.DYNAMIC_TOPIC_CONFIG, "a deleted key keeps its value"


def partitions():
    topic = f"{PREFIX}-partitions"
    create(topic, 1)
    done(ADMIN.create_partitions([NewPartitions(topic, 3)]))
    until("three partitions", lambda: len(ADMIN.list_topics(topic, timeout=30).topics[topic].partitions) == 3)
    try:
        done(ADMIN.create_partitions([NewPartitions(topic, 2)]))
        raise AssertionError("partitions were taken away")
    except confluent_kafka.KafkaException as error:
        assert error.args[0].code() == confluent_kafka.KafkaError.INVALID_PARTITIONS, error


def delete_records():
    topic = f"{PREFIX}-gzip"
    done(ADMIN.delete_records([TopicPartition(topic, 0, 50)]))
    spec = {TopicPartition(topic, 0): OffsetSpec.earliest()}
    assert list(done(ADMIN.list_offsets(spec)).values())[0].offset == 50
    c = consumer("deleted")
    c.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
    assert read(c, common.RECORD_COUNT - 50)[0][1] == 50
    c.close()


def groups():
    topic, group = f"{PREFIX}-none", f"{PREFIX}-groups"
    c = consumer("groups")
    c.subscribe([topic])
    read(c, 1)
    c.commit(asynchronous=False)
    listed = ADMIN.list_consumer_groups().result(30)
    assert group in {g.group_id for g in listed.valid} and not listed.errors, listed.errors
    description = done(ADMIN.describe_consumer_groups([group]))[group]
    assert description.state.name == "STABLE" and len(description.members) == 1, description.state
    assert description.members[0].assignment.topic_partitions[0].topic == topic
    try:
        done(ADMIN.delete_consumer_groups([group]))
        raise AssertionError("a group with members was deleted")
    except confluent_kafka.KafkaException as error:
        assert error.args[0].code() == confluent_kafka.KafkaError.NON_EMPTY_GROUP, error
    c.close()
    done(ADMIN.delete_consumer_groups([group]))
    until("the group is gone",
          lambda: group not in {g.group_id for g in ADMIN.list_consumer_groups().result(30).valid})


OPERATIONS = [(f"produce {codec}", produce(codec)) for codec in ("none", "gzip", "snappy", "lz4", "zstd")] + [
    ("idempotent", idempotent), ("group rebalance", group_rebalance), ("commit resume", commit_resume),
    ("seek time", seek_time), ("topics", topics), ("configs", configs), ("partitions", partitions),
    ("delete records", delete_records), ("groups", groups)]

if __name__ == "__main__":
    code = common.run("confluent-kafka", confluent_kafka.__version__, OPERATIONS, ARGS)
    sys.stdout.flush()
    os._exit(code)  # clients left over by a failed operation must not hold the process
