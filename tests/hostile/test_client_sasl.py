"""SASL as no client should speak it, and identities that nobody may have: refused, and no backend hears of it."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import pytest

from servers.fake_mailbox import PASSWORD
from servers.front import ALICE, BOB
from servers.raw_client import plain
from servers.said import AUTHENTICATE, NOOP, WRONG

if TYPE_CHECKING:
    from servers.front import Front
    from servers.raw_client import RawClient


def encoded(message: str) -> bytes:
    return base64.b64encode(message.encode())


MALFORMED = {
    "junk": b"!!!!",
    "padding inside": b"AA==AA==",
    "padding missing": b"AGFsaWNl" + b"QQ",
    "bits behind the end": b"AB==",
    "space inside": b"AG Fs",
    "URL alphabet": b"-_-_",
    "no message": b"",
    "no NUL": encoded("alice@example.net"),
    "one NUL": encoded(f"{ALICE}\0{PASSWORD}"),
    "three NULs": encoded(f"\0{ALICE}\0{PASSWORD}\0more"),
    "password cut by a NUL": encoded(f"\0{ALICE}\0{PASSWORD}\0"),
    "empty password": encoded(f"\0{ALICE}\0"),
    "empty name": encoded(f"\0\0{PASSWORD}"),
    "CR LF in the name": encoded(f"\0{ALICE}\r\na\0{PASSWORD}"),
    "CR LF in the name to act as": encoded(f"x\r\ny\0{ALICE}\0{PASSWORD}"),
    "DEL in the name": encoded(f"\0ali\x7fce\0{PASSWORD}"),
    "name that is no UTF-8": base64.b64encode(b"\0\xff\xfe\0" + PASSWORD.encode()),
    "name of 1025 octets": encoded(f"\0{'a' * 1025}\0{PASSWORD}"),
}
NOBODY = {
    "spaces": "alice @example.net",
    "LDAP filter": "*)(uid=*))(|(uid=*@example.net",
    "star": "*@example.net",
    "parentheses and backslash": "a*()\\b@example.net",
    "variable": "%{0}%s%n%d@example.net",
    "path": "../../etc/passwd@example.net",
    "255 octets": "a" * 243 + "@example.net",
    "1024 octets": "a" * 1012 + "@example.net",
    "memcached's words": "x 0 0 5@example.net",
    "two domains": "alice@example.net@example.org",
    "emoji": "\U0001f4e7@example.net",
    "no domain": "alice",
    "quotes": '"alice"@example.net',
}


def authenticate(client: RawClient, protocol: str, response: bytes, *, at_once: bool) -> bytes:
    """Say PLAIN; the response goes with the command or after the challenge."""
    if at_once:
        return client.ask(AUTHENTICATE[protocol] + b" " + (response or b"=") + b"\r\n")
    assert client.ask(AUTHENTICATE[protocol] + b"\r\n") == b"+ \r\n"
    return client.ask(response + b"\r\n")


@pytest.mark.parametrize("protocol", ["imap", "pop3"])
@pytest.mark.parametrize("when", ["with the command", "after the challenge"])
@pytest.mark.parametrize("what", MALFORMED)
def test_a_malformed_response_is_refused_and_the_next_login_goes_through(
    what: str, when: str, protocol: str, front: Front
) -> None:
    at_once = when == "with the command"
    with front.greeted(protocol) as client:
        with front.untouched():
            refused = authenticate(client, protocol, MALFORMED[what], at_once=at_once)
        assert refused.startswith((b"a BAD", b"a NO") if protocol == "imap" else b"-ERR")
        accepted = authenticate(client, protocol, plain(ALICE, PASSWORD), at_once=at_once)
        assert accepted.startswith(b"a OK" if protocol == "imap" else b"+OK")


@pytest.mark.parametrize("protocol", ["imap", "pop3"])
@pytest.mark.parametrize("what", NOBODY)
def test_a_name_that_nobody_has_is_refused_like_a_wrong_password(what: str, protocol: str, front: Front) -> None:
    with front.untouched(), front.greeted(protocol) as client:
        refused = authenticate(client, protocol, plain(NOBODY[what], PASSWORD), at_once=True)
        assert refused == WRONG[protocol]


@pytest.mark.parametrize("protocol", ["imap", "pop3"])
def test_an_authzid_that_the_directory_does_not_grant_is_refused_like_a_wrong_password(
    protocol: str, front: Front
) -> None:
    with front.untouched(), front.greeted(protocol) as client:
        refused = authenticate(client, protocol, plain(ALICE, PASSWORD, authzid=BOB), at_once=True)
        assert refused == WRONG[protocol]


@pytest.mark.parametrize("protocol", ["imap", "pop3"])
def test_an_authzid_that_the_directory_grants_reaches_the_backend(protocol: str, front: Front) -> None:
    with front.greeted(protocol) as client:
        accepted = authenticate(client, protocol, plain(BOB, PASSWORD, authzid=ALICE), at_once=True)
        assert accepted.startswith(b"a OK" if protocol == "imap" else b"+OK")
        told = front.backends["mbox"][protocol].told_of(client.address)
        assert plain(BOB, PASSWORD, authzid=ALICE) in told.heard


@pytest.mark.parametrize("protocol", ["imap", "pop3"])
@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_a_cancelled_exchange_leaves_the_connection_open(mechanism: str, protocol: str, front: Front) -> None:
    verb = "a AUTHENTICATE" if protocol == "imap" else "AUTH"
    with front.untouched(), front.greeted(protocol) as client:
        assert client.ask(f"{verb} {mechanism}\r\n".encode()).startswith(b"+")
        assert client.ask(b"*\r\n").startswith(b"a BAD" if protocol == "imap" else b"-ERR")
        assert b"OK" in client.ask(NOOP[protocol])


@pytest.mark.parametrize("protocol", ["imap", "pop3"])
@pytest.mark.parametrize("mechanism", ["CRAM-MD5", "NTLM", "EXTERNAL", "ANONYMOUS", "XOAUTH2", "GSSAPI", "PLAIN\0"])
def test_a_mechanism_that_is_not_offered_is_refused(mechanism: str, protocol: str, front: Front) -> None:
    verb = "a AUTHENTICATE" if protocol == "imap" else "AUTH"
    with front.untouched(), front.greeted(protocol) as client:
        refused = client.ask(f"{verb} {mechanism}\r\n".encode())
        assert refused.startswith((b"a NO", b"a BAD") if protocol == "imap" else b"-ERR")


def test_the_junk_of_one_connection_does_not_fail_the_login_of_another(front: Front) -> None:
    with front.greeted("imap") as junk, front.greeted("imap") as other:
        assert junk.ask(b"a AUTHENTICATE PLAIN\r\n").startswith(b"+")
        assert other.ask(b"a AUTHENTICATE PLAIN\r\n").startswith(b"+")
        assert junk.ask(b"AAAA!\r\n").startswith(b"a BAD")
        assert other.ask(plain(ALICE, PASSWORD) + b"\r\n").startswith(b"a OK")
