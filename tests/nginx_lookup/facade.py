"""nginx_lookup before a resolver that knows what a test says, asked over real sockets."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

from routing.fakes import DOMAIN, Bench, ToldDirectory
from zcontrol.demo.loopback import own_address
from zcontrol.nginx_lookup.listener import NginxLookup
from zcontrol.nginx_lookup.lookup import Sources
from zcontrol.nginx_lookup.place import Places
from zcontrol.pool.addresses import Addresses
from zcontrol.security.verify import Verifier, Verifiers, refused
from zcontrol.v1 import config_pb2, pool_pb2, route_pb2

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from zcontrol.directory.base import Found

SITI = f"siti@{DOMAIN}"
PASSWORD = b"rah%asia 1"
POOL = pool_pb2.Pool(
    version=1,
    groups=[pool_pb2.Group(name="farm", kind=pool_pb2.GROUP_KIND_STATELESS)],
    backends=[
        pool_pb2.Backend(
            name="mbox-1",
            host="10.0.0.1",
            endpoints=pool_pb2.Endpoints(
                imap=pool_pb2.Endpoint(port=143),
                pop3=pool_pb2.Endpoint(port=995, tls=pool_pb2.BACKEND_TLS_IMPLICIT),
                submission=pool_pb2.Endpoint(port=587),
                http=pool_pb2.Endpoint(port=8080),
            ),
        ),
        pool_pb2.Backend(
            name="farm-1", group="farm", host="10.0.1.1", endpoints={"imap": pool_pb2.Endpoint(port=143)}, weight=0
        ),
        pool_pb2.Backend(
            name="farm-2", group="farm", host="2001:db8::2", endpoints={"imap": pool_pb2.Endpoint(port=1143)}
        ),
        pool_pb2.Backend(
            name="modern",
            host="10.0.0.2",
            endpoints={
                "imap": pool_pb2.Endpoint(
                    port=143, login_style=pool_pb2.LOGIN_STYLE_VERIFY_THEN_MASTER, master_user="m"
                ),
                "submission": pool_pb2.Endpoint(port=587, login_style=pool_pb2.LOGIN_STYLE_VERIFY_THEN_XCLIENT),
            },
        ),
    ],
)


@final
class ToldVerifier(Verifier):
    """Knows one password, or says what it was told to; keeps what it was asked."""

    passwords = True

    def __init__(self) -> None:
        self.asked: list[route_pb2.Proof] = []
        self.verdict: route_pb2.Verdict | None = None

    async def verify(self, proof: route_pb2.Proof) -> route_pb2.Verdict:
        self.asked.append(proof)
        if self.verdict:
            return self.verdict
        if proof.password != PASSWORD:
            return refused("no")
        return route_pb2.Verdict(verified=route_pb2.Verified(account=proof.account))


@dataclass(kw_only=True)
class Facade:
    """What listens, and what it stands on."""

    lookup: NginxLookup
    bench: Bench
    directory: ToldDirectory
    verifier: ToldVerifier

    async def ask(self, **headers: str | bytes) -> dict[str, str]:
        """Ask as nginx does, Siti's IMAP login if nothing else is said; `_` in a name is `-`, `None` leaves one out."""
        status, answered = await self.exchange(request(**headers))
        assert status == "HTTP/1.1 200 OK", (status, answered)
        return answered

    async def exchange(self, octets: bytes) -> tuple[str, dict[str, str]]:
        """Send this, and return status line and headers of the answer."""
        whole = await self.raw(octets)
        # What nginx has room for, names that it can read, and a connection that ends.
        assert len(whole) <= 1024
        head = whole.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
        fields = [line.partition(": ") for line in head[1:]]
        assert all(name.replace("-", "").isalnum() for name, _, _ in fields)
        return head[0], {name: value for name, _, value in fields}

    async def raw(self, octets: bytes) -> bytes:
        """Send this, and return what comes until the end."""
        host, _, port = self.lookup.address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(octets)
        try:
            return await asyncio.wait_for(reader.read(), 20)
        finally:
            writer.close()


ASKED = {
    "Auth-Method": "plain",
    "Auth-User": SITI,
    "Auth-Pass": "rah%25asia%201",
    "Auth-Protocol": "imap",
    "Auth-Login-Attempt": "1",
    "Client-IP": "192.0.2.7",
}


def request(*, path: str = "/service/extension/nginx-lookup", **changed: str | bytes | None) -> bytes:
    """As nginx writes it."""
    headers: dict[str, str | bytes | None] = ASKED | {name.replace("_", "-"): value for name, value in changed.items()}
    octets = f"GET {path} HTTP/1.0\r\nHost: localhost\r\n".encode()
    for name, value in headers.items():
        if value is not None:
            octets += name.encode() + b": " + (value if isinstance(value, bytes) else value.encode()) + b"\r\n"
    return octets + b"\r\n"


@asynccontextmanager
async def facade(*accounts: Found, pool: pool_pb2.Pool = POOL, **config: object) -> AsyncIterator[Facade]:
    """Serve these accounts."""
    directory, verifier = ToldDirectory(*accounts), ToldVerifier()
    async with Bench(directory=directory, pool=pool) as bench:
        verifiers = Verifiers(passwords=verifier)
        places = Places(pool=lambda: bench.pool, votes=bench.votes, addresses=Addresses())
        lookup = NginxLookup(Sources(resolver=lambda: bench.resolver, verifiers=lambda: verifiers, places=places))
        settings = config_pb2.NginxLookup(**{"address": f"{own_address()}:0", **config})  # type: ignore[arg-type]
        await lookup.take(lookup.prepare(settings))
        try:
            yield Facade(lookup=lookup, bench=bench, directory=directory, verifier=verifier)
        finally:
            await lookup.stop()
