"""What the edge's part of a config and control's must satisfy together, where one file is for both.

Edges that have files of their own say at runtime what of it they lack.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from zcontrol.fault import Fault, shown
from zcontrol.v1 import config_pb2, pool_pb2
from zcontrol.words import word

if TYPE_CHECKING:
    from collections.abc import Iterator


def check_together(config: config_pb2.Config) -> Iterator[Fault]:
    """Every such fault."""
    yield from _check_master_users(config)
    if config.directory.auth_http.mode == config_pb2.AUTH_HTTP_MODE_VERIFY:
        yield from _check_mail(config)


def _check_master_users(config: config_pb2.Config) -> Iterator[Fault]:
    known = [master.name for master in config.master_users]
    for index, backend in enumerate(config.backends):
        for field, endpoint in backend.endpoints.ListFields():
            if endpoint.login_style == pool_pb2.LOGIN_STYLE_VERIFY_THEN_MASTER:
                path = f"backends[{index}].endpoints.{field.name}.master_user"
                yield from _check_master_user(endpoint.master_user, known, path)


def _check_master_user(name: str, known: list[str], path: str) -> Iterator[Fault]:
    if name in known or (not name and len(known) == 1):
        return
    mend = f"write one of {', '.join(known)}" if known else "add one as [[master_users]]"
    problem = f"no such master user; {mend}" if name else f"which master user logs in there? {mend}"
    yield Fault(path=path, found=shown(name) if name else None, problem=problem)


def _check_mail(config: config_pb2.Config) -> Iterator[Fault]:
    for index, listener in enumerate(config.listeners):
        if listener.protocol in (config_pb2.PROTOCOL_MX, config_pb2.PROTOCOL_LMTP):
            found = shown(word(config_pb2.Protocol.DESCRIPTOR, listener.protocol))
            problem = "directory.auth_http in mode verify tells of nobody but who logs in; use another directory"
            yield Fault(path=f"listeners[{index}].protocol", found=found, problem=problem)
