"""Calendars of a real server, by a real client library: each is where its owner's home is, under one name.

The server asks for Basic, and the name in it leads there.
"""

from __future__ import annotations

import re
import socket
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol

import pytest
from caldav import DAVClient
from caldav.lib.error import AuthorizationError

from servers.http_client import Http1
from servers.radicale import PORT, Radicale
from servers.waiting import until
from servers.zproxy import HOMES, Zproxy, directory_file, listener
from zcontrol.demo.accounts import ACCOUNTS, HOSTNAME, PASSWORD
from zcontrol.demo.loopback import own_address

if TYPE_CHECKING:
    from collections.abc import Iterator

    from caldav import Calendar

    from servers.certificates import Authority
    from servers.zproxy import Config

SITI, BUDI = "siti@tgg.net.id", "budi@tgg.net.id"
TEN = datetime(2030, 1, 1, 10, tzinfo=UTC)
CERTIFIED = "mbox-2.example"


@pytest.fixture(scope="module")
def radicales(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[dict[str, Radicale]]:
    """mbox-1's speaks in clear, mbox-2's in TLS."""
    with ExitStack() as stack:
        made = {
            name: Radicale(
                tmp_path_factory.mktemp(f"radicale-{name}"),
                own_address(),
                *accounts,
                certificate=authority.issue(CERTIFIED) if name == "mbox-2" else None,
            )
            for name, accounts in ACCOUNTS.items()
        }
        for radicale in made.values():
            stack.enter_context(radicale.running())
        yield made


@pytest.fixture(scope="module")
def zproxy(
    tmp_path_factory: pytest.TempPathFactory, authority: Authority, radicales: dict[str, Radicale]
) -> Iterator[Zproxy]:
    directory = tmp_path_factory.mktemp("calendars")
    tls: dict[str, Config] = {"mbox-1": {}, "mbox-2": {"tls": "implicit", "verify_name": CERTIFIED}}
    config = {
        "listeners": [listener("https", "http", "implicit")],
        "certificates": [authority.issue(HOSTNAME).config],
        "backend_tls": {"ca_file": str(authority.ca_file)},
        "directory": directory_file(directory / "accounts.csv", HOMES),
        "groups": [{"name": "calendars", "kind": "shared"}],
        "backends": [
            {
                "name": name,
                "group": "calendars",
                "host": radicale.address,
                "endpoints": {"http": {"port": PORT, **tls[name]}},
            }
            for name, radicale in radicales.items()
        ],
        "http": {"hosts": [{"names": [HOSTNAME], "login": "calendars"}]},
    }
    with Zproxy(directory, config) as running:
        until(lambda: serves(running, authority))
        yield running


@pytest.fixture(autouse=True)
def _name_of_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no DNS: that name is on loopback."""
    look_up = socket.getaddrinfo

    def found(host: Any, *rest: Any, **further: Any) -> Any:  # noqa: ANN401 - whatever the library gives
        return look_up("127.0.0.1" if host in (HOSTNAME, HOSTNAME.encode()) else host, *rest, **further)

    monkeypatch.setattr(socket, "getaddrinfo", found)


def serves(zproxy: Zproxy, authority: Authority) -> bool:
    with Http1(zproxy.listeners["https"], authority) as client:
        return client.get("/").status == 302


class Connect(Protocol):
    def __call__(self, account: str, password: str = PASSWORD, *, path: str = "/") -> DAVClient: ...


@pytest.fixture
def connect(zproxy: Zproxy, authority: Authority) -> Iterator[Connect]:
    """Set somebody's calendar program up."""
    port = zproxy.listeners["https"][1]
    with ExitStack() as stack:

        def connected(account: str, password: str = PASSWORD, *, path: str = "/") -> DAVClient:
            client = DAVClient(
                url=f"https://{HOSTNAME}:{port}{path}",
                username=account,
                password=password,
                ssl_verify_cert=str(authority.ca_file),
            )
            return stack.enter_context(client)

        yield connected


def calendar(client: DAVClient) -> Calendar:
    """Return the only calendar, made if there was none."""
    principal = client.principal()
    calendars = principal.calendars()
    return calendars[0] if calendars else principal.make_calendar(name="Home")


@pytest.mark.parametrize("account", HOMES)
def test_a_calendar_is_where_its_owner_lives(account: str, connect: Connect, radicales: dict[str, Radicale]) -> None:
    made = calendar(connect(account))
    made.save_event(dtstart=TEN, dtend=TEN + timedelta(hours=1), summary=f"Tea of {account}")
    # Another machine of the same person, which knows nothing.
    (event,) = calendar(connect(account)).events()
    assert event.icalendar_component["summary"] == f"Tea of {account}"
    assert [name for name, radicale in radicales.items() if account in radicale.collections()] == [HOMES[account]]
    event.delete()
    assert calendar(connect(account)).events() == []


def test_the_name_in_the_path_does_not_open_what_the_password_does_not(connect: Connect) -> None:
    theirs = calendar(connect(BUDI))
    with pytest.raises(AuthorizationError):
        connect(SITI).calendar(url=theirs.url).events()


@pytest.mark.parametrize("account", [SITI, BUDI, "nobody@tgg.net.id"])
def test_a_wrong_password_is_the_servers_to_refuse(account: str, connect: Connect) -> None:
    with pytest.raises(AuthorizationError):
        connect(account, "wrong").principal()


@pytest.mark.parametrize("account", [SITI, BUDI])
def test_a_program_finds_the_calendars_by_the_well_known_path(account: str, connect: Connect, zproxy: Zproxy) -> None:
    principal = connect(account, path="/.well-known/caldav").principal()
    assert principal.url.path == f"/{account.replace('@', '%40')}/"
    assert principal.url.port == zproxy.listeners["https"][1]


def test_the_server_is_told_of_the_client_and_the_record_of_no_password(
    connect: Connect, zproxy: Zproxy, radicales: dict[str, Radicale]
) -> None:
    calendar(connect(BUDI))
    told = r"PROPFIND request .* received from 127\.0\.0\.1 \(forwarded for '127\.0\.0\.1'"
    assert re.search(told, radicales["mbox-2"].log())
    records = until(lambda: [record for record in zproxy.records() if record.get("account") == BUDI])
    assert {(record["backend"], record["recognised"]) for record in records} == {("mbox-2", "basic")}
    assert PASSWORD not in zproxy.records_file.read_text()
