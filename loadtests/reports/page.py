"""One HTML page of a run, perhaps beside another: it holds all it shows and asks nobody for anything."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from clients.steps import ACTS
from reports.chart import Chart, Line, draw

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reports.run import Run, Tally

STEPS = ("connect", "TLS", "TLS resumed", "login", "first command", "first page", "message", "turn")
"""Those whose times are drawn, where a protocol has them; the table has all."""
HIGH = 0.95
COLUMNS = ((0.5, 20), (HIGH, 200), (0.99, 1000), (1.0, math.inf))
"""Shares of the table, and how many steps of both runs make a comparison of them more than chance."""
SAME = 0.1
"""Two counts of two digits may lie so far apart and be one time."""


def page(run: Run, other: Run | None) -> str:
    """Return it; `other` is the run before, or that of another system."""
    # What servers said is on it: everything is escaped but what we draw.
    templates = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    return templates.get_template("page.html").render(
        run=run,
        other=other,
        different=[key for key in ("profile", "machine", "target") if other and run.facts[key] != other.facts[key]],
        charts=[(chart.title, Markup(draw(chart))) for chart in _charts(run, other)],  # noqa: S704 - drawn by us
        rows=[_row(name, run.rows[name], other.rows.get(name) if other else None) for name in _by_protocol(run)],
    )


def _by_protocol(run: Run) -> list[str]:
    return [name for protocol in run.protocols for name in run.rows if name.startswith(f"{protocol} ")]


def _charts(run: Run, other: Run | None) -> Iterator[Chart]:
    both = [(run, False), *([(other, True)] if other else [])]
    about: dict[str, Any] = {"seconds": run.seconds, "marks": [event["at"] for event in run.facts["events"]]}
    people = [Line(name="users", points=one.users(), dashed=dashed) for one, dashed in both]
    yield Chart(title="Who is there", unit="users", lines=people, **about)
    protocols = [protocol for protocol in run.protocols if protocol != ACTS]

    def by_protocol(field: str) -> list[Line]:
        return [
            Line(
                name=protocol,
                points=one.line(
                    lambda name, of=protocol: name.startswith(f"{of} "),  # type: ignore[misc] # the loop's
                    lambda tally, width=one.width: getattr(tally, field) / width,  # type: ignore[misc] # the same
                ),
                colour=colour,
                dashed=dashed,
            )
            for one, dashed in both
            for colour, protocol in enumerate(protocols)
        ]

    yield Chart(title="What they do", unit="steps a second", lines=by_protocol("count"), **about)
    yield Chart(title="What fails", unit="failures a second", lines=by_protocol("failed"), **about)
    for protocol in protocols:
        lines = [
            Line(name=step, points=one.line(f"{protocol} {step}".__eq__, _high), colour=colour, dashed=dashed)
            for one, dashed in both
            for colour, step in enumerate(step for step in STEPS if f"{protocol} {step}" in run.rows)
        ]
        yield Chart(title=f"{protocol}: how long it takes", unit="ms, p95", lines=lines, logarithmic=True, **about)


def _high(tally: Tally) -> float | None:
    return tally.took(HIGH) if tally.count else None


def _row(name: str, tally: Tally, before: Tally | None) -> dict[str, Any]:
    few = min(tally.count, before.count) if before else 0
    return {
        "name": name,
        "count": tally.count,
        "failed": tally.failed,
        "failed_before": before.failed if before else None,
        "times": [
            {
                "took": tally.took(share),
                **(_change(tally.took(share), before.took(share)) if before and few >= enough else {}),
            }
            for share, enough in COLUMNS
        ],
    }


def _change(now: float, before: float) -> dict[str, Any]:
    if not before:
        return {}
    by = now / before - 1
    return {
        "before": before,
        "by": f"{by:+.0%}",
        "told": "same" if abs(by) <= SAME else "worse" if by > 0 else "better",
    }
