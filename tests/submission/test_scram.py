"""Mail sent by a client that proves its password without saying it, to a Dovecot that Postfix asks."""

from __future__ import annotations

import base64
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from servers.clients import SENDING, Visitor
from servers.offices import Offices
from servers.place import BUDI, NOBODY, SITI
from servers.scram import MECHANISMS, Scram
from servers.waiting import until
from zcontrol.demo.accounts import PASSWORD

if TYPE_CHECKING:
    import smtplib
    from collections.abc import Iterator

    from servers.certificates import Authority
    from servers.zproxy import Zproxy

each_mechanism = pytest.mark.parametrize("mechanism", MECHANISMS)
# One at each mailbox server: told of clients by XCLIENT, and by PROXY v2.
each_account = pytest.mark.parametrize("account", [SITI, BUDI])


@pytest.fixture(scope="module")
def submission(tmp_path_factory: pytest.TempPathFactory, scram_lines: str, authority: Authority) -> Iterator[Zproxy]:
    with ExitStack() as stack:
        offices = stack.enter_context(Offices(authority, lines=scram_lines))
        running = stack.enter_context(offices.behind(tmp_path_factory.mktemp("submission")))
        sender = Visitor(zproxy=running, context=authority.client_context())
        until(lambda: "SCRAM-SHA-256" in _mechanisms(sender))
        yield running


def _mechanisms(sender: Visitor) -> str:
    with sender.smtp(SENDING["465"]) as client:
        client.ehlo()
        return client.esmtp_features["auth"]


def _proved(client: smtplib.SMTP, scram: Scram) -> tuple[int, bytes]:
    """Go as far as the proof, and return the reply to it."""
    client.ehlo()
    code, asked = client.docmd("AUTH", f"{scram.mechanism} {_encoded(scram.first())}")
    assert code == 334, asked
    return client.docmd(_encoded(scram.last(base64.b64decode(asked))))


def _encoded(message: bytes) -> str:
    return base64.b64encode(message).decode()


@each_mechanism
@each_account
@pytest.mark.parametrize("way", SENDING)
def test_whoever_proves_his_password_may_send(
    way: str, account: str, mechanism: str, sender: Visitor, submission: Zproxy
) -> None:
    scram = Scram(mechanism=mechanism, name=account, password=PASSWORD)
    with sender.smtp(SENDING[way]) as client:
        code, shown = _proved(client, scram)
        scram.check(base64.b64decode(shown))
        assert (code, client.docmd("")[0]) == (334, 235)
        assert client.mail(account)[0] == 250
    record = submission.record_from(sender.address)
    assert (record["account"], record["mechanism"]) == (account, mechanism)


@each_account
def test_a_user_who_does_not_exist_is_asked_and_refused_as_one_with_a_wrong_password(
    account: str, sender: Visitor
) -> None:
    asked, answers = set(), set()
    for name in (account, NOBODY):
        scram = Scram(mechanism="SCRAM-SHA-256", name=name, password="wrong")
        with sender.smtp(SENDING["465"]) as client:
            answers.add(_proved(client, scram))
        asked.add((tuple(scram.asked), scram.asked["i"], len(scram.asked["s"]), len(scram.asked["r"])))
    assert answers == {(535, b"5.7.8 Authentication failed.")}
    assert len(asked) == 1
