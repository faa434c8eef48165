"""What every Python client script shares: the records that are sent, and how results are reported.

A script prints one JSON object per line: first {"client", "version"}, then {"operation", "result", "detail", "ms"} for
each operation, where result is "ok", "failed" or "absent" (the client has no such call; detail says which). The exit
code is 0 when nothing failed. The Rust harness reads nothing else.

The records are the same in every language (see e2e/README.md): key, value and headers follow from the index alone, so
what came back can be compared byte for byte without remembering what was sent.
"""
import argparse
import json
import sys
import time
import traceback

RECORD_COUNT = 300
# Milliseconds; far enough in the past that retention by time would show, a step that makes seeks exact.
TIMESTAMP_BASE_MS = int(time.time() * 1000) // 1000 * 1000 - 3_600_000
TIMESTAMP_STEP_MS = 10
DEADLINE_S = 60


class Absent(Exception):
    """The client offers no such operation."""


def key_of(i):
    return None if i % 7 == 0 else b"key-%d" % (i % 13)


def value_of(i):
    if i % 11 == 0:
        return b""
    if i % 17 == 0:
        return bytes((i * 31 + j * 7) % 256 for j in range(2000))
    return json.dumps({"id": i, "name": "n%d" % i, "price": i / 4, "even": i % 2 == 0}).encode()


def headers_of(i):
    """Duplicate names, an empty value and bytes that are no UTF-8: all of them must survive."""
    return [("trace", b"t%d" % i), ("trace", b"\xff\x00%d" % i), ("empty", b"")] if i % 3 == 0 else []


def timestamp_of(i):
    return TIMESTAMP_BASE_MS + i * TIMESTAMP_STEP_MS


def check_records(got, partition_count=1, headers=True, timestamps=True):
    """`got`: (partition, offset, timestamp_ms, key, value, headers) in arrival order, one partition."""
    assert len(got) == RECORD_COUNT, f"{len(got)} records came back instead of {RECORD_COUNT}"
    for i, (partition, offset, timestamp, key, value, record_headers) in enumerate(got):
        assert offset == i, f"record {i} came with offset {offset}"
        assert key == key_of(i), f"record {i}: key {key!r} instead of {key_of(i)!r}"
        assert value == value_of(i), f"record {i}: value differs: {value[:40]!r}"
        if headers:
            assert list(record_headers or []) == headers_of(i), f"record {i}: headers {record_headers!r}"
        if timestamps:
            assert timestamp == timestamp_of(i), f"record {i}: timestamp {timestamp} instead of {timestamp_of(i)}"


def until(what, condition, deadline_s=DEADLINE_S, step=None):
    """Calls `condition` until it is true. `step` is what lets time pass, e.g. a poll."""
    end = time.monotonic() + deadline_s
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        if step:
            step()
        else:
            time.sleep(0.05)
    raise AssertionError(f"{what}: not within {deadline_s} s")


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bootstrap", required=True)
    parser.add_argument("--pg", default="", help="host:port of the SQL listener, for the SQL clients")
    parser.add_argument("--prefix", default="e2e", help="what the names of topics and groups begin with")
    parser.add_argument("--only", action="append", help="run only this operation")
    return parser.parse_args()


def run(client, version, operations, args):
    """`operations`: (name, function of no arguments) pairs, in the order in which they depend on each other."""
    print(json.dumps({"client": client, "version": version}), flush=True)
    failed = 0
    for name, function in operations:
        if args.only and name not in args.only:
            continue
        start = time.monotonic()
        result, detail = "ok", ""
        try:
            function()
        except Absent as absent:
            result, detail = "absent", str(absent)
        except BaseException as error:  # a client's own error classes do not share a base below this one
            if isinstance(error, KeyboardInterrupt):
                raise
            failed += 1
            result, detail = "failed", f"{type(error).__name__}: {error}"
            traceback.print_exc(limit=4, file=sys.stderr)
        ms = round((time.monotonic() - start) * 1000)
        print(json.dumps({"operation": name, "result": result, "detail": detail[:500], "ms": ms}), flush=True)
    sys.stdout.flush()
    return 1 if failed else 0
