"""The resolver: caches, then the directory, in batches; what is served when the directory is gone."""

from __future__ import annotations

import asyncio

import pytest

from routing.fakes import DOMAIN, Bench, Clocks, ToldDirectory, account, counted
from zcontrol.directory.base import BATCH
from zcontrol.errors import DirectoryError, DirectoryUnavailableError
from zcontrol.v1 import config_pb2, pool_pb2, route_pb2

DOWN = DirectoryUnavailableError("no replica answers")


async def test_every_question_gets_its_own_answer_whatever_its_neighbours_are() -> None:
    directory = ToldDirectory(account("siti"), account("budi", "mbox-2"))
    directory.errors[f"twice@{DOMAIN}"] = DirectoryError("two entries")
    answers = await Bench(directory=directory).ask("siti", "a\r\nb", "nobody", "twice", "BUDI@TGG.net.id", "siti")
    assert [answer.question for answer in answers] == [0, 1, 2, 3, 4, 5]
    assert [answer.WhichOneof("result") for answer in answers] == ["route", "none", "none", "fault", "route", "route"]
    assert [answer.route.home for answer in answers] == ["mbox-1", "", "", "", "mbox-2", "mbox-1"]
    assert directory.asked == [[f"{name}@{DOMAIN}" for name in ("siti", "nobody", "twice", "budi")]]


async def test_a_bare_name_too_long_for_its_hosts_domain_costs_its_neighbours_nothing() -> None:
    bench = Bench(directory=ToldDirectory(account("siti"), hosts={"mail.example": DOMAIN}))
    [long, siti] = await bench.resolver.resolve(
        [route_pb2.Question(login=login, virtual_host="mail.example") for login in (b"x" * 1020, b"siti")]
    )
    assert long.WhichOneof("result") == "none"
    assert siti.route.account == f"siti@{DOMAIN}"


async def test_a_route_says_all_that_the_directory_does() -> None:
    found = account(
        "siti",
        account_id="id-1",
        backend_login="s",
        may_act_as=(f"info@{DOMAIN}",),
        status=route_pb2.ACCOUNT_STATUS_LOCKED,
        allowed_nets=("192.0.2.0/24",),
    )
    bench = Bench(directory=ToldDirectory(found))
    for _ in ("from the directory", "from the cache"):
        route = (await bench.ask_one("siti")).route
        assert (route.account, route.account_id, route.home) == (f"siti@{DOMAIN}", "id-1", "mbox-1")
        assert (route.backend_login, list(route.may_act_as)) == ("s", [f"info@{DOMAIN}"])
        assert (route.status, list(route.allowed_nets)) == (route_pb2.ACCOUNT_STATUS_LOCKED, ["192.0.2.0/24"])
        assert 540 <= route.soft_ttl_seconds <= 660
        assert route.hard_ttl_seconds == 86400
        assert route.looked_up.seconds == int(bench.clocks.now)
    assert len(bench.directory.asked) == 1


async def test_a_known_name_is_not_asked_again_until_its_soft_ttl() -> None:
    bench = Bench(directory=ToldDirectory(account("siti")))
    await bench.ask_one("siti")
    bench.clocks.now += 400
    assert (await bench.ask_one("siti")).route.soft_ttl_seconds <= 260
    assert len(bench.directory.asked) == 1
    bench.clocks.now += 300
    await bench.ask_one("siti")
    assert len(bench.directory.asked) == 2


async def test_a_route_is_looked_up_ahead_of_its_soft_ttl_and_served_meanwhile() -> None:
    bench = Bench(directory=ToldDirectory(account("siti")))
    answer = await bench.ask_one("siti")
    bench.directory.accounts[f"siti@{DOMAIN}"] = account("siti", "mbox-2")
    bench.directory.began.clear()
    bench.clocks.now += answer.route.soft_ttl_seconds - 30
    assert (await bench.ask_one("siti")).route.home == "mbox-1"
    await asyncio.wait_for(bench.directory.began.wait(), 5)
    await bench.resolver.close()
    assert len(bench.directory.asked) == 2


async def test_an_unknown_name_is_remembered_for_a_short_time_only() -> None:
    bench = Bench(directory=ToldDirectory())
    assert (await bench.ask_one("siti")).none.ttl_seconds == 30
    bench.directory.accounts[f"siti@{DOMAIN}"] = account("siti")
    bench.clocks.now += 20
    assert (await bench.ask_one("siti")).none.ttl_seconds == 10
    bench.clocks.now += 11
    assert (await bench.ask_one("siti")).route.home == "mbox-1"


async def test_without_directory_the_cached_are_served_to_the_hard_ttl_and_unknown_names_get_a_fault() -> None:
    bench = Bench(directory=ToldDirectory(account("siti")))
    await bench.ask_one("siti")
    bench.directory.down = DOWN
    bench.clocks.now += 3600
    stale, unknown = await bench.ask("siti", "budi")
    assert (stale.route.home, stale.route.soft_ttl_seconds) == ("mbox-1", 30)
    assert unknown.fault.reason == "no replica answers"
    bench.clocks.now += 86400
    assert (await bench.ask_one("siti")).WhichOneof("result") == "fault"


async def test_a_directory_that_answers_but_cannot_say_makes_no_stale_answer() -> None:
    bench = Bench(directory=ToldDirectory(account("siti")))
    await bench.ask_one("siti")
    bench.directory.errors[f"siti@{DOMAIN}"] = DirectoryError("two entries")
    bench.clocks.now += 3600
    assert (await bench.ask_one("siti")).fault.reason == "two entries"


async def test_a_fault_is_not_remembered() -> None:
    bench = Bench(directory=ToldDirectory(account("siti")))
    bench.directory.down = DOWN
    assert (await bench.ask_one("siti")).WhichOneof("result") == "fault"
    bench.directory.down = None
    assert (await bench.ask_one("siti")).WhichOneof("result") == "route"


async def test_a_clock_set_back_does_not_lengthen_a_routes_life() -> None:
    bench = Bench(directory=ToldDirectory(account("siti")))
    await bench.ask_one("siti")
    bench.clocks.now -= 3600
    await bench.ask_one("siti")
    assert len(bench.directory.asked) == 2


async def test_what_arrives_while_a_batch_is_under_way_is_the_next_batch() -> None:
    bench = Bench(directory=ToldDirectory())
    bench.directory.open.clear()
    asking = [asyncio.create_task(bench.ask_one("first"))]
    await asyncio.wait_for(bench.directory.began.wait(), 5)
    asking += [asyncio.create_task(bench.ask_one(f"u{number}")) for number in range(BATCH + 6)]
    asking += [asyncio.create_task(bench.ask_one("first"))]
    await asyncio.sleep(0)
    bench.directory.open.set()
    await asyncio.gather(*asking)
    assert [len(names) for names in bench.directory.asked] == [1, BATCH, 6]


async def test_who_stops_waiting_takes_nobodys_answer_away() -> None:
    bench = Bench(directory=ToldDirectory(account("siti")))
    bench.directory.open.clear()
    leaves, stays = (asyncio.create_task(bench.ask_one("siti")) for _ in range(2))
    await asyncio.wait_for(bench.directory.began.wait(), 5)
    leaves.cancel()
    await asyncio.wait([leaves])
    bench.directory.open.set()
    assert (await stays).route.home == "mbox-1"
    assert len(bench.directory.asked) == 1


async def test_hits_are_answered_before_the_directory_is() -> None:
    bench = Bench(directory=ToldDirectory(account("siti"), account("budi")))
    await bench.ask_one("siti")
    bench.directory.open.clear()
    questions = [route_pb2.Question(login=login) for login in (b"budi", b"siti")]
    parts = bench.resolver.resolve_in_parts(questions)
    assert [answer.question for answer in await anext(parts)] == [1]
    bench.directory.open.set()
    assert [answer.question for answer in await anext(parts)] == [0]


@pytest.mark.parametrize("home", ["MBOX-1", "mbox1.example", "MBOX1.example."])
async def test_a_home_is_matched_by_name_then_host_without_case(home: str) -> None:
    bench = Bench(directory=ToldDirectory(account("siti", home)))
    assert (await bench.ask_one("siti")).route.home == "mbox-1"


async def test_a_home_that_the_pool_does_not_know_is_a_fault_until_it_does() -> None:
    bench = Bench(directory=ToldDirectory(account("siti", "mbox-9")))
    before = counted("zproxy_unknown_home")
    assert "mbox-9" in (await bench.ask_one("siti")).fault.reason
    assert counted("zproxy_unknown_home") == before + 1
    bench.pool = pool_pb2.Pool(version=2, backends=[pool_pb2.Backend(name="mbox-9", host="h")])
    assert (await bench.ask_one("siti")).route.home == "mbox-9"
    assert len(bench.directory.asked) == 1


async def test_a_host_that_two_backends_share_is_no_home() -> None:
    bench = Bench(directory=ToldDirectory(account("siti", "h")))
    bench.pool = pool_pb2.Pool(backends=[pool_pb2.Backend(name=name, host="h") for name in ("a", "b")])
    assert (await bench.ask_one("siti")).WhichOneof("result") == "fault"


async def test_an_account_without_home_is_left_to_the_services_default() -> None:
    bench = Bench(directory=ToldDirectory(account("siti", "")))
    assert (await bench.ask_one("siti")).route.home == ""


async def test_a_bare_name_is_qualified_by_the_directorys_virtual_hosts() -> None:
    directory = ToldDirectory(
        account("siti"),
        account("x"),
        hosts={"mail.gec-course.com": "gec-course.com", "192.0.2.1": "gec-course.com"},
    )
    directory.accounts["x@gec-course.com"] = account("other")
    bench = Bench(directory=directory)
    by_host = await bench.ask_one("x", virtual_host="Mail.GEC-course.com", local_address="127.0.0.1")
    by_address = await bench.ask_one("x", virtual_host="what.example", local_address="192.0.2.1")
    by_default = await bench.ask_one("x", virtual_host="what.example", local_address="127.0.0.1")
    assert [answer.route.account for answer in (by_host, by_address, by_default)] == [
        f"other@{DOMAIN}",
        f"other@{DOMAIN}",
        f"x@{DOMAIN}",
    ]
    directory.down = DOWN
    assert (await bench.ask_one("x", virtual_host="mail.gec-course.com", local_address="127.0.0.1")).HasField("route")


async def test_bare_names_fail_alone_when_virtual_hosts_cannot_be_asked() -> None:
    directory = ToldDirectory(account("siti"), hosts={})
    bench = Bench(directory=directory, names=config_pb2.Names(), clocks=Clocks())
    directory.down = DOWN
    bare, unusable = await bench.resolver.resolve(
        [route_pb2.Question(login=b"x", virtual_host="h"), route_pb2.Question(login=b"x")]
    )
    assert bare.HasField("fault")
    assert unusable.HasField("none")
