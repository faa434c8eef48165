"""Produces without end, through crashes of the server, and writes down every acknowledgement.

    producer.py KIND BOOTSTRAP TOPIC ACKS

KIND: plain (librdkafka, one attempt per record), idempotent (librdkafka, retries without end), python (kafka-python, one
attempt). ACKS gets a line `sequence offset` per acknowledged record, in the order of the acknowledgements, flushed before
the next poll. Ends when stdin ends: then it sends no more, waits for what is in flight and exits.
"""
import select
import sys
import time

KIND, BOOTSTRAP, TOPIC, ACKS = sys.argv[1:]
IN_FLIGHT_MAX = 2000


def asked_to_stop():
    return bool(select.select([sys.stdin], [], [], 0)[0])


def value_of(sequence):
    return b"%d:" % sequence + b"x" * (sequence * 7919 % 300)


def librdkafka(acks):
    from confluent_kafka import Producer

    idempotent = KIND == "idempotent"
    producer = Producer({"bootstrap.servers": BOOTSTRAP, "acks": "all", "linger.ms": 2, "enable.idempotence": idempotent,
                         "compression.type": "lz4" if idempotent else "none",
                         "retries": 2147483647 if idempotent else 0,
                         "message.timeout.ms": 300_000 if idempotent else 5_000,
                         "reconnect.backoff.ms": 20, "reconnect.backoff.max.ms": 200,
                         # Else it forgets the broker when it is down and needs a second or more to be back: most crashes
                         # would then meet an idle producer.
                         "metadata.recovery.strategy": "none", "log_level": 0})
    sequence = 0

    def report(error, message):
        if error is None:
            acks.write(b"%s %d\n" % (message.value().split(b":")[0], message.offset()))
        elif idempotent:
            raise SystemExit(f"record {message.value()[:12]!r} was given up: {error}")

    while not asked_to_stop():
        if len(producer) < IN_FLIGHT_MAX:
            for _ in range(50):
                producer.produce(TOPIC, value_of(sequence), partition=0, on_delivery=report)
                sequence += 1
        producer.poll(0.005)
        acks.flush()
    left = producer.flush(120)
    acks.flush()
    if idempotent and left:
        raise SystemExit(f"{left} records neither acknowledged nor refused")


def kafka_python(acks):
    from kafka import KafkaProducer
    from kafka.errors import KafkaError

    producer = KafkaProducer(bootstrap_servers=BOOTSTRAP, acks="all", linger_ms=2, retries=0, enable_idempotence=False,
                             max_in_flight_requests_per_connection=1, max_block_ms=60_000, reconnect_backoff_ms=20,
                             reconnect_backoff_max_ms=200, delivery_timeout_ms=6_000, request_timeout_ms=5_000)
    sequence = 0
    while not asked_to_stop():
        futures = []
        for _ in range(50):
            try:
                futures.append((sequence, producer.send(TOPIC, value_of(sequence), partition=0)))
            except KafkaError:
                time.sleep(0.05)
            sequence += 1
        for number, future in futures:
            try:
                acks.write(b"%d %d\n" % (number, future.get(30).offset))
            except KafkaError:
                pass  # not acknowledged: it may be there or not
        acks.flush()
    producer.close(timeout=30)


with open(ACKS, "wb") as file:
    (kafka_python if KIND == "python" else librdkafka)(file)
