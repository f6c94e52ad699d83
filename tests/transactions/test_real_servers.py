"""Mail by the servers that sites run: Postfix for the world's, Dovecot for what an MTA delivers.

mbox-1's Postfix is told of clients by XCLIENT, mbox-2's by PROXY v2; each mailbox server takes LMTP itself.
"""

from __future__ import annotations

import hashlib
import re
import smtplib
import subprocess
import time
from contextlib import ExitStack
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import SMTP
from random import randbytes
from typing import TYPE_CHECKING, Final

import pytest

from servers import postfix
from servers.offices import Offices
from servers.post import HELLO
from servers.postfix import delivered
from servers.raw_client import RawClient
from servers.waiting import until
from servers.zproxy import HOMES, Zproxy, backend, listener, two_mailboxes
from zcontrol.demo.loopback import own_address

if TYPE_CHECKING:
    from collections.abc import Iterator

    from servers.certificates import Authority
    from servers.zproxy import Config

SITI, BUDI = "siti@tgg.net.id", "budi@tgg.net.id"
"""On mbox-1, on mbox-2."""
ATTACHMENT: Final = 20_000_000
LISTENERS = [
    listener("mx", "mx", "off", mx={"by_home": True}),
    listener("mx_pass", "mx", "off", mx={"by_home": True}, bare_newline="pass"),
    listener("lmtp", "lmtp", "off"),
]
WAYS = {
    "mbox-1": {"port": postfix.PORTS["smtp"], "tls": "starttls", "forward": "xclient"},
    "mbox-2": {"port": postfix.PORTS["smtp_proxy"], "tls": "starttls", "forward": "proxy_v2"},
}
SECOND = (
    b"MAIL FROM:<admin@tgg.net.id>\r\nRCPT TO:<%s>\r\nDATA\r\nSubject: smuggled\r\n\r\nHi.\r\n.\r\n" % SITI.encode()
)


@pytest.fixture(scope="module")
def offices(authority: Authority) -> Iterator[Offices]:
    with Offices(authority) as running:
        yield running


@pytest.fixture(scope="module")
def zproxy(offices: Offices, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Zproxy]:
    directory = tmp_path_factory.mktemp("real")
    with Zproxy(directory, config(directory, offices)) as running:
        # It has its pool, and knows what they offer.
        for name, hello in (("mx", HELLO["mx"]), ("lmtp", HELLO["lmtp"])):
            until(lambda name=name, hello=hello: b"8BITMIME" in listed(running, name, hello))
        yield running


def config(directory: object, offices: Offices) -> Config:
    base = two_mailboxes(directory, offices.authority, offices.mailboxes)  # type: ignore[arg-type]
    lmtp = {"port": postfix.LMTP_PORT}
    return base | {
        "listeners": LISTENERS,
        # For who is nobody.
        "defaults": {"mx": "mbox-1"},
        "backends": [
            backend(server, lmtp=lmtp, smtp=WAYS[name] | {"verify_name": f"{name}.example"})
            for name, server in offices.mailboxes.items()
        ],
    }


def listed(zproxy: Zproxy, name: str, hello: bytes) -> bytes:
    with RawClient(zproxy.listeners[name]) as client:
        client.send(hello + b"QUIT\r\n")
        return client.rest()


def mail(zproxy: Zproxy, *, address: str | None = None) -> smtplib.SMTP:
    """Connect to the mx listener with Python's own client, from an address of one's own."""
    return smtplib.SMTP(*zproxy.listeners["mx"], "client.example", source_address=(address or own_address(), 0))


def handed_over(zproxy: Zproxy, recipients: list[str], message: bytes) -> list[bytes]:
    """Bring a message as an MTA does by LMTP; return what was said of each recipient that was taken."""
    with RawClient(zproxy.listeners["lmtp"]) as client:
        assert client.line().startswith(b"220 ")
        client.send(HELLO["lmtp"])
        while client.line()[3:4] == b"-":
            pass
        assert client.ask(b"MAIL FROM:<world@example.org> BODY=8BITMIME\r\n").startswith(b"250 ")
        answers = [client.ask(f"RCPT TO:<{recipient}>\r\n".encode()) for recipient in recipients]
        taken = sum(answer.startswith(b"250 ") for answer in answers)
        assert client.ask(b"DATA\r\n").startswith(b"354 ")
        client.send(message.replace(b"\r\n.", b"\r\n..") + b".\r\n")
        return client.lines(taken)


def written(subject: str, attachment: bytes = b"") -> bytes:
    message = EmailMessage(policy=SMTP)
    message["From"], message["To"], message["Subject"] = "world@example.org", "you", subject
    message.set_content("See you.\n.\n..\n")
    if attachment:
        message.add_attachment(attachment, maintype="application", subtype="octet-stream", filename="film.bin")
    return message.as_bytes()


def test_a_message_for_everybody_lands_once_on_each_one_s_server(zproxy: Zproxy, offices: Offices) -> None:
    answers = handed_over(zproxy, [*HOMES, "nobody@tgg.net.id"], written("for all"))
    assert [answer[:10] for answer in answers] == [b"250 2.0.0 "] * len(HOMES)
    for account, home in HOMES.items():
        assert delivered(offices.mailboxes[home], account, "for all").endswith(b"\n\nSee you.\n.\n..\n")


def test_twenty_megabytes_for_two_homes_arrive_with_equal_sums(zproxy: Zproxy, offices: Offices) -> None:
    attachment = randbytes(ATTACHMENT)
    began = time.monotonic()
    answers = handed_over(zproxy, [SITI, BUDI], written("20 MB", attachment))
    taken = time.monotonic() - began
    assert [answer[:10] for answer in answers] == [b"250 2.0.0 "] * 2
    print(f"20 MB by LMTP to two homes: taken after {taken:.3f} s")  # noqa: T201 - `pytest -rP` shows it
    for account in (SITI, BUDI):
        arrived = BytesParser(policy=SMTP).parsebytes(delivered(offices.mailboxes[HOMES[account]], account, "20 MB"))
        [part] = arrived.iter_attachments()
        sent = hashlib.sha256(attachment).hexdigest()
        assert hashlib.sha256(part.get_payload(decode=True)).hexdigest() == sent


@pytest.mark.parametrize("account", [SITI, BUDI])
def test_mail_of_the_world_reaches_its_reader_and_the_mta_knows_the_client(
    account: str, zproxy: Zproxy, offices: Offices
) -> None:
    address = own_address()
    with mail(zproxy, address=address) as client:
        client.sendmail("world@example.org", [account], written(f"world to {account}"))
    message = delivered(offices.mailboxes[HOMES[account]], account, f"world to {account}")
    assert re.search(
        rb"^Received: from client\.example \(unknown \[%s\]\)" % re.escape(address.encode()), message, re.MULTILINE
    )
    [queued] = offices.mtas[HOMES[account]].queued_from(address)
    assert queued.user is None


def test_a_whole_day_s_load_arrives(zproxy: Zproxy, offices: Offices) -> None:
    host, port = zproxy.listeners["mx"]
    inbox = offices.mailboxes["mbox-2"].setting.directory / "mail" / BUDI / "Maildir" / "new"
    before = len(list(inbox.iterdir()))
    command = ["smtp-source", "-s", "10", "-m", "100", "-l", "4096", "-f", "world@example.org", "-t", BUDI]
    subprocess.run([*command, f"{host}:{port}"], check=True, timeout=60)
    until(lambda: len(list(inbox.iterdir())) == before + 100, seconds=30)


@pytest.mark.parametrize(
    "recipient", ["world@example.org", "world%example.org@tgg.net.id", '"world@example.org"@tgg.net.id']
)
def test_nobody_relays_by_it(recipient: str, zproxy: Zproxy, offices: Offices) -> None:
    address = own_address()
    with mail(zproxy, address=address) as client, pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
        client.sendmail("world@example.org", [recipient], written("relayed"))
    [(code, _)] = refused.value.recipients.values()
    assert code in (450, 550, 554)
    assert not any(mta.queued_from(address) for mta in offices.mtas.values())


def test_a_postfix_that_believes_a_bare_newline_is_told_no_second_message(zproxy: Zproxy, offices: Offices) -> None:
    mta = offices.mtas["mbox-1"]
    # Of itself it does: without us, this is two messages.
    assert codes((mta.address, postfix.PORTS["smtp"]), b"\n.\n", own_address()).count("250") > 5
    for name in ("mx", "mx_pass"):
        for smuggler in (b"\n.\n", b"\r\n.\n", b"\n.\r\n", b"\r.\r", b"\r.\r\n", b"\r\n.\r", b"\r.\n", b"\n.\r"):
            address = own_address()
            assert codes(zproxy.listeners[name], smuggler, address)[-1] == "521", (name, smuggler)
            assert "from=<admin@tgg.net.id>" not in since(mta, address)


def since(mta: postfix.Postfix, address: str) -> str:
    """Wait until it has seen the client leave; return what it has logged since he came."""
    return until(lambda: log if "disconnect from" in (log := mta.log().partition(f"[{address}]")[2]) else "")


def codes(to: tuple[str, int], smuggler: bytes, address: str) -> list[str]:
    """Try to smuggle a message; return the codes of all answers."""
    with ExitStack() as stack:
        client = stack.enter_context(RawClient(to, address=address))
        assert client.line().startswith(b"220 ")
        for said in (HELLO["mx"], b"MAIL FROM:<world@example.org>\r\n", f"RCPT TO:<{SITI}>\r\n".encode(), b"DATA\r\n"):
            client.send(said)
            while client.line()[3:4] == b"-":
                pass
        client.send(b"Subject: x\r\n\r\ngood" + smuggler + SECOND + b"QUIT\r\n")
        return ["250"] * 3 + [line[:3].decode() for line in client.rest().splitlines()]
