"""Invalidations: from what an operator or the directory names to every cached spelling of it, here and in edges."""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Final, final

from zcontrol import metrics
from zcontrol.errors import UnusableNameError
from zcontrol.routing.cache import Cache, Entry
from zcontrol.routing.epochs import Epochs
from zcontrol.routing.homes import Homes
from zcontrol.routing.names import Names, canonical_domain
from zcontrol.v1 import edge_pb2, route_pb2


@final
class Invalidator:
    """Writes invalidations, and puts them in force."""

    def __init__(self, epochs: Epochs, homes: Homes, names: Names, cache: Cache) -> None:
        self._epochs = epochs
        self._homes = homes
        self._names = names
        self._cache = cache
        self._keys = KnownKeys()
        self.subscribers: list[Callable[[edge_pb2.Invalidation], None]] = []

    def note(self, kept: Mapping[str, Entry]) -> None:
        """Remember under which keys these accounts are cached."""
        for key, entry in kept.items():
            route = route_pb2.Route.FromString(entry.route)
            self._keys.note(route.account, key)
            if route.account_id:
                self._keys.note(route.account_id, key)

    async def message(self, *, account: str, domain: str, home: str) -> edge_pb2.Invalidation:
        """What is named, in the spelling that routes have; raises `UnusableNameError`."""
        message = edge_pb2.Invalidation()
        if account:
            await self._add_account(message, account)
        if domain:
            named = canonical_domain(domain)
            message.domains.extend(dict.fromkeys((named, self._names.real_domain(named))))
        if home:
            message.homes.append(self._homes.match(home) or home)
        return message

    async def apply(self, message: edge_pb2.Invalidation) -> None:
        """Make the next epoch of it; edges are told before caches are cleaned, which may take a slow server's time."""
        self._epochs.invalidate(message)
        metrics.INVALIDATIONS.inc()
        for told in self.subscribers:
            told(message)
        keys = {*message.accounts, *message.account_ids}
        for name in tuple(keys):
            keys.update(self._keys.take(name))
        if keys:
            await self._cache.delete_many(keys)

    async def _add_account(self, message: edge_pb2.Invalidation, typed: str) -> None:
        try:
            name = self._names.qualify(typed.encode()).name
        except UnusableNameError:
            if "@" in typed:
                raise
            # An id need not be a name.
            name = typed
        accounts, ids = {name: None}, {} if "@" in typed else {typed: None}
        cached = (await self._cache.get_many([name])).get(name)
        if cached:
            route = route_pb2.Route.FromString(cached.route)
            accounts[route.account] = None
            ids |= {route.account_id: None} if route.account_id else {}
        message.accounts.extend(accounts)
        message.account_ids.extend(ids)


@final
class KnownKeys:
    """Under which keys an account, by name and by id, is cached, so that a change or deletion finds them all."""

    def __init__(self, remembered: int = 400_000) -> None:
        """Of accounts beyond `remembered` the soft TTL bounds the error."""
        self._remembered = remembered
        self._keys: OrderedDict[str, tuple[str, ...]] = OrderedDict()

    def note(self, account: str, key: str) -> None:
        """Remember that `account`, a name or an id, is cached under `key`."""
        keys = self._keys.get(account, ())
        if key not in keys:
            self._keys[account] = (*keys, key)[-KEYS_AN_ACCOUNT:]
        self._keys.move_to_end(account)
        if len(self._keys) > self._remembered:
            self._keys.popitem(last=False)

    def take(self, account: str) -> tuple[str, ...]:
        """The keys of a name or id, forgotten by this."""
        return self._keys.pop(account, ())


# Before the first is forgotten: virtual hosts make many of one bare name.
KEYS_AN_ACCOUNT: Final = 32
