"""The pool in the SQLite file of control.

Every version is a row with the whole pool in it, so that history, rollback and the current pool are one table. The keys
that edges share have a table of their own.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from zcontrol.pool.model import PoolConflictError, PoolNotFoundError, canonical
from zcontrol.pool.store import Entry, Note, PoolStore
from zcontrol.rotating_keys import Key
from zcontrol.sqlite import Database
from zcontrol.v1 import pool_pb2

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence
    from pathlib import Path


class SqliteStore(PoolStore):
    """A store in `pool.db` of the state directory; make one by `SqliteStore.open`."""

    def __init__(self, database: Database) -> None:
        super().__init__()
        self.database = database

    @classmethod
    async def open(cls, directory: Path, seed: pool_pb2.Pool) -> SqliteStore:
        """Open or create the store; a store that was never written begins with the seed."""
        store = cls(await Database.open(directory / "pool.db"))
        newest = await store.database.run(_newest)
        if newest is not None:
            store._publish(newest)
        elif seed.backends or seed.groups:
            await store.commit(canonical(seed), base=0, note=Note(author="zproxy", action="seed from the config file"))
        return store

    async def commit(self, pool: pool_pb2.Pool, *, base: int, note: Note) -> Entry:
        """Write the version after `base`, durably, and only then make it current."""
        # A caller that leaves must not part the write from its publication.
        return await asyncio.shield(asyncio.create_task(self._commit(pool, base, note)))

    async def history(self, limit: int) -> list[Entry]:
        """The newest changes, newest first."""
        rows = await self.database.run(lambda database: database.execute(_SELECT_HISTORY, (limit,)).fetchall())
        return [
            Entry(
                version=version,
                time=datetime.fromtimestamp(seconds, UTC),
                note=Note(author=author, action=action, reason=reason),
            )
            for version, seconds, author, action, reason in rows
        ]

    async def at(self, version: int) -> pool_pb2.Pool:
        """The pool as an older version had it."""
        # As text, which SQLite compares as the number that it is: a caller's may be larger than any of SQLite's.
        row = await self.database.run(lambda database: database.execute(_SELECT_POOL, (str(version),)).fetchone())
        if row is None:
            raise PoolNotFoundError(f"no version {version}; `zproxy pool history` lists them")
        return pool_pb2.Pool.FromString(row[0])

    async def keys(self, purpose: str) -> list[Key]:
        """The keys for a purpose; none: they were never kept."""
        rows = await self.database.run(lambda database: database.execute(_SELECT_KEYS, (purpose,)).fetchall())
        return [Key(name=name, secret=secret, not_before=not_before) for name, secret, not_before in rows]

    async def keep_keys(self, purpose: str, keys: Sequence[Key]) -> None:
        """Keep these keys, durably, instead of those before; StoreUnavailableError if it cannot."""
        await self.database.write(lambda database: _replace_keys(database, purpose, keys))

    async def close(self) -> None:
        """End every watch and let go of the file."""
        self.end_watches()
        await self.database.close()

    async def _commit(self, pool: pool_pb2.Pool, base: int, note: Note) -> Entry:
        next_pool = pool_pb2.Pool()
        next_pool.CopyFrom(pool)
        next_pool.version = base + 1
        entry = Entry(version=base + 1, time=datetime.now(UTC), note=note)
        await self.database.write(lambda database: _insert(database, next_pool, entry))
        self._publish(next_pool)
        return entry


def _newest(database: sqlite3.Connection) -> pool_pb2.Pool | None:
    row = database.execute("SELECT pool FROM history ORDER BY version DESC LIMIT 1").fetchone()
    return None if row is None else pool_pb2.Pool.FromString(row[0])


def _insert(database: sqlite3.Connection, pool: pool_pb2.Pool, entry: Entry) -> None:
    newest = database.execute("SELECT coalesce(max(version), 0) FROM history").fetchone()[0]
    if newest != entry.version - 1:
        raise PoolConflictError(f"the pool is at version {newest}, not {entry.version - 1}; read it again and repeat")
    note = entry.note
    row = (entry.version, entry.time.timestamp(), note.author, note.action, note.reason, pool.SerializeToString())
    database.execute("INSERT INTO history VALUES (?, ?, ?, ?, ?, ?)", row)


def _replace_keys(database: sqlite3.Connection, purpose: str, keys: Sequence[Key]) -> None:
    database.execute("DELETE FROM keys WHERE purpose = ?", (purpose,))
    rows = [(purpose, key.name, key.secret, key.not_before) for key in keys]
    database.executemany("INSERT INTO keys VALUES (?, ?, ?, ?)", rows)


_SELECT_HISTORY = "SELECT version, time, author, action, reason FROM history ORDER BY version DESC LIMIT ?"
_SELECT_KEYS = "SELECT name, secret, not_before FROM keys WHERE purpose = ? ORDER BY not_before"
_SELECT_POOL = "SELECT pool FROM history WHERE version = ?"
