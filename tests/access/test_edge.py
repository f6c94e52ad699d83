"""An edge on another machine: it reaches control by TLS, shows what it must, and takes up what is renewed."""

from __future__ import annotations

import asyncio
import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from access.authorities import Office, pem, replace
from access.conftest import ROLES
from servers.front import ALICE, BOB, IMPLICIT, Front
from servers.said import TEMPORARY, WELCOME
from servers.waiting import until
from servers.zproxy import PROGRAM
from zcontrol.access.roles import EDGE, VIEWER, Role
from zcontrol.access.sqlite import SqliteAccess
from zcontrol.access.tokens import Tokens, Wanted
from zcontrol.demo.loopback import own_address
from zcontrol.sqlite import Database

if TYPE_CHECKING:
    from pathlib import Path

    from servers.certificates import Authority

CONTROL = "control.tgg.net.id"
# Two seconds until a stream ends, and the edge's pauses between two tries.
SOON = 20


class Apart(Front):
    """Control and an edge that may not use its socket."""

    def __init__(self, directory: Path, authority: Authority, office: Office) -> None:
        super().__init__(directory, authority, apart=True, timeouts=QUICK)
        self.attaches = True
        host = own_address()
        self.tokens, self.certificates = f"{host}:7412", f"{host}:7411"
        shown = office.issue(f"dns:{CONTROL}", stem="control").config
        client_ca_file = str(office.directory / "clients.pem")
        replace(office.directory / "clients.pem", pem(office.root.certificate))
        by_certificates = {"address": self.certificates, "client_ca_file": client_ca_file, "roles": ROLES, **shown}
        self.control.config["api"] = {
            "address": f"unix:{directory}/api.sock",
            "certificates": by_certificates,
            "tokens": {"address": self.tokens, **shown},
        }
        del self.zproxy.config["api"]
        self.zproxy.config["control"] = {"ca_file": str(office.ca_file), "server_name": CONTROL}

    def await_probes(self) -> None:
        """An edge that control does not let in never has a pool."""
        if self.attaches:
            super().await_probes()

    def call(self, *words: str) -> Any:  # noqa: ANN401 - JSON
        """What the command answers by the Unix socket."""
        done = subprocess.run(
            [PROGRAM, "--api", self.control.api, *words, "--json"], capture_output=True, text=True, check=True
        )
        return json.loads(done.stdout)

    def edges(self) -> int:
        return int(self.call("pool", "list")["edges"])

    def drawn(self, role: Role) -> tuple[str, str]:
        """A token, made before control starts."""
        return asyncio.run(self._drawn(role))

    async def _drawn(self, role: Role) -> tuple[str, str]:
        database = await Database.open(self.control.directory / "state" / "pool.db")
        tokens = await Tokens.open(SqliteAccess(database))
        token, secret = await tokens.create(Wanted(role=role, note="", lifetime=None, author="test"))
        await database.close()
        return token.id, secret


QUICK = {"lookup": "500ms", "auth_failure_delay": "100ms", "shutdown": "100ms"}


@pytest.fixture
def office(tmp_path: Path) -> Office:
    return Office(tmp_path / "office")


@pytest.fixture
def apart(tmp_path: Path, authority: Authority, office: Office) -> Apart:
    return Apart(tmp_path, authority, office)


def test_an_edge_with_a_certificate_takes_up_its_renewal(apart: Apart, office: Office, tmp_path: Path) -> None:
    certificate = office.issue("dns:edge-1.tgg.net.id", stem="edge")
    apart.zproxy.config["control"] |= {"address": apart.certificates, **certificate.config}
    with apart, apart.session("imap", BOB) as live:
        assert apart.call("sessions", "count")["sessions"] == 1
        # The clients' authority is replaced by another; control's own certificate is not of it.
        other = Office(tmp_path / "other")
        replace(office.directory / "clients.pem", pem(other.root.certificate))
        until(lambda: apart.edges() == 0, seconds=SOON)
        assert apart.answer("imap", BOB).startswith(WELCOME["imap"])
        assert apart.answer("imap", ALICE) == TEMPORARY["imap"]
        renewed = other.issue("dns:edge-1.tgg.net.id")
        replace(certificate.key_file, renewed.key_file.read_bytes())
        replace(certificate.certificate_file, renewed.certificate_file.read_bytes())
        until(lambda: apart.edges() == 1, seconds=SOON)
        until(lambda: apart.answer("imap", ALICE).startswith(WELCOME["imap"]), seconds=SOON)
        assert live.ask(b"a NOOP\r\n").startswith(b"a OK")
        until(lambda: apart.call("sessions", "count")["sessions"] == 1, seconds=SOON)


def test_an_edge_with_a_token_takes_up_another(apart: Apart, tmp_path: Path) -> None:
    token_id, secret = apart.drawn(EDGE)
    file = tmp_path / "token"
    file.write_text(f"{secret}\n")
    apart.zproxy.config["control"] |= {"address": apart.tokens, "token_file": str(file)}
    with apart:
        assert apart.answer("imap", BOB).startswith(WELCOME["imap"])
        another = apart.call("token", "create", "--role", "edge")["secret"]
        apart.call("token", "revoke", token_id)
        until(lambda: apart.edges() == 0, seconds=SOON)
        assert apart.answer("imap", ALICE) == TEMPORARY["imap"]
        until(lambda: "unknown, revoked or wrong" in apart.zproxy.errors(), seconds=SOON)
        replace(file, another.encode())
        until(lambda: apart.edges() == 1, seconds=SOON)
        until(lambda: apart.answer("imap", IMPLICIT).startswith(WELCOME["imap"]), seconds=SOON)
    said = apart.zproxy.errors() + apart.control.errors()
    assert not [each for each in (secret, another) if each[-43:] in said]


def test_a_role_that_is_not_an_edges_gets_nothing(apart: Apart, tmp_path: Path) -> None:
    _, secret = apart.drawn(VIEWER)
    (tmp_path / "token").write_text(secret)
    apart.zproxy.config["control"] |= {"address": apart.tokens, "token_file": str(tmp_path / "token")}
    apart.attaches = False
    with apart:
        until(lambda: "is viewer; zcontrol.v1.EdgeService/Watch takes edge" in apart.zproxy.errors(), seconds=SOON)
        assert apart.edges() == 0
        assert apart.answer("imap", BOB) == TEMPORARY["imap"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"server_name": "other.tgg.net.id"}, "not valid for name"),
        ({"ca_file": "strangers"}, "invalid peer certificate"),
    ],
)
def test_what_is_not_control_is_shown_nothing(change: dict[str, str], told: str, apart: Apart, tmp_path: Path) -> None:
    _, secret = apart.drawn(EDGE)
    (tmp_path / "token").write_text(secret)
    strangers = {"strangers": str(Office(tmp_path / "strangers").ca_file)}
    change = {key: strangers.get(value, value) for key, value in change.items()}
    reach = {"address": apart.tokens, "token_file": str(tmp_path / "token"), **change}
    apart.zproxy.config["control"] |= reach
    apart.attaches = False
    with apart:
        until(lambda: told in apart.zproxy.errors(), seconds=SOON)
        assert apart.edges() == 0
        assert apart.call("audit")["lines"] == []
