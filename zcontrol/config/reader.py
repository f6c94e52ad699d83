"""TOML tables into protobuf messages, by reflection: the schema is the only description of the config.

Every fault is collected, none stops the reading. What values mean together is for `zcontrol.config.checks`.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import re
from collections.abc import Callable, Mapping
from typing import Any, cast

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.message import Message

from zcontrol.config.values import parse_duration, parse_size
from zcontrol.fault import Fault, shown
from zcontrol.words import words


def read_message(table: Mapping[str, Any], message: Message, environ: Mapping[str, str]) -> list[Fault]:
    """Fill a message from a parsed TOML table and return every fault found on the way."""
    reader = _Reader(environ=environ, top=frozenset(message.DESCRIPTOR.fields_by_name))
    reader.table(table, message, "")
    return reader.faults


class _NotUsableError(Exception):
    """A value that does not fit its field; the text is the mend."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Reader:
    environ: Mapping[str, str]
    # The keys of the top level.
    top: frozenset[str]
    faults: list[Fault] = dataclasses.field(default_factory=list)

    def table(self, table: Mapping[str, Any], message: Message, path: str) -> None:
        fields = cast("Mapping[str, FieldDescriptor]", message.DESCRIPTOR.fields_by_name)
        for key, value in table.items():
            here = _join(path, key)
            if key in fields:
                self.field(fields[key], value, message, here)
            else:
                self.faults.append(Fault(path=here, problem=self.unknown(key, list(fields), path)))
        for oneof in message.DESCRIPTOR.oneofs:
            both = [field.name for field in oneof.fields if field.name in table]
            if len(both) > 1:
                self.faults.append(Fault(path=path, problem=f"{' and '.join(both)} are both set; keep one"))

    def unknown(self, key: str, known: list[str], table: str) -> str:
        if table and key in self.top:
            # TOML goes on with a table until the next one.
            return f"no such key in [{table}]; `{key}` is a key of the top level, move it above the first [table]"
        return _unknown(key, known)

    def field(self, field: FieldDescriptor, value: object, message: Message, path: str) -> None:
        if _is_map(field):
            self.map(field, value, message, path)
        elif field.is_repeated:
            self.list(field, value, message, path)
        elif _is_table(field):
            if isinstance(value, Mapping):
                target = getattr(message, field.name)
                target.SetInParent()
                self.table(value, target, path)
            else:
                self.wrong(path, value, f"write a table, [{path}]")
        else:
            self.scalar(field, value, path, lambda parsed: _assign(message, field, parsed))

    def map(self, field: FieldDescriptor, value: object, message: Message, path: str) -> None:
        if not isinstance(value, Mapping):
            self.wrong(path, value, f"write a table, [{path}]")
            return
        target = getattr(message, field.name)
        of = cast("Descriptor", field.message_type).fields_by_name["value"]
        for key, entry in value.items():
            self.scalar(of, entry, _join(path, key), functools.partial(target.__setitem__, key))

    def list(self, field: FieldDescriptor, value: object, message: Message, path: str) -> None:
        target = getattr(message, field.name)
        if not isinstance(value, list):
            self.wrong(path, value, f"write [[{path}]]" if _is_table(field) else "write a list, [ … ]")
            return
        for index, entry in enumerate(value):
            here = f"{path}[{index}]"
            if not _is_table(field):
                self.scalar(field, entry, here, target.append)
            elif isinstance(entry, Mapping):
                self.table(entry, target.add(), here)
            else:
                # The place is kept, so that later faults name the right index.
                target.add()
                self.wrong(here, entry, f"write [[{path}]]")

    def scalar(self, field: FieldDescriptor, value: object, path: str, keep: Callable[[Any], object]) -> None:
        secret = field.GetOptions().debug_redact
        try:
            keep(self.secret(value) if secret else _parse(field, value))
        except _NotUsableError as why:
            self.faults.append(Fault(path=path, problem=str(why), found=None if secret else shown(value)))

    def secret(self, value: object) -> str:
        if not isinstance(value, str):
            raise _NotUsableError('write a string in quotes, or "${NAME}" to take it from the environment')
        variable = _VARIABLE.fullmatch(value)
        if variable is None:
            if "${" in value:
                raise _NotUsableError('holds "${" but is not one whole "${NAME}" of letters, digits and _; write that')
            return value
        if not self.environ.get(variable[1]):
            raise _NotUsableError(f"the environment variable {variable[1]} is not set; set it before starting zproxy")
        return self.environ[variable[1]]

    def wrong(self, path: str, value: object, mend: str) -> None:
        # A table or list may hold secrets.
        found = None if isinstance(value, Mapping | list) else shown(value)
        self.faults.append(Fault(path=path, problem=f"{_kind(value)}; {mend}", found=found))


def _parse(field: FieldDescriptor, value: object) -> object:
    if field.message_type is not None:
        return _text(value, 'write a duration in quotes, e.g. "30s"', parse_duration)
    if field.enum_type is not None:
        return _enum(field.enum_type, value)
    if field.type == FieldDescriptor.TYPE_BOOL:
        if not isinstance(value, bool):
            raise _NotUsableError(f"{_kind(value)}; write true or false")
        return value
    if field.type == FieldDescriptor.TYPE_STRING:
        return _string(value)
    if field.type == FieldDescriptor.TYPE_UINT64 and isinstance(value, str):
        value = _text(value, "", parse_size)
    return _number(value, _LARGEST[field.type])


def _text(value: object, mend: str, parse: Callable[[str], object]) -> object:
    if not isinstance(value, str):
        raise _NotUsableError(f"{_kind(value)}; {mend}")
    try:
        return parse(value)
    except ValueError as why:
        raise _NotUsableError(str(why)) from None


def _string(value: object) -> str:
    if not isinstance(value, str):
        raise _NotUsableError(f"{_kind(value)}; write a string in quotes")
    if _VARIABLE.fullmatch(value):
        raise _NotUsableError("environment variables fill secrets only; write the value itself")
    if any(ord(character) < _SPACE for character in value):
        raise _NotUsableError("control characters; leave them out")
    return value


def _number(value: object, largest: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise _NotUsableError(f"{_kind(value)}; write a whole number")
    if not 0 <= value <= largest:
        raise _NotUsableError(f"out of range; write a number from 0 to {largest}")
    return value


def _enum(enum: EnumDescriptor, value: object) -> int:
    names = words(enum)
    choices = ", ".join(f'"{name}"' for name in names)
    if not isinstance(value, str):
        raise _NotUsableError(f"{_kind(value)}; write one of {choices}")
    if value not in names:
        raise _NotUsableError(f"not one of {choices}")
    return names[value]


def _assign(message: Message, field: FieldDescriptor, value: object) -> None:
    if isinstance(value, Message):
        getattr(message, field.name).CopyFrom(value)
    else:
        setattr(message, field.name, value)


def _join(path: str, key: str) -> str:
    key = key if _BARE.fullmatch(key) else shown(key)
    return f"{path}.{key}" if path else key


def _unknown(key: str, known: list[str]) -> str:
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    return f"no such key; did you mean `{near[0]}`?" if near else f"no such key; known here: {', '.join(sorted(known))}"


def _kind(value: object) -> str:
    kinds = {bool: "a boolean", int: "a number", float: "a number with a point", str: "a string", list: "a list"}
    return kinds.get(type(value), "a table" if isinstance(value, Mapping) else "a date or time")


def _is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def _is_table(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.full_name != "google.protobuf.Duration"


_BARE = re.compile(r"[A-Za-z0-9_-]+")
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_SPACE = 0x20
_LARGEST = {FieldDescriptor.TYPE_UINT32: 2**32 - 1, FieldDescriptor.TYPE_UINT64: 2**64 - 1}
