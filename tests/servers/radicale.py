"""A real server of calendars and address books, Radicale, each with users and collections of its own."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from servers.process import running
from servers.waiting import accepts, until
from zcontrol.demo.accounts import PASSWORD

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from servers.certificates import Certificate

PORT = 5232


class Radicale:
    """One running server; `certificate` makes it speak TLS."""

    def __init__(self, directory: Path, address: str, *accounts: str, certificate: Certificate | None = None) -> None:
        self.address = address
        self.log_file = directory / "log"
        self._directory = directory
        self._config = directory / "config"
        (directory / "users").write_text("".join(f"{account}:{PASSWORD}\n" for account in accounts))
        tls = TLS.format(certificate=certificate) if certificate else ""
        self._config.write_text(CONFIG.format(address=address, directory=directory, tls=tls))

    @contextmanager
    def running(self) -> Iterator[None]:
        with running(sys.executable, "-m", "radicale", "--config", self._config, log=self.log_file):
            until(lambda: accepts(self.address, PORT), seconds=30)
            yield

    def collections(self) -> set[str]:
        """Return who has anything here."""
        root = self._directory / "collections" / "collection-root"
        return {path.name for path in root.iterdir() if not path.name.startswith(".")} if root.exists() else set()

    def log(self) -> str:
        return self.log_file.read_text(errors="replace")


CONFIG: Final = """\
[server]
hosts = {address}:5232
max_connections = 100
{tls}delay_on_error = 0
[auth]
type = htpasswd
htpasswd_filename = {directory}/users
htpasswd_encryption = plain
delay = 0
realm = calendars
[storage]
filesystem_folder = {directory}/collections
[logging]
level = info
"""
TLS: Final = """\
ssl = True
certificate = {certificate.certificate_file}
key = {certificate.key_file}
"""
