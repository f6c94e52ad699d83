"""People read and write mail in a browser: under one name, and each on the server where his mailbox is.

Roundcube's form holds a token of the session in which it was made, and each server has sessions of its own. The form is
made by the one server or by the other, as the product is told.
"""

from __future__ import annotations

import hashlib
from random import randbytes
from typing import TYPE_CHECKING

import pytest

from servers.browser import browser, page
from servers.webmail import Webmail
from servers.zproxy import HOMES
from zcontrol.demo.accounts import HOSTNAME

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser

    from servers.webmails import Webmails
    from servers.zproxy import Zproxy

SITI, BUDI = "siti@tgg.net.id", "budi@tgg.net.id"
FRIENDS = {SITI: "satrio@gec-course.com", BUDI: "gesang@gec-course.com"}
"""Each lives on the other server."""
MEGABYTE = 1_000_000
ROUTE_COOKIE = "__Host-zproxy"


@pytest.fixture(scope="module", params=["mbox-1", "mbox-2"])
def login(request: pytest.FixtureRequest) -> str:
    """Who makes the form."""
    return str(request.param)


@pytest.fixture(scope="module")
def zproxy(login: str, tmp_path_factory: pytest.TempPathFactory, webmails: Webmails) -> Iterator[Zproxy]:
    with webmails.behind(tmp_path_factory.mktemp("webmail"), login=login) as running:
        yield running


@pytest.fixture(scope="module")
def chromium(zproxy: Zproxy, tmp_path_factory: pytest.TempPathFactory, webmails: Webmails) -> Iterator[Browser]:
    names = {HOSTNAME: zproxy.listeners["https"]}
    with browser(tmp_path_factory.mktemp("browser"), webmails.authority, names) as running:
        yield running


def test_everybody_lands_on_his_own_server_one_after_the_other(
    login: str, chromium: Browser, webmails: Webmails
) -> None:
    """The form is the same for all, the browser too; what one leaves in it does not lead the next one."""
    with page(chromium) as shown:
        webmail = Webmail(shown, f"form of {login}")
        assert webmail.open() == login
        for account, home in HOMES.items():
            assert webmail.log_in(account) == home
            assert webmail.read(f"You are on {home}").strip() == f"The account {account} lives on {home}."
            # The form that follows is of the one who was there.
            webmail.log_out()
    for name, roundcube in webmails.roundcubes.items():
        assert roundcube.users() == {account for account, home in HOMES.items() if home == name}


@pytest.mark.parametrize("sender", FRIENDS)
def test_an_attachment_for_the_other_domain_arrives_as_it_was_sent(
    sender: str, login: str, tmp_path: Path, chromium: Browser
) -> None:
    to, subject = FRIENDS[sender], f"Film of {login}"
    film = tmp_path / "film.bin"
    film.write_bytes(randbytes(10 * MEGABYTE))
    with page(chromium) as shown:
        webmail = Webmail(shown, f"{sender} by the form of {login}")
        webmail.open()
        assert webmail.log_in(sender) == HOMES[sender]
        webmail.send(to, subject, film)
        webmail.log_out()
        assert webmail.log_in(to) == HOMES[to]
        assert webmail.read(subject).strip() == "See you."
        arrived = webmail.attachment(tmp_path / "arrived.bin")
    assert hashlib.sha256(arrived).digest() == hashlib.sha256(film.read_bytes()).digest()
