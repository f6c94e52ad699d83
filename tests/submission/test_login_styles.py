"""Mail sent by who was proved first: one Postfix is told so by XCLIENT LOGIN, the other asks about a master user."""

from __future__ import annotations

import base64
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from servers import proving
from servers.clients import SENDING, Visitor
from servers.offices import IMPLICIT_PROXY_V2, STARTTLS_XCLIENT, Offices
from servers.postfix import delivered
from servers.proving import MASTER, right
from servers.raw_client import plain
from servers.tokens import MECHANISMS, dismissal, message
from servers.waiting import until
from servers.zproxy import HOMES, Zproxy
from zcontrol.demo.accounts import PASSWORD

if TYPE_CHECKING:
    import smtplib
    from collections.abc import Iterator

    from servers.certificates import Authority
    from servers.tokens import TokenIssuer

# One at each mailbox server.
SITI, BUDI, NOBODY = "siti@tgg.net.id", "budi@tgg.net.id", "nobody@tgg.net.id"
METHODS = {SITI: "XCLIENT", BUDI: "PLAIN"}
"""As Postfix logs it."""
FAILED = (535, b"5.7.8 Authentication failed.")

each_account = pytest.mark.parametrize("account", [SITI, BUDI])
each_mechanism = pytest.mark.parametrize("mechanism", MECHANISMS)


@pytest.fixture(scope="module")
def offices(authority: Authority) -> Iterator[Offices]:
    with proving.master_lines() as lines, Offices(authority, lines=lines) as running:
        yield running


@pytest.fixture(scope="module")
def submission(
    tmp_path_factory: pytest.TempPathFactory, offices: Offices, authority: Authority, issuer: TokenIssuer
) -> Iterator[Zproxy]:
    with ExitStack() as stack:
        path = tmp_path_factory.mktemp("submission")
        slapd = stack.enter_context(proving.directory(path / "slapd", HOMES, may_act_as={BUDI: SITI}))
        config = offices.config(
            path,
            mbox_1=STARTTLS_XCLIENT | {"login_style": "verify_then_xclient"},
            mbox_2=IMPLICIT_PROXY_V2 | {"login_style": "verify_then_master"},
        )
        more = {"timeouts": {"auth_failure_delay": "0.2s"}, "limits": {"login_attempts": 10}}
        running = stack.enter_context(Zproxy(path, config | more | proving.config(slapd, issuer)))
        visitor = Visitor(zproxy=running, context=authority.client_context())
        until(lambda: all(lets_in(visitor, account) for account in (SITI, BUDI)))
        yield running


def lets_in(visitor: Visitor, account: str) -> bool:
    with visitor.smtp(SENDING["465"]) as client:
        return by_password(client, account, right(account))[0] == 235


def by_password(client: smtplib.SMTP, name: str, password: str, *, authzid: str = "") -> tuple[int, bytes]:
    client.ehlo_or_helo_if_needed()
    return client.docmd("AUTH", "PLAIN " + plain(name, password, authzid).decode())


def by_token(client: smtplib.SMTP, mechanism: str, name: str, token: str) -> tuple[int, bytes]:
    """Log in, and dismiss what is said of a token that is not good."""
    client.ehlo_or_helo_if_needed()
    said = base64.b64encode(message(mechanism, name, token)).decode()
    code, text = client.docmd("AUTH", f"{mechanism} {said}")
    if code != 334:
        return code, text
    return client.docmd(base64.b64encode(dismissal(mechanism)).decode())


@each_account
def test_a_proved_user_sends_mail_in_his_own_name(
    account: str, sender: Visitor, submission: Zproxy, offices: Offices
) -> None:
    subject = f"proved {account}"
    with sender.smtp(SENDING["587"]) as client:
        assert by_password(client, account, right(account))[0] == 235
        client.sendmail(account, [SITI], f"From: {account}\r\nSubject: {subject}\r\n\r\nsent\r\n")
    assert delivered(offices.mailboxes[HOMES[SITI]], SITI, subject).rstrip().endswith(b"sent")
    (queued,) = offices.mtas[HOMES[account]].queued_from(sender.address)
    assert (queued.user, queued.method) == (account, METHODS[account])
    record = submission.record_from(sender.address)
    assert (record["account"], record["verified"]) == (account, "password")


@each_mechanism
@each_account
def test_a_proved_token_lets_its_account_send(
    account: str, mechanism: str, sender: Visitor, issuer: TokenIssuer, submission: Zproxy
) -> None:
    with sender.smtp(SENDING["465"]) as client:
        assert by_token(client, mechanism, account, issuer.token(account))[0] == 235
        assert client.mail(account)[0] == 250
    assert submission.record_from(sender.address)["verified"] == "token"


@each_account
def test_an_attackers_own_password_sends_in_no_other_name(account: str, sender: Visitor, offices: Offices) -> None:
    own = "satrio@gec-course.com"
    attempts = [(account, right(own), ""), (own, right(own), account), (account, PASSWORD, "")]
    attempts += [(f"{account}*{MASTER['user']}", MASTER["password"], ""), (f"{account}*{own}", right(own), "")]
    attempts += [(NOBODY, right(own), ""), (MASTER["user"], MASTER["password"], account)]
    with sender.smtp(SENDING["465"]) as client:
        for name, password, authzid in attempts:
            assert by_password(client, name, password, authzid=authzid) == FAILED, (name, authzid)
            assert client.mail(account)[0] == 530
    assert all(not mta.queued_from(sender.address) for mta in offices.mtas.values())


@each_mechanism
def test_an_attackers_own_token_sends_in_no_other_name(mechanism: str, sender: Visitor, issuer: TokenIssuer) -> None:
    with sender.smtp(SENDING["465"]) as client:
        for victim in (BUDI, f"post.{BUDI}", f"{BUDI}*{MASTER['user']}", NOBODY):
            assert by_token(client, mechanism, victim, issuer.token(SITI)) == FAILED, victim
            assert client.mail(victim)[0] == 530


def test_whoever_may_act_as_another_sends_in_his_name(sender: Visitor, offices: Offices) -> None:
    with sender.smtp(SENDING["465"]) as client:
        assert by_password(client, BUDI, right(BUDI), authzid=SITI)[0] == 235
        client.sendmail(SITI, [BUDI], f"From: {SITI}\r\nSubject: in his name\r\n\r\nsent\r\n")
    (queued,) = offices.mtas[HOMES[SITI]].queued_from(sender.address)
    assert (queued.user, queued.method) == (SITI, "XCLIENT")


@each_account
def test_a_client_cannot_say_for_whom_it_was_proved(account: str, sender: Visitor) -> None:
    with sender.smtp(SENDING["465"]) as client:
        assert client.docmd("XCLIENT", f"LOGIN={account} ADDR=127.0.0.1")[0] >= 500
        assert by_password(client, account, right(account))[0] == 235
        assert client.docmd("XCLIENT", f"LOGIN={NOBODY} ADDR=127.0.0.1")[0] >= 500
        assert client.mail(account)[0] == 250
