"""Answers of the edge itself, read as by those who ask: Thunderbird, Outlook, an Apple, the servers of ACME."""

from __future__ import annotations

import plistlib
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

from servers.http_client import Http1
from servers.site import BUDI, SITI, Site
from servers.waiting import until
from servers.zproxy import listener
from zcontrol.demo.accounts import HOSTNAME

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from servers.certificates import Authority
    from servers.http_client import Answer, Http2

PORTS = {"imaps": 993, "imap": 143, "pop3s": 995, "submission": 587, "https": 443}
LISTENERS = [
    listener("imap", "imap", "starttls_required"),
    listener("imaps", "imap", "implicit"),
    listener("pop3s", "pop3", "implicit"),
    listener("submission", "submission", "starttls_required"),
    listener("https", "http", "implicit"),
    listener("http", "http", "off"),
]
AUTOCONFIG = {
    "name": "TGG & <friends>",
    "domains": ["tgg.net.id"],
    "ports": PORTS,
    "dav": True,
    "active_sync": True,
}
AUTOCONFIG_HOST = "autoconfig.tgg.net.id"
"""No virtual host has that name."""
MOZILLA = "/.well-known/autoconfig/mail/config-v1.1.xml"
OUTLOOK = "/Autodiscover/Autodiscover.xml"
SCHEMAS = "http://schemas.microsoft.com/exchange/autodiscover"
ROOT, SERVERS = f"{SCHEMAS}/responseschema/2006", f"{SCHEMAS}/outlook/responseschema/2006a"
MOBILE_SYNC = f"{SCHEMAS}/mobilesync/responseschema/2006"
TOKEN = "LoqXcYV8q5ONbJQxbmR7SCTNo3tiAXDfowyjxAjEuX0"
CHALLENGE = f"/.well-known/acme-challenge/{TOKEN}"
both = pytest.mark.parametrize("version", ["http1", "http2"])


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("acme")
    (directory / TOKEN).write_text(f"{TOKEN}.thumbprint")
    return directory


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory, authority: Authority, tokens: Path) -> Iterator[Site]:
    http = {"autoconfig": AUTOCONFIG, "acme": {"directory": str(tokens)}}
    with Site(tmp_path_factory.mktemp("edge"), authority, http=http, listeners=LISTENERS) as running:
        yield running


def connected(edge: Site, version: str) -> Http1 | Http2:
    return edge.http1() if version == "http1" else edge.http2()


def other_host(edge: Site, host: str, listener: str = "https") -> Http1:
    return Http1(edge.zproxy.listeners[listener], edge.authority if listener == "https" else None, host=host)


def question(address: str, schema: str = SERVERS) -> bytes:
    return (
        f'<?xml version="1.0" encoding="utf-8"?><Autodiscover xmlns="{SCHEMAS}/outlook/requestschema/2006">'
        f"<Request><EMailAddress>{address}</EMailAddress>"
        f"<AcceptableResponseSchema>{schema}</AcceptableResponseSchema></Request></Autodiscover>"
    ).encode()


@both
def test_thunderbird_reads_the_servers_in_their_order(version: str, edge: Site) -> None:
    with edge.untouched(), connected(edge, version) as client:
        answer = client.get(f"{MOZILLA}?emailaddress=siti%2Bnews%40TGG.net.id")
    assert (answer.status, answer.value("content-type")) == (200, "text/xml; charset=utf-8")
    (provider,) = config(answer).findall("emailProvider")
    assert [domain.text for domain in provider.findall("domain")] == ["tgg.net.id"]
    assert provider.findtext("displayName") == AUTOCONFIG["name"]
    told = [*provider.findall("incomingServer"), *provider.findall("outgoingServer")]
    assert [(one.get("type"), one.findtext("port"), one.findtext("socketType")) for one in told] == [
        ("imap", "993", "SSL"),
        ("imap", "143", "STARTTLS"),
        ("pop3", "995", "SSL"),
        ("smtp", "587", "STARTTLS"),
    ]
    assert {(one.findtext("hostname"), one.findtext("username"), one.findtext("authentication")) for one in told} == {
        (HOSTNAME, "%EMAILADDRESS%", "password-cleartext")
    }


@both
def test_a_head_tells_the_length_and_brings_nothing(version: str, edge: Site) -> None:
    with edge.untouched(), connected(edge, version) as client:
        head, whole = client.request("HEAD", MOZILLA), client.get(MOZILLA)
    assert (head.status, head.value("content-length"), head.body) == (200, str(len(whole.body)), b"")


def test_a_question_may_come_in_chunks_and_wait_for_leave(edge: Site) -> None:
    body = question(SITI)
    with edge.untouched(), edge.http1() as client:
        client.begin("POST", OUTLOOK, "Transfer-Encoding: chunked", "Expect: 100-continue")
        assert client.head() == (100, [])
        client.send(b"".join(b"1\r\n%c\r\n" % octet for octet in body) + b"0\r\n\r\n")
        assert SITI.encode() in client.answer().body
        assert client.get(MOZILLA).status == 200, "the connection goes on"


def test_a_name_that_no_host_has_is_asked_for_its_domain(edge: Site) -> None:
    with edge.untouched(), other_host(edge, AUTOCONFIG_HOST) as client:
        answer = client.get("/mail/config-v1.1.xml")
        assert config(answer).findtext("emailProvider/domain") == "tgg.net.id"
        assert client.get("/").status == 421


def config(answer: Answer) -> ET.Element:
    root = ET.fromstring(answer.body)
    assert (root.tag, root.get("version")) == ("clientConfig", "1.1")
    return root


@both
def test_outlook_reads_the_best_server_of_each_kind(version: str, edge: Site) -> None:
    with edge.untouched(), connected(edge, version) as client:
        answer = client.request("POST", OUTLOOK, body=question(SITI))
    account = response(answer, SERVERS).find(f"{{{SERVERS}}}Account")
    assert account is not None
    told = [
        [one.findtext(f"{{{SERVERS}}}{key}") for key in ("Type", "Server", "Port", "Encryption", "LoginName")]
        for one in account.findall(f"{{{SERVERS}}}Protocol")
    ]
    assert told == [
        ["IMAP", HOSTNAME, "993", "SSL", SITI],
        ["POP3", HOSTNAME, "995", "SSL", SITI],
        ["SMTP", HOSTNAME, "587", "TLS", SITI],
    ]


def test_phones_are_led_to_active_sync(edge: Site) -> None:
    with edge.http1() as client:
        answer = client.request("POST", OUTLOOK, body=question(SITI, MOBILE_SYNC))
    path = "/".join(f"{{{MOBILE_SYNC}}}{name}" for name in ("Action", "Settings", "Server", "Url"))
    assert response(answer, MOBILE_SYNC).findtext(path) == f"https://{HOSTNAME}/Microsoft-Server-ActiveSync"


def response(answer: Answer, schema: str) -> ET.Element:
    assert (answer.status, answer.value("content-type")) == (200, "text/xml; charset=utf-8")
    root = ET.fromstring(answer.body)
    assert root.tag == f"{{{ROOT}}}Autodiscover"
    (found,) = root.findall(f"{{{schema}}}Response")
    return found


@both
@pytest.mark.parametrize("body", [b"", b"<", question("&xxe;@tgg.net.id"), question("a@b<c")], ids=repr)
def test_outlook_is_told_of_a_bad_question_in_its_own_words(body: bytes, version: str, edge: Site) -> None:
    with edge.untouched(), connected(edge, version) as client:
        answer = client.request("POST", OUTLOOK, body=body)
    path = "/".join(f"{{{ROOT}}}{name}" for name in ("Error", "ErrorCode"))
    assert response(answer, ROOT).findtext(path) == "600"


@both
def test_a_question_that_is_too_long_is_not_read(version: str, edge: Site) -> None:
    with edge.untouched(), connected(edge, version) as client:
        answer = client.request("POST", OUTLOOK, body=question("a" * 20_000))
    assert answer.status == 413


def test_an_apple_reads_a_profile_that_replaces_itself(edge: Site) -> None:
    with edge.untouched(), edge.http1() as client:
        answer, again, other = (client.get(f"/email.mobileconfig?email={name}") for name in (SITI, SITI, BUDI))
    assert answer.value("content-type") == "application/x-apple-aspen-config"
    assert answer.body == again.body
    profile = plistlib.loads(answer.body)
    mail, calendars, contacts = profile["PayloadContent"]
    assert mail["EmailAccountType"] == "EmailTypeIMAP"
    assert mail["EmailAccountDescription"] == AUTOCONFIG["name"]
    for way, port in (("Incoming", 993), ("Outgoing", 587)):
        server = [mail[f"{way}MailServer{key}"] for key in ("HostName", "PortNumber", "UseSSL", "Username")]
        assert server == [HOSTNAME, port, True, SITI]
    assert (calendars["CalDAVHostName"], calendars["CalDAVPort"], calendars["CalDAVUsername"]) == (HOSTNAME, 443, SITI)
    assert (contacts["CardDAVHostName"], contacts["CardDAVPort"]) == (HOSTNAME, 443)
    identifiers = [one["PayloadIdentifier"] for one in (profile, *profile["PayloadContent"])]
    others = plistlib.loads(other.body)
    identifiers += [one["PayloadIdentifier"] for one in (others, *others["PayloadContent"])]
    assert len(set(identifiers)) == len(identifiers)


def test_nobody_learns_which_addresses_there_are(edge: Site) -> None:
    paths = [f"{MOZILLA}?emailaddress={{}}", "/email.mobileconfig?email={}"]
    with edge.untouched(), edge.http1() as client:
        for path in paths:
            known, unknown = (client.get(path.format(name)) for name in (SITI, "nobody@tgg.net.id"))
            assert known.status == unknown.status == 200
            assert [name for name, _ in known.fields] == [name for name, _ in unknown.fields]
        known, unknown = (client.request("POST", OUTLOOK, body=question(name)) for name in (SITI, "nobody@tgg.net.id"))
        assert known.body.replace(SITI.encode(), b"nobody@tgg.net.id") == unknown.body
        assert client.get(f"{MOZILLA}?emailaddress=siti@evil.example").status == 404


def test_who_asks_in_clear_is_sent_to_our_own_host(edge: Site) -> None:
    with edge.untouched(), other_host(edge, "autodiscover.customer.example", "http") as client:
        answer = client.get("/autodiscover/autodiscover.xml")
        assert (answer.status, answer.value("location")) == (302, f"https://{HOSTNAME}/autodiscover/autodiscover.xml")


def test_the_record_tells_no_address(edge: Site) -> None:
    with edge.http1() as client:
        client.get("/email.mobileconfig?email=secret-name@tgg.net.id")
        client.request("POST", OUTLOOK, body=question("secret-name@tgg.net.id"))
    records = until(lambda: [one for one in edge.zproxy.records() if one.get("path") == OUTLOOK])
    assert "backend" not in records[-1]
    assert "secret-name" not in edge.zproxy.records_file.read_text() + edge.zproxy.errors()


@pytest.mark.parametrize("listener", ["http", "https"])
def test_acme_reads_a_challenge_of_any_name(listener: str, edge: Site) -> None:
    with edge.untouched(), other_host(edge, AUTOCONFIG_HOST, listener) as client:
        answer = client.get(CHALLENGE)
        assert (answer.status, answer.body) == (200, f"{TOKEN}.thumbprint".encode())
        assert client.request("HEAD", CHALLENGE).value("content-length") == str(len(answer.body))
        assert client.get(f"{CHALLENGE}x").status == 404
        assert client.request("POST", CHALLENGE, body=b"x").status == 405


def test_acme_may_be_one_servers_to_answer(tmp_path: Path, authority: Authority) -> None:
    with (
        Site(tmp_path, authority, http={"acme": {"backend": "two"}}) as site,
        other_host(site, AUTOCONFIG_HOST, "http") as client,
    ):
        assert client.get(CHALLENGE).status == 200
        assert [one.path for one in site.webs["two"].requests] == [CHALLENGE]
        assert client.get("/").status == 421, "other requests for such a name are nobody's"
