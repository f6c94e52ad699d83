"""Zimbra's classes of service (COS), from which accounts inherit what they do not say themselves."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, final

from zcontrol.directory.ldap_accounts import second_factor
from zcontrol.directory.ldap_connection import Entry
from zcontrol.directory.ldap_replicas import Replicas
from zcontrol.directory.ldap_request import equal, parsed
from zcontrol.directory.ldap_search import Lookup
from zcontrol.directory.zimbra_kept import Kept
from zcontrol.errors import DirectoryError


@final
class Classes:
    """Whether classes ask for a second factor; for use by several threads."""

    def __init__(self, replicas: Replicas, base: str) -> None:
        self._kept = Kept(
            Lookup(
                replicas=replicas,
                base=base,
                filters=lambda value: [equal(ID, value), equal(NAME, value)],
                restriction=parsed("(objectClass=zimbraCOS)"),
                attributes=(ID, NAME, FACTOR),
            ),
            _class,
            lambda entry: (*entry.texts(ID), *entry.texts(NAME)),
        )

    def no_bind(self, classes: Iterable[str]) -> Mapping[str, str]:
        """By class, id or name: why a bind as one of its accounts would prove nothing; empty: it would."""
        wanted = set(classes)
        found = self._kept.find(wanted)
        return {name: _told(name, found.get(name)) for name in wanted}

    def forget(self) -> None:
        """Ask again for everything."""
        self._kept.forget()


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class _Class:
    """What a class says."""

    second_factor: bool


def _class(entry: Entry) -> _Class:
    return _Class(second_factor="TRUE" in entry.texts(FACTOR))


def _told(name: str, said: _Class | DirectoryError | None) -> str:
    if said is None:
        # It may ask for a second factor, and nobody would know.
        mend = "leave base and domain_base empty, or let bind_dn read cn=cos,cn=zimbra"
        return f"its class of service {name} is not below directory.ldap.domain_base: {mend}"
    if isinstance(said, DirectoryError):
        return f"its class of service cannot be read: {said}"
    return second_factor(f"{FACTOR} of its class of service {name}") if said.second_factor else ""


ID: Final = "zimbraId"
NAME: Final = "cn"
FACTOR: Final = "zimbraFeatureTwoFactorAuthRequired"
# The class of whoever names none, and whose domain names none.
USUAL: Final = "default"
