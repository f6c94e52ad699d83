"""Passwords proved by nginx's auth_http: the server is asked at each login, and says where that login goes and as whom.

Nothing of an answer is kept: it is good for the login that was asked about.
"""

from typing import Final, Self, final

from zcontrol.directory.auth_http import AuthHttpDirectory
from zcontrol.directory.auth_http_request import Question
from zcontrol.directory.base import Directory
from zcontrol.errors import DirectoryError
from zcontrol.fault import shown
from zcontrol.security.verify import Verifier, fault, refused
from zcontrol.v1 import route_pb2


@final
class AuthHttpVerifier(Verifier):
    """Asks the servers of a directory in verify mode, which closes them."""

    passwords = True

    def __init__(self, directory: AuthHttpDirectory) -> None:
        self._directory = directory

    @classmethod
    def of(cls, directory: Directory) -> Self:
        """By the directory that a config in verify mode has opened."""
        if not isinstance(directory, AuthHttpDirectory):
            raise TypeError(f"no auth_http directory: {type(directory).__name__}")
        return cls(directory)

    async def verify(self, proof: route_pb2.Proof) -> route_pb2.Verdict:
        """What the server says of name and password."""
        if not proof.account:
            return fault("auth_http is asked about accounts, and the login has none")
        question = Question(
            user=proof.account,
            protocol=AS_NGINX_CALLS_IT.get(proof.service, proof.service),
            client_address=proof.client_address,
            password=proof.password,
            attempt=proof.attempt,
            tls=bool(proof.tls_version),
            ehlo=proof.ehlo,
        )
        try:
            answer = await self._directory.ask(question)
            if answer.good:
                return route_pb2.Verdict(
                    verified=route_pb2.Verified(
                        account=proof.account,
                        home=await self._directory.home(answer),
                        backend_login=answer.user,
                        backend_password=answer.password,
                    )
                )
        except DirectoryError as error:
            return fault(str(error))
        said = f"auth_http says {shown(answer.status)}"
        return fault(said) if self._directory.could_not_tell(answer, proof.account) else refused(said)


AS_NGINX_CALLS_IT: Final = {"submission": "smtp"}
