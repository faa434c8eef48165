"""Exits 0 once a Kafka node answers a Metadata v1 request with at least one broker.

A listening socket is not enough: a KRaft node accepts connections before it is registered.
"""
import socket
import struct
import sys


def main() -> int:
    with socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=2) as sock:
        # api_key 3, version 1, correlation 7, client id "probe", no topics.
        body = struct.pack(">hhih5si", 3, 1, 7, 5, b"probe", 0)
        sock.sendall(struct.pack(">i", len(body)) + body)
        answer = b""
        while len(answer) < 12:
            part = sock.recv(4096)
            if not part:
                return 1
            answer += part
    size, correlation, broker_count = struct.unpack(">iii", answer[:12])
    return 0 if correlation == 7 and broker_count > 0 else 1


sys.exit(main())
