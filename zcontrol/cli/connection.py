"""A command's connection to control: in clear on this machine, by TLS elsewhere, with what proves who calls."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple, Self

import grpc
import typer

from zcontrol.address import is_loopback, parse_host_port
from zcontrol.errors import ZproxyError


def _option(name: str, about: str, variable: str) -> Any:  # noqa: ANN401 - as typer declares it
    return typer.Option(name, help=f"{about}; or by {variable}.", rich_help_panel="Control on another machine")


CaFile = Annotated[
    Path | None,
    _option("--ca-file", "PEM bundle of whom control's certificate may be from; unset: the usual", "ZPROXY_CA_FILE"),
]
CertificateFile = Annotated[
    Path | None, _option("--certificate-file", "Our certificate, for api.certificates", "ZPROXY_CERTIFICATE_FILE")
]
KeyFile = Annotated[Path | None, _option("--key-file", "Its key", "ZPROXY_KEY_FILE")]
TokenFile = Annotated[
    Path | None,
    _option("--token-file", "Holds our token, for api.tokens", "ZPROXY_TOKEN_FILE, or itself by ZPROXY_TOKEN"),
]


class UnusableProofError(ZproxyError):
    """What was given to prove who calls cannot be used; the text says which."""


class Proof(NamedTuple):
    """What a command shows control, and whom it believes to be control."""

    ca_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None
    token_file: Path | None = None
    token: str = ""

    @classmethod
    def of_environment(cls) -> Self:
        """What the environment says."""
        named = {name: os.environ.get(f"ZPROXY_{name.upper()}") for name in cls._fields}
        token = named.pop("token") or ""
        return cls(**{name: Path(path) for name, path in named.items() if path}, token=token)

    def or_else(self, other: Self) -> Self:
        """The other's where this one has none; a certificate and its key go together."""
        fallen_back = {name: getattr(self, name) or getattr(other, name) for name in self._fields}
        if self.certificate_file:
            fallen_back["key_file"] = self.key_file
        if self.token_file:
            fallen_back["token"] = ""
        return type(self)(**fallen_back)


@contextlib.contextmanager
def connect(address: str, proof: Proof, author: str) -> Iterator[grpc.Channel]:
    """A channel for as long as a command lasts; `author` is as whom it speaks."""
    options = [("grpc.max_receive_message_length", LARGEST_ANSWER)]
    if _is_in_clear(address, proof):
        channel = grpc.insecure_channel(address, options)
    else:
        channel = grpc.secure_channel(address, _credentials(proof), options)
    with channel:
        yield grpc.intercept_channel(channel, _Speaking(author))


def _is_in_clear(address: str, proof: Proof) -> bool:
    """A Unix socket has no TLS, a loopback port may have it: whoever proves something means that."""
    if address.startswith("unix:"):
        return True
    try:
        return not any(proof) and is_loopback(parse_host_port(address)[0])
    except ValueError:
        return False


def _credentials(proof: Proof) -> grpc.ChannelCredentials:
    if bool(proof.certificate_file) != bool(proof.key_file):
        raise UnusableProofError("--certificate-file and --key-file go together; give both")
    ca, key, certificate = map(_octets, (proof.ca_file, proof.key_file, proof.certificate_file))
    tls = grpc.ssl_channel_credentials(ca, key, certificate)
    if not (proof.token_file or proof.token):
        return tls
    token = (_octets(proof.token_file) or proof.token.encode()).decode(errors="replace").strip()
    if not (token and token.isascii() and token.isprintable()):
        raise UnusableProofError(
            f"{proof.token_file or 'ZPROXY_TOKEN'}: holds no token; write it there and nothing else"
        )
    return grpc.composite_channel_credentials(tls, grpc.access_token_call_credentials(token))


def _octets(file: Path | None) -> bytes | None:
    try:
        return file.read_bytes() if file else None
    except OSError as error:
        raise UnusableProofError(f"{file}: {error.strerror}; name a file that you may read") from error


class _Details(NamedTuple):
    """A call as an interceptor hands it on; gRPC wants these attributes."""

    method: str
    timeout: float | None
    metadata: Any
    credentials: grpc.CallCredentials | None
    wait_for_ready: bool | None
    compression: grpc.Compression | None


class _Speaking(grpc.UnaryUnaryClientInterceptor, grpc.UnaryStreamClientInterceptor):
    """Says with each call as whom it speaks."""

    def __init__(self, author: str) -> None:
        self._author = ("zproxy-author-bin", author.encode())

    def intercept_unary_unary(self, continuation: Any, client_call_details: Any, request: Any) -> Any:  # noqa: ANN401
        return continuation(self._said(client_call_details), request)

    def intercept_unary_stream(self, continuation: Any, client_call_details: Any, request: Any) -> Any:  # noqa: ANN401
        return continuation(self._said(client_call_details), request)

    def _said(self, call: Any) -> _Details:  # noqa: ANN401 - gRPC has no name for it
        metadata = [*(call.metadata or ()), self._author]
        return _Details(call.method, call.timeout, metadata, call.credentials, call.wait_for_ready, call.compression)


# As the server sends at most.
LARGEST_ANSWER: Final = 16 * 2**20
