"""Passwords, proved by an LDAP bind as the very entry that the directory finds by the login now.

The look-up is the directory's own, in batches with all others: what it says of the account holds here too.
"""

from typing import Final, final

from zcontrol.directory.base import Found
from zcontrol.directory.ldap_binds import Binds, Bound
from zcontrol.errors import DirectoryError, UnusableNameError
from zcontrol.routing.resolver import Resolver
from zcontrol.security.verify import Verifier, fault, objection, refused, verified
from zcontrol.v1 import route_pb2


@final
class LdapBindVerifier(Verifier):
    """Looks up and binds; the resolver is its owner's to close."""

    passwords = True

    def __init__(self, resolver: Resolver, binds: Binds) -> None:
        self._resolver: Final = resolver
        self._binds: Final = binds

    async def verify(self, proof: route_pb2.Proof) -> route_pb2.Verdict:
        """Bind as the account's entry, if it may log in by a password at all."""
        try:
            found = await self._find(proof.question)
            if found is None:
                return refused("the directory knows nobody of that name")
            return _objection(found, proof) or _told(found, await self._binds.bind(found.dn, proof.password))
        except UnusableNameError as error:
            return refused(f"nobody's name: {error}")
        except DirectoryError as error:
            return fault(str(error))

    async def close(self) -> None:
        """Let binds end."""
        await self._binds.close()

    async def _find(self, question: route_pb2.Question) -> Found | None:
        qualified = self._resolver.names.qualify(question.login, question.virtual_host, question.local_address)
        learned = await self._resolver.ask(qualified)
        if isinstance(learned.said, DirectoryError):
            raise learned.said
        return learned.found


def _objection(found: Found, proof: route_pb2.Proof) -> route_pb2.Verdict | None:
    """What speaks against a bind, whatever the password is."""
    if proof.account and found.account != proof.account:
        return refused(f"the name has come to mean {found.account} since it was routed as {proof.account}")
    if against := objection(found.account, found.status):
        return against
    return fault(found.no_bind) if found.no_bind else None


def _told(found: Found, bound: Bound) -> route_pb2.Verdict:
    match bound:
        case Bound.RIGHT:
            return verified(found.account)
        case Bound.WRONG:
            return refused("wrong password")
        case Bound.EXPIRED:
            return refused("the password has expired, or must be changed first", expired=True)
        case Bound.LOCKED:
            return refused("the account is locked by the directory's password policy")
