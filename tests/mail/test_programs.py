"""The programs that people fetch mail with: curl, mbsync, fetchmail and offlineimap, as they come with Debian."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from servers.clients import WAYS, Way
from servers.dovecot import login_from
from servers.zproxy import HOMES
from zcontrol.demo.accounts import HOSTNAME, PASSWORD
from zcontrol.demo.loopback import own_address

if TYPE_CHECKING:
    from pathlib import Path

    from servers.certificates import Authority
    from servers.zproxy import Zproxy
    from zcontrol.demo.dovecot import MailboxServer

SITI, BUDI = "siti@tgg.net.id", "budi@tgg.net.id"


def run(*command: str, home: Path) -> str:
    """Run a program whose files are all in `home`; its failure is the test's, with what it said."""
    done = subprocess.run(
        command,
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        stdin=subprocess.DEVNULL,
        env={"PATH": os.environ["PATH"], "HOME": str(home), "LC_ALL": "C"},
    )
    assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.mark.parametrize("account", HOMES)
@pytest.mark.parametrize("way", WAYS)
def test_curl_reads_a_message(
    way: str, account: str, tmp_path: Path, zproxy: Zproxy, authority: Authority, mailboxes: dict[str, MailboxServer]
) -> None:
    address = own_address()
    message = run(*_curl(WAYS[way], account, address, zproxy, authority), home=tmp_path)
    assert f"The account {account} lives on {HOMES[account]}." in message
    assert login_from(mailboxes[HOMES[account]], address).user == account


def _curl(way: Way, account: str, address: str, zproxy: Zproxy, authority: Authority) -> list[str]:
    port = zproxy.listeners[way.listener][1]
    path = "INBOX;MAILINDEX=1" if way.protocol == "imap" else "1"
    command = ["curl", "-sS", "--interface", address, "--resolve", f"{HOSTNAME}:{port}:127.0.0.1"]
    command += ["--cacert", str(authority.ca_file), "--user", f"{account}:{PASSWORD}"]
    command += ["--ssl-reqd"] if way.starttls else []
    return [*command, f"{way.listener}://{HOSTNAME}:{port}/{path}"]


@pytest.mark.parametrize("account", [SITI, BUDI])
def test_mbsync_mirrors_a_mailbox(account: str, tmp_path: Path, zproxy: Zproxy, authority: Authority) -> None:
    (tmp_path / "mail").mkdir()
    config = tmp_path / "mbsyncrc"
    # Without DNS its Host can only be the address, which the certificate carries too.
    config.write_text(
        f"IMAPAccount zproxy\nHost 127.0.0.1\nPort {zproxy.listeners['imaps'][1]}\nSSLType IMAPS\n"
        f"CertificateFile {authority.ca_file}\nUser {account}\nPass {PASSWORD}\n\n"
        "IMAPStore far\nAccount zproxy\n\n"
        f"MaildirStore near\nPath {tmp_path}/mail/\nInbox {tmp_path}/mail/INBOX\n\n"
        "Channel all\nFar :far:\nNear :near:\nPatterns *\nCreate Near\nSync Pull\n"
    )
    run("mbsync", "--config", str(config), "--all", home=tmp_path)
    assert _maildir(tmp_path / "mail" / "INBOX") == [f"The account {account} lives on {HOMES[account]}."]


@pytest.mark.parametrize("account", [SITI, BUDI])
@pytest.mark.parametrize("protocol", ["imap", "pop3"])
def test_fetchmail_hands_a_message_on(
    protocol: str, account: str, tmp_path: Path, zproxy: Zproxy, authority: Authority
) -> None:
    config = tmp_path / "fetchmailrc"
    config.write_text(
        f"poll 127.0.0.1 service {zproxy.listeners[protocol][1]} protocol {protocol}\n"
        f'user "{account}" password "{PASSWORD}" keep fetchall\n'
        f'sslproto "TLS1.2+" sslcertck sslcommonname "{HOSTNAME}" sslcertfile "{authority.ca_file}"\n'
        f'mda "cat >>{tmp_path}/fetched"\n'
    )
    config.chmod(0o600)
    run("fetchmail", "--fetchmailrc", str(config), "--pidfile", str(tmp_path / "pid"), home=tmp_path)
    assert f"The account {account} lives on {HOMES[account]}." in (tmp_path / "fetched").read_text()


@pytest.mark.parametrize("account", [SITI, BUDI])
def test_offlineimap_mirrors_a_mailbox(account: str, tmp_path: Path, zproxy: Zproxy, authority: Authority) -> None:
    config = tmp_path / "offlineimaprc"
    config.write_text(
        f"[general]\naccounts = demo\nui = basic\nmetadata = {tmp_path}/metadata\n"
        "[Account demo]\nlocalrepository = near\nremoterepository = far\n"
        f"[Repository near]\ntype = Maildir\nlocalfolders = {tmp_path}/mail\n"
        f"[Repository far]\ntype = IMAP\nremotehost = 127.0.0.1\n"
        f"remoteport = {zproxy.listeners['imaps'][1]}\n"
        f"ssl = yes\nsslcacertfile = {authority.ca_file}\nremoteuser = {account}\nremotepass = {PASSWORD}\n"
    )
    run("offlineimap", "-o", "-c", str(config), home=tmp_path)
    assert _maildir(tmp_path / "mail" / "INBOX") == [f"The account {account} lives on {HOMES[account]}."]


def _maildir(folder: Path) -> list[str]:
    """Return the last line of each message."""
    return [path.read_text().splitlines()[-1] for part in ("new", "cur") for path in (folder / part).iterdir()]
