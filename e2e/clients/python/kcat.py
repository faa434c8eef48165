"""kcat (librdkafka's command line, Debian's build) against a broker: what a person at a shell does with it."""
import json
import re
import subprocess
import sys
import threading

from confluent_kafka.admin import AdminClient, NewTopic

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


class Member:
    """A `kcat -G` that runs until it is told to leave: what it printed, and which partitions it was given last."""

    def __init__(self, group, topic):
        self.values, self.owned = [], set()
        self.process = subprocess.Popen(
            ["kcat", "-b", ARGS.bootstrap, "-G", group, "-u", "-f", "%s\n", "-X", "auto.offset.reset=earliest",
             "-X", "session.timeout.ms=6000", "-X", "heartbeat.interval.ms=500", topic],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.threads = [threading.Thread(target=work) for work in (self.read, self.listen)]
        for thread in self.threads:
            thread.start()

    def read(self):
        for line in self.process.stdout:
            self.values.append(int(line))

    def listen(self):
        for line in self.process.stderr:
            if "assigned: " in line:
                self.owned = {int(n) for n in re.findall(r"\[(\d+)\]", line.split("assigned: ")[1])}

    def leave(self):
        self.process.terminate()
        self.process.wait(common.DEADLINE_S)
        for thread in self.threads:
            thread.join()


def group_rebalance():
    topic, group = f"{PREFIX}-rebalance", f"{PREFIX}-rebalance"
    # kcat cannot make a topic of several partitions.
    admin = AdminClient({"bootstrap.servers": ARGS.bootstrap})
    admin.create_topics([NewTopic(topic, 4, 1)])[topic].result(common.DEADLINE_S)
    members = [Member(group, topic)]
    try:
        stays = members[0]
        common.until("one member owns all", lambda: len(stays.owned) == 4)
        members.append(Member(group, topic))
        leaves = members[1]
        common.until("two members share", lambda: len(stays.owned) == 2 and len(leaves.owned) == 2
                     and len(stays.owned | leaves.owned) == 4)
        for n in range(4):
            kcat("-P", "-t", topic, "-p", str(n), stdin="".join(f"{i}\n" for i in range(n, 20, 4)).encode())
        common.until("20 records in two hands", lambda: len(stays.values) + len(leaves.values) == 20)
        assert len(leaves.values) == 10, f"{len(leaves.values)} records came to the second member"
        leaves.leave()
        common.until("the one that stays owns all", lambda: len(stays.owned) == 4)
        for n in range(4):
            kcat("-P", "-t", topic, "-p", str(n), stdin="".join(f"{i}\n" for i in range(20 + n, 40, 4)).encode())
        common.until("40 records", lambda: len(stays.values) + len(leaves.values) >= 40)
    finally:
        for member in members:
            member.leave()
    got = sorted(value for member in members for value in member.values)
    assert got == list(range(40)), "records lost or doubled by the rebalance"


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
    ("idempotent", idempotent), ("group rebalance", group_rebalance),
    ("commit resume", commit_resume), ("seek time", seek_time), ("topics", topics), ("configs", absent(NO_ADMIN)),
    ("partitions", absent(NO_ADMIN)), ("delete records", absent(NO_ADMIN)), ("groups", absent(NO_ADMIN))]

if __name__ == "__main__":
    sys.exit(common.run("kcat", version(), OPERATIONS, ARGS))
