"""Options that take the words of an enum, as the config file has them."""

from collections.abc import Callable
from typing import Any

import typer
from google.protobuf.descriptor import EnumDescriptor

from zcontrol.words import words


def word_option(enum: EnumDescriptor, about: str, *names: str) -> Any:  # noqa: ANN401 - as typer declares it
    """An option whose value is a word of an enum and arrives as its number."""
    known = words(enum)
    return typer.Option(
        *names, parser=word_parser(enum), metavar="|".join(known), autocompletion=lambda: list(known), help=about
    )


def word_parser(enum: EnumDescriptor) -> Callable[[str], int]:
    """A parser of an enum's words; a wrong one is told with the right ones."""
    known = words(enum)

    def parse(text: str) -> int:
        if text not in known:
            raise typer.BadParameter(f"{text!r} is none of {', '.join(known)}")
        return known[text]

    return parse
