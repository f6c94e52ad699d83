"""Answers to edges, made from what is cached or was just learned."""

from typing import final

from zcontrol import metrics
from zcontrol.routing.cache import Entry
from zcontrol.routing.homes import Homes
from zcontrol.routing.times import STALE_SECONDS
from zcontrol.v1 import route_pb2


@final
class Answers:
    """Writes answers, with homes as the pool spells them."""

    def __init__(self, homes: Homes) -> None:
        self._homes = homes

    def route(self, place: int, entry: Entry, epoch: int, now: float) -> route_pb2.Answer:
        """The route of an entry; a fault if the pool does not know its home. An empty home is left to the edge."""
        answer = route_pb2.Answer(question=place, epoch=epoch)
        route = answer.route
        route.MergeFromString(entry.route)
        if route.home:
            home = self._homes.match(route.home)
            if home is None:
                metrics.UNKNOWN_HOME.inc()
                return fault(place, f"unknown home {route.home!r}: no backend, group or host of that name", epoch)
            route.home = home
        route.soft_ttl_seconds = max(1, int(entry.soft - now))
        route.hard_ttl_seconds = max(1, int(entry.hard - now))
        return answer

    def stale(self, place: int, entry: Entry, epoch: int, now: float) -> route_pb2.Answer:
        """A route past its soft TTL, served because the directory cannot be reached."""
        answer = self.route(place, entry, epoch, now)
        if answer.HasField("route"):
            metrics.STALE_SERVED.inc()
            answer.route.soft_ttl_seconds = min(STALE_SECONDS, answer.route.hard_ttl_seconds)
        return answer


def none(place: int, seconds: float, epoch: int) -> route_pb2.Answer:
    """Nobody of that name."""
    return route_pb2.Answer(question=place, epoch=epoch, none=route_pb2.NoRoute(ttl_seconds=max(1, int(seconds))))


def fault(place: int, reason: str, epoch: int) -> route_pb2.Answer:
    """The directory could not say."""
    return route_pb2.Answer(question=place, epoch=epoch, fault=route_pb2.Fault(reason=reason))
