"""Searches for many values at once: OR-filters, split where a server could not finish one."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import final

from zcontrol.directory.ldap_connection import Entry
from zcontrol.directory.ldap_replicas import Replicas
from zcontrol.directory.ldap_request import Search, all_of, any_of
from zcontrol.errors import DirectoryError, DirectoryUnavailableError


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Lookup:
    """How entries are found by a value."""

    replicas: Replicas
    base: str
    # The filters any of which finds an entry by this value.
    filters: Callable[[str], Sequence[bytes]]
    # Which entries count at all; empty: any.
    restriction: bytes
    attributes: Sequence[str]

    def find(self, values: Sequence[str]) -> Iterator[tuple[Sequence[str], Sequence[Entry] | DirectoryError]]:
        """Parts of `values`, each with all entries that any of them finds, or why that cannot be said."""
        # Splitting helps against one bad value; against a bad directory it must end before those who wait have left.
        give_up = time.monotonic() + self.replicas.timeout_seconds
        open_parts = [values]
        while open_parts:
            part = open_parts.pop()
            if time.monotonic() > give_up:
                yield part, DirectoryUnavailableError("the LDAP server needs too long")
                continue
            try:
                result = self.replicas.ask(self._search(part))
            except DirectoryError as error:
                yield part, error
                continue
            if result.complete:
                yield part, result.entries
            elif len(part) > 1:
                # What is not among the entries may exist, and so may a second entry for what is.
                half = len(part) // 2
                open_parts += [part[half:], part[:half]]
            else:
                yield part, DirectoryError(f"the LDAP search ended with {result.description}")

    def _search(self, values: Sequence[str]) -> Search:
        names = any_of(filter_ for value in values for filter_ in self.filters(value))
        return Search(
            base=self.base,
            filter=all_of([self.restriction, names]) if self.restriction else names,
            attributes=self.attributes,
            # One entry a value, and room to notice a second for each.
            size_limit=2 * len(values),
        )
