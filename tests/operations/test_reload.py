"""What takes force without a restart: listeners, the records' file, the directory's file."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from servers.clients import WAYS, Visitor
from servers.waiting import accepts, until
from servers.zproxy import HOMES, Zproxy, listener, two_mailboxes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from servers.certificates import Authority
    from zcontrol.demo.dovecot import MailboxServer

BUDI = "budi@tgg.net.id"


@pytest.fixture
def zproxy(tmp_path: Path, authority: Authority, mailboxes: dict[str, MailboxServer]) -> Iterator[Zproxy]:
    with Zproxy(tmp_path, two_mailboxes(tmp_path, authority, mailboxes)) as running:
        yield running


@pytest.fixture
def visitor(zproxy: Zproxy, authority: Authority) -> Visitor:
    return Visitor(zproxy=zproxy, context=authority.client_context())


def test_a_listener_comes_and_another_goes_and_its_sessions_stay(zproxy: Zproxy, visitor: Visitor) -> None:
    with socket.create_server(("127.0.0.1", 0)) as drawn:
        port = drawn.getsockname()[1]
    with visitor.imap(WAYS["IMAPS"]) as client:
        client.login(BUDI, "demo")
        staying = [one for one in zproxy.config["listeners"] if one["name"] != "imaps"]
        zproxy.config["listeners"] = [*staying, listener("late", "imap", "implicit", address=f"127.0.0.1:{port}")]
        zproxy.reload()
        until(lambda: accepts("127.0.0.1", port))
        until(lambda: not accepts(*zproxy.listeners["imaps"]))
        assert client.select(readonly=True) == ("OK", [b"1"])


def test_a_listener_is_renamed_and_widened_on_the_port_it_has(zproxy: Zproxy, visitor: Visitor) -> None:
    with socket.create_server(("127.0.0.1", 0)) as drawn:
        port = drawn.getsockname()[1]
    others = zproxy.config["listeners"]
    for name, address in (("early", "127.0.0.1"), ("renamed", "127.0.0.1"), ("renamed", "0.0.0.0")):
        moving = listener(name, "imap", "implicit", address=f"{address}:{port}")
        zproxy.config["listeners"] = [*others, moving]
        zproxy.reload()
        until(lambda: accepts("127.0.0.1", port))
    until(lambda: accepts("127.9.9.9", port))
    visitor.read_first(WAYS["IMAP"], BUDI)


def test_records_go_to_a_new_file_after_logrotate_moved_the_old_one(zproxy: Zproxy, visitor: Visitor) -> None:
    visitor.read_first(WAYS["IMAP"], BUDI)
    first = zproxy.record_from(visitor.address)
    moved = zproxy.records_file.with_suffix(".1")
    zproxy.records_file.replace(moved)
    zproxy.reload()
    until(zproxy.records_file.exists)
    later = Visitor(zproxy=zproxy, context=visitor.context)
    later.read_first(WAYS["IMAP"], BUDI)
    assert zproxy.record_from(later.address)["account"] == BUDI
    assert first["id"] not in zproxy.records_file.read_text()


def test_a_config_that_is_refused_moves_no_records(zproxy: Zproxy, visitor: Visitor) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        refused = listener("late", "imap", "implicit", address=f"127.0.0.1:{taken.getsockname()[1]}")
        zproxy.config["listeners"] = [*zproxy.config["listeners"], refused]
        zproxy.config["log"] = {"records": str(zproxy.directory / "elsewhere.jsonl")}
        zproxy.reload()
        until(lambda: "cannot be listened on" in zproxy.errors())
    visitor.read_first(WAYS["IMAP"], BUDI)
    assert zproxy.record_from(visitor.address)["account"] == BUDI


def test_an_account_moved_in_the_directory_file_is_found_at_its_new_home(zproxy: Zproxy, visitor: Visitor) -> None:
    accounts = zproxy.directory / "accounts.csv"
    assert "lives on mbox-2" in visitor.read_first(WAYS["IMAPS"], BUDI)
    accounts.write_text("".join(f"{line}\n" for line in ("account,home", *_rows(HOMES | {BUDI: "mbox-1"}))))
    # It has no mailbox there: that its password is refused shows where he was sent.
    until(lambda: _login_refused(visitor))


def _rows(homes: dict[str, str]) -> list[str]:
    return [f"{account},{home}" for account, home in homes.items()]


def _login_refused(visitor: Visitor) -> bool:
    with visitor.imap(WAYS["IMAPS"]) as client:
        try:
            client.login(BUDI, "demo")
        except client.error:
            return True
    return False
