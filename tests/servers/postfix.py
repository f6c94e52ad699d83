"""Real mail transfer agents: Debian's Postfix, each an instance of its own that hands mail to mailbox servers by LMTP.

Each has an address of its own, perhaps that of a mailbox server, and fixed ports on it: Postfix cannot be asked which
port it was given. It asks a Dovecot who may log in. It is started by root only, for that is what Postfix demands.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

import pytest

from servers.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from servers.certificates import Certificate
    from zcontrol.demo.dovecot import MailboxServer

PORTS: Final = {
    "submission": 10587,
    "submissions": 10465,
    # These expect a PROXY protocol header.
    "submission_proxy": 11587,
    "submissions_proxy": 11465,
    # Mail of the world.
    "smtp": 10025,
    "smtp_proxy": 11025,
}
AUTH_PORT = 10012
LMTP_PORT = 10024
DOVECOT_LINES = f"""\
protocols = imap pop3 lmtp
service auth {{
  inet_listener {{
    port = {AUTH_PORT}
  }}
}}
service anvil {{
  # Else a refused login waits the longer the more of them its address has had, as zproxy's own do.
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service lmtp {{
  inet_listener lmtp {{
    port = {LMTP_PORT}
  }}
}}
"""
"""What a mailbox server needs to say so that a Postfix can ask it about passwords and bring it mail."""

QUEUED = re.compile(
    r"(?P<service>(?:submissions?|smtp)(?:_proxy)?)/smtpd\[\d+\]: (?P<queue_id>[0-9A-F]+): "
    r"client=(?P<name>\S+)\[(?P<address>[^\]]+)\]"
    r"(?:, sasl_method=(?P<method>\S+), sasl_username=(?P<user>\S+))?$",
    re.MULTILINE,
)


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What a Postfix is made of."""

    name: str
    """Of its log lines and its greeting; its certificate is for `NAME.example`."""
    certificate: Certificate
    passwords: MailboxServer
    """Knows who may log in, and lends its address."""
    homes: Mapping[str, MailboxServer]
    """Where the mail of each account goes."""
    lines: str = ""
    """Lines of main.cf behind ours, so that they win."""


@dataclass(frozen=True, kw_only=True)
class QueuedMessage:
    """One message of a client, as Postfix saw it."""

    service: str
    name: str
    address: str
    """The client's, as far as Postfix knows."""
    method: str | None
    """None: it did not log in."""
    user: str | None
    queue_id: str


class Postfix:
    """One running Postfix; a context manager that ends it by its own `postfix stop`."""

    def __init__(self, directory: Path, setting: Setting) -> None:
        self.name = setting.name
        self.address = setting.passwords.address
        self.verify_name = f"{setting.name}.example"
        self.log_file = directory / "log"
        self._setting = setting
        self._directory = directory
        self._config = directory / "config"

    def __enter__(self) -> Self:
        self._prepare()
        self._postfix("start")
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        self._postfix("start")

    def stop(self) -> None:
        """Stop it, unless the test has."""
        if (self._directory / "queue" / "pid" / "master.pid").exists() and self._runs():
            self._postfix("stop")

    def queued_from(self, address: str) -> list[QueuedMessage]:
        """Return what a client at `address` has sent so far."""
        found = QUEUED.finditer(self.log())
        return [QueuedMessage(**queued.groupdict()) for queued in found if queued["address"] == address]

    def log(self) -> str:
        return self.log_file.read_text(errors="replace")

    def _prepare(self) -> None:
        for name in ("config", "queue", "data"):
            (self._directory / name).mkdir()
        shutil.chown(self._directory / "data", "postfix")
        for kind, source in (("pem", self._setting.certificate.certificate_file), ("key", self._key())):
            (self._config / f"tls.{kind}").write_bytes(source.read_bytes())
        routes = {account: server.address for account, server in self._setting.homes.items()}
        (self._config / "transport").write_text(
            "".join(f"{account} lmtp:inet:[{address}]:{LMTP_PORT}\n" for account, address in routes.items())
        )
        main = MAIN.format(
            directory=self._directory,
            name=self.name,
            auth=f"inet:{self.address}:{AUTH_PORT}",
            domains=" ".join(sorted({account.partition("@")[2] for account in routes})),
        )
        (self._config / "main.cf").write_text(main + self._setting.lines)
        (self._config / "master.cf").write_text(MASTER + "".join(_service(self.address, name) for name in PORTS))

    def _key(self) -> Path:
        return self._setting.certificate.key_file

    def _postfix(self, verb: str) -> None:
        done = subprocess.run(
            ["postfix", "-c", self._config, verb],
            check=False,
            capture_output=True,
            text=True,
            timeout=30,
            stdin=subprocess.DEVNULL,
        )
        logged = self.log() if self.log_file.exists() else ""
        assert done.returncode == 0, f"postfix {verb}: {done.stdout}{done.stderr}{logged}"

    def _runs(self) -> bool:
        return (
            subprocess.run(["postfix", "-c", self._config, "status"], check=False, capture_output=True).returncode == 0
        )


@contextmanager
def started(setting: Setting) -> Iterator[Postfix]:
    """Start one in a directory that its users may pass through; it and its mail are gone at the end."""
    if os.geteuid() != 0:
        pytest.skip("Postfix is started by root only: run this test as root, as continuous integration does")
    parent = Path(tempfile.mkdtemp(prefix="zproxy-postfix-"))
    parent.chmod(0o755)
    try:
        with Postfix(parent, setting) as running:
            yield running
    finally:
        shutil.rmtree(parent)


def delivered(server: MailboxServer, account: str, subject: str) -> bytes:
    """Wait for the message of that subject in the account's mailbox on that very server."""
    inbox = server.setting.directory / "mail" / account / "Maildir" / "new"
    wanted = f"\nSubject: {subject}\n".encode()

    def found() -> list[bytes]:
        messages = (path.read_bytes() for path in inbox.iterdir())
        return [message for message in messages if wanted in message]

    (message,) = until(found, seconds=20)
    return message


def _service(address: str, name: str) -> str:
    service, _, proxied = name.partition("_")
    options = [f"syslog_name=postfix/{name}"]
    options += ["smtpd_tls_wrappermode=yes"] if service == "submissions" else []
    options += ["smtpd_upstream_proxy_protocol=haproxy"] if proxied else []
    options += ["smtpd_relay_restrictions=reject_unauth_destination"] if service == "smtp" else []
    return f"{address}:{PORTS[name]} inet n - n - - smtpd\n" + "".join(f"  -o {option}\n" for option in options)


MAIN: Final = """\
compatibility_level = 3.6
config_directory = {directory}/config
queue_directory = {directory}/queue
data_directory = {directory}/data
maillog_file = {directory}/log
maillog_file_prefixes = {directory}
syslog_name = postfix
myhostname = {name}.example
mydestination =
# Not its own, which no interface is known to have: master.cf says it.
inet_interfaces = 127.0.0.1
inet_protocols = all
# A machine of the tests has no DNS, and a client's name is nobody's business.
smtpd_peername_lookup = no
disable_dns_lookups = yes
alias_maps =
local_recipient_maps =
virtual_mailbox_domains = {domains}
transport_maps = texthash:{directory}/config/transport
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = dovecot
smtpd_sasl_path = {auth}
smtpd_tls_auth_only = yes
smtpd_tls_security_level = may
smtpd_tls_cert_file = {directory}/config/tls.pem
smtpd_tls_key_file = {directory}/config/tls.key
smtpd_relay_restrictions = permit_sasl_authenticated, reject
smtpd_client_connection_count_limit = 0
# Enough for an attachment of 20 MB in base64.
message_size_limit = 50000000
smtpd_authorized_xclient_hosts = 127.0.0.1
"""
MASTER: Final = """\
postlog unix-dgram n - n - 1 postlogd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
proxymap unix - - n - - proxymap
error unix - - n - - error
retry unix - - n - - error
lmtp unix - - n - - lmtp
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
showq unix n - n - - showq
"""
