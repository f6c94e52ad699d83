"""The shared cache: routes in memcached servers, one of which may be dead or slow at the cost of its own share.

A key belongs to one server by rendezvous hashing, for as long as the list of servers stays the same: a dead server's
keys move nowhere, they are misses until it is back.
"""

from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import Final, final

from zcontrol import metrics
from zcontrol.routing.cache import Cache, Entry
from zcontrol.routing.memcached_server import MemcachedServer
from zcontrol.routing.seal import Seal

# Each slot goes to the server that wins it; 4096 keep a server's share within a few percent of even.
SLOTS: Final = 4096
# Hex digits of a key that name its slot.
SLOT_DIGITS: Final = 3
# memcached takes a longer one for seconds since 1970.
LONGEST_TTL_SECONDS: Final = 30 * 24 * 3600


@final
class MemcachedCache(Cache):
    """Several memcached servers as one cache."""

    def __init__(self, addresses: Sequence[str], *, seal: Seal, timeout_seconds: float) -> None:
        self._seal = seal
        self._servers = [MemcachedServer(address, timeout_seconds) for address in addresses]
        winners = [_winner(slot, addresses) for slot in range(SLOTS)]
        self._slots = {f"{slot:03x}".encode(): self._servers[winner] for slot, winner in enumerate(winners)}

    async def get_many(self, keys: Sequence[str]) -> Mapping[str, Entry]:
        """The entries that servers have of these; one that does not answer in time has none."""
        questions = {self._seal.key(key): key for key in keys}
        asked = [(share, server.get_many(share)) for server, share in self._shares(questions).items()]
        found: dict[str, Entry] = {}
        unsealed = 0
        for share, answer in asked:
            values = await answer
            for key in share:
                if (value := values.get(key)) is None:
                    continue
                if entry := self._seal.unseal(key, value):
                    found[questions[key]] = entry
                else:
                    unsealed += 1
        if unsealed:
            metrics.MEMCACHED_UNSEALED.inc(unsealed)
        return found

    async def set_many(self, entries: Mapping[str, Entry]) -> None:
        """Store these for their hard TTL."""
        sealed: dict[bytes, tuple[bytes, int]] = {}
        for question, entry in entries.items():
            key = self._seal.key(question)
            if value := self._seal.seal(key, entry):
                sealed[key] = (value, min(max(1, int(entry.hard - entry.looked_up)), LONGEST_TTL_SECONDS))
        for server, keys in self._shares(sealed).items():
            server.set_many({key: sealed[key] for key in keys})

    async def delete_many(self, keys: Iterable[str]) -> None:
        """Delete these, where servers can be reached; where not, epochs make them misses."""
        for server, share in self._shares([self._seal.key(key) for key in keys]).items():
            await server.delete_many(share)

    async def close(self) -> None:
        """Close connections and threads."""
        for server in self._servers:
            await server.close()

    def _shares(self, keys: Iterable[bytes]) -> dict[MemcachedServer, list[bytes]]:
        shares: dict[MemcachedServer, list[bytes]] = {}
        for key in keys:
            server = self._slots[key[:SLOT_DIGITS]]
            if server in shares:
                shares[server].append(key)
            else:
                shares[server] = [key]
        return shares


def _winner(slot: int, addresses: Sequence[str]) -> int:
    """Rendezvous: the server whose hash with the slot is highest, so that a new server takes only what it wins."""
    weights = [blake2b(f"{address} {slot}".encode(), digest_size=8).digest() for address in addresses]
    return weights.index(max(weights))
