"""One SQLite file as control holds it: for one process, written durably, safe from `kill -9` and power loss.

What is in it belongs to those who keep tables there: the pool's store and that of access.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
from typing import TYPE_CHECKING, TypeVar, final

from zcontrol.errors import StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_T = TypeVar("_T")


@final
class Database:
    """An open file; make one by `Database.open`."""

    def __init__(self, file: Path, connection: sqlite3.Connection) -> None:
        self._file = file
        self._connection = connection
        self._using = asyncio.Lock()

    @classmethod
    async def open(cls, file: Path) -> Database:
        """Open or create it; StoreUnavailableError if another process holds it, or it cannot be read."""
        return cls(file, await asyncio.to_thread(_open, file))

    async def run(self, step: Callable[[sqlite3.Connection], _T]) -> _T:
        """Do this with the connection, alone, in a thread; StoreUnavailableError if the file fails."""
        # Who leaves meanwhile leaves a thread that still has the connection: nobody else may until it is done.
        return await asyncio.shield(asyncio.create_task(self._alone(step)))

    async def write(self, step: Callable[[sqlite3.Connection], _T]) -> _T:
        """The same in a transaction, which is durable when this returns, also where the caller leaves meanwhile."""
        return await self.run(lambda connection: _written(connection, step))

    async def close(self) -> None:
        """Let go of the file."""
        async with self._using:
            await asyncio.to_thread(self._connection.close)

    async def _alone(self, step: Callable[[sqlite3.Connection], _T]) -> _T:
        async with self._using:
            return await asyncio.to_thread(self._step, step)

    def _step(self, step: Callable[[sqlite3.Connection], _T]) -> _T:
        with _mapped(self._file):
            return step(self._connection)


def _open(file: Path) -> sqlite3.Connection:
    with _mapped(file):
        file.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        # There are keys in it; SQLite's other files get the mode of this one.
        os.close(os.open(file, os.O_CREAT | os.O_RDWR, 0o600))
        file.chmod(0o600)
        connection = sqlite3.connect(file, check_same_thread=False, isolation_level=None, timeout=_LOCK_SECONDS)
        try:
            # Held for life: two controls on one store would each believe in their own current pool.
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            connection.execute("PRAGMA journal_mode = WAL")
            # WAL alone loses the newest commits with the power; FULL syncs the log before a commit returns.
            connection.execute("PRAGMA synchronous = FULL")
            _written(connection, lambda connection: _migrate(connection, file))
        except BaseException:
            connection.close()
            raise
        return connection


def _migrate(connection: sqlite3.Connection, file: Path) -> None:
    schema = connection.execute("PRAGMA user_version").fetchone()[0]
    if schema > _SCHEMA:
        raise StoreUnavailableError(f"{file}: written by a newer zproxy (schema {schema}); run that one")
    for table in _TABLES:
        connection.execute(table)
    connection.execute(f"PRAGMA user_version = {_SCHEMA}")


def _written(connection: sqlite3.Connection, step: Callable[[sqlite3.Connection], _T]) -> _T:
    connection.execute("BEGIN IMMEDIATE")
    try:
        result = step(connection)
        connection.execute("COMMIT")
    except BaseException:
        # A COMMIT that finds the disk full may have rolled back by itself.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return result


@contextlib.contextmanager
def _mapped(file: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        if "locked" in str(error):
            raise StoreUnavailableError(f"{file}: another control process holds it; stop that one first") from error
        raise StoreUnavailableError(f"{file}: {error}; check the disk and the permissions") from error
    except (sqlite3.Error, OSError) as error:
        raise StoreUnavailableError(f"{file}: {error}; restore it from a backup, or mend the path") from error


_SCHEMA = 4
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
    """
    CREATE TABLE IF NOT EXISTS tokens (
        id TEXT PRIMARY KEY,
        digest BLOB NOT NULL,
        token BLOB NOT NULL
    ) STRICT
    """,
    # AUTOINCREMENT: the number of a line that was let go of is never another's.
    """
    CREATE TABLE IF NOT EXISTS audit (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        refused INTEGER NOT NULL,
        line BLOB NOT NULL
    ) STRICT
    """,
    "CREATE INDEX IF NOT EXISTS audit_by_kind ON audit (refused, id)",
)
# A predecessor that is just going down may still hold the file.
_LOCK_SECONDS = 2.0
