"""Accounts in a TOML or CSV file, loaded again when the file changes; a bad file keeps the old one in force."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Final, Self, final

import structlog

from zcontrol.directory.accounts_file import read_accounts
from zcontrol.directory.base import Change, Directory, Found, Outcome
from zcontrol.errors import DirectoryError, DirectoryFileError
from zcontrol.file_state import file_state

log = structlog.get_logger(__name__)


@final
class FileDirectory(Directory):
    """The accounts of one file."""

    has_ids = True

    def __init__(self, path: str | Path, before: Self | None = None) -> None:
        """Load the file; raises `DirectoryFileError` if it cannot be used.

        Where it takes the place of a directory of the same file, a bad file keeps that one's accounts in force.
        """
        self.path: Final = Path(path)
        self._seen = file_state(self.path)
        same = before if before and before.path == self.path else None
        try:
            self.accounts = read_accounts(self.path)
        except DirectoryFileError as error:
            if same is None:
                raise
            self.accounts = same.accounts
            _warn(error)
        # The domains of these accounts, of no others.
        self._known_domains: tuple[dict[str, Found] | None, frozenset[str]] = (None, frozenset())
        # What has changed since the other last looked, and nobody was told.
        self._untold = _difference(same.accounts, self.accounts) if same else None

    async def find(self, names: Sequence[str]) -> list[Outcome]:
        """Look up names, aliases and ids."""
        return [self.accounts.get(name) for name in names]

    async def has_domains(self, domains: Sequence[str]) -> Mapping[str, bool | DirectoryError]:
        """Whether any account or alias is in each of these."""
        accounts, known = self._known_domains
        if accounts is not self.accounts:
            known = frozenset(name.rpartition("@")[2] for name in self.accounts)
            self._known_domains = (self.accounts, known)
        return {domain: domain in known for domain in domains}

    async def changes(self) -> AsyncIterator[Change]:
        """Watch the file, and tell which accounts a new one has changed."""
        untold, self._untold = self._untold, None
        if untold:
            yield untold
        while True:
            await asyncio.sleep(POLL_SECONDS)
            if change := await self.reload():
                yield change

    async def reload(self) -> Change | None:
        """Load the file if it is not the one that was loaded last; none: nothing is different."""
        state = file_state(self.path)
        if state == self._seen:
            return None
        # Also when it turns out bad: it is told once, and read again when it changes again.
        self._seen = state
        try:
            accounts = await asyncio.to_thread(read_accounts, self.path)
        except DirectoryFileError as error:
            _warn(error)
            return None
        change = _difference(self.accounts, accounts)
        self.accounts = accounts
        log.info("directory file loaded", path=str(self.path), names=len(accounts))
        return change

    async def close(self) -> None:
        """Nothing is held."""


def _warn(error: DirectoryFileError) -> None:
    log.warning("the directory file is bad, the accounts before stay in force: mend it", reason=str(error))


def _difference(old: dict[str, Found], new: dict[str, Found]) -> Change | None:
    names = {name for name in old.keys() | new.keys() if old.get(name) != new.get(name)}
    if not names:
        return None
    if len(names) > LISTED:
        return Change(everything=True)
    changed = [*(old[name] for name in names if name in old), *(new[name] for name in names if name in new)]
    return Change(accounts=frozenset(names.union(*((found.account, found.account_id) for found in changed)) - {""}))


# A change reaches every edge within 2 s: half a second to see it leaves the rest for loading and telling.
POLL_SECONDS: Final = 0.5
# More names than this are told as "everything".
LISTED: Final = 1000
