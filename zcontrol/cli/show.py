"""Output: tables for people, JSON for programs; both use the words of the config file."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, cast

import typer
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from rich.console import Console
from rich.table import Table
from rich.text import Text

from zcontrol.words import word


def show_json(message: Message) -> None:
    """Print a message as one line of JSON: field names, enum words, numbers as numbers, times in ISO 8601."""
    typer.echo(json.dumps(as_json(message)))


def as_json(message: Message) -> dict[str, Any]:
    """A message as JSON has it; unset fields are there with their default, unset messages are not."""
    fields = cast("Iterable[FieldDescriptor]", message.DESCRIPTOR.fields)
    return {
        field.name: _value(field, getattr(message, field.name))
        for field in fields
        if not field.has_presence or message.HasField(field.name)
    }


def show_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, caption: str = "") -> None:
    """Print a table; where no person watches it is as wide as it must be."""
    table = Table(box=None, pad_edge=False, header_style="bold", caption=caption or None, caption_justify="left")
    table.show_header = any(columns)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*map(_cell, row))
    Console(width=None if sys.stdout.isatty() else UNLIMITED).print(table)


def local_time(timestamp: Timestamp) -> str:
    """A time as the reader's clock shows it."""
    return timestamp.ToDatetime().astimezone().strftime("%Y-%m-%d %H:%M:%S")


def printable(words: str) -> str:
    """Others' words, without escape sequences for the terminal."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in words)


def _cell(content: object) -> Text:
    """No markup either."""
    return Text(printable(str(content)))


def _value(field: FieldDescriptor, value: Any) -> object:  # noqa: ANN401 - whatever a field holds
    if isinstance(value, Mapping):
        return dict(value)
    if field.is_repeated:
        return [_one(field, item) for item in value]
    return _one(field, value)


def _one(field: FieldDescriptor, value: Any) -> object:  # noqa: ANN401 - whatever a field holds
    if isinstance(value, Timestamp):
        return value.ToJsonString()
    if isinstance(value, Message):
        return as_json(value)
    return word(field.enum_type, value) if field.enum_type else value


# Rich cuts what does not fit; a pipe has no edge.
UNLIMITED: Final = 10_000
