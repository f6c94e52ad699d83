"""Postfix logs where each message came from: the client, whether it is told by XCLIENT or by PROXY v2."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from servers.clients import CALLS_ITSELF, SENDING, Visitor, Way
from servers.offices import IMPLICIT_PROXY_V2, STARTTLS_XCLIENT
from servers.postfix import PORTS, delivered
from servers.waiting import until
from servers.zproxy import HOMES
from zcontrol.demo.accounts import PASSWORD

if TYPE_CHECKING:
    from pathlib import Path

    from servers.certificates import Authority
    from servers.offices import Offices

SITI, BUDI = "siti@tgg.net.id", "budi@tgg.net.id"
PROXIED = Way(listener="submission_proxied")
TELLING = {
    "XCLIENT after STARTTLS": STARTTLS_XCLIENT,
    "XCLIENT in implicit TLS": {"port": PORTS["submissions"], "tls": "implicit", "forward": "xclient"},
    "PROXY v1 before STARTTLS": {"port": PORTS["submission_proxy"], "tls": "starttls", "forward": "proxy_v1"},
    "PROXY v2 before implicit TLS": IMPLICIT_PROXY_V2,
}


def send(visitor: Visitor, way: Way, account: str, subject: str, *, first: bytes = b"") -> None:
    with visitor.smtp(way, first=first) as client:
        client.login(account, PASSWORD)
        client.sendmail(account, [SITI], f"Subject: {subject}\r\n\r\n")


@pytest.mark.parametrize("how", TELLING)
def test_postfix_logs_the_clients_own_address(how: str, tmp_path: Path, offices: Offices, authority: Authority) -> None:
    with offices.behind(tmp_path, mbox_1=TELLING[how], mbox_2=TELLING[how]) as zproxy:
        for account in (SITI, BUDI):
            visitor = Visitor(zproxy=zproxy, context=authority.client_context())
            send(visitor, SENDING["465"], account, "whence")
            (sent,) = until(lambda mta=offices.mtas[HOMES[account]], who=visitor.address: mta.queued_from(who))
            assert (sent.name, sent.user) == ("unknown", account)


@pytest.mark.parametrize("account", [SITI, BUDI], ids=["told by XCLIENT", "told by PROXY v2"])
def test_an_ipv6_client_is_told_as_one(account: str, sender: Visitor, offices: Offices) -> None:
    client_address = f"2001:db8::{HOMES[account][-1]}:587"
    first = f"PROXY TCP6 {client_address} 2001:db8::ff 40000 587\r\n".encode()
    send(sender, PROXIED, account, "whence in IPv6", first=first)
    (sent,) = until(lambda: offices.mtas[HOMES[account]].queued_from(client_address))
    assert sent.user == account


@pytest.mark.parametrize("account", [SITI, BUDI], ids=["told by XCLIENT", "told by PROXY v2"])
def test_the_trace_of_a_message_names_client_and_not_the_proxy(account: str, sender: Visitor, offices: Offices) -> None:
    subject = f"traced from {HOMES[account]}"
    send(sender, SENDING["587"], account, subject)
    message = delivered(offices.mailboxes["mbox-1"], SITI, subject).decode()
    (trace,) = re.findall(r"^Received: from (.*\n\t.*) \(Postfix\) with (\w+)", message, re.MULTILINE)
    assert trace == (f"{CALLS_ITSELF} (unknown [{sender.address}])\n\tby {HOMES[account]}.example", "ESMTPSA")
    assert "mail.tgg.net.id" not in message
