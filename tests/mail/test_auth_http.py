"""A script made for nginx tells the product where everybody lives: whoever it lets in reads mail on that server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from servers.auth_script import LATER, WRONG, auth_script, lives_at
from servers.clients import WAYS
from servers.dovecot import login_from
from servers.zproxy import HOMES
from zcontrol.demo.accounts import PASSWORD

if TYPE_CHECKING:
    from collections.abc import Iterator

    from servers.auth_script import AuthScript, VisitByScript
    from servers.clients import Visitor
    from zcontrol.demo.dovecot import MailboxServer

SITI, BUDI, SATRIO = "siti@tgg.net.id", "budi@tgg.net.id", "satrio@gec-course.com"


@pytest.fixture
def script(mailboxes: dict[str, MailboxServer]) -> Iterator[AuthScript]:
    """Knows the five accounts; ports are nginx's way in, not ours."""
    with auth_script({account: lives_at(mailboxes[home].address, 143) for account, home in HOMES.items()}) as running:
        yield running


@pytest.fixture
def visitor(visit_by_script: VisitByScript, script: AuthScript) -> Visitor:
    return visit_by_script(script)


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


def test_a_star_that_only_unicode_calls_one_makes_no_master_login(visitor: Visitor, script: AuthScript) -> None:
    home = script.answer({"Auth-User": SITI})
    script.answer = lambda _: home
    for star in ("*", "\uff0a", "\ufe61"):
        for name in (f"{SITI}{star}root", f"siti{star}root@tgg.net.id"):
            assert visitor.refusal(name, PASSWORD) == WRONG
    refused = [record["error"] for record in visitor.zproxy.records() if record["event"] == "login_refused"]
    assert "wrong password" not in refused, "a mailbox server was asked"


def test_what_it_cannot_mean_lets_nobody_in_and_is_never_a_wrong_password(visitor: Visitor, script: AuthScript) -> None:
    visitor.read_first(WAYS["IMAPS"], SITI)
    script.answer = lambda _: lives_at("169.254.169.254", 143)
    assert visitor.refusal(BUDI, PASSWORD) == LATER
    script.answer = lambda _: {"Auth-Status": "Invalid login or password"}
    assert visitor.refusal(BUDI, PASSWORD) == LATER
    script.answer = lambda _: {"Auth-Status": "No such user"}
    assert visitor.refusal(BUDI, PASSWORD) == WRONG
    script.stop()
    # Whoever is known logs in without it.
    assert SITI in visitor.read_first(WAYS["IMAPS"], SITI)
    assert visitor.refusal(SATRIO, PASSWORD) == LATER
    assert "which is no backend's host: add the backend to the pool" in visitor.zproxy.records_file.read_text()
