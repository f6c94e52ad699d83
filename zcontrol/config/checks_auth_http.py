"""What `directory.auth_http` must satisfy beyond its types."""

from __future__ import annotations

import re
from ipaddress import ip_network
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from zcontrol.address import is_loopback_url, parse_host
from zcontrol.config.checks_shared import check_ca_file, check_positive, url_problem
from zcontrol.fault import Fault, shown
from zcontrol.v1 import config_pb2

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


def check_auth_http(source: config_pb2.AuthHttpDirectory) -> Iterator[Fault]:
    """Every fault, with paths below `directory.auth_http`."""
    verify = source.mode == config_pb2.AUTH_HTTP_MODE_VERIFY
    if not source.urls:
        yield Fault(path="urls", problem='missing; write at least one, e.g. "http://127.0.0.1:9000/auth"')
    for index, url in enumerate(source.urls):
        if problem := _url_problem(url, clear_passwords=verify and not source.plaintext_ok):
            yield Fault(path=f"urls[{index}]", found=shown(url), problem=problem)
    yield from check_ca_file(source.ca_file)
    yield from check_positive("timeout", source.timeout, example="2s")
    yield from _check_headers(source.headers)
    yield from _check_homes(source.homes.items())
    yield from _check_modes(source, verify=verify)
    if source.protocol and not _PROTOCOL.fullmatch(source.protocol):
        yield Fault(path="protocol", found=shown(source.protocol), problem="not an Auth-Protocol; write e.g. imap")


def _url_problem(url: str, *, clear_passwords: bool) -> str:
    if problem := url_problem(url):
        return problem
    if clear_passwords and urlsplit(url).scheme == "http" and not is_loopback_url(url):
        return "passwords would cross the network in clear; write https://, or set plaintext_ok = true"
    return ""


def _check_headers(headers: Iterable[config_pb2.AuthHttpHeader]) -> Iterator[Fault]:
    for index, header in enumerate(headers):
        path = f"headers[{index}]"
        if not _HEADER.fullmatch(header.name):
            mend = "write letters, digits and `-`, e.g. X-Auth-Key"
            yield Fault(path=f"{path}.name", found=shown(header.name), problem=f"not a header's name; {mend}")
        elif header.name.lower() in OURS:
            problem = "is said by zproxy itself; take another name"
            yield Fault(path=f"{path}.name", found=shown(header.name), problem=problem)
        if not header.value.isprintable() or not header.value.isascii() or header.value.strip() != header.value:
            yield Fault(path=f"{path}.value", problem="not what a header can carry; write printable ASCII")
        elif not header.value:
            yield Fault(path=f"{path}.value", problem="missing; write what the server expects")


def _check_homes(homes: Iterable[tuple[str, str]]) -> Iterator[Fault]:
    for place, home in homes:
        path = f"homes.{shown(place)}"
        try:
            if "/" in place:
                ip_network(place)
            else:
                parse_host(place)
        except ValueError as why:
            yield Fault(path=path, found=shown(home), problem=f"its key is no address, network or host name: {why}")
        if not home:
            yield Fault(path=path, problem="missing; write the name of a backend or group")


def _check_modes(source: config_pb2.AuthHttpDirectory, *, verify: bool) -> Iterator[Fault]:
    """Keys of the other mode would be waited for in vain."""
    for key in ("unknown_statuses", "protocol") if verify else ("temporary_statuses", "plaintext_ok"):
        if value := getattr(source, key):
            found = shown(value if isinstance(value, bool | str) else ", ".join(value))
            problem = f'means nothing in mode "{"verify" if verify else "lookup"}"; leave it out'
            yield Fault(path=key, found=found, problem=problem)
    for key in ("unknown_statuses", "temporary_statuses"):
        for index, text in enumerate(getattr(source, key)):
            if not text.strip():
                yield Fault(path=f"{key}[{index}]", found=shown(text), problem="would be found in every answer")


_HEADER = re.compile(r"[A-Za-z0-9-]+")
_PROTOCOL = re.compile(r"[a-z0-9]+")
OURS = frozenset(
    {
        "auth-method",
        "auth-user",
        "auth-pass",
        "auth-protocol",
        "auth-login-attempt",
        "auth-smtp-helo",
        "auth-ssl",
        "client-ip",
        "connection",
        "content-length",
        "host",
        "transfer-encoding",
    }
)
