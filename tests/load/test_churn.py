"""The load generator through the proxy: what its clients count is what its backend counted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from servers.load import churn, fake_backend
from servers.zproxy import directory_file, listener

if TYPE_CHECKING:
    from pathlib import Path

    from servers.zproxy import StartZproxy

LOGINS = 200
ACCOUNTS = 10


@pytest.mark.parametrize("protocol", ["imap", "pop3"])
def test_every_login_of_the_clients_is_one_at_the_backend(
    protocol: str, start_zproxy: StartZproxy, tmp_path: Path
) -> None:
    homes = {f"user{number}@load.example": "fake" for number in range(ACCOUNTS)}
    with fake_backend() as backend:
        ports = {"imap": {"port": backend.imap_port}, "pop3": {"port": backend.pop3_port}}
        zproxy = start_zproxy(
            {
                "listeners": [listener(protocol, protocol, "off")],
                "directory": directory_file(tmp_path / "accounts.csv", homes),
                "backends": [{"name": "fake", "host": "127.0.0.1", "endpoints": ports}],
            }
        )
        options = {"account": "user{}@load.example", "accounts": ACCOUNTS, "logins": LOGINS, "concurrency": 8}
        host, port = zproxy.listeners[protocol]
        with churn(protocol=protocol, target=f"{host}:{port}", **options) as figures:
            refused = [record for record in zproxy.records() if record["event"] == "login_refused"]
            assert (figures["logins"], refused) == (LOGINS, []), figures["errors"]
        assert backend.stop()["accounts"] == dict.fromkeys(homes, LOGINS // ACCOUNTS)
