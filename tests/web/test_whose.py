"""What a request says of its user, and where it goes for that."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from servers.http_client import basic
from servers.site import BUDI, SITI, Site
from servers.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from servers.certificates import Authority
    from servers.http_client import Answer

SITI_ID, BUDI_ID = "0b4bd7a4-0b54-4b58-9a3e-6f1b0a8f0001", "0b4bd7a4-0b54-4b58-9a3e-6f1b0a8f0002"
LOCKED, AWAY, AT_HOME = "locked@tgg.net.id", "away@tgg.net.id", "home@tgg.net.id"
ACCOUNTS = f"""\
account,home,id,status,allowed_nets
{SITI},one,{SITI_ID},,
{BUDI},two,{BUDI_ID},,
{LOCKED},two,,locked,
{AWAY},two,,maintenance,
{AT_HOME},two,,,192.0.2.0/24
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Site]:
    directory = tmp_path_factory.mktemp("whose")
    accounts = directory / "all.csv"
    accounts.write_text(ACCOUNTS)
    with Site(
        directory,
        authority,
        host={"login": "one", "recognise": {"bearer_claims": ["email"]}},
        directory={"file": {"path": str(accounts)}},
        names={"default_domain": "tgg.net.id", "windows_domains": {"TGG": "tgg.net.id"}},
    ) as running:
        yield running


def zimbra_token(account_id: str) -> str:
    """Make a token as Zimbra does; nobody checks its HMAC here."""
    fields = f"id={len(account_id)}:{account_id};exp=13:1795524169000;type=6:zimbra;".encode()
    return f"0_{'0' * 40}_{fields.hex()}"


def jwt(**claims: str) -> str:
    part = lambda value: base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()  # noqa: E731
    return f"{part({'alg': 'none'})}.{part(claims)}.c2ln"


BY_TARGET = {
    "a path": f"/home/{BUDI}/calendar",
    "a path with an escaped name": f"/dav/{quote(BUDI, safe='')}/Calendar/",
    "a principal": f"/principals/users/{BUDI}/",
    "a bare name in a path": "/service/home/budi/inbox",
    "ActiveSync": "/Microsoft-Server-ActiveSync?User=budi&DeviceId=x",
    "ActiveSync with a Windows domain": "/Microsoft-Server-ActiveSync?User=TGG%5Cbudi",
    "zauthtoken": f"/service/upload?zauthtoken={zimbra_token(BUDI_ID)}",
    "zjwt": f"/service/upload?zjwt={jwt(sub=BUDI_ID)}",
}
BY_FIELD = {
    "Zimbra's cookie": f"Cookie: a=b; ZM_AUTH_TOKEN={zimbra_token(BUDI_ID)}",
    "Basic": f"Authorization: {basic(BUDI)}",
    "Basic with a bare name": f"Authorization: {basic('budi')}",
    "a bearer's claim": f"Authorization: Bearer {jwt(email=BUDI)}",
}


@pytest.mark.parametrize("target", BY_TARGET.values(), ids=BY_TARGET.keys())
def test_what_the_target_says_is_where_it_goes(site: Site, target: str) -> None:
    with site.http1() as client:
        assert client.get(target).body == b"two"


@pytest.mark.parametrize("field", BY_FIELD.values(), ids=BY_FIELD.keys())
def test_what_a_field_says_is_where_it_goes(site: Site, field: str) -> None:
    with site.http1() as client:
        assert client.get("/", field).body == b"two"


def test_each_cookie_field_of_http2_is_read(site: Site) -> None:
    with site.http2() as client:
        cookies = [("cookie", "a=b"), ("cookie", f"ZM_AUTH_TOKEN={zimbra_token(BUDI_ID)}"), ("cookie", "c=d")]
        assert client.get("/whose-cookies", *cookies).body == b"two"
    assert site.asked("/whose-cookies").values("cookie") == [f"a=b; ZM_AUTH_TOKEN={zimbra_token(BUDI_ID)}; c=d"]


def test_the_path_outranks_the_token_and_the_token_the_password(site: Site) -> None:
    token, password = f"Cookie: ZM_AUTH_TOKEN={zimbra_token(BUDI_ID)}", f"Authorization: {basic(SITI)}"
    with site.http1() as client:
        assert client.get(f"/home/{SITI}/", token).body == b"one"
        assert client.get("/", token, password).body == b"two"


def test_who_names_nobody_goes_to_the_login_group(site: Site) -> None:
    with site.http1() as client:
        assert client.get("/").body == b"one"
        assert client.get("/home/~/inbox").body == b"one"


@pytest.mark.parametrize("name", ["nobody@tgg.net.id", LOCKED, "a\tb", "x" * 2000])
def test_a_name_that_nobody_may_use_goes_where_nobodys_requests_go(site: Site, name: str) -> None:
    with site.http1() as client:
        answer = client.get("/", f"Authorization: {basic(name)}")
        assert (answer.status, answer.body) == (200, b"one")


def test_two_of_one_say_nothing(site: Site) -> None:
    twice = [f"Authorization: {basic(BUDI)}", f"Authorization: {basic(SITI)}"]
    with site.http1() as client:
        assert client.get("/", *twice).body == b"one"
        tokens = f"Cookie: ZM_AUTH_TOKEN={zimbra_token(BUDI_ID)}; ZM_AUTH_TOKEN={zimbra_token(SITI_ID)}"
        assert client.get("/", tokens).body == b"one"


def test_maintenance_is_temporary_and_a_foreign_network_is_refused_however_often_it_asks(site: Site) -> None:
    def status(name: str) -> Answer:
        with site.http1() as client, site.untouched():
            return client.get("/", f"Authorization: {basic(name)}")

    away = status(AWAY)
    assert (away.status, away.value("retry-after")) == (503, "10")
    assert [status(AT_HOME).status for _ in range(3)] == [403, 403, 403]


def test_the_record_says_how_a_user_was_recognised_and_no_credential(site: Site) -> None:
    token = zimbra_token(BUDI_ID)
    with site.http1() as client:
        client.get(f"/recorded?zauthtoken={token}", "Cookie: secret=1", f"Authorization: {basic(SITI, 'hunter2')}")
    (record,) = until(lambda: [one for one in site.zproxy.records() if one.get("path") == "/recorded"])
    expected = {"event": "request", "method": "GET", "status": 200, "recognised": "zauthtoken", "account": BUDI}
    assert record.items() >= (expected | {"backend": "two", "http": "1.1", "from_backend": 3}).items()
    said = site.zproxy.records_file.read_text()
    assert not any(secret in said for secret in (token, "secret=1", "hunter2", basic(SITI, "hunter2")))
