"""Prints `sequence offset` for every record of partition 0 of a topic that crash/producer.py wrote, in log order.

    dump.py BOOTSTRAP TOPIC

A value that is not what the producer made ends the run with an error.
"""
import sys
import time

from confluent_kafka import Consumer, TopicPartition

BOOTSTRAP, TOPIC = sys.argv[1:]
consumer = Consumer({"bootstrap.servers": BOOTSTRAP, "group.id": "dump", "enable.auto.commit": False,
                     "check.crcs": True, "log_level": 0})
where = TopicPartition(TOPIC, 0)
low, high = consumer.get_watermark_offsets(where, timeout=30)
consumer.assign([TopicPartition(TOPIC, 0, low)])
lines, end, position = [], time.monotonic() + 120, low
while position < high:
    if time.monotonic() > end:
        sys.exit(f"read up to {position} of {high} in 120 s")
    for message in consumer.consume(10_000, timeout=0.2):
        if message.error():
            sys.exit(str(message.error()))
        number, rest = message.value().split(b":", 1)
        if rest != b"x" * (int(number) * 7919 % 300):
            sys.exit(f"the value at offset {message.offset()} is damaged: {message.value()[:40]!r}")
        lines.append(f"{int(number)} {message.offset()}\n")
        position = message.offset() + 1
sys.stdout.write("".join(lines))
