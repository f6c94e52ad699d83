"""What the demo tells: what runs where, and what to try. Lines indented by four are commands, ready to be pasted."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from zcontrol.demo.accounts import ACCOUNTS, HOSTNAME, PASSWORD
from zcontrol.demo.dovecot import PORTS
from zcontrol.demo.stage import NEWCOMER
from zcontrol.demo.webmail import PORT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zcontrol.demo.stage import Stage

MOVED = "budi@tgg.net.id"
SENDER = "siti@tgg.net.id"


def guide(stage: Stage, addresses: Mapping[str, str], program: str) -> str:
    """Return the text; `addresses` is where each listener of the proxy listens."""
    port = {name: int(address.rpartition(":")[2]) for name, address in addresses.items()}
    zproxy = f"{shlex.quote(program)} --config {stage.config_file.name}"
    trusted = stage.certificate_file.name

    def curl(url: str, listener: str, user: str) -> str:
        command = ["curl", "-sS", "--cacert", trusted]
        command += ["--resolve", f"{HOSTNAME}:{port[listener]}:127.0.0.1", "--user", f"{user}:{PASSWORD}"]
        scheme = "smtps" if listener == "submissions" else listener
        return shlex.join([*command, f"{scheme}://{HOSTNAME}:{port[listener]}/{url}"])

    newcomer = stage.servers[NEWCOMER]
    return TEXT.format(
        directory=shlex.quote(str(stage.directory)),
        servers=_servers(stage, addresses),
        password=PASSWORD,
        read_siti=curl("INBOX;MAILINDEX=1", "imaps", "siti@tgg.net.id"),
        read_sarbini=curl("INBOX;MAILINDEX=1", "imaps", "sarbini@gec-course.com"),
        read_bare=curl("1", "pop3s", "siti"),
        send=curl("", "submissions", SENDER) + f" --mail-from {SENDER} --mail-rcpt {MOVED} --upload-file -",
        read_letter=curl("INBOX;MAILINDEX=2", "imaps", MOVED),
        browse_siti=curl("home/siti@tgg.net.id", "https", "siti@tgg.net.id"),
        browse_budi=curl(f"home/{MOVED}", "https", MOVED),
        webmail=f"https://localhost:{port['https']}/",
        starttls=f"openssl s_client -connect 127.0.0.1:{port['imap']} -starttls imap -servername {HOSTNAME} "
        f"-CAfile {trusted} -brief </dev/null",
        pool_list=f"{zproxy} pool list",
        explain=f"{zproxy} route explain {MOVED}",
        pool_add=f"{zproxy} pool add {NEWCOMER} --host {newcomer.address} "
        f"--imap {PORTS['imap']} --pop3 {PORTS['pop3']} --http {PORT} --forward id --forward xclient",
        move=f"sed -i 's/^{MOVED},.*/{MOVED},{NEWCOMER}/' {stage.accounts_file.name}",
        read_budi=curl("INBOX;MAILINDEX=1", "imaps", MOVED),
        records=f"cat {stage.records_file.name}",
    )


def _servers(stage: Stage, addresses: Mapping[str, str]) -> str:
    lines = [f"  {HOSTNAME}  " + "  ".join(f"{name.upper()} {address}" for name, address in addresses.items())]
    for name, server in stage.servers.items():
        accounts = " ".join(ACCOUNTS[name]) if name in ACCOUNTS else "not in the pool yet"
        lines.append(f"  {name}  {server.address:15}  {accounts}")
    return "\n".join(lines)


TEXT = """\
zproxy before two mailbox servers, on loopback only. Ctrl-C ends everything and removes all files.

{servers}

Every password is {password}. Try in another terminal:
    cd {directory}

Read mail by IMAPS. One host name, two servers: the message says on which one the account lives.
    {read_siti}
    {read_sarbini}

By POP3S, with a name that lacks its domain: the host name asked for supplies it.
    {read_bare}

Send mail by submission, to somebody on the other server, and read it there.
    printf 'Subject: Hello\\r\\n\\r\\nFrom one server to the other.\\r\\n' | {send}
    {read_letter}

By HTTPS: a request goes to the server of the user it names. Both webmails are in a browser too, at one address,
{webmail} (the certificate is nobody's it knows); whoever logs in lands on his own server, though
mbox-1 made the form.
    {browse_siti}
    {browse_budi}

STARTTLS, and the certificate.
    {starttls}

The pool, and how a name is routed.
    {pool_list}
    {explain}

Bring in a third server, move an account there, read its mail again; no session is lost. The file is looked at twice a
second: leave it a moment before you read.
    {pool_add}
    {move}
    {read_budi}

What each session left: who, from where, to which server, how long each step took.
    {records}
"""
