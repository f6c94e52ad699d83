"""`make compare`: measures the rows that are asked for, all peers in turn, round by round; says what came of it.

make compare                              all rows, and REPORT.md anew
make compare COMPARE="imaps --rounds 3"   one row, for whoever changes something
make compare COMPARE="memory --report"    some rows, and REPORT.md with them
"""

from __future__ import annotations

import argparse
import resource
import signal
import sys
import tempfile
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

# This package, and the suite's servers.
sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))

from compare.peers import PEERS
from compare.report import keep, write
from compare.result import Result, told
from compare.rows import rows
from compare.site import site
from record.machine import described
from servers.load import PROTOCOLS, fake_backend

if TYPE_CHECKING:
    from compare.measure import Sample
    from compare.peer import Peer
    from compare.rows import Row
    from compare.site import Site

HERE: Final = Path(__file__).parent
ROUNDS: Final = 5


def main() -> int:
    """Measure, and print a line a row."""
    asked = _arguments()
    # As Ctrl-C: no proxy may be left behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    # A session is two descriptors of a proxy's; children inherit the limit.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with tempfile.TemporaryDirectory() as scratch, fake_backend() as backend:
        place = site(Path(scratch), {name: getattr(backend, f"{name}_port") for name in PROTOCOLS})
        for row in asked.rows:
            result = measure(row, place, asked.rounds)
            sys.stdout.write(told(result))
            sys.stdout.flush()
            if asked.report:
                keep(asked.report, result)
    if asked.report:
        sys.stdout.write(f"The report: {write(asked.report)}\n")
    return 0


def measure(row: Row, place: Site, rounds: int) -> Result:
    """Measure one row: each peer once in every round."""
    samples: dict[str, list[Sample]] = {name: [] for name in row.peers}
    versions: dict[str, str] = {}
    with ExitStack() as stack:
        running = {} if row.fresh else {name: _ready(row, place, name, stack) for name in row.peers}
        for _ in range(rounds):
            for name in row.peers:
                with ExitStack() as once:
                    peer = running.get(name) or _ready(row, place, name, once)
                    versions[name] = peer.version
                    samples[name].append(row.load.measure(peer, place))
    about = described() | {"taken": datetime.now(UTC).isoformat(timespec="minutes")}
    return Result(row=row, samples=samples, versions=versions, about=about)


def _ready(row: Row, place: Site, name: str, stack: ExitStack) -> Peer:
    peer = stack.enter_context(PEERS[name](place))
    row.load.warm(peer, place)
    return peer


def _arguments() -> argparse.Namespace:
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="make compare", description=__doc__, formatter_class=formatter)
    parser.add_argument("rows", nargs="*", metavar="ROW", help="or a group of rows; none: all")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"of each row, {ROUNDS} by default")
    parser.add_argument("--scale", type=float, default=1, help="how much is measured, as a share of the usual")
    parser.add_argument("--report", type=Path, nargs="?", const=HERE, help="write REPORT.md, here or elsewhere")
    asked = parser.parse_args()
    all_rows = rows(asked.scale)
    known = {row.key for row in all_rows} | {row.group for row in all_rows}
    if unknown := sorted(set(asked.rows) - known):
        parser.error(f"no row is called {', '.join(unknown)}; there are {', '.join(sorted(known))}")
    asked.rows = [row for row in all_rows if not asked.rows or {row.key, row.group} & set(asked.rows)]
    return asked


if __name__ == "__main__":
    sys.exit(main())
