"""One question of a proxy, answered: the route as an edge would get it, proved where the proxy would believe us."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Final, final

import structlog

from zcontrol import metrics
from zcontrol.nginx_lookup import answer
from zcontrol.nginx_lookup.answer import Headers
from zcontrol.nginx_lookup.asked import ZIMBRA_METHODS, Asked, UnaskableError, parse
from zcontrol.nginx_lookup.place import NoPlaceError, Places
from zcontrol.routing.resolver import Resolver
from zcontrol.security.verify import Verifiers
from zcontrol.v1 import config_pb2, route_pb2

log = structlog.get_logger(__name__)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """What answers are made of; each may be exchanged by a reload."""

    resolver: Callable[[], Resolver]
    verifiers: Callable[[], Verifiers]
    places: Places


@final
class Lookup:
    """Answers by one config."""

    def __init__(self, config: config_pb2.NginxLookup, sources: Sources) -> None:
        self._ports = dict(config.ports)
        self._wait = config.wait.ToSeconds() if config.HasField("wait") else DEFAULT_WAIT_SECONDS
        self._sources = sources

    async def answer(self, headers: Iterable[tuple[bytes, bytes]]) -> Headers:
        """The answer's headers; its status is 200 whatever it says, as proxies expect."""
        try:
            asked = parse(headers)
        except UnaskableError as error:
            return self._told("meaningless", answer.meaningless(str(error)))
        if asked.special or asked.method not in ("plain", *ZIMBRA_METHODS):
            return self._told("unsupported", answer.unsupported(asked, self._wait))
        [answered] = await self._sources.resolver().resolve([asked.question])
        match answered.WhichOneof("result"):
            case "route":
                return await self._by_route(asked, answered.route)
            case "none":
                return self._told("refused", answer.refused(asked, self._wait))
            case _:
                return self._fault(asked, "", answered.fault.reason)

    async def _by_route(self, asked: Asked, route: route_pb2.Route) -> Headers:
        # A star makes it Dovecot's `user*master`, for which edges have listeners of their own.
        if "*" in route.account or route.status in REFUSED_STATUSES:
            return self._told("refused", answer.refused(asked, self._wait))
        if route.status == route_pb2.ACCOUNT_STATUS_MAINTENANCE:
            return self._fault(asked, route.account, "the account is in maintenance")
        if not _allowed(route, asked.client_address):
            return self._told("refused", answer.from_elsewhere(asked, self._wait))
        verified = route_pb2.Verified(account=route.account)
        if route.verify or asked.protocol == "smtp":
            verdict = await self._verdict(asked, route)
            match verdict.WhichOneof("result"):
                case "verified":
                    verified = verdict.verified
                case "refused":
                    return self._told("refused", answer.refused(asked, self._wait))
                case _:
                    return self._fault(asked, route.account, verdict.fault.reason)
        return await self._good(asked, route, verified)

    async def _verdict(self, asked: Asked, route: route_pb2.Route) -> route_pb2.Verdict:
        if asked.by_zimbra:
            told = "this account's password must be verified, and the proxy that asks does not tell it"
            return route_pb2.Verdict(fault=route_pb2.Fault(reason=told))
        verdict = await self._sources.verifiers().verify(asked.proof(route.account))
        if verdict.HasField("verified") and verdict.verified.account != route.account:
            # An edge would look whether it may act as this one; no proxy of this kind can ask for that.
            return route_pb2.Verdict(refused=route_pb2.Refused(reason="the password is another account's"))
        return verdict

    async def _good(self, asked: Asked, route: route_pb2.Route, verified: route_pb2.Verified) -> Headers:
        if verified.home:
            route.home = verified.home
        sources = self._sources
        try:
            place = await sources.places.of(route, asked, self._ports)
        except NoPlaceError as error:
            return self._fault(asked, route.account, str(error))
        domain = sources.resolver().names.default_domain
        headers = answer.good(
            place,
            user=verified.backend_login or route.backend_login or route.account,
            password=verified.backend_password,
            alias=bool(domain) and route.account.endswith(f"@{domain}"),
        )
        if headers is None:
            return self._fault(asked, route.account, "its name or password is more than a proxy can be told")
        return self._told("ok", headers)

    def _fault(self, asked: Asked, account: str, reason: str) -> Headers:
        log.warning("a proxy's login cannot be answered", protocol=asked.protocol, account=account, reason=reason)
        return self._told("fault", answer.temporary(asked, self._wait))

    def _told(self, result: str, headers: Headers) -> Headers:
        metrics.NGINX_LOOKUPS.labels(result).inc()
        return headers


def _allowed(route: route_pb2.Route, client: str) -> bool:
    """Whether the account may log in from there; who does not say where may not, if it matters."""
    if not route.allowed_nets:
        return True
    return bool(client) and any(ip_address(client) in ip_network(net, strict=False) for net in route.allowed_nets)


REFUSED_STATUSES: Final = (route_pb2.ACCOUNT_STATUS_LOCKED, route_pb2.ACCOUNT_STATUS_CLOSED)
# As `timeouts.auth_failure_delay` of the edges.
DEFAULT_WAIT_SECONDS: Final = 3
