"""Directories and verifiers that ask auth_http servers a test started, before a pool of the test's own."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from google.protobuf.duration_pb2 import Duration

from zcontrol.directory import open_directory
from zcontrol.v1 import config_pb2, pool_pb2

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from zcontrol.directory.base import Directory


def backend(name: str, host: str, **ports: int) -> pool_pb2.Backend:
    endpoints = {service: pool_pb2.Endpoint(port=port) for service, port in ports.items()}
    return pool_pb2.Backend(name=name, host=host, endpoints=pool_pb2.Endpoints(**endpoints))


POOL = pool_pb2.Pool(
    version=1,
    backends=[
        backend("mbox-1", "10.0.0.1", imap=143, pop3=110),
        backend("mbox-2", "10.0.0.2", imap=143),
        backend("twin-1", "10.0.0.9", imap=1143),
        backend("twin-2", "10.0.0.9", imap=2143),
        backend("six", "2001:db8::1", imap=143),
    ],
)


def source(*urls: str, **more: object) -> config_pb2.AuthHttpDirectory:
    return config_pb2.AuthHttpDirectory(
        **{"urls": urls, "timeout": Duration(seconds=5), **more}  # type: ignore[arg-type]
    )


@asynccontextmanager
async def auth_http(*urls: str, pool: pool_pb2.Pool = POOL, **more: object) -> AsyncIterator[Directory]:
    """A directory, closed in the end."""
    directory = open_directory(config_pb2.Directory(auth_http=source(*urls, **more)), pool=lambda: pool)
    try:
        yield directory
    finally:
        await directory.close()
