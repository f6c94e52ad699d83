"""Who uses the webmail: the login form, pages with time to read them, sometimes a file; or plain pages with Basic."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from locust import task

from clients.web import Web
from plan.fields import Span  # noqa: TC001 - a field's type is read at run time
from users.base import Habits, Person, drawn, happens

if TYPE_CHECKING:
    from clients.wire import Wire
    from plan.target import Endpoint


@dataclass(frozen=True, kw_only=True)
class WebHabits(Habits):
    """Of one with a browser; sizes are octets."""

    pages: Span = (2.0, 10.0)
    """Of one visit."""
    reads: Span = (1.0, 10.0)
    """Seconds before the next page."""
    uploads: float = 0.1
    """Share of visits that send a file, where the target's site takes any."""
    file: Span = (10_000.0, 1_000_000.0)


class WebUser(Person):
    """Uses the webmail."""

    protocol = "HTTP"
    service = "web"
    alpn = "http/1.1"
    kind = WebHabits
    habits: ClassVar[WebHabits]

    @task
    def browse(self) -> None:
        """Log in, read, perhaps send a file."""
        self.visit(self._browse)

    def _browse(self, wire: Wire, endpoint: Endpoint) -> None:
        target, site, habits = self.plan.target, self.plan.target.site, self.habits
        web = Web(wire, self.steps, f"{target.server_name or target.host}:{endpoint.port}")
        if site.form:
            web.login(site, self.account)
        else:
            web.say_who(self.account)
        shows = site.shows.format(account=self.account.name)
        for number in range(max(1, round(drawn(habits.pages)))):
            # The first page behind the login is what tells that it led to the right server.
            path = site.pages[number % len(site.pages)].format(account=self.account.name)
            web.page(path, shows, "page" if number else "first page")
            time.sleep(drawn(habits.reads))
        if site.upload and happens(habits.uploads):
            web.upload(site.upload, random.randbytes(int(drawn(habits.file))))  # noqa: S311 - no secret
