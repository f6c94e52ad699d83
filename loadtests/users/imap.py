"""Who reads mail by IMAP: programs on a desk that stay and idle, and telephones that glance and go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from locust import task

from clients.imap import Imap
from plan.fields import Span  # noqa: TC001 - a field's type is read at run time
from users.base import Habits, Person, drawn, happens

if TYPE_CHECKING:
    from clients.wire import Wire
    from plan.target import Endpoint

HEADS = 50
"""Messages whose heads fit on a screen or three."""


@dataclass(frozen=True, kw_only=True)
class ImapHabits(Habits):
    """Of one who reads by IMAP."""

    glances: float = 0.3
    """Share of visits that only look for news and go; the others stay."""
    stays: Span = (300.0, 3600.0)
    """How long."""
    idles: Span = (60.0, 600.0)
    """Each IDLE; RFC 2177 lets none last half an hour."""


class ImapUser(Person):
    """Reads mail."""

    protocol = "IMAP"
    service = "imap"
    alpn = "imap"
    kind = ImapHabits
    habits: ClassVar[ImapHabits]

    @task
    def look(self) -> None:
        """Glance or stay."""
        self.visit(self._look)

    def _look(self, wire: Wire, endpoint: Endpoint) -> None:
        imap = Imap(wire, self.steps)
        imap.greeting()
        if endpoint.tls == "starttls":
            imap.ask_for_tls()
            self.shake_hands(wire)
        imap.login(self.account)
        if happens(self.habits.glances):
            imap.open_inbox()
            imap.read_newest()
        else:
            imap.list_folders()
            imap.open_inbox()
            imap.overview(HEADS)
            self._stay(imap)
        imap.logout()

    def _stay(self, imap: Imap) -> None:
        left = drawn(self.habits.stays)
        while left > 0:
            seconds = min(left, drawn(self.habits.idles))
            if imap.idle(seconds):
                imap.read_newest()
            else:
                imap.noop()
            left -= max(seconds, SHORTEST_STAY)


SHORTEST_STAY = 1.0
"""What an IDLE counts at least, so that a profile of zeros ends."""
