"""Who calls: what a connection and its metadata show, and what is known of whom that proves."""

from __future__ import annotations

import contextvars
import dataclasses
from typing import TYPE_CHECKING, Any, final
from urllib.parse import unquote

from zcontrol.access.roles import ADMIN, EDGE, having
from zcontrol.errors import ZproxyError
from zcontrol.v1 import token_pb2

if TYPE_CHECKING:
    import grpc

    from zcontrol.access.roles import Role


@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class Shown:
    """What a caller shows, judged anew as long as his call lasts."""

    # `address:port`; empty: by the Unix socket.
    address: str
    # By TLS, so not at `api.address`.
    tls: bool
    # PEM; empty: none, as at `api.tokens`, where nobody is asked for one.
    certificate: bytes = dataclasses.field(default=b"", repr=False)
    intermediates: bytes = dataclasses.field(default=b"", repr=False)
    # What stands behind `Bearer`; empty: nothing.
    token: str = dataclasses.field(default="", repr=False)
    # As whom he says he speaks; it proves nothing.
    author: str = ""

    @classmethod
    def by(cls, context: grpc.aio.ServicerContext[Any, Any]) -> Shown:
        """What this call shows."""
        met = context.auth_context()
        metadata = dict(context.invocation_metadata() or ())
        return cls(
            address=_address(context.peer()),
            tls=b"ssl" in met.get("transport_security_type", ()),
            certificate=b"".join(met.get("x509_pem_cert", ())),
            intermediates=b"".join(met.get("x509_pem_cert_chain", ())),
            token=_bearer(metadata.get("authorization")),
            author=_author(metadata.get(AUTHOR_KEY)),
        )


@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class Caller:
    """Somebody who proved who he is, or who came by a way that needs no proof."""

    # `token 4f2c91d8 (deploy)`, `certificate dns:ops.tgg.net.id`.
    name: str
    roles: frozenset[Role]
    address: str
    author: str = ""
    # By the way that is open to whoever can reach it: this machine's.
    local: bool = False

    @property
    def highest(self) -> Role:
        """The role that says most of him; unspecified: he has none."""
        return max(self.roles, default=token_pb2.ACCESS_ROLE_UNSPECIFIED)


@final
@dataclasses.dataclass(kw_only=True)
class Trail:
    """What a call that changes something leaves for the audit log, by `leave`."""

    caller: Caller
    version_before: int = 0
    version_after: int = 0
    changes: str = ""


class RefusedError(ZproxyError):
    """A call that is not served to whom it came from; the text is for him."""

    def __init__(self, status: grpc.StatusCode, text: str, caller: Caller) -> None:
        super().__init__(text)
        self.status = status
        self.caller = caller


def local(shown: Shown) -> Caller:
    """Whoever comes by `api.address`: the socket's mode, or the machine, has let him."""
    name = "a caller on the Unix socket" if not shown.address else f"a caller at {shown.address}"
    return Caller(name=name, roles=having((ADMIN, EDGE)), address=shown.address, author=shown.author, local=True)


def nobody(shown: Shown, name: str = "nobody") -> Caller:
    """Who has not proved that he is anybody."""
    return Caller(name=name, roles=frozenset(), address=shown.address, author=shown.author)


def leave(changes: str, *, version_before: int = 0, version_after: int = 0) -> None:
    """Tell the audit log what the call under way has changed."""
    trail = TRAIL.get(None)
    # A service may be served without a guard, as in its own tests.
    if trail is not None:
        trail.changes, trail.version_before, trail.version_after = changes, version_before, version_after


def speaker(author: str = "") -> str:
    """Who makes the change under way, for history: by his own account, beside what he has proved, if he had to."""
    caller = TRAIL.get().caller
    claimed = author or caller.author
    if caller.local:
        return claimed or caller.name
    told = f"{caller.name} for {claimed}" if claimed else caller.name
    return told[:LONGEST_AUTHOR]


def _address(peer: str) -> str:
    """The peer as gRPC writes it, `ipv6:%5B::1%5D:443`, as `address:port`."""
    family, _, address = peer.partition(":")
    return "" if family == "unix" else unquote(address)


def _bearer(header: str | bytes | None) -> str:
    text = header if isinstance(header, str) else ""
    scheme, _, token = text.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _author(claimed: str | bytes | None) -> str:
    """Read by people, in terminals."""
    text = claimed.decode(errors="replace") if isinstance(claimed, bytes) else claimed or ""
    return text if text.isprintable() and len(text.encode()) <= LONGEST_AUTHOR else ""


TRAIL: contextvars.ContextVar[Trail] = contextvars.ContextVar("trail")
AUTHOR_KEY = "zproxy-author-bin"
LONGEST_AUTHOR = 256
