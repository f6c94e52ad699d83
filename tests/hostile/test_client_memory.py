"""Many clients that each send much and end nothing: what the proxy holds of them is bounded, and given back."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from servers.front import Front
from servers.process import descriptors, resident_bytes
from servers.said import DONE, NOOP
from servers.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from servers.certificates import Authority

CLIENTS = 1000
SENT = 64 << 10
# What each sent, and as much again for sockets, tasks and what the allocator keeps back.
HELD = 2 * CLIENTS * SENT
# Where the line is longer than allowed from its ninth KiB on, nothing is held at all.
REFUSED = 32 << 20


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Front]:
    with Front(tmp_path_factory.mktemp("crowded"), authority) as running:
        yield running


@pytest.mark.parametrize(
    ("listener", "begin", "bound"),
    [
        ("imap", b"", REFUSED),
        ("pop3", b"", REFUSED),
        ("imap", b"a AUTHENTICATE PLAIN\r\n", HELD),
        ("pop3", b"AUTH PLAIN ", HELD),
    ],
    ids=["IMAP line", "POP3 line", "IMAP response", "POP3 response"],
)
def test_a_thousand_lines_without_end_cost_bounded_memory(
    listener: str, begin: bytes, bound: int, crowded: Front
) -> None:
    open_before = descriptors(crowded.zproxy.process.pid)
    before = resident_bytes(crowded.zproxy.process.pid)
    with crowded.untouched(), ExitStack() as people:
        for _ in range(CLIENTS):
            client = people.enter_context(crowded.client(listener))
            client.try_send(begin + b"A" * (SENT - len(begin) - 1))
        with crowded.greeted(listener) as other:
            assert other.ask(NOOP[listener]).startswith(DONE[listener])
        assert resident_bytes(crowded.zproxy.process.pid) - before < bound
    until(lambda: descriptors(crowded.zproxy.process.pid) <= open_before, seconds=30)
