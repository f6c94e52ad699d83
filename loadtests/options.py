"""What the load tests add to locust's command line."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from argparse import ArgumentParser

HERE = Path(__file__).parent


def add_options(parser: ArgumentParser, **_: object) -> None:
    """Add them."""
    ours = parser.add_argument_group("zproxy", "What is loaded and how; workers get it from their master.")
    ours.add_argument("--load", metavar="FILE", help="the profile, of loadtests/profiles or your own")
    ours.add_argument("--target", metavar="FILE", help="the system: its listeners, its CA, its accounts")
    ours.add_argument("--runs", metavar="DIR", default=str(HERE / "runs"), help="where each run leaves a directory")
