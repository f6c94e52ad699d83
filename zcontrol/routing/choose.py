"""Which backend a route would reach, as the pool and the edges' votes have it, told a sentence a step."""

from collections.abc import Sequence
from typing import Final

from zcontrol.pool.rendezvous import member_of
from zcontrol.pool.rules import WEB_SERVICES
from zcontrol.pool.votes import Votes
from zcontrol.v1 import pool_pb2, route_pb2
from zcontrol.words import word


def choose(
    pool: pool_pb2.Pool, votes: Votes, service: str, told: route_pb2.ExplainResponse
) -> Sequence[pool_pb2.Backend]:
    """Tell which backend serves the account of `told`, or why none does; those that an edge would try, by weight."""
    home = _home(pool, service, told)
    if not home:
        return ()
    members = _members(pool, home)
    usable = [backend for backend in members if _serves(backend, home) and _port(backend, service)]
    if not usable:
        there = ", ".join(_lack(backend, service) for backend in members) or "the group has no member"
        told.failure = f"nothing serves {service} for {home!r}: {there}"
        return ()
    told.steps.append(f"served by {', '.join(map(_state, usable))}")
    down = _called_down(pool, votes, service, usable, told)
    backend = usable[0] if len(usable) == 1 else _member(pool, votes, (home, service), usable, told)
    if told.failure:
        return ()
    # An edge that calls an endpoint down does not try it; where none is left to try, the login ends there.
    tried = [backend] if backend else usable
    well = [member for member in tried if member.name not in down]
    if not well:
        named = ", ".join(f"{member.name}'s {service} down ({down[member.name]})" for member in tried)
        told.failure = f"every edge calls {named}: a temporary failure"
    elif backend:
        told.backend = backend.name
        told.endpoint = f"{backend.host}:{_port(backend, service)}"
        style = told.route.login_style or getattr(backend.endpoints, service).login_style
        if style not in (pool_pb2.LOGIN_STYLE_UNSPECIFIED, pool_pb2.LOGIN_STYLE_REPLAY):
            told.steps.append(f"clients are logged in there by {word(pool_pb2.LoginStyle.DESCRIPTOR, style)}")
    return well


def _home(pool: pool_pb2.Pool, service: str, told: route_pb2.ExplainResponse) -> str:
    """The account's own home, or what the pool puts in its place; empty: nothing, and the failure is told."""
    home = told.route.home
    defaults = {"smtp": pool.defaults.mx, "submission": pool.defaults.submission}
    defaults |= dict.fromkeys(WEB_SERVICES, pool.defaults.http)
    default = defaults.get(service, pool.defaults.mail)
    if not home:
        if default:
            told.steps.append(f"no home of its own, by default {default!r}")
        else:
            told.failure = (
                "no home of its own and no default in the pool: set either, `zproxy pool defaults` the latter"
            )
        return default
    if service in LEAVING and default and not any(_port(member, service) for member in _members(pool, home)):
        told.steps.append(f"{home!r} has no {service} endpoint, so the default {default!r} takes it")
        return default
    return home


def _called_down(
    pool: pool_pb2.Pool,
    votes: Votes,
    service: str,
    usable: Sequence[pool_pb2.Backend],
    told: route_pb2.ExplainResponse,
) -> dict[str, str]:
    """Tell what edges say of each; those that every edge calls down, and why."""
    names = {backend.name for backend in usable}
    down = [each for each in votes.endpoints_down(pool) if each.service == service and each.backend in names]
    told.steps.extend(
        f"{each.edges} of {each.of} edges call {each.backend}'s {service} down: {each.reason}" for each in down
    )
    if not votes.edges:
        told.steps.append("no edge has told how its servers are")
    return {each.backend: each.reason for each in down if each.edges == each.of}


def _members(pool: pool_pb2.Pool, home: str) -> list[pool_pb2.Backend]:
    return [backend for backend in pool.backends if home in (backend.name, backend.group)]


def _member(
    pool: pool_pb2.Pool,
    votes: Votes,
    at: tuple[str, str],
    members: Sequence[pool_pb2.Backend],
    told: route_pb2.ExplainResponse,
) -> pool_pb2.Backend | None:
    home, service = at
    kinds = {group.name: group.kind for group in pool.groups}
    if kinds.get(home) != pool_pb2.GROUP_KIND_SHARED:
        taken = "keeps the account at one" if service in WEB_SERVICES else "takes the next one"
        told.steps.append(f"any of them may serve: the edge {taken} that is well, by weight")
        return None
    lost = votes.members_down(pool) & {member.name for member in members}
    member = member_of(told.route.account, [member for member in members if member.name not in lost])
    if not member:
        told.failure = "no member takes new sessions: raise a weight, or undrain one"
        return None
    without = f", without {', '.join(sorted(lost))} which most edges call down," if lost else ""
    told.steps.append(f"the account's hash and the weights{without} choose {member.name}")
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


# Services whose users may be served elsewhere than at their homes.
LEAVING: Final = ("smtp", "submission", *WEB_SERVICES)
