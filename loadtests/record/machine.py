"""Where a figure comes from: a figure without its machine and commit says nothing."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

CPU_INFO = Path("/proc/cpuinfo")


def described() -> dict[str, str]:
    """Return what is to stand beside every figure."""
    return {
        "machine": f"{os.cpu_count()} cores of {_processor()}, {platform.system()} {platform.release()}",
        "commit": _commit(),
        "python": platform.python_version(),
        "locust": version("locust"),
    }


def _processor() -> str:
    try:
        lines = CPU_INFO.read_text().splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.machine())


def _commit() -> str:
    """Of this tree, with a + if it holds more than that; empty: it is no clone."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty=+", "--exclude=*"]
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603 - our own arguments
    except FileNotFoundError:
        return ""
    return done.stdout.strip()
