"""Everything at once, and what is told meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING

from servers.load import figures, running

if TYPE_CHECKING:
    from load.conftest import Loaded

SHARES = {"imap": 4, "pop3": 2, "submission": 2, "idle": 1, "fetch": 1, "append": 1, "get": 3, "upload": 1}
ROUNDS = 4
TURNS = ROUNDS * sum(SHARES.values())


def test_every_kind_of_turn_is_taken_by_its_share(loaded: Loaded) -> None:
    targets = {
        protocol: loaded.options(protocol, "implicit")["target"] for protocol in ("imap", "pop3", "submission", "http")
    }
    options = loaded.options("http", "implicit") | targets
    del options["target"]
    shares = ",".join(f"{kind}={share}" for kind, share in SHARES.items())
    run = figures("mixed", shares=shares, turns=TURNS, concurrency=6, octets="50k", path="/1k", **options)
    assert [report["errors"] for report in run["kinds"].values() if report["errors"]] == []
    assert {kind: report["turns"] for kind, report in run["kinds"].items()} == {
        kind: ROUNDS * share for kind, share in SHARES.items()
    }
    assert run["kinds"]["fetch"]["octets"] == ROUNDS * 50_000
    assert loaded.counted()["strangers"] == 0


def test_clients_who_are_not_told_how_often_come_until_the_end_and_tell_what_is_new(loaded: Loaded) -> None:
    options = loaded.options("imap", "implicit") | {"protocol": "imap", "rate": 200, "every": 0.1}
    with running("churn", **options) as clients:
        told = clients.figures
        assert told["interval"]["logins"]["errors"] == {}
        times = told["interval"]["logins"]["times"]
        assert {part: sum(count for _, count in counts) for part, counts in times.items()} == dict.fromkeys(
            ("connect", "tls", "greeting", "login", "whole"), sum(count for _, count in times["whole"])
        )
        clients.process.stdin.close()
        *_, last = clients.lines()
        assert last["logins"] > 0
        assert last["errors"] == {}
