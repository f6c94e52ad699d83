"""Who must be proved gets a temporary failure where nobody can prove him, and where a backend does not believe us."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from servers import proving
from servers.dovecot import logins, start
from servers.proving import MASTER, right
from servers.raw_client import RawClient
from servers.said import TEMPORARY, WRONG, log_in
from servers.waiting import until
from servers.zproxy import Zproxy, backend, listener
from zcontrol.demo.dovecot import PORTS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from servers.certificates import Authority
    from servers.tokens import TokenIssuer
    from servers.zproxy import Config
    from zcontrol.demo.dovecot import MailboxServer

SITI, NOBODY = "siti@tgg.net.id", "nobody@tgg.net.id"


@pytest.fixture(scope="module")
def mailbox(authority: Authority) -> Iterator[MailboxServer]:
    with ExitStack() as stack:
        lines = stack.enter_context(proving.master_lines())
        yield start(stack, authority, "mbox-1", SITI, lines=lines)


@pytest.fixture
def config(tmp_path: Path, mailbox: MailboxServer, issuer: TokenIssuer) -> Iterator[Config]:
    with proving.directory(tmp_path / "slapd", {SITI: mailbox.name}) as slapd:
        imap = {"port": PORTS["imap"], "login_style": "verify_then_master"}
        yield {
            "listeners": [listener("imap", "imap", "off")],
            "timeouts": {"auth_failure_delay": "0.1s", "lookup": "1s"},
            "backends": [backend(mailbox, imap=imap)],
            **proving.config(slapd, issuer),
        }


def answer(zproxy: Zproxy, name: str, password: str) -> bytes:
    with RawClient(zproxy.listeners["imap"]) as client:
        assert client.line().startswith(b"* OK")
        return client.ask(log_in("imap", name, password))


def is_let_in(zproxy: Zproxy) -> bool:
    return answer(zproxy, SITI, right(SITI)).startswith((b"a OK", b"* CAPABILITY"))


def errors(zproxy: Zproxy) -> list[Any]:
    return [record.get("error") for record in zproxy.records() if record["event"] == "login_refused"]


def test_without_control_a_known_user_is_told_to_come_back_and_can(tmp_path: Path, config: Config) -> None:
    with apart(tmp_path, config) as (control, edge):
        until(lambda: is_let_in(edge))
        control.kill()
        for password in (right(SITI), "wrong"):
            assert answer(edge, SITI, password) == TEMPORARY["imap"]
        until(lambda: any("no connection to the control plane" in error for error in errors(edge)))
        control.__enter__()
        until(lambda: is_let_in(edge), seconds=20)
        assert answer(edge, SITI, "wrong") == WRONG["imap"]


def test_a_refused_master_user_is_no_wrong_password_and_an_alarm(
    tmp_path: Path, config: Config, mailbox: MailboxServer
) -> None:
    config["master_users"] = [MASTER | {"password": "another"}]
    before = len(logins(mailbox))
    with Zproxy(tmp_path, config) as zproxy:
        # Oftener than makes a backend go down.
        for _ in range(5):
            assert answer(zproxy, SITI, right(SITI)) == TEMPORARY["imap"]
        assert answer(zproxy, SITI, "wrong") == WRONG["imap"]
        assert answer(zproxy, NOBODY, "wrong") == WRONG["imap"]
        assert len(logins(mailbox)) == before
        until(lambda: len(errors(zproxy)) == 7)
        assert all("refused our master user all" in error for error in errors(zproxy)[:5])
        assert "(4 logins of proved clients so far)" in zproxy.errors()
        zproxy.config["master_users"] = [MASTER]
        zproxy.reload()
        until(lambda: is_let_in(zproxy))


def test_a_pool_whose_master_user_the_edge_lacks_is_refused_until_it_has_him(tmp_path: Path, config: Config) -> None:
    masters = config.pop("master_users")
    with apart(tmp_path, config) as (_, edge):
        until(lambda: "this edge has no single master user for its imap endpoint" in edge.errors())
        assert answer(edge, SITI, right(SITI)) == TEMPORARY["imap"]
        edge.config["master_users"] = masters
        edge.reload()
        until(lambda: is_let_in(edge), seconds=20)
        # Now the pool in force needs him.
        edge.config["master_users"] = []
        edge.reload()
        until(lambda: "add it to `master_users`" in edge.errors().partition("master_users: ")[2])
        assert is_let_in(edge)


@contextmanager
def apart(directory: Path, config: Config) -> Iterator[tuple[Zproxy, Zproxy]]:
    """Run control and an edge, each with a file of its own."""
    api = {"api": {"address": f"unix:{directory / 'api.sock'}"}}
    with ExitStack() as stack:
        control, edge = (
            stack.enter_context(Zproxy(made(directory / role), config | api, role=role)) for role in ("control", "edge")
        )
        yield control, edge


def made(directory: Path) -> Path:
    directory.mkdir()
    return directory
