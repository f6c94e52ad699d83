"""Keys of session tickets: drawn once, kept, rotated before they are needed, and told to every edge."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

from control.conftest import take
from control.pools import two_mailboxes
from zcontrol.pool.sqlite import SqliteStore
from zcontrol.ticket_keys import TicketKeys, rotated

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from control.conftest import Running
    from control.edges import FakeEdge
    from zcontrol.ticket_keys import TicketKey

HOUR = 3600.0
NOW = 1_000_000.0


def times(keys: list[TicketKey]) -> list[float]:
    """When the keys begin to seal, in hours from NOW."""
    return [(key.not_before - NOW) / HOUR for key in keys]


def test_the_first_keys_are_one_for_now_and_the_next() -> None:
    keys = rotated([], now=NOW, rotation=HOUR)
    assert times(keys) == [0, 1]
    assert [(len(key.name), len(key.secret)) for key in keys] == [(16, 32)] * 2
    assert len({octets for key in keys for octets in (key.name, key.secret)}) == 4


def test_a_key_is_known_for_an_hour_before_it_seals_and_an_hour_after() -> None:
    keys = rotated([], now=NOW, rotation=HOUR)
    assert rotated(keys, now=NOW + 0.99 * HOUR, rotation=HOUR) == keys
    for hours in range(1, 5):
        before, keys = keys, rotated(keys, now=NOW + hours * HOUR, rotation=HOUR)
        assert times(keys) == [hours - 1, hours, hours + 1]
        assert keys[:2] == before[-2:]


def test_after_a_rest_the_keys_that_still_open_are_kept() -> None:
    keys = rotated([], now=NOW, rotation=HOUR)
    late = rotated(keys, now=NOW + 2.5 * HOUR, rotation=HOUR)
    assert times(late) == [1, 2, 3]
    assert late[0] == keys[1]
    assert times(rotated(keys, now=NOW + 9 * HOUR, rotation=HOUR)) == [9, 10]


def test_a_shorter_rotation_does_not_wait_for_the_key_of_a_longer_one() -> None:
    keys = rotated([], now=NOW, rotation=12 * HOUR)
    assert times(rotated(keys, now=NOW + HOUR / 2, rotation=HOUR)) == [0, 1]


def test_a_clock_that_was_set_back_gets_a_key_for_now() -> None:
    keys = rotated([], now=NOW, rotation=HOUR)
    back = rotated(keys, now=NOW - HOUR / 2, rotation=HOUR)
    assert times(back) == [-0.5, 0]
    assert back[1] == keys[0]


def test_a_secret_is_in_no_representation() -> None:
    (key, _) = rotated([], now=NOW, rotation=HOUR)
    assert repr(key.secret) not in repr(key)


async def test_they_outlive_control_in_a_file_that_only_its_user_reads(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path, two_mailboxes())
    told = (await TicketKeys.open(store, HOUR)).told
    await store.close()
    again = await SqliteStore.open(tmp_path, two_mailboxes())
    assert (await TicketKeys.open(again, HOUR)).told == told
    assert {stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()} == {0o600}
    await again.close()


async def test_every_edge_is_told_the_same_before_its_first_pool(attach: Callable[..., Awaitable[FakeEdge]]) -> None:
    told = [await (await attach(edge_id)).told_ticket_keys() for edge_id in ("edge-1", "edge-2")]
    assert told[0] == told[1]
    assert told[0].rotation.ToSeconds() == 12 * HOUR
    assert len(told[0].keys) == 2


async def test_edges_are_told_of_each_rotation(running: Running, attach: Callable[..., Awaitable[FakeEdge]]) -> None:
    edge = await attach("edge-1")
    assert (await edge.taken()).HasField("snapshot")
    running.file.write_text('ticket_keys.rotation = "1s"\n' + running.file.read_text())
    await take(running)
    before, after = [await edge.told_ticket_keys() for _ in range(2)]
    assert before.rotation.ToSeconds() == 1
    assert list(after.keys)[:2] == list(before.keys)[-2:]
