"""Logins by a token of the client's own, which a real mailbox server checks by the key of whoever issued it."""

from __future__ import annotations

import base64
import imaplib
import json
import subprocess
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from servers.clients import WAYS, Visitor
from servers.dovecot import login_from, logins, start
from servers.place import BUDI, LISTS, NOBODY, SITI, Place, config, listed
from servers.raw_client import plain
from servers.said import AUTHENTICATE, WRONG
from servers.tokens import ISSUER, MECHANISMS, dismissal, message
from servers.waiting import until
from servers.zproxy import Zproxy
from zcontrol.demo.accounts import HOSTNAME, PASSWORD
from zcontrol.demo.loopback import own_address

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from servers.certificates import Authority
    from servers.dovecot import StartDovecot
    from servers.raw_client import RawClient
    from servers.tokens import TokenIssuer
    from servers.zproxy import StartZproxy

WHERE = f"{ISSUER}/.well-known/openid-configuration"
OBJECTS = {
    "XOAUTH2": {"status": "401", "schemes": "bearer", "scope": "mail", "openid-configuration": WHERE},
    "OAUTHBEARER": {"status": "invalid_token", "openid-configuration": WHERE},
}
"""What Dovecot 2.3 says of a token that is not good."""

each_mechanism = pytest.mark.parametrize("mechanism", MECHANISMS)
each_protocol = pytest.mark.parametrize("protocol", ["imap", "pop3"])


@pytest.fixture(scope="module")
def place(
    tmp_path_factory: pytest.TempPathFactory,
    authority: Authority,
    issuer: TokenIssuer,
) -> Iterator[Place]:
    with ExitStack() as stack:
        mailbox = start(stack, authority, "mbox-1", SITI, BUDI, lines=issuer.dovecot_lines)
        directory = tmp_path_factory.mktemp("zproxy")
        zproxy = stack.enter_context(Zproxy(directory, config(directory, authority, mailbox)))
        place = Place(zproxy, mailbox, authority)
        for protocol in LISTS:
            until(lambda protocol=protocol: b"XOAUTH2" in listed(place, protocol))
        yield place


def log_in(client: RawClient, protocol: str, mechanism: str, said: bytes) -> bytes:
    """Say it with the command, and return the answer."""
    command = {"imap": "a AUTHENTICATE", "pop3": "AUTH"}[protocol]
    return client.ask(f"{command} {mechanism} ".encode() + base64.b64encode(said) + b"\r\n")


def refused(client: RawClient, protocol: str, mechanism: str, said: bytes) -> bytes:
    """Log in in vain, and return the error object that came before the refusal."""
    challenge = log_in(client, protocol, mechanism, said)
    assert challenge.startswith(b"+ "), challenge
    assert client.ask(base64.b64encode(dismissal(mechanism)) + b"\r\n") == WRONG[protocol]
    return base64.b64decode(challenge[2:], validate=False)


def nameless(token: str) -> bytes:
    """Return what a client says by OAUTHBEARER that leaves it to the token to say whose it is."""
    return f"n,,\x01auth=Bearer {token}\x01\x01".encode()


@each_mechanism
@each_protocol
def test_a_token_opens_the_mailbox_of_its_own_account(
    place: Place, issuer: TokenIssuer, protocol: str, mechanism: str
) -> None:
    with place.client(protocol) as client:
        answer = log_in(client, protocol, mechanism, message(mechanism, SITI, issuer.token(SITI)))
        assert answer.startswith((b"a OK", b"* CAPABILITY", b"+OK")), answer
        login = login_from(place.mailbox, client.address)
    assert (login.user, login.service, login.method) == (SITI, protocol, mechanism)
    record = place.zproxy.record_from(client.address)
    assert (record["account"], record["mechanism"]) == (SITI, mechanism)


@each_mechanism
@pytest.mark.parametrize("way", ["IMAPS", "STARTTLS"])
def test_a_user_reads_his_mail_with_a_token(place: Place, issuer: TokenIssuer, way: str, mechanism: str) -> None:
    visitor = Visitor(zproxy=place.zproxy, context=place.authority.client_context())
    said = message(mechanism, BUDI, issuer.token(BUDI))
    with visitor.imap(WAYS[way]) as client:
        client.authenticate(mechanism, lambda _: said)
        assert client.select(readonly=True) == ("OK", [b"1"])


@each_mechanism
@each_protocol
def test_the_token_of_another_user_does_not_open_a_mailbox(
    place: Place, issuer: TokenIssuer, protocol: str, mechanism: str
) -> None:
    with place.client(protocol) as client:
        said = message(mechanism, SITI, issuer.token(BUDI))
        assert json.loads(refused(client, protocol, mechanism, said)) == OBJECTS[mechanism]
    assert all(login.rip != client.address for login in logins(place.mailbox))
    assert place.zproxy.refusal_of(client.address)["error"] == "token refused"


@each_mechanism
@each_protocol
def test_an_expired_token_hears_why_and_the_next_one_is_let_in(
    place: Place, issuer: TokenIssuer, protocol: str, mechanism: str
) -> None:
    with place.client(protocol) as client:
        expired = message(mechanism, SITI, issuer.token(SITI, valid_for=-60))
        assert json.loads(refused(client, protocol, mechanism, expired)) == OBJECTS[mechanism]
        answer = log_in(client, protocol, mechanism, message(mechanism, SITI, issuer.token(SITI)))
        assert not answer.startswith((b"a NO", b"-ERR", b"+ ")), answer


@each_mechanism
@each_protocol
def test_a_user_who_does_not_exist_is_refused_as_one_who_does(place: Place, protocol: str, mechanism: str) -> None:
    answers = set()
    for account in (SITI, NOBODY):
        with place.client(protocol) as client:
            answers.add(refused(client, protocol, mechanism, message(mechanism, account, "forged")))
    assert len(answers) == 1


@each_protocol
def test_a_token_is_no_password_and_a_password_no_token(place: Place, issuer: TokenIssuer, protocol: str) -> None:
    with place.client(protocol) as client:
        asked = AUTHENTICATE[protocol] + b" " + plain(SITI, issuer.token(SITI)) + b"\r\n"
        assert client.ask(asked) == WRONG[protocol]
        refused(client, protocol, "XOAUTH2", message("XOAUTH2", SITI, PASSWORD))


@each_protocol
def test_a_token_without_a_name_opens_the_mailbox_of_its_account(
    place: Place, issuer: TokenIssuer, protocol: str
) -> None:
    with place.client(protocol, address=own_address()) as client:
        answer = log_in(client, protocol, "OAUTHBEARER", nameless(issuer.token(BUDI)))
        assert answer.startswith((b"a OK", b"+OK")), answer
        assert login_from(place.mailbox, client.address).user == BUDI


@each_protocol
def test_a_token_without_a_name_that_nobody_signed_opens_none(place: Place, issuer: TokenIssuer, protocol: str) -> None:
    signed = issuer.token(SITI).split(".")
    forged = ".".join([*issuer.token(BUDI).split(".")[:2], signed[2]])
    with place.client(protocol) as client:
        refused(client, protocol, "OAUTHBEARER", nameless(forged))
        # What only its issuer can read leads nowhere here.
        refused(client, protocol, "OAUTHBEARER", nameless("an-opaque-one"))


def test_a_token_is_in_no_record_and_no_log(place: Place, issuer: TokenIssuer) -> None:
    tokens = [issuer.token(SITI), issuer.token(BUDI)]
    with place.client("imap") as client:
        refused(client, "imap", "XOAUTH2", message("XOAUTH2", SITI, tokens[1]))
        log_in(client, "imap", "XOAUTH2", message("XOAUTH2", SITI, tokens[0]))
    place.zproxy.record_from(client.address)
    written = place.zproxy.records_file.read_text() + place.zproxy.errors()
    for token in tokens:
        assert token not in written
        assert token.rpartition(".")[2] not in written


@pytest.mark.parametrize("listener", ["imaps", "pop3s"])
def test_curl_reads_a_message_with_a_token(place: Place, issuer: TokenIssuer, listener: str) -> None:
    port, address = place.zproxy.listeners[listener][1], own_address()
    path = "INBOX;MAILINDEX=1" if listener == "imaps" else "1"
    command = ["curl", "-sS", "--interface", address, "--resolve", f"{HOSTNAME}:{port}:127.0.0.1"]
    command += ["--cacert", str(place.authority.ca_file), "--user", f"{SITI}:"]
    command += ["--oauth2-bearer", issuer.token(SITI), f"{listener}://{HOSTNAME}:{port}/{path}"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr
    assert f"The account {SITI} lives on mbox-1." in done.stdout
    assert login_from(place.mailbox, address).method in MECHANISMS


def test_tokens_are_offered_only_where_every_mailbox_server_takes_them(
    tmp_path: Path,
    authority: Authority,
    issuer: TokenIssuer,
    start_dovecot: StartDovecot,
    start_zproxy: StartZproxy,
) -> None:
    takes, does_not = start_dovecot("mbox-1", SITI, lines=issuer.dovecot_lines), start_dovecot("mbox-2")
    zproxy = start_zproxy(config(tmp_path, authority, takes, does_not))
    place = Place(zproxy, takes, authority)
    # Both were asked, for all else that they share is offered.
    assert b"XOAUTH2" not in until(lambda: b"IDLE" in listed(place, "imap") and listed(place, "imap"))
    visitor = Visitor(zproxy=zproxy, context=authority.client_context())
    said = message("XOAUTH2", SITI, issuer.token(SITI))
    with visitor.imap(WAYS["IMAPS"]) as client, pytest.raises(imaplib.IMAP4.error, match="Unknown authentication"):
        client.authenticate("XOAUTH2", lambda _: said)
