"""What all that are compared have in common: the backend, the accounts, the certificates, and the TLS they speak."""

from __future__ import annotations

import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import trustme

from compare.peer import BACKENDS
from servers.certificates import Authority
from zcontrol.demo.accounts import HOSTNAME

if TYPE_CHECKING:
    from collections.abc import Mapping

    from servers.certificates import Certificate

ACCOUNTS: Final = 1000
ACCOUNT: Final = "user{}@load.example"
RSA_HOSTNAME: Final = "rsa.example"
SUITE: Final = "TLS13_AES_128_GCM_SHA256"
GROUP: Final = "X25519"
TICKETS: Final = 1
"""After a full handshake: zproxy's number. OpenSSL gives two by itself."""


@dataclass(frozen=True, kw_only=True)
class Site:
    """One place for all of them."""

    directory: Path
    authority: Authority
    ecdsa: Certificate
    rsa: Certificate
    backends: Mapping[str, int]
    """Ports on 127.0.0.1 by protocol."""

    def room(self, name: str) -> Path:
        """Make a directory for one of them."""
        room = Path(tempfile.mkdtemp(prefix=f"{name.replace(' ', '-')}-", dir=self.directory))
        # Some of them have users of their own.
        room.chmod(0o755)
        return room

    def certificate(self, service: str) -> Certificate:
        """Return what the service shows."""
        return self.rsa if service.endswith("_rsa") else self.ecdsa

    @staticmethod
    def protocol(service: str) -> str:
        """Return what the service's clients speak."""
        return BACKENDS[service]

    def client(self, service: str) -> dict[str, Any]:
        """Return what clients of the service are told of TLS."""
        if not service.removesuffix("_rsa").endswith("s"):
            return {}
        name = RSA_HOSTNAME if service.endswith("_rsa") else HOSTNAME
        return {"tls_name": name, "ca_file": self.authority.ca_file, "suite": SUITE, "groups": GROUP}


def site(directory: Path, backends: Mapping[str, int]) -> Site:
    """Make one before the ports of a fake backend."""
    directory.chmod(0o755)
    authority = Authority(directory)
    (directory / "openssl.cnf").write_text(OPENSSL)
    return Site(
        directory=directory,
        authority=authority,
        ecdsa=authority.issue(HOSTNAME),
        rsa=authority.issue(RSA_HOSTNAME, key_type=trustme.KeyType.RSA),
        backends=backends,
    )


def openssl(site: Site) -> Mapping[str, str]:
    """Return the environment that makes OpenSSL's proxies speak TLS as zproxy is made to."""
    return {"OPENSSL_CONF": str(site.directory / "openssl.cnf")}


def said(*command: str) -> str:
    """Return what a program says of its version."""
    done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 - ours
    return (done.stdout + done.stderr).strip().splitlines()[0]


OPENSSL: Final = f"""\
openssl_conf = all
[all]
ssl_conf = ssl
[ssl]
system_default = tls
[tls]
MinProtocol = TLSv1.3
Ciphersuites = TLS_AES_128_GCM_SHA256
Groups = X25519
NumTickets = {TICKETS}
"""
