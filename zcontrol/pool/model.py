"""Changes of the pool as pure functions: a pool and a wish in, the next pool out, or an error that says why not.

Names are compared without case and kept as the pool spells them. Versions are the store's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from zcontrol.errors import ZproxyError
from zcontrol.fault import Fault, shown
from zcontrol.pool.rules import DEFAULTS, LARGEST_WEIGHT, check_backend, check_defaults, check_group
from zcontrol.v1 import pool_pb2

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence


class PoolError(ZproxyError):
    """A change of the pool that was not made; the text says why and what to do."""


class PoolConflictError(PoolError):
    """The pool has moved on since the caller read it."""


class PoolInvalidError(PoolError):
    """The change itself is faulty; the text lists every fault."""


class PoolNameTakenError(PoolError):
    """A backend or group of that name exists."""


class PoolNotFoundError(PoolError):
    """There is no such backend, group or version."""


class PoolStrandedError(PoolError):
    """The change would leave a group or a default without anyone to serve it."""


def add_backend(pool: pool_pb2.Pool, backend: pool_pb2.Backend, *, verifies: bool = False) -> pool_pb2.Pool:
    """The pool with one more backend; `verifies` says whether control can prove a client."""
    _refuse_taken(pool, backend.name)
    after = _copy(pool)
    after.backends.append(_checked(pool, backend, verifies=verifies))
    return after


def update_backend(pool: pool_pb2.Pool, backend: pool_pb2.Backend, *, verifies: bool = False) -> pool_pb2.Pool:
    """The pool with the backend of that name replaced whole; `maintenance` may strand, it says so in so many words."""
    after = _copy(pool)
    target = find_backend(after, backend.name)
    name = target.name
    target.CopyFrom(_checked(pool, backend, verifies=verifies))
    target.name = name
    if backend.state != pool_pb2.BACKEND_STATE_MAINTENANCE:
        _refuse_stranded(pool, after)
    return after


def drain(pool: pool_pb2.Pool, name: str) -> pool_pb2.Pool:
    """The pool in which balancing sends the backend no one new."""
    return _with_state(pool, name, pool_pb2.BACKEND_STATE_DRAINING)


def undrain(pool: pool_pb2.Pool, name: str) -> pool_pb2.Pool:
    """The pool in which the backend takes new users again, whatever it was out for."""
    return _with_state(pool, name, pool_pb2.BACKEND_STATE_ACTIVE)


def remove_backend(pool: pool_pb2.Pool, name: str) -> pool_pb2.Pool:
    """The pool without a backend."""
    after = _copy(pool)
    target = find_backend(after, name)
    _refuse_default(pool, target.name)
    after.backends.remove(target)
    _refuse_stranded(pool, after)
    return after


def set_weight(pool: pool_pb2.Pool, name: str, weight: int) -> pool_pb2.Pool:
    """The pool in which the backend has another share of its group."""
    if weight > LARGEST_WEIGHT:
        raise PoolInvalidError(f"weight = {weight}: too large; write 0 to {LARGEST_WEIGHT}")
    after = _copy(pool)
    find_backend(after, name).weight = weight
    _refuse_stranded(pool, after)
    return after


def add_group(pool: pool_pb2.Pool, group: pool_pb2.Group) -> pool_pb2.Pool:
    """The pool with one more group, without members yet."""
    _refuse_taken(pool, group.name)
    _refuse_faults(check_group(group))
    after = _copy(pool)
    after.groups.append(group)
    return after


def remove_group(pool: pool_pb2.Pool, name: str) -> pool_pb2.Pool:
    """The pool without a group that has no members left."""
    after = _copy(pool)
    target = _find(after.groups, name, "group")
    members = [backend.name for backend in pool.backends if backend.group == target.name]
    if members:
        raise PoolStrandedError(
            f"group {target.name} still has {_listed(members)}; remove them or give them another group first"
        )
    _refuse_default(pool, target.name)
    after.groups.remove(target)
    return after


def set_defaults(pool: pool_pb2.Pool, defaults: pool_pb2.Defaults) -> pool_pb2.Pool:
    """The pool in which users without a home of their own go elsewhere."""
    names = [backend.name for backend in pool.backends] + [group.name for group in pool.groups]
    _refuse_faults(check_defaults(defaults, names))
    after = _copy(pool)
    after.defaults.CopyFrom(defaults)
    return canonical(after)


def find_backend(pool: pool_pb2.Pool, name: str) -> pool_pb2.Backend:
    """The backend of that name, without case; PoolNotFoundError lists what there is."""
    return _find(pool.backends, name, "backend")


def canonical(pool: pool_pb2.Pool) -> pool_pb2.Pool:
    """The pool with every reference to a backend or group spelled as that one's own name."""
    names = [backend.name for backend in pool.backends] + [group.name for group in pool.groups]
    spelled = {name.lower(): name for name in names}
    for backend in pool.backends:
        backend.group = spelled.get(backend.group.lower(), backend.group)
    for service in DEFAULTS:
        name = getattr(pool.defaults, service)
        if name:
            setattr(pool.defaults, service, spelled.get(name.lower(), name))
    return pool


def _copy(pool: pool_pb2.Pool) -> pool_pb2.Pool:
    after = pool_pb2.Pool()
    after.CopyFrom(pool)
    return after


def _checked(pool: pool_pb2.Pool, backend: pool_pb2.Backend, *, verifies: bool = False) -> pool_pb2.Backend:
    groups = {group.name.lower(): group.name for group in pool.groups}
    _refuse_faults(check_backend(backend, set(groups), verifies=verifies))
    checked = pool_pb2.Backend()
    checked.CopyFrom(backend)
    checked.group = groups.get(backend.group.lower(), "")
    return checked


def _with_state(pool: pool_pb2.Pool, name: str, state: pool_pb2.BackendState.ValueType) -> pool_pb2.Pool:
    after = _copy(pool)
    find_backend(after, name).state = state
    _refuse_stranded(pool, after)
    return after


def _find(entries: Iterable[_Entry], name: str, kind: str) -> _Entry:
    names = []
    for entry in entries:
        if entry.name.lower() == name.lower():
            return entry
        names.append(entry.name)
    there = f"there are {_listed(names)}" if names else f"there is no {kind} at all"
    raise PoolNotFoundError(f"no {kind} {shown(name)}; {there}")


def _refuse_taken(pool: pool_pb2.Pool, name: str) -> None:
    taken = {backend.name.lower(): "backend" for backend in pool.backends}
    taken |= {group.name.lower(): "group" for group in pool.groups}
    if kind := taken.get(name.lower()):
        raise PoolNameTakenError(f"{name} is a {kind} already; take another name, or update that one")


def _refuse_faults(faults: Iterator[Fault]) -> None:
    told = [str(fault) for fault in faults]
    if told:
        raise PoolInvalidError("; ".join(told))


def _refuse_default(pool: pool_pb2.Pool, name: str) -> None:
    services = [service for service in DEFAULTS if getattr(pool.defaults, service) == name]
    if services:
        raise PoolStrandedError(f"{name} is the default for {_listed(services)}; set another default first")


def _refuse_stranded(before: pool_pb2.Pool, after: pool_pb2.Pool) -> None:
    stranded = _served(before) - _served(after)
    if stranded:
        raise PoolStrandedError(
            f"nobody would be left to serve {_listed(sorted(stranded))}; add or undrain another server first, "
            "or set this one to maintenance if its users shall be refused"
        )


def _served(pool: pool_pb2.Pool) -> set[str]:
    """The groups and defaults for which some backend takes new users."""
    open_ = [backend for backend in pool.backends if backend.state in _TAKING and _weight(backend) > 0]
    names = {backend.name for backend in open_} | {backend.group for backend in open_ if backend.group}
    defaults = {f"defaults.{service}" for service in DEFAULTS if getattr(pool.defaults, service) in names}
    return defaults | {f"group {group.name}" for group in pool.groups if group.name in names}


def _weight(backend: pool_pb2.Backend) -> int:
    return backend.weight if backend.HasField("weight") else _USUAL_WEIGHT


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


_Entry = TypeVar("_Entry", pool_pb2.Backend, pool_pb2.Group)
# Beyond a handful a list of names hides the message.
_NAMED = 8
_USUAL_WEIGHT = 100
_TAKING = (
    pool_pb2.BACKEND_STATE_UNSPECIFIED,
    pool_pb2.BACKEND_STATE_ACTIVE,
    pool_pb2.BACKEND_STATE_STANDBY,
)
