"""Whose mail a domain's is: ours, where the config or the directory knows the domain, or somebody else's.

Asked only of recipients that are no account. What the directory said is kept: for long where a domain is ours, for as
long as an unknown name where it is not, so that a new domain's mail is soon taken.

Anybody can ask by writing to a domain of his own making, and to say no a directory may search all it has. So it is
asked of one domain at a time, and nobody waits long: his mail may come again, and then it is known.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from typing import Final, final

from zcontrol.directory.base import Directory
from zcontrol.errors import UnusableNameError
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
        self._under_way: dict[str, asyncio.Task[bool | None]] = {}
        self._tasks: set[asyncio.Task[bool | None]] = set()
        self._one_at_a_time = asyncio.Lock()

    async def told(
        self, questions: Sequence[route_pb2.Question], answers: Iterable[route_pb2.Answer]
    ) -> AsyncIterator[list[route_pb2.Answer]]:
        """The answers at once, but those about recipients without account, which come when they say whose domain it is.

        A login that was asked for together with them does not wait.
        """
        settled: list[route_pb2.Answer] = []
        unknown: list[route_pb2.Answer] = []
        for answer in answers:
            (unknown if answer.HasField("none") and questions[answer.question].recipient else settled).append(answer)
        if settled:
            yield settled
        if unknown:
            await self._tell({place: questions[place].login for place in (one.question for one in unknown)}, unknown)
            yield unknown

    def forget(self) -> None:
        """Ask again for everything: an invalidation has come."""
        self._known.clear()
        self._under_way.clear()

    async def close(self) -> None:
        """Ask no more."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _tell(self, logins: Mapping[int, bytes], unknown: Sequence[route_pb2.Answer]) -> None:
        domains = [(answer, _domain(self._names, logins[answer.question])) for answer in unknown]
        ours = await self._are_ours({domain for _, domain in domains if domain})
        for answer, domain in domains:
            # What is no domain is nobody's of ours; one that the directory could not speak of stays unsaid.
            if not domain:
                answer.none.domain = route_pb2.DOMAIN_FOREIGN
            elif domain in ours:
                answer.none.domain = route_pb2.DOMAIN_OURS if ours[domain] else route_pb2.DOMAIN_FOREIGN

    async def _are_ours(self, domains: Collection[str]) -> Mapping[str, bool]:
        """Absent are those of which nobody can say."""
        ours = self._remembered(domains)
        asked = {domain: task for domain in domains - ours.keys() if (task := self._asked(domain))}
        if asked:
            await asyncio.wait(asked.values(), timeout=PATIENCE_SECONDS)
        said = {domain: task.result() for domain, task in asked.items() if task.done() and not task.cancelled()}
        return ours | {domain: has for domain, has in said.items() if has is not None}

    def _remembered(self, domains: Collection[str]) -> dict[str, bool]:
        now = self._monotonic()
        kept = {domain: kept[0] for domain in domains if (kept := self._known.get(domain)) and kept[1] > now}
        return kept | dict.fromkeys(self._configured.intersection(domains), True)

    def _asked(self, domain: str) -> asyncio.Task[bool | None] | None:
        """The question that is under way; none: there are too many."""
        if domain not in self._under_way and len(self._tasks) < MAX_UNDER_WAY:
            task = asyncio.create_task(self._ask(domain), name="whose domain")
            self._under_way[domain] = task
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return self._under_way.get(domain)

    async def _ask(self, domain: str) -> bool | None:
        me = asyncio.current_task()
        try:
            async with self._one_at_a_time:
                has = (await self._directory.has_domains([domain])).get(domain)
            if not isinstance(has, bool):
                return None
            # Forgotten meanwhile, it is for those alone who asked before.
            if self._under_way.get(domain) is me:
                self._keep(domain, has)
            return has
        finally:
            if self._under_way.get(domain) is me:
                del self._under_way[domain]

    def _keep(self, domain: str, has: bool) -> None:  # noqa: FBT001 - it is what is kept
        self._known[domain] = (has, self._monotonic() + (KEPT_SECONDS if has else self._negative_seconds))
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
# An indexed search takes milliseconds; and whose lookups wait for a slow one are not only the recipients'.
PATIENCE_SECONDS: Final = 0.5
# Beyond them nobody can say.
MAX_UNDER_WAY: Final = 256
