"""Pools and backends for tests, short to write."""

from __future__ import annotations

from zcontrol.v1 import pool_pb2


def backend(name: str, group: str = "", *, weight: int | None = None, host: str = "127.0.0.2") -> pool_pb2.Backend:
    """A valid IMAP backend."""
    endpoints = pool_pb2.Endpoints(imap=pool_pb2.Endpoint(port=143))
    return pool_pb2.Backend(name=name, group=group, host=host, endpoints=endpoints, weight=weight)


def shared(name: str) -> pool_pb2.Group:
    """A group of one mail storage."""
    return pool_pb2.Group(name=name, kind=pool_pb2.GROUP_KIND_SHARED)


def two_mailboxes() -> pool_pb2.Pool:
    """Two backends, one a default; and a group of two."""
    return pool_pb2.Pool(
        version=7,
        backends=[backend("mbox-1"), backend("mbox-2"), backend("web-1", "web"), backend("web-2", "web")],
        groups=[shared("web")],
        defaults=pool_pb2.Defaults(mail="mbox-2"),
    )
