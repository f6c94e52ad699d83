"""Keys that edges share: drawn once, kept, rotated before they are needed, and told to every edge."""

from __future__ import annotations

import sqlite3
import stat
from contextlib import closing
from typing import TYPE_CHECKING

from control.conftest import take
from control.pools import two_mailboxes
from zcontrol.pool.sqlite import SqliteStore
from zcontrol.rotating_keys import COOKIE_SECONDS, Pace, RotatingKeys, rotated

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from control.conftest import Running
    from control.edges import FakeEdge
    from zcontrol.rotating_keys import Key

HOUR = 3600.0
DAY = 24 * HOUR
NOW = 1_000_000.0
HOURLY = Pace(rotation=HOUR, opens_for=HOUR)


def times(keys: list[Key]) -> list[float]:
    """When the keys begin to seal, in hours from NOW."""
    return [(key.not_before - NOW) / HOUR for key in keys]


def test_the_first_keys_are_one_for_now_and_the_next() -> None:
    keys = rotated([], now=NOW, pace=HOURLY)
    assert times(keys) == [0, 1]
    assert [(len(key.name), len(key.secret)) for key in keys] == [(16, 32)] * 2
    assert len({octets for key in keys for octets in (key.name, key.secret)}) == 4


def test_a_key_is_known_for_an_hour_before_it_seals_and_an_hour_after() -> None:
    keys = rotated([], now=NOW, pace=HOURLY)
    assert rotated(keys, now=NOW + 0.99 * HOUR, pace=HOURLY) == keys
    for hours in range(1, 5):
        before, keys = keys, rotated(keys, now=NOW + hours * HOUR, pace=HOURLY)
        assert times(keys) == [hours - 1, hours, hours + 1]
        assert keys[:2] == before[-2:]


def test_after_a_rest_the_keys_that_still_open_are_kept() -> None:
    keys = rotated([], now=NOW, pace=HOURLY)
    late = rotated(keys, now=NOW + 2.5 * HOUR, pace=HOURLY)
    assert times(late) == [1, 2, 3]
    assert late[0] == keys[1]
    assert times(rotated(keys, now=NOW + 9 * HOUR, pace=HOURLY)) == [9, 10]


def test_a_shorter_rotation_does_not_wait_for_the_key_of_a_longer_one() -> None:
    keys = rotated([], now=NOW, pace=Pace(rotation=12 * HOUR, opens_for=12 * HOUR))
    assert times(rotated(keys, now=NOW + HOUR / 2, pace=HOURLY)) == [0, 1]


def test_what_a_key_sealed_opens_for_so_long_whatever_the_rotation() -> None:
    for days in (1, 7, 30):
        pace = Pace(rotation=days * DAY, opens_for=COOKIE_SECONDS)
        now, keys = NOW, rotated([], now=NOW, pace=pace)
        last_use: dict[bytes, float] = {}
        while now < NOW + 100 * DAY:
            last_use[next(key.name for key in reversed(keys) if key.not_before <= now)] = now
            now += DAY / 2
            keys = rotated(keys, now=now, pace=pace)
            needed = {name for name, used in last_use.items() if now < used + COOKIE_SECONDS}
            assert needed <= {key.name for key in keys}, days
            assert len(keys) <= COOKIE_SECONDS / pace.rotation + 3


def test_a_clock_that_was_set_back_gets_a_key_for_now() -> None:
    keys = rotated([], now=NOW, pace=HOURLY)
    back = rotated(keys, now=NOW - HOUR / 2, pace=HOURLY)
    assert times(back) == [-0.5, 0]
    assert back[1] == keys[0]


def test_a_secret_is_in_no_representation() -> None:
    (key, _) = rotated([], now=NOW, pace=HOURLY)
    assert repr(key.secret) not in repr(key)


async def test_they_outlive_control_in_a_file_that_only_its_user_reads(tmp_path: Path) -> None:
    purposes = ("ticket_keys", "cookie_keys")
    store = await SqliteStore.open(tmp_path, two_mailboxes())
    told = [(await RotatingKeys.open(store, purpose, HOURLY)).told for purpose in purposes]
    await store.close()
    assert told[0] != told[1]
    again = await SqliteStore.open(tmp_path, two_mailboxes())
    assert [(await RotatingKeys.open(again, purpose, HOURLY)).told for purpose in purposes] == told
    assert {stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()} == {0o600}
    await again.close()


async def test_a_store_of_before_there_were_purposes_is_taken_up(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "pool.db")) as database:
        database.execute("CREATE TABLE ticket_keys (name BLOB PRIMARY KEY, secret BLOB, not_before REAL)")
        database.execute("PRAGMA user_version = 2")
    store = await SqliteStore.open(tmp_path, two_mailboxes())
    assert len((await RotatingKeys.open(store, "ticket_keys", HOURLY)).told.keys) == 2
    await store.close()


async def test_every_edge_is_told_the_same_before_its_first_pool(attach: Callable[..., Awaitable[FakeEdge]]) -> None:
    edges = [await attach(edge_id) for edge_id in ("edge-1", "edge-2")]
    for purpose, rotation, opens_for in (
        ("ticket_keys", 12 * HOUR, 12 * HOUR),
        ("cookie_keys", 7 * DAY, COOKIE_SECONDS),
    ):
        told = [await edge.told_keys(purpose) for edge in edges]
        assert told[0] == told[1]
        assert (told[0].rotation.ToSeconds(), told[0].opens_for.ToSeconds()) == (rotation, opens_for)
        assert len(told[0].keys) == 2


async def test_edges_are_told_of_each_rotation(running: Running, attach: Callable[..., Awaitable[FakeEdge]]) -> None:
    edge = await attach("edge-1")
    assert (await edge.taken()).HasField("snapshot")
    text = 'ticket_keys.rotation = "1s"\ncookie_keys.rotation = "24h"\n'
    running.file.write_text(text + running.file.read_text())
    await take(running)
    assert (await edge.told_keys("cookie_keys")).rotation.ToSeconds() == DAY
    before, after = [await edge.told_keys("ticket_keys") for _ in range(2)]
    assert list(after.keys)[:2] == list(before.keys)[-2:]
