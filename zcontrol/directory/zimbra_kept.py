"""What Zimbra's accounts inherit from: domains and classes, few, asked for with every account, so kept for a while.

What is kept too long is served only while LDAP cannot be reached.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, Generic, TypeVar, final

from zcontrol.directory.base import BATCH
from zcontrol.directory.ldap_connection import Entry
from zcontrol.directory.ldap_search import Lookup
from zcontrol.errors import DirectoryError, DirectoryUnavailableError

Thing = TypeVar("Thing")


@final
class Kept(Generic[Thing]):
    """Answers by one kind of value, the unknown included; for use by several threads."""

    def __init__(
        self,
        lookup: Lookup,
        read: Callable[[Entry], Thing | DirectoryError],
        own_values: Callable[[Entry], Iterable[str]],
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`read` makes a thing of an entry; `own_values` are those by which that entry is found."""
        self._lookup = lookup
        self._read = read
        self._own_values = own_values
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._answers: OrderedDict[str, tuple[float, Thing | None]] = OrderedDict()
        # Counts `forget`, so that what was asked before is not kept after.
        self._generation = 0

    def find(self, values: Iterable[str]) -> dict[str, Thing | DirectoryError]:
        """What exists of these values, or why that cannot be said."""
        wanted = list(dict.fromkeys(values))
        with self._lock:
            known = {value: self._answers[value] for value in wanted if value in self._answers}
            generation = self._generation
        fresh_since = self._monotonic() - KEPT_SECONDS
        missing = [value for value in wanted if value not in known or known[value][0] < fresh_since]
        answers: dict[str, Thing | DirectoryError | None] = {value: thing for value, (_, thing) in known.items()}
        for start in range(0, len(missing), BATCH):
            asked = self._ask(missing[start : start + BATCH], generation)
            answers |= {
                value: answer
                for value, answer in asked.items()
                if value not in known or not isinstance(answer, DirectoryUnavailableError)
            }
        return {value: answer for value, answer in answers.items() if answer}

    def forget(self) -> None:
        """Ask again for everything."""
        with self._lock:
            self._answers.clear()
            self._generation += 1

    def _ask(self, values: Sequence[str], generation: int) -> dict[str, Thing | DirectoryError | None]:
        asked: dict[str, Thing | DirectoryError | None] = dict.fromkeys(values)
        for part, entries in self._lookup.find(values):
            if isinstance(entries, DirectoryError):
                asked.update(dict.fromkeys(part, entries))
                continue
            for entry in entries:
                for value in set(self._own_values(entry)) & set(part):
                    twice = DirectoryError(f"two entries have {value}, one is {entry.name}")
                    asked[value] = twice if asked[value] else self._read(entry)
        self._keep(asked, generation)
        return asked

    def _keep(self, asked: Mapping[str, Thing | DirectoryError | None], generation: int) -> None:
        now = self._monotonic()
        with self._lock:
            if generation != self._generation:
                return
            for value, answer in asked.items():
                if not isinstance(answer, DirectoryError):
                    self._answers[value] = (now, answer)
                    self._answers.move_to_end(value)
            while len(self._answers) > KEPT_ANSWERS:
                self._answers.popitem(last=False)


# As a route's soft TTL: what is inherited is part of routes.
KEPT_SECONDS: Final = 600
# Names of hosts and domains are cheap to invent.
KEPT_ANSWERS: Final = 10_000
