"""Which role each method takes, and which methods change something: the one table of it.

A method that is not in it is served to nobody.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from zcontrol.v1 import token_pb2
from zcontrol.words import word

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Role: TypeAlias = "token_pb2.AccessRole.ValueType"
EDGE = token_pb2.ACCESS_ROLE_EDGE
VIEWER = token_pb2.ACCESS_ROLE_VIEWER
OPERATOR = token_pb2.ACCESS_ROLE_OPERATOR
ADMIN = token_pb2.ACCESS_ROLE_ADMIN


class Rule(NamedTuple):
    """What a method takes: any of these roles."""

    takes: tuple[Role, ...]
    # Each call of it is in the audit log.
    changes: bool = False

    def admits(self, roles: Iterable[Role]) -> bool:
        """Whether who has these roles may call it."""
        return not having(roles).isdisjoint(self.takes)


def having(roles: Iterable[Role]) -> frozenset[Role]:
    """These roles with what they include: an admin is an operator, who is a viewer; an edge is an edge."""
    return frozenset(included for role in roles for included in _INCLUDED[role])


def named(roles: Iterable[Role]) -> str:
    """Roles for people: `viewer`, `edge or viewer`."""
    return " or ".join(word(token_pb2.AccessRole.DESCRIPTOR, role) for role in sorted(roles))


_INCLUDED: Mapping[Role, tuple[Role, ...]] = MappingProxyType(
    {
        EDGE: (EDGE,),
        VIEWER: (VIEWER,),
        OPERATOR: (VIEWER, OPERATOR),
        ADMIN: (VIEWER, OPERATOR, ADMIN),
    }
)
_SERVE = Rule((EDGE,))
_LOOK = Rule((VIEWER,))
_CHANGE = Rule((OPERATOR,), changes=True)
_GRANT = Rule((ADMIN,), changes=True)
_SERVICES = {
    "zcontrol.v1.AuditService": {"List": _LOOK},
    "zcontrol.v1.EdgeService": {"Watch": _SERVE},
    "zcontrol.v1.PoolService": {
        "Get": _LOOK,
        "ListBackends": _LOOK,
        "AddBackend": _CHANGE,
        "UpdateBackend": _CHANGE,
        "Drain": _CHANGE,
        "Undrain": _CHANGE,
        "RemoveBackend": _CHANGE,
        "SetWeight": _CHANGE,
        "AddGroup": _CHANGE,
        "RemoveGroup": _CHANGE,
        "SetDefaults": _CHANGE,
        "History": _LOOK,
        "Rollback": _CHANGE,
        "Watch": _LOOK,
    },
    "zcontrol.v1.RouteService": {"Lookup": _SERVE, "Verify": _SERVE, "Explain": _LOOK, "Invalidate": _CHANGE},
    "zcontrol.v1.SessionService": {"List": _LOOK, "Count": _LOOK, "Kick": _CHANGE, "Serve": _SERVE},
    "zcontrol.v1.TokenService": {"Create": _GRANT, "List": Rule((ADMIN,)), "Revoke": _GRANT},
    # What monitors and load balancers ask; it tells no more than that control serves.
    "grpc.health.v1.Health": {"Check": Rule((EDGE, VIEWER)), "Watch": Rule((EDGE, VIEWER))},
    "grpc.reflection.v1alpha.ServerReflection": {"ServerReflectionInfo": Rule((ADMIN,))},
}
METHODS: Mapping[str, Rule] = MappingProxyType(
    {f"/{service}/{method}": rule for service, rules in _SERVICES.items() for method, rule in rules.items()}
)
