"""Writes a run down as it goes: each second what every row of the statistics gained, and what happened."""

from __future__ import annotations

import json
import logging
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import gevent
from locust.runners import MasterRunner

from record.machine import described

if TYPE_CHECKING:
    from pathlib import Path

    from locust.runners import Runner
    from locust.stats import StatsEntry

    from plan.plan import Plan
    from record.verdict import Verdict

logger = logging.getLogger(__name__)
SAMPLE_SECONDS = 1.0
WORKERS_TELL_SECONDS = 3.0
"""So often do locust's workers report."""


@dataclass(kw_only=True)
class _Row:
    """What a row has been seen with so far."""

    count: int = 0
    failed: int = 0
    times: Counter[float] = field(default_factory=Counter)


class Recorder:
    """Of one run; `directory` is made for it."""

    def __init__(self, runner: Runner, plan: Plan, runs: Path) -> None:
        self._runner = runner
        self._plan = plan
        self._begun = datetime.now(UTC)
        self._clock = time.monotonic()
        self.directory = runs / f"{self._begun:%Y%m%d-%H%M%S}-{plan.name}"
        self.directory.mkdir(parents=True)
        self._samples = (self.directory / "samples.jsonl").open("w")
        self._rows: dict[tuple[str, str], _Row] = {}
        self._users = 0
        self._events: list[dict[str, Any]] = []
        self._sampling = gevent.spawn(self._sample_on)

    def tell(self, text: str) -> None:
        """Keep what happened now."""
        self._events.append({"at": self._now(), "text": text})

    def finish(self, verdict: Verdict) -> None:
        """Write the last sample, and what the run was."""
        self._sampling.kill()
        self._sample()
        self._samples.close()
        plan = self._plan
        run = {
            "profile": plan.name,
            "about": plan.profile.about,
            "users": plan.profile.users,
            "crowds": plan.profile.crowds,
            "shape": plan.profile.shape,
            "target": plan.target.server_name or plan.target.host,
            "accounts": len(plan.accounts),
            "begun": self._begun.isoformat(timespec="seconds"),
            "seconds": self._now(),
            "workers": self._workers(),
            "sample_seconds": WORKERS_TELL_SECONDS if self._workers() else SAMPLE_SECONDS,
            "passed": not verdict.faults,
            "faults": verdict.faults,
            "events": self._events,
            "failures": [
                {"type": one.method, "name": one.name, "text": str(one.error), "count": one.occurrences}
                for one in self._runner.stats.errors.values()
            ],
            **described(),
        }
        (self.directory / "run.json").write_text(json.dumps(run, indent=1) + "\n")
        logger.info("the run is in %s", self.directory)

    def _sample_on(self) -> None:
        while True:
            gevent.sleep(SAMPLE_SECONDS)
            self._sample()

    def _sample(self) -> None:
        entries = self._runner.stats.entries
        rows = {f"{entry.method} {entry.name}": gained for entry in entries.values() if (gained := self._gain(entry))}
        if self._runner.user_count:
            # At the last sample they have been sent home.
            self._users = self._runner.user_count
        self._samples.write(json.dumps({"at": self._now(), "users": self._users, "rows": rows}) + "\n")
        self._samples.flush()

    def _gain(self, entry: StatsEntry) -> dict[str, Any] | None:
        row = self._rows.setdefault((entry.method, entry.name), _Row())
        if entry.num_requests < row.count:
            # Somebody has reset the statistics.
            row = self._rows[entry.method, entry.name] = _Row()
        count, failed = entry.num_requests - row.count, entry.num_failures - row.failed
        times = Counter[float](entry.response_times)
        gained = times - row.times
        row.count, row.failed, row.times = entry.num_requests, entry.num_failures, times
        return {"count": count, "failed": failed, "times": dict(gained)} if count else None

    def _now(self) -> float:
        return round(time.monotonic() - self._clock, 2)

    def _workers(self) -> int:
        return len(self._runner.clients) if isinstance(self._runner, MasterRunner) else 0
