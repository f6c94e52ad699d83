"""Zimbra's domains: by name, by id, and by virtual host or address."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, final

from zcontrol.directory.ldap_accounts import networks
from zcontrol.directory.ldap_connection import Entry
from zcontrol.directory.ldap_replicas import Replicas
from zcontrol.directory.ldap_request import equal, parsed
from zcontrol.directory.ldap_search import Lookup
from zcontrol.directory.status import account_status
from zcontrol.directory.zimbra_kept import Kept
from zcontrol.errors import DirectoryError, UnusableNameError
from zcontrol.routing.names import canonical_domain, canonical_host
from zcontrol.v1 import route_pb2


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Domain:
    """What a zimbraDomain says."""

    name: str
    # Of the domain that this one is an alias of; empty: none, or not told.
    target_name: str
    target_id: str
    # Networks in CIDR form; empty: any.
    allowed_nets: tuple[str, ...]
    # Why a bind as an entry of its accounts would prove nothing, and the mend; empty: it would.
    no_bind: str
    # The class of service of its accounts that name none; empty: the usual one.
    service_class: str
    status: route_pb2.AccountStatus.ValueType


@final
class Domains:
    """Domains by name, by id, and by virtual host or address; for use by several threads."""

    def __init__(self, replicas: Replicas, base: str, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._by_name = Kept(_lookup(replicas, base, NAME), _domain, _names, monotonic=monotonic)
        self._by_id = Kept(_lookup(replicas, base, ID), _domain, _ids, monotonic=monotonic)
        self._by_host = Kept(_lookup(replicas, base, HOSTNAME, ADDRESS), _domain, _hosts, monotonic=monotonic)

    def by_names(self, names: Iterable[str]) -> dict[str, Domain | DirectoryError]:
        """The domains of these names that exist, or why that cannot be said."""
        return self._by_name.find(names)

    def by_hosts(self, hosts: Sequence[str]) -> dict[str, str | DirectoryError]:
        """The domains' names by virtual host or address."""
        found = self._by_host.find(hosts).items()
        return {host: domain.name if isinstance(domain, Domain) else domain for host, domain in found}

    def target(self, alias: Domain) -> str | DirectoryError | None:
        """The name of the domain behind an alias domain; none: it is no alias, or of nothing."""
        if alias.target_name or not alias.target_id:
            return alias.target_name or None
        real = self._by_id.find([alias.target_id]).get(alias.target_id)
        return real.name if isinstance(real, Domain) else real

    def forget(self) -> None:
        """Ask again for everything."""
        for kept in (self._by_name, self._by_id, self._by_host):
            kept.forget()


def _lookup(replicas: Replicas, base: str, *attributes: str) -> Lookup:
    return Lookup(
        replicas=replicas,
        base=base,
        filters=lambda value: [equal(attribute, value) for attribute in attributes],
        restriction=parsed("(objectClass=zimbraDomain)"),
        attributes=(NAME, ID, TYPE, TARGET_NAME, TARGET_ID, HOSTNAME, ADDRESS, ALLOWED, MECHANISM, CLASS, STATUS),
    )


def _domain(entry: Entry) -> Domain | DirectoryError:
    alias = "alias" in map(str.lower, entry.texts(TYPE))
    target = next(iter(entry.texts(TARGET_NAME)), "") if alias else ""
    try:
        return Domain(
            name=canonical_domain(next(iter(entry.texts(NAME)), "")),
            target_name=canonical_domain(target) if target else "",
            target_id=next(iter(entry.texts(TARGET_ID)), "") if alias else "",
            allowed_nets=networks(entry, ALLOWED),
            no_bind=_no_bind(entry),
            service_class=next(iter(entry.texts(CLASS)), ""),
            status=account_status(next(iter(entry.texts(STATUS)), "")),
        )
    except (DirectoryError, UnusableNameError) as error:
        return DirectoryError(f"{entry.name}: {error}")


def _no_bind(entry: Entry) -> str:
    """Elsewhere than in Zimbra's own LDAP a password that an entry may still have is nobody's any more."""
    mechanism = next(iter(entry.texts(MECHANISM)), OWN_MECHANISM)
    if mechanism == OWN_MECHANISM:
        return ""
    return f"{MECHANISM} of the domain is {mechanism!r}: {ELSEWHERE_MEND}"


def _names(entry: Entry) -> Iterator[str]:
    for text in entry.texts(NAME):
        with suppress(UnusableNameError):
            yield canonical_domain(text)


def _ids(entry: Entry) -> list[str]:
    return entry.texts(ID)


def _hosts(entry: Entry) -> list[str]:
    return [canonical_host(text) for text in (*entry.texts(HOSTNAME), *entry.texts(ADDRESS))]


NAME: Final = "zimbraDomainName"
ID: Final = "zimbraId"
TYPE: Final = "zimbraDomainType"
TARGET_NAME: Final = "zimbraDomainAliasTargetName"
TARGET_ID: Final = "zimbraDomainAliasTargetId"
HOSTNAME: Final = "zimbraVirtualHostname"
ADDRESS: Final = "zimbraVirtualIPAddress"
ALLOWED: Final = "zimbraDomainAllowedIPs"
CLASS: Final = "zimbraDomainDefaultCOSId"
STATUS: Final = "zimbraDomainStatus"
MECHANISM: Final = "zimbraAuthMech"
# The mechanism by which Zimbra binds itself.
OWN_MECHANISM: Final = "zimbra"
ELSEWHERE_MEND: Final = "its passwords are not in this directory, let the backend check them (login_style replay)"
