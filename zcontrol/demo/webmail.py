"""A webmail for the demo, one beside each mailbox server: its forms and sessions are its own, as real ones' are.

It shows what lies in the inbox to whoever logs in by its form, or by Basic at `/home/USER`.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import html
import imaplib
import secrets
import threading
from dataclasses import dataclass, field
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Final, Self, final
from urllib.parse import parse_qs

if TYPE_CHECKING:
    from types import TracebackType

PORT: Final = 10080
COOKIE: Final = "session"
TOKEN: Final = "token"  # noqa: S105 - the name of a field
USER: Final = "user"
LONGEST_FORM: Final = 4096
LARGEST_FILE: Final = 20 * 2**20


@dataclass(frozen=True, kw_only=True)
class Sessions:
    """Who is there, by cookie."""

    tokens: dict[str, str] = field(default_factory=dict)
    """What each session's form must carry."""
    inboxes: dict[str, str] = field(default_factory=dict)
    """What is shown to each whose user has logged in."""


@final
class Webmail:
    """One running webmail; a context manager that stops it. Several may share their sessions."""

    def __init__(self, server: str, address: str, imap_port: int, sessions: Sessions | None = None) -> None:
        self.server: Final = server
        self.imap: Final = (address, imap_port)
        self.sessions: Final = sessions or Sessions()
        self._http = ThreadingHTTPServer((address, PORT), lambda *called: Handler(self, *called))
        self._http.daemon_threads = True

    def __enter__(self) -> Self:
        """Serve, in threads of its own."""
        threading.Thread(target=self._http.serve_forever, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Stop."""
        self._http.shutdown()
        self._http.server_close()

    def inbox(self, user: str, password: str) -> str | None:
        """Return the inbox as text; None: it does not open."""
        try:
            with imaplib.IMAP4(*self.imap) as imap:
                imap.login(user, password)
                count = int((imap.select("INBOX", readonly=True)[1][0] or b"0").decode())
                texts = [imap.fetch(str(number + 1), "(BODY.PEEK[TEXT])")[1][0] for number in range(count)]
        except imaplib.IMAP4.error:
            return None
        shown = [text[1].decode("ascii", "replace") for text in texts if isinstance(text, tuple)]
        return f"{self.server}, inbox of {user}\n\n" + "\n".join(shown)


@final
class Handler(BaseHTTPRequestHandler):
    """One connection, from the proxy."""

    protocol_version = "HTTP/1.1"
    # Head and body are two writes; else the second waits 40 ms for the first one's acknowledgement.
    disable_nagle_algorithm = True

    def __init__(self, webmail: Webmail, *called: object) -> None:
        self.webmail = webmail
        super().__init__(*called)  # type: ignore[arg-type] # as socketserver calls it

    def handle(self) -> None:
        """Serve until either side goes: how it goes is nothing to tell of."""
        with contextlib.suppress(ConnectionError):
            super().handle()

    def do_GET(self) -> None:
        """Show the inbox, or the form by which it opens."""
        if self.path.startswith("/home/"):
            inbox = self._by_basic()
            if inbox is None:
                self._say(HTTPStatus.UNAUTHORIZED, "", ("WWW-Authenticate", 'Basic realm="mail"'))
            else:
                self._say(HTTPStatus.OK, inbox, kind="text/plain")
        elif shown := self.webmail.sessions.inboxes.get(self._session()):
            self._say(HTTPStatus.OK, f"<pre>{html.escape(shown)}</pre>")
        else:
            self._show_form()

    def do_POST(self) -> None:
        """Log in, by a form of this server and no other; or, logged in, send a file."""
        length = int(self.headers.get("Content-Length") or 0)
        if self.path == "/upload":
            self._take_file(length)
            return
        form = parse_qs(self.rfile.read(min(length, LONGEST_FORM)).decode("utf-8", "replace"))
        user, password, token = (form.get(name, [""])[0] for name in (USER, "password", TOKEN))
        session = self._session()
        if not token or token != self.webmail.sessions.tokens.get(session):
            self._say(HTTPStatus.FORBIDDEN, f"<p>This form is not of {self.webmail.server}.")
        elif (inbox := self.webmail.inbox(user, password)) is None:
            self._say(HTTPStatus.UNAUTHORIZED, "<p>Wrong name or password. <a href=/>Again</a>")
        else:
            self.webmail.sessions.inboxes[session] = inbox
            self._say(HTTPStatus.SEE_OTHER, "", ("Location", "/"))

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as http.server calls it
        """Say nothing: the proxy's records tell more."""

    def _take_file(self, length: int) -> None:
        if length > LARGEST_FILE or self._session() not in self.webmail.sessions.inboxes:
            # What is not read would be taken for the next request.
            self.close_connection = True
            self._say(HTTPStatus.FORBIDDEN, f"<p>Log in first; at most {LARGEST_FILE} octets.")
            return
        file = self.rfile.read(length)
        self._say(HTTPStatus.OK, f"{len(file)} octets, SHA-256 {hashlib.sha256(file).hexdigest()}", kind="text/plain")

    def _show_form(self) -> None:
        session, token = secrets.token_urlsafe(), secrets.token_urlsafe()
        self.webmail.sessions.tokens[session] = token
        cookie = f"{COOKIE}={session}; Path=/; HttpOnly; SameSite=Lax"
        self._say(HTTPStatus.OK, FORM.format(server=self.webmail.server, token=token), ("Set-Cookie", cookie))

    def _session(self) -> str:
        try:
            cookie = SimpleCookie(self.headers.get("Cookie", "")).get(COOKIE)
        except CookieError:
            return ""
        return cookie.value if cookie else ""

    def _by_basic(self) -> str | None:
        try:
            said = base64.b64decode(self.headers.get("Authorization", "").removeprefix("Basic ")).decode()
        except (binascii.Error, UnicodeDecodeError):
            return None
        user, _, password = said.partition(":")
        return self.webmail.inbox(user, password) if user and password else None

    def _say(self, status: HTTPStatus, text: str, *fields: tuple[str, str], kind: str = "text/html") -> None:
        body = text.encode()
        self.send_response(status)
        for name, value in (("Content-Type", f"{kind}; charset=utf-8"), ("Content-Length", str(len(body))), *fields):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


FORM: Final = """\
<!doctype html><title>Webmail</title>
<p>This form is of {server}.
<form method=post><input type=hidden name=token value="{token}">
<p><input name=user placeholder="siti@tgg.net.id"> <input name=password type=password placeholder="demo">
<button>Log in</button></form>
"""
