"""People read and write mail in a browser: under one name, and each on the server where his mailbox is.

Roundcube's form holds a token of the session in which it was made, and each server has sessions of its own. The form is
made by the one server or by the other, as the product is told.
"""

from __future__ import annotations

import hashlib
import re
from random import randbytes
from typing import TYPE_CHECKING

import pytest

from servers.browser import browser, page
from servers.waiting import until
from servers.webmail import URL, Webmail
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


def test_two_people_at_two_machines_do_not_meet(chromium: Browser) -> None:
    with page(chromium) as left, page(chromium) as right:
        siti, budi = Webmail(left, "left"), Webmail(right, "right")
        siti.open()
        budi.open()
        assert siti.log_in(SITI) == "mbox-1"
        assert budi.log_in(BUDI) == "mbox-2"
        for _ in range(2):
            assert "lives on mbox-1" in siti.read("You are on mbox-1")
            assert "lives on mbox-2" in budi.read("You are on mbox-2")
            left.goto(URL)
            right.goto(URL)


@pytest.mark.parametrize("account", [SITI, BUDI, "nobody@tgg.net.id"])
def test_who_has_no_password_is_told_so_and_the_right_one_still_does(account: str, chromium: Browser) -> None:
    with page(chromium) as shown:
        webmail = Webmail(shown, f"refused {account}")
        webmail.open()
        assert webmail.log_in(account, "wrong") == ""
        assert webmail.refusal() == "Login failed."
        assert webmail.log_in(BUDI) == "mbox-2"


def test_the_route_cookie_is_for_this_host_and_for_us_alone(chromium: Browser, webmails: Webmails) -> None:
    with page(chromium) as shown:
        webmail = Webmail(shown, "cookie")
        webmail.open()
        assert webmail.log_in(BUDI) == "mbox-2"
        cookies = shown.context.cookies()
        (ours,) = (cookie for cookie in cookies if cookie["name"] == ROUTE_COOKIE)
        assert "budi" not in ours["value"]
        told = {key: ours[key] for key in ("domain", "path", "secure", "httpOnly", "sameSite")}
        assert told == {"domain": HOSTNAME, "path": "/", "secure": True, "httpOnly": True, "sameSite": "Lax"}
        assert all(cookie["secure"] for cookie in cookies if cookie["name"].startswith("roundcube"))
    for roundcube in webmails.roundcubes.values():
        assert not any(ROUTE_COOKIE in seen.cookie for seen in roundcube.seen())


def test_the_webmail_is_told_who_the_client_is(zproxy: Zproxy, chromium: Browser, webmails: Webmails) -> None:
    with page(chromium) as shown:
        webmail = Webmail(shown, "client")
        for account in (SITI, BUDI):
            webmail.open()
            webmail.log_in(account)
            webmail.log_out()
    for name, roundcube in webmails.roundcubes.items():
        seen = [one for one in roundcube.seen() if one.method == "POST" and "_task=login" in one.uri]
        assert {(one.host, one.forwarded_for, one.forwarded_proto) for one in seen} == {
            (HOSTNAME, "127.0.0.1", "https")
        }
        assert {one.proxied for one in seen} == {"127.0.0.1" if name == "mbox-2" else ""}
    records = until(lambda: [one for one in zproxy.records() if one.get("account") == BUDI and one["method"] == "POST"])
    assert {record["backend"] for record in records} == {"mbox-2"}
    assert not re.search(r"_pass|demo|_token|roundcube_sessid", zproxy.records_file.read_text())
