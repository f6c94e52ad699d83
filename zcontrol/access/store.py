"""What of access must survive a restart, and how it is kept: tokens by their hash, and the audit log."""

from __future__ import annotations

import abc
import dataclasses
from typing import TYPE_CHECKING, final

if TYPE_CHECKING:
    from zcontrol.v1 import audit_pb2, token_pb2


@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class KeptToken:
    """A token as it is kept: without what would open anything."""

    token: token_pb2.Token
    digest: bytes = dataclasses.field(repr=False)


class AccessStore(abc.ABC):
    """Each write is durable when it returns; StoreUnavailableError if it cannot be done, and nothing has changed."""

    @abc.abstractmethod
    async def tokens(self) -> list[KeptToken]:
        """All of them."""

    @abc.abstractmethod
    async def keep_token(self, kept: KeptToken) -> None:
        """Keep one more."""

    @abc.abstractmethod
    async def drop_tokens(self, ids: list[str]) -> None:
        """Keep these no longer."""

    @abc.abstractmethod
    async def add_line(self, line: audit_pb2.AuditLine, *, keep: int) -> int:
        """Write a line and return its number; of its kind, refused or not, the newest so many stay."""

    @abc.abstractmethod
    async def replace_line(self, line: audit_pb2.AuditLine) -> None:
        """Write a line again, by its number."""

    @abc.abstractmethod
    async def lines(self, *, before: int, limit: int) -> list[audit_pb2.AuditLine]:
        """The newest lines of lower numbers than that, newest first."""
