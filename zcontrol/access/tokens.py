"""Tokens: drawn here, kept as a hash, and proved by whoever shows one.

A token is 256 random bits. No dictionary has it, so that its plain SHA-256 is as safe at rest as a slow or keyed hash
would be, and a call costs no more for it.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import re
import secrets
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple, final

import structlog

from zcontrol.access.store import KeptToken
from zcontrol.errors import ZproxyError
from zcontrol.v1 import token_pb2

if TYPE_CHECKING:
    from collections.abc import Callable

    from zcontrol.access.roles import Role
    from zcontrol.access.store import AccessStore

log = structlog.get_logger(__name__)


class TokenNotFoundError(ZproxyError):
    """There is no such token; the text says what to do."""


class TokenInvalidError(ZproxyError):
    """A token that cannot be made; the text says which field is wrong."""


class TooManyTokensError(ZproxyError):
    """There is room for no more; the text says what to do."""


class UnprovedError(ZproxyError):
    """What was shown as a token proves nothing; the text says why."""


class Wanted(NamedTuple):
    """A token that somebody wants."""

    role: Role
    note: str
    # None: it never runs out.
    lifetime: timedelta | None
    author: str


@final
class Tokens:
    """All tokens; make them by `Tokens.open`."""

    def __init__(self, store: AccessStore, kept: list[KeptToken], clock: Callable[[], float]) -> None:
        self._store = store
        self._kept = {each.token.id: each for each in kept}
        self._last_used: dict[str, float] = {}
        self._warned: set[str] = set()
        self._clock = clock

    @classmethod
    async def open(cls, store: AccessStore, clock: Callable[[], float] = time.time) -> Tokens:
        """Those that the store keeps."""
        return cls(store, await store.tokens(), clock)

    async def create(self, wanted: Wanted) -> tuple[token_pb2.Token, str]:
        """Draw a token, durably; what is returned beside it is the token itself, and nobody has it otherwise."""
        _check(wanted)
        # A caller that leaves must not part what is kept from what is known.
        return await asyncio.shield(asyncio.create_task(self._create(wanted)))

    async def revoke(self, token_id: str) -> token_pb2.Token:
        """Let it open nothing any more, durably."""
        if token_id not in self._kept:
            raise TokenNotFoundError(f"no token {token_id!r}; `zproxy token list` shows them")
        return await asyncio.shield(asyncio.create_task(self._revoke(token_id)))

    def list(self) -> list[token_pb2.Token]:
        """All of them, oldest first."""
        return sorted(map(self._told, self._kept.values()), key=lambda token: (token.created.ToNanoseconds(), token.id))

    def prove(self, shown: str) -> token_pb2.Token:
        """The token that was shown; UnprovedError if it is none of ours or has run out."""
        match = _TOKEN.fullmatch(shown)
        if match is None:
            raise UnprovedError("what it shows is no token of zproxy's")
        kept = self._kept.get(match[1])
        # Somebody who tries numbers is kept as long for one that there is not.
        known = hmac.compare_digest(_digest(shown), kept.digest if kept else _NO_DIGEST)
        if kept is None or not known:
            raise UnprovedError(f"token {match[1]} is unknown, revoked or wrong")
        now = self._clock()
        if _has_run_out(kept.token, now):
            raise UnprovedError(f"token {match[1]} has run out, at {kept.token.expires.ToJsonString()}")
        self._last_used[match[1]] = now
        return kept.token

    def warn(self) -> None:
        """Tell once of each token that is in use and is about to run out."""
        soon = self._clock() + WARNED_SECONDS
        for token_id in self._last_used.keys() - self._warned:
            kept = self._kept.get(token_id)
            if kept and _has_run_out(kept.token, soon):
                self._warned.add(token_id)
                expires = kept.token.expires.ToJsonString()
                log.warning("a token in use runs out soon", token=token_id, note=kept.token.note, expires=expires)

    async def _create(self, wanted: Wanted) -> tuple[token_pb2.Token, str]:
        now = self._clock()
        old = [each.token.id for each in self._kept.values() if _has_run_out(each.token, now - REMEMBERED_SECONDS)]
        if old:
            await self._store.drop_tokens(old)
        for token_id in old:
            self._forget(token_id)
        if len(self._kept) >= MOST_TOKENS:
            raise TooManyTokensError(f"there are {MOST_TOKENS} tokens already; revoke those that nobody uses")
        token = token_pb2.Token(id=self._new_id(), role=wanted.role, note=wanted.note, author=wanted.author)
        token.created.FromDatetime(datetime.fromtimestamp(now, UTC))
        if wanted.lifetime is not None:
            token.expires.FromDatetime(datetime.fromtimestamp(now, UTC) + wanted.lifetime)
        secret = f"{PREFIX}{token.id}_{secrets.token_urlsafe(SECRET_OCTETS)}"
        kept = KeptToken(token=token, digest=_digest(secret))
        await self._store.keep_token(kept)
        self._kept[token.id] = kept
        return token, secret

    async def _revoke(self, token_id: str) -> token_pb2.Token:
        await self._store.drop_tokens([token_id])
        kept = self._kept.get(token_id)
        self._forget(token_id)
        return kept.token if kept else token_pb2.Token(id=token_id)

    def _forget(self, token_id: str) -> None:
        self._kept.pop(token_id, None)
        self._last_used.pop(token_id, None)
        self._warned.discard(token_id)

    def _new_id(self) -> str:
        while (token_id := secrets.token_hex(ID_OCTETS)) in self._kept:
            pass
        return token_id

    def _told(self, kept: KeptToken) -> token_pb2.Token:
        token = token_pb2.Token()
        token.CopyFrom(kept.token)
        if (used := self._last_used.get(token.id)) is not None:
            token.last_used.FromDatetime(datetime.fromtimestamp(used, UTC))
        return token


def _check(wanted: Wanted) -> None:
    if wanted.role not in token_pb2.AccessRole.values() or not wanted.role:
        raise TokenInvalidError("role: missing; one of edge, viewer, operator, admin")
    if len(wanted.note.encode()) > LONGEST_NOTE or not wanted.note.isprintable():
        raise TokenInvalidError(f"note: at most {LONGEST_NOTE} octets, all printable")
    if wanted.lifetime is not None and not timedelta(0) < wanted.lifetime <= LONGEST_LIFETIME:
        raise TokenInvalidError("lifetime: more than nothing and at most ten years; set forever for one without end")


def _digest(shown: str) -> bytes:
    return hashlib.sha256(shown.encode()).digest()


def _has_run_out(token: token_pb2.Token, now: float) -> bool:
    return token.HasField("expires") and token.expires.ToNanoseconds() / 1e9 <= now


# By it those who search repositories for secrets find one of ours.
PREFIX = "zproxy_"
ID_OCTETS = 4
SECRET_OCTETS = 32
# Its length is bounded by it too: a longer one is not even hashed.
_TOKEN = re.compile(rf"{PREFIX}([0-9a-f]{{{ID_OCTETS * 2}}})_[A-Za-z0-9_-]{{43}}")
# Of nothing that could be shown.
_NO_DIGEST = bytes(32)
LONGEST_NOTE = 256
LONGEST_LIFETIME = timedelta(days=3650)
# Shown so long after they have run out, so that whoever wonders finds them.
REMEMBERED_SECONDS = 30 * 24 * 3600.0
WARNED_SECONDS = 7 * 24 * 3600.0
# More than a site has callers; all of them are in memory.
MOST_TOKENS = 10_000
