"""Tokens: shown once, kept as a hash, and worth nothing from the moment they are revoked or have run out."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from structlog.testing import capture_logs

from access.conftest import drained, got_pool, refusal
from control.edges import FakeEdge
from zcontrol.access.roles import ADMIN, EDGE, OPERATOR, VIEWER
from zcontrol.access.sqlite import SqliteAccess
from zcontrol.access.tokens import Tokens, TooManyTokensError, UnprovedError, Wanted
from zcontrol.sqlite import Database
from zcontrol.v1 import edge_pb2_grpc, pool_pb2, token_pb2

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from access.conftest import Doors

# As the protos promise, and what a slow machine needs.
SOON = 2.0 + 3.0
WANTED = Wanted(role=VIEWER, note="monitoring", lifetime=timedelta(hours=1), author="siti")

# Makes and revokes tokens for ever, and tells of each on stdout only after it was acknowledged.
WRITER = """
import asyncio, sys
from datetime import timedelta
from pathlib import Path
from zcontrol.access.sqlite import SqliteAccess
from zcontrol.access.tokens import Tokens, Wanted
from zcontrol.sqlite import Database

async def main():
    tokens = await Tokens.open(SqliteAccess(await Database.open(Path(sys.argv[1]) / "pool.db")))
    for number in range(10**9):
        token, secret = await tokens.create(Wanted(role=2, note=str(number), lifetime=None, author="w"))
        print("made", secret, flush=True)
        if number % 2:
            await tokens.revoke(token.id)
            print("revoked", secret, flush=True)

asyncio.run(main())
"""


class Clock:
    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def tokens(tmp_path: Path, clock: Clock) -> AsyncIterator[Tokens]:
    database = await Database.open(tmp_path / "pool.db")
    yield await Tokens.open(SqliteAccess(database), clock)
    await database.close()


async def test_a_token_proves_its_role_and_only_its_hash_is_kept(tokens: Tokens, tmp_path: Path) -> None:
    token, secret = await tokens.create(WANTED)
    assert tokens.prove(secret) == token
    assert secret.startswith(f"zproxy_{token.id}_")
    random = secret.rpartition("_")[2]
    kept = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert token.id.encode() in kept
    assert random.encode() not in kept
    assert not any(random in repr(each) for each in (tokens.list(), vars(tokens)))


async def test_tokens_outlive_a_restart(tmp_path: Path) -> None:
    database = await Database.open(tmp_path / "pool.db")
    _, secret = await (await Tokens.open(SqliteAccess(database))).create(WANTED)
    await database.close()
    database = await Database.open(tmp_path / "pool.db")
    assert (await Tokens.open(SqliteAccess(database))).prove(secret).note == "monitoring"
    await database.close()


async def test_what_is_no_token_of_ours_proves_nothing(tokens: Tokens) -> None:
    token, secret = await tokens.create(WANTED)
    other, other_secret = await tokens.create(WANTED)
    crossed = f"zproxy_{token.id}_{other_secret.removeprefix(f'zproxy_{other.id}_')}"
    unknown = f"zproxy_00000000_{secret[-43:]}"
    for shown in (
        "",
        "?",
        secret[:-1],
        f"{secret}x",
        secret.upper(),
        f"{secret}\n",
        crossed,
        unknown,
        "zproxy_" * 10**5,
    ):
        with pytest.raises(UnprovedError) as caught:
            tokens.prove(shown)
        # Whatever was shown may be somebody's secret.
        assert shown[-43:] not in str(caught.value) or not shown


async def test_a_token_proves_nothing_after_its_time_and_is_shown_for_30_days_more(
    tokens: Tokens, clock: Clock
) -> None:
    token, secret = await tokens.create(WANTED)
    clock.now += 3599
    tokens.prove(secret)
    clock.now += 1
    with pytest.raises(UnprovedError, match=f"token {token.id} has run out"):
        tokens.prove(secret)
    assert [each.id for each in tokens.list()] == [token.id]
    clock.now += 30 * 24 * 3600
    later, _ = await tokens.create(WANTED)
    assert [each.id for each in tokens.list()] == [later.id]


async def test_a_token_without_end_never_runs_out(tokens: Tokens, clock: Clock) -> None:
    _, secret = await tokens.create(WANTED._replace(lifetime=None))
    clock.now += 10**9
    assert not tokens.prove(secret).HasField("expires")


async def test_a_token_in_use_that_runs_out_soon_is_told_of_once(tokens: Tokens, clock: Clock) -> None:
    _, used = await tokens.create(WANTED._replace(lifetime=timedelta(days=8), note="used"))
    await tokens.create(WANTED._replace(note="unused"))
    tokens.prove(used)
    told = []
    for _ in range(3):
        with capture_logs() as logs:
            tokens.warn()
        told.append([line["note"] for line in logs])
        clock.now += 2 * 24 * 3600
    assert told == [[], ["used"], []]


async def test_there_are_not_more_tokens_than_there_is_room_for(
    tokens: Tokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zcontrol.access.tokens.MOST_TOKENS", 2)
    for _ in range(2):
        await tokens.create(WANTED)
    with pytest.raises(TooManyTokensError, match="revoke those"):
        await tokens.create(WANTED)


async def test_who_has_made_a_token_is_shown_and_when_it_was_used(doors: Doors) -> None:
    token_id, secret = await doors.token(ADMIN)
    channel = doors.channel(token=secret)
    made = await doors.tokens(channel).Create(token_pb2.CreateTokenRequest(role=EDGE, forever=True))
    assert made.token.author == f"token {token_id}"
    listed = (await doors.tokens().List(token_pb2.ListTokensRequest())).tokens
    assert [each.HasField("last_used") for each in listed] == [True, False]
    assert [each.HasField("expires") for each in listed] == [True, False]
    await channel.close()


@pytest.mark.parametrize(
    ("request_", "told"),
    [
        (token_pb2.CreateTokenRequest(), "role: missing"),
        (token_pb2.CreateTokenRequest(role=9), "role: missing"),  # type: ignore[arg-type]
        (token_pb2.CreateTokenRequest(role=VIEWER, note="a\nb"), "note: at most 256"),
        (token_pb2.CreateTokenRequest(role=VIEWER, note="x" * 257), "note: at most 256"),
        (token_pb2.CreateTokenRequest(role=VIEWER, lifetime={"seconds": 0}), "lifetime: more than nothing"),  # type: ignore[arg-type]
        (token_pb2.CreateTokenRequest(role=VIEWER, lifetime={"seconds": 2**62}), "at most ten years"),  # type: ignore[arg-type]
        (token_pb2.CreateTokenRequest(role=VIEWER, lifetime={"seconds": -(2**62)}), "more than nothing"),  # type: ignore[arg-type]
    ],
)
async def test_a_token_that_cannot_be_is_told_by_field(
    doors: Doors, request_: token_pb2.CreateTokenRequest, told: str
) -> None:
    code, details = await refusal(doors.tokens().Create(request_))
    assert (code, told in details) == (grpc.StatusCode.INVALID_ARGUMENT, True), details


async def test_a_revoked_token_opens_nothing_and_its_streams_end(doors: Doors) -> None:
    token_id, secret = await doors.token(EDGE)
    _, other = await doors.token(EDGE)
    channels = [doors.channel(token=shown) for shown in (secret, other)]
    edges = []
    for number, channel in enumerate(channels):
        edges.append(FakeEdge(edge_pb2_grpc.EdgeServiceStub(channel), f"edge-{number}"))
        await edges[-1].attach()
        await edges[-1].taken()
    await doors.tokens().Revoke(token_pb2.RevokeTokenRequest(id=token_id))
    again = FakeEdge(edge_pb2_grpc.EdgeServiceStub(channels[0]), "edge-2")
    assert (await again.ending())[0] is grpc.StatusCode.UNAUTHENTICATED
    async with asyncio.timeout(SOON):
        code, details = await edges[0].ending()
    assert code is grpc.StatusCode.UNAUTHENTICATED
    assert details.startswith(
        f"token {token_id} is unknown, revoked or wrong; zcontrol.v1.EdgeService/Watch takes edge"
    )
    # The other one's goes on.
    await doors.running.pool.Drain(pool_pb2.DrainRequest(name="mbox-1"))
    assert (await edges[1].taken()).change.version == 2
    code, details = await refusal(doors.tokens().Revoke(token_pb2.RevokeTokenRequest(id=token_id)))
    assert (code, details) == (grpc.StatusCode.NOT_FOUND, f"no token {token_id!r}; `zproxy token list` shows them")
    edges[1].leave()
    for channel in channels:
        await channel.close()


async def test_a_change_that_a_revoked_token_has_not_asked_for_yet_is_not_made(doors: Doors) -> None:
    token_id, secret = await doors.token(OPERATOR)
    channel = doors.channel(token=secret)
    stub: Any = channel.stream_unary("/zcontrol.v1.PoolService/Drain")
    # Admitted, and its request does not come.
    call = stub()
    async with asyncio.timeout(SOON):
        while not await opened(doors):
            pass
    await doors.tokens().Revoke(token_pb2.RevokeTokenRequest(id=token_id))
    async with asyncio.timeout(SOON):
        assert await call.code() is grpc.StatusCode.UNAUTHENTICATED
    assert await got_pool(doors.running.channel) == 1
    await channel.close()


async def opened(doors: Doors) -> bool:
    """Whether a token has been used."""
    listed = await doors.tokens().List(token_pb2.ListTokensRequest())
    return any(token.HasField("last_used") for token in listed.tokens)


async def test_a_stream_ends_when_its_token_has_run_out(doors: Doors) -> None:
    _, secret = await doors.token(EDGE, seconds=1.5)
    channel = doors.channel(token=secret)
    edge = FakeEdge(edge_pb2_grpc.EdgeServiceStub(channel), "edge-1")
    await edge.attach()
    await edge.taken()
    async with asyncio.timeout(1.5 + SOON):
        code, details = await edge.ending()
    assert (code, "has run out" in details) == (grpc.StatusCode.UNAUTHENTICATED, True)
    await channel.close()


async def test_a_huge_token_is_refused_before_it_is_read(doors: Doors) -> None:
    for octets in (9_000, 2**20):
        channel = doors.channel(token="x" * octets)
        code, _ = await refusal(got_pool(channel))
        assert code in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.RESOURCE_EXHAUSTED)
        await channel.close()
    assert await got_pool(doors.running.channel) == 1


async def test_no_secret_reaches_log_audit_or_history(doors: Doors) -> None:
    with capture_logs() as logs:
        _, secret = await doors.token(OPERATOR)
        channel = doors.channel(token=secret)
        await drained(channel)
        wrong = doors.channel(token=f"{secret[:-1]}!")
        await refusal(got_pool(wrong))
    told = f"{logs}{await doors.lines()}{await doors.running.pool.History(pool_pb2.HistoryRequest())}"
    assert secret[-40:-1] not in told
    for each in (channel, wrong):
        await each.close()


async def test_a_token_that_was_acknowledged_survives_kill_9_and_a_revoked_one_does_not(tmp_path: Path) -> None:
    for _ in range(3):
        made, revoked, last = told_until_killed(tmp_path, lines=40)
        database = await Database.open(tmp_path / "pool.db")
        tokens = await Tokens.open(SqliteAccess(database))
        for secret in made - revoked - {last}:
            tokens.prove(secret)
        for secret in revoked:
            with pytest.raises(UnprovedError):
                tokens.prove(secret)
        await database.close()
    with sqlite3.connect(tmp_path / "pool.db") as database_:
        assert database_.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    database_.close()


def told_until_killed(directory: Path, *, lines: int) -> tuple[set[str], set[str], str]:
    """What was acknowledged: made, revoked, and the last one made, which may be revoked and not told so."""
    with subprocess.Popen([sys.executable, "-c", WRITER, directory], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        told = [writer.stdout.readline() for _ in range(lines)]
        os.kill(writer.pid, signal.SIGKILL)
        told += writer.stdout.read().splitlines(keepends=True)
    events: list[Any] = [line.split() for line in told if line.endswith("\n")]
    made = [secret for event, secret in events if event == "made"]
    return set(made), {secret for event, secret in events if event == "revoked"}, made[-1]
