"""The audit log: a line a change, written before it is begun and again when its end is known, and lines of refusals.

A change that cannot be written here is not made. Refusals are written at a bounded rate: who is refused a thousand
times leaves a few lines, which count the others.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections import OrderedDict
from typing import TYPE_CHECKING, NamedTuple, final

import structlog
from google.protobuf import text_format

from zcontrol import metrics
from zcontrol.access.caller import LONGEST_AUTHOR
from zcontrol.access.limits import Buckets
from zcontrol.errors import StoreUnavailableError
from zcontrol.v1 import audit_pb2

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from google.protobuf.message import Message

    from zcontrol.access.caller import Caller, RefusedError, Trail
    from zcontrol.access.store import AccessStore
    from zcontrol.v1 import config_pb2

log = structlog.get_logger(__name__)


class Ending(NamedTuple):
    """How a call ended that did not succeed."""

    status: str
    reason: str


@final
class Audit:
    """What is written, and how much of it stays."""

    def __init__(self, store: AccessStore, config: config_pb2.ApiAudit) -> None:
        self._store = store
        self._refusals = _Refusals()
        self.use(config)

    def use(self, config: config_pb2.ApiAudit) -> None:
        """Keep as much as another config says."""
        self._changes, self._refused = config.changes, config.refusals

    async def begin(self, trail: Trail, method: str, request: Message) -> audit_pb2.AuditLine:
        """Write that a change is to be made; StoreUnavailableError if that cannot be written: then it may not."""
        line = _line(trail.caller, method, author=_claimed(request) or trail.caller.author)
        line.request = described(request)
        adding = asyncio.create_task(self._store.add_line(line, keep=self._changes))
        try:
            line.id = await asyncio.shield(adding)
        except asyncio.CancelledError:
            line.id = await adding
            await self.end(line, trail, Ending("CANCELLED", "the caller left before it was begun"))
            raise
        return line

    async def end(self, line: audit_pb2.AuditLine, trail: Trail, ending: Ending | None = None) -> None:
        """Write what came of it; none: it was done. Whoever made the change may have left."""
        line.version_before, line.version_after = trail.version_before, trail.version_after
        line.changes = _cut(trail.changes, LONGEST_CHANGES)
        line.outcome = audit_pb2.AUDIT_OUTCOME_FAILED if ending else audit_pb2.AUDIT_OUTCOME_DONE
        if ending:
            line.status, line.reason = ending.status, _cut(ending.reason, LONGEST_REASON)
        _tell(line)
        try:
            await asyncio.shield(asyncio.create_task(self._store.replace_line(line)))
        except StoreUnavailableError as error:
            # The change was made, and its line is there, without its end.
            log.error("the end of a change cannot be audited", line=line.id, reason=str(error))  # noqa: TRY400

    async def refuse(self, refused: RefusedError, method: str) -> None:
        """Write that somebody was refused, unless his address has just had its lines."""
        line = _line(refused.caller, method, author=refused.caller.author)
        line.outcome = audit_pb2.AUDIT_OUTCOME_REFUSED
        line.status, line.reason = refused.status.name, _cut(str(refused), LONGEST_REASON)
        metrics.CALLS_REFUSED.labels(line.status.lower()).inc()
        if self._refusals.may_be_listed(line):
            await self._write_refused(line)

    async def tell_unlisted(self) -> None:
        """Write of refusals that have left no line yet, where there is room again."""
        for line in self._refusals.unlisted():
            await self._write_refused(line)

    async def lines(self, *, before: int) -> AsyncGenerator[audit_pb2.AuditLine]:
        """Every line of a lower number, newest first; 0: all."""
        before = min(before or LARGEST_ID, LARGEST_ID)
        while page := await self._store.lines(before=before, limit=PAGE):
            for line in page:
                yield line
            before = page[-1].id

    async def _write_refused(self, line: audit_pb2.AuditLine) -> None:
        _tell(line)
        try:
            await self._store.add_line(line, keep=self._refused)
        except StoreUnavailableError as error:
            log.error("a refused call cannot be audited", reason=str(error))  # noqa: TRY400 - the disk's fault


class _Refusals:
    """What leaves a line of its own: a few of each address, and not too many in all."""

    def __init__(self) -> None:
        self._by_host = Buckets(rate=1 / 10, burst=10)
        self._all = Buckets(rate=1, burst=100)
        # The newest of a host that has left no line, with how many.
        self._unlisted: OrderedDict[str, audit_pb2.AuditLine] = OrderedDict()

    def may_be_listed(self, line: audit_pb2.AuditLine) -> bool:
        """Whether it may; if not it is counted, else it tells of those that were."""
        host = _host(line.address)
        listed = self._by_host.take(host) and self._all.take("")
        before = self._unlisted.pop(host, None)
        counted = before.unlisted if before else 0
        if listed:
            line.unlisted = counted
            return True
        if before is None and len(self._unlisted) >= MOST_HOSTS:
            # A flood from everywhere: the oldest address tells for this one too.
            host, before = self._unlisted.popitem(last=False)
            counted = before.unlisted
        line.unlisted = counted + 1
        self._unlisted[host] = line
        return False

    def unlisted(self) -> list[audit_pb2.AuditLine]:
        """Lines of hosts that may have one again, each standing for all that it counts, itself included."""
        ready = [host for host in self._unlisted if self._by_host.take(host) and self._all.take("")]
        lines = [self._unlisted.pop(host) for host in ready]
        for line in lines:
            line.unlisted -= 1
        return lines


def described(request: Message) -> str:
    """A request in one line, without its secrets."""
    without = type(request)()
    without.CopyFrom(request)
    _clear_secrets(without)
    return _cut(text_format.MessageToString(without, as_one_line=True).strip(), LONGEST_REQUEST)


def _clear_secrets(message: Message) -> None:
    for field, value in message.ListFields():
        if field.GetOptions().debug_redact:
            message.ClearField(field.name)
        elif field.message_type is not None and not field.message_type.GetOptions().map_entry:
            for each in value if field.is_repeated else (value,):
                _clear_secrets(each)


def _line(caller: Caller, method: str, *, author: str) -> audit_pb2.AuditLine:
    line = audit_pb2.AuditLine(
        caller=caller.name,
        author=author,
        role=caller.highest,
        address=caller.address,
        method=_cut(method.removeprefix("/"), LONGEST_METHOD),
    )
    line.time.GetCurrentTime()
    return line


def _claimed(request: Message) -> str:
    """Of a change of the pool, which says it in its header."""
    header = getattr(request, "header", None)
    author = getattr(header, "author", "")
    return author if author.isprintable() and len(author.encode()) <= LONGEST_AUTHOR else ""


def _tell(line: audit_pb2.AuditLine) -> None:
    """For who collects logs elsewhere; their rate is bounded as that of the lines is."""
    told = {field.name: value for field, value in line.ListFields() if field.name not in ("time", "outcome", "role")}
    if line.outcome == audit_pb2.AUDIT_OUTCOME_REFUSED:
        log.warning("a call is refused", **told)
    else:
        log.info("a call has changed something" if not line.status else "a call could not change anything", **told)


def _host(address: str) -> str:
    """The address without its port, and of IPv6 the network that one customer has."""
    host = address.rpartition(":")[0].strip("[]")
    try:
        parsed = ipaddress.ip_address(host)
    except ValueError:
        return host
    return host if parsed.version == 4 else str(ipaddress.ip_network((parsed, 64), strict=False))  # noqa: PLR2004


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


PAGE = 500
# SQLite has no larger one.
LARGEST_ID = 2**63 - 1
LONGEST_REQUEST = 2048
LONGEST_CHANGES = 4096
LONGEST_REASON = 512
# Of a method that there may not be.
LONGEST_METHOD = 256
MOST_HOSTS = 1000
