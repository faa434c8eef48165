"""kcat (librdkafka's command line, Debian's build) against a broker: what a person at a shell does with it."""
import json
import re
import subprocess
import sys

import common
from common import Absent

ARGS = common.arguments()
PREFIX = ARGS.prefix + "-kcat"
# Message and field separators that no text record below contains.
FIELD, RECORD = "\x1f", "\x1e"


def kcat(*arguments, stdin=b""):
    done = subprocess.run(["kcat", "-b", ARGS.bootstrap, "-m", "30", *arguments], input=stdin, capture_output=True,
                          timeout=common.DEADLINE_S, check=False)
    assert done.returncode == 0, f"kcat {' '.join(arguments)}: {done.stderr.decode()[:300]}"
    return done.stdout


def version():
    text = subprocess.run(["kcat", "-V"], capture_output=True, check=False).stdout.decode()
    return re.search(r"Version (\S+)", text).group(1)


def records():
    # kcat takes text lines: the records of the common set that are such.
    return [(common.key_of(i) or b"", common.value_of(i)) for i in range(common.RECORD_COUNT)
            if i % 17 != 0 and common.value_of(i)]


def send(topic, *arguments):
    lines = b"".join(key + FIELD.encode() + value + RECORD.encode() for key, value in records())
    kcat("-P", "-t", topic, "-p", "0", "-K", FIELD, "-D", RECORD, "-H", "origin=kcat", *arguments, stdin=lines)


def read(topic, *arguments):
    form = "%o" + FIELD + "%T" + FIELD + "%h" + FIELD + "%k" + FIELD + "%s" + RECORD
    out = kcat("-C", "-t", topic, "-e", "-q", "-f", form, *arguments)
    return [tuple(record.split(FIELD.encode())) for record in out.split(RECORD.encode()) if record]


def produce(codec):
    def operation():
        topic = f"{PREFIX}-{codec}"
        send(topic, "-z", codec)
        got = read(topic, "-o", "beginning", "-X", "check.crcs=true")
        assert [int(r[0]) for r in got] == list(range(len(records()))), "offsets out of order"
        assert all(r[2] == b"origin=kcat" for r in got), "a header is lost"
        assert [(r[3], r[4]) for r in got] == records(), "keys or values differ"

    return operation


def idempotent():
    topic = f"{PREFIX}-idempotent"
    send(topic, "-X", "enable.idempotence=true")
    assert len(read(topic, "-o", "beginning")) == len(records())


def commit_resume():
    topic = f"{PREFIX}-none"
    group = f"{PREFIX}-resume"
    arguments = ["-G", group, "-q", "-e", "-X", "auto.offset.reset=earliest", "-f", "%o\n"]
    first = kcat(*arguments, "-c", "100", topic).split()
    second = kcat(*arguments, topic).split()
    assert [int(x) for x in first + second] == list(range(len(records()))), "the group did not resume where it stopped"


def seek_time():
    topic = f"{PREFIX}-none"
    timestamps = [int(r[1]) for r in read(topic, "-o", "beginning")]
    middle = timestamps[len(timestamps) // 2]
    first = next(i for i, t in enumerate(timestamps) if t >= middle)
    assert int(read(topic, "-o", f"s@{middle}", "-p", "0")[0][0]) == first
    assert b"offset %d" % first in kcat("-Q", "-t", f"{topic}:0:{middle}").replace(b"[0] ", b"")


def topics():
    listed = json.loads(kcat("-L", "-J"))
    assert f"{PREFIX}-none" in {t["topic"] for t in listed["topics"]}
    assert len(listed["brokers"]) >= 1


def absent(what):
    def operation():
        raise Absent(what)

    return operation


NO_ADMIN = "kcat has no such command"
OPERATIONS = [(f"produce {codec}", produce(codec)) for codec in ("none", "gzip", "snappy", "lz4", "zstd")] + [
    ("idempotent", idempotent), ("group rebalance", absent("one process is one member")),
    ("commit resume", commit_resume), ("seek time", seek_time), ("topics", topics), ("configs", absent(NO_ADMIN)),
    ("partitions", absent(NO_ADMIN)), ("delete records", absent(NO_ADMIN)), ("groups", absent(NO_ADMIN))]

if __name__ == "__main__":
    sys.exit(common.run("kcat", version(), OPERATIONS, ARGS))
