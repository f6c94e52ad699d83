"""RouteService.Verify over its socket: batches, many in flight, and nothing of them in logs."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import grpc
import pytest
from structlog.testing import capture_logs

from routing.fakes import Bench, ToldDirectory, counted
from security.proofs import password, said
from zcontrol.security.verify import LONGEST_CREDENTIAL, Verifier, Verifiers, refused, verified
from zcontrol.services.route import RouteService
from zcontrol.services.verify import BATCHES_IN_FLIGHT, PROOFS_A_BATCH
from zcontrol.v1 import route_pb2, route_pb2_grpc

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    Stream = grpc.aio.StreamStreamCall[route_pb2.VerifyBatch, route_pb2.VerifyReply]

SECRET = "the password of nobody else"


class ToldVerifier(Verifier):
    """Takes `right`; `slow` waits until the test says, and `bug` breaks with what it was given in hand."""

    passwords = True

    def __init__(self) -> None:
        self.asked = 0
        self.go_on = asyncio.Event()
        self.closed = False

    async def verify(self, proof: route_pb2.Proof) -> route_pb2.Verdict:
        self.asked += 1
        login = proof.question.login.decode()
        if login == "slow":
            await self.go_on.wait()
        if login == "bug":
            raise KeyError(proof.password.decode())
        return verified(login) if proof.password == b"right" else refused("wrong password")

    async def close(self) -> None:
        self.closed = True


class Served:
    def __init__(self, service: RouteService, verifier: ToldVerifier) -> None:
        self.service = service
        self.verifier = verifier
        self.stream: Stream = None  # type: ignore[assignment]

    async def ask(self, number: int, *proofs: route_pb2.Proof) -> None:
        await self.stream.write(route_pb2.VerifyBatch(id=number, proofs=proofs))

    async def verdicts(self, number: int, count: int) -> dict[int, str]:
        """So many verdicts of a batch, by the index of their proofs."""
        told: dict[int, str] = {}
        while len(told) < count:
            async with asyncio.timeout(10):
                reply = await self.stream.read()
            assert isinstance(reply, route_pb2.VerifyReply)
            assert reply.id == number
            for verdict in reply.verdicts:
                assert verdict.proof not in told
                told[verdict.proof] = said(verdict)
        return told


@asynccontextmanager
async def serve(path: Path) -> AsyncIterator[Served]:
    bench, verifier = Bench(directory=ToldDirectory()), ToldVerifier()
    verifiers = Verifiers(passwords=verifier)
    served = Served(RouteService(bench.resolver, verifiers, lambda: bench.pool, bench.votes, print), verifier)
    server = grpc.aio.server()
    route_pb2_grpc.add_RouteServiceServicer_to_server(served.service, server)
    server.add_insecure_port(f"unix:{path}/api.sock")
    await server.start()
    async with grpc.aio.insecure_channel(f"unix:{path}/api.sock") as channel:
        served.stream = route_pb2_grpc.RouteServiceStub(channel).Verify()  # type: ignore[assignment]
        yield served
    verifier.go_on.set()
    await server.stop(None)
    await verifiers.close()
    await bench.resolver.close()


async def test_every_proof_of_a_batch_gets_one_verdict(tmp_path: Path) -> None:
    async with serve(tmp_path) as served:
        token = route_pb2.Proof(token=b"x")
        await served.ask(7, password("a", "right"), password("b", "wrong"), password("c", ""), token, route_pb2.Proof())
        assert await served.verdicts(7, 5) == {0: "verified a", 1: "refused", 2: "refused", 3: "fault", 4: "refused"}
        await served.ask(8, *[password(str(n), "right") for n in range(PROOFS_A_BATCH)])
        assert await served.verdicts(8, PROOFS_A_BATCH) == {n: f"verified {n}" for n in range(PROOFS_A_BATCH)}
        assert served.verifier.asked == 2 + PROOFS_A_BATCH
        await served.stream.done_writing()
        assert await served.stream.read() is grpc.aio.EOF


async def test_a_slow_verdict_holds_up_neither_its_batch_nor_others(tmp_path: Path) -> None:
    async with serve(tmp_path) as served:
        await served.ask(1, password("slow", "right"), password("a", "right"))
        assert await served.verdicts(1, 1) == {1: "verified a"}
        await served.ask(2, password("b", "right"))
        assert await served.verdicts(2, 1) == {0: "verified b"}
        served.verifier.go_on.set()
        assert await served.verdicts(1, 1) == {0: "verified slow"}


async def test_a_batch_beyond_those_in_flight_is_not_looked_at_before_one_has_ended(tmp_path: Path) -> None:
    async with serve(tmp_path) as served:
        for number in range(BATCHES_IN_FLIGHT):
            await served.ask(number, password("slow", "right"), password("quick", "right"))
            assert await served.verdicts(number, 1) == {1: "verified quick"}
        await served.ask(99, password("a", "right"))
        late = asyncio.ensure_future(served.stream.read())
        done, _ = await asyncio.wait([late], timeout=0.2)
        assert not done
        served.verifier.go_on.set()
        seen = {(await late).id} | {(await served.stream.read()).id for _ in range(BATCHES_IN_FLIGHT)}  # type: ignore[union-attr]
        assert seen == {*range(BATCHES_IN_FLIGHT), 99}


async def test_a_batch_too_long_ends_the_stream(tmp_path: Path) -> None:
    async with serve(tmp_path) as served:
        await served.ask(1, *[password("a", "right")] * (PROOFS_A_BATCH + 1))
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await served.stream.read()
        assert raised.value.code() == grpc.StatusCode.INVALID_ARGUMENT
        assert served.verifier.asked == 0


async def test_a_credential_too_long_is_refused_unlooked_at(tmp_path: Path) -> None:
    async with serve(tmp_path) as served:
        await served.ask(1, password("a", "x" * (LONGEST_CREDENTIAL + 1)))
        assert await served.verdicts(1, 1) == {0: "refused"}
        assert served.verifier.asked == 0


async def test_a_bug_costs_one_login_and_tells_no_secret(tmp_path: Path) -> None:
    async with serve(tmp_path) as served:
        with capture_logs() as logs:
            await served.ask(1, password("bug", SECRET), password("a", "right"))
            assert await served.verdicts(1, 2) == {0: "fault", 1: "verified a"}
        [line] = logs
        assert line["error"].startswith("KeyError at test_verify_stream.py:")
        assert SECRET not in str(line)


async def test_verdicts_are_counted_by_kind_and_result(tmp_path: Path) -> None:
    async with serve(tmp_path) as served:
        before = counted("zproxy_verified", credential="password", result="refused")
        await served.ask(1, password("a", "wrong"), password("b", "wrong"), password("c", "right"))
        await served.verdicts(1, 3)
        assert counted("zproxy_verified", credential="password", result="refused") == before + 2


async def test_a_reload_answers_what_is_under_way_and_asks_others_from_then_on(tmp_path: Path) -> None:
    async with serve(tmp_path) as served:
        before = served.verifier
        await served.ask(1, password("slow", "right"), password("a", "right"))
        assert await served.verdicts(1, 1) == {1: "verified a"}
        bench = Bench(directory=ToldDirectory())
        served.service.use(bench.resolver, Verifiers())
        await served.ask(2, password("a", "right"))
        assert await served.verdicts(2, 1) == {0: "fault"}
        before.go_on.set()
        assert await served.verdicts(1, 1) == {0: "verified slow"}
        await bench.resolver.close()


async def test_closing_waits_for_the_verdicts_under_way() -> None:
    verifier = ToldVerifier()
    verifiers = Verifiers(passwords=verifier, tokens=verifier)
    asking = asyncio.create_task(verifiers.verify(password("slow", "right")))
    await asyncio.sleep(0)
    closing = asyncio.create_task(verifiers.close())
    await asyncio.sleep(0)
    assert not verifier.closed
    verifier.go_on.set()
    assert said(await asking) == "verified slow"
    await closing
    assert verifier.closed
