"""How long answers are good for."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, final

from zcontrol.directory.base import Found
from zcontrol.routing.cache import Entry
from zcontrol.v1 import config_pb2, route_pb2


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """The configured times, in seconds, and the clocks they are measured by."""

    soft: float = 600.0
    hard: float = 24 * 3600.0
    negative: float = 30.0
    # For what replicas share.
    wall: Callable[[], float] = time.time
    # For what stays in this process.
    monotonic: Callable[[], float] = time.monotonic

    @classmethod
    def of(cls, config: config_pb2.Cache) -> "Times":
        """From the config, with the defaults of its fields."""
        unset = cls()
        return cls(
            soft=config.soft_ttl.ToTimedelta().total_seconds() or unset.soft,
            hard=config.hard_ttl.ToTimedelta().total_seconds() or unset.hard,
            negative=config.negative_ttl.ToTimedelta().total_seconds() or unset.negative,
        )

    def entry(self, found: Found, epoch: int) -> Entry:
        """What the directory said just now, to be kept; the soft TTL varies so that routes do not expire together."""
        now = self.wall()
        soft = self.soft * random.uniform(1 - SOFT_SPREAD, 1 + SOFT_SPREAD)  # noqa: S311 - nothing secret hangs on it
        route = route_pb2.Route(
            account=found.account,
            account_id=found.account_id,
            home=found.home,
            backend_login=found.backend_login,
            may_act_as=found.may_act_as,
            status=found.status,
            allowed_nets=found.allowed_nets,
            verify=found.verify,
        )
        route.looked_up.FromMilliseconds(int(now * 1000))
        return Entry(epoch, now, now + min(soft, self.hard), now + self.hard, route.SerializeToString())

    def ahead(self, entry: Entry, now: float) -> bool:
        """Whether the soft TTL is so near that the route is looked up again before anybody has to wait."""
        return entry.soft - now < self.soft * AHEAD


def alive(entry: Entry, now: float) -> bool:
    """Whether an entry may be served at all; one from the future would outlive its TTL after a clock was set back."""
    return now < entry.hard and entry.looked_up <= now + CLOCKS_DIFFER_SECONDS


SOFT_SPREAD: Final = 0.1
# The last tenth of the soft TTL.
AHEAD: Final = 0.1
# Replicas keep time by NTP.
CLOCKS_DIFFER_SECONDS: Final = 60
# While the directory cannot be reached, edges ask again this soon.
STALE_SECONDS: Final = 30
