"""The address and port that a proxy is told: the backend that an edge would try, if such a proxy can log in to it."""

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import final

from zcontrol.errors import ZproxyError
from zcontrol.nginx_lookup.answer import Place
from zcontrol.nginx_lookup.asked import PROTOCOLS, Asked
from zcontrol.pool.addresses import Addresses
from zcontrol.pool.rendezvous import member_of
from zcontrol.pool.votes import Votes
from zcontrol.routing.choose import choose
from zcontrol.v1 import pool_pb2, route_pb2
from zcontrol.words import word


class NoPlaceError(ZproxyError):
    """There is nowhere to send this login now; the text says why and what to do."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """What places are chosen from."""

    # The current pool; asked each time.
    pool: Callable[[], pool_pb2.Pool]
    votes: Votes
    addresses: Addresses

    async def of(self, route: route_pb2.Route, asked: Asked, ports: Mapping[str, int]) -> Place:
        """Where the login goes; raises `NoPlaceError`. `ports` outrank the endpoints'."""
        told = route_pb2.ExplainResponse(route=route)
        backend = _one_of(choose(self.pool(), self.votes, asked.service, told), told)
        endpoint: pool_pb2.Endpoint = getattr(backend.endpoints, asked.service)
        port = ports.get(asked.protocol) or _port(backend.name, endpoint, asked)
        if problem := _style_problem(route, endpoint, asked):
            raise NoPlaceError(f"{backend.name}'s {asked.service}: {problem}")
        # Zimbra's look-up service prefers IPv4 too.
        addresses = sorted(await self.addresses.of(backend.host), key=lambda address: address.version)
        if not addresses:
            raise NoPlaceError(f"{backend.name}'s host {backend.host} has no address: mend DNS, or write one")
        return Place(str(addresses[0]), port)


def _one_of(members: Sequence[pool_pb2.Backend], told: route_pb2.ExplainResponse) -> pool_pb2.Backend:
    """Any of a stateless group, by weight: a hash of nothing in particular is as good as a die."""
    if not members:
        raise NoPlaceError(told.failure)
    backend = members[0] if len(members) == 1 else member_of(secrets.token_hex(), list(members))
    if backend is None:
        raise NoPlaceError("no member takes new sessions: raise a weight, or undrain one")
    return backend


def _port(name: str, endpoint: pool_pb2.Endpoint, asked: Asked) -> int:
    tls = endpoint.tls or pool_pb2.BACKEND_TLS_OFF
    wanted = pool_pb2.BACKEND_TLS_IMPLICIT if PROTOCOLS[asked.protocol].tls else pool_pb2.BACKEND_TLS_OFF
    if tls != wanted:
        has, speaks = (word(pool_pb2.BackendTls.DESCRIPTOR, each) for each in (tls, wanted))
        raise NoPlaceError(
            f'{name}\'s {asked.service} has tls = "{has}", and a proxy that asks for {asked.protocol} speaks '
            f'"{speaks}": name a port for it in nginx_lookup.ports'
        )
    return endpoint.port


def _style_problem(route: route_pb2.Route, endpoint: pool_pb2.Endpoint, asked: Asked) -> str:
    style = route.login_style or endpoint.login_style or pool_pb2.LOGIN_STYLE_REPLAY
    possible = [pool_pb2.LOGIN_STYLE_REPLAY]
    if asked.protocol == "smtp":
        # Verified here, and told by nginx's own XCLIENT.
        possible.append(pool_pb2.LOGIN_STYLE_VERIFY_THEN_XCLIENT)
    if style in possible:
        return ""
    return f'no nginx can log in by login_style = "{word(pool_pb2.LoginStyle.DESCRIPTOR, style)}"'
