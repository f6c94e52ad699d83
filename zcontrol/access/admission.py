"""Judges what callers show: who they are, whether that still counts, and whether it lets them call a method."""

from __future__ import annotations

import functools
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, final

import grpc
from cryptography import x509

from zcontrol.access.caller import Caller, RefusedError, Shown, local, nobody
from zcontrol.access.certificates import Link, Rules, chain, read
from zcontrol.access.limits import Buckets
from zcontrol.access.roles import having, named
from zcontrol.access.tokens import UnprovedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from zcontrol.access.listening import Files
    from zcontrol.access.roles import Rule
    from zcontrol.access.tokens import Tokens
    from zcontrol.v1 import config_pb2


@final
class Admission:
    """By one config's rules, which a reload may exchange."""

    def __init__(
        self,
        api: config_pb2.Api,
        tokens: Tokens,
        files: Files,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`files` name the authorities of clients' certificates, where those are taken."""
        self._tokens = tokens
        self._files = files
        self._clock = clock
        self._calls = Buckets(rate=0, burst=0)
        self.use(api)

    def use(self, api: config_pb2.Api) -> None:
        """Judge by another config's rules from now on, also those whose calls are under way."""
        self._rules = Rules(api.certificates.roles)
        self._largest = api.limits.message
        rate = float(api.limits.calls)
        if rate != self._calls.rate:
            self._calls = Buckets(rate=rate, burst=rate * BURST_SECONDS)

    def admit(self, shown: Shown, method: str, rule: Rule) -> Caller:
        """Who calls, if he may call this; RefusedError tells him who he is and what it takes."""
        caller = self._caller(shown, method, rule)
        if not rule.admits(caller.roles):
            told = f"{caller.name} is {named((caller.highest,))}; {_takes(method, rule)}"
            raise RefusedError(grpc.StatusCode.PERMISSION_DENIED, told, caller)
        return caller

    def admit_call(self, shown: Shown, method: str, rule: Rule) -> Caller:
        """The same for a call that begins, which counts."""
        caller = self.admit(shown, method, rule)
        if not caller.local and not self._calls.take(caller.name):
            told = f"{caller.name} makes more than {self._calls.rate:g} calls a second; api.limits.calls allows no more"
            raise RefusedError(grpc.StatusCode.RESOURCE_EXHAUSTED, told, caller)
        return caller

    def check_size(self, size: int, caller: Caller) -> None:
        """Whether a request of that many octets may come from somebody who is no edge."""
        if size > self._largest:
            told = f"a request of {size} octets; api.limits.message allows {self._largest}"
            raise RefusedError(grpc.StatusCode.RESOURCE_EXHAUSTED, told, caller)

    def refresh(self) -> None:
        """Look whether files have changed."""
        for shown in self._files:
            if shown is not None:
                shown.refresh()

    def _caller(self, shown: Shown, method: str, rule: Rule) -> Caller:
        if not shown.tls:
            return local(shown)
        if shown.certificate:
            return self._bearer_of_certificate(shown, method, rule)
        if not shown.token:
            raise _unproved(nobody(shown), "you show no token: send `authorization: Bearer zproxy_…`", method, rule)
        try:
            token = self._tokens.prove(shown.token)
        except UnprovedError as error:
            raise _unproved(nobody(shown), str(error), method, rule) from error
        name = f"token {token.id}" + (f" ({token.note})" if token.note else "")
        return Caller(name=name, roles=having((token.role,)), address=shown.address, author=shown.author)

    def _bearer_of_certificate(self, shown: Shown, method: str, rule: Rule) -> Caller:
        try:
            certificate = read(shown.certificate)
        except ValueError as error:
            raise _unproved(nobody(shown), f"the certificate cannot be read: {error}", method, rule) from error
        name, roles = self._rules.roles(certificate.names)
        told = name or ", ".join(certificate.names[:NAMES_TOLD]) or "without names"
        caller = Caller(
            name=f"certificate {told[:LONGEST_TOLD]}",
            roles=roles,
            address=shown.address,
            author=shown.author,
        )
        if problem := certificate.problem(self._now()) or self._chain_problem(shown):
            raise _unproved(caller, f"{caller.name} {problem}", method, rule)
        if not roles:
            told = f"{caller.name} has no role by api.certificates.roles; {_takes(method, rule)}"
            raise RefusedError(grpc.StatusCode.PERMISSION_DENIED, told, caller)
        return caller

    def _chain_problem(self, shown: Shown) -> str:
        files = self._files.certificates
        links = _links(shown.certificate, shown.intermediates, files.roots) if files else []
        if files is None or not links:
            return "is of an authority that is no longer in api.certificates.client_ca_file"
        return files.revocations.problem(links, self._now())

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock(), UTC)


@functools.lru_cache(maxsize=1024)
def _links(pem: bytes, intermediates: bytes, roots: tuple[x509.Certificate, ...]) -> list[Link]:
    """A chain counts or does not until the authorities change; a stream is judged each second."""
    try:
        between = x509.load_pem_x509_certificates(intermediates) if intermediates else []
    except ValueError:
        return []
    return chain(read(pem).x509, between, roots)


def _takes(method: str, rule: Rule) -> str:
    return f"{method.removeprefix('/')} takes {named(rule.takes)}"


def _unproved(caller: Caller, why: str, method: str, rule: Rule) -> RefusedError:
    return RefusedError(grpc.StatusCode.UNAUTHENTICATED, f"{why}; {_takes(method, rule)}", caller)


# What a caller has not used may come at once: a script that starts, an edge that attaches anew.
BURST_SECONDS = 10
# Of a certificate that has no role; one may have hundreds.
NAMES_TOLD = 4
LONGEST_TOLD = 128
