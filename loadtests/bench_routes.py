"""How many look-ups a second one core of the control plane answers: shared cache hits, and LDAP misses.

Starts its own servers on loopback, asks in batches as an edge does, and prints processor time of this process for each
look-up: what memcached and slapd use is theirs. Best of several rounds, with their spread.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final

import uvloop
from prometheus_client import REGISTRY

# The suite's servers.
sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from servers.memcached import Memcached
from servers.slapd import BASE, Slapd, person
from zcontrol.routing.open import open_resolver
from zcontrol.v1 import config_pb2, pool_pb2, route_pb2

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from zcontrol.routing.resolver import Resolver

ACCOUNTS: Final = 20_000
BATCH: Final = 64
ROUNDS: Final = 7
# What an edge keeps in flight on its stream.
IN_FLIGHT: Final = 4


def main() -> None:
    """Start servers, measure, print."""
    with ExitStack() as stack:
        memcached = [stack.enter_context(Memcached()) for _ in range(3)]
        slapd = Slapd(Path(stack.enter_context(tempfile.TemporaryDirectory())) / "slapd")
        stack.callback(slapd.stop)
        slapd.load([person(f"u{n}", mail=_name(n), mailHost="mbox-1") for n in range(ACCOUNTS)])
        slapd.start()
        uvloop.run(_measure(slapd.url, [server.address for server in memcached]))


async def _measure(ldap: str, memcached: Sequence[str]) -> None:
    names = [_name(n) for n in range(ACCOUNTS)]
    directory = config_pb2.Directory(ldap=config_pb2.LdapDirectory(urls=[ldap], base=BASE))
    cache = config_pb2.Cache(memcached=memcached, seal_key="bench " * 8)
    resolver = _open(directory, cache)
    # Names nobody has asked for yet: each is a miss, and is stored for the rounds of hits.
    share = ACCOUNTS // ROUNDS
    misses = [await _round(resolver, names[n * share : (n + 1) * share]) for n in range(ROUNDS)]
    _print("LDAP misses", misses)
    await _round(resolver, names)
    before = _hits()
    hits = [await _round(resolver, names) for _ in range(ROUNDS)]
    _print("hits in 3 memcached", hits)
    print(f"{(_hits() - before) / len(names) / ROUNDS:.1%} of the hits were hits")  # noqa: T201 - the bench's output
    await resolver.close()


def _open(directory: config_pb2.Directory, cache: config_pb2.Cache) -> Resolver:
    pool = pool_pb2.Pool(version=1, backends=[pool_pb2.Backend(name="mbox-1", host="mbox1.example")])
    return open_resolver(config_pb2.Config(directory=directory, cache=cache), lambda: pool)


async def _round(resolver: Resolver, names: Sequence[str]) -> float:
    """Ask for every name once, over the wire format; the processor time of one look-up in seconds."""
    batches = [
        route_pb2.LookupBatch(
            id=at, questions=[route_pb2.Question(login=name.encode()) for name in names[at : at + BATCH]]
        ).SerializeToString()
        for at in range(0, len(names), BATCH)
    ]
    left = iter(batches)
    begun = time.process_time()
    await asyncio.gather(*(_answer(resolver, left) for _ in range(IN_FLIGHT)))
    return (time.process_time() - begun) / len(names)


async def _answer(resolver: Resolver, left: Iterator[bytes]) -> None:
    for octets in left:
        batch = route_pb2.LookupBatch.FromString(octets)
        async for answers in resolver.resolve_in_parts(batch.questions):
            reply = route_pb2.LookupReply(id=batch.id, answers=answers).SerializeToString()
            del reply


def _hits() -> float:
    return REGISTRY.get_sample_value("zproxy_route_cache_total", {"result": "hit"}) or 0.0


def _name(number: int) -> str:
    return f"user{number}@tgg.net.id"


def _print(what: str, seconds: Sequence[float]) -> None:
    best, spread = min(seconds), statistics.pstdev(seconds) / statistics.mean(seconds)
    print(  # noqa: T201 - the bench's output
        f"{what:22} {1 / best:9.0f} look-ups/s a core  {best * 1e6:6.1f} µs each  ± {spread:.0%}, {len(seconds)} rounds"
    )


if __name__ == "__main__":
    main()
