"""kafka-python (pure Python, its own codec) against a broker: every operation of the client table."""
import os
import sys

import kafka
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka import errors
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.structs import OffsetAndMetadata

import common
from common import until

ARGS = common.arguments()
PREFIX = ARGS.prefix + "-kafkapy"
ADMIN = KafkaAdminClient(bootstrap_servers=ARGS.bootstrap)


def create(topic, partitions=1, **configs):
    ADMIN.create_topics({topic: {"num_partitions": partitions, "replication_factor": 1, "configs": configs}},
                        wait_for_metadata=True)


def partition_count(topic):
    return len(ADMIN.describe_topics([topic])[0]["partitions"])


def send(topic, **config):
    p = KafkaProducer(bootstrap_servers=ARGS.bootstrap, linger_ms=5, **config)
    futures = [p.send(topic, value=common.value_of(i), key=common.key_of(i), headers=common.headers_of(i),
                      partition=0, timestamp_ms=common.timestamp_of(i)) for i in range(common.RECORD_COUNT)]
    p.flush(common.DEADLINE_S)
    offsets = [future.get(common.DEADLINE_S).offset for future in futures]
    p.close()
    assert offsets == list(range(common.RECORD_COUNT)), "acknowledged offsets out of order"


def consumer(group=None, **config):
    group = f"{PREFIX}-{group}" if group else None
    return KafkaConsumer(bootstrap_servers=ARGS.bootstrap, group_id=group, auto_offset_reset="earliest",
                         enable_auto_commit=False, session_timeout_ms=6000, heartbeat_interval_ms=500,
                         **config)


def read(c, count):
    got = []

    def poll():
        for records in c.poll(timeout_ms=200, max_records=count - len(got)).values():
            got.extend((r.partition, r.offset, r.timestamp, r.key, r.value, r.headers) for r in records)

    until(f"{count} records", lambda: len(got) >= count, step=poll)
    return got


def produce(codec):
    def operation():
        topic = f"{PREFIX}-{codec}"
        create(topic)
        send(topic, compression_type=None if codec == "none" else codec, enable_idempotence=False)
        c = consumer()
        c.assign([TopicPartition(topic, 0)])
        common.check_records(read(c, common.RECORD_COUNT))
        c.close()

    return operation


def idempotent():
    topic = f"{PREFIX}-idempotent"
    create(topic)
    send(topic, enable_idempotence=True)
    c = consumer()
    c.assign([TopicPartition(topic, 0)])
    common.check_records(read(c, common.RECORD_COUNT))
    c.close()


def group_rebalance():
    topic = f"{PREFIX}-rebalance"
    create(topic, 4)
    one, two = consumer("rebalance"), consumer("rebalance")
    one.subscribe([topic])
    until("one member owns all", lambda: len(one.assignment()) == 4, step=lambda: one.poll(100))
    two.subscribe([topic])

    def both():
        one.poll(100)
        two.poll(100)

    until("two members share", lambda: len(one.assignment()) == 2 and len(two.assignment()) == 2, step=both)
    assert len(one.assignment() | two.assignment()) == 4, "partitions overlap"
    two.close()
    until("the one that stays owns all", lambda: len(one.assignment()) == 4, step=lambda: one.poll(100))
    p = KafkaProducer(bootstrap_servers=ARGS.bootstrap)
    for i in range(40):
        p.send(topic, value=b"%d" % i, partition=i % 4)
    p.flush(30)
    values = sorted(int(record[4]) for record in read(one, 40))
    assert values == list(range(40)), "records lost or doubled by the rebalance"
    p.close()
    one.close()


def commit_resume():
    topic = f"{PREFIX}-commit"
    create(topic)
    send(topic)
    where = TopicPartition(topic, 0)
    first = consumer("commit")
    first.subscribe([topic])
    read(first, common.RECORD_COUNT)
    first.commit({where: OffsetAndMetadata(120, "half way", -1)})
    first.close()
    second = consumer("commit")
    committed = second.committed(where, metadata=True)
    assert committed.offset == 120 and committed.metadata == "half way", committed
    second.subscribe([topic])
    assert read(second, common.RECORD_COUNT - 120)[0][1] == 120
    second.close()


def seek_time():
    where = TopicPartition(f"{PREFIX}-none", 0)
    c = consumer()
    wanted = [(common.timestamp_of(100), 100), (common.timestamp_of(100) - 3, 100), (common.timestamp_of(0) - 1, 0)]
    for timestamp, offset in wanted:
        found = c.offsets_for_times({where: timestamp})[where]
        assert found.offset == offset, f"time {timestamp} gave {found.offset} instead of {offset}"
    assert c.offsets_for_times({where: common.timestamp_of(common.RECORD_COUNT)})[where] is None
    assert c.beginning_offsets([where])[where] == 0
    assert c.end_offsets([where])[where] == common.RECORD_COUNT
    c.assign([where])
    c.seek(where, 100)
    assert read(c, 1)[0][1] == 100
    c.close()


def topics():
    topic = f"{PREFIX}-topics"
    create(topic, 3)
    assert partition_count(topic) == 3
    until("the topic is listed", lambda: topic in ADMIN.list_topics())
    try:
        create(topic, 3)
        raise AssertionError("a topic was created twice")
    except errors.TopicAlreadyExistsError:
        pass
    ADMIN.delete_topics([topic])
    until("the topic is gone", lambda: topic not in ADMIN.list_topics())


def configs():
    topic = f"{PREFIX}-configs"
    create(topic, 1, **{"retention.ms": "3600000"})

    def described():
        resource = ConfigResource(ConfigResourceType.TOPIC, topic, configs=None)
        return ADMIN.describe_configs([resource], config_filter="all")["topic"][topic]

    entries = until("the configuration shows", described)
    assert entries["retention.ms"]["value"] == "3600000", entries["retention.ms"]
    assert entries["cleanup.policy"]["value"] == "delete", entries["cleanup.policy"]
    change = {"max.message.bytes": ("SET", "54321"), "retention.ms": ("DELETE", None)}
    ADMIN.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, configs=change)])
    until("the change shows", lambda: described()["max.message.bytes"]["value"] == "54321")
    assert described()["retention.ms"]["value"] != "3600000", "a deleted key keeps its value"


def partitions():
    topic = f"{PREFIX}-partitions"
    create(topic)
    ADMIN.create_partitions({topic: 3})
    until("three partitions", lambda: partition_count(topic) == 3)
    try:
        ADMIN.create_partitions({topic: 2})
        raise AssertionError("partitions were taken away")
    except errors.InvalidPartitionsError:
        pass


def delete_records():
    where = TopicPartition(f"{PREFIX}-gzip", 0)
    ADMIN.delete_records({where: 50})
    c = consumer()
    assert c.beginning_offsets([where])[where] == 50
    c.assign([where])
    c.seek_to_beginning(where)
    assert read(c, common.RECORD_COUNT - 50)[0][1] == 50
    c.close()


def group_ids():
    return {group["group_id"] for group in ADMIN.list_groups()}


def groups():
    topic, group = f"{PREFIX}-none", f"{PREFIX}-groups"
    c = consumer("groups")
    c.subscribe([topic])
    read(c, 1)
    c.commit()
    assert group in group_ids()
    description = ADMIN.describe_groups([group])[group]
    assert description["group_state"] == "Stable" and len(description["members"]) == 1, description
    refused = ADMIN.delete_groups([group])
    assert "NonEmpty" in str(refused), f"a group with members was deleted: {refused}"
    c.close()
    deleted = ADMIN.delete_groups([group])
    until(f"the group is gone ({deleted})", lambda: group not in group_ids())


OPERATIONS = [(f"produce {codec}", produce(codec)) for codec in ("none", "gzip", "snappy", "lz4", "zstd")] + [
    ("idempotent", idempotent), ("group rebalance", group_rebalance), ("commit resume", commit_resume),
    ("seek time", seek_time), ("topics", topics), ("configs", configs), ("partitions", partitions),
    ("delete records", delete_records), ("groups", groups)]

if __name__ == "__main__":
    code = common.run("kafka-python", kafka.__version__, OPERATIONS, ARGS)
    sys.stdout.flush()
    os._exit(code)
