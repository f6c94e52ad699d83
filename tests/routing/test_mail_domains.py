"""Whose mail a domain's is, asked by anybody: nobody waits long for it, and logins do not wait at all."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from routing.fakes import DOMAIN, Bench, ToldDirectory, account
from zcontrol.errors import DirectoryError, DirectoryUnavailableError
from zcontrol.routing import mail_domains
from zcontrol.v1 import route_pb2

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

OURS, FOREIGN, UNSAID = route_pb2.DOMAIN_OURS, route_pb2.DOMAIN_FOREIGN, route_pb2.DOMAIN_UNSPECIFIED


class SearchingDirectory(ToldDirectory):
    """Has to search for a domain, until `found` is set."""

    def __init__(self) -> None:
        super().__init__(account("siti"))
        self.searched: list[str] = []
        self.at_once = self.most_at_once = 0
        self.searching = asyncio.Event()
        self.found = asyncio.Event()
        self.found.set()

    async def has_domains(self, domains: Sequence[str]) -> Mapping[str, bool | DirectoryError]:
        self.searched += domains
        self.searching.set()
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await self.found.wait()
        self.at_once -= 1
        return {domain: self.down or domain == DOMAIN for domain in domains}


@pytest.fixture
def directory() -> SearchingDirectory:
    return SearchingDirectory()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mail_domains, "PATIENCE_SECONDS", 0.01)


def recipients(*addresses: str) -> list[route_pb2.Question]:
    return [route_pb2.Question(login=address.encode(), recipient=True) for address in addresses]


async def domains(bench: Bench, *addresses: str) -> list[int]:
    return [answer.none.domain for answer in await bench.resolver.resolve(recipients(*addresses))]


async def test_a_domain_is_asked_for_once_until_what_was_said_is_old(directory: SearchingDirectory) -> None:
    async with Bench(directory=directory) as bench:
        for _ in range(2):
            assert await domains(bench, f"a@{DOMAIN}", "b@evil.example", f"c@{DOMAIN}") == [OURS, FOREIGN, OURS]
        assert sorted(directory.searched) == ["evil.example", DOMAIN]
        bench.clocks.now += 31
        await domains(bench, f"a@{DOMAIN}", "b@evil.example")
        assert sorted(directory.searched) == ["evil.example", "evil.example", DOMAIN]
        await bench.resolver.invalidate(everything=True)
        assert await domains(bench, f"a@{DOMAIN}") == [OURS]
        assert directory.searched[-1] == DOMAIN


async def test_a_directory_that_is_down_says_of_no_domain_that_it_is_foreign(directory: SearchingDirectory) -> None:
    async with Bench(directory=directory) as bench:
        await domains(bench, f"a@{DOMAIN}", "b@evil.example")
        directory.down = DirectoryUnavailableError("no replica answers")
        bench.clocks.now += 60
        directory.open.set()
        [known, unknown] = await bench.resolver.resolve(recipients(f"a@{DOMAIN}", "b@evil.example"))
        assert [known.WhichOneof("result"), unknown.WhichOneof("result")] == ["fault", "fault"]
        directory.down = None
        directory.accounts.clear()
        assert await domains(bench, "b@other.example") == [FOREIGN]


async def test_a_login_does_not_wait_for_the_domain_of_a_recipient(directory: SearchingDirectory) -> None:
    directory.found.clear()
    async with Bench(directory=directory) as bench:
        await bench.ask_one("siti")
        parts = bench.resolver.resolve_in_parts([*recipients("b@evil.example"), route_pb2.Question(login=b"siti")])
        first = await anext(parts)
        assert [answer.route.account for answer in first] == [f"siti@{DOMAIN}"]
        directory.found.set()
        assert [answer.none.domain for part in [part async for part in parts] for answer in part] == [FOREIGN]


@pytest.mark.usefixtures("impatient")
async def test_a_slow_search_leaves_it_unsaid_and_is_known_to_who_comes_again(directory: SearchingDirectory) -> None:
    directory.found.clear()
    async with Bench(directory=directory) as bench:
        assert await domains(bench, "b@evil.example") == [UNSAID]
        # A second one joins the first.
        assert await domains(bench, "c@evil.example") == [UNSAID]
        directory.found.set()
        assert await domains(bench, "b@evil.example") == [FOREIGN]
        assert directory.searched == ["evil.example"]


@pytest.mark.usefixtures("impatient")
async def test_inventors_of_domains_keep_one_search_busy_and_no_more(directory: SearchingDirectory) -> None:
    directory.found.clear()
    invented = [f"a@{number}.evil.example" for number in range(2 * mail_domains.MAX_UNDER_WAY)]
    async with Bench(directory=directory) as bench:
        assert await domains(bench, *invented) == [UNSAID] * len(invented)
        assert len(directory.searched) == 1
        directory.found.set()
    assert directory.most_at_once == 1


async def test_what_was_asked_before_an_invalidation_is_told_and_not_kept(directory: SearchingDirectory) -> None:
    directory.found.clear()
    async with Bench(directory=directory) as bench:
        early = asyncio.create_task(domains(bench, f"a@{DOMAIN}"))
        await asyncio.wait_for(directory.searching.wait(), 5)
        await bench.resolver.invalidate(everything=True)
        directory.found.set()
        assert await early == [OURS]
        assert await domains(bench, f"a@{DOMAIN}") == [OURS]
        assert directory.searched == [DOMAIN, DOMAIN]
