"""The product as an operator runs it: `zproxy run` with a config file, its ready line, its records, its signals.

`zproxy` stands before the two `mailboxes` for the whole run; `start_zproxy` starts one with a config of the test's own.
"""

from __future__ import annotations

import json
import select
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

import pytest

from servers.waiting import until
from zcontrol.demo.accounts import ACCOUNTS, HOSTNAME
from zcontrol.demo.dovecot import PORTS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from servers.certificates import Authority
    from zcontrol.demo.dovecot import MailboxServer

PROGRAM = Path(sys.executable).with_name("zproxy")
READY_SECONDS = 30
STOP_SECONDS = 20

Config = dict[str, Any]


class Zproxy:
    """A running `zproxy run`, `control` or `edge`; a context manager that stops it as an operator does."""

    def __init__(self, directory: Path, config: Config, *, role: str = "run") -> None:
        self.role = role
        self.directory = directory
        self.config_file = directory / "zproxy.toml"
        self.errors_file = directory / "stderr"
        self.records_file = directory / "records.jsonl"
        self.config = {
            "hostname": HOSTNAME,
            "state_directory": str(directory / "state"),
            "log": {"records": str(self.records_file)},
            **config,
        }
        self.listeners: dict[str, tuple[str, int]] = {}
        # What the ready line says.
        self.ready: dict[str, Any] = {}

    def __enter__(self) -> Self:
        self.write_config()
        with self.errors_file.open("ab") as errors:
            self.process = subprocess.Popen(
                [PROGRAM, self.role, "--config", self.config_file],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
            )
        try:
            self.ready = self._ready_line()
            for listener in self.ready["listeners"]:
                host, _, port = listener["address"].rpartition(":")
                self.listeners[listener["name"]] = (host.strip("[]"), int(port))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Ask it to stop; a process that does not is a failure, and is killed."""
        self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
        finally:
            self.process.stdout.close()

    def kill(self) -> None:
        """End it as a crash would."""
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def write_config(self) -> None:
        self.config_file.write_text("".join(f"{key} = {toml(value)}\n" for key, value in self.config.items()))

    def reload(self) -> None:
        self.write_config()
        self.process.send_signal(signal.SIGHUP)

    @property
    def api(self) -> str:
        """The gRPC address."""
        default = f"unix:{self.directory / 'state' / 'api.sock'}"
        return str(self.config.get("api", {}).get("address", default))

    def records(self) -> list[dict[str, Any]]:
        """Return the record of each session that has ended."""
        # The last may be half written.
        return [
            json.loads(line) for line in self.records_file.read_text().splitlines(keepends=True) if line[-1] == "\n"
        ]

    def record_from(self, address: str) -> dict[str, Any]:
        """Wait for the record of the one session of a client at `address`, an address that no other client has."""

        def found() -> list[dict[str, Any]]:
            ended = [record for record in self.records() if record["event"] == "session"]
            # A connection that was closed before it was known whose it is has no client.
            return [record for record in ended if record.get("client", "").rpartition(":")[0] == address]

        (record,) = until(found)
        return record

    def refusal_of(self, address: str) -> dict[str, Any]:
        """Wait for the record of the one refused login of a client at `address`."""

        def found() -> list[dict[str, Any]]:
            refused = [record for record in self.records() if record["event"] == "login_refused"]
            return [record for record in refused if record["client"].rpartition(":")[0] == address]

        (record,) = until(found)
        return record

    def errors(self) -> str:
        return self.errors_file.read_text(errors="replace")

    def _ready_line(self) -> dict[str, Any]:
        readable, _, _ = select.select([self.process.stdout], [], [], READY_SECONDS)
        line = self.process.stdout.readline() if readable else b""
        assert line, f"zproxy did not become ready; it said:\n{self.errors()}"
        ready: dict[str, Any] = json.loads(line)
        assert ready["ready"] is True
        return ready


class StartZproxy(Protocol):
    def __call__(self, config: Config) -> Zproxy: ...


def toml(value: object) -> str:
    """Write a value as TOML, all on one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(toml, value)) + "]"
    return json.dumps(value)


def backend(server: MailboxServer, **endpoints: Config) -> Config:
    """Describe a mailbox server to the pool; without `endpoints`: plain IMAP and POP3, the client's address told."""
    plain = {
        "imap": {"port": PORTS["imap"], "forward": "id"},
        "pop3": {"port": PORTS["pop3"], "forward": "xclient"},
    }
    return {"name": server.name, "host": server.address, "endpoints": endpoints or plain}


def directory_file(path: Path, homes: dict[str, str]) -> Config:
    """Write a file directory of accounts and their homes, and return the config that names it."""
    path.write_text("account,home\n" + "".join(f"{account},{home}\n" for account, home in homes.items()))
    return {"file": {"path": str(path)}}


def listener(name: str, protocol: str, tls: str, **further: object) -> Config:
    return {"name": name, "protocol": protocol, "address": "127.0.0.1:0", "tls": tls} | further


LISTENERS = [
    listener("imap", "imap", "starttls_optional"),
    listener("imaps", "imap", "implicit"),
    listener("imap_strict", "imap", "starttls_required"),
    listener("imap_proxied", "imap", "off", proxy_protocol_from=["127.0.0.0/8"]),
    listener("pop3", "pop3", "starttls_optional"),
    listener("pop3s", "pop3", "implicit"),
    listener("pop3_strict", "pop3", "starttls_required"),
    listener("pop3_proxied", "pop3", "off", proxy_protocol_from=["127.0.0.0/8"]),
]
HOMES = {account: server for server, accounts in ACCOUNTS.items() for account in accounts}


def two_mailboxes(directory: Path, authority: Authority, mailboxes: dict[str, MailboxServer]) -> Config:
    """Return the config of the demo's five accounts; every way to reach a backend and to tell of a client is in it."""
    one, two = mailboxes["mbox-1"], mailboxes["mbox-2"]
    certificate = authority.issue(HOSTNAME, "mail.gec-course.com", "127.0.0.1")
    verified = {"verify_name": "mbox-2.example", "forward": "proxy_v2"}
    return {
        "listeners": LISTENERS,
        "certificates": [
            {"certificate_file": str(certificate.certificate_file), "key_file": str(certificate.key_file)}
        ],
        "backend_tls": {"ca_file": str(authority.ca_file)},
        "timeouts": {"auth_failure_delay": "0.2s"},
        "names": {
            "virtual_hosts": [
                {"hosts": [HOSTNAME], "domain": "tgg.net.id"},
                {"hosts": ["mail.gec-course.com"], "domain": "gec-course.com"},
            ]
        },
        "directory": directory_file(directory / "accounts.csv", HOMES),
        "backends": [
            backend(
                one,
                imap={
                    "port": PORTS["imap"],
                    "tls": "starttls",
                    "verify_name": "mbox-1.example",
                    "forward": "id",
                },
                pop3={"port": PORTS["pop3"], "forward": "xclient"},
            ),
            backend(
                two,
                imap={"port": PORTS["imaps_proxy"], "tls": "implicit", **verified},
                pop3={"port": PORTS["pop3_proxy"], "tls": "starttls", **verified},
            ),
        ],
    }


@pytest.fixture
def start_zproxy(tmp_path: Path) -> Iterator[StartZproxy]:
    with ExitStack() as stack:
        yield lambda config: stack.enter_context(Zproxy(tmp_path, config))


@pytest.fixture(scope="session")
def zproxy(
    tmp_path_factory: pytest.TempPathFactory, authority: Authority, mailboxes: dict[str, MailboxServer]
) -> Iterator[Zproxy]:
    directory = tmp_path_factory.mktemp("zproxy")
    with Zproxy(directory, two_mailboxes(directory, authority, mailboxes)) as running:
        yield running
