"""The audit log: every change and every refusal, durable, bounded, and found again."""

# ruff: noqa: ANN401 - the types that mypy-protobuf makes for grpc.aio stubs exist for type checkers only

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from access.conftest import drained, got_pool, refusal
from zcontrol.access.audit import Audit, described
from zcontrol.access.caller import Caller, RefusedError, Shown, Trail, local
from zcontrol.access.roles import ADMIN, OPERATOR, VIEWER
from zcontrol.access.sqlite import SqliteAccess
from zcontrol.errors import StoreUnavailableError
from zcontrol.sqlite import Database
from zcontrol.v1 import audit_pb2, config_pb2, pool_pb2, route_pb2, session_pb2, token_pb2

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from access.conftest import Doors

TRAIL = Trail(caller=local(Shown(address="", tls=False)))
FIRST = asyncio.FIRST_COMPLETED
DRAIN = "/zcontrol.v1.PoolService/Drain"

# Writes a line a change, its beginning and its end, and tells of each step on stdout after it was acknowledged.
WRITER = """
import asyncio, logging, structlog, sys
from pathlib import Path
from zcontrol.access.audit import Audit
from zcontrol.access.caller import Shown, Trail, local
from zcontrol.access.sqlite import SqliteAccess
from zcontrol.sqlite import Database
from zcontrol.v1 import config_pb2, pool_pb2

# Its log goes to stdout too.
structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))

async def main():
    database = await Database.open(Path(sys.argv[1]) / "pool.db")
    audit = Audit(SqliteAccess(database), config_pb2.ApiAudit(changes=10**6, refusals=10))
    trail = Trail(caller=local(Shown(address="", tls=False)))
    while True:
        line = await audit.begin(trail, "/zcontrol.v1.PoolService/Drain", pool_pb2.DrainRequest(name="mbox-1"))
        print("begun", line.id, flush=True)
        await audit.end(line, trail)
        print("ended", line.id, flush=True)

asyncio.run(main())
"""


async def test_a_change_is_told_with_who_made_it_whence_and_what_is_different(doors: Doors) -> None:
    token_id, secret = await doors.token(OPERATOR, note="deploy")
    channel = doors.channel(token=secret)
    await drained(channel, author="budi", reason="disk")
    made, created = await doors.lines()
    assert made.caller == f"token {token_id} (deploy)"
    assert (made.author, made.role, made.method) == ("budi", OPERATOR, DRAIN[1:])
    assert made.address.startswith("127.0.0.1:")
    assert made.request == 'header { author: "budi" reason: "disk" } name: "mbox-1"'
    assert (made.version_before, made.version_after) == (1, 2)
    assert made.changes == "mbox-1: state active to draining"
    assert (made.outcome, made.status) == (audit_pb2.AUDIT_OUTCOME_DONE, "")
    assert abs(made.time.ToDatetime(UTC) - datetime.now(UTC)) < timedelta(minutes=1)
    assert (created.caller, created.address, created.role) == ("a caller on the Unix socket", "", ADMIN)
    assert created.changes.startswith(f"token {token_id}: added, operator until ")
    await channel.close()


async def test_kicks_and_invalidations_are_changes_and_looking_is_none(doors: Doors) -> None:
    await doors.running.sessions.Kick(session_pb2.KickRequest(all=True))
    await doors.running.routes.Invalidate(route_pb2.InvalidateRequest(all=True))
    await doors.running.routes.Explain(route_pb2.ExplainRequest(login="siti"))
    await got_pool(doors.running.channel)
    invalidated, kicked = await doors.lines()
    assert (kicked.request, kicked.changes) == ("all: true", "0 sessions ended")
    assert invalidated.changes.startswith("routes of older epochs than ")


async def test_a_change_that_could_not_be_made_is_told_with_its_reason(doors: Doors) -> None:
    await refusal(drained(doors.running.channel, "nobody"))
    (line,) = await doors.lines()
    assert (line.outcome, line.status) == (audit_pb2.AUDIT_OUTCOME_FAILED, "NOT_FOUND")
    assert line.reason.startswith('no backend "nobody"')
    assert (line.version_after, line.changes) == (0, "")


async def test_a_change_that_changes_nothing_makes_no_version(doors: Doors) -> None:
    await drained(doors.running.channel)
    await drained(doors.running.channel)
    again, first = await doors.lines()
    assert (first.version_after, again.version_after, again.outcome) == (2, 0, audit_pb2.AUDIT_OUTCOME_DONE)


async def test_changes_at_once_are_each_told_with_their_own_versions(doors: Doors) -> None:
    names = ("mbox-1", "mbox-2", "web-1")
    await asyncio.gather(*(drained(doors.running.channel, name) for name in names))
    told = {line.version_after: (line.version_before, line.changes.split(":")[0]) for line in await doors.lines()}
    assert [told[version][0] for version in (2, 3, 4)] == [1, 2, 3]
    assert {name for _, name in told.values()} == set(names)


async def test_refused_calls_are_told_with_who_tried_what(doors: Doors) -> None:
    token_id, secret = await doors.token(VIEWER)
    viewer, nobody = doors.channel(token=secret), doors.channel()
    await refusal(drained(viewer))
    await refusal(got_pool(nobody))
    by_nobody, by_viewer = (await doors.lines())[:2]
    assert (by_viewer.caller, by_viewer.role, by_viewer.status) == (f"token {token_id}", VIEWER, "PERMISSION_DENIED")
    assert (by_viewer.method, by_viewer.request) == (DRAIN[1:], "")
    assert (by_nobody.caller, by_nobody.role, by_nobody.status) == ("nobody", 0, "UNAUTHENTICATED")
    assert {by_viewer.outcome, by_nobody.outcome} == {audit_pb2.AUDIT_OUTCOME_REFUSED}
    for channel in (viewer, nobody):
        await channel.close()


async def test_nothing_is_changed_that_cannot_be_audited(doors: Doors, monkeypatch: pytest.MonkeyPatch) -> None:
    async def full(*_: object, **__: object) -> int:
        raise StoreUnavailableError("disk full; make room")

    monkeypatch.setattr("zcontrol.access.sqlite.SqliteAccess.add_line", full)
    assert await refusal(drained(doors.running.channel)) == (
        grpc.StatusCode.UNAVAILABLE,
        "the audit log cannot be written: disk full; make room",
    )
    assert await got_pool(doors.running.channel) == 1
    # And who is refused is refused all the same.
    channel = doors.channel()
    assert (await refusal(got_pool(channel)))[0] is grpc.StatusCode.UNAUTHENTICATED
    await channel.close()


async def test_a_caller_that_leaves_leaves_a_line(doors: Doors, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, left = asyncio.Event(), asyncio.Event()

    async def slow(*_: object) -> Any:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            left.set()

    monkeypatch.setattr("zcontrol.services.session.SessionService._ask", slow)
    kick = doors.running.sessions.Kick(session_pb2.KickRequest(all=True))
    await asyncio.wait_for(asyncio.wait([asyncio.ensure_future(begun.wait())]), 5)
    kick.cancel()
    await asyncio.wait_for(left.wait(), 5)
    async with asyncio.timeout(5):
        while not (line := (await doors.lines())[0]).outcome:
            pass
    assert (line.outcome, line.status) == (audit_pb2.AUDIT_OUTCOME_FAILED, "CANCELLED")


async def test_a_caller_that_leaves_while_its_line_is_written_changes_nothing_and_the_line_says_so(
    doors: Doors, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, left = asyncio.Event(), asyncio.Event()
    add_line = SqliteAccess.add_line

    async def slow(self: SqliteAccess, line: audit_pb2.AuditLine, *, keep: int) -> int:
        begun.set()
        await left.wait()
        return await add_line(self, line, keep=keep)

    monkeypatch.setattr(SqliteAccess, "add_line", slow)
    call: Any = doors.running.channel.unary_unary(DRAIN)(pool_pb2.DrainRequest(name="mbox-1").SerializeToString())
    async with asyncio.timeout(5):
        # A call that nobody awaits is not sent.
        await asyncio.wait((asyncio.ensure_future(call.code()), asyncio.ensure_future(begun.wait())), return_when=FIRST)
        call.cancel()
        # Its cancellation comes before what is asked now.
        await got_pool(doors.running.channel)
        left.set()
        while not (lines := await doors.lines()) or not lines[0].outcome:
            pass
    assert (lines[0].outcome, lines[0].status) == (audit_pb2.AUDIT_OUTCOME_FAILED, "CANCELLED")
    assert lines[0].reason == "the caller left before it was begun"
    assert await got_pool(doors.running.channel) == 1


async def test_a_number_larger_than_any_line_shows_all(doors: Doors) -> None:
    await drained(doors.running.channel)
    assert len(await doors.lines(before_id=2**64 - 1)) == 1


async def test_the_log_is_searched(doors: Doors) -> None:
    token_id, secret = await doors.token(OPERATOR, note="deploy")
    channel = doors.channel(token=secret)
    for name in ("mbox-1", "mbox-2"):
        await drained(channel, name, author="Budi")
    await refusal(doors.tokens(channel).List(token_pb2.ListTokensRequest()))
    await channel.close()
    everything = await doors.lines()
    assert [line.id for line in everything] == [4, 3, 2, 1]
    assert [line.id for line in await doors.lines(who="DEPLOY")] == [4, 3, 2]
    assert [line.id for line in await doors.lines(who="budi")] == [3, 2]
    assert [line.id for line in await doors.lines(who=token_id, method="token")] == [4]
    assert [line.id for line in await doors.lines(address="127.0.0.1")] == [4, 3, 2]
    assert [line.id for line in await doors.lines(outcome=audit_pb2.AUDIT_OUTCOME_REFUSED)] == [4]
    assert [line.id for line in await doors.lines(limit=2)] == [4, 3]
    assert [line.id for line in await doors.lines(before_id=3)] == [2, 1]
    assert [line.id for line in await doors.lines(since=everything[1].time)] == [4, 3]
    assert await doors.lines(who="nobody at all") == []


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = await Database.open(tmp_path / "pool.db")
    yield database
    await database.close()


def of(database: Database, *, changes: int = 100, refusals: int = 100) -> Audit:
    return Audit(SqliteAccess(database), config_pb2.ApiAudit(changes=changes, refusals=refusals))


async def lines(audit: Audit) -> list[audit_pb2.AuditLine]:
    return [line async for line in audit.lines(before=0)]


async def test_of_changes_and_of_refusals_the_newest_stay(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zcontrol.access.audit.PAGE", 2)
    audit = of(database, changes=3, refusals=5)
    for _ in range(5):
        await audit.end(await audit.begin(TRAIL, DRAIN, pool_pb2.DrainRequest()), TRAIL)
    for number in range(9):
        await audit.refuse(refused(f"192.0.2.{number}:1"), DRAIN)
    told = await lines(audit)
    kept = [line.id for line in told if line.outcome == audit_pb2.AUDIT_OUTCOME_DONE]
    assert kept == [5, 4, 3]
    assert [line.id for line in told if line.id not in kept] == [14, 13, 12, 11, 10]


def refused(address: str) -> RefusedError:
    caller = Caller(name="nobody", roles=frozenset(), address=address)
    return RefusedError(grpc.StatusCode.UNAUTHENTICATED, "who is it?", caller)


async def test_a_flood_of_refusals_leaves_a_few_lines_that_count_it(database: Database) -> None:
    audit = of(database)
    for port in range(1000):
        await audit.refuse(refused(f"192.0.2.7:{port}"), DRAIN)
    assert len(await lines(audit)) == 10
    # One that comes from elsewhere meanwhile is seen.
    await audit.refuse(refused("[2001:db8::1]:1"), DRAIN)
    assert (await lines(audit))[0].address == "[2001:db8::1]:1"
    # When there is room again it is told how many there were.
    audit._refusals._by_host._clock = lambda: float("inf")  # noqa: SLF001 - time goes by
    await audit.tell_unlisted()
    newest = (await lines(audit))[0]
    assert (newest.address, newest.unlisted) == ("192.0.2.7:999", 989)
    await audit.tell_unlisted()
    assert len(await lines(audit)) == 12


async def test_a_flood_from_everywhere_is_bounded_too(database: Database) -> None:
    audit = of(database, refusals=10_000)
    for number in range(5000):
        await audit.refuse(refused(f"[2001:db8:{number:x}::1]:1"), DRAIN)
    assert 100 <= len(await lines(audit)) < 300
    waiting = audit._refusals._unlisted  # noqa: SLF001 - what is remembered of the others
    assert len(waiting) <= 1000
    counted = sum(line.unlisted for line in waiting.values()) + sum(1 + line.unlisted for line in await lines(audit))
    assert counted == 5000


async def test_addresses_of_one_network_share_their_lines(database: Database) -> None:
    audit = of(database)
    for number in range(100):
        await audit.refuse(refused(f"[2001:db8::{number:x}]:1"), DRAIN)
    assert len(await lines(audit)) == 10


async def test_what_is_kept_of_a_request_is_short_and_holds_no_secret() -> None:
    proof = route_pb2.VerifyBatch(proofs=[route_pb2.Proof(password=b"hunter2", account="siti@tgg.net.id")])
    assert described(proof) == 'proofs { account: "siti@tgg.net.id" }'
    assert proof.proofs[0].password == b"hunter2"
    long = described(pool_pb2.DrainRequest(name="x" * 10_000))
    assert (len(long), long[-1]) == (2048, "…")
    assert described(pool_pb2.DrainRequest(name="a\n\x1b[2Jb")) == r'name: "a\n\033[2Jb"'


async def test_what_was_acknowledged_survives_kill_9(tmp_path: Path) -> None:
    for _ in range(3):
        begun, ended = told_until_killed(tmp_path, lines=40)
        database = await Database.open(tmp_path / "pool.db")
        found = {line.id: line for line in await lines(of(database, changes=10**6))}
        assert begun <= set(found)
        assert all(found[number].outcome == audit_pb2.AUDIT_OUTCOME_DONE for number in ended)
        # No line is lost between two, and at most the last one of each run has no end.
        assert sorted(found) == list(range(1, max(found) + 1))
        await database.close()


def told_until_killed(directory: Path, *, lines: int) -> tuple[set[int], set[int]]:
    with subprocess.Popen([sys.executable, "-c", WRITER, directory], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        told = [writer.stdout.readline() for _ in range(lines)]
        os.kill(writer.pid, signal.SIGKILL)
        told += writer.stdout.read().splitlines(keepends=True)
    events: list[Any] = [line.split() for line in told if line.endswith("\n")]
    return tuple({int(number) for event, number in events if event == kind} for kind in ("begun", "ended"))  # type: ignore[return-value]
