"""The pool in one SQLite file: for one control process, which survives `kill -9` and power loss.

Every version is a row with the whole pool in it, so that history, rollback and the current pool are one table. The keys
that edges share have a table of their own.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

from zcontrol.pool.model import PoolConflictError, PoolNotFoundError, PoolUnavailableError, canonical
from zcontrol.pool.store import Entry, Note, PoolStore
from zcontrol.rotating_keys import Key
from zcontrol.v1 import pool_pb2

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

_T = TypeVar("_T")


class SqliteStore(PoolStore):
    """A store in `pool.db` of the state directory; make one by `SqliteStore.open`."""

    def __init__(self, file: Path, database: sqlite3.Connection) -> None:
        super().__init__()
        self._file = file
        self._database = database
        self._writing = asyncio.Lock()

    @classmethod
    async def open(cls, directory: Path, seed: pool_pb2.Pool) -> SqliteStore:
        """Open or create the store; a store that was never written begins with the seed."""
        file = directory / "pool.db"
        store = cls(file, await asyncio.to_thread(_open, file))
        newest = await store._run(_newest)
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
        rows = await self._run(lambda database: database.execute(_SELECT_HISTORY, (limit,)).fetchall())
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
        row = await self._run(lambda database: database.execute(_SELECT_POOL, (version,)).fetchone())
        if row is None:
            raise PoolNotFoundError(f"no version {version}; `zproxy pool history` lists them")
        return pool_pb2.Pool.FromString(row[0])

    async def keys(self, purpose: str) -> list[Key]:
        """The keys for a purpose; none: they were never kept."""
        rows = await self._run(lambda database: database.execute(_SELECT_KEYS, (purpose,)).fetchall())
        return [Key(name=name, secret=secret, not_before=not_before) for name, secret, not_before in rows]

    async def keep_keys(self, purpose: str, keys: Sequence[Key]) -> None:
        """Keep these keys, durably, instead of those before; PoolUnavailableError if it cannot."""
        await self._run(lambda database: _replace_keys(database, purpose, keys))

    async def close(self) -> None:
        """End every watch and let go of the file."""
        await super().close()
        async with self._writing:
            await asyncio.to_thread(self._database.close)

    async def _commit(self, pool: pool_pb2.Pool, base: int, note: Note) -> Entry:
        next_pool = pool_pb2.Pool()
        next_pool.CopyFrom(pool)
        next_pool.version = base + 1
        entry = Entry(version=base + 1, time=datetime.now(UTC), note=note)
        await self._run(lambda database: _insert(database, next_pool, entry))
        self._publish(next_pool)
        return entry

    async def _run(self, step: Callable[[sqlite3.Connection], _T]) -> _T:
        async with self._writing:
            return await asyncio.to_thread(self._step, step)

    def _step(self, step: Callable[[sqlite3.Connection], _T]) -> _T:
        with _mapped(self._file):
            return step(self._database)


def _open(file: Path) -> sqlite3.Connection:
    with _mapped(file):
        file.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        # There are keys in it; SQLite's other files get the mode of this one.
        os.close(os.open(file, os.O_CREAT | os.O_RDWR, 0o600))
        file.chmod(0o600)
        database = sqlite3.connect(file, check_same_thread=False, isolation_level=None, timeout=_LOCK_SECONDS)
        try:
            # Held for life: two controls on one store would each believe in their own current pool.
            database.execute("PRAGMA locking_mode = EXCLUSIVE")
            database.execute("PRAGMA journal_mode = WAL")
            # WAL alone loses the newest commits with the power; FULL syncs the log before a commit returns.
            database.execute("PRAGMA synchronous = FULL")
            _migrate(database, file)
        except BaseException:
            database.close()
            raise
        return database


def _migrate(database: sqlite3.Connection, file: Path) -> None:
    with _transaction(database):
        schema = database.execute("PRAGMA user_version").fetchone()[0]
        if schema > _SCHEMA:
            raise PoolUnavailableError(f"{file}: written by a newer zproxy (schema {schema}); run that one")
        for table in _TABLES:
            database.execute(table)
        database.execute(f"PRAGMA user_version = {_SCHEMA}")


def _newest(database: sqlite3.Connection) -> pool_pb2.Pool | None:
    row = database.execute("SELECT pool FROM history ORDER BY version DESC LIMIT 1").fetchone()
    return None if row is None else pool_pb2.Pool.FromString(row[0])


def _insert(database: sqlite3.Connection, pool: pool_pb2.Pool, entry: Entry) -> None:
    with _transaction(database):
        newest = database.execute("SELECT coalesce(max(version), 0) FROM history").fetchone()[0]
        if newest != entry.version - 1:
            raise PoolConflictError(
                f"the pool is at version {newest}, not {entry.version - 1}; read it again and repeat"
            )
        note = entry.note
        row = (entry.version, entry.time.timestamp(), note.author, note.action, note.reason, pool.SerializeToString())
        database.execute("INSERT INTO history VALUES (?, ?, ?, ?, ?, ?)", row)


def _replace_keys(database: sqlite3.Connection, purpose: str, keys: Sequence[Key]) -> None:
    with _transaction(database):
        database.execute("DELETE FROM keys WHERE purpose = ?", (purpose,))
        rows = [(purpose, key.name, key.secret, key.not_before) for key in keys]
        database.executemany("INSERT INTO keys VALUES (?, ?, ?, ?)", rows)


@contextlib.contextmanager
def _transaction(database: sqlite3.Connection) -> Iterator[None]:
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
        database.execute("COMMIT")
    except BaseException:
        # A COMMIT that finds the disk full may have rolled back by itself.
        if database.in_transaction:
            database.execute("ROLLBACK")
        raise


@contextlib.contextmanager
def _mapped(file: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        if "locked" in str(error):
            raise PoolUnavailableError(f"{file}: another control process holds it; stop that one first") from error
        raise PoolUnavailableError(f"{file}: {error}; check the disk and the permissions") from error
    except (sqlite3.Error, OSError) as error:
        raise PoolUnavailableError(f"{file}: {error}; restore it from a backup, or mend the path") from error


_SCHEMA = 3
_TABLES = (
    """
    CREATE TABLE IF NOT EXISTS history (
        version INTEGER PRIMARY KEY,
        time REAL NOT NULL,
        author TEXT NOT NULL,
        action TEXT NOT NULL,
        reason TEXT NOT NULL,
        pool BLOB NOT NULL
    ) STRICT
    """,
    """
    CREATE TABLE IF NOT EXISTS keys (
        purpose TEXT NOT NULL,
        name BLOB NOT NULL,
        secret BLOB NOT NULL,
        not_before REAL NOT NULL,
        PRIMARY KEY (purpose, name)
    ) STRICT
    """,
    # Of schema 2. New keys cost each client one full handshake.
    "DROP TABLE IF EXISTS ticket_keys",
)
_SELECT_HISTORY = "SELECT version, time, author, action, reason FROM history ORDER BY version DESC LIMIT ?"
_SELECT_KEYS = "SELECT name, secret, not_before FROM keys WHERE purpose = ? ORDER BY not_before"
_SELECT_POOL = "SELECT pool FROM history WHERE version = ?"
# A predecessor that is just going down may still hold the file.
_LOCK_SECONDS = 2.0
