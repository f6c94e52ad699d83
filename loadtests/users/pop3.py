"""Who polls by POP3: come, look what is new, take it, perhaps delete it, go; every few minutes for ever."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from locust import task

from clients.pop3 import Pop3
from plan.fields import Span  # noqa: TC001 - a field's type is read at run time
from users.base import Habits, Person, happens

if TYPE_CHECKING:
    from clients.wire import Wire
    from plan.target import Endpoint


@dataclass(frozen=True, kw_only=True)
class PopHabits(Habits):
    """Of one who polls."""

    pause: Span = (60.0, 300.0)
    takes: int = 3
    """Messages of one visit, at most; the newest."""
    deletes: float = 0.8
    """Share of what was taken; the rest is left on the server."""


class PopUser(Person):
    """Polls."""

    protocol = "POP3"
    service = "pop3"
    alpn = "pop3"
    kind = PopHabits
    habits: ClassVar[PopHabits]

    @task
    def poll(self) -> None:
        """Poll and leave."""
        self.visit(self._poll)

    def _poll(self, wire: Wire, endpoint: Endpoint) -> None:
        pop3 = Pop3(wire, self.steps)
        pop3.greeting()
        if endpoint.tls == "starttls":
            pop3.ask_for_tls()
            self.shake_hands(wire)
        pop3.login(self.account)
        count = pop3.count()
        pop3.list_uids()
        for number in range(max(count - self.habits.takes, 0) + 1, count + 1):
            pop3.fetch(number)
            if happens(self.habits.deletes):
                pop3.delete(number)
        pop3.quit()
