"""What a change of the pool changed, in words for history: `host 10.0.0.1 to 10.0.0.9, imap.tls off to implicit`."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar, cast

from zcontrol.pool.explicit import explicit
from zcontrol.pool.rules import SERVICES
from zcontrol.v1 import pool_pb2
from zcontrol.words import word

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from google.protobuf.descriptor import FieldDescriptor
    from google.protobuf.message import Message

# What is different, by the name of the backend or group, or `defaults`.
Differences = dict[str, list[str]]


def differences(before: pool_pb2.Pool, after: pool_pb2.Pool) -> Differences:
    """Everything that differs between two pools but the version; empty: they mean the same."""
    backends = _by_name(map(explicit, before.backends), map(explicit, after.backends), _of_backend)
    found = backends | _by_name(before.groups, after.groups, _of_fields)
    if defaults := list(_of_fields(before.defaults, after.defaults)):
        found["defaults"] = defaults
    return found


def described(action: str, found: Differences) -> str:
    """An action with what it changed, cut to what history has room for."""
    each = [", ".join(changes) for changes in found.values()]
    if len(each) > 1:
        each = [f"{name} {changes}" for name, changes in zip(found, each, strict=True)]
    told = f"{action}: {'; '.join(each)}"
    return told if len(told) <= LONGEST_ACTION else f"{told[: LONGEST_ACTION - 1]}…"


def _by_name(
    before: Iterable[_Named], after: Iterable[_Named], compare: Callable[[_Named, _Named], Iterator[str]]
) -> Differences:
    old = {entry.name: entry for entry in before}
    found: Differences = {}
    for entry in after:
        if entry.name not in old:
            found[entry.name] = ["added"]
        elif changes := list(compare(old.pop(entry.name), entry)):
            found[entry.name] = changes
    return found | {name: ["removed"] for name in old}


def _of_backend(before: pool_pb2.Backend, after: pool_pb2.Backend) -> Iterator[str]:
    yield from _of_fields(before, after)
    there_before, there_after = (
        {field.name: endpoint for field, endpoint in backend.endpoints.ListFields()} for backend in (before, after)
    )
    for service in SERVICES:
        old, new = there_before.get(service), there_after.get(service)
        if old and new:
            yield from (f"{service}.{change}" for change in _of_fields(old, new))
        elif old or new:
            yield f"{service} {old.port if old else NOTHING} to {new.port if new else NOTHING}"


def _of_fields(before: Message, after: Message) -> Iterator[str]:
    """The fields that hold no message."""
    for field in cast("Iterable[FieldDescriptor]", before.DESCRIPTOR.fields):
        old, new = getattr(before, field.name), getattr(after, field.name)
        if field.message_type is None and old != new:
            yield f"{field.name} {_shown(field, old)} to {_shown(field, new)}"


def _shown(field: FieldDescriptor, value: object) -> str:
    text = word(field.enum_type, int(str(value))) if field.enum_type else str(value)
    return text or NOTHING


_Named = TypeVar("_Named", pool_pb2.Backend, pool_pb2.Group)
NOTHING = "none"
# A few lines of a terminal; the whole of it is in the versions themselves.
LONGEST_ACTION = 256
