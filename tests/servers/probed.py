"""The product before fake backends that it probes once: what they hear after that was sent by a client."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Self

from servers.waiting import until

if TYPE_CHECKING:
    from collections.abc import Mapping

    from servers.fake_backend import FakeBackend
    from servers.zproxy import Zproxy


class Probed:
    """Both of them; a context manager. Each backend has one endpoint, and health is `front.ONE_PROBE`."""

    backends: Mapping[str, FakeBackend]
    zproxy: Zproxy

    def __enter__(self) -> Self:
        with ExitStack() as starting:
            for backend in self.backends.values():
                starting.enter_context(backend)
            starting.enter_context(self.zproxy)
            # Then it has the pool, and knows what they offer.
            until(
                lambda: all(one.conversations and one.conversations[0].ended.is_set() for one in self.backends.values())
            )
            self._running = starting.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._running.close()
