"""Virtual hosts: which one serves a request, by which scheme, and what it adds to requests and answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from servers.fake_web import says
from servers.http_client import Http1, basic
from servers.site import BUDI, SITI, Site
from servers.waiting import until
from zcontrol.demo.accounts import HOSTNAME

if TYPE_CHECKING:
    from collections.abc import Iterator

    from servers.certificates import Authority

HOSTS = [
    {
        "names": [HOSTNAME],
        "login": "one",
        "hsts": {"max_age": "24h", "include_subdomains": True},
        "headers": [{"name": "X-Frame-Options", "value": "DENY", "replace": True}, {"name": "X-Edge", "value": "1"}],
        "cookie_domains": {"mbox.example": "", "old.example": HOSTNAME},
    },
    {"names": ["*.tgg.net.id"], "login": "two", "mode": "both", "backend_host": "inner.example"},
    {"names": ["safe.tgg.net.id"], "login": "two", "mode": "https"},
    {"names": ["clear.tgg.net.id"], "login": "one", "mode": "http"},
    {"names": ["office.tgg.net.id"], "login": "one", "allowed_from": ["192.0.2.0/24"]},
]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Site]:
    with Site(tmp_path_factory.mktemp("hosts"), authority, http={"hosts": HOSTS}) as running:
        yield running


def client(site: Site, host: str, *, secure: bool = True) -> Http1:
    to = site.zproxy.listeners["https" if secure else "http"]
    return Http1(to, site.authority if secure else None, host=host)


@pytest.mark.parametrize(
    ("host", "secure", "status", "said"),
    [
        (HOSTNAME, True, 200, b"one"),
        (HOSTNAME.upper() + ".", True, 200, b"one"),
        ("web.tgg.net.id", True, 200, b"two"),
        ("web.tgg.net.id", False, 200, b"two"),
        ("safe.tgg.net.id", True, 200, b"two"),
        ("clear.tgg.net.id", False, 200, b"one"),
    ],
)
def test_the_nearest_name_serves(site: Site, *, host: str, secure: bool, status: int, said: bytes) -> None:
    with client(site, HOSTNAME if secure else host, secure=secure) as visitor:
        visitor.host = host
        answer = visitor.get("/")
        assert (answer.status, answer.body) == (status, said)


@pytest.mark.parametrize(
    ("host", "secure", "status"),
    [
        ("other.example", True, 421),
        ("a.web.tgg.net.id", True, 421),
        ("192.0.2.1", True, 421),
        ("safe.tgg.net.id", False, 421),
        ("clear.tgg.net.id", True, 421),
        ("office.tgg.net.id", True, 403),
    ],
)
def test_what_is_not_served_asks_no_server(site: Site, *, host: str, secure: bool, status: int) -> None:
    with client(site, HOSTNAME if secure else host, secure=secure) as visitor, site.untouched():
        visitor.host = host
        assert visitor.get("/").status == status


def test_requests_in_clear_are_sent_on_to_the_same_place_by_tls(site: Site) -> None:
    port = site.zproxy.listeners["https"][1]
    with client(site, HOSTNAME, secure=False) as visitor, site.untouched():
        answer = visitor.get("/mail?_task=mail&x=%0A")
        assert (answer.status, answer.value("location")) == (301, f"https://{HOSTNAME}:{port}/mail?_task=mail&x=%0A")
        assert answer.value("strict-transport-security") is None
        answer = visitor.request("POST", "/", body=b"secret")
        assert (answer.status, answer.value("location")) == (308, f"https://{HOSTNAME}:{port}/")


def test_a_whole_uri_of_ours_replaces_host(site: Site) -> None:
    with client(site, HOSTNAME) as visitor:
        visitor.host = "other.example"
        assert visitor.get("https://web.tgg.net.id/whole").body == b"two"
    assert site.asked("/whole").value("x-forwarded-host") == "web.tgg.net.id"


def test_answers_carry_what_the_host_says(site: Site) -> None:
    fields = [
        "X-Frame-Options: ALLOW",
        "X-Edge: backend",
        "Strict-Transport-Security: max-age=1",
        "Set-Cookie: a=1; Domain=.mbox.example; Path=/",
        "Set-Cookie: b=2; domain=old.example",
        "Set-Cookie: c=3; Domain=else.example",
        "Set-Cookie: __Host-zproxy=forged; Secure; Path=/",
        'Alt-Svc: h3=":443"',
        "Keep-Alive: timeout=5",
        f"Location: http://{site.backends['one'].address}:1080/next",
    ]
    with site.answering("/", says(302, b"", *fields)), client(site, HOSTNAME) as visitor:
        answer = visitor.get("/")
    assert answer.value("x-frame-options") == "DENY"
    assert answer.value("x-edge") == "backend"
    assert answer.value("strict-transport-security") == "max-age=86400; includeSubDomains"
    cookies = ["a=1; Path=/", f"b=2; domain={HOSTNAME}", "c=3; Domain=else.example"]
    assert answer.values("set-cookie") == cookies
    assert answer.value("alt-svc") is answer.value("keep-alive") is None
    assert answer.value("location") == f"https://{HOSTNAME}/next"


def test_our_own_answers_by_tls_carry_hsts(site: Site) -> None:
    with client(site, HOSTNAME) as visitor:
        visitor.send(f"OPTIONS * HTTP/1.1\r\nHost: {HOSTNAME}\r\n\r\n".encode())
        answer = visitor.answer()
        assert (answer.status, answer.value("strict-transport-security")) == (204, "max-age=86400; includeSubDomains")


def test_a_server_hears_the_host_it_knows_itself_by_and_who_the_client_is(site: Site) -> None:
    lies = [
        "X-Forwarded-For: 203.0.113.9",
        "X-Real-IP: 203.0.113.9",
        "Forwarded: for=203.0.113.9",
        "X_Forwarded_Proto: http",
        "X-Request-ID: mine",
        "Proxy: evil",
        "TE: trailers",
        "Connection: X-Hop",
        "X-Hop: 1",
        "Upgrade: h2c",
    ]
    with client(site, HOSTNAME) as visitor:
        visitor.host = "web.tgg.net.id"
        visitor.get("/told", *lies)
        address = visitor.address
    asked = site.asked("/told")
    assert asked.value("host") == "inner.example"
    assert asked.value("x-forwarded-host") == "web.tgg.net.id"
    assert (asked.value("x-forwarded-for"), asked.value("x-real-ip")) == (address, address)
    assert (asked.value("x-forwarded-proto"), asked.value("x-forwarded-port")) == ("https", "443")
    assert asked.value("forwarded") == f"for={address};host=web.tgg.net.id;proto=https"
    assert asked.value("x-request-id") not in (None, "mine")
    names = {name for name, _ in asked.fields}
    assert not names & {"x_forwarded_proto", "proxy", "x-hop", "upgrade"}


def test_a_trusted_proxy_is_believed_who_the_client_is(
    tmp_path_factory: pytest.TempPathFactory, authority: Authority
) -> None:
    http = {"trusted_proxies": ["127.0.0.0/8"], "forwarded_scheme": True}
    with Site(tmp_path_factory.mktemp("trusted"), authority, http=http) as site:
        said = ["X-Forwarded-For: 203.0.113.9, 198.51.100.7", "X-Forwarded-Proto: https", "X-Request-ID: from-lb-1"]
        with site.http1(listener="http") as visitor:
            answer = visitor.get("/trusted", *said, f"Authorization: {basic(SITI)}")
            assert (answer.status, answer.body) == (200, b"one")
            asked = site.asked("/trusted")
            # Whoever spoke to the trusted proxy is the client; what that one says of others is its own word.
            assert asked.value("x-real-ip") == "198.51.100.7"
            assert asked.value("x-forwarded-for") == f"198.51.100.7, {visitor.address}"
            assert (asked.value("x-forwarded-proto"), asked.value("x-request-id")) == ("https", "from-lb-1")
        (record,) = until(lambda: [one for one in site.zproxy.records() if one.get("path") == "/trusted"])
        assert (record["client"], record["id"]) == ("198.51.100.7", "from-lb-1")


def test_a_console_is_served_by_its_own_endpoint(
    tmp_path_factory: pytest.TempPathFactory, authority: Authority
) -> None:
    hosts = [{"names": [HOSTNAME], "login": "one", "admin": True}]
    directory = tmp_path_factory.mktemp("admin")
    with (
        Site(directory, authority, http={"hosts": hosts}, service="http_admin") as site,
        site.http1() as visitor,
    ):
        assert visitor.get("/zimbraAdmin/", f"Authorization: {basic(BUDI)}").body == b"two"
        assert visitor.get("/zimbraAdmin/").body == b"one"
