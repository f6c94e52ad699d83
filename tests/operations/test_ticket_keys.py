"""Sessions resumed by tickets: at any edge, until their key is rotated away, and under their own settings only."""

from __future__ import annotations

import base64
import shutil
import sqlite3
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from servers.openssl import ticket, visit
from servers.waiting import until
from servers.zproxy import Zproxy, directory_file, listener
from zcontrol.demo.accounts import HOSTNAME

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from servers.certificates import Authority

LISTENERS = [
    listener("imaps", "imap", "implicit"),
    listener("imaps_again", "imap", "implicit"),
    listener("imaps_new", "imap", "implicit", tls_min_version="tls1_3"),
    listener("pop3s", "pop3", "implicit"),
]
# Long enough for a busy machine to look twice within one.
ROTATION_SECONDS = 4
KEY_NAME_OCTETS = 16
both = pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])


@dataclass(frozen=True, kw_only=True)
class Site:
    """Two edges of one control plane, and where clients keep their sessions."""

    control: Zproxy
    edges: tuple[Zproxy, Zproxy]
    directory: Path

    def session(self, edge: int, *options: str, name: str = "session") -> Path:
        """Visit, and return the file of the session that can be resumed."""
        file = self.directory / name
        file.unlink(missing_ok=True)
        assert not visit(self.edges[edge].listeners["imaps"], "-sess_out", file, *options).resumed
        return file

    def resumes(self, session: Path, edge: int, *options: str, at: str = "imaps", name: str = HOSTNAME) -> bool:
        protocol = at.partition("s")[0]
        to = self.edges[edge].listeners[at]
        return visit(to, "-sess_in", session, *options, protocol=protocol, name=name).resumed

    def key(self, edge: int) -> bytes:
        """Return the name of the key that an edge seals by."""
        return ticket(self.session(edge, name="another"))[:KEY_NAME_OCTETS]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Site]:
    yield from running_site(tmp_path_factory.mktemp("site"), authority)


@pytest.fixture
def rotating(tmp_path: Path, authority: Authority) -> Iterator[Site]:
    yield from running_site(tmp_path, authority, rotation=f"{ROTATION_SECONDS}s")


def running_site(directory: Path, authority: Authority, rotation: str = "12h") -> Iterator[Site]:
    certificate = authority.issue(HOSTNAME, "mail.gec-course.com")
    asking = listener("imaps_asking", "imap", "implicit")
    asking |= {"client_certificates": {"ca_file": str(authority.ca_file), "mode": "optional"}}
    config = {
        "api": {"address": f"unix:{directory}/api.sock"},
        "directory": directory_file(directory / "accounts.csv", {"siti@tgg.net.id": "mbox-1"}),
        "certificates": [
            {"certificate_file": str(certificate.certificate_file), "key_file": str(certificate.key_file)}
        ],
        "listeners": [*LISTENERS, asking],
        "ticket_keys": {"rotation": rotation},
    }
    made = {}
    for name in ("control", "edge-1", "edge-2"):
        (directory / name).mkdir()
        made[name] = Zproxy(directory / name, config, role=name.partition("-")[0])
    with ExitStack() as running:
        for each in made.values():
            running.enter_context(each)
        site = Site(control=made["control"], edges=(made["edge-1"], made["edge-2"]), directory=directory)
        until(lambda: site.key(0) == site.key(1))
        yield site


@both
def test_a_session_of_one_edge_resumes_at_the_other_and_under_its_own_settings_only(site: Site, version: str) -> None:
    session = site.session(0, version)
    assert site.resumes(session, 1, version)
    assert site.resumes(session, 0, version, at="imaps_again")
    assert not site.resumes(session, 0, version, at="imaps_asking")
    assert not site.resumes(session, 0, version, at="pop3s")
    assert not site.resumes(session, 1, version, name="mail.gec-course.com")
    if version == "-tls1_3":
        assert not site.resumes(session, 0, version, at="imaps_new")


def test_keys_are_the_same_after_a_restart_of_control_and_of_an_edge(site: Site) -> None:
    session = site.session(0)
    for each in (site.control, site.edges[1]):
        each.kill()
        each.__enter__()
    until(lambda: site.resumes(session, 1))


def test_a_session_resumes_by_the_key_before_and_by_none_before_that(rotating: Site) -> None:
    session = rotating.session(0)
    names = [ticket(session)[:KEY_NAME_OCTETS]]
    found: dict[int, bool] = {}

    def looked() -> bool:
        before = rotating.key(1)
        resumed = rotating.resumes(session, 1)
        # A look across a rotation tells nothing.
        if rotating.key(1) == before:
            if before not in names:
                names.append(before)
            found[names.index(before)] = resumed
        return 2 in found

    until(looked, seconds=5 * ROTATION_SECONDS)
    # The first rotation may come before the first look.
    assert {0: True} | found == {0: True, 1: True, 2: False}


def test_no_key_is_written_by_an_edge_nor_to_any_log(site: Site, tmp_path: Path) -> None:
    store = site.control.directory / "state"
    for file in store.glob("pool.db*"):
        shutil.copy(file, tmp_path)
    with closing(sqlite3.connect(tmp_path / "pool.db")) as copied:
        secrets = [secret for (secret,) in copied.execute("SELECT secret FROM keys")]
    assert len(secrets) > 3
    forms = [form for secret in secrets for form in (secret, secret.hex().encode(), base64.b64encode(secret))]
    for each in (site.control, *site.edges):
        for file in each.directory.rglob("*"):
            if file.is_file() and file.parent != store:
                written = file.read_bytes()
                assert not any(form in written for form in forms), file
