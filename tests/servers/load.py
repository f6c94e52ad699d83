"""`zproxy-load`, the fake backends and the clients of core/load, for tests, benches and load tests alike."""

from __future__ import annotations

import json
import os
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
PROGRAM = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release" / "zproxy-load"
PROTOCOLS = ("imap", "pop3", "submission", "http")


class Running:
    """A command that goes on until `end`, unless it ends by itself; `figures` are what it said first."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.figures = _answer(process)

    def lines(self) -> Iterator[dict[str, Any]]:
        """Go through what more it says, up to its last word."""
        return map(json.loads, self.process.stdout)

    def end(self) -> dict[str, Any]:
        """End it, and return its last word."""
        self.process.stdin.close()
        return _answer(self.process)


class FakeBackend(Running):
    """Speaks every protocol and believes any password; `PROTOCOL_port` is where."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        super().__init__(process)
        self.imap_port, self.pop3_port, self.submission_port, self.http_port = (
            int(self.figures[protocol].rpartition(":")[2]) for protocol in PROTOCOLS
        )

    @property
    def endpoints(self) -> dict[str, dict[str, int]]:
        """All of them, for a backend of the pool."""
        return {protocol: {"port": getattr(self, f"{protocol}_port")} for protocol in PROTOCOLS}

    def stop(self) -> dict[str, Any]:
        """End it, and return its count: `logins`, `accounts` with the logins of each, `strangers`, `octets` …."""
        return self.end()


@contextmanager
def fake_backend(**options: object) -> Iterator[FakeBackend]:
    """Start one at ports of its own; options are `name`, and `serves`, a file of the accounts that live there."""
    addresses = dict.fromkeys(PROTOCOLS, "127.0.0.1:0")
    with _started("fake-backend", addresses | options) as process:
        yield FakeBackend(process)


@contextmanager
def running(command: str, **options: object) -> Iterator[Running]:
    """Run a command whose sessions stay open until its end, or the end of the block."""
    with _started(command, options) as process:
        yield Running(process)


@contextmanager
def churn(**options: object) -> Iterator[dict[str, Any]]:
    """Run clients that log in, and give their figures; sessions that are held stay until the end of the block."""
    with running("churn", **options) as clients:
        yield clients.figures


def figures(command: str, **options: object) -> dict[str, Any]:
    """Run a command to its end and return its figures."""
    with running(command, **options) as clients:
        return clients.figures


@contextmanager
def _started(command: str, options: dict[str, object]) -> Iterator[subprocess.Popen[str]]:
    arguments = [PROGRAM, command]
    for name, value in options.items():
        said = str(value).lower() if isinstance(value, bool) else str(value)
        arguments += [f"--{name.replace('_', '-')}", said]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            # The end of its stdin is its end; it may have a last word.
            process.stdin.close()
            process.stdout.read()


def _answer(process: subprocess.Popen[str]) -> dict[str, Any]:
    line = process.stdout.readline()
    assert line, f"zproxy-load ended with {process.wait()}"
    answer: dict[str, Any] = json.loads(line)
    return answer
