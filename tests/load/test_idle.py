"""Sessions that rest: all are in before the generator says so, and at the end it tells how many still rested."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from servers.load import running

if TYPE_CHECKING:
    from load.conftest import Loaded

SESSIONS = 100


@pytest.mark.parametrize("tls", ["off", "implicit"])
def test_sessions_rest_in_idle_until_they_are_told_to_end(tls: str, loaded: Loaded) -> None:
    options = loaded.options("imap", tls) | {"protocol": "imap", "sources": "127.9.1.0/24", "concurrency": 8}
    with running("idle", sessions=SESSIONS, **options) as clients:
        assert (clients.figures["sessions"], clients.figures["errors"]) == (SESSIONS, {})
        assert [record for record in loaded.zproxy.records() if record["event"] == "session"] == []
        assert clients.end() == {"sessions": SESSIONS, "disturbed": {}}


def test_sessions_that_end_meanwhile_are_told(loaded: Loaded) -> None:
    with running("idle", sessions=SESSIONS, protocol="imap", concurrency=8, **loaded.options("imap")) as clients:
        loaded.zproxy.kill()
        last = clients.end()
        assert (last["sessions"], sum(last["disturbed"].values())) == (0, SESSIONS)
