"""Invalidation: what is named is a miss everywhere, under every name, and nothing older comes back."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.fakes import DOMAIN, Bench, ToldDirectory, account
from zcontrol.directory.file import FileDirectory
from zcontrol.errors import DirectoryUnavailableError
from zcontrol.routing.epochs import Epochs
from zcontrol.v1 import edge_pb2

if TYPE_CHECKING:
    from pathlib import Path

NAMES = ["siti", "budi"]


async def bench_with_cached() -> Bench:
    directory = ToldDirectory(account("siti", account_id="id-1"), account("budi", "mbox2.example", account_id="id-2"))
    directory.accounts[f"alias@{DOMAIN}"] = directory.accounts[f"siti@{DOMAIN}"]
    bench = Bench(directory=directory)
    await bench.ask("siti", "alias", "budi", "nobody")
    bench.clocks.now += 1
    directory.asked.clear()
    return bench


async def asked_after(bench: Bench) -> set[str]:
    """What is not answered from a cache any more."""
    await bench.ask("siti", "alias", "budi", "nobody")
    return {name.removesuffix(f"@{DOMAIN}") for batch in bench.directory.asked for name in batch}


@pytest.mark.parametrize("account", ["siti", "SITI@tgg.net.id", "id-1", "alias"])
async def test_an_account_is_forgotten_under_all_its_names(account: str) -> None:
    bench = await bench_with_cached()
    message = await bench.resolver.invalidate(account=account)
    assert f"siti@{DOMAIN}" in message.accounts or "id-1" in message.account_ids
    assert await asked_after(bench) == {"siti", "alias"}


async def test_a_domain_is_forgotten_with_its_unknown_names() -> None:
    bench = await bench_with_cached()
    message = await bench.resolver.invalidate(domain="TGG.net.id")
    assert list(message.domains) == [DOMAIN]
    assert await asked_after(bench) == {"siti", "alias", "budi", "nobody"}


async def test_a_home_is_forgotten_by_the_pools_name_or_the_directorys() -> None:
    for home in ("MBOX-2", "mbox2.example"):
        bench = await bench_with_cached()
        message = await bench.resolver.invalidate(home=home)
        assert list(message.homes) == ["mbox-2"]
        assert await asked_after(bench) == {"budi"}


async def test_all_is_everything() -> None:
    bench = await bench_with_cached()
    message = await bench.resolver.invalidate(everything=True)
    assert message == edge_pb2.Invalidation(epoch=message.epoch)
    assert await asked_after(bench) == {"siti", "alias", "budi", "nobody"}


async def test_nothing_named_forgets_nothing() -> None:
    bench = await bench_with_cached()
    await bench.resolver.invalidate()
    assert await asked_after(bench) == set()


async def test_an_invalidated_route_is_not_served_when_the_directory_is_gone() -> None:
    bench = await bench_with_cached()
    await bench.resolver.invalidate(account="siti")
    bench.directory.down = DirectoryUnavailableError("down")
    siti, budi = await bench.ask("siti", "budi")
    assert siti.HasField("fault")
    assert budi.HasField("route")


async def test_a_look_up_that_began_before_is_neither_stored_nor_joined() -> None:
    bench = Bench(directory=ToldDirectory(account("siti")))
    bench.directory.open.clear()
    before = asyncio.create_task(bench.ask_one("siti"))
    await asyncio.wait_for(bench.directory.began.wait(), 5)
    message = await bench.resolver.invalidate(account="siti")
    bench.directory.accounts[f"siti@{DOMAIN}"] = account("siti", "mbox-2")
    after = asyncio.create_task(bench.ask_one("siti"))
    await asyncio.sleep(0)
    bench.directory.open.set()
    assert (await before).epoch < message.epoch
    answer = await after
    assert (answer.route.home, answer.epoch) == ("mbox-2", message.epoch)
    assert (await bench.ask_one("siti")).route.home == "mbox-2"
    assert len(bench.directory.asked) == 2


async def test_an_answer_from_the_cache_carries_the_epoch_in_which_it_was_checked() -> None:
    bench = await bench_with_cached()
    message = await bench.resolver.invalidate(account="budi")
    assert (await bench.ask_one("siti")).epoch == message.epoch


async def test_subscribers_hear_of_every_invalidation() -> None:
    bench = await bench_with_cached()
    heard: list[edge_pb2.Invalidation] = []
    bench.resolver.subscribe(heard.append)
    sent = [await bench.resolver.invalidate(account="siti"), await bench.resolver.invalidate(everything=True)]
    assert heard == sent
    assert sent[0].epoch < sent[1].epoch


async def test_what_the_directory_says_has_changed_is_a_miss_at_once(tmp_path: Path) -> None:
    path = tmp_path / "accounts.csv"
    path.write_text(f"account,home\nsiti@{DOMAIN},mbox-1\nbudi@{DOMAIN},mbox-1\n")
    async with Bench(directory=FileDirectory(path)) as bench:
        await bench.ask("siti", "budi", "new")
        told: asyncio.Queue[edge_pb2.Invalidation] = asyncio.Queue()
        bench.resolver.subscribe(told.put_nowait)
        bench.resolver.start()
        bench.clocks.now += 1
        path.write_text(f"account,home\nsiti@{DOMAIN},mbox-2\nbudi@{DOMAIN},mbox-1\nnew@{DOMAIN},mbox-1\n")
        message = await asyncio.wait_for(told.get(), 5)
        assert list(message.accounts) == [f"new@{DOMAIN}", f"siti@{DOMAIN}"]
        siti, budi, new = await bench.ask("siti", "budi", "new")
        assert (siti.route.home, budi.route.home, new.route.home) == ("mbox-2", "mbox-1", "mbox-1")


@given(
    st.lists(st.sampled_from(NAMES), max_size=8),
    st.integers(min_value=1, max_value=2),
    st.sampled_from(NAMES),
)
def test_forgetting_an_invalidation_never_brings_an_outdated_answer_back(
    invalidated: list[str], remembered: int, name: str
) -> None:
    epochs = Epochs(remembered=remembered, wall=lambda: 0)
    before = epochs.current
    for named in invalidated:
        epochs.invalidate(edge_pb2.Invalidation(accounts=[named]))
    if name in invalidated:
        assert epochs.outdated(before, names=[name], home="")
    assert not epochs.outdated(epochs.current, names=[name], home="")


def test_epochs_grow_although_the_clock_does_not() -> None:
    epochs = Epochs(wall=lambda: 5)
    grown = [epochs.invalidate(edge_pb2.Invalidation()) for _ in range(3)]
    assert grown == [5001, 5002, 5003]
