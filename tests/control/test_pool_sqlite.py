"""The SQLite store: what it acknowledged is there, whatever happens to the process."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import aclosing
from typing import TYPE_CHECKING

import pytest

from control.pools import backend, two_mailboxes
from zcontrol.errors import StoreUnavailableError
from zcontrol.pool.model import PoolConflictError, PoolNotFoundError, add_backend
from zcontrol.pool.sqlite import SqliteStore
from zcontrol.pool.store import Note
from zcontrol.sqlite import Database
from zcontrol.v1 import pool_pb2

if TYPE_CHECKING:
    from pathlib import Path

PATIENCE_SECONDS = 10
NOTE = Note(author="siti", action="add mbox-3", reason="more room")

# Commits versions for ever, and tells each on stdout only after the store acknowledged it.
WRITER = """
import asyncio, sys
from pathlib import Path
from zcontrol.pool.sqlite import SqliteStore
from zcontrol.pool.store import Note
from zcontrol.v1 import pool_pb2

async def main():
    store = await SqliteStore.open(Path(sys.argv[1]), pool_pb2.Pool())
    while True:
        base = store.current.version
        pool = pool_pb2.Pool(groups=[pool_pb2.Group(name=f"g{base + 1}", kind=1)])
        entry = await store.commit(pool, base=base, note=Note(author="w", action="write"))
        print(entry.version, flush=True)

asyncio.run(main())
"""


async def test_is_seeded_once_and_afterwards_the_store_is_the_truth(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path, two_mailboxes())
    assert (store.current.version, len(store.current.backends)) == (1, 4)
    await store.commit(add_backend(store.current, backend("mbox-3")), base=1, note=NOTE)
    await store.close()
    again = await SqliteStore.open(tmp_path, pool_pb2.Pool(backends=[backend("other")]))
    assert (again.current.version, len(again.current.backends)) == (2, 5)
    await again.close()


async def test_without_a_seed_nothing_was_ever_written(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path, pool_pb2.Pool())
    assert (store.current.version, await store.history(10)) == (0, [])
    await store.close()


async def test_only_one_of_two_changes_of_one_version_wins(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path, two_mailboxes())
    wishes = [store.commit(add_backend(store.current, backend(f"mbox-{n}")), base=1, note=NOTE) for n in range(3, 8)]
    outcomes = await asyncio.gather(*wishes, return_exceptions=True)
    assert sum(isinstance(outcome, PoolConflictError) for outcome in outcomes) == 4
    assert store.current.version == 2
    await store.close()


async def test_history_is_newest_first_and_every_version_can_be_read(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path, two_mailboxes())
    await store.commit(add_backend(store.current, backend("mbox-3")), base=1, note=NOTE)
    newest, seed = await store.history(10)
    assert (newest.version, newest.note, seed.version) == (2, NOTE, 1)
    assert seed.note.action == "seed from the config file"
    assert len(await store.history(1)) == 1
    assert len((await store.at(1)).backends) == 4
    with pytest.raises(PoolNotFoundError, match="no version 3"):
        await store.at(3)
    await store.close()


async def test_a_watch_begins_with_the_current_pool_and_skips_what_a_slow_reader_missed(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path, two_mailboxes())
    async with aclosing(store.watch()) as watch:
        assert (await anext(watch)).version == 1
        for version in (1, 2):
            await store.commit(store.current, base=version, note=NOTE)
        assert (await anext(watch)).version == 3
        waiting = asyncio.ensure_future(anext(watch))
        await store.commit(store.current, base=3, note=NOTE)
        assert (await waiting).version == 4
        ending = asyncio.ensure_future(anext(watch, None))
        await store.close()
        assert await ending is None


async def test_a_caller_who_leaves_does_not_part_the_write_from_its_publication(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path, two_mailboxes())
    commit = asyncio.ensure_future(store.commit(store.current, base=1, note=NOTE))
    async with aclosing(store.watch()) as watch:
        await anext(watch)
        await asyncio.sleep(0)  # lets the commit begin
        commit.cancel()
        assert (await anext(watch)).version == 2
    await store.close()


async def test_a_store_that_cannot_write_says_so_and_changes_nothing(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path, two_mailboxes())
    await store.database.run(lambda database: database.execute("PRAGMA query_only = ON"))
    with pytest.raises(StoreUnavailableError, match="check the disk"):
        await store.commit(store.current, base=1, note=NOTE)
    assert store.current.version == 1
    await store.database.run(lambda database: database.execute("PRAGMA query_only = OFF"))
    await store.commit(store.current, base=1, note=NOTE)
    await store.close()


async def test_two_controls_cannot_hold_one_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zcontrol.sqlite._LOCK_SECONDS", 0.0)
    store = await SqliteStore.open(tmp_path, two_mailboxes())
    with pytest.raises(StoreUnavailableError, match="another control process holds it"):
        await SqliteStore.open(tmp_path, pool_pb2.Pool())
    await store.close()


async def test_a_file_that_is_no_database_is_told(tmp_path: Path) -> None:
    (tmp_path / "pool.db").write_bytes(b"junk" * 1000)
    with pytest.raises(StoreUnavailableError, match=r"pool\.db"):
        await SqliteStore.open(tmp_path, pool_pb2.Pool())


async def test_a_newer_schema_is_left_alone(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "pool.db") as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(StoreUnavailableError, match="newer zproxy"):
        await SqliteStore.open(tmp_path, pool_pb2.Pool())


async def test_everything_acknowledged_survives_kill_9(tmp_path: Path) -> None:
    for _ in range(3):
        acknowledged = write_until_killed(tmp_path, versions=20)
        store = await SqliteStore.open(tmp_path, pool_pb2.Pool())
        newest = store.current.version
        assert newest >= acknowledged
        assert [entry.version for entry in await store.history(10_000)] == list(range(newest, 0, -1))
        assert store.current.groups[0].name == f"g{newest}"
        await store.close()


def write_until_killed(directory: Path, *, versions: int) -> int:
    """Let a process commit at least so many versions, kill it in the middle, return the last one it acknowledged."""
    with subprocess.Popen([sys.executable, "-c", WRITER, directory], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        told = [writer.stdout.readline() for _ in range(versions)]
        os.kill(writer.pid, signal.SIGKILL)
        told += writer.stdout.read().splitlines(keepends=True)
    # The last line may have been cut.
    return max(int(line) for line in told if line.endswith(b"\n"))


async def test_who_leaves_keeps_the_connection_from_others_until_its_step_is_done(tmp_path: Path) -> None:
    database = await Database.open(tmp_path / "pool.db")
    begun, released = threading.Event(), threading.Event()
    done: list[str] = []

    def slow(_: object) -> None:
        begun.set()
        released.wait(PATIENCE_SECONDS)
        done.append("slow")

    leaving = asyncio.create_task(database.run(slow))
    await asyncio.to_thread(begun.wait, PATIENCE_SECONDS)
    leaving.cancel()
    await asyncio.wait((leaving,))
    next_one = asyncio.create_task(database.run(lambda _: done.append("next")))
    # A thread's turn: that of the next one, were it not kept from the connection.
    await asyncio.to_thread(done.copy)
    released.set()
    await next_one
    assert done == ["slow", "next"]
    await database.close()
