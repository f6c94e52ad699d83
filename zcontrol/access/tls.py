"""Control's certificate and its clients' authorities, from files that may change while it serves.

gRPC asks for them at each handshake, from threads of its own; whoever watches over open calls asks beside it.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import NamedTuple, final

import grpc
import structlog
from cryptography import x509
from cryptography.exceptions import InternalError, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from zcontrol.access.certificates import Revocations
from zcontrol.errors import ZproxyError
from zcontrol.file_state import file_state
from zcontrol.v1 import config_pb2

log = structlog.get_logger(__name__)


class TlsFilesError(ZproxyError):
    """Files that cannot be used; `key` is that of the config, the text says what is wrong with the mend."""

    def __init__(self, key: str, path: str, problem: str) -> None:
        super().__init__(f"{key}: {path}: {problem}")
        self.key = key
        self.path = path
        self.problem = problem


class _Read(NamedTuple):
    certificate: bytes
    key: bytes
    # None: clients are not asked for a certificate.
    client_ca: bytes | None
    roots: tuple[x509.Certificate, ...]
    revocations: Revocations

    @property
    def configuration(self) -> grpc.ServerCertificateConfiguration:
        return grpc.ssl_server_certificate_configuration([(self.key, self.certificate)], self.client_ca)


@final
class TlsFiles:
    """The files of one listener; bad ones leave those before in force."""

    def __init__(self, config: config_pb2.ApiCertificates | config_pb2.ApiTokens) -> None:
        """Read them; TlsFilesError if they cannot be used."""
        self._lock = threading.Lock()
        self._config = config
        self._states = _states(config)
        self._read = read(config)
        # What gRPC was given last.
        self._given = self._read

    @property
    def roots(self) -> tuple[x509.Certificate, ...]:
        """The authorities of clients."""
        return self._read.roots

    @property
    def revocations(self) -> Revocations:
        """What they have revoked."""
        return self._read.revocations

    def credentials(self) -> grpc.ServerCredentials:
        """For a listener."""
        return grpc.dynamic_ssl_server_credentials(
            self._read.configuration,
            # None, for what gRPC has already, is not known to its types.
            self._fetch,  # type: ignore[arg-type]
            require_client_authentication=self._read.client_ca is not None,
        )

    def use(self, config: config_pb2.ApiCertificates | config_pb2.ApiTokens) -> None:
        """Take the files of another config, which can be read."""
        with self._lock:
            self._config, self._states = config, ()
        self.refresh()

    def refresh(self) -> None:
        """Read what has changed since."""
        with self._lock:
            states = _states(self._config)
            if states == self._states:
                return
            self._states = states
            try:
                self._read = read(self._config)
            except TlsFilesError as error:
                # Half of a pair may have been written: the other half changes its state.
                log.warning("the certificate of the API is bad, the one before stays in force", reason=str(error))
            else:
                log.info("the certificate of the API was read", file=self._config.certificate_file)

    def _fetch(self) -> grpc.ServerCertificateConfiguration | None:
        self.refresh()
        with self._lock:
            if self._given is self._read:
                return None
            self._given = self._read
            return self._given.configuration


def read(config: config_pb2.ApiCertificates | config_pb2.ApiTokens) -> _Read:
    """What the files hold; TlsFilesError if it cannot be used."""
    certificate = _octets("certificate_file", config.certificate_file)
    leaf = _certificates("certificate_file", config.certificate_file, certificate)[0]
    key = _octets("key_file", config.key_file)
    try:
        is_its = load_pem_private_key(key, None).public_key() == leaf.public_key()
    except (ValueError, TypeError, InternalError, UnsupportedAlgorithm) as error:
        raise TlsFilesError("key_file", config.key_file, "no private key in PEM, without a password") from error
    if not is_its:
        raise TlsFilesError("key_file", config.key_file, "not the key of certificate_file; name its own")
    if not isinstance(config, config_pb2.ApiCertificates):
        return _Read(certificate=certificate, key=key, client_ca=None, roots=(), revocations=Revocations(()))
    client_ca = _octets("client_ca_file", config.client_ca_file)
    roots = _certificates("client_ca_file", config.client_ca_file, client_ca)
    lists = [each for index, path in enumerate(config.crl_files) for each in _lists(f"crl_files[{index}]", path)]
    return _Read(certificate=certificate, key=key, client_ca=client_ca, roots=roots, revocations=Revocations(lists))


def _octets(key: str, path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise TlsFilesError(key, path, f"{error.strerror}; name a PEM file that we may read") from error


def _certificates(key: str, path: str, pem: bytes) -> tuple[x509.Certificate, ...]:
    try:
        return tuple(x509.load_pem_x509_certificates(pem))
    except (ValueError, x509.InvalidVersion) as error:
        raise TlsFilesError(key, path, "no certificates in PEM; name a file that has them") from error


def _lists(key: str, path: str) -> list[x509.CertificateRevocationList]:
    pem = _octets(key, path)
    # A bundle, which the library reads one at a time.
    each = [f"{_LIST}{part}".encode() for part in pem.decode(errors="replace").split(_LIST)[1:]]
    try:
        lists = [x509.load_pem_x509_crl(one) for one in each]
    except ValueError as error:
        raise TlsFilesError(key, path, f"a revocation list that cannot be read ({error}); fetch it anew") from error
    if not lists:
        raise TlsFilesError(key, path, "no revocation lists in PEM; name a file that has them")
    return lists


def _states(config: config_pb2.ApiCertificates | config_pb2.ApiTokens) -> tuple[object, ...]:
    paths = [config.certificate_file, config.key_file]
    if isinstance(config, config_pb2.ApiCertificates):
        paths += [config.client_ca_file, *config.crl_files]
    return tuple(file_state(Path(path)) for path in paths)


_LIST = "-----BEGIN X509 CRL-----"
