"""A client that does not wait for answers, cut into two segments at every octet: each command is run once, in order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from servers.fake_mailbox import PASSWORD
from servers.fake_mta import offering
from servers.front import ALICE
from servers.raw_client import RawClient, plain
from servers.relays import LOG_IN, Relays

if TYPE_CHECKING:
    from pathlib import Path

MESSAGE = b"Subject: one\r\n\r\nXCLIENT ADDR=192.0.2.1\r\n..\r\nEHLO\r\n.\r\n"
TRANSACTION = b"MAIL FROM:<alice@example.net>\r\nRCPT TO:<bob@example.net>\r\n"
COMMANDS = [*TRANSACTION.splitlines(), b"DATA", MESSAGE, b"QUIT"]
SAID = b"EHLO me\r\n" + LOG_IN[ALICE] + TRANSACTION + b"DATA\r\n" + MESSAGE + b"QUIT\r\n"
CODES = [b"250", b"235", b"250", b"250", b"354", b"250", b"221"]
CHUNKS = b"BDAT 9\r\nXCLIENT\r\nBDAT 0 LAST\r\n"
# Whether the backend goes on to take a proxy's commands, so that a guard stands between.
MTAS = {
    "spliced": offering("PIPELINING", "CHUNKING"),
    "guarded": offering("PIPELINING", "CHUNKING", "XCLIENT ADDR"),
}


@pytest.mark.parametrize("how", MTAS)
def test_a_whole_conversation_may_be_cut_anywhere(how: str, tmp_path: Path) -> None:
    with Relays(tmp_path, mta=MTAS[how]) as relays:
        mta = relays.mtas["mta"]
        for at in range(1, len(SAID)):
            answers = converse(relays, SAID[:at], SAID[at:])
            assert answers == CODES, f"cut at {at}: {SAID[:at]!r}"
            assert mta.conversations[-1].commands == COMMANDS
        assert len(mta.conversations) == len(SAID)


@pytest.mark.parametrize("how", MTAS)
def test_octet_by_octet(how: str, tmp_path: Path) -> None:
    with Relays(tmp_path, mta=MTAS[how]) as relays:
        assert converse(relays, *(SAID[at : at + 1] for at in range(len(SAID)))) == CODES
        assert relays.mtas["mta"].conversations[-1].commands == COMMANDS


@pytest.mark.parametrize("how", MTAS)
def test_chunks_pass_by_their_count(how: str, tmp_path: Path) -> None:
    with Relays(tmp_path, mta=MTAS[how]) as relays:
        said = b"EHLO me\r\n" + LOG_IN[ALICE] + TRANSACTION + CHUNKS + b"QUIT\r\n"
        assert converse(relays, said) == [b"250", b"235", b"250", b"250", b"250", b"250", b"221"]
        commands = [*TRANSACTION.splitlines(), b"BDAT 9", b"XCLIENT\r\n", b"BDAT 0 LAST", b"", b"QUIT"]
        assert relays.mtas["mta"].conversations[-1].commands == commands


def test_what_follows_a_refused_login_is_refused_too(tmp_path: Path) -> None:
    with Relays(tmp_path) as relays:
        wrong = b"AUTH PLAIN " + plain(ALICE, PASSWORD + "!") + b"\r\n"
        said = b"EHLO me\r\n" + wrong + TRANSACTION + b"DATA\r\nQUIT\r\n"
        assert converse(relays, said) == [b"250", b"535", b"530", b"530", b"530", b"221"]
        assert relays.mtas["mta"].conversations[-1].commands == []


def converse(relays: Relays, *segments: bytes) -> list[bytes]:
    """Send them, and return the code of each reply."""
    with RawClient(relays.zproxy.listeners["submission"]) as client:
        assert client.line().startswith(b"220 ")
        for segment in segments:
            client.send(segment)
        return [line[:3] for line in client.rest().splitlines() if line[3:4] == b" "]
