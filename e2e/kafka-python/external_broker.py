"""A pytest plugin that lets kafka-python's integration suite run against a broker that is already there.

The suite knows such brokers (`KAFKA_URI`), but what it needs for them is not whole in its source archive: the archive
lacks `test/__init__.py` and `test/service.py`, and the fixture of an external broker still tries to start it. This file
supplies the three; the suite itself is not edited.

It also writes one JSON line per test to the file `KAFKA_PYTHON_RESULTS`: {"test", "outcome", "cause"}, where outcome is
passed, failed or skipped, whichever of setup, call and teardown decided it.
"""
import json
import os
import sys
import types

test = types.ModuleType("test")
test.__path__ = [os.path.join(os.environ["KAFKA_PYTHON_SUITE"], "test")]
# Otherwise it would be the standard library's own package of that name.
sys.modules["test"] = test


class ExternalService:
    """A broker that nobody here starts or stops."""

    def __init__(self, host, port):
        self.host, self.port = host, port


class SpawnedService:
    """What would start a broker of the suite's own: a test that asks for it must fail."""

    def __init__(self, *_arguments, **_options):
        raise RuntimeError("the broker is external: this suite starts none")


service = types.ModuleType("test.service")
service.ExternalService, service.SpawnedService = ExternalService, SpawnedService
sys.modules["test.service"] = test.service = service

from test.integration.fixtures import KafkaFixture  # noqa: E402  # it imports the two modules above


def use_external(fixture):
    assert fixture.external, "the broker is external: this suite starts none"
    fixture.running = True


KafkaFixture.open = use_external


def pytest_runtest_logreport(report):
    """Called after setup, call and teardown of each test."""
    decided = report.outcome if report.when == "call" or report.outcome != "passed" else None
    if decided:
        cause = str(report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr or "")
        lines = [line for line in cause.splitlines() if line.strip()]
        with open(os.environ["KAFKA_PYTHON_RESULTS"], "a", encoding="utf-8") as file:
            test = report.nodeid.rsplit("/", 1)[-1]
            file.write(json.dumps({"test": test, "outcome": decided, "cause": lines[-1] if lines else ""}) + "\n")
