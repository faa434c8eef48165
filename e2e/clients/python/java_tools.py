"""Apache Kafka's own Java tools against a broker, each call a process as a person at a shell starts it.

    java_tools.py console|perf ...

console: kafka-console-producer, kafka-console-consumer, kafka-topics, kafka-configs, kafka-consumer-groups,
kafka-get-offsets, kafka-delete-records. perf: kafka-producer-perf-test, kafka-consumer-perf-test, kafka-e2e-latency.
The classes are those that the scripts of Kafka's distribution start; the scripts themselves are not in Maven's archives.
"""
import json
import os
import re
import subprocess
import sys
import tempfile
from datetime import datetime, timezone

import common
from common import until

KIND = sys.argv.pop(1)
ARGS = common.arguments()
PREFIX = f"{ARGS.prefix}-java-{KIND}"
JARS = os.path.join(os.environ["LUMADB_E2E_INSTALLED"], "java", "lib")
# A tool lives for a second: no time for the optimising compiler to pay.
JAVA = ["java", "-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", os.path.join(JARS, "*")]
CLASSES = {
    "console-producer": "org.apache.kafka.tools.ConsoleProducer",
    "console-consumer": "org.apache.kafka.tools.consumer.ConsoleConsumer",
    "topics": "org.apache.kafka.tools.TopicCommand",
    "configs": "kafka.admin.ConfigCommand",
    "consumer-groups": "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
    "get-offsets": "org.apache.kafka.tools.GetOffsetShell",
    "delete-records": "org.apache.kafka.tools.DeleteRecordsCommand",
    "producer-perf-test": "org.apache.kafka.tools.ProducerPerformance",
    "consumer-perf-test": "org.apache.kafka.tools.ConsumerPerformance",
    "e2e-latency": "org.apache.kafka.tools.EndToEndLatency",
}
NULL = "\\N"


def command(name, *arguments):
    return [*JAVA, CLASSES[name], "--bootstrap-server", ARGS.bootstrap, *arguments]


def tool(name, *arguments, stdin=b"", fails=False):
    """Runs a tool to its end; gives what it printed on both outputs."""
    done = subprocess.run(command(name, *arguments), input=stdin, capture_output=True, timeout=common.DEADLINE_S, check=False)
    text = done.stdout.decode() + done.stderr.decode()
    assert (done.returncode != 0) == fails, f"{name} {' '.join(arguments)}: exit {done.returncode}: {text[-400:]}"
    return text


def version():
    names = "\n".join(os.listdir(JARS))
    return re.search(r"^kafka-tools-(\d.*)\.jar$", names, re.M).group(1)


def records():
    """The records of the common set that are one line of text, with the headers that are text."""
    return [(common.key_of(i), common.value_of(i)) for i in range(common.RECORD_COUNT) if i % 17 != 0]


def create(topic, partitions=1, *arguments):
    tool("topics", "--create", "--topic", topic, "--partitions", str(partitions), "--replication-factor", "1", *arguments)


def send(topic, *arguments):
    lines = b"".join(b"trace:t1,trace:t2\t" + (NULL.encode() if key is None else key) + b"\t" + value + b"\n"
                     for key, value in records())
    tool("console-producer", "--topic", topic, "--reader-property", "parse.key=true", "--reader-property", "parse.headers=true",
         "--reader-property", f"null.marker={NULL}", *arguments, stdin=lines)


def read(topic, *arguments):
    """(offset, headers, key, value) of each record. The consumer ends after a quiet second or what arguments say."""
    shown = ["--formatter-property", f"null.literal={NULL}"]
    for what in ("offset", "headers", "key"):
        shown += ["--formatter-property", f"print.{what}=true"]
    done = subprocess.run(command("console-consumer", "--topic", topic, *shown, *arguments), stdin=subprocess.DEVNULL,
                          capture_output=True, timeout=common.DEADLINE_S, check=False)
    assert done.returncode == 0, f"console-consumer: exit {done.returncode}: {done.stderr.decode()[-400:]}"
    got = []
    for line in done.stdout.split(b"\n")[:-1]:
        offset, headers, key, value = line.split(b"\t", 3)
        got.append((int(offset.removeprefix(b"Offset:")), headers, None if key == NULL.encode() else key, value))
    return got


def check(got, first=0):
    wanted = [(i, b"trace:t1,trace:t2", key, value) for i, (key, value) in enumerate(records())][first:]
    for one, other in zip(got, wanted):
        assert one == other, f"{one} came back instead of {other}"
    assert len(got) == len(wanted), f"{len(got)} records came back instead of {len(wanted)}"


def produce(codec):
    def operation():
        topic = f"{PREFIX}-{codec}"
        create(topic)
        send(topic, "--compression-codec", codec)
        check(read(topic, "--partition", "0", "--offset", "earliest", "--max-messages", str(len(records()))))

    return operation


def idempotent():
    topic = f"{PREFIX}-idempotent"
    create(topic)
    send(topic, "--command-property", "enable.idempotence=true", "--command-property", "acks=all")
    check(read(topic, "--partition", "0", "--offset", "earliest", "--max-messages", str(len(records()))))


def members(group):
    """Partitions of each member."""
    text = tool("consumer-groups", "--describe", "--members", "--group", group)
    return sorted(int(line.split()[-1]) for line in text.splitlines() if line.startswith(group + " "))


def group_rebalance():
    topic, group = f"{PREFIX}-rebalance", f"{PREFIX}-rebalance"
    create(topic, 4)
    with tempfile.TemporaryFile() as out:
        def member():
            return subprocess.Popen(command("console-consumer", "--topic", topic, "--group", group, "--from-beginning"),
                                    stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.DEVNULL)

        one, two = member(), member()
        try:
            until("two members share", lambda: members(group) == [2, 2])
            two.terminate()
            two.wait(common.DEADLINE_S)
            until("the one that stays owns all", lambda: members(group) == [4])
            tool("console-producer", "--topic", topic, "--batch-size", "1", stdin=b"".join(b"%d\n" % i for i in range(40)))

            def printed():
                out.flush()
                return os.pread(out.fileno(), 1 << 20, 0).split()

            until("40 records", lambda: len(printed()) >= 40)
            assert sorted(map(int, printed())) == list(range(40)), "records lost or doubled by the rebalance"
        finally:
            for process in (one, two):
                process.kill()
                process.wait()


def commit_resume():
    topic, group = f"{PREFIX}-none", ("--group", f"{PREFIX}-commit")
    first = read(topic, *group, "--from-beginning", "--max-messages", "100")
    rest = read(topic, *group, "--max-messages", str(len(records()) - 100))
    check(first + rest)
    described = tool("consumer-groups", "--describe", *group)
    row = next(line.split() for line in described.splitlines() if line.startswith(group[1] + " "))
    assert row[1:6] == [topic, "0", str(len(records())), str(len(records())), "0"], row


def offsets(topic, time):
    text = tool("get-offsets", "--topic", topic, "--time", str(time))
    return [int(line.rsplit(":", 1)[1]) for line in text.splitlines() if line.startswith(topic + ":")]


def seek_time():
    # Lines carry no timestamps, so the records have the time at which the tool sent them.
    topic, group = f"{PREFIX}-seek", f"{PREFIX}-seek"
    create(topic)
    send(topic)
    between = datetime.now(timezone.utc)
    send(topic)
    middle, end = len(records()), 2 * len(records())
    assert offsets(topic, "earliest") == [0] and offsets(topic, "latest") == [end]
    assert offsets(topic, int(between.timestamp() * 1000) + 1) == [middle]
    assert offsets(topic, "max-timestamp")[0] in range(middle, end)
    text = between.strftime("%Y-%m-%dT%H:%M:%S.") + f"{between.microsecond // 1000:03}"
    tool("consumer-groups", "--group", group, "--topic", topic, "--reset-offsets", "--to-datetime", text, "--execute")
    assert read(topic, "--group", group, "--max-messages", "1")[0][0] == middle


def topics():
    topic = f"{PREFIX}-topics"
    create(topic, 3)
    assert topic in tool("topics", "--list").split()
    described = tool("topics", "--describe", "--topic", topic)
    assert re.search(r"PartitionCount: 3\s+ReplicationFactor: 1\b", described), described
    again = tool("topics", "--create", "--topic", topic, "--partitions", "3", fails=True)
    assert f"Topic '{topic}' already exists" in again, again
    tool("topics", "--delete", "--topic", topic)
    until("the topic is gone", lambda: topic not in tool("topics", "--list").split())


def configs():
    topic = f"{PREFIX}-configs"
    create(topic, 1, "--config", "retention.ms=3600000")
    entity = ("--entity-type", "topics", "--entity-name", topic)

    def described():
        return tool("configs", "--describe", *entity)

    assert "retention.ms=3600000" in described(), described()
    assert "cleanup.policy=delete" in tool("configs", "--describe", "--all", *entity)
    tool("configs", "--alter", *entity, "--add-config", "max.message.bytes=54321", "--delete-config", "retention.ms")
    until("the change shows", lambda: "max.message.bytes=54321" in described())
    assert "retention.ms" not in described(), described()


def partitions():
    topic = f"{PREFIX}-partitions"
    create(topic)
    tool("topics", "--alter", "--topic", topic, "--partitions", "3")
    until("three partitions", lambda: "PartitionCount: 3" in tool("topics", "--describe", "--topic", topic))
    fewer = tool("topics", "--alter", "--topic", topic, "--partitions", "2", fails=True)
    assert "2 would not be an increase" in fewer, fewer


def delete_records():
    topic = f"{PREFIX}-gzip"
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump({"version": 1, "partitions": [{"topic": topic, "partition": 0, "offset": 50}]}, file)
        file.flush()
        text = tool("delete-records", "--offset-json-file", file.name)
    assert re.search(r"low_watermark: 50\b", text), text
    assert offsets(topic, "earliest") == [50]
    check(read(topic, "--partition", "0", "--offset", "earliest", "--max-messages", str(len(records()) - 50)), first=50)


def groups():
    group = f"{PREFIX}-groups"
    member = subprocess.Popen(command("console-consumer", "--topic", f"{PREFIX}-none", "--group", group),
                              stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until("the group is stable",
              lambda: re.search(r" Stable +1$", tool("consumer-groups", "--describe", "--state", "--group", group), re.M))
        assert group in tool("consumer-groups", "--list").split()
        refused = tool("consumer-groups", "--delete", "--group", group)
        assert "GroupNotEmptyException" in refused, refused
    finally:
        member.terminate()
        member.wait(common.DEADLINE_S)
    deleted = tool("consumer-groups", "--delete", "--group", group)
    assert "was successful" in deleted, deleted
    assert group not in tool("consumer-groups", "--list").split()


PERF_COUNT = 5000


def perf_produce(codec, **properties):
    def operation():
        topic = f"{PREFIX}-{codec}"
        create(topic)
        given = {"compression.type": codec, **properties}
        text = tool("producer-perf-test", "--topic", topic, "--num-records", str(PERF_COUNT), "--record-size", "200",
                    "--throughput", "-1", "--command-property", *(f"{name}={value}" for name, value in given.items()))
        assert re.search(rf"^{PERF_COUNT} records sent, ", text, re.M), text
        assert offsets(topic, "latest") == [PERF_COUNT]

    return operation


def perf_idempotent():
    perf_produce("lz4-idempotent", **{"compression.type": "lz4", "enable.idempotence": "true", "acks": "all"})()


def perf_consume():
    text = tool("consumer-perf-test", "--topic", f"{PREFIX}-zstd", "--num-records", str(PERF_COUNT), "--hide-header")
    # start, end, MB, MB/s, records, ...
    consumed = next(int(line.split(", ")[4]) for line in text.splitlines() if line.count(", ") > 4)
    assert consumed == PERF_COUNT, text


def perf_latency():
    topic = f"{PREFIX}-latency"
    create(topic)
    text = tool("e2e-latency", "--topic", topic, "--num-records", "200", "--producer-acks", "all", "--record-size", "100")
    assert re.search(r"^Avg latency: \d+\.\d+ ms$", text, re.M), text
    assert re.search(r"^Percentiles: 50th = \d+, 99th = \d+, 99\.9th = \d+$", text, re.M), text
    assert offsets(topic, "latest") == [200]


CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
CONSOLE = [(f"produce {codec}", produce(codec)) for codec in CODECS] + [
    ("idempotent", idempotent), ("group rebalance", group_rebalance), ("commit resume", commit_resume),
    ("seek time", seek_time), ("topics", topics), ("configs", configs), ("partitions", partitions),
    ("delete records", delete_records), ("groups", groups)]
PERF = [(f"produce {codec}", perf_produce(codec)) for codec in CODECS] + [
    ("idempotent", perf_idempotent), ("consume", perf_consume), ("end-to-end latency", perf_latency)]

if __name__ == "__main__":
    sys.exit(common.run(f"java {KIND} tools", version(), {"console": CONSOLE, "perf": PERF}[KIND], ARGS))
