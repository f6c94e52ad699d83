"""Which member of a shared group an account lives on: the rule of the edge, `score` in core/proxy/src/pool/balance.rs.

Both must come to the same member; tests/data/rendezvous.csv holds them to it.
"""

from __future__ import annotations

import math
from typing import Final

from zcontrol.v1 import pool_pb2

DEFAULT_WEIGHT: Final = 100


def member_of(account: str, members: list[pool_pb2.Backend]) -> pool_pb2.Backend | None:
    """The member that serves an account while nobody is called down; none: no member takes new sessions."""
    for state in (pool_pb2.BACKEND_STATE_ACTIVE, pool_pb2.BACKEND_STATE_STANDBY):
        taking = [member for member in members if _state(member) == state and weight(member)]
        if taking:
            return max(taking, key=lambda member: score(account, member.name, weight(member)))
    return None


def weight(member: pool_pb2.Backend) -> int:
    """A member's share; unset is 100."""
    return member.weight if member.HasField("weight") else DEFAULT_WEIGHT


def score(account: str, name: str, share: int) -> float:
    """Weighted rendezvous: FNV-1a of account, NUL and name, splitmix64's finish, weight / -ln of it as a fraction."""
    mask = (1 << 64) - 1
    key = 0xCBF2_9CE4_8422_2325
    for octet in (*account.encode(), 0, *name.encode().lower()):
        key = (key ^ octet) * 0x0100_0000_01B3 & mask
    key = (key ^ key >> 30) * 0xBF58_476D_1CE4_E5B9 & mask
    key = (key ^ key >> 27) * 0x94D0_49BB_1331_11EB & mask
    key ^= key >> 31
    return share / -math.log(((key >> 11) + 0.5) / (1 << 53))


def _state(member: pool_pb2.Backend) -> pool_pb2.BackendState.ValueType:
    return member.state or pool_pb2.BACKEND_STATE_ACTIVE
