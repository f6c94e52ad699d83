"""Enum values as people write them: lower-case, without the prefix, in config, command line and output alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from google.protobuf.descriptor import EnumDescriptor


def words(enum: EnumDescriptor) -> dict[str, int]:
    """Every word of an enum and its number; unset has no word."""
    prefix = _prefix(enum)
    return {value.name.removeprefix(prefix).lower(): value.number for value in enum.values if value.number}


def word(enum: EnumDescriptor, number: int) -> str:
    """The word for a number; empty for unset, the number itself if it is newer than we are."""
    value = enum.values_by_number.get(number)
    if value is None:
        return str(number)
    return value.name.removeprefix(_prefix(enum)).lower() if number else ""


def _prefix(enum: EnumDescriptor) -> str:
    return enum.values_by_number[0].name.removesuffix("UNSPECIFIED")
