"""What one caller may ask of control: messages, streams, calls; and what reaches it before he has proved anything."""

# ruff: noqa: ANN401 - the types that mypy-protobuf makes for grpc.aio stubs exist for type checkers only

from __future__ import annotations

import asyncio
import resource
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from access.conftest import got_pool, refusal
from control.edges import FakeEdge
from zcontrol.access.limits import MOST_KEYS, Buckets
from zcontrol.access.listening import MOST_CONNECTIONS, most_connections
from zcontrol.access.roles import EDGE, OPERATOR, VIEWER
from zcontrol.v1 import edge_pb2, edge_pb2_grpc, pool_pb2, pool_pb2_grpc

if TYPE_CHECKING:
    from access.conftest import Doors

FIVE_MIB = 5 * 2**20
FEW = 3
# A connection that is one too many is ended at once; handshakes have ten seconds.
SOON = 5


def pool_of(channel: grpc.aio.Channel) -> Any:
    return pool_pb2_grpc.PoolServiceStub(channel)


async def test_a_huge_request_is_refused_with_the_limit_and_changes_nothing(doors: Doors) -> None:
    token_id, secret = await doors.token(OPERATOR)
    channel = doors.channel(token=secret)
    code, details = await refusal(pool_of(channel).Drain(pool_pb2.DrainRequest(name="x" * FIVE_MIB)))
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert details == f"a request of {FIVE_MIB + 5} octets; api.limits.message allows 1048576"
    (line, _) = await doors.lines()
    assert (line.caller, line.status, line.request) == (f"token {token_id}", "RESOURCE_EXHAUSTED", "")
    assert await got_pool(channel) == 1
    await channel.close()


async def test_a_huge_request_of_nobody_is_not_even_read(doors: Doors, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    monkeypatch.setattr("zcontrol.access.admission.Admission.check_size", lambda _, size, __: read.append(size))
    channel = doors.channel()
    call: Any = channel.unary_unary("/zcontrol.v1.PoolService/Drain")
    for octets in (FIVE_MIB, 64 * 2**20):
        code, _ = await refusal(call(b"\x0a" * octets))
        assert code is grpc.StatusCode.UNAUTHENTICATED
    assert read == []
    await channel.close()


async def test_an_edge_may_send_more(doors: Doors) -> None:
    _, secret = await doors.token(EDGE)
    channel = doors.channel(token=secret)
    edge = FakeEdge(edge_pb2_grpc.EdgeServiceStub(channel), "edge-1")
    await edge.attach()
    await edge.taken()
    reason = "x" * FIVE_MIB
    await edge.report(
        health=edge_pb2.HealthReport(endpoints=[edge_pb2.EndpointHealth(backend="mbox-1", reason=reason)])
    )
    await doors.running.pool.Drain(pool_pb2.DrainRequest(name="mbox-1"))
    while not (await edge.taken()).HasField("change"):
        pass
    edge.leave()
    await channel.close()


@pytest.mark.parametrize("api", [{"limits": {"calls": 1}}], indirect=True)
async def test_a_caller_that_calls_too_often_is_put_off_and_nobody_else(doors: Doors) -> None:
    _, hasty = await doors.token(VIEWER, note="hasty")
    _, other = await doors.token(VIEWER)
    channel, others = doors.channel(token=hasty), doors.channel(token=other)
    outcomes = [await asyncio.gather(got_pool(channel), return_exceptions=True) for _ in range(15)]
    refused = [outcome for (outcome,) in outcomes if outcome != 1]
    assert 3 <= len(refused) <= 5
    assert isinstance(refused[0], grpc.aio.AioRpcError)
    assert refused[0].code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "(hasty) makes more than 1 calls a second; api.limits.calls allows no more" in str(refused[0].details())
    assert await got_pool(others) == 1
    # On this machine nobody counts.
    for _ in range(15):
        assert await got_pool(doors.running.channel) == 1
    for each in (channel, others):
        await each.close()


@pytest.mark.parametrize("api", [{"limits": {"streams": 2}}], indirect=True)
async def test_a_connection_has_so_many_calls_under_way_and_others_wait(doors: Doors) -> None:
    _, secret = await doors.token(VIEWER)
    channel = doors.channel(token=secret)
    watches = [pool_of(channel).Watch(pool_pb2.GetPoolRequest()) for _ in range(2)]
    for watch in watches:
        await watch.read()
    waiting = asyncio.ensure_future(got_pool(channel))
    # Another connection of the same caller is served meanwhile.
    other = doors.channel(token=secret)
    assert await got_pool(other) == 1
    assert not waiting.done()
    watches[0].cancel()
    assert await asyncio.wait_for(waiting, 10) == 1
    for each in (channel, other):
        await each.close()


async def test_calls_under_way_of_one_caller_are_bounded_over_all_connections(
    doors: Doors, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zcontrol.access.guard.MOST_OPEN_CALLS", 2)
    token_id, secret = await doors.token(VIEWER)
    channels = [doors.channel(token=secret) for _ in range(3)]
    watches = [pool_of(channel).Watch(pool_pb2.GetPoolRequest()) for channel in channels[:2]]
    for watch in watches:
        await watch.read()
    code, details = await refusal(got_pool(channels[2]))
    assert (code, details) == (
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        f"token {token_id} has 2 calls under way; end some",
    )
    watches[0].cancel()
    async with asyncio.timeout(10):
        while await asyncio.gather(got_pool(channels[2]), return_exceptions=True) != [1]:
            pass
    for channel in channels:
        await channel.close()


def test_a_bucket_refills_and_is_forgotten_when_there_are_too_many() -> None:
    now = [0.0]
    buckets = Buckets(rate=2, burst=3, clock=lambda: now[0])
    assert [buckets.take("a") for _ in range(4)] == [True, True, True, False]
    assert buckets.take("b")
    now[0] = 0.5
    assert [buckets.take("a") for _ in range(2)] == [True, False]
    for number in range(MOST_KEYS):
        buckets.take(str(number))
    assert buckets.take("a")
    assert len(buckets._left) == MOST_KEYS  # noqa: SLF001 - what it remembers


@pytest.fixture
def few_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zcontrol.access.listening.MOST_CONNECTIONS", FEW)


@pytest.mark.usefixtures("few_connections")
async def test_strangers_that_prove_nothing_take_a_bounded_number_of_connections(doors: Doors) -> None:
    host, _, port = doors.running.control.listens.tokens.rpartition(":")
    strangers = [await asyncio.open_connection(host, int(port)) for _ in range(FEW + 1)]
    async with asyncio.timeout(SOON):
        ended = [asyncio.ensure_future(reader.read()) for reader, _ in strangers]
        await asyncio.wait(ended, return_when=asyncio.FIRST_COMPLETED)
    # One at a time is too many; neither the socket nor the other listener is theirs.
    assert sum(each.done() for each in ended) == 1
    assert await got_pool(doors.running.channel) == 1
    channel = doors.channel(certificate=doors.office.issue("cn:siti"))
    assert await got_pool(channel) == 1
    await channel.close()
    for each, (_, writer) in zip(ended, strangers, strict=True):
        each.cancel()
        writer.close()


def test_listeners_leave_descriptors_to_the_rest_of_control() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (1024, before[1]))
        assert most_connections() == 256
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert most_connections() <= MOST_CONNECTIONS
