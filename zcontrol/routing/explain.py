"""Explain: the way of one login, told to people a sentence a step."""

from zcontrol.errors import DirectoryError, DirectoryUnavailableError, UnqualifiedNameError, UnusableNameError
from zcontrol.pool.rules import WEB_SERVICES
from zcontrol.pool.votes import Votes
from zcontrol.routing.cache import Entry
from zcontrol.routing.choose import choose
from zcontrol.routing.names import Qualified
from zcontrol.routing.resolver import Resolver
from zcontrol.v1 import pool_pb2, route_pb2


async def explain(
    resolver: Resolver, pool: pool_pb2.Pool, votes: Votes, request: route_pb2.ExplainRequest
) -> route_pb2.ExplainResponse:
    """How a name was normalised, qualified, looked up, cached, and which backend it would reach and why."""
    told = route_pb2.ExplainResponse(source="none")
    steps: list[str] = []
    try:
        question = resolver.names.qualify(
            request.login.encode(), request.virtual_host, request.local_address, steps=steps
        )
    except UnusableNameError as error:
        told.failure = f"nobody's name: {error}{_hint(error, request)}"
        return told
    finally:
        told.steps.extend(steps)
    if entry := await _entry(resolver, question, told, bypass_cache=request.bypass_cache):
        _describe(resolver, entry, told)
        service = request.service or "imap"
        # Requests prove nothing to us: those of such an account go where everybody's do.
        if told.route.verify and service not in WEB_SERVICES:
            told.steps.append("each login is verified first, and the verdict says which backend it goes to")
        elif not told.failure:
            choose(pool, votes, service, told)
    return told


def _hint(error: UnusableNameError, request: route_pb2.ExplainRequest) -> str:
    """Clients ask for a host name that may qualify what they type; who explains may have forgotten it."""
    if not isinstance(error, UnqualifiedNameError):
        return ""
    if request.virtual_host:
        return f"; {request.virtual_host!r} is none of names.virtual_hosts"
    return "; --virtual-host says which host name the client asks for"


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
    learned = await resolver.ask(question)
    if learned.found and learned.found.no_bind:
        told.steps.append(f"an LDAP bind would not prove it: {learned.found.no_bind}")
    said = learned.said
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
