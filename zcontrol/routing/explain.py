"""Explain: the way of one login, told to people a sentence a step."""

from zcontrol.errors import DirectoryError, DirectoryUnavailableError, UnusableNameError
from zcontrol.pool.rendezvous import member_of
from zcontrol.routing.cache import Entry
from zcontrol.routing.names import Qualified
from zcontrol.routing.resolver import Resolver
from zcontrol.v1 import pool_pb2, route_pb2


async def explain(
    resolver: Resolver, pool: pool_pb2.Pool, request: route_pb2.ExplainRequest
) -> route_pb2.ExplainResponse:
    """How a name was normalised, qualified, looked up, cached, and which backend it would reach and why."""
    told = route_pb2.ExplainResponse(source="none")
    steps: list[str] = []
    try:
        question = resolver.names.qualify(
            request.login.encode(), request.virtual_host, request.local_address, steps=steps
        )
    except UnusableNameError as error:
        told.failure = f"nobody's name: {error}"
        return told
    told.steps.extend(steps)
    if entry := await _entry(resolver, question, told, bypass_cache=request.bypass_cache):
        _describe(resolver, entry, told)
        if not told.failure:
            _choose(pool, request.service or "imap", told)
    return told


async def _entry(
    resolver: Resolver, question: Qualified, told: route_pb2.ExplainResponse, *, bypass_cache: bool
) -> Entry | None:
    entry = None if bypass_cache else await resolver.cached(question)
    now = resolver.times.wall()
    if entry and now < entry.soft:
        told.source = "cache"
        told.steps.append(f"in the cache, good for another {entry.soft - now:.0f} s")
        return entry
    if entry:
        told.steps.append("in the cache, but past its soft TTL")
    else:
        told.steps.append("the cache was not asked" if bypass_cache else "not in the cache")
    said = (await resolver.ask(question)).said
    match said:
        case Entry():
            told.source = "directory"
            told.steps.append("the directory knows it")
            return said
        case DirectoryUnavailableError() if entry:
            told.source = "cache"
            told.steps.append(f"served all the same, until its hard TTL, for the directory cannot be reached: {said}")
            return entry
        case DirectoryError():
            told.failure = f"the directory cannot say: {said}"
        case None:
            told.source = "directory"
            told.failure = "the directory knows nobody of that name"
    return None


def _describe(resolver: Resolver, entry: Entry, told: route_pb2.ExplainResponse) -> None:
    told.age_seconds = max(0, int(resolver.times.wall() - entry.looked_up))
    answer = resolver.answer(entry)
    route = route_pb2.Route.FromString(entry.route)
    status = route_pb2.AccountStatus.Name(route.status).removeprefix("ACCOUNT_STATUS_").lower()
    told.steps.append(f"account {route.account}, {status}, home {repr(route.home) if route.home else 'not set'}")
    if answer.HasField("fault"):
        told.route.CopyFrom(route)
        told.failure = answer.fault.reason
        return
    told.route.CopyFrom(answer.route)
    if route.status in (route_pb2.ACCOUNT_STATUS_LOCKED, route_pb2.ACCOUNT_STATUS_CLOSED):
        told.failure = f"the account is {status}: refused like a wrong password"
    elif route.status == route_pb2.ACCOUNT_STATUS_MAINTENANCE:
        told.failure = "the account is in maintenance: a temporary failure"


def _choose(pool: pool_pb2.Pool, service: str, told: route_pb2.ExplainResponse) -> None:
    """Which backend serves, as far as the pool says; health is for the edge to judge."""
    home = told.route.home
    default = {"http": pool.defaults.http, "submission": pool.defaults.submission}.get(service, pool.defaults.mail)
    if not home:
        home = default
        if not home:
            told.failure = (
                "no home of its own and no default in the pool: set either, `zproxy pool defaults` the latter"
            )
            return
        told.steps.append(f"no home of its own, by default {home!r}")
    elif service == "submission" and default and not any(_port(member, service) for member in _members(pool, home)):
        told.steps.append(f"{home!r} has no submission endpoint, so the default {default!r} takes it")
        home = default
    members = _members(pool, home)
    usable = [backend for backend in members if _serves(backend, home) and _port(backend, service)]
    if not usable:
        there = ", ".join(_lack(backend, service) for backend in members) or "the group has no member"
        told.failure = f"nothing serves {service} for {home!r}: {there}"
        return
    told.steps.append(f"served by {', '.join(map(_state, usable))}")
    backend = usable[0] if len(usable) == 1 else _member(pool, home, usable, told)
    if not backend:
        return
    told.backend = backend.name
    told.endpoint = f"{backend.host}:{_port(backend, service)}"


def _members(pool: pool_pb2.Pool, home: str) -> list[pool_pb2.Backend]:
    return [backend for backend in pool.backends if home in (backend.name, backend.group)]


def _member(
    pool: pool_pb2.Pool, home: str, members: list[pool_pb2.Backend], told: route_pb2.ExplainResponse
) -> pool_pb2.Backend | None:
    kinds = {group.name: group.kind for group in pool.groups}
    if kinds.get(home) != pool_pb2.GROUP_KIND_SHARED:
        told.steps.append("any of them may serve: the edge takes the next one that is well, by weight")
        return None
    member = member_of(told.route.account, members)
    if member:
        told.steps.append(f"the account's hash and the weights choose {member.name}, unless control calls it down")
    else:
        told.failure = "no member takes new sessions: raise a weight, or undrain one"
    return member


def _serves(backend: pool_pb2.Backend, home: str) -> bool:
    if backend.state == pool_pb2.BACKEND_STATE_DRAINING:
        return backend.name == home
    return backend.state != pool_pb2.BACKEND_STATE_MAINTENANCE


def _port(backend: pool_pb2.Backend, service: str) -> int:
    endpoint = getattr(backend.endpoints, service, None)
    return endpoint.port if isinstance(endpoint, pool_pb2.Endpoint) else 0


def _lack(backend: pool_pb2.Backend, service: str) -> str:
    return _state(backend) if _port(backend, service) else f"{backend.name} has no {service} endpoint"


def _state(backend: pool_pb2.Backend) -> str:
    state = pool_pb2.BackendState.Name(backend.state).removeprefix("BACKEND_STATE_").lower()
    return f"{backend.name} ({'active' if state == 'unspecified' else state})"
