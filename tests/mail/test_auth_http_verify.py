"""A script made for nginx checks each password: it says where that one login goes, and as whom."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from servers.auth_script import LATER, WRONG, auth_script, lives_at, undone
from servers.clients import WAYS
from servers.dovecot import login_from, logins
from servers.zproxy import HOMES
from zcontrol.demo.accounts import PASSWORD

if TYPE_CHECKING:
    from collections.abc import Iterator

    from servers.auth_script import AuthScript, Headers, VisitByScript
    from servers.clients import Visitor
    from zcontrol.demo.dovecot import MailboxServer

SITI, BUDI = "siti@tgg.net.id", "budi@tgg.net.id"
# What people type, and no mailbox server knows.
FRONT_DOOR = "pintu%depan \u00e9"


@pytest.fixture
def script(mailboxes: dict[str, MailboxServer]) -> Iterator[AuthScript]:
    """Knows everybody's password at the front door, and tells the one behind it."""

    def answer(asked: Headers) -> Headers:
        account = undone(asked, "Auth-User")
        if account not in HOMES or undone(asked, "Auth-Pass") != FRONT_DOOR:
            return {"Auth-Status": "Invalid login or password", "Auth-Wait": "3"}
        return lives_at(mailboxes[HOMES[account]].address, 143, user=account, password=PASSWORD)

    with auth_script(answer) as running:
        yield running


@pytest.fixture
def visitor(visit_by_script: VisitByScript, script: AuthScript) -> Visitor:
    return visit_by_script(script, mode="verify")


@pytest.mark.parametrize("way", WAYS)
def test_the_password_of_the_front_door_opens_the_mailbox_where_the_script_says(
    way: str, visitor: Visitor, script: AuthScript
) -> None:
    for account, home in HOMES.items():
        assert f"The account {account} lives on {home}." in read_first(visitor, way, account)
    assert script.users == list(HOMES)
    told = dict(script.asked[-1])
    assert undone(told, "Auth-Pass") == FRONT_DOOR
    assert (told["Auth-Protocol"], told["Client-IP"]) == (WAYS[way].protocol, visitor.address)
    encrypted = WAYS[way].starttls or WAYS[way].implicit_tls
    assert told.get("Auth-SSL") == ("on" if encrypted else None)


def test_each_login_is_asked_about_and_nothing_is_remembered(visitor: Visitor, script: AuthScript) -> None:
    for _ in range(3):
        read_first(visitor, "IMAPS", "siti")
    assert script.users == [SITI] * 3
    script.stop()
    # Not even for who was let in a moment ago.
    assert visitor.refusal(SITI, FRONT_DOOR) == LATER


def test_a_wrong_password_and_an_unknown_name_are_told_alike(visitor: Visitor, script: AuthScript) -> None:
    assert visitor.refusal(SITI, "wrong") == visitor.refusal("nobody@tgg.net.id", "wrong") == WRONG
    # Nor does the password behind the front door open it.
    assert visitor.refusal(SITI, PASSWORD) == WRONG
    assert script.users == [SITI, "nobody@tgg.net.id", SITI]


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"Auth-Status": "Temporary server problem, try again later"},
        {"Auth-Status": "Invalid login or password", "Auth-Error-Code": "451 4.3.0"},
        {"Auth-Status": "OK"},
        lives_at("169.254.169.254", 143),
        lives_at("127.0.0.1", 0),
    ],
)
def test_an_answer_that_does_not_speak_of_the_password_is_never_a_wrong_one(
    answer: Headers, visitor: Visitor, script: AuthScript
) -> None:
    script.answer = lambda _: answer
    assert visitor.refusal(SITI, FRONT_DOOR) == LATER


def test_the_account_is_who_logged_in_and_the_backend_hears_the_scripts_name(
    visitor: Visitor, script: AuthScript, mailboxes: dict[str, MailboxServer]
) -> None:
    script.answer = lambda _: lives_at(mailboxes["mbox-2"].address, 143, user=BUDI, password=PASSWORD)
    read_first(visitor, "IMAPS", "b.santoso@tgg.net.id")
    assert login_from(mailboxes["mbox-2"], visitor.address).user == BUDI
    record = visitor.zproxy.record_from(visitor.address)
    assert (record["account"], record["verified"]) == ("b.santoso@tgg.net.id", "password")


def test_a_password_of_the_script_that_the_backend_refuses_is_not_the_clients_fault(
    visitor: Visitor, script: AuthScript, mailboxes: dict[str, MailboxServer]
) -> None:
    script.answer = lambda _: lives_at(mailboxes["mbox-1"].address, 143, password="of last year")
    assert visitor.refusal(SITI, FRONT_DOOR) == LATER
    assert "that auth_http gave" in visitor.zproxy.refusal_of(visitor.address)["error"]


def test_nobody_acts_as_another(visitor: Visitor, script: AuthScript, mailboxes: dict[str, MailboxServer]) -> None:
    before = {name: len(logins(server)) for name, server in mailboxes.items()}
    assert visitor.refusal(SITI, FRONT_DOOR, authzid=BUDI) == WRONG
    assert visitor.refusal(f"{SITI}*{BUDI}", FRONT_DOOR) == WRONG
    assert {name: len(logins(server)) for name, server in mailboxes.items()} == before
    assert script.users in ([], [SITI])


def read_first(visitor: Visitor, way: str, name: str) -> str:
    """As `Visitor.read_first`, whose libraries know no password beyond ASCII."""
    if WAYS[way].protocol == "imap":
        with visitor.imap(WAYS[way]) as client:
            client.authenticate("PLAIN", lambda _: f"\0{name}\0{FRONT_DOOR}".encode())
            client.select(readonly=True)
            return client.fetch("1", "BODY.PEEK[]")[1][0][1].decode()
    with closing(visitor.pop3(WAYS[way])) as client:
        client.encoding = "UTF-8"
        client.user(name)
        client.pass_(FRONT_DOOR)
        lines = client.retr(1)[1]
        client.quit()
        return b"\n".join(lines).decode()
