"""Binds as others, to see whether their passwords are right: on connections used for nothing else, one at a time each.

Who binds there is nobody as far as searches are concerned: a connection is left bound as whoever came last.
"""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from enum import Enum, auto
from typing import Final, final

from ldap3.core import results

from zcontrol.directory.ldap_connection import Result
from zcontrol.directory.ldap_replicas import Replicas
from zcontrol.directory.ldap_request import Bind
from zcontrol.errors import DirectoryError, DirectoryUnavailableError
from zcontrol.v1 import config_pb2


class Bound(Enum):
    """How a bind ended."""

    RIGHT = auto()
    WRONG = auto()
    # The right password, that has expired or must be changed first.
    EXPIRED = auto()
    # Whatever the password is.
    LOCKED = auto()


@final
class Binds:
    """A bounded pool of connections, each with a thread, and a bounded queue before it."""

    def __init__(self, directory: config_pb2.LdapDirectory, config: config_pb2.VerifyLdap) -> None:
        """Connects to nobody yet; raises `DirectoryError` if the config can lead nowhere."""
        as_nobody = config_pb2.LdapDirectory()
        as_nobody.CopyFrom(directory)
        as_nobody.ClearField("bind_dn")
        as_nobody.ClearField("bind_password")
        connections = config.connections or DEFAULT_CONNECTIONS
        self._room: Final = connections + (config.waiting or DEFAULT_WAITING)
        self._timeout: Final = config.timeout.ToTimedelta().total_seconds() or DEFAULT_TIMEOUT_SECONDS
        self._replicas = Replicas(as_nobody)
        self._threads = ThreadPoolExecutor(connections, thread_name_prefix="ldap bind")
        self._asking = 0

    async def bind(self, dn: str, password: bytes) -> Bound:
        """Whether the password is that entry's; raises `DirectoryError` if the servers do not tell."""
        if not dn or not password:
            # RFC 4513, 5.1.1 and 5.1.2: a success that proves nothing.
            raise ValueError("a bind needs a name and a password")
        if self._asking >= self._room:
            mend = "raise verify.ldap.connections, or see why the servers are slow"
            raise DirectoryUnavailableError(f"{self._asking} binds are under way or wait: {mend}")
        self._asking += 1
        try:
            async with asyncio.timeout(self._timeout):
                return await asyncio.get_running_loop().run_in_executor(
                    self._threads, self._bind, Bind(dn=dn, password=password), time.monotonic() + self._timeout
                )
        except TimeoutError:
            mend = "see why the servers are slow, or raise verify.ldap.timeout or connections"
            raise DirectoryUnavailableError(f"no answer to a bind within {self._timeout:g} s: {mend}") from None
        finally:
            self._asking -= 1

    async def close(self) -> None:
        """Let binds end, then close connections and threads."""
        await asyncio.to_thread(self._threads.shutdown)
        await asyncio.to_thread(self._replicas.close)

    def _bind(self, bind: Bind, until: float) -> Bound:
        """In a thread."""
        if time.monotonic() > until:
            raise DirectoryUnavailableError("whoever asked has left")
        return judged(self._replicas.ask(bind))


def judged(result: Result) -> Bound:
    """What the answer to a bind means; raises `DirectoryError` where that is nothing."""
    error = _policy_error(result.policy or b"")
    match result.code:
        case results.RESULT_SUCCESS if error == CHANGE_AFTER_RESET:
            # The session is good for a change of the password alone (draft-behera, 8.1.2.2).
            return Bound.EXPIRED
        case results.RESULT_SUCCESS:
            return Bound.RIGHT
        case results.RESULT_INVALID_CREDENTIALS if error == PASSWORD_EXPIRED:
            return Bound.EXPIRED
        case results.RESULT_INVALID_CREDENTIALS if error == ACCOUNT_LOCKED:
            return Bound.LOCKED
        case results.RESULT_INVALID_CREDENTIALS:
            return Bound.WRONG
        case _:
            raise DirectoryError(f"the LDAP bind ended with {result.description}; look at that server's log")


def _policy_error(value: bytes) -> int | None:
    """`error` of a PasswordPolicyResponseValue (draft-behera, 6.2): [0] warning OPTIONAL, [1] error OPTIONAL."""
    # Both are small, so that every length has the short form; what has not is no such value.
    rest = value[2:]
    while len(rest) > 2:  # noqa: PLR2004 - tag and length
        tag, length = rest[0], rest[1]
        if tag == ERROR_TAG and length == 1:
            return rest[2]
        rest = rest[2 + length :]
    return None


DEFAULT_CONNECTIONS: Final = 8
DEFAULT_WAITING: Final = 1000
DEFAULT_TIMEOUT_SECONDS: Final = 3.0
ERROR_TAG: Final = 0x81
PASSWORD_EXPIRED: Final = 0
ACCOUNT_LOCKED: Final = 1
CHANGE_AFTER_RESET: Final = 2
