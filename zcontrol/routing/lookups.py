"""Questions to the directory: one look-up a name, in batches that form by themselves.

Whatever is asked while the directory is busy is the next batch. A question that is asked again while it waits or is
under way gets the same answer, unless an invalidation came between.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple, final

import structlog

from zcontrol import metrics
from zcontrol.directory.base import BATCH, Directory, Found, Outcome
from zcontrol.errors import DirectoryError, DirectoryUnavailableError, UnusableNameError
from zcontrol.routing.cache import Entry
from zcontrol.routing.epochs import Epochs
from zcontrol.routing.names import Names, Qualified

log = structlog.get_logger(__name__)

# Names that may wait; each edge gives up after seconds, so that more would be answered to nobody.
WAITING: Final = 20_000


class Learned(NamedTuple):
    """What the directory said: the route, nobody, or why it cannot say; and the epoch in which it was asked."""

    question: Qualified
    said: Entry | DirectoryError | None
    epoch: int
    # The account behind the route, with what is for control alone.
    found: Found | None = None


@final
class Lookups:
    """The way to the directory."""

    def __init__(
        self,
        directory: Directory,
        names: Names,
        *,
        epochs: Epochs,
        entry: Callable[[Found, int], Entry],
        learn: Callable[[Sequence[Learned]], None],
    ) -> None:
        """`entry` makes what is kept of an account; `learn` is told of each batch before anybody who waits for it."""
        self._directory = directory
        self._names = names
        self._epochs = epochs
        self._entry = entry
        self._learn = learn
        self._waiting: dict[str, tuple[Qualified, asyncio.Future[Learned]]] = {}
        self._under_way: dict[str, asyncio.Future[Learned]] = {}
        self._batches: set[asyncio.Task[None]] = set()
        self._woken = False

    def find(self, question: Qualified) -> asyncio.Future[Learned]:
        """Ask the directory; the future never fails."""
        key = question.key
        if waiting := self._waiting.get(key):
            return waiting[1]
        if under_way := self._under_way.get(key):
            return under_way
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Learned] = loop.create_future()
        if len(self._waiting) >= WAITING:
            busy = DirectoryUnavailableError(f"{WAITING} names wait for the directory already")
            future.set_result(Learned(question, busy, self._epochs.current))
            return future
        self._waiting[key] = (question, future)
        if not self._woken:
            # Soon and not now, so that the questions of one caller make one batch.
            self._woken = True
            loop.call_soon(self._wake)
        return future

    def forget_under_way(self) -> None:
        """Let nobody join a look-up that began before now: an invalidation has come."""
        self._under_way.clear()

    async def close(self) -> None:
        """Answer what waits and what is under way."""
        while self._waiting or self._batches:
            # Without a batch the wake-up that begins one is due in the loop's next turn.
            await (asyncio.wait(self._batches) if self._batches else asyncio.sleep(0))

    def _wake(self) -> None:
        self._woken = False
        while self._waiting and len(self._batches) < self._directory.concurrency:
            keys = list(self._waiting)[:BATCH]
            batch = {key: self._waiting.pop(key) for key in keys}
            self._under_way.update((key, future) for key, (_, future) in batch.items())
            task = asyncio.create_task(self._run(batch), name="directory batch")
            self._batches.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._batches.discard(task)
        self._wake()

    async def _run(self, batch: dict[str, tuple[Qualified, asyncio.Future[Learned]]]) -> None:
        epoch = self._epochs.current
        started = time.perf_counter()
        questions = [question for question, _ in batch.values()]
        try:
            outcomes = await self._ask(questions)
        except Exception:
            # Whoever waits must hear something; a bug here costs one batch.
            log.exception("a directory look-up failed in a way nobody foresaw", names=len(questions))
            outcomes = [DirectoryError("internal failure, see the log")] * len(questions)
        learned = [
            self._learned(question, outcome, epoch) for question, outcome in zip(questions, outcomes, strict=True)
        ]
        _count(learned, time.perf_counter() - started)
        self._learn(learned)
        for answer, (key, (_, future)) in zip(learned, batch.items(), strict=True):
            if self._under_way.get(key) is future:
                del self._under_way[key]
            future.set_result(answer)

    def _learned(self, question: Qualified, outcome: Outcome, epoch: int) -> Learned:
        if isinstance(outcome, Found):
            return Learned(question, self._entry(outcome, epoch), epoch, outcome)
        return Learned(question, outcome, epoch)

    async def _ask(self, questions: Sequence[Qualified]) -> list[Outcome]:
        settled = await self._settle(questions)
        names = list({name: None for name in settled if isinstance(name, str)})
        found = dict(zip(names, await self._directory.find(names), strict=True)) if names else {}
        return [found[name] if isinstance(name, str) else name for name in settled]

    async def _settle(self, questions: Sequence[Qualified]) -> list[str | DirectoryError | None]:
        """Names that the directory can look up; bare ones qualified by the virtual hosts that it keeps."""
        hosts = list({host: None for question in questions for host in question.hosts})
        if not hosts:
            return [question.name for question in questions]
        domains = await self._directory.domains_of(hosts)
        return [self._settle_bare(question, domains) if question.hosts else question.name for question in questions]

    def _settle_bare(
        self, question: Qualified, domains: Mapping[str, str | DirectoryError]
    ) -> str | DirectoryError | None:
        try:
            for host in question.hosts:
                domain = self._names.domain_of_host(host) or domains.get(host)
                if isinstance(domain, DirectoryError):
                    return domain
                if domain:
                    return self._names.with_domain(question.name, domain).name
            return self._names.by_default(question.name).name
        except UnusableNameError:
            return None


def _count(learned: Sequence[Learned], seconds: float) -> None:
    metrics.DIRECTORY_BATCH.observe(len(learned))
    metrics.DIRECTORY_SECONDS.observe(seconds)
    results = [_result(answer.said) for answer in learned]
    for result in set(results):
        metrics.DIRECTORY_NAMES.labels(result).inc(results.count(result))
    metrics.DIRECTORY_UP.set("unavailable" not in results)


def _result(said: Entry | DirectoryError | None) -> str:
    match said:
        case Entry():
            return "found"
        case None:
            return "unknown"
        case DirectoryUnavailableError():
            return "unavailable"
        case _:
            return "fault"
