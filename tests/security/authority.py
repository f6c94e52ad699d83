"""An authorization server over HTTP on loopback, as well-behaved as a test lets it be."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from zcontrol.demo.loopback import own_address

if TYPE_CHECKING:
    from collections.abc import Iterator


class Authority:
    """Answers GET with its `document`, POST with what it knows of the token; counts both."""

    def __init__(self, address: str) -> None:
        self.url = f"http://{address}/oauth?tenant=1"
        self.document = b""
        self.status = 200
        self.tokens: dict[str, dict[str, object]] = {}
        self.asked: list[str] = []
        self.authorizations: set[str | None] = set()
        # Cleared: it takes requests and does not answer.
        self.answers = threading.Event()
        self.answers.set()

    def answer(self, body: bytes | None) -> bytes:
        if body is None:
            self.asked.append("")
            return self.document
        form = parse_qs(body.decode())
        [told] = form["token"]
        self.asked.append(told)
        return self.document or json.dumps(self.tokens.get(told, {"active": False})).encode()


@contextmanager
def authority() -> Iterator[Authority]:
    """Serve for as long as the context lasts."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer(None)

        def do_POST(self) -> None:
            self._answer(self.rfile.read(int(self.headers["Content-Length"])))

        def _answer(self, body: bytes | None) -> None:
            serving.authorizations.add(self.headers["Authorization"])
            answer = serving.answer(body)
            serving.answers.wait()
            self.send_response(serving.status)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            """Clients that leave at their deadline are what some tests are about."""

    server = Server((own_address(), 0), Handler)
    server.daemon_threads = True
    serving = Authority("{}:{}".format(*server.server_address))
    # How soon it notices that the test is over.
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield serving
    finally:
        serving.answers.set()
        server.shutdown()
        thread.join()
        server.server_close()
