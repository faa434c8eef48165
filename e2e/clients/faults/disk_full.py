"""Fills the disk beneath a server, looks at what clients get, and frees it again.

    disk_full.py fill    BOOTSTRAP PG DISK          prints the number of records that were acknowledged
    disk_full.py look    BOOTSTRAP PG DISK COUNT    with that number
    disk_full.py refill  BOOTSTRAP PG DISK          after the topic was deleted; prints as fill does
    disk_full.py recover BOOTSTRAP PG DISK COUNT    with that number

DISK is the mounted file system that holds the server's data. A file of our own takes part of it, and is what gives the
space back, with the harness's file that takes what is left. Ends with an error when something is not as it must be:
- a write that finds no space is refused with an error that says so, over Kafka and over SQL;
- what was acknowledged is read back while the disk is full;
- a topic that was deleted on the full disk is gone, also after a crash, and others are written to in its place;
- writes go on once there is space, without a restart, at the offset after the last acknowledged record;
- members of groups go on reading on the full disk, and a commit there is refused with an error that tells the client to try
  again; who joins there gets nothing, no lasting error either, and reads and commits by himself once there is space.
"""
import os
import sys
import time

import psycopg
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition, OFFSET_BEGINNING
from confluent_kafka.admin import AdminClient, NewTopic

PHASE, BOOTSTRAP, PG, DISK, *COUNT = sys.argv[1:]
TOPIC = "disk-full"
RECORD_BYTES = 64 << 10
DEADLINE_S = 60
# The other shard gives back what it has spare, a moment after the first refusal.
REFUSED_S = 2
# One for the whole run: the futures that its calls return end with an error when the client is dropped.
ADMIN = AdminClient({"bootstrap.servers": BOOTSTRAP})
PRODUCER = Producer({"bootstrap.servers": BOOTSTRAP, "acks": "all", "retries": 0, "linger.ms": 0, "log_level": 0})
# So many that each of the two shards has some: a group's shard follows from a checksum of its name.
GROUPS = ["readers-a", "readers-b", "readers-c", "readers-d"]
BALLAST = os.path.join(DISK, "ballast")


def value_of(i):
    return b"%08d" % i + bytes((i * 31 + j * 7) % 256 for j in range(256)) * (RECORD_BYTES // 256)


def write(i):
    """Sends record `i` alone; its offset, or the error."""
    result = []
    PRODUCER.produce(TOPIC, value_of(i), partition=0,
                     on_delivery=lambda error, message: result.append(error or message.offset()))
    assert PRODUCER.flush(DEADLINE_S) == 0, f"record {i} was neither acknowledged nor refused"
    return result[0]


def write_all(count):
    """Writes records from `count` on until they are refused for some time; the number of the next one, and the last refusal."""
    disk, last = os.statvfs(DISK), time.monotonic()
    while True:
        result = write(count)
        if isinstance(result, int):
            assert result == count, f"record {count} has offset {result}"
            count, last = count + 1, time.monotonic()
            assert count * RECORD_BYTES < disk.f_blocks * disk.f_frsize, "the disk never gets full"
        elif time.monotonic() > last + REFUSED_S:
            return count, result
        else:
            refused(result, KafkaError.KAFKA_STORAGE_ERROR)
            time.sleep(0.05)


def read_all(count):
    consumer = Consumer({"bootstrap.servers": BOOTSTRAP, "group.id": "full", "enable.auto.commit": False, "check.crcs": True})
    consumer.assign([TopicPartition(TOPIC, 0, OFFSET_BEGINNING)])
    end = time.monotonic() + DEADLINE_S
    for i in range(count):
        message = None
        while message is None:
            assert time.monotonic() < end, f"{i} of {count} records were read in {DEADLINE_S} s"
            message = consumer.poll(0.2)
        assert message.error() is None, message.error()
        assert (message.offset(), message.value()) == (i, value_of(i)), f"record {i} differs at offset {message.offset()}"
    consumer.close()


def member(group):
    """A consumer that has joined, or goes on trying to."""
    consumer = Consumer({"bootstrap.servers": BOOTSTRAP, "group.id": group, "enable.auto.commit": False,
                         "auto.offset.reset": "earliest", "session.timeout.ms": 6000, "heartbeat.interval.ms": 500})
    consumer.subscribe([TOPIC])
    return consumer


def next_of(consumer, seconds):
    """The next record, `None` when none comes; errors that pass are waited for."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        message = consumer.poll(0.2)
        if message is not None and message.error() is None:
            return message
        assert message is None or not message.error().fatal(), message.error()
    return None


def commits(consumer):
    """Whether a commit is taken; a refusal must be one that the client may repeat."""
    try:
        consumer.commit(asynchronous=False)
        return True
    except KafkaException as error:
        assert error.args[0].code() in (KafkaError.COORDINATOR_LOAD_IN_PROGRESS, KafkaError._TIMED_OUT), error
        return False


def members_read_on(members, count):
    """Through several heartbeats and a session timeout: they would be gone if those were refused."""
    for consumer in members:
        read = 1
        while (message := next_of(consumer, 10)) is not None and message.offset() < count - 1:
            read += 1
        assert message is not None and read < count, f"{read} of {count} records were read"
    end = time.monotonic() + 8
    while time.monotonic() < end:
        for consumer in members:
            assert consumer.poll(0.2) is None, "nothing more was written"
    for consumer in members:
        assert consumer.assignment(), "a member was put out of its group"
    taken = [commits(consumer) for consumer in members]
    assert not all(taken), "one of the groups lives where the disk is full"
    for consumer in members:
        consumer.close()


def sql(statement):
    host, port = PG.rsplit(":", 1)
    with psycopg.connect(host=host, port=port, user="luma", dbname="luma", autocommit=True) as connection:
        return connection.execute(statement)


def reads_go_on(count):
    read_all(count)
    assert sql(f'SELECT count(*) FROM "{TOPIC}"').fetchone() == (count,)


def refused(error, code):
    assert error.code() == code, f"refused with {error}"


def fill():
    ADMIN.create_topics([NewTopic(TOPIC, 1, 1)])[TOPIC].result(DEADLINE_S)
    free = os.statvfs(DISK)
    with open(BALLAST, "wb") as file:
        os.posix_fallocate(file.fileno(), 0, free.f_bavail * free.f_frsize // 2)
    assert write(0) == 0
    members = [member(group) for group in GROUPS]
    for consumer in members:
        assert next_of(consumer, DEADLINE_S) is not None, "a member reads what is there"
    count, result = write_all(1)
    assert count > 50, f"it was full after {count} records"
    refused(result, KafkaError.KAFKA_STORAGE_ERROR)
    refused(write(count), KafkaError.KAFKA_STORAGE_ERROR)
    reads_go_on(count)
    members_read_on(members, count)
    try:
        sql(f"INSERT INTO \"{TOPIC}\" (key, value) VALUES ('k', 'v')")
        raise AssertionError("a row was inserted on a full disk")
    except psycopg.Error as error:
        assert error.sqlstate == "53100", f"{error.sqlstate} instead of disk_full (53100): {error}"
    try:
        ADMIN.create_topics([NewTopic("later", 1, 1)])["later"].result(DEADLINE_S)
        raise AssertionError("a topic was created on a full disk")
    except KafkaException as error:
        refused(error.args[0], KafkaError.KAFKA_STORAGE_ERROR)
    print(count, flush=True)


def refill():
    assert TOPIC not in ADMIN.list_topics(timeout=DEADLINE_S).topics, "the deleted topic is back"
    end = time.monotonic() + DEADLINE_S
    while True:
        try:
            ADMIN.create_topics([NewTopic(TOPIC, 1, 1)])[TOPIC].result(DEADLINE_S)
            break
        except KafkaException as error:
            refused(error.args[0], KafkaError.KAFKA_STORAGE_ERROR)
        assert time.monotonic() < end, f"a topic was deleted, but there is no space after {DEADLINE_S} s"
        time.sleep(0.1)
    count, result = write_all(0)
    refused(result, KafkaError.KAFKA_STORAGE_ERROR)
    assert count > 50, f"the deletion made room for {count} records"
    reads_go_on(count)
    print(count, flush=True)


def recover(count):
    reads_go_on(count)
    late = [member("late-" + group) for group in GROUPS]
    read = [next_of(consumer, 3) is not None for consumer in late]
    assert not all(read), "somebody joined where the disk is full"
    for name in os.listdir(DISK):
        if name.startswith("ballast"):
            os.remove(os.path.join(DISK, name))
    end = time.monotonic() + DEADLINE_S
    while not isinstance(result := write(count), int):
        assert time.monotonic() < end, f"space is back, but writes are refused after {DEADLINE_S} s: {result}"
        time.sleep(0.1)
    assert result == count, f"the first record after it has offset {result} instead of {count}"
    reads_go_on(count + 1)
    for consumer in late:
        assert next_of(consumer, DEADLINE_S) is not None, "who joined on the full disk does not read when there is space"
        assert commits(consumer), "nor commit"
        consumer.close()


{"fill": fill, "look": reads_go_on, "refill": refill, "recover": recover}[PHASE](*map(int, COUNT))
