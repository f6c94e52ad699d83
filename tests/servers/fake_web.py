"""A fake web server that keeps every request as it came, and answers each path as a test says.

`Web` is a behaviour of `FakeBackend`; what it says is a function of the conversation and the request. Those that do as
they should are here; those that do not stand in `faulty_web`.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import threading
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from servers.fake_backend import Conversation

    Answers = Callable[["Conversation", "Request"], object]

PROBE: Final = b"OPTIONS / HTTP/1.0\r\nUser-Agent: zproxy\r\n"
"""How the product asks whether a server lives."""
WEBSOCKET: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


@dataclass(frozen=True, kw_only=True)
class Request:
    """One that came, octet for octet."""

    server: str
    """The name of the one that it came to."""
    conversation: Conversation
    head: bytes
    """With the empty line."""
    body: bytes
    """Without its transfer coding."""
    trailers: bytes

    @property
    def line(self) -> str:
        return self.head.partition(b"\r\n")[0].decode("latin-1")

    @property
    def path(self) -> str:
        return self.line.split(" ")[1].partition("?")[0]

    @property
    def fields(self) -> list[tuple[str, str]]:
        """Return names, in lower case, and values."""
        lines = self.head.decode("latin-1").split("\r\n")[1:-2]
        return [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines)]

    def values(self, name: str) -> list[str]:
        return [value for field, value in self.fields if field == name]

    def value(self, name: str) -> str | None:
        """Return the value of a field that is there at most once."""
        values = self.values(name)
        assert len(values) <= 1, values
        return values[0] if values else None


@dataclass(kw_only=True)
class Web:
    """What it answers, and what it was asked; probes do not count."""

    name: str
    """What it says where no path has an answer."""
    answers: dict[str, Answers] = field(default_factory=dict)
    """By path."""
    heads: dict[str, Answers] = field(default_factory=dict)
    """The same for requests whose bodies it does not wait for."""
    requests: list[Request] = field(default_factory=list)

    def __call__(self, conversation: Conversation) -> None:
        while head := conversation.through(b"\r\n\r\n"):
            if head.startswith(PROBE):
                conversation.send(b"HTTP/1.0 204 No Content\r\n\r\n")
                return
            if not head.endswith(b"\r\n\r\n"):
                return
            request = Request(server=self.name, conversation=conversation, head=head, body=b"", trailers=b"")
            if refuse := self.heads.get(request.path):
                refuse(conversation, request)
                return
            request = self._with_body(request)
            self.requests.append(request)
            self.answers.get(request.path, says(200, self.name.encode()))(conversation, request)
            if request.value("connection") == "close":
                return

    @staticmethod
    def _with_body(request: Request) -> Request:
        conversation = request.conversation
        if request.value("expect"):
            conversation.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        if request.value("transfer-encoding"):
            body, trailers = _chunked(conversation)
            return replace(request, body=body, trailers=trailers)
        length = int(request.value("content-length") or 0)
        body = conversation.octets(length)
        if len(body) < length:
            raise ConnectionAbortedError
        return replace(request, body=body)


def says(status: int, body: bytes = b"", *fields: str) -> Answers:
    """Give an answer with its length."""
    lines = [f"HTTP/1.1 {status} Because", *fields]
    if status >= 200 and status not in (204, 304):
        lines.append(f"Content-Length: {len(body)}")
    head = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"

    def answer(conversation: Conversation, request: Request) -> None:
        conversation.send(head + (b"" if request.line.startswith("HEAD ") else body))

    return answer


def echoes(conversation: Conversation, request: Request) -> None:
    """Give the body back."""
    says(200, request.body)(conversation, request)


def octets(said: bytes) -> Answers:
    """Give what is no answer, or one that needs no help."""
    return lambda conversation, _: conversation.send(said)


def in_chunks(parts: Iterable[bytes], *fields: str, trailers: bytes = b"") -> Answers:
    """Give a body of unknown length."""
    head = "\r\n".join(["HTTP/1.1 200 OK", "Transfer-Encoding: chunked", *fields]).encode() + b"\r\n\r\n"

    def answer(conversation: Conversation, _: Request) -> None:
        conversation.send(head)
        for part in parts:
            conversation.send(b"%x\r\n%s\r\n" % (len(part), part))
        conversation.send(b"0\r\n" + trailers + b"\r\n")

    return answer


def streams(total: int, part: bytes = bytes(range(256)) * 256) -> Answers:
    """Give a body of so many octets, the same part again and again."""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % total

    def answer(conversation: Conversation, _: Request) -> None:
        conversation.send(head)
        for at in range(0, total, len(part)):
            conversation.send(part[: total - at])

    return answer


@dataclass(kw_only=True)
class Events:
    """Server-sent events, one whenever the test says so."""

    going: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def __call__(self, conversation: Conversation, _: Request) -> None:
        conversation.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        for number in itertools.count():
            while not self.going.acquire(timeout=LOOK_SECONDS):
                if conversation.ended.is_set():
                    return
            event = b"data: %d\n\n" % number
            conversation.send(b"%x\r\n%s\r\n" % (len(event), event))


def challenges(scheme: str) -> Answers:
    """Prove a client in the two steps of NTLM, which let a connection in and not a request; say who it is."""

    def answer(conversation: Conversation, request: Request) -> None:
        if said := request.value("authorization"):
            conversation.commands.append(said.encode())
        steps = [says(401, b"who?", f"WWW-Authenticate: {scheme}"), says(401, b"", f"WWW-Authenticate: {scheme} VGhl")]
        steps.append(says(200, b" ".join(conversation.commands[-1:])))
        steps[min(len(conversation.commands), 2)](conversation, request)

    return answer


def websocket(conversation: Conversation, request: Request) -> None:
    """Take an upgrade, and give back each message."""
    key = (request.value("sec-websocket-key") or "").encode()
    accepted = base64.b64encode(hashlib.sha1(key + WEBSOCKET).digest())
    conversation.send(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accepted + b"\r\n\r\n"
    )
    while head := conversation.octets(2):
        length = head[1] & 0x7F
        if length >= LENGTH_OF_TWO:
            length = int.from_bytes(conversation.octets(2 if length == LENGTH_OF_TWO else 8))
        mask = conversation.octets(4) if head[1] & 0x80 else bytes(4)
        masked = conversation.octets(length)
        said = bytes(octet ^ mask[at % 4] for at, octet in enumerate(masked))
        conversation.send(frame(head[0], said))


def frame(first: int, said: bytes) -> bytes:
    """Write a frame of a WebSocket as servers do, without a mask."""
    if len(said) < LENGTH_OF_TWO:
        return bytes([first, len(said)]) + said
    return bytes([first, LENGTH_OF_TWO]) + len(said).to_bytes(2) + said


def _chunked(conversation: Conversation) -> tuple[bytes, bytes]:
    parts = []
    while size := int(_whole(conversation.through(b"\r\n")), 16):
        parts.append(conversation.octets(size))
        _whole(conversation.through(b"\r\n"))
    trailers = b""
    while (line := _whole(conversation.through(b"\r\n"))) != b"\r\n":
        trailers += line
    return b"".join(parts), trailers


def _whole(line: bytes) -> bytes:
    """What ends with the connection is no request."""
    if not line.endswith(b"\r\n"):
        raise ConnectionAbortedError
    return line


LOOK_SECONDS = 0.1
LENGTH_OF_TWO = 126
"""RFC 6455, 5.2."""
