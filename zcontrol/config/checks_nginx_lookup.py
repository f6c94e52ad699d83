"""What `nginx_lookup` must satisfy beyond its types."""

from __future__ import annotations

import re
from ipaddress import ip_network
from pathlib import Path
from typing import TYPE_CHECKING

from zcontrol.address import LARGEST_PORT, IPAddress, parse_host_port
from zcontrol.fault import Fault, shown
from zcontrol.nginx_lookup.asked import PROTOCOLS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from zcontrol.v1 import config_pb2


def check_nginx_lookup(lookup: config_pb2.NginxLookup) -> Iterator[Fault]:
    """Every fault, with paths below `nginx_lookup`."""
    yield from _check_address(lookup)
    yield from _check_certificate(lookup)
    yield from _check_callers(lookup)
    for protocol, port in lookup.ports.items():
        path = f"ports.{protocol}"
        if protocol not in PROTOCOLS:
            problem = f"no such Auth-Protocol; one of {', '.join(PROTOCOLS)}"
            yield Fault(path=path, found=str(port), problem=problem)
        elif not 1 <= port <= LARGEST_PORT:
            yield Fault(path=path, found=str(port), problem="not a port; write 1 to 65535")
    if lookup.wait.ToMilliseconds() % 1000 or lookup.wait.ToSeconds() > LONGEST_WAIT_SECONDS:
        found = shown(lookup.wait.ToJsonString())
        yield Fault(path="wait", found=found, problem=f'write whole seconds, at most "{LONGEST_WAIT_SECONDS}s"')


def _check_address(lookup: config_pb2.NginxLookup) -> Iterator[Fault]:
    if not lookup.address:
        yield Fault(path="address", problem="missing; write e.g. 127.0.0.1:7072")
        return
    found = shown(lookup.address)
    try:
        host, _ = parse_host_port(lookup.address)
    except ValueError as why:
        yield Fault(path="address", found=found, problem=str(why))
        return
    if not isinstance(host, IPAddress):
        yield Fault(path="address", found=found, problem="not an address of ours; write e.g. 127.0.0.1:7072")
    elif not host.is_loopback:
        if not (lookup.callers or lookup.secret):
            problem = "anybody could ask there; say by callers or secret who may"
            yield Fault(path="address", found=found, problem=problem)
        if not (lookup.certificate_file or lookup.plaintext_ok):
            problem = "passwords would cross the network in clear; name a certificate, or set plaintext_ok = true"
            yield Fault(path="address", found=found, problem=problem)


def _check_certificate(lookup: config_pb2.NginxLookup) -> Iterator[Fault]:
    files = {name: getattr(lookup, name) for name in ("certificate_file", "key_file")}
    for name, path in files.items():
        if path and not Path(path).is_file():
            yield Fault(path=name, found=shown(path), problem="no such file; name a PEM file")
        elif not path and any(files.values()):
            yield Fault(path=name, problem="missing; a certificate and its key go together")


def _check_callers(lookup: config_pb2.NginxLookup) -> Iterator[Fault]:
    for index, network in enumerate(lookup.callers):
        try:
            ip_network(network)
        except ValueError as why:
            problem = f"{why}; write e.g. 10.0.0.0/24"
            yield Fault(path=f"callers[{index}]", found=shown(network), problem=problem)
    if lookup.secret and len(lookup.secret.encode()) < SHORTEST_SECRET:
        mend = "make one with `openssl rand -hex 16`"
        yield Fault(path="secret", problem=f"shorter than {SHORTEST_SECRET} octets; {mend}")
    if not (lookup.secret.isascii() and lookup.secret.isprintable()) or lookup.secret.strip() != lookup.secret:
        yield Fault(path="secret", problem="not what a header can carry; write printable ASCII")
    if lookup.header_name:
        found = shown(lookup.header_name)
        if not _HEADER.fullmatch(lookup.header_name):
            problem = "not a header's name; write letters, digits and `-`, e.g. X-Auth-Key"
            yield Fault(path="header_name", found=found, problem=problem)
        elif not lookup.secret:
            yield Fault(path="header_name", found=found, problem="means nothing without secret; set it")


_HEADER = re.compile(r"[A-Za-z0-9-]+")
# 64 bits in hex, more than anybody can try over a network.
SHORTEST_SECRET = 16
# Zimbra's own is 10 s; a client has given up long before an hour.
LONGEST_WAIT_SECONDS = 3600
