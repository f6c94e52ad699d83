"""What keys that several tables have must satisfy, told in the same words everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from zcontrol.fault import Fault, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from google.protobuf.duration_pb2 import Duration


def check_ca_file(path: str) -> Iterator[Fault]:
    """Unset, the system's authorities are trusted."""
    if path and not Path(path).is_file():
        yield Fault(path="ca_file", found=shown(path), problem="no such file; name a PEM bundle")


def check_positive(path: str, duration: Duration, *, example: str) -> Iterator[Fault]:
    """A wait that is over before it begins would fail whatever is asked."""
    if duration.ToMilliseconds() <= 0:
        found = shown(duration.ToJsonString())
        yield Fault(path=path, found=found, problem=f'must be more than nothing; write e.g. "{example}"')
