"""The plan on its way from locust's master to its workers, who ask for it until they have it.

Neither knows when the other is ready to hear: a worker may be given users before it has begun to listen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gevent

if TYPE_CHECKING:
    from collections.abc import Callable

    from gevent.event import Event
    from locust.rpc.protocol import Message
    from locust.runners import MasterRunner, WorkerRunner

WANTED, GIVEN = "zproxy_plan_wanted", "zproxy_plan"
ASK_SECONDS = 1.0


def give(runner: MasterRunner, document: dict[str, Any]) -> None:
    """Answer every worker that asks."""

    def answer(msg: Message, **_: object) -> None:
        runner.send_message(GIVEN, document, msg.node_id)

    runner.register_message(WANTED, answer)


def ask(runner: WorkerRunner, adopt: Callable[[dict[str, Any]], object], ready: Event) -> None:
    """Ask until it has come; then adopt it and say that this process is ready."""

    def take(msg: Message, **_: object) -> None:
        if not ready.is_set():
            adopt(msg.data)
            ready.set()

    def asking() -> None:
        while not ready.is_set():
            runner.send_message(WANTED)
            ready.wait(ASK_SECONDS)

    runner.register_message(GIVEN, take)
    gevent.spawn(asking)
