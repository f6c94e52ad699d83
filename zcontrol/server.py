"""The control plane as one value: everything a config asks for, served over gRPC to whoever may call.

Start, reload and stop are its life; what a process does around it, signals and the ready line, is in `process.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self, final

import grpc
import structlog
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from zcontrol.access.listening import ControlError, listen, options, remove_socket
from zcontrol.access.open import Access, check_files
from zcontrol.access.sqlite import SqliteAccess
from zcontrol.config.checks import seed
from zcontrol.logins import Logins, open_logins
from zcontrol.nginx_lookup.listener import NginxLookup
from zcontrol.nginx_lookup.lookup import Sources
from zcontrol.nginx_lookup.place import Places
from zcontrol.pool.addresses import Addresses
from zcontrol.pool.rules import relying_on_verifiers
from zcontrol.pool.sqlite import SqliteStore
from zcontrol.pool.votes import Votes
from zcontrol.rotating_keys import RotatingKeys, paces
from zcontrol.services.audit import AuditService
from zcontrol.services.edge import EdgeService
from zcontrol.services.pool import PoolService
from zcontrol.services.route import RouteService
from zcontrol.services.session import SessionService
from zcontrol.services.token import TokenService
from zcontrol.v1 import (
    audit_pb2,
    audit_pb2_grpc,
    edge_pb2,
    edge_pb2_grpc,
    pool_pb2,
    pool_pb2_grpc,
    route_pb2,
    route_pb2_grpc,
    session_pb2,
    session_pb2_grpc,
    token_pb2,
    token_pb2_grpc,
)

if TYPE_CHECKING:
    from zcontrol.access.listening import Listens
    from zcontrol.nginx_lookup import listener as nginx_lookup
    from zcontrol.pool.store import PoolStore
    from zcontrol.v1 import config_pb2

log = structlog.get_logger(__name__)


@final
@dataclass(frozen=True, kw_only=True)
class Prepared:
    """What another config asks for, opened and not in use yet."""

    logins: Logins
    proxies: nginx_lookup.Prepared

    async def close(self) -> None:
        """Give it back: it is not to be used."""
        self.proxies.close()
        await self.logins.close()


@final
@dataclass(kw_only=True)
class Control:
    """A running control plane; make one by `Control.start`."""

    listens: Listens
    _config: config_pb2.Config
    _store: PoolStore
    _access: Access
    _logins: Logins
    _lookup: NginxLookup
    _routes: RouteService
    _edges: EdgeService
    _server: grpc.aio.Server
    _health: health.aio.HealthServicer
    _following: asyncio.Task[None]
    _keys: list[RotatingKeys]
    _endless: list[asyncio.Task[None]]

    @property
    def address(self) -> str:
        """The address on which everybody is served."""
        return self.listens.address

    @classmethod
    async def start(cls, config: config_pb2.Config) -> Self:
        """Open store, directory and cache, and serve; whatever fails, what was opened is closed."""
        async with contextlib.AsyncExitStack() as opened:
            store = await SqliteStore.open(Path(config.state_directory), seed(config))
            opened.push_async_callback(store.close)
            access = await Access.open(SqliteAccess(store.database), config.api)
            logins = await open_logins(config, lambda: store.current)
            opened.push_async_callback(logins.close)
            resolver, verifiers = logins.resolver, logins.verifiers
            keys = [await RotatingKeys.open(store, purpose, pace) for purpose, pace in paces(config).items()]
            sessions, votes = SessionService(), Votes()
            edges = EdgeService(store, lambda: resolver.epochs.last_invalidation, votes, verifiers.told)
            for each in keys:
                edges.tell_keys(each.purpose, each.told)
            routes = RouteService(resolver, verifiers, lambda: store.current, votes, edges.invalidate)
            lookup = _nginx_lookup(routes, store, votes)
            opened.push_async_callback(lookup.stop)
            await lookup.take(lookup.prepare(config.nginx_lookup))
            server = grpc.aio.server(interceptors=[access.guard], options=options(config.api.limits))
            audit_pb2_grpc.add_AuditServiceServicer_to_server(AuditService(access.audit), server)
            token_pb2_grpc.add_TokenServiceServicer_to_server(TokenService(access.tokens), server)
            edge_pb2_grpc.add_EdgeServiceServicer_to_server(edges, server)
            pool = PoolService(store, votes, sessions.count_of, lambda: edges.verifies)
            pool_pb2_grpc.add_PoolServiceServicer_to_server(pool, server)
            route_pb2_grpc.add_RouteServiceServicer_to_server(routes, server)
            session_pb2_grpc.add_SessionServiceServicer_to_server(sessions, server)
            servicer = await _add_health(server, reflect=config.api.reflection)
            listens = listen(server, config.api, access.files)
            opened.push_async_callback(server.stop, 0)
            await server.start()
            logins.start()
            following = asyncio.create_task(edges.follow_pool(), name="tell edges of the pool")
            endless = [
                asyncio.create_task(each.follow(edges.tell_keys), name=f"rotate {each.purpose}") for each in keys
            ]
            endless.append(asyncio.create_task(access.guard.watch_over(), name="watch over open calls"))
            opened.pop_all()
        log.info("control serves", **listens.told, pool_version=store.current.version)
        _tell_unseeded(config, store)
        if unproved := _unproved(logins.verifiers.told, store):
            log.error("nobody can log in there", reason=unproved)
        return cls(
            listens=listens,
            _config=config,
            _store=store,
            _access=access,
            _logins=logins,
            _lookup=lookup,
            _routes=routes,
            _edges=edges,
            _server=server,
            _health=servicer,
            _following=following,
            _keys=keys,
            _endless=endless,
        )

    async def prepare(self, config: config_pb2.Config) -> Prepared:
        """Open what another config asks for, without using it; raises whatever is wrong with it."""
        await asyncio.to_thread(check_files, config.api)
        proxies = self._lookup.prepare(config.nginx_lookup)
        try:
            logins = await open_logins(config, lambda: self._store.current, before=self._logins)
        except BaseException:
            proxies.close()
            raise
        prepared = Prepared(logins=logins, proxies=proxies)
        if unproved := _unproved(logins.verifiers.told, self._store):
            await prepared.close()
            raise ControlError(unproved)
        return prepared

    async def take(self, config: config_pb2.Config, prepared: Prepared) -> None:
        """Put a prepared config in force: the streams go on, routes learned under the one before are misses."""
        before, self._logins = self._logins, prepared.logins
        self._routes.use(prepared.logins.resolver, prepared.logins.verifiers)
        self._edges.use(prepared.logins.verifiers.told)
        self._access.use(config.api)
        for keys in self._keys:
            keys.use(paces(config)[keys.purpose])
        prepared.logins.start()
        if _routing(config) != _routing(self._config):
            await prepared.logins.resolver.invalidate(everything=True)
        await self._lookup.take(prepared.proxies)
        _tell_unseeded(config, self._store)
        self._config = config
        await before.close()

    async def stop(self, grace: float) -> None:
        """Take no more calls, let those under way end for so long, then close everything."""
        await self._health.enter_graceful_shutdown()
        for task in self._endless:
            task.cancel()
        await asyncio.wait(self._endless)
        self._store.end_watches()
        await self._following
        await self._server.stop(grace)
        # Only now has everything under way been written.
        await self._store.close()
        await self._lookup.stop()
        await self._logins.close()
        remove_socket(self.address)
        log.info("control has stopped")


def _nginx_lookup(routes: RouteService, store: PoolStore, votes: Votes) -> NginxLookup:
    """For proxies that are not ours; it answers by what edges are answered by."""
    places = Places(pool=lambda: store.current, votes=votes, addresses=Addresses())
    return NginxLookup(Sources(resolver=lambda: routes.resolver, verifiers=lambda: routes.verifiers, places=places))


def _unproved(verifiers: edge_pb2.Verifiers, store: PoolStore) -> str:
    """What is wrong with a pool that relies on verifiers where there are none; empty: nothing."""
    relying = relying_on_verifiers(store.current)
    if not relying or verifiers.passwords or verifiers.tokens:
        return ""
    names = ", ".join(relying[:_NAMED]) + (" and more" if len(relying) > _NAMED else "")
    return f"verify: nothing proves clients, as login_style of {names} needs; configure [verify], or change them first"


def _tell_unseeded(config: config_pb2.Config, store: PoolStore) -> None:
    """Who adds a backend to the file of a running pool waits for it in vain, unless he is told."""
    known = {backend.name.lower() for backend in store.current.backends}
    if unknown := [backend.name for backend in config.backends if backend.name.lower() not in known]:
        log.warning("the file only seeds an empty pool, these are not in it: use `zproxy pool add`", backends=unknown)


def _routing(config: config_pb2.Config) -> bytes:
    parts = (config.directory, config.names)
    return b"\0".join(part.SerializeToString(deterministic=True) for part in parts)


async def _add_health(server: grpc.aio.Server, *, reflect: bool) -> health.aio.HealthServicer:
    servicer = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    services = [
        module.DESCRIPTOR.services_by_name[name].full_name
        for module, name in (
            (audit_pb2, "AuditService"),
            (edge_pb2, "EdgeService"),
            (pool_pb2, "PoolService"),
            (route_pb2, "RouteService"),
            (session_pb2, "SessionService"),
            (token_pb2, "TokenService"),
        )
    ]
    for service in ("", *services):
        await servicer.set(service, health_pb2.HealthCheckResponse.SERVING)
    if reflect:
        reflection.enable_server_reflection([*services, health.SERVICE_NAME, reflection.SERVICE_NAME], server)
    return servicer


# Beyond a handful a list of names hides the message.
_NAMED = 8
