"""Login forms: the field says where to, whichever server made the form, and the browser remembers."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode

import pytest

from servers.fake_web import says
from servers.http_client import Http1
from servers.site import BUDI, SITI, Site
from servers.waiting import until
from zcontrol.demo.accounts import HOSTNAME

if TYPE_CHECKING:
    from collections.abc import Iterator

    from servers.certificates import Authority
    from servers.fake_backend import Conversation
    from servers.fake_web import Answers, Request
    from servers.http_client import Answer

PASSWORD = "pw"
COOKIE = "__Host-zproxy"
ORIGIN = f"Origin: https://{HOSTNAME}"


@dataclass(kw_only=True)
class Webmail:
    """A server whose forms and sessions are its own, as Roundcube's are."""

    name: str
    tokens: dict[str, str] = field(default_factory=dict)
    """By session."""
    users: dict[str, str] = field(default_factory=dict)

    def __call__(self, conversation: Conversation, request: Request) -> None:
        session = dict(pair.split("=", 1) for pair in (request.value("cookie") or "a=b").split("; ")).get("sid", "")
        assert COOKIE not in (request.value("cookie") or "")
        answer = self.log_in if request.line.startswith("POST") else self.show
        answer(session, request)(conversation, request)

    def show(self, session: str, _: Request) -> Answers:
        if user := self.users.get(session):
            return says(200, f"{self.name}: {user}".encode())
        session, token = secrets.token_hex(8), secrets.token_hex(8)
        self.tokens[session] = token
        page = f'{self.name}<form method="post"><input type="hidden" name="_token" value="{token}"><input name="_user">'
        return says(200, page.encode(), f"Set-Cookie: sid={session}; Path=/; HttpOnly")

    def log_in(self, session: str, request: Request) -> Answers:
        said = dict(parse_qsl(request.body.decode()))
        if session not in self.tokens or said.get("_token") != self.tokens[session]:
            return says(403, f"{self.name}: forged".encode())
        if said.get("_pass") != PASSWORD:
            return says(401, f"{self.name}: wrong".encode())
        self.users[session] = said["_user"]
        return says(302, b"", "Location: /?_task=mail", "Set-Cookie: auth=1; Path=/")


class Browser:
    """One that keeps cookies."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.cookies: dict[str, str] = {}

    def get(self, path: str = "/") -> Answer:
        return self.ask("GET", path)

    def ask(self, method: str, path: str, *fields: str, body: bytes = b"") -> Answer:
        pairs = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        said = [f"Cookie: {pairs}"] if pairs else []
        with Http1(self.site.zproxy.listeners["https"], self.site.authority, address="127.201.1.1") as connection:
            answer = connection.request(method, path, *said, *fields, body=body)
        for cookie in answer.values("set-cookie"):
            name, _, value = cookie.partition(";")[0].partition("=")
            self.cookies[name] = value
        return answer

    def log_in(self, user: str, password: str = PASSWORD, *fields: str, **more: str) -> Answer:
        """Fill in the page that is shown."""
        found = re.search(rb'name="_token" value="(\w+)"', self.get().body)
        assert found, "no form is shown"
        said = {"_task": "login", "_action": "login", "_token": found[1].decode(), "_user": user, "_pass": password}
        kind = "Content-Type: application/x-www-form-urlencoded"
        return self.ask("POST", "/?_task=login", kind, *(fields or [ORIGIN]), body=urlencode(said | more).encode())

    def log_out(self) -> None:
        """As webmails do it: their session goes, and ours stays."""
        del self.cookies["sid"], self.cookies["auth"]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Site]:
    host = {"login": "one", "login_forms": [{"preset": "roundcube"}]}
    with Site(
        tmp_path_factory.mktemp("forms"), authority, host=host, names={"default_domain": "tgg.net.id"}
    ) as running:
        for name, web in running.webs.items():
            web.answers["/"] = Webmail(name=name)
        yield running


@pytest.mark.parametrize(("user", "server"), [(SITI, "one"), (BUDI, "two"), ("budi", "two"), (BUDI.upper(), "two")])
def test_everybody_lands_on_his_own_server(site: Site, user: str, server: str) -> None:
    browser = Browser(site)
    assert browser.get().body.startswith(b"one<form"), "the form is the login group's"
    answer = browser.log_in(user)
    assert (answer.status, answer.value("location")) == (302, "/?_task=mail")
    assert browser.get("/?_task=mail").body == f"{server}: {user}".encode()


def test_two_users_one_after_the_other_in_one_browser(site: Site) -> None:
    browser = Browser(site)
    for user, server in [(SITI, "one"), (BUDI, "two"), (SITI, "one")]:
        browser.log_in(user)
        assert browser.get().body == f"{server}: {user}".encode()
        browser.log_out()


def test_the_cookie_is_ours_alone_and_tells_nothing(site: Site) -> None:
    lengths = set()
    for user, password in [(SITI, PASSWORD), (BUDI, "wrong"), ("nobody@tgg.net.id", "wrong")]:
        answer = Browser(site).log_in(user, password)
        (cookie,) = [value for value in answer.values("set-cookie") if value.startswith(COOKIE)]
        value, *attributes = cookie.split("; ")
        assert sorted(attributes) == ["HttpOnly", "Path=/", "SameSite=Lax", "Secure"]
        assert not any(said in cookie for said in ("siti", "budi", "one", "two", "127."))
        lengths.add(len(value))
    assert len(lengths) == 1


def test_a_wrong_password_is_the_servers_to_refuse(site: Site) -> None:
    assert Browser(site).log_in(BUDI, "wrong").body == b"two: wrong"
    assert Browser(site).log_in("nobody@tgg.net.id", "wrong").body == b"one: wrong"


@pytest.mark.parametrize("bad", ["x", "x" * 8192, "AAAA" * 106 + "AAA", ""])
def test_a_cookie_that_is_not_ours_is_ignored(site: Site, bad: str) -> None:
    browser = Browser(site)
    browser.log_in(BUDI)
    whole = browser.cookies[COOKIE]
    for value in (bad, whole[:-1] + ("A" if whole[-1] != "A" else "B"), whole + whole):
        browser.cookies[COOKIE] = value
        assert browser.get().body.startswith(b"one")


def test_the_next_request_follows_a_user_who_moves(site: Site) -> None:
    browser = Browser(site)
    browser.log_in(BUDI)
    accounts = site.zproxy.directory / "accounts.csv"
    before = accounts.read_text()
    assert browser.get().body == f"two: {BUDI}".encode()
    accounts.write_text(before.replace(f"{BUDI},two", f"{BUDI},one"))
    until(lambda: browser.get().body.startswith(b"one"))
    accounts.write_text(before)
    until(lambda: browser.get().body.startswith(b"two"))


@pytest.mark.parametrize(
    "fields",
    [
        ["Origin: https://evil.example"],
        ["Origin: null"],
        [ORIGIN, "Sec-Fetch-Site: cross-site"],
        ["Referer: https://mail.tgg.net.id/"],
    ],
)
def test_a_strangers_page_gets_no_fresh_form(site: Site, fields: list[str]) -> None:
    browser = Browser(site)
    answer = browser.log_in(BUDI, PASSWORD, *fields)
    # Unchanged, to the server that made the form, which here lets anybody in.
    assert answer.status == 302
    assert not any(value.startswith(COOKIE) for value in answer.values("set-cookie"))
    assert browser.get().body == f"one: {BUDI}".encode()


@pytest.mark.parametrize("user", [SITI, "nobody@tgg.net.id"])
def test_a_strangers_page_makes_no_browser_forget_its_server(site: Site, user: str) -> None:
    browser = Browser(site)
    for fields in (["Origin: https://evil.example"], [ORIGIN, "Sec-Fetch-Site: same-site"]):
        answer = browser.log_in(user, "wrong", *fields)
        assert answer.body == b"one: wrong", "the form's maker is the user's own server"
        assert not any(value.startswith(COOKIE) for value in answer.values("set-cookie"))


def test_a_name_that_nobody_has_is_not_known_by_where_it_goes(
    tmp_path_factory: pytest.TempPathFactory, authority: Authority
) -> None:
    host = {"login": "webs", "login_forms": [{"preset": "roundcube"}]}
    with Site(tmp_path_factory.mktemp("unknown"), authority, host=host) as site:
        for name, web in site.webs.items():
            web.answers["/"] = Webmail(name=name)
        answers = {
            user: Browser(site).log_in(user, "wrong") for user in (f"nobody{nth}@tgg.net.id" for nth in range(8))
        }
        assert {answer.body for answer in answers.values()} == {b"one: wrong", b"two: wrong"}
        for user, answer in answers.items():
            assert Browser(site).log_in(user.upper(), "wrong").body == answer.body


@pytest.mark.parametrize(
    "body",
    [
        b"_task=login&_action=login&_pass=pw",
        b"_task=login&_action=login&_user=siti&_user=budi&_pass=pw",
        b"_task=mail&_action=login&_user=budi",
        b"_task=login&_action=login&_user=%zz",
        b"_task=login&_action=login&_user=budi&x=" + b"x" * 65536,
    ],
    ids=["no field", "two fields", "another form", "broken escapes", "too long"],
)
def test_what_is_no_login_teaches_nothing_and_goes_on_whole(site: Site, body: bytes) -> None:
    browser = Browser(site)
    browser.get()
    answer = browser.ask("POST", "/?_task=login", "Content-Type: application/x-www-form-urlencoded", ORIGIN, body=body)
    assert (answer.status, answer.body) == (403, b"one: forged")
    assert not any(value.startswith(COOKIE) for value in answer.values("set-cookie"))
    assert site.webs["one"].requests[-1].body == body


def test_a_form_in_chunks_is_read_like_any_other(site: Site) -> None:
    browser = Browser(site)
    browser.log_in(BUDI)
    sid = browser.cookies["sid"]
    with site.http1(address="127.201.1.2") as connection:
        connection.begin(
            "POST",
            "/?_task=login",
            "Content-Type: application/x-www-form-urlencoded",
            "Transfer-Encoding: chunked",
            f"Cookie: sid={sid}; {COOKIE}={browser.cookies[COOKIE]}",
            ORIGIN,
        )
        for part in (b"_task=login&_action=lo", b"gin&_user=budi&_token=x", b"&_pass=pw"):
            connection.send(b"%x\r\n%s\r\n" % (len(part), part))
        connection.send(b"0\r\n\r\n")
        answer = connection.answer()
    assert answer.body == b"two: forged", "the form's maker is the user's own server, and judges it itself"


def test_servers_that_share_their_sessions_get_the_form_as_it_is(
    tmp_path_factory: pytest.TempPathFactory, authority: Authority
) -> None:
    host = {"login": "one", "login_forms": [{"preset": "roundcube"}], "shared_sessions": True}
    with Site(tmp_path_factory.mktemp("shared"), authority, host=host) as site:
        shared = Webmail(name="either")
        for web in site.webs.values():
            web.answers["/"] = shared
        browser = Browser(site)
        browser.log_in(BUDI)
        assert [one.line.split()[0] for one in site.webs["two"].requests] == ["POST"]
        assert browser.get().body == f"either: {BUDI}".encode()
