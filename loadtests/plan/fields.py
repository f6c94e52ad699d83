"""TOML tables into frozen dataclasses: what is missing keeps its default, what nobody knows is told with its place."""

from __future__ import annotations

import dataclasses
import difflib
import typing
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping

T = TypeVar("T")
Span = tuple[float, float]
"""From least to most; in TOML `[5, 30]`."""


class PlanError(Exception):
    """A profile or target that cannot be used; the text says where and how to mend it."""


def read(kind: type[T], table: object, where: str) -> T:
    """Make a `kind` of a table that stands at `where`."""
    if not isinstance(table, dict):
        raise PlanError(f"{where}: write a table, [{where}]")
    fields = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type] # a dataclass each
    hints = typing.get_type_hints(kind)
    for key in table:
        if key not in fields:
            raise PlanError(f"{where}.{key}: {unknown(key, fields)}")
    for name, field in fields.items():
        required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if required and name not in table:
            raise PlanError(f"{where}.{name} is missing")
    return kind(**{key: _value(hints[key], value, f"{where}.{key}") for key, value in table.items()})


def unknown(key: str, known: Mapping[str, Any]) -> str:
    """Say that nobody knows a key, and which may be meant."""
    near = difflib.get_close_matches(key, known, n=1)
    return f"no such key; {f'do you mean {near[0]}?' if near else 'known: ' + ', '.join(known)}"


def _value(hint: Any, value: object, where: str) -> Any:  # noqa: ANN401 - the type is in the hint
    if hint is float and _is_number(value):
        return float(typing.cast("float", value))
    if hint == Span:
        if isinstance(value, list) and len(value) == 2 and all(map(_is_number, value)) and 0 <= value[0] <= value[1]:  # noqa: PLR2004 - least and most
            return (float(value[0]), float(value[1]))
        raise PlanError(f"{where}: {value!r}; write least and most, [5, 30]")
    if dataclasses.is_dataclass(hint):
        return read(typing.cast("type[Any]", hint), value, where)
    kind = typing.get_origin(hint) or hint
    if kind is tuple and isinstance(value, list) and all(isinstance(entry, str) for entry in value):
        return tuple(value)
    if isinstance(value, kind) and not (kind is int and isinstance(value, bool)):
        return value
    raise PlanError(f"{where}: {value!r}; write {WRITTEN.get(kind, kind.__name__)}")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0


WRITTEN = {
    str: 'a string, "…"',
    int: "a whole number",
    float: "a number, 0 or more",
    tuple: 'a list of strings, ["…"]',
    dict: "a table",
    bool: "true or false",
}
