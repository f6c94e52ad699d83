"""Everybody writes to everybody: mail leaves by the sender's own server and arrives on the one of its reader."""

from __future__ import annotations

import hashlib
import time
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import SMTP
from random import randbytes
from typing import TYPE_CHECKING

import pytest

from servers.clients import SENDING
from servers.postfix import delivered
from servers.zproxy import HOMES
from zcontrol.demo.accounts import PASSWORD

if TYPE_CHECKING:
    from servers.clients import Visitor
    from servers.offices import Offices

MEGABYTE = 1_000_000


def written(sender: str, to: str, subject: str) -> EmailMessage:
    message = EmailMessage(policy=SMTP)
    message["From"], message["To"], message["Subject"] = sender, to, subject
    message.set_content("See you.\n.\n..\n")
    return message


@pytest.mark.parametrize("way", SENDING)
@pytest.mark.parametrize("account", HOMES)
def test_mail_to_every_account_arrives_on_the_server_where_it_lives(
    account: str, way: str, sender: Visitor, offices: Offices
) -> None:
    with sender.smtp(SENDING[way]) as client:
        client.login(account, PASSWORD)
        for to in HOMES:
            client.send_message(written(account, to, f"{account} to {to} by {way}"))
    for to, home in HOMES.items():
        message = delivered(offices.mailboxes[home], to, f"{account} to {to} by {way}")
        assert message.endswith(b"\n\nSee you.\n.\n..\n")
    sent = offices.mtas[HOMES[account]].queued_from(sender.address)
    assert [message.user for message in sent] == [account] * len(HOMES)


@pytest.mark.parametrize("way", SENDING)
def test_the_record_tells_whose_server_took_the_mail(way: str, sender: Visitor) -> None:
    with sender.smtp(SENDING[way]) as client:
        client.login("satrio@gec-course.com", PASSWORD)
        client.send_message(written("satrio@gec-course.com", "budi@tgg.net.id", f"recorded by {way}"))
    record = sender.zproxy.record_from(sender.address)
    told = {key: record[key] for key in ("service", "listener", "account", "backend")}
    assert told == {
        "service": "submission",
        "listener": SENDING[way].listener,
        "account": "satrio@gec-course.com",
        "backend": "mbox-2",
    }
    assert {"route", "dial", "authenticate", "splice"} <= record["steps_ms"].keys()


@pytest.mark.parametrize("megabytes", [0, 10, 20])
@pytest.mark.parametrize(
    ("account", "to"),
    [("siti@tgg.net.id", "budi@tgg.net.id"), ("budi@tgg.net.id", "siti@tgg.net.id")],
    ids=["by mbox-1 to mbox-2", "by mbox-2 to mbox-1"],
)
def test_an_attachment_arrives_as_it_was_sent(
    account: str, to: str, megabytes: int, sender: Visitor, offices: Offices
) -> None:
    attachment = randbytes(megabytes * MEGABYTE)
    subject = f"{megabytes} MB for {to}"
    message = written(account, to, subject)
    if attachment:
        message.add_attachment(attachment, maintype="application", subtype="octet-stream", filename="film.bin")
    said = message.as_bytes()
    with sender.smtp(SENDING["587"]) as client:
        client.login(account, PASSWORD)
        began = time.monotonic()
        client.sendmail(account, [to], said)
        taken = time.monotonic()
    arrived = BytesParser(policy=SMTP).parsebytes(delivered(offices.mailboxes[HOMES[to]], to, subject))
    times = f"taken after {taken - began:.3f} s, delivered after {time.monotonic() - began:.3f} s"
    print(f"{megabytes:2} MB by {HOMES[account]} to {HOMES[to]}: {times}")  # noqa: T201 - `pytest -rP` shows all delays
    sums = [hashlib.sha256(part.get_payload(decode=True)).hexdigest() for part in arrived.iter_attachments()]
    assert sums == ([hashlib.sha256(attachment).hexdigest()] if attachment else [])
