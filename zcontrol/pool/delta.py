"""What an edge must be told to get from one version of the pool to another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zcontrol.v1 import edge_pb2

if TYPE_CHECKING:
    from zcontrol.v1 import pool_pb2


def delta(before: pool_pb2.Pool, after: pool_pb2.Pool) -> edge_pb2.Change:
    """The change between two versions, however far apart they are."""
    backends = {backend.name: backend for backend in before.backends}
    groups = {group.name: group for group in before.groups}
    change = edge_pb2.Change(
        base=before.version,
        version=after.version,
        backends=[backend for backend in after.backends if backends.pop(backend.name, None) != backend],
        groups=[group for group in after.groups if groups.pop(group.name, None) != group],
    )
    # What was not taken out above is in no version after.
    change.removed_backends.extend(backends)
    change.removed_groups.extend(groups)
    if before.defaults != after.defaults:
        change.defaults.CopyFrom(after.defaults)
    return change
