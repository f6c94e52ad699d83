"""Homes: from what a directory calls an account's home to the name of a backend or group in the pool."""

from collections.abc import Callable
from typing import final

from zcontrol.v1 import pool_pb2


@final
class Homes:
    """Matches homes against the current pool: by name, then by host, without case."""

    def __init__(self, pool: Callable[[], pool_pb2.Pool]) -> None:
        self._pool = pool
        self._indexed: pool_pb2.Pool | None = None
        self._version = -1
        self._names: dict[str, str] = {}

    def match(self, home: str) -> str | None:
        """The name as the pool spells it; none: the pool has no such name or host, or several of that host."""
        pool = self._pool()
        if pool is not self._indexed or pool.version != self._version:
            self._names = _index(pool)
            self._indexed, self._version = pool, pool.version
        return self._names.get(home) or self._names.get(_key(home))


def _index(pool: pool_pb2.Pool) -> dict[str, str]:
    hosts: dict[str, set[str]] = {}
    for backend in pool.backends:
        hosts.setdefault(_key(backend.host), set()).add(backend.name)
    # A host that several backends share says nothing; a name outranks a host.
    index = {host: names.pop() for host, names in hosts.items() if len(names) == 1}
    names = [*(group.name for group in pool.groups), *(backend.name for backend in pool.backends)]
    return index | {_key(name): name for name in names}


def _key(name: str) -> str:
    return name.strip().rstrip(".").casefold()
