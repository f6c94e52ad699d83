"""The crowds of a run, each a process that is listened to and ends with the run."""

from __future__ import annotations

import json
import ssl
import subprocess
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import gevent

from generator.crowd import PROGRAM, Known, arguments
from generator.rows import add, add_failures
from plan.fields import PlanError

if TYPE_CHECKING:
    from gevent import Greenlet
    from locust.stats import RequestStats

    from plan.plan import Plan

EVERY_SECONDS = 1.0
PATIENCE_SECONDS = 10.0
"""From the end of their stdin to theirs; what is under way they break off."""
SYSTEMS = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt")
"""Bundles of those whom Debian and Fedora trust, for a Python that knows none."""


class Crowds:
    """All of them; the web UI may have several runs, one after another."""

    def __init__(self, plan: Plan, stats: RequestStats) -> None:
        self._plan = plan
        self._stats = stats
        self._scratch = ExitStack()
        self._processes: list[subprocess.Popen[str]] = []
        self._ears: list[Greenlet] = []
        if plan.crowds and not PROGRAM.exists():
            raise PlanError(f"crowds: {PROGRAM} is missing; type: make build")
        self._system = _system() if plan.crowds and not plan.trusted else None

    def begin(self) -> None:
        """Send them."""
        directory = Path(self._scratch.enter_context(tempfile.TemporaryDirectory(prefix="zproxy-crowds-")))
        accounts, trusted = directory / "accounts.json", directory / "ca.pem"
        accounts.write_text(json.dumps([(row["name"], row["password"]) for row in self._plan.accounts]))
        trusted.write_text(self._plan.trusted)
        known = Known(account_file=accounts, ca_file=self._system or trusted, every=EVERY_SECONDS)
        for name, crowd in self._plan.crowds.items():
            self._ears.append(gevent.spawn(self._listen, name, self._begin(arguments(crowd, self._plan.target, known))))

    def finish(self) -> None:
        """End them, and hear their last words."""
        for process in self._processes:
            process.stdin.close()
        gevent.joinall(self._ears, PATIENCE_SECONDS)
        for process in self._processes:
            if process.poll() is None:
                process.kill()
        gevent.joinall(self._ears)
        self._processes, self._ears = [], []
        self._scratch.close()

    def _begin(self, told: list[str]) -> subprocess.Popen[str]:
        process = subprocess.Popen(  # noqa: S603 - our own program, told by the plan
            [str(PROGRAM), *told],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            # Ctrl-C is for locust, which then ends them.
            start_new_session=True,
        )
        self._processes.append(process)
        return process

    def _listen(self, name: str, process: subprocess.Popen[str]) -> None:
        for line in process.stdout:
            said = json.loads(line)
            for interval in said.get("interval", {}).values():
                add(self._stats, name, interval)
            # Of sessions that rested.
            add_failures(self._stats, name, said.get("disturbed", {}))
        if code := process.wait():
            add_failures(self._stats, name, {f"zproxy-load ended with {code}; above is what it said": 1})


def _system() -> Path:
    """Return a file of those whom this system trusts."""
    own = ssl.get_default_verify_paths().cafile
    for known in (*([own] if own else []), *SYSTEMS):
        if Path(known).exists():
            return Path(known)
    raise PlanError("crowds: this system has no bundle of CAs; give the target a ca_file")
