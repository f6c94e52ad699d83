"""A run as its directory has it, and sums over it: by row, and by row and time."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from record.times import percentile

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MOST_POINTS = 60
"""Of a line: more cannot be seen, and a point of few steps is mostly noise."""


class RunError(Exception):
    """No run, or one that was not finished; the text says which."""


@dataclass(kw_only=True)
class Tally:
    """What some steps came to."""

    count: int = 0
    failed: int = 0
    times: Counter[float] = field(default_factory=Counter)

    def add(self, gained: dict[str, Any]) -> None:
        """Add what a sample has."""
        self.count += gained["count"]
        self.failed += gained["failed"]
        self.times.update({float(time): count for time, count in gained["times"].items()})

    def took(self, share: float) -> float:
        """Return the milliseconds within which this share was done."""
        return percentile(self.times, share)


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run."""

    directory: Path
    facts: dict[str, Any]
    """As `run.json` has them."""
    samples: list[dict[str, Any]]

    @property
    def name(self) -> str:
        """Of its directory."""
        return self.directory.name

    @property
    def seconds(self) -> float:
        """How long it was."""
        return max(float(self.facts["seconds"]), 1.0)

    @property
    def width(self) -> float:
        """Seconds of one point of a line."""
        return max(float(self.facts["sample_seconds"]), self.seconds / MOST_POINTS)

    @cached_property
    def rows(self) -> dict[str, Tally]:
        """Each row of the statistics over the whole run, in the order in which they came up."""
        rows: dict[str, Tally] = {}
        for sample in self.samples:
            for name, gained in sample["rows"].items():
                rows.setdefault(name, Tally()).add(gained)
        return rows

    @property
    def protocols(self) -> list[str]:
        """Those of the rows, in that order."""
        return list(dict.fromkeys(name.partition(" ")[0] for name in self.rows))

    def users(self) -> list[tuple[float, float]]:
        """How many were there, by time."""
        return [(sample["at"], sample["users"]) for sample in self.samples]

    def line(
        self, of: Callable[[str], bool], value: Callable[[Tally], float | None]
    ) -> list[tuple[float, float | None]]:
        """Draw some value of the rows that `of` picks, by time; None where there is none."""
        points: dict[int, Tally] = {}
        for sample in self.samples:
            # A sample is of the time before it.
            point = points.setdefault(int(max(sample["at"] - 0.001, 0) / self.width), Tally())
            for name, gained in sample["rows"].items():
                if of(name):
                    point.add(gained)
        return [((place + 0.5) * self.width, value(tally)) for place, tally in sorted(points.items())]


def read_run(directory: Path) -> Run:
    """Read one."""
    try:
        facts = json.loads((directory / "run.json").read_text())
        samples = [json.loads(line) for line in (directory / "samples.jsonl").read_text().splitlines()]
    except (OSError, ValueError) as error:
        raise RunError(f"{directory} is no finished run: {error}") from error
    return Run(directory=directory, facts=facts, samples=samples)
