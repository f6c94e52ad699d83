"""Replicas of an LDAP directory: one that fails is passed over, left alone, and used again when it is back."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest
from google.protobuf.duration_pb2 import Duration
from structlog.testing import capture_logs

from routing.fakes import DOMAIN, Bench, counted
from routing.ldap import ldap
from routing.stub import drip, serving
from servers.slapd import ROOT_DN, person
from zcontrol.directory.base import Found
from zcontrol.errors import DirectoryUnavailableError
from zcontrol.v1 import config_pb2

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from servers.slapd import StartSlapd
    from zcontrol.directory.base import Directory

NAME = f"siti@{DOMAIN}"
SHORT = Duration(nanos=400_000_000)


def siti(home: str) -> tuple[str, dict[str, object]]:
    """The same account on each replica, save that its home tells who answered."""
    return person("siti", mail=NAME, mailHost=home)  # type: ignore[return-value]


async def home(directory: Directory) -> str:
    [outcome] = await directory.find([NAME])
    assert isinstance(outcome, Found), outcome
    return outcome.home


async def eventually(what: Callable[[], Awaitable[bool]]) -> None:
    deadline = time.monotonic() + 20
    while not await what():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


async def test_the_first_replica_is_preferred_and_the_next_takes_over_until_it_is_back(
    start_slapd: StartSlapd,
) -> None:
    first, second = start_slapd(siti("first")), start_slapd(siti("second"))
    async with ldap(first.url, second.url) as directory:
        assert await home(directory) == "first"
        first.stop()
        assert await home(directory) == "second"
        first.start()

        async def back() -> bool:
            return await home(directory) == "first"

        await eventually(back)


async def test_a_replica_that_hangs_costs_one_timeout_and_then_nothing(start_slapd: StartSlapd) -> None:
    first, second = start_slapd(siti("first")), start_slapd(siti("second"))
    async with ldap(first.url, second.url, timeout=Duration(seconds=1), connections=1) as directory:
        assert await home(directory) == "first"
        first.pause()
        assert await asyncio.wait_for(home(directory), 5) == "second"

        async def tried_again() -> bool:
            # In less than its timeout, although the first still accepts connections and is being tried.
            assert await asyncio.wait_for(home(directory), 0.9) == "second"
            return counted("zproxy_directory_failures", replica=first.url) > 1

        await eventually(tried_again)
        first.resume()


async def test_without_any_replica_every_name_is_unavailable_and_told_so_at_once(start_slapd: StartSlapd) -> None:
    server = start_slapd(siti("first"))
    async with ldap(server.url) as directory:
        server.stop()
        for outcome in [*await directory.find([NAME, "x@y"]), *await directory.find([NAME])]:
            assert isinstance(outcome, DirectoryUnavailableError)
        server.start()

        async def back() -> bool:
            return isinstance((await directory.find([NAME]))[0], Found)

        await eventually(back)


async def test_a_connection_closed_while_idle_is_no_failure(start_slapd: StartSlapd) -> None:
    server = start_slapd(siti("first"))
    async with ldap(server.url, connections=1) as directory:
        assert await home(directory) == "first"
        server.stop()
        server.start()
        assert await home(directory) == "first"
        assert counted("zproxy_directory_failures", replica=server.url) == 0


@pytest.mark.parametrize("octets", [b"\x30\x84\x7f\xff\xff\xff\x02\x01\x01\x64", b"HTTP/1.1 400\r\n"])
async def test_a_server_that_drips_an_endless_answer_or_rubbish_is_passed_over(
    start_slapd: StartSlapd, octets: bytes
) -> None:
    good = start_slapd(siti("good"))
    async with (
        serving(lambda _, writer: drip(writer, octets)) as address,
        ldap(f"ldap://{address}", good.url, timeout=SHORT) as directory,
    ):
        assert await asyncio.wait_for(home(directory), 5) == "good"


async def test_with_all_ldap_down_the_cached_are_served_stale_and_unknown_names_get_a_fault(
    start_slapd: StartSlapd,
) -> None:
    server = start_slapd(siti("mbox-1"))
    async with ldap(server.url) as directory, Bench(directory=directory) as bench:
        assert (await bench.ask_one("siti")).route.home == "mbox-1"
        server.stop()
        bench.clocks.now += 3600
        cached, unknown = await bench.ask("siti", "budi")
        assert (cached.route.home, cached.route.soft_ttl_seconds) == ("mbox-1", 30)
        assert unknown.fault.reason.startswith("no LDAP server can answer")


async def test_look_ups_that_are_turned_away_are_told_the_last_reason() -> None:
    async with ldap("ldap://127.0.0.1:1") as directory:
        outcomes = [str((await directory.find([NAME]))[0]) for _ in range(2)]
        assert "no LDAP server can answer: ldap://127.0.0.1:1: cannot connect" in outcomes[0]
        assert "each failed a moment ago: ldap://127.0.0.1:1: cannot connect" in outcomes[1]


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"base": "dc=elsewhere"}, "noSuchObject; mend directory.ldap.base"),
        (
            {"bind_dn": ROOT_DN, "bind_password": "wrong"},
            "bind refused: invalidCredentials; check directory.ldap.bind_dn and bind_password",
        ),
        ({"tls": config_pb2.LDAP_TLS_STARTTLS}, "check directory.ldap.urls, tls and ca_file"),
        ({}, None),
    ],
)
async def test_a_probe_warns_of_each_replica_with_what_to_do(
    start_slapd: StartSlapd, more: dict[str, object], told: str | None
) -> None:
    server = start_slapd(siti("mbox-1"))
    # Nobody listens there.
    gone = "ldap://127.0.0.1:1"
    async with ldap(server.url, gone, **more) as directory:
        with capture_logs() as logs:
            await directory.probe()
    warned = {line["server"]: line["reason"] for line in logs if line["log_level"] == "warning"}
    assert "cannot connect" in warned.pop(gone)
    assert list(warned) == ([server.url] if told else [])
    assert (told or "") in "".join(warned.values())
