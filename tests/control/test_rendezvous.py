from __future__ import annotations

from pathlib import Path

import pytest

from zcontrol.pool.rendezvous import member_of
from zcontrol.v1 import pool_pb2

ROWS = [
    line.split(",")
    for line in (Path(__file__).parent.parent / "data" / "rendezvous.csv").read_text().splitlines()
    if not line.startswith("#")
]


@pytest.mark.parametrize(("account", "first", "second", "third", "chosen"), ROWS)
def test_control_and_edge_choose_the_same_member(
    account: str, first: str, second: str, third: str, chosen: str
) -> None:
    weights = {"store-0": first, "Store-1": second, "store-2": third}
    members = [pool_pb2.Backend(name=name, weight=int(weight)) for name, weight in weights.items()]
    member = member_of(account, members)
    assert member is not None
    assert member.name == chosen


def test_a_standby_serves_only_when_no_active_member_does() -> None:
    standby = pool_pb2.Backend(name="spare", state=pool_pb2.BACKEND_STATE_STANDBY)
    active = pool_pb2.Backend(name="store-0")
    assert member_of("siti@tgg.net.id", [standby, active]) == active
    assert member_of("siti@tgg.net.id", [standby]) == standby
    assert member_of("siti@tgg.net.id", []) is None
