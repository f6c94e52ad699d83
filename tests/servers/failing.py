"""Servers that do as they should up to one thing that they would say, and something else in its place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Callable

    from servers.fake_backend import Behaviour, Conversation

    Fault = Callable[[Conversation], object]


def failing(behaviour: Behaviour, place: int, fault: Fault) -> Behaviour:
    """Return the behaviour that goes wrong in place of so many things said."""
    return lambda conversation: behaviour(cast("Conversation", _Failing(conversation, place, fault)))


def says(*parts: bytes) -> Fault:
    """Return the fault of saying this, and then nothing."""

    def fault(conversation: Conversation) -> None:
        for part in parts:
            conversation.send(part)
        conversation.hold()

    return fault


class _Failing:
    """A conversation, until it goes wrong."""

    def __init__(self, conversation: Conversation, place: int, fault: Fault) -> None:
        self._conversation = conversation
        self._left = place
        self._fault = fault

    def send(self, said: bytes) -> None:
        if self._left == 0:
            self._fault(self._conversation)
            raise ConnectionAbortedError
        self._left -= 1
        self._conversation.send(said)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever a conversation has
        return getattr(self._conversation, name)
