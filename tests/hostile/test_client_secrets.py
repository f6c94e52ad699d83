"""Passwords are in no file of the product, whatever became of the login and wherever its user typed it by mistake."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from servers import fake_mailbox
from servers.front import ALICE, BOB, Front
from servers.raw_client import plain

if TYPE_CHECKING:
    from pathlib import Path

    from servers.certificates import Authority
    from servers.fake_backend import Conversation


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


SECRET = "Tr0ub4dor+3"
RIGHT = fake_mailbox.PASSWORD
# Wherever it stands in base64, one of its three alignments is in there.
IN_BASE64 = [base64.b64encode(b"x" * shift + SECRET.encode())[4:-4] for shift in range(3)]
IMAP = [
    f"a LOGIN {ALICE} {SECRET}\r\n",
    f"a LOGIN {ALICE} {{{len(SECRET)}+}}\r\n{SECRET}\r\n",
    f"a LOGIN {SECRET} {ALICE}\r\n",
    f"a LOGIN {ALICE} {SECRET} {SECRET}\r\n",
    f"a {SECRET}\r\n",
    f"{SECRET} NOOP\r\n",
    f"a AUTHENTICATE PLAIN {plain(ALICE, SECRET).decode()}\r\n",
    f"a AUTHENTICATE PLAIN {plain(ALICE, SECRET, authzid=BOB).decode()}\r\n",
    f"a AUTHENTICATE PLAIN\r\n{plain('nobody@example.net', SECRET).decode()}\r\n",
    f"a AUTHENTICATE LOGIN\r\n{encoded(ALICE)}\r\n{encoded(SECRET)}\r\n",
    f"a AUTHENTICATE {SECRET}\r\n",
    f'a ID ("password" "{SECRET}")\r\na LOGIN {ALICE} "{RIGHT}"\r\n',
    f"a LOGIN {ALICE} {SECRET * 1000}\r\n",
]
POP3 = [
    f"USER {ALICE}\r\nPASS {SECRET}\r\n",
    f"USER {SECRET}\r\nPASS {ALICE}\r\n",
    f"PASS {SECRET}\r\n",
    f"{SECRET}\r\n",
    f"AUTH PLAIN {plain(ALICE, SECRET).decode()}\r\n",
    f"AUTH {SECRET}\r\n",
    f"USER {ALICE}\r\nPASS {SECRET * 1000}\r\n",
]


def closes_at_the_login(conversation: Conversation) -> None:
    conversation.send(fake_mailbox.IMAP_GREETING)
    conversation.line()


def say(front: Front, listener: str, said: str) -> None:
    """Say it and leave politely, and wait for the record."""
    with front.greeted(listener) as client:
        client.try_send(said.encode() + b"z LOGOUT\r\nQUIT\r\n")
        client.rest()
    front.zproxy.record_from(client.address)


def test_no_file_of_the_product_holds_a_password(tmp_path: Path, authority: Authority) -> None:
    with Front(tmp_path, authority) as front:
        for said in IMAP:
            say(front, "imap", said)
        for said in POP3:
            say(front, "pop3", said)
        for behaviour in (closes_at_the_login, lambda conversation: conversation.reset()):
            with front.behaving("mbox", "imap", behaviour):
                say(front, "imap", f"a LOGIN {ALICE} {SECRET}\r\n")
    written = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert any(ALICE.encode() in text for text in written.values())
    for path, text in written.items():
        for secret in (SECRET.encode(), *IN_BASE64):
            assert secret not in text, path
