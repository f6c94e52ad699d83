"""People who read mail by IMAP: connect, TLS, greeting, login, a look into INBOX, goodbye; each step is a row.

    locust -f loadtests/imap_user.py --headless -u 50 -t 1m --host 127.0.0.1:1993 \
        --server-name mail.tgg.net.id --ca-file certificate.pem --accounts accounts.csv --password demo

`--accounts` is a file of the directory's form: a header line, then an account and its home a line.
"""

from __future__ import annotations

import csv
import itertools
import socket
import ssl
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from locust import User, between, events, task

if TYPE_CHECKING:
    from argparse import ArgumentParser
    from collections.abc import Iterator

    from locust.env import Environment

PATIENCE_SECONDS = 30


class RefusedError(Exception):
    """The server's answer was not OK."""


class ImapUser(User):
    """One person at a time: the accounts are taken in turn."""

    wait_time = between(0.5, 1.5)
    accounts: Iterator[str]
    context: ssl.SSLContext

    @task
    def look_into_inbox(self) -> None:
        """Log in, select INBOX, log out. A step that fails ends the visit; its row has the failure."""
        options = self.environment.parsed_options
        host, _, port = self.host.rpartition(":")
        try:
            with self._step("connect"):
                plain = socket.create_connection((host, int(port)), timeout=PATIENCE_SECONDS)
            with plain:
                with self._step("tls"):
                    stream = self.context.wrap_socket(plain, server_hostname=options.server_name)
                with stream:
                    self._converse(stream, next(self.accounts), options.password)
        except (OSError, RefusedError):
            # The row has it.
            return

    def _converse(self, stream: ssl.SSLSocket, account: str, password: str) -> None:
        with stream.makefile("rwb") as lines:
            with self._step("greeting"):
                if not lines.readline().startswith(b"* OK"):
                    raise RefusedError("greeting")
            commands = {"login": f'LOGIN {account} "{password}"', "select": "SELECT INBOX", "logout": "LOGOUT"}
            for name, command in commands.items():
                with self._step(name):
                    lines.write(f"{name} {command}\r\n".encode())
                    lines.flush()
                    _expect_ok(lines, name.encode())

    @contextmanager
    def _step(self, name: str) -> Iterator[None]:
        """Time one step and report it as a row; what went wrong is reported, then raised."""
        start = time.perf_counter()
        failure: Exception | None = None
        try:
            yield
        except (OSError, RefusedError) as error:
            failure = error
            raise
        finally:
            self.environment.events.request.fire(
                request_type="IMAP",
                name=name,
                response_time=(time.perf_counter() - start) * 1000,
                response_length=0,
                exception=failure,
                context={},
            )


def _expect_ok(lines: Iterator[bytes], tag: bytes) -> None:
    for line in lines:
        if line.startswith(tag + b" "):
            if not line.startswith(tag + b" OK"):
                raise RefusedError(line.decode(errors="replace").strip())
            return
    raise RefusedError("closed without an answer")


@events.init_command_line_parser.add_listener
def _add_options(parser: ArgumentParser) -> None:
    parser.add_argument("--server-name", required=True, help="host name that the certificate must carry")
    parser.add_argument("--ca-file", required=True, help="PEM bundle to check the certificate against")
    parser.add_argument("--accounts", required=True, help="CSV file whose first column is `account`")
    parser.add_argument("--password", required=True, help="of all accounts")


@events.init.add_listener
def _share_options(environment: Environment, **_: object) -> None:
    options = environment.parsed_options
    with Path(options.accounts).open(newline="") as rows:
        ImapUser.accounts = itertools.cycle([row["account"] for row in csv.DictReader(rows)])
    ImapUser.context = ssl.create_default_context(cafile=options.ca_file)
