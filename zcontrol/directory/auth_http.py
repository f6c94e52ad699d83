"""Accounts by nginx's auth_http: a server that was made for nginx's or Zimbra's proxy says where each name lives.

In lookup mode it is asked as Zimbra's proxy asks, without the password. In verify mode nobody is asked here: every name
has a route that sends whoever logs in to `zcontrol.security.auth_http` first.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, final

from zcontrol.directory.auth_http_answer import Answer
from zcontrol.directory.auth_http_homes import AnsweredHomes
from zcontrol.directory.auth_http_request import Question
from zcontrol.directory.auth_http_servers import Servers
from zcontrol.directory.base import Directory, Found, Outcome
from zcontrol.errors import DirectoryError, UnusableNameError
from zcontrol.fault import shown
from zcontrol.pool.addresses import Addresses
from zcontrol.routing.names import canonical
from zcontrol.v1 import config_pb2, pool_pb2


@final
class AuthHttpDirectory(Directory):
    """Asks a name at a time, as the protocol has it, several at once."""

    def __init__(self, config: config_pb2.AuthHttpDirectory, pool: Callable[[], pool_pb2.Pool]) -> None:
        """Connects to nobody yet; raises `DirectoryError` if the config can lead nowhere."""
        self.verifies: Final = config.mode == config_pb2.AUTH_HTTP_MODE_VERIFY
        self._servers = Servers(config)
        # A batch is done when its slowest name is; with one a connection none waits for want of a batch.
        self.concurrency = self._servers.connections
        self._addresses = Addresses()
        self._homes = AnsweredHomes(pool, config.homes, self._addresses)
        self._protocol = config.protocol or DEFAULT_PROTOCOL
        self._unknown = (*UNKNOWN, *(text.lower() for text in config.unknown_statuses))
        self._temporary = (*TEMPORARY, *(text.lower() for text in config.temporary_statuses))

    async def find(self, names: Sequence[str]) -> list[Outcome]:
        """Look up names."""
        if self.verifies:
            return [Found(account=name, verify=True) for name in names]
        return await asyncio.gather(*map(self._find, names))

    async def probe(self) -> None:
        """Ask every server for nothing."""
        await self._servers.probe()

    async def close(self) -> None:
        """Close connections."""
        await self._servers.close()
        await self._addresses.close()

    async def ask(self, question: Question) -> Answer:
        """What a server says; raises `DirectoryError`."""
        return await self._servers.ask(question)

    async def home(self, answer: Answer) -> str:
        """The backend or group that a good answer means; raises `DirectoryError`."""
        return await self._homes.match(answer.server, answer.port)

    def could_not_tell(self, answer: Answer, name: str) -> bool:
        """Whether an answer to a name's password, not a good one, says nothing about it."""
        return answer.temporary or answer.says(self._temporary, of=name)

    async def _find(self, name: str) -> Outcome:
        question = Question(
            user=name, protocol=self._protocol, client_address=NOBODYS_ADDRESS, password=PASSWORD_NOT_TOLD
        )
        try:
            answer = await self.ask(question)
            if answer.good:
                return _found(name, answer, await self.home(answer))
            if not answer.temporary and answer.says(self._unknown, of=name):
                return None
        except DirectoryError as error:
            return error
        return DirectoryError(
            f"auth_http says {shown(answer.status)}: if that means that nobody has the name, add it to directory."
            'auth_http.unknown_statuses; if the server checks passwords, set directory.auth_http.mode = "verify"'
        )


def _found(name: str, answer: Answer, home: str) -> Found | DirectoryError:
    """With a domain Auth-User is the account itself, without one only what the backend calls it."""
    try:
        account = canonical(answer.user) if "@" in answer.user else name
    except UnusableNameError as error:
        return DirectoryError(f"auth_http answered a name that nobody can have: Auth-User {error}")
    return Found(account=account, home=home, backend_login="" if answer.user in ("", account) else answer.user)


# As Zimbra's proxy has it.
PASSWORD_NOT_TOLD: Final = b"_password_"
# A route holds for whoever logs in, from wherever.
NOBODYS_ADDRESS: Final = "127.0.0.1"
DEFAULT_PROTOCOL: Final = "imap"
# What scripts say when they cannot tell.
TEMPORARY: Final = ("temporar", "try again", "unavailable", "internal")
# What Zimbra's look-up service and many scripts say of a name that nobody has, and of nothing else.
UNKNOWN: Final = ("user not found", "account not found", "domain not found for user", "no such user", "unknown user")
