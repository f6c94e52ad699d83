"""The demo's stage in one directory: three mailbox servers, each with a webmail, accounts, certificate, config file.

A submission server serves them all. mbox-3 runs, but the pool does not know it: adding it is part of the demo. Every
account has a mailbox there.
"""

from __future__ import annotations

import csv
import shutil
import socket
import tempfile
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from zcontrol.demo.accounts import ACCOUNTS, HOSTNAME, PASSWORD, welcome
from zcontrol.demo.certificate import self_signed
from zcontrol.demo.dovecot import PORTS, MailboxServer, Setting
from zcontrol.demo.loopback import own_address
from zcontrol.demo.submission import PORT as SUBMISSION_PORT
from zcontrol.demo.submission import Submission
from zcontrol.demo.webmail import PORT, TOKEN, USER, Webmail
from zcontrol.errors import ZproxyError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

LISTENERS: Final[Mapping[str, tuple[int, str]]] = MappingProxyType(
    {
        "imap": (1143, "starttls_optional"),
        "imaps": (1993, "implicit"),
        "pop3": (1110, "starttls_optional"),
        "pop3s": (1995, "implicit"),
        "submission": (1587, "starttls_required"),
        "submissions": (1465, "implicit"),
        "https": (1443, "implicit"),
        "http": (1080, "off"),
    }
)
"""Port and TLS of each listener of the proxy."""

NEWCOMER: Final = "mbox-3"
MTA: Final = "mta"


@dataclass(frozen=True, kw_only=True)
class Ports:
    """Where the proxy listens: the well-known ports of the demo plus an offset, or any free ones."""

    offset: int = 0
    any_free: bool = False

    def of(self, listener: str) -> int:
        """Return the port to ask for; 0 takes a free one."""
        return 0 if self.any_free else LISTENERS[listener][0] + self.offset

    def check_free(self) -> None:
        """Say which port is taken, before anything is started."""
        for name in LISTENERS:
            try:
                with socket.socket() as probe:
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    probe.bind(("127.0.0.1", self.of(name)))
            except (OSError, OverflowError) as error:
                raise ZproxyError(
                    f"port {self.of(name)} of 127.0.0.1, for {name.upper()}, is not to be had ({error}). "
                    "Choose others: `zproxy demo --port-offset 10000` adds to each, `--any-ports` takes free ones; "
                    'with make: `make run DEMO="--port-offset 10000"`.'
                ) from error


@dataclass(frozen=True, kw_only=True)
class Stage:
    """What was set up."""

    directory: Path
    servers: Mapping[str, MailboxServer]
    submission: str
    """The address of the submission server."""
    ports: Ports

    @property
    def config_file(self) -> Path:
        """What `zproxy run` reads."""
        return self.directory / "zproxy.toml"

    @property
    def accounts_file(self) -> Path:
        """The directory: an account and its home a line."""
        return self.directory / "accounts.csv"

    @property
    def certificate_file(self) -> Path:
        """What clients must trust."""
        return self.directory / "certificate.pem"

    @property
    def key_file(self) -> Path:
        """The certificate's key."""
        return self.directory / "key.pem"

    @property
    def records_file(self) -> Path:
        """Where each session leaves its record."""
        return self.directory / "records.jsonl"

    def deliver(self, account: str, message: bytes) -> None:
        """Put a message where the account lives now."""
        with self.accounts_file.open(newline="") as rows:
            homes = {row["account"]: row["home"] for row in csv.DictReader(rows)}
        self.servers[homes[account]].deliver(account, message)


@contextmanager
def set_up(ports: Ports) -> Iterator[Stage]:
    """Make a directory, start the mailbox servers, write the files; all of it is gone at the end."""
    ports.check_free()
    with ExitStack() as stack:
        directory = Path(tempfile.mkdtemp(prefix="zproxy-demo-"))
        stack.callback(shutil.rmtree, directory, ignore_errors=True)
        # Root's Dovecot runs as another user, who must be able to pass through.
        directory.chmod(0o711)
        servers: dict[str, MailboxServer] = {}
        stage = Stage(directory=directory, servers=servers, submission=own_address(), ports=ports)
        self_signed(stage.certificate_file, stage.key_file, HOSTNAME, "mail.gec-course.com")
        everybody = tuple(account for accounts in ACCOUNTS.values() for account in accounts)
        for name, accounts in {**ACCOUNTS, NEWCOMER: everybody}.items():
            servers[name] = stack.enter_context(MailboxServer(_setting(stage, name, accounts)))
            for account in accounts:
                servers[name].deliver(account, welcome(account, name))
            stack.enter_context(Webmail(name, servers[name].address, PORTS["imap"]))
        stage.accounts_file.write_text(_accounts_csv())
        stack.enter_context(Submission(stage.submission, dict.fromkeys(everybody, PASSWORD), stage.deliver))
        stage.config_file.write_text(_config(stage))
        yield stage


def _setting(stage: Stage, name: str, accounts: tuple[str, ...]) -> Setting:
    return Setting(
        name=name,
        directory=stage.directory / name,
        passwords=dict.fromkeys(accounts, PASSWORD),
        certificate_file=stage.certificate_file,
        key_file=stage.key_file,
    )


def _accounts_csv() -> str:
    rows = [f"{account},{server}\n" for server, accounts in ACCOUNTS.items() for account in accounts]
    return "account,home\n" + "".join(rows)


def _config(stage: Stage) -> str:
    parts = [
        CONFIG.format(
            hostname=HOSTNAME,
            state_directory=stage.directory / "state",
            certificate_file=stage.certificate_file,
            key_file=stage.key_file,
            records_file=stage.records_file,
            accounts_file=stage.accounts_file,
            mta=MTA,
            user=USER,
            token=TOKEN,
        )
    ]
    for name, (_, tls) in LISTENERS.items():
        protocol = name.removesuffix("s")
        parts.append(LISTENER.format(name=name, protocol=protocol, port=stage.ports.of(name), tls=tls))
    parts.append("# These seed the pool; from then on `zproxy pool` changes it.\n")
    parts += [BACKEND.format(name=name, host=stage.servers[name].address, http=PORT, **PORTS) for name in ACCOUNTS]
    parts.append(SUBMISSION.format(name=MTA, host=stage.submission, port=SUBMISSION_PORT))
    return "\n".join(parts)


CONFIG: Final = """\
# The demo's config. Each key is documented at its field in protos/zcontrol/v1/config.proto.
hostname = "{hostname}"
state_directory = "{state_directory}"

[[certificates]]
certificate_file = "{certificate_file}"
key_file = "{key_file}"

# One JSON line for each session that ended.
[log]
records = "{records_file}"

# Where accounts live; read again when it changes.
[directory.file]
path = "{accounts_file}"

# A name without a domain gets the one of the host name that its client asked for.
[[names.virtual_hosts]]
hosts = ["{hostname}"]
domain = "tgg.net.id"

[[names.virtual_hosts]]
hosts = ["mail.gec-course.com"]
domain = "gec-course.com"

# Whatever host name is asked for. The login form says where its user lives, whichever server made it.
[[http.hosts]]
login_forms = [{{ path = "/", field = "{user}", hidden = ["{token}"] }}]

# Where the form comes from, and whom to send by: no mailbox server has a submission server of its own.
[defaults]
http = "mbox-1"
submission = "{mta}"
"""

LISTENER: Final = """\
[[listeners]]
name = "{name}"
protocol = "{protocol}"
address = "127.0.0.1:{port}"
tls = "{tls}"
"""

BACKEND: Final = """\
[[backends]]
name = "{name}"
host = "{host}"

[backends.endpoints.imap]
port = {imap}
forward = "id"

[backends.endpoints.pop3]
port = {pop3}
forward = "xclient"

[backends.endpoints.http]
port = {http}
"""

SUBMISSION: Final = """\
[[backends]]
name = "{name}"
host = "{host}"

[backends.endpoints.submission]
port = {port}
"""
