"""Replicas of an LDAP directory: a connection a thread, the first healthy replica in the operator's order.

One that fails is left alone for a while and then tried in the background, so that no look-up waits for a dead host
while another answers. What a replica says about an entry is for others to judge; here is only whether it could say it.
"""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Final, final

import structlog

from zcontrol import metrics
from zcontrol.breaker import Breaker
from zcontrol.directory.ldap_connection import LdapConnection, LdapServer, Result
from zcontrol.directory.ldap_request import Request
from zcontrol.errors import DirectoryError, DirectoryUnavailableError
from zcontrol.v1 import config_pb2

log = structlog.get_logger(__name__)


@final
class Replicas:
    """The servers of one directory, for use by several threads."""

    def __init__(self, config: config_pb2.LdapDirectory) -> None:
        """Connects to nobody yet; raises `DirectoryError` if the config can lead nowhere."""
        self.timeout_seconds: Final = config.timeout.ToTimedelta().total_seconds() or DEFAULT_TIMEOUT_SECONDS
        if not config.urls:
            raise DirectoryError("directory.ldap.urls is empty: name at least one server")
        self._replicas = [_Replica(LdapServer(url, config, self.timeout_seconds)) for url in config.urls]
        self._lock = threading.Lock()
        self._own = _Own()
        self._open: set[LdapConnection] = set()
        self._probes = ThreadPoolExecutor(1, thread_name_prefix="ldap probe")

    def ask(self, request: Request) -> Result:
        """Ask the first replica that can answer; raises `DirectoryUnavailableError` if none can."""
        asked: _Replica | None = None
        for replica in self._candidates(request):
            answer = self._judge(replica, request, partial(self._ask, replica, request))
            if isinstance(answer, Result):
                return answer
            asked = replica
        when = "" if asked else ", each failed a moment ago"
        last = asked or max(self._replicas, key=lambda replica: replica.failed_at)
        raise DirectoryUnavailableError(f"no LDAP server can answer{when}: {last.server.url}: {last.reason}")

    def probe(self, request: Request) -> list[Future[Result | None]]:
        """Ask each replica in the background, so that the log tells what is wrong with it and what to do."""
        return [self._submit_probe(replica, request) for replica in self._replicas]

    def close(self) -> None:
        """Close what threads, idle by now, have left open."""
        self._probes.shutdown(cancel_futures=True)
        with self._lock:
            for connection in self._open:
                connection.close()
            self._open.clear()

    def _candidates(self, request: Request) -> Iterator["_Replica"]:
        """The healthy in order; without any, those whose rest is over, which else are tried in the background."""
        with self._lock:
            healthy = [replica for replica in self._replicas if replica.breaker.closed]
            due = [replica for replica in self._replicas if not replica.breaker.closed and replica.breaker.allows()]
        if not healthy:
            yield from due
            return
        for replica in due:
            self._submit_probe(replica, request.probe)
        yield from healthy

    def _submit_probe(self, replica: "_Replica", request: Request) -> Future[Result | None]:
        return self._probes.submit(self._judge, replica, request, partial(_probe, replica, request))

    def _judge(self, replica: "_Replica", request: Request, ask: Callable[[], Result]) -> Result | None:
        """The answer, if there is one; the replica's breaker learns of either, and keeps why there is none."""
        try:
            result = ask()
        except Exception as error:  # noqa: BLE001 - what a broken server sends breaks ldap3 in any way
            reason = str(error) or repr(error)
        else:
            if result.code not in request.unwell:
                self._succeeded(replica)
                return result
            reason = f"the {request.name} ended with {result.description}; {request.unwell[result.code]}"
        self._failed(replica, reason)
        return None

    def _ask(self, replica: "_Replica", request: Request) -> Result:
        if connection := self._reusable(replica):
            try:
                return connection.ask(request)
            except TimeoutError:
                self._drop()
                raise
            except Exception as error:  # noqa: BLE001 - as in `_judge`
                # The server may have closed an idle connection, which says nothing about the server: once more.
                log.debug("LDAP connection is gone", server=replica.server.url, reason=str(error))
                self._drop()
        connection = self._connect(replica)
        try:
            return connection.ask(request)
        except Exception:
            self._drop()
            raise

    def _reusable(self, replica: "_Replica") -> LdapConnection | None:
        """The thread's own connection, if it leads to that replica."""
        if self._own.connection and self._own.replica is not replica:
            self._drop()
        return self._own.connection

    def _connect(self, replica: "_Replica") -> LdapConnection:
        connection = replica.server.connect()
        self._own.replica, self._own.connection = replica, connection
        with self._lock:
            self._open.add(connection)
        return connection

    def _drop(self) -> None:
        connection, self._own.connection = self._own.connection, None
        if connection:
            with self._lock:
                self._open.discard(connection)
            connection.close()

    def _succeeded(self, replica: "_Replica") -> None:
        if replica.breaker.closed:
            return
        with self._lock:
            replica.breaker.succeeded()
        log.info("LDAP server answers again", server=replica.server.url)

    def _failed(self, replica: "_Replica", reason: str) -> None:
        metrics.DIRECTORY_FAILURES.labels(replica.server.url).inc()
        with self._lock:
            news = replica.breaker.closed
            replica.breaker.failed()
            replica.reason, replica.failed_at = reason, time.monotonic()
        if news:
            log.warning("LDAP server fails and is left alone for a while", server=replica.server.url, reason=reason)


@final
class _Replica:
    """A server, and whether it may be asked."""

    def __init__(self, server: LdapServer) -> None:
        self.server: Final = server
        self.breaker: Final = Breaker()
        # Of its last failure, for who is turned away while it is left alone.
        self.reason = ""
        self.failed_at = 0.0


@final
class _Own(threading.local):
    """A thread's own connection."""

    def __init__(self) -> None:
        self.replica: _Replica | None = None
        self.connection: LdapConnection | None = None


def _probe(replica: _Replica, request: Request) -> Result:
    """Ask on a connection of its own."""
    connection = replica.server.connect()
    try:
        return connection.ask(request)
    finally:
        connection.close()


DEFAULT_TIMEOUT_SECONDS: Final = 2.0
