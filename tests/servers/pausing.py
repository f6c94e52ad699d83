"""Stopping a process without closing anything, as an overloaded machine does."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from servers.waiting import until


def pause(pid: int) -> None:
    """Stop it, and wait until every thread of it has stopped: the signal alone only asks."""
    os.kill(pid, signal.SIGSTOP)
    until(lambda: _states(pid) == {"T"})


def resume(pid: int) -> None:
    os.kill(pid, signal.SIGCONT)


def _states(pid: int) -> set[str]:
    # The state follows the command's name, which is in parentheses and may hold anything.
    stats = Path(f"/proc/{pid}/task").glob("*/stat")
    return {stat.read_text().rpartition(")")[2].split()[0] for stat in stats}
