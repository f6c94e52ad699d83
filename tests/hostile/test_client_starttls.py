"""What a client sends around STARTTLS and STLS: nothing said in clear is ever done inside TLS (CVE-2011-0411)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from servers.fake_mailbox import PASSWORD
from servers.front import ALICE
from servers.said import NOOP, WELCOME, log_in
from zcontrol.demo.accounts import HOSTNAME

if TYPE_CHECKING:
    from servers.front import Front
    from servers.raw_client import RawClient

BEGIN = {"imap": b"s STARTTLS\r\n", "pop3": b"STLS\r\n"}
LEAVE = {"imap": b"s OK", "pop3": b"+OK"}
both = pytest.mark.parametrize("protocol", ["imap", "pop3"])


def secured(client: RawClient, protocol: str, front: Front) -> None:
    assert client.ask(BEGIN[protocol]).startswith(LEAVE[protocol])
    client.secure(front.context, HOSTNAME)


@both
@pytest.mark.parametrize("behind", ["login", "noop", "half a command", "one octet"])
def test_bytes_behind_it_close_the_connection_and_nothing_is_done(behind: str, protocol: str, front: Front) -> None:
    what = {"login": log_in(protocol, ALICE), "noop": NOOP[protocol], "half a command": b"n NO", "one octet": b"\n"}[
        behind
    ]
    with front.untouched(), front.greeted(protocol) as client:
        client.send(BEGIN[protocol] + what)
        answers = client.rest().splitlines()
        assert not any(answer.startswith((b"n OK", WELCOME[protocol])) for answer in answers)
        if protocol == "imap":
            assert answers[0].startswith(b"s BAD")
            assert answers[1].startswith(b"* BYE")


@both
def test_plaintext_after_the_leave_is_fed_to_tls_and_never_answered(protocol: str, front: Front) -> None:
    with front.untouched(), front.greeted(protocol) as client:
        assert client.ask(BEGIN[protocol]).startswith(LEAVE[protocol])
        client.send(log_in(protocol, ALICE) + NOOP[protocol])
        # An alert of TLS at most.
        answer = client.rest()
        assert answer == b"" or answer[:1] == b"\x15"


@both
def test_what_was_said_before_it_is_forgotten_inside(protocol: str, front: Front) -> None:
    """A name said in clear (POP3) and an ID said in clear (IMAP) are gone after the handshake."""
    before = {"imap": b'i ID ("name" "said in clear")\r\n', "pop3": f"USER {ALICE}\r\n".encode()}
    with front.greeted(protocol) as client:
        client.send(before[protocol])
        assert b"OK" in client.lines(2 if protocol == "imap" else 1)[-1]
        secured(client, protocol, front)
        if protocol == "pop3":
            assert client.ask(f"PASS {PASSWORD}\r\n".encode()).startswith(b"-ERR")
        assert client.ask(log_in(protocol, ALICE)).startswith(WELCOME[protocol])
        told = front.backends["mbox"][protocol].told_of(client.address)
        assert b"said in clear" not in told.heard


@both
def test_it_is_refused_inside_tls(protocol: str, front: Front) -> None:
    refused = b"s BAD" if protocol == "imap" else b"-ERR"
    with front.greeted(protocol) as client:
        secured(client, protocol, front)
        assert client.ask(BEGIN[protocol]).startswith(refused)
        assert client.ask(log_in(protocol, ALICE)).startswith(WELCOME[protocol])
    with front.greeted(f"{protocol}s") as client:
        assert client.ask(BEGIN[protocol]).startswith(refused)


@both
def test_it_is_refused_where_it_is_not_offered(protocol: str, front: Front) -> None:
    with front.client(f"{protocol}_proxied") as client:
        client.send(b"PROXY UNKNOWN\r\n")
        client.line()
        assert client.ask(BEGIN[protocol]).startswith(b"s BAD" if protocol == "imap" else b"-ERR")


@both
def test_a_password_is_not_asked_for_where_tls_is_required(protocol: str, front: Front) -> None:
    """The refusal comes before the client has sent its password, and a password sent unasked goes nowhere."""
    with front.untouched(), front.greeted(f"{protocol}_strict") as client:
        if protocol == "imap":
            assert client.ask(b"a LOGIN {17}\r\n").startswith(b"a NO [PRIVACYREQUIRED]")
            assert client.ask(b"a AUTHENTICATE PLAIN\r\n").startswith(b"a NO [PRIVACYREQUIRED]")
            assert client.ask(log_in("imap", ALICE)).startswith(b"a NO [PRIVACYREQUIRED]")
        else:
            assert client.ask(f"USER {ALICE}\r\n".encode()).startswith(b"-ERR")
            assert client.ask(f"PASS {PASSWORD}\r\n".encode()).startswith(b"-ERR")
            assert client.ask(b"AUTH PLAIN\r\n").startswith(b"-ERR")
            assert client.ask(log_in("pop3", ALICE)).startswith(b"-ERR")


@both
def test_garbage_instead_of_a_handshake_gets_an_alert_and_the_end(protocol: str, front: Front) -> None:
    torn, sslv2, http = b"\x16\x03\x01\xff\xff" + b"\0" * 64, b"\x80\x2e\x01\x03\x01", b"GET / HTTP/1.1\r\n\r\n"
    for hello in (torn, sslv2, http, NOOP[protocol]):
        with front.untouched(), front.client(f"{protocol}s") as client:
            client.send(hello)
            client.half_close()
            assert client.rest()[:1] in (b"", b"\x15")
