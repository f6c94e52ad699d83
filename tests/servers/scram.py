"""A client of SCRAM (RFC 5802, RFC 7677), and the Dovecot lines that know passwords as it needs them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from zcontrol.demo.accounts import ACCOUNTS, PASSWORD

if TYPE_CHECKING:
    from collections.abc import Iterator

MECHANISMS: Final = {"SCRAM-SHA-256": "sha256", "SCRAM-SHA-1": "sha1"}
ITERATIONS: Final = 4096


@dataclass(kw_only=True)
class Scram:
    """One exchange: `first`, then `last` to what is asked, then `check` what the server says of itself."""

    mechanism: str
    name: str
    password: str
    header: str = "n,,"
    nonce: str = "fyko+d2lbbFgONRv9qkxdawL"
    asked: dict[str, str] = field(default_factory=dict)
    """What the server asked, by its letters."""
    signature: bytes = b""
    """What the server must show."""

    def first(self) -> bytes:
        return f"{self.header}{self._bare()}".encode()

    def last(self, asked: bytes) -> bytes:
        """Make the proof."""
        self.asked = fields(asked)
        assert self.asked["r"].startswith(self.nonce)
        salt, iterations = base64.b64decode(self.asked["s"]), int(self.asked["i"])
        client_key, server_key = _keys(self._hash, self.password, salt, iterations)
        without_proof = f"c={base64.b64encode(self.header.encode()).decode()},r={self.asked['r']}"
        said = f"{self._bare()},{asked.decode()},{without_proof}".encode()
        signature = hmac.digest(hashlib.new(self._hash, client_key).digest(), said, self._hash)
        proof = bytes(one ^ other for one, other in zip(client_key, signature, strict=True))
        self.signature = hmac.digest(server_key, said, self._hash)
        return f"{without_proof},p={base64.b64encode(proof).decode()}".encode()

    def check(self, shown: bytes) -> None:
        assert base64.b64decode(fields(shown)["v"]) == self.signature, "the server does not know the password"

    def _bare(self) -> str:
        name = self.name.replace("=", "=3D").replace(",", "=2C")
        return f"n={name},r={self.nonce}"

    @property
    def _hash(self) -> str:
        return MECHANISMS[self.mechanism]


def fields(message: bytes) -> dict[str, str]:
    """Return the attributes of a message by their letters."""
    return dict(attribute.split("=", 1) for attribute in message.decode().split(","))


@pytest.fixture(scope="session")
def scram_lines() -> Iterator[str]:
    """Yield lines for a mailbox server that takes these mechanisms from all accounts of the demo."""
    # Not below pytest's own directory, which nobody but its owner may enter: as root, Dovecot runs as another user.
    directory = Path(tempfile.mkdtemp(prefix="zproxy-scram-"))
    directory.chmod(0o755)
    yield _lines(directory, [account for accounts in ACCOUNTS.values() for account in accounts])
    shutil.rmtree(directory)


def _lines(directory: Path, accounts: list[str]) -> str:
    """Write a file of passwords for each mechanism, salted once for all logins, and return the lines that name them."""
    lines = "auth_mechanisms = plain login scram-sha-256 scram-sha-1\n"
    for mechanism in MECHANISMS:
        file = directory / mechanism
        file.write_text("".join(f"{account}:{_stored(mechanism)}\n" for account in accounts))
        lines += f"passdb {{\n  driver = passwd-file\n  mechanisms = {mechanism}\n  args = {file}\n}}\n"
    return lines


def _stored(mechanism: str) -> str:
    salt, digest = os.urandom(16), MECHANISMS[mechanism]
    client_key, server_key = _keys(digest, PASSWORD, salt, ITERATIONS)
    kept = (salt, hashlib.new(digest, client_key).digest(), server_key)
    return f"{{{mechanism}}}{ITERATIONS}," + ",".join(base64.b64encode(part).decode() for part in kept)


def _keys(digest: str, password: str, salt: bytes, iterations: int) -> tuple[bytes, bytes]:
    salted = hashlib.pbkdf2_hmac(digest, password.encode(), salt, iterations)
    return hmac.digest(salted, b"Client Key", digest), hmac.digest(salted, b"Server Key", digest)
