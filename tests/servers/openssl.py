"""`openssl s_client` as a client that keeps its sessions in files, and says what it agreed on."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LEAVE = {"imap": b"a LOGOUT\r\n", "pop3": b"QUIT\r\n", "smtp": b"QUIT\r\n"}
PATIENCE_SECONDS = 20


@dataclass(frozen=True, kw_only=True)
class Visit:
    """What one connection showed."""

    said: str
    """All that openssl printed, and the server's words."""

    @property
    def resumed(self) -> bool:
        (how,) = re.findall(r"^(New|Reused), TLSv1", self.said, re.MULTILINE)
        return bool(how == "Reused")

    @property
    def refused(self) -> bool:
        """Whether there was no handshake; with TLS 1.3 the server's last word comes after the client's."""
        return "alert" in self.said or "New, (NONE)" in self.said


def visit(to: tuple[str, int], *options: str | Path, protocol: str = "imap", name: str = "mail.tgg.net.id") -> Visit:
    """Connect in TLS, hear the greeting, and leave politely."""
    host, port = to
    command = ["openssl", "s_client", "-connect", f"{host}:{port}", "-ign_eof", *map(str, options)]
    command += ["-servername", name] if name else ["-noservername"]
    ran = subprocess.run(
        command,
        input=LEAVE[protocol],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    return Visit(said=ran.stdout.decode(errors="replace"))


def ticket(session: Path) -> bytes:
    """Return the ticket in a session file."""
    ran = subprocess.run(
        ["openssl", "sess_id", "-in", session, "-noout", "-text"],
        stdout=subprocess.PIPE,
        timeout=PATIENCE_SECONDS,
        check=True,
    )
    return b"".join(_dumped(ran.stdout.decode()))


def _dumped(text: str) -> Iterator[bytes]:
    for line in re.findall(r"^ +[0-9a-f]{4} - ((?:[0-9a-f]{2}[ -])+)", text, re.MULTILINE):
        yield bytes.fromhex(line.replace("-", " "))
