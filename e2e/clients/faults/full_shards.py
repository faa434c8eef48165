"""Fills two shards of a server whose disk is too small for two segments each, deletes everything, and writes again.

    full_shards.py BOOTSTRAP ROUNDS         prints what each round wrote

The two topics lie in different shards. Ends with an error when a shard does not take records again after all topics were
deleted, or when a round after the first finds room for much less than that one.
"""
import sys
import time

from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient, NewTopic

BOOTSTRAP, ROUNDS = sys.argv[1], int(sys.argv[2])
TOPICS = ["full-a", "full-b"]
RECORD = bytes(range(256)) * 2048
DEADLINE_S = 30
# Space that one shard gives back reaches the other one a moment later.
REFUSED_S = 2
ADMIN = AdminClient({"bootstrap.servers": BOOTSTRAP})
PRODUCER = Producer({"bootstrap.servers": BOOTSTRAP, "acks": "all", "retries": 0, "linger.ms": 0, "log_level": 0})


def write(topic):
    """Whether a record was taken; a refusal must say why."""
    result = []
    PRODUCER.produce(topic, RECORD, partition=0, on_delivery=lambda error, _: result.append(error))
    assert PRODUCER.flush(DEADLINE_S) == 0, f"a record for {topic} was neither acknowledged nor refused"
    assert result[0] is None or result[0].code() == KafkaError.KAFKA_STORAGE_ERROR, result[0]
    return result[0] is None


def create(topic):
    try:
        ADMIN.create_topics([NewTopic(topic, 1, 1)])[topic].result(DEADLINE_S)
        return True
    except KafkaException as error:
        code = error.args[0].code()
        assert code in (KafkaError.KAFKA_STORAGE_ERROR, KafkaError.TOPIC_ALREADY_EXISTS), error
        return code == KafkaError.TOPIC_ALREADY_EXISTS


def eventually(what, attempt, topic):
    end = time.monotonic() + DEADLINE_S
    while not attempt(topic):
        assert time.monotonic() < end, f"{topic}: {what} for {DEADLINE_S} s after everything was deleted"
        time.sleep(0.05)


def fill():
    """Writes to both until both refuse for some time; how many records each took."""
    taken, last = dict.fromkeys(TOPICS, 0), time.monotonic()
    while time.monotonic() < last + REFUSED_S:
        wrote = [topic for topic in TOPICS if write(topic)]
        for topic in wrote:
            taken[topic], last = taken[topic] + 1, time.monotonic()
        if not wrote:
            time.sleep(0.05)
    return taken


first = 0
for i in range(ROUNDS):
    for name in TOPICS:
        eventually("no topic is made", create, name)
    for name in TOPICS:
        eventually("no record is taken", write, name)
    counts = fill()
    print(*counts.values(), flush=True)
    first = first or sum(counts.values())
    assert sum(counts.values()) > first // 2, f"{counts} in round {i}, {first} in the first one"
    for name in TOPICS:
        ADMIN.delete_topics([name])[name].result(DEADLINE_S)
for name in TOPICS:
    eventually("no topic is made", create, name)
for name in TOPICS:
    eventually("no record is taken", write, name)
