"""What keys that several tables have must satisfy, told in the same words everywhere."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from zcontrol.address import parse_host
from zcontrol.fault import Fault, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from google.protobuf.duration_pb2 import Duration


def check_ca_file(path: str) -> Iterator[Fault]:
    """Unset, the system's authorities are trusted."""
    if path and not Path(path).is_file():
        yield Fault(path="ca_file", found=shown(path), problem="no such file; name a PEM bundle")


def url_problem(url: str) -> str:
    """What keeps this URL from being asked, by HTTP or HTTPS, as it is written; empty: nothing."""
    try:
        parts = urlsplit(url)
        parse_host(parts.hostname or "")
        port = parts.port
    except ValueError as why:
        return str(why)
    if parts.scheme not in ("http", "https"):
        return "not an HTTP URL; write http://host:port/path or https://host/path"
    if port == 0:
        return "not a port; write 1 to 65535"
    if parts.username is not None or parts.fragment:
        return "only scheme, host, port, path and query belong here; a secret goes into headers"
    if not _ASKABLE.fullmatch(url):
        return "spaces, controls and letters beyond ASCII cannot be asked for; write them as %20 and the like"
    return ""


def check_positive(path: str, duration: Duration, *, example: str) -> Iterator[Fault]:
    """A wait that is over before it begins would fail whatever is asked."""
    if duration.ToMilliseconds() <= 0:
        found = shown(duration.ToJsonString())
        yield Fault(path=path, found=found, problem=f'must be more than nothing; write e.g. "{example}"')


_ASKABLE = re.compile(r"[!-~]+")
