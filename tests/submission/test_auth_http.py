"""A script made for nginx checks who sends mail: the MTA where it says hears the name and password it says."""

from __future__ import annotations

import smtplib
from typing import TYPE_CHECKING

import pytest

from servers.auth_script import auth_script, lives_at, undone
from servers.clients import CALLS_ITSELF, SENDING, Visitor
from servers.postfix import delivered
from servers.waiting import until
from servers.zproxy import HOMES, Zproxy
from zcontrol.demo.accounts import PASSWORD

if TYPE_CHECKING:
    from pathlib import Path

    from servers.auth_script import Headers
    from servers.offices import Offices

BUDI, SATRIO = "budi@tgg.net.id", "satrio@gec-course.com"
FRONT_DOOR = "front door"


def test_mail_is_sent_with_the_password_of_the_front_door(tmp_path: Path, offices: Offices) -> None:
    def answer(asked: Headers) -> Headers:
        account = undone(asked, "Auth-User")
        if undone(asked, "Auth-Pass") != FRONT_DOOR:
            return {"Auth-Status": "Invalid login or password"}
        return lives_at(offices.mailboxes[HOMES[account]].address, 25, user=account, password=PASSWORD)

    with auth_script(answer) as script:
        directory = {"auth_http": {"urls": [script.url], "mode": "verify"}}
        with Zproxy(tmp_path, offices.config(tmp_path) | {"directory": directory}) as zproxy:
            sender = Visitor(zproxy=zproxy, context=offices.authority.client_context())
            # It is ready before its edge is connected to its control.
            until(lambda: refusal(sender, PASSWORD) == 535)
            script.asked.clear()
            with sender.smtp(SENDING["587"]) as client:
                client.login(BUDI, FRONT_DOOR)
                client.sendmail(BUDI, [SATRIO], "Subject: by the front door\r\n\r\nHello.\r\n")
            [asked] = [dict(headers) for headers in script.asked]
            assert (asked["Auth-Protocol"], asked["Auth-SMTP-Helo"]) == ("smtp", CALLS_ITSELF)
            assert (asked["Client-IP"], asked["Auth-SSL"]) == (sender.address, "on")
            assert delivered(offices.mailboxes[HOMES[SATRIO]], SATRIO, "by the front door")
            [message] = offices.mtas[HOMES[BUDI]].queued_from(sender.address)
            assert message.user == BUDI
            script.stop()
            assert refusal(sender, FRONT_DOOR) == 454


def refusal(sender: Visitor, password: str) -> int:
    """The code of it."""
    with sender.smtp(SENDING["587"]) as client, pytest.raises(smtplib.SMTPAuthenticationError) as caught:
        client.login(BUDI, password)
    return caught.value.smtp_code
