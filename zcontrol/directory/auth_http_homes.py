"""From the address an auth_http server answers with to a home: a backend of the pool, or what the config puts there.

Nothing else is a home, so that an answer can never make an edge connect to an address of its choosing.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import final

from zcontrol import metrics
from zcontrol.errors import DirectoryError
from zcontrol.fault import shown
from zcontrol.pool.addresses import FRESH_SECONDS, Addresses
from zcontrol.pool.rules import SERVICES
from zcontrol.routing.homes import Homes
from zcontrol.routing.names import canonical_host
from zcontrol.v1 import pool_pb2


@final
class AnsweredHomes:
    """Matches answers against the current pool."""

    def __init__(
        self,
        pool: Callable[[], pool_pb2.Pool],
        listed: Mapping[str, str],
        addresses: Addresses,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`listed` is the config's: address, network or host to the name of a backend or group."""
        self._pool = pool
        self._homes = Homes(pool)
        self._addresses = addresses
        self._monotonic = monotonic
        self._hosts: dict[str, str] = {}
        self._networks: dict[IPv4Network | IPv6Network, str] = {}
        for place, home in listed.items():
            if "/" in place:
                self._networks[ip_network(place)] = home
            else:
                self._hosts[canonical_host(place)] = home
        self._indexed: pool_pb2.Pool | None = None
        self._until = 0.0
        self._backends: dict[str, list[pool_pb2.Backend]] = {}

    async def match(self, server: str, port: int) -> str:
        """The name of a backend or group; raises `DirectoryError`."""
        host = canonical_host(server)
        backends = (await self._index()).get(host, [])
        if len(backends) > 1:
            backends = [backend for backend in backends if port in _ports(backend)]
            if len(backends) != 1:
                raise DirectoryError(
                    f"auth_http answered {shown(server)} port {port}, where the pool has several backends and "
                    f"{'more than one' if backends else 'none'} with that port: tell them apart by their ports"
                )
        if backends:
            return backends[0].name
        if home := self._hosts.get(host) or self._in_network(host):
            return self._named(home)
        metrics.AUTH_HTTP_OUTSIDE.inc()
        raise DirectoryError(
            f"auth_http answered {shown(server)}, which is no backend's host: add the backend to the pool, or say in "
            "directory.auth_http.homes which backend or group stands for that address"
        )

    def _named(self, home: str) -> str:
        if name := self._homes.match(home):
            return name
        raise DirectoryError(
            f"directory.auth_http.homes names {shown(home)}, which the pool does not have: add it, or mend the name"
        )

    def _in_network(self, host: str) -> str:
        if not self._networks:
            return ""
        try:
            address = ip_address(host)
        except ValueError:
            return ""
        # The longest prefix says it most exactly.
        matching = [network for network in self._networks if address in network]
        return self._networks[max(matching, key=lambda network: network.prefixlen)] if matching else ""

    async def _index(self) -> Mapping[str, list[pool_pb2.Backend]]:
        """Backends by every spelling of their host; made anew with the pool, and as DNS may have changed."""
        pool, now = self._pool(), self._monotonic()
        if pool is not self._indexed or now >= self._until:
            hosts = list({backend.host for backend in pool.backends})
            resolved = dict(zip(hosts, await asyncio.gather(*map(self._addresses.of, hosts)), strict=True))
            backends: dict[str, list[pool_pb2.Backend]] = {}
            for backend in pool.backends:
                spellings = {canonical_host(backend.host), *map(_spelled, resolved[backend.host])}
                for spelling in spellings:
                    backends.setdefault(spelling, []).append(backend)
            self._indexed, self._until, self._backends = pool, now + FRESH_SECONDS, backends
        return self._backends


def _spelled(address: object) -> str:
    return canonical_host(str(address))


def _ports(backend: pool_pb2.Backend) -> set[int]:
    return {getattr(backend.endpoints, service).port for service in SERVICES}
