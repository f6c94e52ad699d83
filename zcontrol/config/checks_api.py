"""What `api` must satisfy beyond its types: who reaches control without proof, and by what others prove themselves."""

from __future__ import annotations

import grp
from typing import TYPE_CHECKING

from zcontrol.access.certificates import pattern
from zcontrol.access.listening import by_tls
from zcontrol.access.tls import TlsFilesError, read
from zcontrol.address import is_loopback, parse_host_port
from zcontrol.fault import Fault, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from zcontrol.v1 import config_pb2


def check_api(api: config_pb2.Api) -> Iterator[Fault]:
    """Every fault of control's part."""
    yield from _check_address(api)
    yield from _check_group(api)
    for key, listener in by_tls(api).items():
        yield from (fault.below(f"api.{key}") for fault in _check_listener(listener))
    if api.HasField("certificates"):
        yield from (fault.below("api.certificates") for fault in _check_roles(api.certificates))
    yield from _check_limits(api)


def _check_address(api: config_pb2.Api) -> Iterator[Fault]:
    if not api.address:
        return
    try:
        problem = _address_problem(api)
    except ValueError as why:
        problem = str(why)
    if problem:
        yield Fault(path="api.address", found=shown(api.address), problem=problem)


def _address_problem(api: config_pb2.Api) -> str:
    if api.address.startswith("unix:"):
        path = api.address.removeprefix("unix:")
        if len(path.encode()) > _LONGEST_SOCKET_PATH:
            return f"longer than the {_LONGEST_SOCKET_PATH} octets a Unix socket's path may have; write a shorter one"
        return "" if path else "no path; write e.g. unix:/run/zproxy/api.sock"
    host, _ = parse_host_port(api.address)
    if not isinstance(host, str) and (is_loopback(host) or api.open_to_anybody):
        return ""
    return (
        "whoever could reach it could do everything; write unix:/run/zproxy/api.sock or 127.0.0.1:PORT, and let others "
        "in by [api.certificates] or [api.tokens]"
    )


def _check_group(api: config_pb2.Api) -> Iterator[Fault]:
    if not api.group:
        return
    if api.address and not api.address.startswith("unix:"):
        yield Fault(path="api.group", found=shown(api.group), problem="is for a Unix socket; leave it out")
        return
    try:
        grp.getgrnam(api.group)
    except KeyError:
        yield Fault(path="api.group", found=shown(api.group), problem="no such group; make it, or name another")


def _check_listener(listener: config_pb2.ApiCertificates | config_pb2.ApiTokens) -> Iterator[Fault]:
    if not listener.address:
        yield Fault(path="address", problem="missing; write e.g. 0.0.0.0:7411")
    else:
        try:
            host, _ = parse_host_port(listener.address)
            problem = "not an address of ours; write e.g. 0.0.0.0:7411 or [::]:7411" if isinstance(host, str) else ""
        except ValueError as why:
            problem = str(why)
        if problem:
            yield Fault(path="address", found=shown(listener.address), problem=problem)
    missing = [key for key in _FILES if key in listener.DESCRIPTOR.fields_by_name and not getattr(listener, key)]
    yield from (Fault(path=key, problem=f"missing; name {_FILES[key]}") for key in missing)
    if missing:
        return
    try:
        read(listener)
    except TlsFilesError as error:
        yield Fault(path=error.key, found=shown(error.path), problem=error.problem)


def _check_roles(listener: config_pb2.ApiCertificates) -> Iterator[Fault]:
    if not listener.roles:
        problem = 'missing; say who may do what, e.g. [{ names = ["dns:edge-*.tgg.net.id"], role = "edge" }]'
        yield Fault(path="roles", problem=problem)
    for index, rule in enumerate(listener.roles):
        if not rule.names:
            yield Fault(path=f"roles[{index}].names", problem="missing; write e.g. dns:edge-*.tgg.net.id")
        if not rule.role:
            problem = 'missing; one of "edge", "viewer", "operator", "admin"'
            yield Fault(path=f"roles[{index}].role", problem=problem)
        for at, name in enumerate(rule.names):
            try:
                pattern(name)
            except ValueError as why:
                yield Fault(path=f"roles[{index}].names[{at}]", found=shown(name), problem=str(why))


def _check_limits(api: config_pb2.Api) -> Iterator[Fault]:
    if not _SMALLEST_MESSAGE <= api.limits.message <= _LARGEST_MESSAGE:
        problem = "not from 64KiB to 16MiB; write e.g. 1MiB"
        yield Fault(path="api.limits.message", found=str(api.limits.message), problem=problem)


_FILES = {
    "certificate_file": "a PEM file, leaf first",
    "key_file": "the key of certificate_file, in PEM",
    "client_ca_file": "a PEM bundle of the authorities of clients",
}
# sun_path holds 108 octets with the closing NUL.
_LONGEST_SOCKET_PATH = 107
# A backend with all its endpoints has a few KiB; beyond the other control takes no message at all.
_SMALLEST_MESSAGE = 64 * 2**10
_LARGEST_MESSAGE = 16 * 2**20
