"""Bearer tokens, proved by their issuer's keys or by asking him, and whose account they are by the directory.

A good token is remembered by its hash, a bad one is not: who sends many costs a signature's check each.
"""

import asyncio
import hashlib
import time
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, final

from zcontrol import metrics
from zcontrol.errors import OAuthUnavailableError, TokenRefusedError, UnusableNameError
from zcontrol.fault import shown
from zcontrol.routing.resolver import Resolver
from zcontrol.security.claims import BEARER, Claims, Rules, Told
from zcontrol.security.verify import Verifier, fault, objection, refused, verified
from zcontrol.v1 import config_pb2, route_pb2


class Prover(ABC):
    """Tells what a token says, if it is a good one."""

    # Whether a token that does not say when it expires is refused.
    expiry_required: bool
    # How long a good token may be remembered, whatever it says.
    longest_kept_seconds: float

    @abstractmethod
    async def claims(self, token: str) -> Claims:
        """Its claims; raises `TokenRefusedError`, or `OAuthUnavailableError` if nobody can tell."""

    def generation(self) -> int:
        """Another one: what was proved before is to be proved again."""
        return 0

    def go_on_from(self, before: "Prover") -> None:  # noqa: B027 - most know nothing beforehand
        """Know what another with the same config knows."""

    @abstractmethod
    async def probe(self) -> None:
        """Warn of what would keep it from telling."""

    @abstractmethod
    async def close(self) -> None:
        """Give back connections."""


@final
class OAuthVerifier(Verifier):
    """Proves tokens; the resolver is its owner's to close."""

    tokens = True

    def __init__(
        self,
        config: config_pb2.VerifyOAuth,
        prover: Prover,
        resolver: Resolver,
        *,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.config: Final = config
        self.prover: Final = prover
        self._resolver: Final = resolver
        self._wall = wall
        self._rules = Rules(config, expiry_required=prover.expiry_required)
        self.kept = _KeptTokens(config.cached_tokens or DEFAULT_CACHED_TOKENS)
        # Mail programs open several connections at once, each with the same token.
        self._under_way: dict[bytes, asyncio.Task[Told | route_pb2.Verdict]] = {}

    async def verify(self, proof: route_pb2.Proof) -> route_pb2.Verdict:
        """Whose token it is, by the claim that names its account."""
        if not BEARER.fullmatch(proof.token):
            return refused("no bearer token (RFC 6750)")
        digest = hashlib.sha256(proof.token).digest()
        if kept := self.kept.get(digest, self.prover.generation(), self._wall()):
            metrics.OAUTH_TOKENS.labels("remembered").inc()
            return await self._account(kept, proof)
        told = await self._prove_once(digest, proof.token)
        return await self._account(told, proof) if isinstance(told, Told) else told

    def go_on_from(self, before: "OAuthVerifier") -> None:
        """Remember what another with the same config remembers."""
        self.prover.go_on_from(before.prover)
        self.kept = before.kept

    async def probe(self) -> None:
        """See whether tokens can be proved."""
        await self.prover.probe()

    async def close(self) -> None:
        """Let go of the prover; nobody asks any more."""
        await self.prover.close()

    async def _prove_once(self, digest: bytes, token: bytes) -> Told | route_pb2.Verdict:
        task = self._under_way.get(digest)
        if task is None:
            task = self._under_way[digest] = asyncio.create_task(self._prove(digest, token), name="prove a token")
            task.add_done_callback(lambda _: self._under_way.pop(digest))
        # One who leaves must not take it from the others.
        return await asyncio.shield(task)

    async def _prove(self, digest: bytes, token: bytes) -> Told | route_pb2.Verdict:
        generation = self.prover.generation()
        try:
            claims = await self.prover.claims(token.decode("ascii"))
            now = self._wall()
            told = self._rules.judge(claims, now)
        except TokenRefusedError as error:
            metrics.OAUTH_TOKENS.labels("refused").inc()
            return refused(f"the token is {error}")
        except OAuthUnavailableError as error:
            metrics.OAUTH_TOKENS.labels("fault").inc()
            return fault(str(error))
        metrics.OAUTH_TOKENS.labels("good").inc()
        self.kept.keep(digest, _Kept(told, min(told.expires, now + self.prover.longest_kept_seconds), generation))
        return told

    async def _account(self, told: Told, proof: route_pb2.Proof) -> route_pb2.Verdict:
        """Resolve the name without the client's host name or address: those are the client's to choose."""
        login = told.name.encode()
        try:
            if self._resolver.names.vouched(told.name).name == proof.account:
                # As the edge has routed it, by the same names.
                return verified(proof.account)
        except UnusableNameError as error:
            return refused(f"the token names {shown(told.name)}, which is nobody's name: {error}")
        [answer] = await self._resolver.resolve([route_pb2.Question(login=login)])
        match answer.WhichOneof("result"):
            case "route":
                account = answer.route.account
                return objection(account, answer.route.status) or verified(account)
            case "none":
                return refused(f"the token names {shown(told.name)}, whom the directory does not know")
            case _:
                return fault(answer.fault.reason)


@final
@dataclass(frozen=True, slots=True)
class _Kept:
    told: Told
    until: float
    generation: int


@final
class _KeptTokens:
    """Good tokens by their hash; the least used goes first."""

    def __init__(self, entries: int) -> None:
        self._entries = entries
        self._tokens: OrderedDict[bytes, _Kept] = OrderedDict()

    def get(self, digest: bytes, generation: int, now: float) -> Told | None:
        kept = self._tokens.get(digest)
        if kept is None:
            return None
        if now >= kept.until or kept.generation != generation:
            del self._tokens[digest]
            return None
        self._tokens.move_to_end(digest)
        return kept.told

    def keep(self, digest: bytes, kept: _Kept) -> None:
        self._tokens[digest] = kept
        self._tokens.move_to_end(digest)
        while len(self._tokens) > self._entries:
            self._tokens.popitem(last=False)


DEFAULT_CACHED_TOKENS: Final = 100_000
