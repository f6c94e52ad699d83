"""The load generator's logins through the proxy: what its clients count is what its backends counted."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from servers.load import churn, figures
from servers.waiting import until

if TYPE_CHECKING:
    from typing import Any

    from load.conftest import Loaded, StartLoaded

LOGINS = 200
ACCOUNTS = 10
CONCURRENCY = 8


@pytest.mark.parametrize("protocol", ["imap", "pop3", "submission"])
def test_every_login_of_the_clients_is_one_at_its_users_backend(protocol: str, loaded: Loaded) -> None:
    modes = ("off", "starttls", "implicit")
    for tls in modes:
        options = loaded.options(protocol, tls)
        with churn(protocol=protocol, logins=LOGINS, concurrency=CONCURRENCY, **options) as clients:
            assert (clients["logins"], clients["errors"]) == (LOGINS, {}), tls
            assert ("tls" in clients["parts_ms"]) == (tls != "off")
    counted = loaded.counted()
    assert counted["accounts"] == {f"user{number}@load.example": 3 * LOGINS // ACCOUNTS for number in range(ACCOUNTS)}
    assert counted["strangers"] == 0


def test_a_backend_finds_out_who_comes_and_does_not_live_there(start_loaded: StartLoaded) -> None:
    """Both take the other's accounts for their own."""
    loaded = start_loaded(serves=("mbox-1", "mbox-0"))
    figures("churn", protocol="imap", logins=LOGINS, concurrency=CONCURRENCY, **loaded.options("imap"))
    assert loaded.counted()["strangers"] == LOGINS


def test_clients_resume_their_sessions_and_offer_what_they_are_told_to(loaded: Loaded) -> None:
    options = loaded.options("imap", "implicit") | {"protocol": "imap", "logins": LOGINS, "concurrency": CONCURRENCY}
    for version, suite in (("1.3", "TLS13_AES_128_GCM_SHA256"), ("1.2", "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384")):
        chosen = options | {"tls_version": version, "suite": suite, "groups": "X25519"}
        assert figures("churn", **chosen)["resumed"] == 0
        # Each client's first has nothing to resume.
        assert figures("churn", resume=True, **chosen)["resumed"] == LOGINS - CONCURRENCY
    sessions = until(lambda: _sessions(loaded, 4 * LOGINS))
    spoken = Counter((session["tls"], session["cipher"], session["resumed"]) for session in sessions)
    assert spoken == {
        ("TLSv1.3", "TLS13_AES_128_GCM_SHA256", False): LOGINS + CONCURRENCY,
        ("TLSv1.3", "TLS13_AES_128_GCM_SHA256", True): LOGINS - CONCURRENCY,
        ("TLSv1.2", "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", False): LOGINS + CONCURRENCY,
        ("TLSv1.2", "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", True): LOGINS - CONCURRENCY,
    }
    assert {session["key_exchange"] for session in sessions if not session["resumed"]} == {"X25519"}


def test_clients_come_from_as_many_addresses_as_they_are_told_to(loaded: Loaded) -> None:
    options = loaded.options("imap") | {"protocol": "imap", "logins": LOGINS, "sources": "127.9.0.0/26"}
    assert figures("churn", concurrency=CONCURRENCY, **options)["errors"] == {}
    sessions = until(lambda: _sessions(loaded, LOGINS))
    assert len({session["client"].rpartition(":")[0] for session in sessions}) == 64


def test_at_a_rate_logins_begin_when_they_are_due(loaded: Loaded) -> None:
    clients = figures("churn", protocol="imap", logins=LOGINS, rate=400, **loaded.options("imap"))
    assert (clients["logins"], clients["errors"]) == (LOGINS, {})
    # The last one is due then.
    assert clients["seconds"] >= (LOGINS - 1) / 400


def test_an_error_is_told_by_its_text(loaded: Loaded) -> None:
    options = loaded.options("imap") | {"account": "nobody@load.example"}
    clients = figures("churn", protocol="imap", logins=1, **options)
    assert (clients["logins"], list(clients["errors"])) == (
        0,
        ["LOGIN: NO [AUTHENTICATIONFAILED] Authentication failed."],
    )


def _sessions(loaded: Loaded, count: int) -> list[dict[str, Any]]:
    sessions = [record for record in loaded.zproxy.records() if record["event"] == "session"]
    return sessions if len(sessions) == count else []
