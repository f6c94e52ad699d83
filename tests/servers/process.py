"""A process that lasts as long as a block, and what the kernel knows of one."""

from __future__ import annotations

import os
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
CPUCLOCK_SCHED = 2
STOP_SECONDS = 20


@contextmanager
def running(*command: str | Path, log: Path, environment: Mapping[str, str] | None = None) -> Iterator[int]:
    """Start a program that stays in the foreground, and give its id; what it says goes to the log."""
    with (
        log.open("ab") as said,
        subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=said, stderr=said, env={**os.environ, **(environment or {})}
        ) as process,
    ):
        try:
            yield process.pid
        finally:
            process.terminate()
            process.wait(STOP_SECONDS)


def resident_bytes(pid: int) -> int:
    """Return the memory it holds, shared libraries included."""
    (line,) = (line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024


def cpu_seconds(pid: int) -> float:
    """Return the time it has used, in user mode and in the kernel, that of ended threads included."""
    # clock_getcpuclockid(3), which Python does not have; /proc counts in hundredths of a second.
    return time.clock_gettime(~pid << 3 | CPUCLOCK_SCHED)


def ended_cpu_seconds(pid: int) -> float:
    """Return what its children have used that it has seen the end of, and theirs."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[13]) + int(fields[14])) / TICKS_PER_SECOND


def descriptors(pid: int) -> int:
    """Return how many files it has open."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def private_bytes(pid: int) -> int:
    """Return the memory that nobody shares with it; the kernel's buffers are not in it."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) * 1024


def family(pid: int) -> list[int]:
    """Return it and the processes that it and its own have started."""
    try:
        tasks = Path(f"/proc/{pid}/task").iterdir()
        children = [int(child) for task in tasks for child in (task / "children").read_text().split()]
    except OSError:
        # It has ended meanwhile.
        children = []
    return [pid, *(one for child in children for one in family(child))]
