"""Where proxies ask: the address of the config, served by its rules, which a reload may change and switch on or off."""

import socket
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

import structlog

from zcontrol.errors import ZproxyError
from zcontrol.nginx_lookup.lookup import Sources
from zcontrol.v1 import config_pb2
from zcontrol.web.listening import listen

if TYPE_CHECKING:
    from zcontrol.web.http_server import HttpServer

log = structlog.get_logger(__name__)


class ListenError(ZproxyError):
    """Nobody can listen there; the text says where and what to do."""


@final
@dataclass(slots=True, kw_only=True)
class Prepared:
    """A config that can be served; not served yet."""

    config: config_pb2.NginxLookup
    # None: nobody shall listen.
    listening: socket.socket | None = None
    tls: ssl.SSLContext | None = None
    # Whether the socket was bound for this config, and serves nobody yet.
    unused: bool = False

    def close(self) -> None:
        """Give back what was bound, unless it has come into use."""
        if self.unused and self.listening:
            self.listening.close()


@final
class NginxLookup:
    """What listens, if anything."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._config = config_pb2.NginxLookup()
        self._listening: socket.socket | None = None
        self._server: HttpServer | None = None

    @property
    def address(self) -> str:
        """As bound; empty: nobody listens."""
        if self._listening is None:
            return ""
        host, port = self._listening.getsockname()[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def prepare(self, config: config_pb2.NginxLookup) -> Prepared:
        """Bind what is to be bound and read the certificate; raises `ListenError`, and nothing has changed then."""
        if not config.address:
            return Prepared(config=config)
        tls = _tls(config)
        if self._listening and config.address == self._config.address:
            return Prepared(config=config, listening=self._listening, tls=tls)
        try:
            listening = listen(config.address)
        except OSError as error:
            raise ListenError(
                f"nginx_lookup.address: cannot listen on {config.address}: {error}; free it, or choose another"
            ) from error
        return Prepared(config=config, listening=listening, tls=tls, unused=True)

    async def take(self, prepared: Prepared) -> None:
        """Serve this from now on, and let the questions under way end by the rules they came under."""
        prepared.unused = False
        before, listening = self._server, self._listening
        self._config, self._listening, self._server = prepared.config, prepared.listening, None
        if prepared.listening:
            self._server = self._serve(prepared, prepared.listening)
            log.info("nginx_lookup serves", address=self.address, tls=prepared.tls is not None)
        if before:
            await before.stop()
        if listening and listening is not prepared.listening:
            listening.close()

    async def stop(self) -> None:
        """Listen no more."""
        await self.take(Prepared(config=config_pb2.NginxLookup()))
        await self._sources.places.addresses.close()

    def _serve(self, prepared: Prepared, listening: socket.socket) -> "HttpServer":
        from zcontrol.nginx_lookup.app import serve  # noqa: PLC0415 - its server loads slowly, and few have proxies

        return serve(prepared.config, self._sources, listening, prepared.tls)


def _tls(config: config_pb2.NginxLookup) -> ssl.SSLContext | None:
    if not config.certificate_file:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(config.certificate_file, config.key_file)
    except OSError as error:
        raise ListenError(
            f"nginx_lookup.certificate_file: {config.certificate_file} with key {config.key_file}: {error}; name a "
            "certificate and its key, both PEM"
        ) from error
    return context
