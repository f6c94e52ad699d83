"""RouteService over its socket: batches, many in flight, and what people ask."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import grpc
import pytest

from routing.fakes import DOMAIN, POOL, Bench, ToldDirectory, account
from zcontrol.errors import DirectoryError, DirectoryUnavailableError
from zcontrol.routing.explain import explain
from zcontrol.security.verify import Verifiers
from zcontrol.services.route import RouteService
from zcontrol.v1 import config_pb2, edge_pb2, pool_pb2, route_pb2, route_pb2_grpc

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


class Served:
    def __init__(self, bench: Bench, stub: route_pb2_grpc.RouteServiceAsyncStub) -> None:
        self.bench = bench
        self.stub = stub
        self.invalidations: list[edge_pb2.Invalidation] = []


@pytest.fixture
def directory() -> ToldDirectory:
    told = ToldDirectory(
        account("siti", account_id="id-1"),
        account("budi", "mbox2.example"),
        account("x", "gone"),
        account("y", ""),
        account("v", "", verify=True),
    )
    told.errors[f"twice@{DOMAIN}"] = DirectoryError("two entries")
    return told


@asynccontextmanager
async def serve(directory: ToldDirectory, path: Path) -> AsyncIterator[Served]:
    bench = Bench(directory=directory)
    server = grpc.aio.server()
    served = Served(bench, None)  # type: ignore[arg-type]
    service = RouteService(bench.resolver, Verifiers(), lambda: bench.pool, bench.votes, served.invalidations.append)
    route_pb2_grpc.add_RouteServiceServicer_to_server(service, server)
    address = f"unix:{path}/api.sock"
    server.add_insecure_port(address)
    await server.start()
    async with grpc.aio.insecure_channel(address) as channel:
        served.stub = route_pb2_grpc.RouteServiceStub(channel)
        yield served
    await server.stop(None)
    await bench.resolver.close()


def batch(number: int, *logins: str) -> route_pb2.LookupBatch:
    return route_pb2.LookupBatch(id=number, questions=[route_pb2.Question(login=login.encode()) for login in logins])


async def test_every_question_of_a_batch_gets_one_answer(directory: ToldDirectory, tmp_path: Path) -> None:
    async with serve(directory, tmp_path) as served:
        stream = served.stub.Lookup()
        answers: dict[int, str] = {}
        await stream.write(batch(7, "siti", "nobody", "twice", "budi", "\0"))
        while len(answers) < 5:
            reply = await stream.read()
            assert reply.id == 7
            for answer in reply.answers:
                assert answer.question not in answers
                answers[answer.question] = answer.WhichOneof("result")
        assert answers == {0: "route", 1: "none", 2: "fault", 3: "route", 4: "none"}
        await stream.done_writing()
        assert await stream.read() == grpc.aio.EOF


async def test_a_batch_that_waits_holds_no_other_up(directory: ToldDirectory, tmp_path: Path) -> None:
    async with serve(directory, tmp_path) as served:
        await served.bench.ask("siti")
        directory.open.clear()
        directory.began.clear()
        stream = served.stub.Lookup()
        await stream.write(batch(1, "budi"))
        await asyncio.wait_for(directory.began.wait(), 5)
        await stream.write(batch(2, "siti"))
        assert (await stream.read()).id == 2
        directory.open.set()
        assert (await stream.read()).id == 1


async def test_a_stream_has_a_bounded_number_of_batches_in_flight(directory: ToldDirectory, tmp_path: Path) -> None:
    async with serve(directory, tmp_path) as served:
        directory.open.clear()
        stream = served.stub.Lookup()
        for number in range(40):
            await stream.write(batch(number, f"u{number}"))
        await asyncio.wait_for(directory.began.wait(), 5)
        directory.open.set()
        assert sorted([(await stream.read()).id for _ in range(40)]) == list(range(40))
        assert max(len(names) for names in directory.asked) <= 4


async def test_an_oversized_batch_is_refused(directory: ToldDirectory, tmp_path: Path) -> None:
    async with serve(directory, tmp_path) as served:
        stream = served.stub.Lookup()
        await stream.write(batch(1, *["siti"] * 257))
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await stream.read()
        assert raised.value.code() == grpc.StatusCode.INVALID_ARGUMENT


async def test_an_edge_that_leaves_takes_nobodys_answer_away(directory: ToldDirectory, tmp_path: Path) -> None:
    async with serve(directory, tmp_path) as served:
        directory.open.clear()
        leaves = served.stub.Lookup()
        await leaves.write(batch(1, "siti"))
        await asyncio.wait_for(directory.began.wait(), 5)
        stays = served.stub.Lookup()
        await stays.write(batch(2, "siti"))
        leaves.cancel()
        directory.open.set()
        assert (await stays.read()).answers[0].route.home == "mbox-1"


async def test_invalidate_answers_with_the_epoch_that_edges_are_told(directory: ToldDirectory, tmp_path: Path) -> None:
    async with serve(directory, tmp_path) as served:
        await served.bench.ask("siti")
        answer = await served.stub.Invalidate(route_pb2.InvalidateRequest(account="siti"))
        assert served.invalidations == [
            edge_pb2.Invalidation(epoch=answer.epoch, accounts=[f"siti@{DOMAIN}"], account_ids=["siti", "id-1"])
        ]


@pytest.mark.parametrize(
    "request_",
    [route_pb2.InvalidateRequest(), route_pb2.InvalidateRequest(all=False), route_pb2.InvalidateRequest(domain=" ")],
)
async def test_an_invalidation_of_nothing_is_refused(
    directory: ToldDirectory, tmp_path: Path, request_: route_pb2.InvalidateRequest
) -> None:
    async with serve(directory, tmp_path) as served:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await served.stub.Invalidate(request_)
        assert raised.value.code() == grpc.StatusCode.INVALID_ARGUMENT


async def test_explain_tells_steps_backend_and_source(directory: ToldDirectory, tmp_path: Path) -> None:
    async with serve(directory, tmp_path) as served:
        request = route_pb2.ExplainRequest(login="BUDI")
        first = await served.stub.Explain(request)
        assert (first.source, first.backend, first.endpoint) == ("directory", "mbox-2", "mbox2.example:1143")
        assert (first.route.account, first.route.home, first.failure) == (f"budi@{DOMAIN}", "mbox-2", "")
        assert first.steps[0] == "typed 'BUDI', by case, Unicode and rules 'budi'"
        assert (await served.stub.Explain(request)).source == "cache"
        request.bypass_cache = True
        assert (await served.stub.Explain(request)).source == "directory"


@pytest.mark.parametrize(
    ("login", "failure"),
    [
        ("a\0", "nobody's name: has a control"),
        ("nobody", "the directory knows nobody"),
        ("twice", "the directory cannot say: two entries"),
        ("x", "unknown home 'gone'"),
        ("y", "no home of its own and no default in the pool"),
    ],
)
async def test_explain_tells_why_there_is_no_backend(
    directory: ToldDirectory, tmp_path: Path, login: str, failure: str
) -> None:
    async with serve(directory, tmp_path) as served:
        told = await served.stub.Explain(route_pb2.ExplainRequest(login=login))
        assert told.failure.startswith(failure)
        assert told.backend == ""


async def test_explain_keeps_the_steps_of_a_bare_name_and_hints_at_the_virtual_host(
    directory: ToldDirectory,
) -> None:
    async with Bench(directory=directory, names=config_pb2.Names()) as bench:
        request = route_pb2.ExplainRequest(login="BUDI")
        told = await explain(bench.resolver, bench.pool, bench.votes, request)
        assert list(told.steps) == ["typed 'BUDI', by case, Unicode and rules 'budi'"]
        assert "--virtual-host says which host name" in told.failure
        request.virtual_host = "mail.example"
        told = await explain(bench.resolver, bench.pool, bench.votes, request)
        assert told.failure.endswith("'mail.example' is none of names.virtual_hosts")


async def test_explain_tells_of_a_route_that_outlives_its_directory(directory: ToldDirectory, tmp_path: Path) -> None:
    async with serve(directory, tmp_path) as served:
        request = route_pb2.ExplainRequest(login="budi")
        await served.stub.Explain(request)
        directory.down = DirectoryUnavailableError("no server answers")
        served.bench.clocks.now += 1000
        told = await served.stub.Explain(request)
        assert (told.backend, told.source, told.failure) == ("mbox-2", "cache", "")
        assert told.age_seconds == 1000
        assert any("cannot be reached: no server answers" in step for step in told.steps)
        request.bypass_cache = True
        assert (await served.stub.Explain(request)).failure == "the directory cannot say: no server answers"


async def test_explain_knows_states_and_groups(directory: ToldDirectory, tmp_path: Path) -> None:
    async with serve(directory, tmp_path) as served:
        pool = pool_pb2.Pool(version=2)
        pool.CopyFrom(POOL)
        pool.version = 2
        pool.backends[0].state = pool_pb2.BACKEND_STATE_MAINTENANCE
        served.bench.pool = pool
        told = await served.stub.Explain(route_pb2.ExplainRequest(login="siti"))
        assert told.failure == "nothing serves imap for 'mbox-1': mbox-1 (maintenance)"
        pool.backends[0].state = pool_pb2.BACKEND_STATE_DRAINING
        assert (await served.stub.Explain(route_pb2.ExplainRequest(login="siti"))).backend == "mbox-1"
        told = await served.stub.Explain(route_pb2.ExplainRequest(login="siti", service="pop3"))
        assert told.failure == "nothing serves pop3 for 'mbox-1': mbox-1 has no pop3 endpoint"


async def test_explain_knows_who_serves_http(directory: ToldDirectory, tmp_path: Path) -> None:
    async with serve(directory, tmp_path) as served:
        pool = pool_pb2.Pool()
        pool.CopyFrom(POOL)
        pool.backends[0].endpoints.http.port = 80
        for number in (1, 2):
            farm = pool.backends.add(name=f"web-{number}", host=f"web{number}.example", group="farm")
            farm.endpoints.http.port = farm.endpoints.http_admin.port = 8080
        pool.groups.add(name="farm", kind=pool_pb2.GROUP_KIND_STATELESS)
        pool.defaults.http = "farm"
        served.bench.pool = pool

        async def told(login: str, service: str) -> route_pb2.ExplainResponse:
            return await served.stub.Explain(route_pb2.ExplainRequest(login=login, service=service))

        assert (await told("siti", "http")).endpoint == "mbox1.example:80"
        assert (await told("v", "imap")).steps[-1].startswith("each login is verified first")
        for login, service, why in (
            ("siti", "http_admin", "'mbox-1' has no http_admin endpoint, so the default 'farm' takes it"),
            ("budi", "http", "'mbox-2' has no http endpoint, so the default 'farm' takes it"),
            ("y", "http", "no home of its own, by default 'farm'"),
            ("v", "http", "no home of its own, by default 'farm'"),
        ):
            answer = await told(login, service)
            assert (answer.backend, answer.failure) == ("", "")
            assert why in answer.steps
            assert "any of them may serve: the edge keeps the account at one that is well, by weight" in answer.steps


def seen(backend: str, reason: str = "", service: str = "imap") -> edge_pb2.HealthReport:
    endpoint = edge_pb2.EndpointHealth(backend=backend, service=service, up=not reason, reason=reason)
    return edge_pb2.HealthReport(endpoints=[endpoint])


async def test_explain_tells_what_edges_say_of_the_backend(directory: ToldDirectory, tmp_path: Path) -> None:
    async with serve(directory, tmp_path) as served:
        request = route_pb2.ExplainRequest(login="siti")
        assert "no edge has told how its servers are" in (await served.stub.Explain(request)).steps
        served.bench.votes.report("edge-1", seen("mbox-1", "connect refused"))
        served.bench.votes.report("edge-2", seen("mbox-1"))
        told = await served.stub.Explain(request)
        assert told.steps[-1] == "1 of 2 edges call mbox-1's imap down: connect refused"
        assert (told.backend, told.failure) == ("mbox-1", "")
        served.bench.votes.report("edge-2", seen("mbox-1", "connect refused"))
        told = await served.stub.Explain(request)
        assert told.failure == "every edge calls mbox-1's imap down (connect refused): a temporary failure"
        assert (told.backend, told.endpoint) == ("", "")
        served.bench.votes.report("edge-1", seen("mbox-1"))
        assert (await served.stub.Explain(request)).backend == "mbox-1"


async def test_explain_leaves_out_the_members_that_most_edges_call_down(
    directory: ToldDirectory, tmp_path: Path
) -> None:
    async with serve(directory, tmp_path) as served:
        pool = pool_pb2.Pool()
        pool.CopyFrom(POOL)
        pool.groups.add(name="web", kind=pool_pb2.GROUP_KIND_SHARED)
        pool.defaults.mail = "web"
        for backend in pool.backends:
            backend.group = "web"
        served.bench.pool = pool
        request = route_pb2.ExplainRequest(login="y")
        chosen = (await served.stub.Explain(request)).backend
        other = {"mbox-1": "mbox-2", "mbox-2": "mbox-1"}[chosen]
        served.bench.votes.report("edge-1", seen(chosen, "no greeting"))
        assert (await served.stub.Explain(request)).backend == other
        served.bench.votes.report("edge-1", seen(other, "no greeting"))
        assert (await served.stub.Explain(request)).failure.startswith(f"every edge calls {chosen}'s imap down")
