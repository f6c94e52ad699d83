"""A server that speaks auth_http as scripts made for nginx do: an answer a name, connections kept alive."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, ClassVar, Protocol
from urllib.parse import unquote_to_bytes

import pytest

from servers.clients import Visitor
from servers.waiting import until
from servers.zproxy import two_mailboxes
from zcontrol.demo.loopback import own_address

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from servers.certificates import Authority
    from servers.zproxy import StartZproxy
    from zcontrol.demo.dovecot import MailboxServer

Headers = dict[str, str]
UNKNOWN = {"Auth-Status": "No such user", "Auth-Wait": "3"}
WRONG = "[AUTHENTICATIONFAILED] Authentication failed."
LATER = "[UNAVAILABLE] Temporary failure, try again later."


class AuthScript:
    """What it answers is a function of what it is asked, and can be changed between questions."""

    def __init__(self, answer: Callable[[Headers], Headers]) -> None:
        self.answer = answer
        self.status = 200
        self.asked: list[list[tuple[str, str]]] = []
        """Each question's headers, in order and as they were spelled."""
        self.connections = 0
        self.stopped = threading.Event()
        script = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                script.connections += 1
                super().setup()

            def do_GET(self) -> None:
                if script.stopped.is_set():
                    # Of a process that has ended no connection is left.
                    self.close_connection = True
                    return
                script.asked.append(self.headers.items())
                headers = script.answer(dict(self.headers.items()))
                self.send_response(script.status)
                for name, value in headers.items():
                    self.send_header(name, value)
                body = b"for people only"
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Tests look at what was asked."""

        class Server(ThreadingHTTPServer):
            daemon_threads: ClassVar[bool] = True
            request_queue_size = 256

        self._server = Server((own_address(), 0), Handler)
        host, port = self._server.server_address[:2]
        self.address = f"{host!s}:{port}"
        self.url = f"http://{self.address}/auth"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def users(self) -> list[str]:
        """Who was asked about, in order."""
        return [undone(dict(headers), "Auth-User") for headers in self.asked if "Auth-User" in dict(headers)]

    def stop(self) -> None:
        self.stopped.set()
        self._server.shutdown()
        self._server.server_close()


def undone(headers: Headers, name: str) -> str:
    """What was escaped into a header."""
    return unquote_to_bytes(headers.get(name, "").encode("latin-1")).decode()


def lives_at(server: str, port: int, **more: str) -> Headers:
    """A good answer; `user` and `password` are what to log in with there."""
    names = {"user": "Auth-User", "password": "Auth-Pass"}
    place = {"Auth-Status": "OK", "Auth-Server": server, "Auth-Port": str(port)}
    return place | {names[name]: value for name, value in more.items()}


@contextmanager
def auth_script(accounts: dict[str, Headers] | Callable[[Headers], Headers]) -> Iterator[AuthScript]:
    """Serve these accounts, or whatever a function answers."""

    def answer(asked: Headers) -> Headers:
        assert not callable(accounts)
        return accounts.get(undone(asked, "Auth-User"), UNKNOWN)

    script = AuthScript(accounts if callable(accounts) else answer)
    try:
        yield script
    finally:
        script.stop()


class VisitByScript(Protocol):
    def __call__(self, script: AuthScript, **keys: str) -> Visitor: ...


@pytest.fixture
def visit_by_script(
    start_zproxy: StartZproxy, tmp_path: Path, authority: Authority, mailboxes: dict[str, MailboxServer]
) -> VisitByScript:
    """Somebody before a proxy whose directory is a script, which was asked nothing yet."""

    def visit(script: AuthScript, **keys: str) -> Visitor:
        config = two_mailboxes(tmp_path, authority, mailboxes)
        config["directory"] = {"auth_http": {"urls": [script.url], "timeout": "1s", **keys}}
        zproxy = start_zproxy(config)
        early = Visitor(zproxy=zproxy, context=authority.client_context())
        # It is ready before its edge is connected to its control.
        until(lambda: early.refusal("nobody@tgg.net.id", "demo") == WRONG)
        script.asked.clear()
        return Visitor(zproxy=zproxy, context=early.context)

    return visit
