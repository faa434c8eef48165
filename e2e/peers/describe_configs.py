"""Prints the configs that a Kafka node describes, as the golden files of broker-kafka have them.

    python3 e2e/peers/describe_configs.py HOST PORT topic NAME > broker/broker-kafka/tests/it/configs/kafka_topic.tsv
    python3 e2e/peers/describe_configs.py HOST PORT broker ID > broker/broker-kafka/tests/it/configs/kafka_broker.tsv

A line for each config, by name, columns separated by tabs: name, number of the type (KIP-569), whether it is read-only,
whether it is secret, and the default; a null is written \\N. The topic must exist and have no configs of its own.
Speaks DescribeConfigs version 4 itself, so that no client's view of the answer comes between.
"""
import socket
import struct
import sys

DEFAULT_CONFIG = 5
KINDS = {"topic": 2, "broker": 4}


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, form):
        (value,) = struct.unpack_from(">" + form, self.data, self.at)
        self.at += struct.calcsize(form)
        return value

    def varint(self):
        value = shift = 0
        while True:
            byte = self.take("B")
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7

    def string(self):
        size = self.varint()
        if size == 0:
            return None
        text = self.data[self.at:self.at + size - 1].decode()
        self.at += size - 1
        return text

    def array(self, item):
        return [item() for _ in range(self.varint() - 1)]

    def tags(self):
        for _ in range(self.varint()):
            self.varint()
            self.at += self.varint()

    def synonym(self):
        one = (self.string(), self.string(), self.take("b"))
        self.tags()
        return one

    def config(self):
        name, value = self.string(), self.string()
        read_only, source, secret = self.take("?"), self.take("b"), self.take("?")
        synonyms = self.array(self.synonym)
        kind, _documentation = self.take("b"), self.string()
        self.tags()
        return name, value, read_only, source, secret, synonyms, kind

    def result(self):
        error, message = self.take("h"), self.string()
        self.take("b")
        self.string()
        configs = self.array(self.config)
        self.tags()
        if error:
            sys.exit(f"error {error}: {message}")
        return configs


def text(value):
    return bytes([len(value.encode()) + 1]) + value.encode()


def ask(host, port, kind, name):
    resource = bytes([2, KINDS[kind]]) + text(name) + b"\0\0"
    header = struct.pack(">hhih6s", 32, 4, 7, 6, b"record") + b"\0"
    request = header + resource + b"\1\0\0"
    with socket.create_connection((host, int(port)), timeout=10) as sock:
        sock.sendall(struct.pack(">i", len(request)) + request)
        stream = sock.makefile("rb")
        (size,) = struct.unpack(">i", stream.read(4))
        reader = Reader(stream.read(size))
    if reader.take("i") != 7:
        sys.exit("an answer to another request")
    reader.tags()
    reader.take("i")
    (configs,) = reader.array(reader.result)
    return configs


def default(config):
    """The value, or what it hides: Kafka sets `min.insync.replicas` itself, for the cluster."""
    name, value, _, source, _, synonyms, _ = config
    if source == DEFAULT_CONFIG:
        return value
    own = [value for synonym, value, source in synonyms if (synonym, source) == (name, DEFAULT_CONFIG)]
    return own[0] if own else None


def main():
    host, port, kind, name = sys.argv[1:]
    for config in sorted(ask(host, port, kind, name)):
        value = default(config)
        columns = [config[0], str(config[6]), str(config[2]).lower(), str(config[4]).lower()]
        print("\t".join(columns + ["\\N" if value is None else value]))


main()
