"""What is left of a comparison: the figures as JSON, a row at a time, and the report that is written from them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from compare.result import OURS, Result, figure, wanted
from compare.rows import rows

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

FIGURES: Final = "figures.json"
REPORT: Final = "REPORT.md"
COLUMNS: Final = ("zproxy", "nginx", "HAProxy", "Dovecot")
VERDICTS: Final = {True: "**reached**", False: "not reached", None: "not measured"}


def keep(directory: Path, result: Result) -> None:
    """Put a row's figures in the place of its former ones."""
    file = directory / FIGURES
    kept = json.loads(file.read_text()) if file.exists() else {}
    kept[result.row.key] = result.kept()
    file.write_text(json.dumps(kept, indent=1) + "\n")


def write(directory: Path) -> Path:
    """Write the report of all rows that are kept."""
    kept = json.loads((directory / FIGURES).read_text())
    results = [Result.read(row, kept[row.key]) for row in rows(1) if row.key in kept]
    report = directory / REPORT
    report.write_text("\n".join([HEAD, _facts(results), _table(results), _beside(results), METHOD]))
    return report


def _facts(results: Sequence[Result]) -> str:
    """Where the figures come from; rows that were measured apart may differ."""
    machines = dict.fromkeys(result.about["machine"] for result in results)
    commits = dict.fromkeys(result.about["commit"] for result in results)
    taken = sorted(result.about["taken"] for result in results)
    versions = {name.split()[0]: version for result in results for name, version in result.versions.items()}
    rounds = sorted({len(samples) for result in results for samples in result.samples.values()})
    lines = [
        f"- machine: {'; '.join(machines)}",
        f"- measured: {taken[0]} to {taken[-1]}, at {', '.join(commits)}",
        f"- versions: {', '.join(f'{name} {version}' for name, version in versions.items())}",
        f"- rounds of each row: {' or '.join(map(str, rounds))}",
    ]
    return "\n".join(lines) + "\n"


def _table(results: Sequence[Result]) -> str:
    lines = [f"| | {' | '.join(COLUMNS)} | zproxy must reach | |", f"|---|{'---|' * len(COLUMNS)}---|---|"]
    for result in results:
        cells = [_cell(result, name) for name in COLUMNS]
        bounds = ", ".join(wanted(bound) for bound in result.row.bounds)
        lines.append(
            f"| {result.row.name}, {result.row.unit} | {' | '.join(cells)} | {bounds} | {VERDICTS[result.reached()]} |"
        )
    return "\n".join(lines) + "\n"


def _cell(result: Result, column: str) -> str:
    """Return a peer's figure with its spread, and those of its variants behind it."""
    shown = []
    for name in result.samples:
        if name.split()[0] == column:
            value = figure(result.value(name))
            text = f"**{value}**" if name == OURS else value
            variant = name.removeprefix(column).strip()
            shown.append(f"{f'{variant}: ' if variant else ''}{text} ±{result.spread(name) / 2:.0%}")
    return ", ".join(shown) or "-"


def _beside(results: Sequence[Result]) -> str:
    lines = [
        "## Beside the figures",
        "",
        "| row | peer | zproxy's share | what else was seen | errors |",
        "|---|---|---|---|---|",
    ]
    for result in results:
        for name in result.samples:
            share = f"{result.value(OURS) / result.value(name):.2f}" if OURS in result.samples else ""
            beside = ", ".join(f"{key} {figure(value)}" for key, value in result.beside(name).items())
            errors = ", ".join(f"{text}: {count}" for text, count in result.errors(name).items()) or "none"
            lines.append(f"| {result.row.key} | {name} | {share} | {beside} | {errors} |")
    return "\n".join(lines) + "\n"


HEAD: Final = """\
# Beside nginx, HAProxy and Dovecot

`make compare` has written this page: figures are medians, ± is half of what the extremes lie apart.
"""
METHOD: Final = """\
## How it was measured

All stand before the same backends and are met by the same clients (`zproxy-load`), in turn: one round is each of them
once. CPU is what the kernel has accounted to the proxy's own processes, user and system; memory what nobody shares with
them (`smaps_rollup`).
"""
