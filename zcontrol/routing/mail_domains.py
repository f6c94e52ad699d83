"""Whose mail a domain's is: ours, where the config or the directory knows the domain, or somebody else's.

Asked only of recipients that are no account. What the directory said is kept: for long where a domain is ours, for as
long as an unknown name where it is not, so that a new domain's mail is soon taken.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, final

from zcontrol.directory.base import Directory
from zcontrol.errors import DirectoryError, UnusableNameError
from zcontrol.routing.names import Names, canonical_domain
from zcontrol.v1 import route_pb2


@final
class MailDomains:
    """The domains of one resolver."""

    def __init__(
        self,
        directory: Directory,
        names: Names,
        configured: Sequence[str],
        *,
        negative_seconds: float,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`configured` are ours whatever the directory says."""
        self._directory = directory
        self._names = names
        self._configured = frozenset(names.real_domain(canonical_domain(domain)) for domain in configured)
        self._negative_seconds = negative_seconds
        self._monotonic = monotonic
        self._known: OrderedDict[str, tuple[bool, float]] = OrderedDict()

    async def tell(self, questions: Sequence[route_pb2.Question], answers: Iterable[route_pb2.Answer]) -> None:
        """Add to each answer about a recipient without account whose domain it is."""
        unknown = [
            (answer, _domain(self._names, questions[answer.question].login))
            for answer in answers
            if answer.HasField("none") and questions[answer.question].recipient
        ]
        ours = await self._are_ours({domain for _, domain in unknown if domain}) if unknown else {}
        for answer, domain in unknown:
            # What is no domain is nobody's of ours; one that the directory could not speak of stays unsaid.
            if not domain:
                answer.none.domain = route_pb2.DOMAIN_FOREIGN
            elif domain in ours:
                answer.none.domain = route_pb2.DOMAIN_OURS if ours[domain] else route_pb2.DOMAIN_FOREIGN

    def forget(self) -> None:
        """Ask again for everything: an invalidation has come."""
        self._known.clear()

    async def _are_ours(self, domains: set[str]) -> Mapping[str, bool]:
        now = self._monotonic()
        ours = dict.fromkeys(domains & self._configured, True)
        ours |= {
            domain: kept[0] for domain in domains - ours.keys() if (kept := self._known.get(domain)) and kept[1] > now
        }
        if asked := sorted(domains - ours.keys()):
            said = await self._directory.has_domains(asked)
            for domain, has in said.items():
                if not isinstance(has, DirectoryError):
                    ours[domain] = has
                    self._keep(domain, has, now)
        return ours

    def _keep(self, domain: str, has: bool, now: float) -> None:  # noqa: FBT001 - it is what is kept
        self._known[domain] = (has, now + (KEPT_SECONDS if has else self._negative_seconds))
        self._known.move_to_end(domain)
        if len(self._known) > KEPT_DOMAINS:
            self._known.popitem(last=False)


def _domain(names: Names, login: bytes) -> str:
    """The domain that a recipient's is, or is an alias of; empty: none."""
    try:
        return names.real_domain(canonical_domain(login.decode().rpartition("@")[2]))
    except (UnicodeDecodeError, UnusableNameError):
        return ""


# As a route's soft TTL.
KEPT_SECONDS: Final = 600
# Names of domains are cheap to invent.
KEPT_DOMAINS: Final = 10_000
