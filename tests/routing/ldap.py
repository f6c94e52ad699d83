"""LDAP directories on servers that a test started."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from google.protobuf.duration_pb2 import Duration

from servers.slapd import BASE
from zcontrol.directory import open_directory
from zcontrol.v1 import config_pb2

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from zcontrol.directory.base import Directory


@asynccontextmanager
async def ldap(*urls: str, **more: object) -> AsyncIterator[Directory]:
    """A directory, closed in the end."""
    config = config_pb2.LdapDirectory(
        **{"urls": urls, "base": BASE, "timeout": Duration(seconds=5), **more}  # type: ignore[arg-type]
    )
    directory = open_directory(config_pb2.Directory(ldap=config))
    try:
        yield directory
    finally:
        await directory.close()
