"""Where answers of the directory are kept: what a cache is, the one in this process, and the one for negatives.

A cache only keeps and finds; what an entry's age or epoch means is for the resolver to say.
"""

from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple, final

# Unknown names are cheap to invent, so they get room of their own and push no route out.
NEGATIVE_ENTRIES: Final = 100_000
DEFAULT_ENTRIES: Final = 1_000_000


class Entry(NamedTuple):
    """A route, when the directory said so and until when it may be served; seconds since 1970."""

    epoch: int
    looked_up: float
    soft: float
    hard: float
    # The serialised Route, its home in the directory's spelling.
    route: bytes


class Cache(ABC):
    """Entries by canonical question (`Qualified.key`). Never raises for what its servers do: that is a miss."""

    @abstractmethod
    async def get_many(self, keys: Sequence[str]) -> Mapping[str, Entry]:
        """The entries it has of these."""

    @abstractmethod
    async def set_many(self, entries: Mapping[str, Entry]) -> None:
        """Keep these, if there is room."""

    @abstractmethod
    async def delete_many(self, keys: Iterable[str]) -> None:
        """Forget these, if they are known."""

    @abstractmethod
    async def close(self) -> None:
        """Give back connections and threads."""


@final
class InProcessCache(Cache):
    """The embedded default: the last used entries, in memory."""

    def __init__(self, entries: int = DEFAULT_ENTRIES) -> None:
        self._room = entries
        self._entries: OrderedDict[str, Entry] = OrderedDict()

    async def get_many(self, keys: Sequence[str]) -> Mapping[str, Entry]:
        """The entries it has of these."""
        found = {key: entry for key in keys if (entry := self._entries.get(key))}
        for key in found:
            self._entries.move_to_end(key)
        return found

    async def set_many(self, entries: Mapping[str, Entry]) -> None:
        """Keep these, and let go of those unused for longest."""
        for key, entry in entries.items():
            self._entries[key] = entry
            self._entries.move_to_end(key)
        while len(self._entries) > self._room:
            self._entries.popitem(last=False)

    async def delete_many(self, keys: Iterable[str]) -> None:
        """Forget these."""
        for key in keys:
            self._entries.pop(key, None)

    async def close(self) -> None:
        """Forget everything."""
        self._entries.clear()


class Absence(NamedTuple):
    """The directory said: nobody of that name."""

    epoch: int
    # Of the monotonic clock.
    until: float


@final
class Negatives:
    """Names the directory does not know, for a short time."""

    def __init__(self, entries: int = NEGATIVE_ENTRIES) -> None:
        self._room = entries
        self._entries: OrderedDict[str, Absence] = OrderedDict()

    def get(self, key: str, now: float) -> Absence | None:
        """What is known of it and not yet over."""
        absence = self._entries.get(key)
        if absence is None or absence.until > now:
            return absence
        del self._entries[key]
        return None

    def set(self, key: str, absence: Absence) -> None:
        """Keep it, and let go of the oldest."""
        self._entries[key] = absence
        self._entries.move_to_end(key)
        if len(self._entries) > self._room:
            self._entries.popitem(last=False)

    def delete(self, key: str) -> None:
        """Forget it: the name is somebody's now."""
        self._entries.pop(key, None)
