"""The load tests themselves, for seconds: their users find what they look for, and a run leaves its figures."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from zcontrol.demo.loopback import own_address

LOADTESTS = Path(__file__).parents[2] / "loadtests"
# Everybody comes often and stays for moments, so that each habit is seen.
PROFILE = """\
about = "Seconds of everybody, while a server joins and leaves."
[shape]
kind = "server_added"
users = 10
seconds = 10
arrival = 0.0
[users.ImapUser]
weight = 3
pause = [0.1, 0.3]
glances = 0.3
stays = [1, 1]
idles = [0.5, 1]
[users.PopUser]
weight = 2
pause = [0.1, 0.3]
[users.SubmissionUser]
weight = 2
pause = [0.1, 0.3]
attachments = 0.5
attachment = [1_000, 50_000]
[users.WebUser]
weight = 2
pause = [0.1, 0.3]
pages = [2, 2]
reads = [0, 0.1]
uploads = 1
file = [1_000, 50_000]
[crowds.logins]
tls = "implicit"
options = {rate = 50, resume = true, sources = "127.9.2.0/24"}
[crowds.pages]
command = "http"
service = "web"
options = {rate = 20, path = "/"}
"""
MAIL = {"connect", "TLS", "TLS resumed", "greeting", "login", "first command", "message"}
ROWS = {
    "IMAP": MAIL | {"STARTTLS", "LIST", "FETCH heads", "IDLE", "DONE", "NOOP", "LOGOUT"},
    "POP3": MAIL | {"STLS", "UIDL", "DELE", "QUIT"},
    "SMTP": MAIL | {"STARTTLS", "EHLO", "RCPT", "QUIT"},
    "HTTP": {"connect", "TLS", "TLS resumed", "login form", "login", "first page", "page", "upload"},
    "logins": {"connect", "TLS", "greeting", "login", "turn"},
    "pages": {"connect", "TLS", "answer", "turn"},
    "WORLD": {"server joins", "server leaves"},
}


def test_everybody_finds_what_he_looks_for_while_a_server_joins_and_leaves(tmp_path: Path) -> None:
    (tmp_path / "seconds.toml").write_text(PROFILE)
    command = [sys.executable, LOADTESTS / "load.py", tmp_path / "seconds.toml", "--accounts", "12", "--runs", tmp_path]
    # Two workers: what the plan is to them comes from their master, at an address of this run's own.
    master = own_address()
    command += ["--processes", "2", "--master-bind-host", master, "--master-host", master]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=90)
    assert done.returncode == 0, done.stdout + done.stderr
    (page,) = tmp_path.glob("*/report.html")
    assert done.stdout.strip() == f"The report: {page}"
    run = json.loads(page.with_name("run.json").read_text())
    assert (run["passed"], run["failures"], run["workers"]) == (True, [], 2)
    assert [event["text"].partition(",")[0] for event in run["events"]] == [
        "server joins: add mbox-3",
        "server leaves: remove mbox-3",
    ]
    samples = [json.loads(line) for line in page.with_name("samples.jsonl").read_text().splitlines()]
    seen = {name for sample in samples for name in sample["rows"]}
    # The crowd keeps to its rate while there are users, and those are there for ten seconds.
    turns = sum(sample["rows"].get("logins turn", {"count": 0})["count"] for sample in samples)
    assert 250 <= turns <= 1000
    assert seen == {f"{protocol} {step}" for protocol, steps in ROWS.items() for step in steps}
    assert all(name in page.read_text() for name in seen)
