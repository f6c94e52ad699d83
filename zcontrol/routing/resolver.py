"""The resolver: questions in batches, answered by the caches, else by the directory.

A route is served until its soft TTL; when that is near it is looked up again ahead of need; past it, and until its
hard TTL, it is served only while the directory cannot be reached. Every answer says in which epoch it was true.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, final

from zcontrol import metrics
from zcontrol.directory.base import Directory
from zcontrol.errors import DirectoryError, DirectoryUnavailableError, UnusableNameError
from zcontrol.routing.answers import Answers, fault, none
from zcontrol.routing.cache import Absence, Cache, Entry, Negatives
from zcontrol.routing.epochs import Epochs
from zcontrol.routing.homes import Homes
from zcontrol.routing.invalidation import Invalidator
from zcontrol.routing.lookups import Learned, Lookups
from zcontrol.routing.mail_domains import MailDomains
from zcontrol.routing.names import Names, Qualified
from zcontrol.routing.times import Times, alive
from zcontrol.v1 import config_pb2, edge_pb2, pool_pb2, route_pb2


class _Asked(NamedTuple):
    """One canonical question of a batch, and the places where it was asked."""

    question: Qualified
    places: list[int]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What a resolver needs besides a directory and a cache."""

    # The current pool; asked at every answer.
    pool: Callable[[], pool_pb2.Pool]
    names: config_pb2.Names = field(default_factory=config_pb2.Names)
    # Domains whose mail is ours whatever the directory says.
    mail_domains: Sequence[str] = ()
    times: Times = field(default_factory=Times)
    # A resolver that takes the place of another, e.g. after a reload, goes on with the other's.
    epochs: Epochs = field(default_factory=Epochs)


@final
class Resolver:
    """Answers questions; owns the directory and the cache, and closes them."""

    def __init__(self, directory: Directory, cache: Cache, setting: Setting) -> None:
        self.names: Final = Names(
            setting.names, directory_has_hosts=directory.has_hosts, directory_has_ids=directory.has_ids
        )
        self.epochs: Final = setting.epochs
        self.times: Final = setting.times
        self.directory: Final = directory
        self._cache = cache
        self._homes = Homes(setting.pool)
        self._answers = Answers(self._homes)
        self._negatives = Negatives()
        self._lookups = Lookups(directory, self.names, epochs=self.epochs, entry=self.times.entry, learn=self._learn)
        self._mail_domains = MailDomains(
            directory,
            self.names,
            setting.mail_domains,
            negative_seconds=self.times.negative,
            monotonic=self.times.monotonic,
        )
        self._invalidator = Invalidator(self.epochs, self._homes, self.names, cache)
        self._stores: set[asyncio.Task[None]] = set()
        self._background: list[asyncio.Task[None]] = []
        self._resolving = 0
        self._idle = asyncio.Event()
        self._idle.set()

    def start(self) -> None:
        """Follow what the directory says has changed, until `close`; and see now whether it can be reached."""
        self._background = [
            asyncio.create_task(self._follow_changes(), name="directory changes"),
            asyncio.create_task(self.directory.probe(), name="directory probe"),
        ]

    async def close(self) -> None:
        """Answer what was asked, then close directory and cache."""
        for task in self._background:
            task.cancel()
        if self._background:
            await asyncio.wait(self._background)
        await self._idle.wait()
        await self._mail_domains.close()
        await self._lookups.close()
        if self._stores:
            await asyncio.wait(self._stores)
        await self.directory.close()
        await self._cache.close()

    async def resolve(self, questions: Sequence[route_pb2.Question]) -> list[route_pb2.Answer]:
        """One answer a question, in the order of the questions."""
        answers = [answer async for part in self.resolve_in_parts(questions) for answer in part]
        return sorted(answers, key=lambda answer: answer.question)

    async def resolve_in_parts(self, questions: Sequence[route_pb2.Question]) -> AsyncIterator[list[route_pb2.Answer]]:
        """The answers that are known at once, then those that the directory was asked for."""
        self._resolving += 1
        self._idle.clear()
        try:
            answers: list[route_pb2.Answer] = []
            asked = self._qualify(questions, answers)
            fresh = {place for place, question in enumerate(questions) if question.fresh}
            self._answer_negatives(asked, answers, fresh)
            stale = await self._answer_cached(asked, answers)
            async for part in self._mail_domains.told(questions, answers):
                yield part
            if asked:
                async for part in self._mail_domains.told(questions, await self._answer_by_directory(asked, stale)):
                    yield part
        finally:
            self._resolving -= 1
            if not self._resolving:
                self._idle.set()

    async def invalidate(
        self, *, account: str = "", domain: str = "", home: str = "", everything: bool = False
    ) -> edge_pb2.Invalidation:
        """Make older routes misses here and in the cache, and tell whoever has subscribed; nothing named is nothing."""
        message = await self._invalidator.message(account=account, domain=domain, home=home)
        if everything or message.ByteSize():
            await self._put_in_force(message)
        return message

    def subscribe(self, told: Callable[[edge_pb2.Invalidation], None]) -> None:
        """Be told of every invalidation, whoever caused it."""
        self._invalidator.subscribers.append(told)

    async def cached(self, question: Qualified) -> Entry | None:
        """What the cache has and may still serve, for people who ask why."""
        entry = (await self._cache.get_many([question.key])).get(question.key)
        return entry if entry and self._servable(question, entry, self.times.wall()) else None

    async def ask(self, question: Qualified) -> Learned:
        """What the directory says, whatever a cache knows."""
        future = self._lookups.find(question)
        await asyncio.wait([future])
        return future.result()

    def answer(self, entry: Entry) -> route_pb2.Answer:
        """The answer that an edge would get from this entry."""
        return self._answers.route(0, entry, self.epochs.current, self.times.wall())

    def _qualify(self, questions: Sequence[route_pb2.Question], answers: list[route_pb2.Answer]) -> dict[str, _Asked]:
        asked: dict[str, _Asked] = {}
        for place, question in enumerate(questions):
            try:
                qualified = self.names.qualify(question.login, question.virtual_host, question.local_address)
            except UnusableNameError:
                answers.append(none(place, self.times.negative, self.epochs.current))
                continue
            asked.setdefault(qualified.key, _Asked(qualified, [])).places.append(place)
        return asked

    def _answer_negatives(self, asked: dict[str, _Asked], answers: list[route_pb2.Answer], fresh: set[int]) -> None:
        now, known = self.times.monotonic(), 0
        for key, (question, places) in list(asked.items()):
            absence = self._negatives.get(key, now)
            if not fresh.isdisjoint(places):
                continue
            if absence is None or self.epochs.outdated(absence.epoch, names=[question.name], home=""):
                continue
            known += len(places)
            del asked[key]
            answers += (none(place, absence.until - now, self.epochs.current) for place in places)
        metrics.ROUTE_CACHE.labels("negative").inc(known)

    async def _answer_cached(self, asked: dict[str, _Asked], answers: list[route_pb2.Answer]) -> Mapping[str, Entry]:
        """Answer what is fresh and take it out of `asked`; what is left and stale may still be served."""
        entries = await self._cache.get_many(list(asked)) if asked else {}
        now, epoch, stale, hits = self.times.wall(), self.epochs.current, {}, 0
        for key, entry in entries.items():
            question, places = asked[key]
            if not self._servable(question, entry, now):
                continue
            if now >= entry.soft:
                stale[key] = entry
                continue
            if self.times.ahead(entry, now):
                self._lookups.find(question)
            hits += len(places)
            del asked[key]
            answers += [self._answers.route(place, entry, epoch, now) for place in places]
        metrics.ROUTE_CACHE.labels("hit").inc(hits)
        metrics.ROUTE_CACHE.labels("stale").inc(len(stale))
        metrics.ROUTE_CACHE.labels("miss").inc(len(asked) - len(stale))
        return stale

    async def _answer_by_directory(
        self, asked: dict[str, _Asked], stale: Mapping[str, Entry]
    ) -> list[route_pb2.Answer]:
        futures = {key: self._lookups.find(question) for key, (question, _) in asked.items()}
        # Not awaited one by one: others wait for the same futures, and a cancelled wait must not cancel those.
        await asyncio.wait(futures.values())
        return [
            self._answer_learned(place, futures[key].result(), stale.get(key))
            for key, (_, places) in asked.items()
            for place in places
        ]

    def _answer_learned(self, place: int, learned: Learned, stale: Entry | None) -> route_pb2.Answer:
        now = self.times.wall()
        match learned.said:
            case Entry() as entry:
                return self._answers.route(place, entry, learned.epoch, now)
            case None:
                return none(place, self.times.negative, learned.epoch)
            case DirectoryUnavailableError() if stale and self._servable(learned.question, stale, now):
                return self._answers.stale(place, stale, self.epochs.current, now)
            case DirectoryError() as error:
                return fault(place, str(error), learned.epoch)

    def _servable(self, question: Qualified, entry: Entry, now: float) -> bool:
        return alive(entry, now) and not self._outdated(question, entry)

    def _outdated(self, question: Qualified, entry: Entry) -> bool:
        if entry.epoch >= self.epochs.last_invalidation:
            return False
        route = route_pb2.Route.FromString(entry.route)
        names = (question.name, route.account, route.account_id)
        return self.epochs.outdated(entry.epoch, names=names, home=self._homes.match(route.home) or route.home)

    def _learn(self, batch: Sequence[Learned]) -> None:
        """Keep what a batch brought, unless an invalidation came while it was under way."""
        kept: dict[str, Entry] = {}
        until = self.times.monotonic() + self.times.negative
        for question, said, epoch, _ in batch:
            if isinstance(said, Entry):
                self._negatives.delete(question.key)
                if not self._outdated(question, said):
                    kept[question.key] = said
            elif said is None and not self.epochs.outdated(epoch, names=[question.name], home=""):
                self._negatives.set(question.key, Absence(epoch, until))
        if kept:
            self._invalidator.note(kept)
            store = asyncio.create_task(self._cache.set_many(kept), name="store routes")
            self._stores.add(store)
            store.add_done_callback(self._stores.discard)

    async def _follow_changes(self) -> None:
        async for change in self.directory.changes():
            message = edge_pb2.Invalidation()
            if not change.everything:
                message.accounts.extend(sorted(name for name in change.accounts if "@" in name))
                message.account_ids.extend(sorted(name for name in change.accounts if "@" not in name))
            await self._put_in_force(message)

    async def _put_in_force(self, message: edge_pb2.Invalidation) -> None:
        # Who asks from now on must not join a look-up that began before.
        self._lookups.forget_under_way()
        self.directory.forget()
        self._mail_domains.forget()
        await self._invalidator.apply(message)
