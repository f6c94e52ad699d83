"""`make load`: a world on this machine, a run of locust against it, and the run's page.

    python loadtests/load.py [PROFILE] [--accounts 60]

Options that it does not know are locust's.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

from reports.page import page
from reports.run import read_run
from world import ACCOUNTS, World

HERE: Final = Path(__file__).parent
USUAL: Final = HERE / "profiles" / "two_minutes.toml"
NICENESS: Final = 10
"""Other people may be at work on this machine."""


def main() -> int:
    """Run it all; return what locust returned: 0 if the run has passed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("profile", type=Path, nargs="?", default=USUAL, help="of loadtests/profiles, or your own")
    parser.add_argument("--accounts", type=int, default=ACCOUNTS, help="how many there are")
    parser.add_argument("--runs", type=Path, default=HERE / "runs", help="where each run leaves a directory")
    options, besides = parser.parse_known_args()
    os.nice(NICENESS)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    before = set(options.runs.glob("*/run.json"))
    with World(options.accounts) as world:
        code = _locust(options.profile, world.target_file, options.runs, besides)
    made = sorted(set(options.runs.glob("*/run.json")) - before)
    for facts in made:
        report = facts.with_name("report.html")
        report.write_text(page(read_run(facts.parent), None), encoding="utf-8")
        sys.stdout.write(f"The report: {report}\n")
    return code if made else code or 1


def _locust(profile: Path, target: Path, runs: Path, besides: list[str]) -> int:
    command = [sys.executable, "-m", "locust", "-f", str(HERE / "locustfile.py"), "--headless", "--only-summary"]
    command += ["--load", str(profile), "--target", str(target), "--runs", str(runs), *besides]
    with subprocess.Popen(command) as locust:  # noqa: S603 - our own arguments, and what the caller adds
        try:
            return locust.wait()
        except KeyboardInterrupt:
            # It has heard Ctrl-C too, and writes down what it has.
            locust.send_signal(signal.SIGINT)
            return locust.wait()


if __name__ == "__main__":
    sys.exit(main())
