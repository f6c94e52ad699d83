"""Certificates for the run: one authority that tests trust, and whatever it is asked to sign."""

from __future__ import annotations

import itertools
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
import trustme

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Certificate:
    certificate_file: Path
    key_file: Path


class Authority:
    """Signs certificates, and makes contexts that trust nothing else."""

    def __init__(self, directory: Path) -> None:
        self._ca = trustme.CA()
        self._issued = itertools.count(1)
        self._directory = directory
        self.ca_file = directory / "ca.pem"
        self._ca.cert_pem.write_to_path(self.ca_file)

    def issue(self, *names: str, not_after: datetime | None = None) -> Certificate:
        """Sign a certificate for these host names or addresses; with `not_after` one that runs out then."""
        # The common name is for mbsync, which looks nowhere else for the address of a server.
        issued = self._ca.issue_cert(*names, common_name=names[-1], not_after=not_after)
        stem = f"{next(self._issued)}-{names[0].replace('*', 'any')}"
        made = Certificate(
            certificate_file=self._directory / f"{stem}.pem",
            key_file=self._directory / f"{stem}.key",
        )
        made.certificate_file.write_bytes(b"".join(pem.bytes() for pem in issued.cert_chain_pems))
        issued.private_key_pem.write_to_path(made.key_file)
        return made

    def client_context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.ca_file)


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))
