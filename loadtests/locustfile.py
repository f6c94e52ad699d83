"""Where locust begins: `locust -f loadtests/locustfile.py --load PROFILE --target TARGET`; README.md has it in steps.

Names the user classes to locust, gives them the plan, sets the profile's shape, and has each run written down.
"""

from __future__ import annotations

import logging
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import locust.stats
from locust import events
from locust.runners import MasterRunner, WorkerRunner

from generator.crowds import Crowds
from options import add_options
from plan.fields import PlanError
from plan.plan import Plan, from_document, read_document
from plan.sharing import ask, give
from record.recorder import Recorder
from record.times import bucket
from record.verdict import judge
from shapes.known import shape_of
from users.base import Person, adopt
from users.imap import ImapUser
from users.pop3 import PopUser
from users.submission import SubmissionUser
from users.web import WebUser

if TYPE_CHECKING:
    from locust import User
    from locust.env import Environment
    from locust.runners import Runner

    from shapes.base import Shape

PEOPLE = (ImapUser, PopUser, SubmissionUser, WebUser)
logger = logging.getLogger(__name__)


def _prepare(environment: Environment, runner: Runner, **_: object) -> None:
    if isinstance(runner, WorkerRunner):
        ask(runner, lambda document: _adopt(from_document(document), runner.worker_index), Person.ready)
        return
    try:
        document, runs = _given(environment)
        plan = from_document(document)
        environment.user_classes = _adopt(plan, 0)
        run = _Run(runner=runner, plan=plan, runs=runs, crowds=Crowds(plan, runner.stats))
        run.shape = environment.shape_class = shape_of(plan, run.tell)
    except PlanError as error:
        sys.exit(f"locust: {error}")
    environment.host = plan.target.host
    if run.shape:
        run.shape.runner = runner
    if isinstance(runner, MasterRunner):
        give(runner, document)
    Person.ready.set()
    # As Ctrl-C: until the shape has ended locust hears no SIGTERM, and what is disturbed would stay so.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    environment.events.test_start.add_listener(run.begin)
    environment.events.test_stop.add_listener(run.end)
    environment.events.cpu_warning.add_listener(run.warn)


def _given(environment: Environment) -> tuple[dict[str, Any], Path]:
    options = environment.parsed_options
    if not options or not options.load or not options.target:
        raise PlanError("give --load and --target: a profile, and the system that is loaded")
    return read_document(Path(options.load), Path(options.target)), Path(options.runs)


def _adopt(plan: Plan, worker: int) -> list[type[User]]:
    return list(adopt(plan, worker, PEOPLE))


@dataclass(kw_only=True)
class _Run:
    """The run that goes on; the web UI may start several, one after another."""

    runner: Runner
    plan: Plan
    runs: Path
    crowds: Crowds
    shape: Shape | None = None
    recorder: Recorder | None = None

    def begin(self, **_: object) -> None:
        logger.info("%s begins: %s", self.plan.name, self.plan.profile.about)
        self.recorder = Recorder(self.runner, self.plan, self.runs)
        self.crowds.begin()

    def tell(self, text: str) -> None:
        if self.recorder:
            self.recorder.tell(text)

    def warn(self, cpu_usage: float, **_: object) -> None:
        self.tell(f"the generator itself was at {cpu_usage:.0f} % CPU: times are too long; give it more --processes")

    def end(self, **_: object) -> None:
        if self.recorder is None:
            return
        self.crowds.finish()
        if self.shape:
            self.shape.finish()
        if self.runner.worker_cpu_warning_emitted:
            self.tell("a worker was at more than 90 % CPU: times are too long; add workers")
        verdict = judge(self.plan, self.runner)
        self.recorder.finish(verdict)
        self.recorder = None
        for fault in verdict.faults:
            logger.error("not passed: %s", fault)
        self.runner.environment.process_exit_code = 1 if verdict.faults else 0


def _is_news(record: logging.LogRecord) -> bool:
    """Tell whether a line of locust's says something; the shape's every second do not."""
    return not record.msg.startswith(("Shape test updating", "Ramping to", "All users spawned"))


logging.getLogger("locust.runners").addFilter(_is_news)
events.init_command_line_parser.add_listener(add_options)
events.init.add_listener(_prepare)
# locust counts in whole milliseconds.
locust.stats.bucket_response_time = bucket  # type: ignore[assignment] # any number will do
