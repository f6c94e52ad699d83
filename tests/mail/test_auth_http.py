"""A script made for nginx tells the product where everybody lives: whoever it lets in reads mail on that server."""

from __future__ import annotations

import imaplib
from typing import TYPE_CHECKING

import pytest

from servers.auth_script import auth_script, lives_at, undone
from servers.clients import WAYS, Visitor
from servers.dovecot import login_from
from servers.waiting import until
from servers.zproxy import HOMES, two_mailboxes
from zcontrol.demo.accounts import PASSWORD

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from servers.auth_script import AuthScript, Headers
    from servers.certificates import Authority
    from servers.zproxy import StartZproxy
    from zcontrol.demo.dovecot import MailboxServer

SITI, BUDI, SATRIO = "siti@tgg.net.id", "budi@tgg.net.id", "satrio@gec-course.com"


@pytest.fixture
def script(mailboxes: dict[str, MailboxServer]) -> Iterator[AuthScript]:
    """Knows the five accounts; ports are nginx's way in, not ours."""
    with auth_script({account: lives_at(mailboxes[home].address, 143) for account, home in HOMES.items()}) as running:
        yield running


@pytest.fixture
def visitor(
    start_zproxy: StartZproxy,
    tmp_path: Path,
    authority: Authority,
    mailboxes: dict[str, MailboxServer],
    script: AuthScript,
) -> Visitor:
    config = two_mailboxes(tmp_path, authority, mailboxes)
    config["directory"] = {"auth_http": {"urls": [script.url], "timeout": "1s"}}
    zproxy = start_zproxy(config)
    early = Visitor(zproxy=zproxy, context=authority.client_context())
    # It is ready before its edge is connected to its control.
    until(lambda: "AUTHENTICATIONFAILED" in refusal(early, "nobody@tgg.net.id"))
    script.asked.clear()
    return Visitor(zproxy=zproxy, context=early.context)


def test_everybody_reads_his_mail_where_the_script_says_and_it_hears_no_password(
    visitor: Visitor, script: AuthScript
) -> None:
    for account, home in HOMES.items():
        for way in ("IMAPS", "POP3S"):
            assert f"The account {account} lives on {home}." in visitor.read_first(WAYS[way], account)
    # One route serves all protocols, and is cached.
    assert script.users == list(HOMES)
    assert not [value for asked in script.asked for _, value in asked if PASSWORD in value]


def test_its_name_for_a_user_is_the_account(
    visitor: Visitor, script: AuthScript, mailboxes: dict[str, MailboxServer]
) -> None:
    script.answer = lambda _: lives_at(mailboxes["mbox-2"].address, 143, user=BUDI)
    assert f"The account {BUDI} lives on mbox-2." in visitor.read_first(WAYS["IMAPS"], "b.santoso@tgg.net.id")
    assert login_from(mailboxes["mbox-2"], visitor.address).user == BUDI
    assert visitor.zproxy.record_from(visitor.address)["account"] == BUDI


def test_what_it_cannot_mean_lets_nobody_in_and_is_never_a_wrong_password(visitor: Visitor, script: AuthScript) -> None:
    visitor.read_first(WAYS["IMAPS"], SITI)
    script.answer = lambda _: lives_at("169.254.169.254", 143)
    assert refusal(visitor, BUDI) == "[UNAVAILABLE] Temporary failure, try again later."
    script.answer = lambda _: {"Auth-Status": "Invalid login or password"}
    assert refusal(visitor, BUDI) == "[UNAVAILABLE] Temporary failure, try again later."
    script.answer = lambda _: {"Auth-Status": "No such user"}
    assert refusal(visitor, BUDI) == "[AUTHENTICATIONFAILED] Authentication failed."
    script.stop()
    # Whoever is known logs in without it.
    assert SITI in visitor.read_first(WAYS["IMAPS"], SITI)
    assert refusal(visitor, SATRIO) == "[UNAVAILABLE] Temporary failure, try again later."
    assert "which is no backend's host: add the backend to the pool" in visitor.zproxy.records_file.read_text()


def refusal(visitor: Visitor, account: str) -> str:
    """What somebody is told who should not be let in."""
    client = visitor.imap(WAYS["IMAPS"])
    with pytest.raises(imaplib.IMAP4.error) as caught:
        client.login(account, PASSWORD)
    client.shutdown()
    return caught.value.args[0].decode()


def test_where_it_checks_passwords_it_says_how_each_login_goes_on(
    start_zproxy: StartZproxy,
    tmp_path: Path,
    authority: Authority,
    mailboxes: dict[str, MailboxServer],
    script: AuthScript,
) -> None:
    def checked(asked: Headers) -> Headers:
        user, password = undone(asked, "Auth-User"), undone(asked, "Auth-Pass")
        if password != f"real of {user}" or user not in HOMES:
            return {"Auth-Status": "Invalid login or password"}
        return lives_at(mailboxes[HOMES[user]].address, 143, user=user, password=PASSWORD)

    script.answer = checked
    config = two_mailboxes(tmp_path, authority, mailboxes)
    config["directory"] = {"auth_http": {"urls": [script.url], "timeout": "1s", "mode": "verify"}}
    zproxy = start_zproxy(config)
    context = authority.client_context()
    for account, home in HOMES.items():
        for way in ("IMAPS", "POP3S"):
            visitor = Visitor(zproxy=zproxy, context=context)
            told = visitor.read_first(WAYS[way], account, f"real of {account}")
            assert f"The account {account} lives on {home}." in told
            record = zproxy.record_from(visitor.address)
            assert (record["account"], record["verified"]) == (account, "password")
    visitor = Visitor(zproxy=zproxy, context=context)
    # Neither the password that goes to the mailbox server nor one's own at another's name.
    for name, password in [(SITI, PASSWORD), (SITI, f"real of {BUDI}"), (f"{SITI}*{BUDI}", f"real of {BUDI}")]:
        with pytest.raises(imaplib.IMAP4.error, match="AUTHENTICATIONFAILED"):
            visitor.read_first(WAYS["IMAPS"], name, password)
    script.stop()
    with pytest.raises(imaplib.IMAP4.error, match="UNAVAILABLE"):
        visitor.read_first(WAYS["IMAPS"], SITI, f"real of {SITI}")
