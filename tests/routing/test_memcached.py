"""The shared cache: several real servers, each of which may die, hang, lie or come back."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from routing.fakes import DOMAIN, Bench, ToldDirectory, account, counted
from routing.stub import drip, serving
from zcontrol.errors import DirectoryUnavailableError
from zcontrol.routing.cache import Entry
from zcontrol.routing.memcached import MemcachedCache
from zcontrol.routing.open import open_cache
from zcontrol.routing.seal import Seal
from zcontrol.v1 import config_pb2, route_pb2

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager

    from servers.memcached import Memcached

SECRET = "a secret of at least 32 octets, yes"
USERS = [f"user{number}" for number in range(60)]
HOURS = 3600


def cache_on(*addresses: str, secret: str = SECRET, timeout: float = 0.5) -> MemcachedCache:
    return MemcachedCache(addresses, seal=Seal(secret), timeout_seconds=timeout)


def bench_on(*addresses: str, secret: str = SECRET, timeout: float = 0.5) -> Bench:
    directory = ToldDirectory(*(account(name, account_id=f"id-{name}") for name in USERS))
    bench = Bench(directory=directory, cache=cache_on(*addresses, secret=secret, timeout=timeout))
    bench.clocks.now = time.time()
    return bench


async def stored(bench: Bench, *servers: Memcached, entries: int = len(USERS)) -> None:
    """Ask for everybody and wait until it is all in memcached."""
    answers = await bench.ask(*USERS)
    assert all(answer.HasField("route") for answer in answers)
    deadline = time.monotonic() + 10
    while sum(len(server.contents()) for server in servers) < entries:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)
    bench.directory.asked.clear()


def asked(bench: Bench) -> set[str]:
    return {name.removesuffix(f"@{DOMAIN}") for names in bench.directory.asked for name in names}


@pytest.fixture
def three(start_memcached: Callable[[], Memcached]) -> list[Memcached]:
    return [start_memcached() for _ in range(3)]


async def test_replicas_share_what_any_of_them_has_learned(three: list[Memcached]) -> None:
    addresses = [server.address for server in three]
    async with bench_on(*addresses) as first, bench_on(*addresses) as second:
        await stored(first, *three)
        answers = await second.ask(*USERS)
        assert [answer.route.account for answer in answers] == [f"{name}@{DOMAIN}" for name in USERS]
        assert second.directory.asked == []
        assert all(server.contents() for server in three)


async def test_neither_names_nor_routes_can_be_found_by_name(three: list[Memcached]) -> None:
    async with bench_on(*(server.address for server in three)) as bench:
        await stored(bench, *three)
        assert all(b"user" not in key for server in three for key in server.contents())


async def test_a_dead_server_costs_its_share_and_is_used_again_when_it_is_back(three: list[Memcached]) -> None:
    async with bench_on(*(server.address for server in three)) as bench:
        await stored(bench, *three)
        share = len(three[0].contents())
        three[0].stop()
        answers = await bench.ask(*USERS)
        assert all(answer.HasField("route") for answer in answers)
        assert len(asked(bench)) == share
        three[0].start()
        deadline = time.monotonic() + 20
        while len(three[0].contents()) < share:
            assert time.monotonic() < deadline
            await bench.ask(*USERS)
            await asyncio.sleep(0.02)
        bench.directory.asked.clear()
        await bench.ask(*USERS)
        assert asked(bench) == set()


async def test_a_server_that_hangs_costs_one_timeout_and_then_nothing(three: list[Memcached]) -> None:
    async with bench_on(*(server.address for server in three)) as bench:
        await stored(bench, *three)
        share = len(three[0].contents())
        three[0].pause()
        await asyncio.wait_for(bench.ask(*USERS), 5)
        assert len(asked(bench)) == share
        # A look-up that is left to the breaker does not wait at all.
        begun = asyncio.get_running_loop().time()
        await bench.ask(*USERS)
        assert asyncio.get_running_loop().time() - begun < 0.5
        three[0].resume()


def answering(answer: Callable[[bytes], bytes]) -> AbstractAsyncContextManager[str]:
    """A server that answers each request for values as told, and hangs up at anything else."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while (line := await reader.readline()).startswith(b"get "):
            writer.write(answer(line))
            await writer.drain()

    return serving(talk)


async def test_a_late_answer_reaches_nobody() -> None:
    seal, late, requests = Seal(SECRET), asyncio.Event(), []
    later = time.time() + HOURS
    theirs = route_pb2.Route(account=f"user0@{DOMAIN}", home="mbox-2").SerializeToString()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while (line := await reader.readline()).startswith(b"get "):
            requests.append(line)
            await late.wait()
            # What the first request asked for, whatever is asked now.
            key = requests[0].split()[1]
            value = seal.seal(key, Entry(2**60, time.time(), later, later, theirs))
            writer.write(b"VALUE %s 0 %d\r\n%s\r\nEND\r\n" % (key, len(value or b""), value))
            await writer.drain()

    async with serving(talk) as address, bench_on(address, timeout=0.1) as bench:
        [first] = await bench.ask("user0")
        assert first.route.home == "mbox-1"
        late.set()
        deadline = time.monotonic() + 10
        while len(requests) < 2:
            assert time.monotonic() < deadline
            [other] = await bench.ask("user1")
            assert (other.route.account, other.route.home) == (f"user1@{DOMAIN}", "mbox-1")
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    "rubbish",
    [
        b"VALUE other 0 1\r\nx\r\nEND\r\n",
        b"VALUE\r\n",
        b"\xff\x00\r\n",
        b"SERVER_ERROR out of memory\r\n",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
    ],
)
async def test_a_server_that_talks_rubbish_costs_its_share(rubbish: bytes) -> None:
    async with answering(lambda _: rubbish) as address, bench_on(address, timeout=0.5) as bench:
        assert all(answer.HasField("route") for answer in await bench.ask(*USERS))


async def test_octets_that_drip_in_do_not_move_the_deadline() -> None:
    async with (
        asyncio.timeout(5),
        serving(lambda _, writer: drip(writer, b"V")) as address,
        bench_on(address, timeout=0.2) as bench,
    ):
        assert all(answer.HasField("route") for answer in await bench.ask(*USERS))


@pytest.mark.parametrize(
    "forge",
    [
        lambda _: b"",
        lambda _: b"127.0.0.1:143",
        lambda value: value[:-1],
        lambda value: value + b"\0",
        lambda value: bytes(reversed(value)),
        lambda value: value[:16] + value[16:].replace(b"mbox-1", b"mbox-2"),
        lambda _: b"x" * 100_000,
    ],
)
async def test_a_poisoned_value_is_a_miss_and_counted(
    start_memcached: Callable[[], Memcached], forge: Callable[[bytes], bytes]
) -> None:
    server = start_memcached()
    async with bench_on(server.address, timeout=5) as bench:
        await stored(bench, server)
        contents = server.contents()
        for key, value in contents.items():
            server.put(key, forge(value))
        before = counted("zproxy_memcached_unsealed")
        answers = await bench.ask(*USERS)
        assert {answer.route.home for answer in answers} == {"mbox-1"}
        assert asked(bench) == set(USERS)
        assert counted("zproxy_memcached_unsealed") == before + len(USERS)


async def test_a_value_moved_to_another_name_is_a_miss(start_memcached: Callable[[], Memcached]) -> None:
    server = start_memcached()
    async with bench_on(server.address) as bench:
        await stored(bench, server)
        seal = Seal(SECRET)
        mine, other = (seal.key(f"{name}@{DOMAIN}") for name in ("user0", "user1"))
        server.put(other, server.contents()[mine])
        [answer] = await bench.ask("user1")
        assert answer.route.account == f"user1@{DOMAIN}"
        assert asked(bench) == {"user1"}


async def test_another_replicas_seal_key_is_a_miss(start_memcached: Callable[[], Memcached]) -> None:
    server = start_memcached()
    async with (
        bench_on(server.address) as bench,
        bench_on(server.address, secret="another secret of 32 octets or more") as other,
    ):
        await stored(bench, server)
        await other.ask(*USERS)
        assert asked(other) == set(USERS)


async def test_an_invalidated_account_is_deleted_under_all_its_names(three: list[Memcached]) -> None:
    async with bench_on(*(server.address for server in three)) as bench:
        bench.directory.accounts[f"alias@{DOMAIN}"] = bench.directory.accounts[f"user0@{DOMAIN}"]
        await bench.ask("alias")
        await stored(bench, *three, entries=len(USERS) + 1)
        await bench.resolver.invalidate(account="id-user0")
        seal = Seal(SECRET)
        left = {key for server in three for key in server.contents()}
        assert left.isdisjoint(seal.key(f"{name}@{DOMAIN}") for name in ("user0", "alias"))
        assert len(left) == len(USERS) - 1


async def test_what_could_not_be_deleted_is_a_miss_all_the_same(start_memcached: Callable[[], Memcached]) -> None:
    server = start_memcached()
    async with bench_on(server.address) as bench:
        await stored(bench, server)
        contents = server.contents()
        bench.clocks.now += 1
        await bench.resolver.invalidate(account="user0")
        for key, value in contents.items():
            server.put(key, value)
        await bench.ask(*USERS)
        assert asked(bench) == {"user0"}


async def test_without_directory_the_shared_cache_serves_stale(start_memcached: Callable[[], Memcached]) -> None:
    server = start_memcached()
    async with bench_on(server.address) as bench:
        await stored(bench, server)
        bench.directory.down = DirectoryUnavailableError("down")
        bench.clocks.now += 2 * HOURS
        cached, unknown = await bench.ask("user0", "unknown")
        assert (cached.route.home, cached.route.soft_ttl_seconds) == ("mbox-1", 30)
        assert unknown.HasField("fault")


async def test_a_name_with_line_ends_cannot_steer_memcached(start_memcached: Callable[[], Memcached]) -> None:
    server = start_memcached()
    cache = cache_on(server.address)
    now = time.time()
    name = "a\r\nset evil 0 0 1\r\nx\r\n" + "b" * 300
    await cache.set_many({name: Entry(1, now, now + 60, now + 60, b"route")})
    assert (await cache.get_many([name]))[name].route == b"route"
    assert len(server.contents()) == 1
    await cache.close()


def test_a_new_server_takes_only_what_it_wins() -> None:
    before = ["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"]
    old, new = cache_on(*before), cache_on(*before, "127.0.0.1:4")
    moved = {slot for slot, server in old._slots.items() if new._slots[slot].address != server.address}  # noqa: SLF001
    assert {new._slots[slot].address for slot in moved} == {"127.0.0.1:4"}  # noqa: SLF001
    assert 800 < len(moved) < 1250


async def test_the_config_opens_it(start_memcached: Callable[[], Memcached]) -> None:
    server = start_memcached()
    cache = open_cache(config_pb2.Cache(memcached=[server.address], seal_key=SECRET))
    now = time.time()
    await cache.set_many({"x": Entry(1, now, now + 60, now + 60, b"route")})
    assert (await cache.get_many(["x"]))["x"].route == b"route"
    await cache.close()
