"""What every pool must satisfy, told as faults with the key's path; pure, no store and no change in here.

The config reader uses it on the seed, `zcontrol.pool.model` on every change.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from zcontrol.address import LARGEST_PORT, parse_host
from zcontrol.fault import Fault, shown
from zcontrol.v1 import pool_pb2
from zcontrol.words import word

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

SERVICES = tuple(field.name for field in pool_pb2.Endpoints.DESCRIPTOR.fields)
DEFAULTS = tuple(field.name for field in pool_pb2.Defaults.DESCRIPTOR.fields)


def check_pool(pool: pool_pb2.Pool, *, verifies: bool = False) -> Iterator[Fault]:
    """Every fault of a whole pool; `verifies` says whether control can prove a client at all."""
    groups = {group.name.lower() for group in pool.groups}
    for index, backend in enumerate(pool.backends):
        for fault in check_backend(backend, groups, verifies=verifies):
            yield fault.below(f"backends[{index}]")
    for index, group in enumerate(pool.groups):
        for fault in check_group(group):
            yield fault.below(f"groups[{index}]")
    yield from _check_unique(pool)
    for fault in check_defaults(pool.defaults, [backend.name for backend in pool.backends] + [*groups]):
        yield fault.below("defaults")


def check_backend(backend: pool_pb2.Backend, groups: set[str], *, verifies: bool = False) -> Iterator[Fault]:
    """Faults of one backend; `groups` are the lower-case names of the groups there are."""
    yield from _check_name(backend.name)
    try:
        host = parse_host(backend.host)
        if not isinstance(host, str) and (host.is_unspecified or host.is_multicast):
            yield Fault(path="host", found=shown(backend.host), problem="no server's address; write the server's own")
    except ValueError as why:
        problem = str(why) if backend.host else "missing; write its IP address or DNS name"
        yield Fault(path="host", found=shown(backend.host) if backend.host else None, problem=problem)
    if backend.group and backend.group.lower() not in groups:
        yield Fault(path="group", found=shown(backend.group), problem="no such group; add the group first")
    if backend.weight > LARGEST_WEIGHT:
        yield Fault(path="weight", found=str(backend.weight), problem=f"too large; write 0 to {LARGEST_WEIGHT}")
    if backend.state not in pool_pb2.BackendState.values():
        yield Fault(path="state", found=str(backend.state), problem="unknown state; take one this control knows")
    endpoints = backend.endpoints.ListFields()
    if not endpoints:
        yield Fault(path="endpoints", problem="none; give at least one, e.g. endpoints.imap.port = 143")
    for field, endpoint in endpoints:
        for fault in _check_endpoint(field.name, endpoint, verifies=verifies):
            yield fault.below(f"endpoints.{field.name}")


def check_group(group: pool_pb2.Group) -> Iterator[Fault]:
    """Faults of one group."""
    yield from _check_name(group.name)
    if group.kind not in (pool_pb2.GROUP_KIND_STATELESS, pool_pb2.GROUP_KIND_SHARED):
        yield Fault(path="kind", problem='must be said: "stateless" or "shared"')


def check_defaults(defaults: pool_pb2.Defaults, names: Iterable[str]) -> Iterator[Fault]:
    """Faults of the defaults, given the names of every backend and group."""
    known = {name.lower() for name in names}
    for service in DEFAULTS:
        name = getattr(defaults, service)
        if name and name.lower() not in known:
            yield Fault(path=service, found=shown(name), problem="no such backend or group; add it first")


def relying_on_verifiers(pool: pool_pb2.Pool) -> list[str]:
    """The backends some endpoint of which takes our word for who the client is."""
    return [
        backend.name
        for backend in pool.backends
        if any(endpoint.login_style in VERIFYING for _, endpoint in backend.endpoints.ListFields())
    ]


def _check_name(name: str) -> Iterator[Fault]:
    mend = "write 1 to 64 letters, digits, `-`, `.` or `_`"
    if not name:
        yield Fault(path="name", problem=f"missing; {mend}")
    elif not _NAME.fullmatch(name):
        yield Fault(path="name", found=shown(name), problem=f"not a name; {mend}")


def _check_unique(pool: pool_pb2.Pool) -> Iterator[Fault]:
    seen: dict[str, str] = {}
    names = {f"backends[{index}].name": backend.name for index, backend in enumerate(pool.backends)}
    names |= {f"groups[{index}].name": group.name for index, group in enumerate(pool.groups)}
    for path, name in names.items():
        first = seen.setdefault(name.lower(), path)
        if first != path:
            problem = f"taken by {first}; names are unique across backends and groups, without case"
            yield Fault(path=path, found=shown(name), problem=problem)


def _check_endpoint(service: str, endpoint: pool_pb2.Endpoint, *, verifies: bool = False) -> Iterator[Fault]:
    if not endpoint.port:
        yield Fault(path="port", problem="missing, or 0; write 1 to 65535")
    elif endpoint.port > LARGEST_PORT:
        yield Fault(path="port", found=str(endpoint.port), problem="not a port; write 1 to 65535")
    for field in endpoint.DESCRIPTOR.fields:
        value = getattr(endpoint, field.name)
        if field.enum_type is not None and value not in field.enum_type.values_by_number:
            yield Fault(path=field.name, found=str(value), problem="unknown; take one this control knows")
    yield from _check_login_style(service, endpoint, verifies=verifies)
    yield from _check_backend_tls(service, endpoint)
    if service == "smtp" and endpoint.forward not in TELLING:
        # It relays for whom it trusts, and whoever trusts our address would trust the world.
        problem = 'an MTA that takes us for the client relays for the world; write "proxy_v2" or "xclient"'
        found = shown(word(pool_pb2.Forward.DESCRIPTOR, endpoint.forward)) if endpoint.forward else None
        yield Fault(path="forward", found=found, problem=problem)
        return
    knowing = FORWARD_SERVICES.get(endpoint.forward, (service,))
    if service not in knowing:
        problem = f'is for {" and ".join(knowing)} alone; write "proxy_v2" if the backend expects it, or "none"'
        found = shown(word(pool_pb2.Forward.DESCRIPTOR, endpoint.forward))
        yield Fault(path="forward", found=found, problem=problem)


def _check_login_style(service: str, endpoint: pool_pb2.Endpoint, *, verifies: bool = False) -> Iterator[Fault]:
    style = endpoint.login_style
    found = shown(word(pool_pb2.LoginStyle.DESCRIPTOR, style))
    if style in VERIFYING and not verifies:
        # Nobody is logged in whom nobody checked.
        problem = 'nothing proves a client; configure [verify] on control, or write "replay"'
        yield Fault(path="login_style", found=found, problem=problem)
    if style == pool_pb2.LOGIN_STYLE_VERIFY_THEN_XCLIENT and not (
        service in STYLE_SERVICES[style] and endpoint.forward == pool_pb2.FORWARD_XCLIENT
    ):
        problem = 'is for submission with forward = "xclient" alone; set that, or write "verify_then_master"'
        yield Fault(path="login_style", found=found, problem=problem)
    if service not in LOGIN_SERVICES and style not in (pool_pb2.LOGIN_STYLE_UNSPECIFIED, pool_pb2.LOGIN_STYLE_REPLAY):
        problem = (
            "what clients say of themselves goes on as it is" if service in WEB_SERVICES else "nobody logs in there"
        )
        yield Fault(path="login_style", found=found, problem=f"{problem}; leave it out")
    if endpoint.master_user and style != pool_pb2.LOGIN_STYLE_VERIFY_THEN_MASTER:
        problem = 'means nothing without login_style = "verify_then_master"; set that, or leave it out'
        yield Fault(path="master_user", found=shown(endpoint.master_user), problem=problem)


def _check_backend_tls(service: str, endpoint: pool_pb2.Endpoint) -> Iterator[Fault]:
    if service in WEB_SERVICES and endpoint.tls == pool_pb2.BACKEND_TLS_STARTTLS:
        yield Fault(path="tls", found='"starttls"', problem='HTTP knows no STARTTLS; write "implicit" or "off"')
    if endpoint.tls in (pool_pb2.BACKEND_TLS_UNSPECIFIED, pool_pb2.BACKEND_TLS_OFF):
        for name in ("verify", "verify_name", "pin_sha256"):
            if value := getattr(endpoint, name):
                found = shown(word(pool_pb2.Verify.DESCRIPTOR, value) if name == "verify" else value)
                mend = 'means nothing without TLS; set tls = "implicit" or "starttls"'
                yield Fault(path=name, found=found, problem=mend)
    if endpoint.verify_name and not _is_host(endpoint.verify_name):
        problem = "no certificate carries such a name; write a DNS name or an IP address"
        yield Fault(path="verify_name", found=shown(endpoint.verify_name), problem=problem)
    if endpoint.pin_sha256 and not _SHA256.fullmatch(endpoint.pin_sha256):
        yield Fault(path="pin_sha256", found=shown(endpoint.pin_sha256), problem="not a SHA-256; write 64 hex digits")


def _is_host(text: str) -> bool:
    try:
        parse_host(text)
    except ValueError:
        return False
    return True


# Rendezvous hashing needs shares, not magnitudes; four digits are finer than any fleet.
LARGEST_WEIGHT = 10_000
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_SHA256 = re.compile(r"[0-9A-Fa-f]{64}")
# Services whose clients log in, and those that browsers and what speaks like them use.
LOGIN_SERVICES = ("imap", "pop3", "submission", "sieve")
WEB_SERVICES = ("http", "http_admin")
# Styles in which the backend takes our word for who the client is.
VERIFYING = (pool_pb2.LOGIN_STYLE_VERIFY_THEN_MASTER, pool_pb2.LOGIN_STYLE_VERIFY_THEN_XCLIENT)
# Ways to log in that only some services know.
STYLE_SERVICES: dict[int, tuple[str, ...]] = {
    pool_pb2.LOGIN_STYLE_TOKEN: LOGIN_SERVICES,
    pool_pb2.LOGIN_STYLE_VERIFY_THEN_MASTER: LOGIN_SERVICES,
    pool_pb2.LOGIN_STYLE_VERIFY_THEN_XCLIENT: ("submission",),
}
# Ways by which an MTA learns who the client is before it hears a word of it.
TELLING = (pool_pb2.FORWARD_PROXY_V2, pool_pb2.FORWARD_XCLIENT)
# Ways to tell the client's address that only some services know.
FORWARD_SERVICES: dict[int, tuple[str, ...]] = {
    pool_pb2.FORWARD_ID: ("imap",),
    pool_pb2.FORWARD_XCLIENT: ("pop3", "submission", "sieve", "smtp", "lmtp"),
    pool_pb2.FORWARD_XOIP: ("pop3",),
}
