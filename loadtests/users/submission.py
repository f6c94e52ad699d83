"""Who sends mail: mostly a few lines, now and then with an attachment, to people of the same system."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from locust import task

from clients.letters import letter
from clients.smtp import Smtp
from plan.fields import Span  # noqa: TC001 - a field's type is read at run time
from users.base import Habits, Person, drawn, happens

if TYPE_CHECKING:
    from clients.wire import Wire
    from plan.target import Endpoint


@dataclass(frozen=True, kw_only=True)
class SubmissionHabits(Habits):
    """Of one who sends; sizes are octets."""

    pause: Span = (30.0, 300.0)
    letters: Span = (1.0, 2.0)
    """Of one visit."""
    recipients: Span = (1.0, 3.0)
    """Of one letter, drawn from the accounts."""
    text: Span = (500.0, 20_000.0)
    attachments: float = 0.15
    """Share of letters with one."""
    attachment: Span = (20_000.0, 2_000_000.0)


class SubmissionUser(Person):
    """Sends mail."""

    protocol = "SMTP"
    service = "submission"
    alpn = "smtp"
    kind = SubmissionHabits
    habits: ClassVar[SubmissionHabits]

    @task
    def send(self) -> None:
        """Send a letter or two."""
        self.visit(self._send)

    def _send(self, wire: Wire, endpoint: Endpoint) -> None:
        smtp = Smtp(wire, self.steps)
        smtp.greeting()
        if endpoint.tls == "starttls":
            smtp.ask_for_tls()
            self.shake_hands(wire)
        smtp.hello()
        smtp.login(self.account)
        for _ in range(round(drawn(self.habits.letters))):
            recipients = self._recipients()
            attachment = self.habits.attachment if happens(self.habits.attachments) else None
            smtp.from_whom(self.account)
            for recipient in recipients:
                smtp.to_whom(recipient)
            smtp.message(letter(self.account.name, recipients, self.habits.text, attachment))
        smtp.quit()

    def _recipients(self) -> list[str]:
        count = min(max(1, round(drawn(self.habits.recipients))), len(self.plan.accounts))
        return [row["name"] for row in random.sample(self.plan.accounts, count)]
