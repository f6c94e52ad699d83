"""Verifiers: whether a credential proves an account.

A verifier never raises for a proof, and never refuses for want of an answer: whatever keeps it from telling is a fault,
which the client meets as a temporary failure. What it is given is secret: nothing of it is kept, cached or logged.
"""

import asyncio
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Final, final

import structlog

from zcontrol import metrics
from zcontrol.v1 import edge_pb2, route_pb2

log = structlog.get_logger(__name__)


class Verifier(ABC):
    """Proves credentials of some kinds."""

    # What it can prove; never changes.
    passwords: bool = False
    tokens: bool = False

    @abstractmethod
    async def verify(self, proof: route_pb2.Proof) -> route_pb2.Verdict:
        """The verdict on one credential, of a kind it can prove and not empty; whoever asks sets the verdict's index.

        Asked for many proofs at the same time: a verifier does its own batching, and bounds what it does at once.
        """

    async def probe(self) -> None:  # noqa: B027 - some have nothing to reach that others do not probe
        """Warn of what would keep verdicts from being given, before anybody logs in."""

    async def close(self) -> None:  # noqa: B027 - some hold nothing
        """Give back connections and threads; nobody asks any more."""


@final
class Verifiers:
    """A verifier each for passwords and tokens; where there is none, such a credential proves nothing."""

    def __init__(self, *, passwords: Verifier | None = None, tokens: Verifier | None = None) -> None:
        """One verifier may serve for both; they are closed with this."""
        self.passwords: Final = passwords
        self.tokens: Final = tokens
        self._probing: asyncio.Future[list[None]] | None = None
        self._asking = 0
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def told(self) -> edge_pb2.Verifiers:
        """What edges are told of it."""
        return edge_pb2.Verifiers(passwords=self.passwords is not None, tokens=self.tokens is not None)

    def start(self) -> None:
        """See now whether what verifies can be reached."""
        self._probing = asyncio.gather(*(each.probe() for each in self._all()))

    async def verify(self, proof: route_pb2.Proof) -> route_pb2.Verdict:
        """The verdict on one credential; never raises."""
        self._asking += 1
        self._idle.clear()
        started = time.perf_counter()
        try:
            verdict = await self._ask(proof)
        finally:
            self._asking -= 1
            if not self._asking:
                self._idle.set()
        kind = proof.WhichOneof("credential") or "none"
        metrics.VERIFIED.labels(kind, verdict.WhichOneof("result")).inc()
        metrics.VERIFY_SECONDS.labels(kind).observe(time.perf_counter() - started)
        return verdict

    async def close(self) -> None:
        """Answer what was asked, then close the verifiers."""
        if self._probing:
            self._probing.cancel()
            await asyncio.wait([self._probing])
        await self._idle.wait()
        for verifier in self._all():
            await verifier.close()

    def _all(self) -> list[Verifier]:
        one, other = self.passwords, self.tokens
        return [each for each in (one, None if other is one else other) if each]

    async def _ask(self, proof: route_pb2.Proof) -> route_pb2.Verdict:
        kind = proof.WhichOneof("credential")
        if kind is None or not getattr(proof, kind):
            # Also because an LDAP server takes an empty password for no wish to prove anything (RFC 4513, 5.1.2).
            return refused("an empty credential")
        if len(getattr(proof, kind)) > LONGEST_CREDENTIAL:
            return refused(f"a {kind} longer than {LONGEST_CREDENTIAL} octets")
        verifier = self.passwords if kind == "password" else self.tokens
        if verifier is None:
            return fault(f"nothing verifies {kind}s: configure [verify]")
        try:
            return await verifier.verify(proof)
        except Exception as error:  # noqa: BLE001 - one bug costs one login; what the error says may be secret
            log.error("a verifier failed in a way nobody foresaw", kind=kind, error=_place(error))  # noqa: TRY400
            return fault("internal failure, see the log")


def verified(account: str) -> route_pb2.Verdict:
    """The credential proves this account."""
    return route_pb2.Verdict(verified=route_pb2.Verified(account=account))


def refused(reason: str, *, expired: bool = False) -> route_pb2.Verdict:
    """It proves nothing; the reason is for the record."""
    return route_pb2.Verdict(refused=route_pb2.Refused(reason=reason, expired=expired))


def fault(reason: str) -> route_pb2.Verdict:
    """Nobody could tell; the reason, with the mend, is for record and log."""
    return route_pb2.Verdict(fault=route_pb2.Fault(reason=reason))


def objection(account: str, status: route_pb2.AccountStatus.ValueType) -> route_pb2.Verdict | None:
    """The verdict on an account that lets nobody in, whatever he proves."""
    match status:
        case route_pb2.ACCOUNT_STATUS_LOCKED:
            return refused(f"{account} is locked")
        case route_pb2.ACCOUNT_STATUS_CLOSED:
            return refused(f"{account} is closed")
        case route_pb2.ACCOUNT_STATUS_MAINTENANCE:
            return fault(f"{account} is in maintenance")
        case _:
            return None


def _place(error: BaseException) -> str:
    """The error's type and where it arose, without its text."""
    trace = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    where = f" at {Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}" if trace else ""
    return f"{type(error).__name__}{where}"


# As a client's whole line outside SMTP: the edge lets no longer one pass.
LONGEST_CREDENTIAL: Final = 64 * 1024
