"""Whether a run has passed, by what its profile expects; a run in which nothing was done has not."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from clients.steps import ACTS, AT_HOME
from record.times import percentile

if TYPE_CHECKING:
    from locust.runners import Runner

    from plan.plan import Plan

MANY = 0.99


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What was not as expected; nothing: it has passed."""

    faults: list[str]


def judge(plan: Plan, runner: Runner) -> Verdict:
    """Compare."""
    expect, stats = plan.expect, runner.stats
    faults = [f"a fault of the load tests: {one['msg']}" for one in runner.exceptions.values()]
    if all(entry.method == ACTS for entry in stats.entries.values()):
        faults.append("nobody did anything")
    excused = frozenset(plan.target.homes) if expect.homes_may_fail else frozenset()
    counted = sum(one.occurrences for one in stats.errors.values() if _home(str(one.error)) not in excused)
    most = expect.failures * stats.total.num_requests
    if counted > most:
        faults.append(f"{counted} failures, at most {most:.0f} expected")
    times = {f"{entry.method} {entry.name}": Counter[float](entry.response_times) for entry in stats.entries.values()}
    for row, milliseconds in expect.p99_ms.items():
        if row not in times:
            faults.append(f"no step {row!r} was done")
        elif (took := percentile(times[row], MANY)) > milliseconds:
            faults.append(f"{row}: p99 {took:g} ms, at most {milliseconds:g} expected")
    return Verdict(faults=faults)


def _home(failure: str) -> str:
    return failure.rpartition(AT_HOME)[2] if AT_HOME in failure else ""
