"""What all users share: an account for life, an endpoint drawn for each visit, connect and TLS, pauses between visits.

A step that fails ends the visit, and its row has the failure; the user comes again, as people do.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from gevent.event import Event
from locust import User

from clients.steps import ServerError, Steps
from clients.wire import Tls, Wire
from plan.accounts import in_turn
from plan.fields import PlanError, Span, read, unknown

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator

    from plan.accounts import Account
    from plan.plan import Plan
    from plan.target import Endpoint


@dataclass(frozen=True, kw_only=True)
class Habits:
    """What every user class has; seconds and shares, and keys of the profile by the same names."""

    weight: int = 1
    """Of all users, relative to the other classes."""
    pause: Span = (5.0, 30.0)
    """Between two visits."""
    resumes: float = 0.5
    """Share of handshakes that offer the session of the one before."""


class Person(User):
    """Somebody with an account who comes again and again."""

    abstract = True
    protocol: ClassVar[str]
    service: ClassVar[str]
    """As the target's `services` name it."""
    alpn: ClassVar[str]
    kind: ClassVar[type[Habits]]
    """What its habits are."""

    habits: ClassVar[Any]
    endpoints: ClassVar[list[Endpoint]]
    tls: ClassVar[Tls]
    plan: ClassVar[Plan]
    accounts: ClassVar[Iterator[Account]]
    ready: ClassVar[Event] = Event()
    """This process has the plan."""

    def on_start(self) -> None:
        """Become somebody."""
        self.ready.wait()
        self.account = next(self.accounts)
        self.steps = Steps(request=self.environment.events.request, protocol=self.protocol, home=self.account.home)
        self._session: ssl.SSLSession | None = None

    def wait_time(self) -> float:
        """Pause."""
        return drawn(self.habits.pause)

    def visit(self, talk: Callable[[Wire, Endpoint], None]) -> None:
        """Connect to one of the endpoints and talk."""
        endpoint = random.choice(self.endpoints)  # noqa: S311 - no secret
        try:
            with self.steps.step("connect"):
                wire = Wire(self.plan.target.host, endpoint.port)
            with wire:
                if endpoint.tls == "implicit":
                    self.shake_hands(wire)
                talk(wire, endpoint)
                self._session = wire.session
        except (OSError, ServerError):
            # The row has it.
            return

    def shake_hands(self, wire: Wire) -> None:
        """TLS; a resumed handshake has a row of its own."""
        session = self._session if happens(self.habits.resumes) else None
        with self.steps.step("TLS") as step:
            if wire.start_tls(self.tls, session):
                step.name = "TLS resumed"


def adopt(plan: Plan, worker: int, classes: tuple[type[Person], ...]) -> list[type[Person]]:
    """Give everybody the plan; return the classes that come."""
    known = {kind.__name__: kind for kind in classes}
    for name in plan.profile.users:
        if name not in known:
            raise PlanError(f"profile.users.{name}: {unknown(name, known)}")
    Person.plan = plan
    Person.accounts = in_turn(plan.accounts, worker)
    target = plan.target
    coming = [known[name] for name in plan.profile.users]
    for kind in coming:
        kind.habits = read(kind.kind, plan.profile.users[kind.__name__], f"users.{kind.__name__}")
        kind.weight = kind.habits.weight
        kind.endpoints = target.endpoints(kind.service)
        if not kind.endpoints:
            raise PlanError(
                f'{kind.__name__} has nowhere to go: give the target services.{kind.service} = ["PORT/TLS"]'
            )
        kind.tls = Tls(plan.trusted, target.server_name or target.host, alpn=kind.alpn)
    return coming


def drawn(span: Span) -> float:
    """Draw a number, from least to most."""
    return random.uniform(*span)  # noqa: S311 - no secret


def happens(share: float) -> bool:
    """Draw whether something of that share happens this time."""
    return random.random() < share  # noqa: S311 - no secret
