"""Mail sent by a token of the client's own, which Postfix has a real Dovecot check."""

from __future__ import annotations

import base64
import subprocess
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from servers.clients import SENDING, Visitor
from servers.offices import Offices
from servers.postfix import delivered
from servers.tokens import MECHANISMS, dismissal, message
from servers.waiting import until
from zcontrol.demo.accounts import HOSTNAME
from zcontrol.demo.loopback import own_address

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from servers.certificates import Authority
    from servers.tokens import TokenIssuer
    from servers.zproxy import Zproxy

# One at each mailbox server: told of clients by XCLIENT, and by PROXY v2.
SITI, BUDI = "siti@tgg.net.id", "budi@tgg.net.id"
FAILED = (535, b"5.7.8 Authentication failed.")

each_mechanism = pytest.mark.parametrize("mechanism", MECHANISMS)
each_account = pytest.mark.parametrize("account", [SITI, BUDI])


@pytest.fixture(scope="module")
def offices(authority: Authority, issuer: TokenIssuer) -> Iterator[Offices]:
    with Offices(authority, lines=issuer.dovecot_lines) as running:
        yield running


@pytest.fixture(scope="module")
def submission(tmp_path_factory: pytest.TempPathFactory, offices: Offices, authority: Authority) -> Iterator[Zproxy]:
    with ExitStack() as stack:
        running = stack.enter_context(offices.behind(tmp_path_factory.mktemp("submission")))
        sender = Visitor(zproxy=running, context=authority.client_context())
        until(lambda: "XOAUTH2" in _mechanisms(sender))
        yield running


def _mechanisms(sender: Visitor) -> str:
    with sender.smtp(SENDING["465"]) as client:
        client.ehlo()
        return client.esmtp_features["auth"]


def _auth(mechanism: str, said: bytes) -> str:
    return f"{mechanism} {base64.b64encode(said).decode()}"


@each_mechanism
@each_account
@pytest.mark.parametrize("way", SENDING)
def test_a_token_lets_its_own_account_send(
    way: str, account: str, mechanism: str, sender: Visitor, issuer: TokenIssuer, submission: Zproxy
) -> None:
    said = message(mechanism, account, issuer.token(account))
    with sender.smtp(SENDING[way]) as client:
        client.ehlo()
        assert client.docmd("AUTH", _auth(mechanism, said))[0] == 235
        assert client.mail(account)[0] == 250
    record = submission.record_from(sender.address)
    assert (record["account"], record["mechanism"]) == (account, mechanism)


@each_mechanism
@each_account
@pytest.mark.parametrize("what", ["of another user", "expired", "forged"])
def test_a_token_that_is_not_good_hears_why_and_is_refused(
    what: str, account: str, mechanism: str, sender: Visitor, issuer: TokenIssuer
) -> None:
    other = SITI if account == BUDI else BUDI
    token = {
        "of another user": issuer.token(other),
        "expired": issuer.token(account, valid_for=-60),
        "forged": issuer.token(account)[:-8] + "AAAAAAAA",
    }[what]
    with sender.smtp(SENDING["465"]) as client:
        client.ehlo()
        code, challenge = client.docmd("AUTH", _auth(mechanism, message(mechanism, account, token)))
        assert (code, base64.b64decode(challenge)[:10]) == (334, b'{"status":')
        assert client.docmd(base64.b64encode(dismissal(mechanism)).decode()) == FAILED
        assert client.mail(account)[0] == 530
        good = message(mechanism, account, issuer.token(account))
        assert client.docmd("AUTH", _auth(mechanism, good))[0] == 235


def test_curl_sends_a_message_with_a_token(
    tmp_path: Path, submission: Zproxy, offices: Offices, issuer: TokenIssuer, authority: Authority
) -> None:
    port, address = submission.listeners["submissions"][1], own_address()
    mail = tmp_path / "mail"
    mail.write_bytes(b"From: siti@tgg.net.id\r\nSubject: by token\r\n\r\nsent\r\n")
    command = ["curl", "-sS", "--interface", address, "--resolve", f"{HOSTNAME}:{port}:127.0.0.1"]
    command += ["--cacert", str(authority.ca_file), "--user", f"{SITI}:", "--oauth2-bearer", issuer.token(SITI)]
    command += ["--mail-from", SITI, "--mail-rcpt", BUDI, "--upload-file", str(mail), f"smtps://{HOSTNAME}:{port}"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr
    home = next(server for server in offices.mailboxes.values() if BUDI in server.setting.passwords)
    assert delivered(home, BUDI, "by token").rstrip().endswith(b"sent")
