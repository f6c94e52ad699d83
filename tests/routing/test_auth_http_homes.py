"""Homes by address, where the pool names its hosts: resolved off the way, and kept when DNS fails."""

from __future__ import annotations

import asyncio
from ipaddress import ip_address
from typing import TYPE_CHECKING

import pytest

from routing.auth_http import backend
from routing.fakes import Clocks
from zcontrol.directory.auth_http_homes import AnsweredHomes
from zcontrol.errors import DirectoryError
from zcontrol.pool.addresses import FRESH_SECONDS, Addresses
from zcontrol.v1 import pool_pb2

if TYPE_CHECKING:
    from zcontrol.address import IPAddress


class Dns:
    """Says what it was told; a host it does not know is an error."""

    def __init__(self, **hosts: str) -> None:
        self.hosts = hosts
        self.asked: list[str] = []
        self.answering = asyncio.Event()
        self.answering.set()

    async def __call__(self, host: str) -> tuple[IPAddress, ...]:
        self.asked.append(host)
        await self.answering.wait()
        if host not in self.hosts:
            raise OSError("no such host")
        return (ip_address(self.hosts[host]),)


async def turns() -> None:
    """Let what was begun in the background end; nothing in it waits for anything."""
    for _ in range(20):
        await asyncio.sleep(0)


def pool_of(*backends: pool_pb2.Backend) -> pool_pb2.Pool:
    return pool_pb2.Pool(backends=backends)


async def test_a_backend_with_a_name_is_found_by_its_address_and_by_its_name() -> None:
    homes = AnsweredHomes(lambda: pool, {}, Addresses(Dns(alpha="10.1.0.1")))
    pool = pool_of(backend("mbox-1", "alpha", imap=143))
    assert await homes.match("10.1.0.1", 143) == "mbox-1"
    assert await homes.match("ALPHA.", 143) == "mbox-1"


async def test_the_pool_of_the_moment_counts() -> None:
    pool = pool_of(backend("mbox-1", "10.1.0.1", imap=143))
    homes = AnsweredHomes(lambda: pool, {}, Addresses())
    assert await homes.match("10.1.0.1", 143) == "mbox-1"
    pool = pool_of(backend("mbox-7", "10.1.0.1", imap=143))
    assert await homes.match("10.1.0.1", 143) == "mbox-7"


async def test_a_name_that_moves_is_followed_and_one_that_dns_loses_is_kept() -> None:
    clocks, dns = Clocks(), Dns(alpha="10.1.0.1")
    addresses = Addresses(dns, monotonic=clocks)
    pool = pool_of(backend("mbox-1", "alpha", imap=143))
    homes = AnsweredHomes(lambda: pool, {}, addresses, monotonic=clocks)
    assert await homes.match("10.1.0.1", 143) == "mbox-1"
    del dns.hosts["alpha"]
    clocks.now += FRESH_SECONDS
    assert await homes.match("10.1.0.1", 143) == "mbox-1"
    dns.hosts["alpha"] = "10.1.0.2"
    clocks.now += FRESH_SECONDS
    assert await addresses.of("alpha") == (ip_address("10.1.0.1"),)
    await turns()
    clocks.now += FRESH_SECONDS
    assert await homes.match("10.1.0.2", 143) == "mbox-1"
    with pytest.raises(DirectoryError, match="no backend's host"):
        await homes.match("10.1.0.1", 143)


async def test_whoever_knows_an_address_does_not_wait_for_dns() -> None:
    clocks, dns = Clocks(), Dns(alpha="10.1.0.1")
    addresses = Addresses(dns, monotonic=clocks)
    assert await addresses.of("alpha") == (ip_address("10.1.0.1"),)
    clocks.now += FRESH_SECONDS
    dns.answering.clear()
    for _ in range(3):
        assert await asyncio.wait_for(addresses.of("alpha"), 0.5) == (ip_address("10.1.0.1"),)
        await turns()
    # One question at a time, whoever asks.
    assert dns.asked == ["alpha", "alpha"]
    await addresses.close()


async def test_a_host_that_nobody_knows_is_asked_for_now_and_then_only() -> None:
    clocks, dns = Clocks(), Dns()
    addresses = Addresses(dns, monotonic=clocks)
    for _ in range(5):
        assert await addresses.of("alpha") == ()
    assert dns.asked == ["alpha"]
