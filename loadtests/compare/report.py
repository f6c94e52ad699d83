"""What is left of a comparison: the figures as JSON, a row at a time, and the report that is written from them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from compare.plot import draw
from compare.result import OURS, Result, figure, wanted
from compare.rows import rows

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

FIGURES: Final = "figures.json"
REPORT: Final = "REPORT.md"
PLOT: Final = "plot.svg"
COLUMNS: Final = ("zproxy", "nginx", "HAProxy", "Dovecot")
VERDICTS: Final = {True: "**reached**", False: "not reached", None: "no target"}


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
    (directory / PLOT).write_text(draw(results))
    report = directory / REPORT
    report.write_text("\n".join([HEAD, _facts(results), _table(results), f"![]({PLOT})\n", _beside(results), METHOD]))
    return report


def _facts(results: Sequence[Result]) -> str:
    """Where the figures come from; rows that were measured apart may differ."""
    machines = dict.fromkeys(result.about["machine"] for result in results)
    commits = dict.fromkeys(result.about["commit"] for result in results)
    taken = sorted(result.about["taken"] for result in results)
    versions = {name.split()[0]: said for result in results for name, said in result.versions.items() if said}
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
            more = f" ({result.row.shows} {figure(result.beside(name)[result.row.shows])})" if result.row.shows else ""
            shown.append(f"{f'{variant}: ' if variant else ''}{text} ±{result.spread(name) / 2:.0%}{more}")
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
            ratio = result.ratio(name)
            share = "" if ratio is None else f"{ratio:.2f}"
            beside = ", ".join(f"{key} {figure(value)}" for key, value in result.beside(name).items() if value)
            errors = ", ".join(f"{text}: {count}" for text, count in result.errors(name).items()) or "none"
            lines.append(f"| {result.row.key} | {name} | {share} | {beside} | {errors} |")
    return "\n".join(lines) + "\n"


HEAD: Final = """\
# Beside nginx, HAProxy and Dovecot

`make compare` has written this page: figures are medians, ± is half of what the extremes lie apart.
"""
METHOD: Final = """\
## How it was measured

One round is each peer once, then the next round: what disturbs the machine disturbs all. Everybody is met by the same
clients, and stands before the same backends, of `zproxy-load`; passwords are replayed, and nobody is told the client's
address. CPU is what the kernel has accounted to a peer's own processes, user and system; memory what nobody shares with
them (`smaps_rollup`), of processes that were just started; *with kernel* adds its slabs, less what the same sessions
cost without a proxy. Latency is from connecting to being logged in, the TLS handshake left out, less the same without a
proxy; its p99 adds up those of the steps.

Clients offer TLS 1.3, TLS_AES_128_GCM_SHA256 and X25519, and get one ticket from everybody: zproxy's number, to which
OpenSSL is set. Each peer has as many threads or workers as there are cores.

- **zproxy**: edge and control in two processes, records to a file, probes. The edge is counted; *whom it asks* is
  control, which a login costs nothing once the route is known.
- **nginx**: asks an auth_http server a login, here another nginx that answers from its configuration; that one is not
  counted. It logs no mail session; requests of HTTP it does, buffered, as zproxy records them. 64k: `proxy_buffer 64k`,
  and `proxy_buffer_size`, `proxy_buffers`, `client_body_buffer_size` of HTTP.
- **HAProxy**: mode tcp, or http for HTTPS; logs nothing and routes no users. splice: `option splice-request` and
  `splice-response`; 64k: `tune.bufsize 65536`.
- **Dovecot**: login processes for many clients each, one a core; a static passdb with `proxy=y`; logs nothing at the
  level of logins. Its auth process is counted: it is part of it.
"""
