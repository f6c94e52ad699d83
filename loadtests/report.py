"""Make a page of a run: `python loadtests/report.py RUN [--against OTHER] [--output FILE]`.

RUN is a directory that a run has left. The page lands in it as `report.html` unless --output says otherwise.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from reports.page import page
from reports.run import RunError, read_run


def main() -> int:
    """Write it, and say where it is."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("run", type=Path, help="a run's directory")
    parser.add_argument("--against", type=Path, metavar="OTHER", help="an earlier run, or another system's")
    parser.add_argument("--output", type=Path, metavar="FILE", help="the page")
    options = parser.parse_args()
    try:
        run = read_run(options.run)
        other = read_run(options.against) if options.against else None
    except RunError as error:
        sys.stderr.write(f"report: {error}\n")
        return 1
    output = options.output or options.run / "report.html"
    output.write_text(page(run, other), encoding="utf-8")
    sys.stdout.write(f"{output}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
