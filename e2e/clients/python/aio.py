"""aiokafka (asyncio) against a broker: every operation of the client table that it has a call for."""
import asyncio
import os
import sys

import aiokafka
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import for_code
from aiokafka.structs import OffsetAndMetadata

import common
from common import Absent

ARGS = common.arguments()
PREFIX = ARGS.prefix + "-aio"


class Admin:
    async def __aenter__(self):
        self.client = AIOKafkaAdminClient(bootstrap_servers=ARGS.bootstrap)
        await self.client.start()
        return self.client

    async def __aexit__(self, *_):
        await self.client.close()


async def eventually(what, condition, step=None):
    end = asyncio.get_running_loop().time() + common.DEADLINE_S
    while asyncio.get_running_loop().time() < end:
        value = await condition()
        if value:
            return value
        await (step() if step else asyncio.sleep(0.05))
    raise AssertionError(f"{what}: not within {common.DEADLINE_S} s")


def raise_errors(response):
    for name, code, *rest in response.topic_errors if hasattr(response, "topic_errors") else response.topic_error_codes:
        if code:
            raise for_code(code)(name, *rest)


async def create(topic, partitions=1, **configs):
    async with Admin() as admin:
        raise_errors(await admin.create_topics([NewTopic(topic, partitions, 1, topic_configs=configs)]))

        async def known():
            described = (await admin.describe_topics([topic]))[0]
            return described["error_code"] == 0 and len(described["partitions"]) == partitions

        await eventually("the topic shows", known)


async def send(topic, **config):
    producer = AIOKafkaProducer(bootstrap_servers=ARGS.bootstrap, linger_ms=5, **config)
    await producer.start()
    try:
        futures = [await producer.send(topic, value=common.value_of(i), key=common.key_of(i), partition=0,
                                       headers=common.headers_of(i), timestamp_ms=common.timestamp_of(i))
                   for i in range(common.RECORD_COUNT)]
        offsets = [result.offset for result in await asyncio.gather(*futures)]
    finally:
        await producer.stop()
    assert offsets == list(range(common.RECORD_COUNT)), "acknowledged offsets out of order"


def consumer(*topics, group=None):
    return AIOKafkaConsumer(*topics, bootstrap_servers=ARGS.bootstrap, group_id=f"{PREFIX}-{group}" if group else None,
                            auto_offset_reset="earliest", enable_auto_commit=False, session_timeout_ms=6000,
                            heartbeat_interval_ms=500, metadata_max_age_ms=1000)


async def read(c, count):
    got = []

    async def enough():
        return len(got) >= count

    async def poll():
        for records in (await c.getmany(timeout_ms=200)).values():
            got.extend((r.partition, r.offset, r.timestamp, r.key, r.value, r.headers) for r in records)

    await eventually(f"{count} records", enough, poll)
    return got


async def read_all(topic, start=0):
    c = consumer()
    await c.start()
    try:
        where = TopicPartition(topic, 0)
        c.assign([where])
        c.seek(where, start)
        return await read(c, common.RECORD_COUNT - start)
    finally:
        await c.stop()


def produce(codec, **config):
    async def operation():
        topic = f"{PREFIX}-{'idempotent' if config else codec}"
        await create(topic)
        await send(topic, compression_type=None if codec == "none" else codec, **config)
        common.check_records(await read_all(topic))

    return operation


async def group_rebalance():
    topic = f"{PREFIX}-rebalance"
    await create(topic, 4)
    one, two = consumer(topic, group="rebalance"), consumer(topic, group="rebalance")

    def owns(**counts):
        async def condition():
            return len(one.assignment()) == counts["one"] and len(two.assignment()) == counts["two"]

        return condition

    await one.start()
    await eventually("one member owns all", owns(one=4, two=0))
    await two.start()
    await eventually("two members share", owns(one=2, two=2))
    assert len(one.assignment() | two.assignment()) == 4, "partitions overlap"
    await two.stop()

    async def alone():
        return len(one.assignment()) == 4

    await eventually("the one that stays owns all", alone)
    producer = AIOKafkaProducer(bootstrap_servers=ARGS.bootstrap)
    await producer.start()
    for i in range(40):
        await producer.send_and_wait(topic, b"%d" % i, partition=i % 4)
    await producer.stop()
    values = sorted(int(record[4]) for record in await read(one, 40))
    await one.stop()
    assert values == list(range(40)), "records lost or doubled by the rebalance"


async def commit_resume():
    topic = f"{PREFIX}-commit"
    await create(topic)
    await send(topic)
    where = TopicPartition(topic, 0)
    first = consumer(topic, group="commit")
    await first.start()
    await read(first, common.RECORD_COUNT)
    await first.commit({where: OffsetAndMetadata(120, "half way")})
    await first.stop()
    second = consumer(topic, group="commit")
    await second.start()
    try:
        assert await second.committed(where) == 120
        assert (await read(second, common.RECORD_COUNT - 120))[0][1] == 120
    finally:
        await second.stop()


async def seek_time():
    where = TopicPartition(f"{PREFIX}-none", 0)
    c = consumer()
    await c.start()
    try:
        wanted = [(common.timestamp_of(100), 100), (common.timestamp_of(100) - 3, 100), (common.timestamp_of(0) - 1, 0)]
        for timestamp, offset in wanted:
            found = (await c.offsets_for_times({where: timestamp}))[where]
            assert found.offset == offset, f"time {timestamp} gave {found.offset} instead of {offset}"
        late = (await c.offsets_for_times({where: common.timestamp_of(common.RECORD_COUNT)}))[where]
        assert late is None, late
        assert (await c.end_offsets([where]))[where] == common.RECORD_COUNT
    finally:
        await c.stop()


async def topics():
    topic = f"{PREFIX}-topics"
    await create(topic, 3)
    try:
        await create(topic, 3)
        raise AssertionError("a topic was created twice")
    except for_code(36):
        pass
    async with Admin() as admin:
        assert topic in await admin.list_topics()
        raise_errors(await admin.delete_topics([topic]))

        async def gone():
            return topic not in await admin.list_topics()

        await eventually("the topic is gone", gone)


async def configs():
    topic = f"{PREFIX}-configs"
    await create(topic, 1, **{"retention.ms": "3600000"})
    async with Admin() as admin:
        async def described():
            answer = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
            code, message, _, _, entries = answer[0].resources[0]
            assert code == 0, message
            return {entry[0]: entry[1] for entry in entries}

        entries = await described()
        assert entries["retention.ms"] == "3600000" and entries["cleanup.policy"] == "delete", entries
        # The old call replaces the whole configuration: what is not named goes back to its default.
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, {"max.message.bytes": "54321"})])

        async def changed():
            return (await described())["max.message.bytes"] == "54321"

        await eventually("the change shows", changed)
        assert (await described())["retention.ms"] != "3600000", "what was not named keeps its value"


async def partitions():
    topic = f"{PREFIX}-partitions"
    await create(topic)
    async with Admin() as admin:
        await admin.create_partitions({topic: NewPartitions(3)})

        async def three():
            return len((await admin.describe_topics([topic]))[0]["partitions"]) == 3

        await eventually("three partitions", three)


async def delete_records():
    where = TopicPartition(f"{PREFIX}-gzip", 0)
    async with Admin() as admin:
        await admin.delete_records({where: RecordsToDelete(before_offset=50)})
    got = await read_all(where.topic, 50)
    assert got[0][1] == 50 and len(got) == common.RECORD_COUNT - 50
    c = consumer()
    await c.start()
    try:
        assert (await c.beginning_offsets([where]))[where] == 50
    finally:
        await c.stop()


async def groups():
    raise Absent("it lists and describes groups, but cannot delete them")


def sync(function):
    return lambda: asyncio.run(asyncio.wait_for(function(), 90))


OPERATIONS = [(f"produce {codec}", sync(produce(codec))) for codec in ("none", "gzip", "snappy", "lz4", "zstd")] + [
    ("idempotent", sync(produce("none", enable_idempotence=True))), ("group rebalance", sync(group_rebalance)),
    ("commit resume", sync(commit_resume)), ("seek time", sync(seek_time)), ("topics", sync(topics)),
    ("configs", sync(configs)), ("partitions", sync(partitions)), ("delete records", sync(delete_records)),
    ("groups", sync(groups))]

if __name__ == "__main__":
    code = common.run("aiokafka", aiokafka.__version__, OPERATIONS, ARGS)
    sys.stdout.flush()
    os._exit(code)
