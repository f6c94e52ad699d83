"""The programs that people send mail with: curl, swaks and msmtp, as they come with Debian."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from servers.clients import SENDING
from servers.postfix import delivered
from servers.waiting import until
from servers.zproxy import HOMES
from zcontrol.demo.accounts import HOSTNAME, PASSWORD
from zcontrol.demo.loopback import own_address

if TYPE_CHECKING:
    from pathlib import Path

    from servers.certificates import Authority
    from servers.clients import Way
    from servers.offices import Offices
    from servers.zproxy import Zproxy

ACCOUNTS = ["siti@tgg.net.id", "budi@tgg.net.id"]
TO = "gesang@gec-course.com"

pytestmark = [pytest.mark.parametrize("account", ACCOUNTS), pytest.mark.parametrize("way", SENDING)]


def run(*command: str, home: Path, said: str = "") -> None:
    """Run a program whose files are all in `home`; its failure is the test's, with what it said."""
    done = subprocess.run(
        command,
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        input=said,
        env={"PATH": os.environ["PATH"], "HOME": str(home), "LC_ALL": "C"},
    )
    assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stdout}{done.stderr}"


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_curl_sends_a_message(
    mechanism: str, way: str, account: str, tmp_path: Path, submission: Zproxy, authority: Authority, offices: Offices
) -> None:
    subject, address = f"curl {mechanism} {way} {account}", own_address()
    message = tmp_path / "message"
    message.write_text(f"From: {account}\r\nTo: {TO}\r\nSubject: {subject}\r\n\r\nby curl\r\n")
    port = submission.listeners[SENDING[way].listener][1]
    scheme = "smtps" if SENDING[way].implicit_tls else "smtp"
    command = ["curl", "-sS", "--ssl-reqd", "--interface", address, "--resolve", f"{HOSTNAME}:{port}:127.0.0.1"]
    command += ["--cacert", str(authority.ca_file), "--user", f"{account}:{PASSWORD}"]
    command += ["--login-options", f"AUTH={mechanism}", "--mail-from", account, "--mail-rcpt", TO]
    run(*command, "--upload-file", str(message), f"{scheme}://{HOSTNAME}:{port}/laptop.example", home=tmp_path)
    assert b"by curl" in delivered(offices.mailboxes[HOMES[TO]], TO, subject)
    (sent,) = until(lambda: offices.mtas[HOMES[account]].queued_from(address))
    assert sent.user == account


def test_swaks_sends_a_message(
    way: str, account: str, tmp_path: Path, submission: Zproxy, authority: Authority, offices: Offices
) -> None:
    subject, address = f"swaks {way} {account}", own_address()
    port = submission.listeners[SENDING[way].listener][1]
    command = ["swaks", "--server", "127.0.0.1", "--port", str(port), "--local-interface", address]
    command += ["--tls-on-connect" if SENDING[way].implicit_tls else "--tls", "--tls-verify"]
    command += ["--tls-ca-path", str(authority.ca_file), "--pipeline", "--ehlo", "laptop.example"]
    command += ["--auth", "PLAIN", "--auth-user", account, "--auth-password", PASSWORD]
    run(*command, "--from", account, "--to", TO, "--h-Subject", subject, "--body", "by swaks", home=tmp_path)
    assert b"by swaks" in delivered(offices.mailboxes[HOMES[TO]], TO, subject)
    (sent,) = until(lambda: offices.mtas[HOMES[account]].queued_from(address))
    assert sent.user == account


def test_msmtp_sends_a_message(
    way: str, account: str, tmp_path: Path, submission: Zproxy, authority: Authority, offices: Offices
) -> None:
    subject = f"msmtp {way} {account}"
    run(
        "msmtp",
        *_msmtp(SENDING[way], account, submission, authority),
        TO,
        home=tmp_path,
        said=f"Subject: {subject}\n\nby msmtp\n",
    )
    assert b"by msmtp" in delivered(offices.mailboxes[HOMES[TO]], TO, subject)


def _msmtp(way: Way, account: str, submission: Zproxy, authority: Authority) -> list[str]:
    port = submission.listeners[way.listener][1]
    options = ["--host=127.0.0.1", f"--port={port}", "--tls=on", f"--tls-trust-file={authority.ca_file}"]
    options += [f"--tls-starttls={'on' if way.starttls else 'off'}", f"--from={account}", "--auth=plain"]
    return [*options, f"--user={account}", f"--passwordeval=echo {PASSWORD}"]
