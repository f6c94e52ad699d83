"""The load tests themselves, for seconds: that their users find what they look for, and count it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from zcontrol.demo.accounts import HOSTNAME, PASSWORD

if TYPE_CHECKING:
    from servers.certificates import Authority
    from servers.zproxy import Zproxy

LOADTESTS = Path(__file__).parents[2] / "loadtests"


def test_imap_users_look_into_their_inboxes_and_no_step_fails(zproxy: Zproxy, authority: Authority) -> None:
    host, port = zproxy.listeners["imaps"]
    command = [sys.executable, "-m", "locust", "-f", LOADTESTS / "imap_user.py", "--headless", "--json"]
    command += ["--users", "5", "--spawn-rate", "5", "--run-time", "3s", "--host", f"{host}:{port}"]
    command += ["--server-name", HOSTNAME, "--ca-file", authority.ca_file, "--password", PASSWORD]
    command += ["--accounts", zproxy.directory / "accounts.csv"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    rows = {row["name"]: row for row in json.loads(done.stdout)}
    assert rows.keys() == {"connect", "tls", "greeting", "login", "select", "logout"}
    assert all(row["num_requests"] >= 5 for row in rows.values())
    assert sum(row["num_failures"] for row in rows.values()) == 0
