"""What people see who come to the webmail together, with a wrong password, or again; and what it is told of them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from servers.browser import browser, page
from servers.waiting import until
from servers.webmail import URL, Webmail
from servers.webmails import GROUP
from zcontrol.demo.accounts import HOSTNAME

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser

    from servers.webmails import Webmails
    from servers.zproxy import Zproxy

SITI, BUDI = "siti@tgg.net.id", "budi@tgg.net.id"
ROUTE_COOKIE = "__Host-zproxy"


@pytest.fixture(scope="module")
def zproxy(tmp_path_factory: pytest.TempPathFactory, webmails: Webmails) -> Iterator[Zproxy]:
    """Whichever webmail it chooses makes the form."""
    with webmails.behind(tmp_path_factory.mktemp("visits"), login=GROUP) as running:
        yield running


@pytest.fixture(scope="module")
def chromium(zproxy: Zproxy, tmp_path_factory: pytest.TempPathFactory, webmails: Webmails) -> Iterator[Browser]:
    names = {HOSTNAME: zproxy.listeners["https"]}
    with browser(tmp_path_factory.mktemp("visitors"), webmails.authority, names) as running:
        yield running


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
