"""Clients of HTTP that say exactly what a test gives them, from an address that no other client has.

`Http1` is octets in and answers out; `Http2` is `h2` with its own checks of what it sends switched off.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    InformationalResponseReceived,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)
from h2.settings import SettingCodes

from servers.fake_mailbox import PASSWORD
from servers.raw_client import RawClient
from zcontrol.demo.accounts import HOSTNAME

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from servers.certificates import Authority

Fields = list[tuple[str, str]]
WITHOUT_BODY = (204, 304)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came back for one request."""

    status: int
    fields: Fields
    """Names in lower case."""
    body: bytes = b""
    trailers: Fields | None = None
    early: tuple[int, ...] = ()
    """The 1xx before it."""

    def values(self, name: str) -> list[str]:
        return [value for field, value in self.fields if field == name]

    def value(self, name: str) -> str | None:
        """Return the value of a field that is there at most once."""
        values = self.values(name)
        assert len(values) <= 1, values
        return values[0] if values else None


class Http1(RawClient):
    """One connection of HTTP/1.1, in TLS with an `authority`."""

    def __init__(
        self, to: tuple[str, int], authority: Authority | None, *, address: str | None = None, host: str = HOSTNAME
    ) -> None:
        super().__init__(to, address=address)
        self.host = host
        if authority:
            self.secure(authority.client_context(), host)

    def request(self, method: str, path: str, *fields: str, body: bytes = b"") -> Answer:
        """Say a whole request, and hear the answer."""
        self.begin(method, path, *fields, *([f"Content-Length: {len(body)}"] if body else []))
        self.send(body)
        return self.answer(to=method)

    def get(self, path: str, *fields: str) -> Answer:
        return self.request("GET", path, *fields)

    def begin(self, method: str, path: str, *fields: str) -> None:
        """Say a head."""
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self.host}", *fields]
        self.send("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n")

    def answer(self, *, to: str = "GET") -> Answer:
        """Hear one answer; what comes before the end of the connection if there is none."""
        early: list[int] = []
        status, fields = self.head()
        while 100 <= status < 200 and status != 101:
            early.append(status)
            status, fields = self.head()
        body, trailers = self._body(to, status, dict(fields))
        return Answer(status=status, fields=fields, body=body, trailers=trailers, early=tuple(early))

    def head(self) -> tuple[int, Fields]:
        """Hear a status and its fields; status 0 is the end of the connection."""
        line = self.line()
        if not line:
            return 0, []
        assert line.startswith(b"HTTP/1.1 "), line
        return int(line[9:12]), self._fields()

    def chunk(self) -> bytes:
        """Hear one chunk; empty is the last one."""
        octets = self.octets(int(self.line(), 16))
        if octets:
            assert self.line() == b"\r\n"
        return octets

    def _fields(self) -> Fields:
        fields: Fields = []
        while (line := self.line().decode("latin-1")) not in ("\r\n", ""):
            name, _, value = line.partition(":")
            fields.append((name.lower(), value.strip()))
        return fields

    def _body(self, to: str, status: int, fields: dict[str, str]) -> tuple[bytes, Fields | None]:
        if to == "HEAD" or status in WITHOUT_BODY or status < 200:
            return b"", None
        if fields.get("transfer-encoding") == "chunked":
            parts = []
            while part := self.chunk():
                parts.append(part)
            return b"".join(parts), self._fields()
        if "content-length" in fields:
            return self.octets(int(fields["content-length"])), None
        return self.rest(), None


class Http2(RawClient):
    """One connection of HTTP/2 in TLS; `protocol` is `h2`'s side of it."""

    def __init__(
        self, to: tuple[str, int], authority: Authority, *, address: str | None = None, host: str = HOSTNAME
    ) -> None:
        super().__init__(to, address=address)
        context = authority.client_context()
        context.set_alpn_protocols(["h2"])
        self.secure(context, host)
        self.host = host
        self.events: list[Event] = []
        self._ended: set[int | None] = set()
        """Streams, and None: all."""
        self.protocol = H2Connection(
            H2Configuration(
                header_encoding="utf-8",
                validate_outbound_headers=False,
                normalize_outbound_headers=False,
                validate_inbound_headers=True,
            )
        )
        self.protocol.initiate_connection()
        self.flush()

    def request(self, method: str, path: str, *fields: tuple[str, str], body: bytes = b"") -> Answer:
        """Say a whole request, and hear the answer."""
        stream = self.begin(method, path, *fields, end=not body)
        if body:
            self.say(stream, body)
        return self.answer(stream)

    def get(self, path: str, *fields: tuple[str, str]) -> Answer:
        return self.request("GET", path, *fields)

    def begin(self, method: str, path: str, *fields: tuple[str, str], end: bool = False) -> int:
        """Say a head, and return its stream."""
        return self.open([*self.pseudo(method, path), *fields], end=end)

    def pseudo(self, method: str, path: str) -> Fields:
        return [(":method", method), (":scheme", "https"), (":authority", self.host), (":path", path)]

    def open(self, fields: Iterable[tuple[str, str]], *, end: bool = True) -> int:
        """Say a head that is all the test's."""
        stream = self.protocol.get_next_available_stream_id()
        self.protocol.send_headers(stream, list(fields), end_stream=end)
        self.flush()
        return stream

    def say(self, stream: int, body: bytes, *, end: bool = True) -> None:
        """Send a body, as fast as windows allow."""
        at = 0
        while at < len(body):
            window = min(self.protocol.local_flow_control_window(stream), self.protocol.max_outbound_frame_size)
            if not window:
                assert self.hear(), "the connection ended within a body"
                continue
            part = body[at : at + window]
            at += len(part)
            self.protocol.send_data(stream, part, end_stream=end and at == len(body))
            self.flush()

    def answer(self, stream: int) -> Answer:
        """Hear the whole answer on a stream; status 0 is a stream or a connection that was ended instead."""
        while not self._ended & {stream, None} and self.hear():
            pass
        return self.answered(stream)

    def of(self, stream: int) -> Iterator[Event]:
        """Give what has come on a stream, and the end of the connection."""
        for event in self.events:
            if isinstance(event, ConnectionTerminated) or getattr(event, "stream_id", None) == stream:
                yield event

    def said(self, stream: int) -> bytes:
        """Return what has come of the body on a stream."""
        return b"".join(event.data for event in self.of(stream) if isinstance(event, DataReceived))

    def reset_of(self, stream: int) -> int | None:
        """Return the code by which a stream was ended, if it was."""
        return next((event.error_code for event in self.of(stream) if isinstance(event, StreamReset)), None)

    def extended_connect(self) -> bool:
        """Tell whether the server takes RFC 8441."""
        while not self.protocol.remote_settings.get(SettingCodes.ENABLE_CONNECT_PROTOCOL) and not self._settled():
            assert self.hear()
        return bool(self.protocol.remote_settings.get(SettingCodes.ENABLE_CONNECT_PROTOCOL))

    def flush(self) -> None:
        self.try_send(self.protocol.data_to_send())

    def hear(self) -> bool:
        """Hear some more, give back the room it took, and answer what has to be; False at the end."""
        heard = self.some()
        if not heard:
            return False
        for event in self.protocol.receive_data(heard):
            self.events.append(event)
            if isinstance(event, StreamEnded | StreamReset | ConnectionTerminated):
                self._ended.add(getattr(event, "stream_id", None))
            if isinstance(event, DataReceived) and event.flow_controlled_length:
                self.protocol.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        self.flush()
        return True

    def _settled(self) -> bool:
        return any(type(event).__name__ == "RemoteSettingsChanged" for event in self.events)

    def answered(self, stream: int) -> Answer:
        """Return what has come of an answer."""
        said: dict[str, Any] = {"status": 0, "fields": [], "trailers": None}
        early: list[int] = []
        for event in self.of(stream):
            match event:
                case ResponseReceived():
                    (said["status"], said["fields"]) = _head(event)
                case InformationalResponseReceived():
                    early.append(_head(event)[0])
                case TrailersReceived():
                    said["trailers"] = list(event.headers)
        return Answer(body=self.said(stream), early=tuple(early), **said)


def basic(account: str, password: str = PASSWORD) -> str:
    """Return what follows `Authorization: `."""
    return f"Basic {base64.b64encode(f'{account}:{password}'.encode()).decode()}"


def _head(event: ResponseReceived | InformationalResponseReceived) -> tuple[int, Fields]:
    fields = list(event.headers)
    return int(dict(fields)[":status"]), [(name, value) for name, value in fields if not name.startswith(":")]
