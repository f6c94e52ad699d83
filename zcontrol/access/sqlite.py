"""Tokens and the audit log in the SQLite file of control."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from zcontrol.access.store import AccessStore, KeptToken
from zcontrol.v1 import audit_pb2, token_pb2

if TYPE_CHECKING:
    import sqlite3

    from zcontrol.sqlite import Database


@final
class SqliteAccess(AccessStore):
    """Tables of a database that is its owner's to close."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def tokens(self) -> list[KeptToken]:
        """All of them."""
        rows = await self._database.run(lambda database: database.execute(_TOKENS).fetchall())
        return [KeptToken(digest=digest, token=token_pb2.Token.FromString(token)) for digest, token in rows]

    async def keep_token(self, kept: KeptToken) -> None:
        """Keep one more."""
        row = (kept.token.id, kept.digest, kept.token.SerializeToString())
        await self._database.write(lambda database: database.execute("INSERT INTO tokens VALUES (?, ?, ?)", row))

    async def drop_tokens(self, ids: list[str]) -> None:
        """Keep these no longer."""
        rows = [(token_id,) for token_id in ids]
        await self._database.write(lambda database: database.executemany("DELETE FROM tokens WHERE id = ?", rows))

    async def add_line(self, line: audit_pb2.AuditLine, *, keep: int) -> int:
        """Write a line and return its number; of its kind, refused or not, the newest so many stay."""
        refused = line.outcome == audit_pb2.AUDIT_OUTCOME_REFUSED
        return await self._database.write(lambda database: _add(database, line, refused=refused, keep=keep))

    async def replace_line(self, line: audit_pb2.AuditLine) -> None:
        """Write a line again, by its number."""
        row = (_stored(line), line.id)
        await self._database.write(lambda database: database.execute("UPDATE audit SET line = ? WHERE id = ?", row))

    async def lines(self, *, before: int, limit: int) -> list[audit_pb2.AuditLine]:
        """The newest lines of lower numbers than that, newest first."""
        rows = await self._database.run(lambda database: database.execute(_NEWEST, (before, limit)).fetchall())
        return [_read(number, line) for number, line in rows]


def _add(database: sqlite3.Connection, line: audit_pb2.AuditLine, *, refused: bool, keep: int) -> int:
    added = database.execute("INSERT INTO audit (refused, line) VALUES (?, ?)", (refused, _stored(line)))
    database.execute(_TRIM, (refused, refused, keep))
    if added.lastrowid is None:
        raise AssertionError("an INSERT has a row")
    return added.lastrowid


def _stored(line: audit_pb2.AuditLine) -> bytes:
    """Its number is the row's."""
    without = audit_pb2.AuditLine()
    without.CopyFrom(line)
    without.ClearField("id")
    return without.SerializeToString()


def _read(number: int, stored: bytes) -> audit_pb2.AuditLine:
    line = audit_pb2.AuditLine.FromString(stored)
    line.id = number
    return line


_TOKENS = "SELECT digest, token FROM tokens"
_NEWEST = "SELECT id, line FROM audit WHERE id < ? ORDER BY id DESC LIMIT ?"
_TRIM = """
    DELETE FROM audit WHERE refused = ? AND id <= (
        SELECT id FROM audit WHERE refused = ? ORDER BY id DESC LIMIT 1 OFFSET ?
    )
"""
