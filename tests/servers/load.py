"""`zproxy-load`, the fake backend and the churning clients of core/load, for tests and benches alike."""

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


class FakeBackend:
    """IMAP and POP3 that believe any password."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        ready = _answer(process)
        self.imap_port = _port(ready["imap"])
        self.pop3_port = _port(ready["pop3"])

    def stop(self) -> dict[str, Any]:
        """End it, and return its count: `logins`, and `accounts` with the logins of each."""
        self._process.stdin.close()
        return _answer(self._process)


@contextmanager
def fake_backend() -> Iterator[FakeBackend]:
    with _running("fake-backend", "--imap", "127.0.0.1:0", "--pop3", "127.0.0.1:0") as process:
        yield FakeBackend(process)


@contextmanager
def churn(**options: object) -> Iterator[dict[str, Any]]:
    """Run the clients and give their figures; sessions that are held stay open until the end of the block."""
    arguments = [part for name, value in options.items() for part in (f"--{name.replace('_', '-')}", str(value))]
    with _running("churn", *arguments) as process:
        yield _answer(process)


@contextmanager
def _running(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    command = [PROGRAM, *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
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


def _port(address: str) -> int:
    return int(address.rpartition(":")[2])
