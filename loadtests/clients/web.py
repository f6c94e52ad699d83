"""HTTP/1.1 as a browser speaks it to a webmail: one kept connection, cookies, a login form with its hidden fields."""

from __future__ import annotations

import base64
import http.client
import re
import ssl
from html.parser import HTMLParser
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urlsplit

from clients.steps import ServerError

if TYPE_CHECKING:
    from clients.steps import Step, Steps
    from clients.wire import Wire
    from plan.accounts import Account
    from plan.target import Site

MOST_OCTETS = 64 * 2**20
"""Of one answer."""
REFUSED = 400
"""From here on a status is a failure."""
SHOWN = 60
"""Letters of a refused answer's text that go into its failure."""
TAG = re.compile(r"<[^>]*>")


class Web:
    """One connection, of somebody who logs in or says in each request who he is."""

    def __init__(self, wire: Wire, steps: Steps, authority: str) -> None:
        self._http = http.client.HTTPConnection(authority)
        self._origin = f"{'https' if isinstance(wire.socket, ssl.SSLSocket) else 'http'}://{authority}"
        self._http.sock = wire.socket
        # A connection that the server closed is a failure, and not silently opened anew, without TLS.
        self._http.auto_open = 0
        self._steps = steps
        self._cookies: dict[str, str] = {}
        self._fields: dict[str, str] = {}

    def say_who(self, account: Account) -> None:
        """From here on, Basic."""
        words = base64.b64encode(f"{account.name}:{account.password}".encode("ascii")).decode("ascii")
        self._fields["Authorization"] = f"Basic {words}"

    def login(self, site: Site, account: Account) -> None:
        """Get the form, fill it in, and see the page behind it."""
        with self._steps.step("login form") as step:
            page = self._ask(step, "GET", site.form)
        hidden = HiddenFields(page)
        filled = hidden.fields | {site.user_field: account.name, site.password_field: account.password}
        with self._steps.step("login") as step:
            self._ask(step, "POST", site.form, urlencode(filled).encode("ascii"), FORM)

    def page(self, path: str, shows: str, row: str = "page") -> None:
        """See a page, which must show a text."""
        with self._steps.step(row) as step:
            if shows.encode() not in self._ask(step, "GET", path):
                raise ServerError(f"{path} does not show {shows!r}")

    def upload(self, path: str, octets: bytes) -> None:
        """Send a file."""
        with self._steps.step("upload") as step:
            self._ask(step, "POST", path, octets, "application/octet-stream")
            step.octets = len(octets)

    def _ask(self, step: Step, method: str, path: str, body: bytes | None = None, kind: str = "") -> bytes:
        """Ask; where the answer sends us on to another page, see that one."""
        fields = self._fields | ({"Content-Type": kind} if kind else {})
        if body is not None:
            # As browsers do: by this a form's own page is told from a stranger's.
            fields["Origin"] = self._origin
        if self._cookies:
            fields["Cookie"] = "; ".join(f"{name}={value}" for name, value in self._cookies.items())
        try:
            self._http.request(method, path, body, fields)
            answer = self._http.getresponse()
            text = answer.read(MOST_OCTETS)
        except http.client.HTTPException as error:
            raise ServerError(f"{type(error).__name__}: {error}") from error
        step.octets += len(text)
        for cookie in answer.headers.get_all("Set-Cookie", []):
            self._keep(cookie)
        if answer.status >= REFUSED:
            said = " ".join(TAG.sub(" ", text.decode(errors="replace")).split())
            raise ServerError(f"{answer.status} {answer.reason}: {said[:SHOWN]}")
        if method == "POST" and (onward := answer.headers.get("Location")):
            there = urlsplit(onward)
            return self._ask(step, "GET", (there.path or "/") + (f"?{there.query}" if there.query else ""))
        return text

    def _keep(self, line: str) -> None:
        try:
            self._cookies.update({name: morsel.value for name, morsel in SimpleCookie(line).items()})
        except CookieError as error:
            raise ServerError(f"a cookie that is none: {error}") from error


class HiddenFields(HTMLParser):
    """What a form carries that its reader does not see."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.fields: dict[str, str] = {}
        self.feed(page.decode("utf-8", "replace"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep it if it is one."""
        told = dict(attrs)
        if tag == "input" and (told.get("type") or "").lower() == "hidden" and (name := told.get("name")):
            self.fields[name] = told.get("value") or ""


FORM = "application/x-www-form-urlencoded"
