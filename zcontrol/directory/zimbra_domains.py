"""Zimbra's domains: few, asked for with every account, and so kept for a while.

What is kept too long is served only while LDAP cannot be reached.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, final

from zcontrol.directory.base import BATCH
from zcontrol.directory.ldap_accounts import networks
from zcontrol.directory.ldap_connection import Entry
from zcontrol.directory.ldap_replicas import Replicas
from zcontrol.directory.ldap_request import equal, parsed
from zcontrol.directory.ldap_search import Lookup
from zcontrol.errors import DirectoryError, DirectoryUnavailableError, UnusableNameError
from zcontrol.routing.names import canonical_domain, canonical_host


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


@final
class Domains:
    """Domains by name, by id, and by virtual host or address; for use by several threads."""

    def __init__(self, replicas: Replicas, base: str, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._by_name = _Kept(_lookup(replicas, base, NAME), _names, monotonic)
        self._by_id = _Kept(_lookup(replicas, base, ID), _ids, monotonic)
        self._by_host = _Kept(_lookup(replicas, base, HOSTNAME, ADDRESS), _hosts, monotonic)

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


@final
class _Kept:
    """Answers by one kind of value, the unknown included."""

    def __init__(
        self, lookup: Lookup, own_values: Callable[[Entry], Iterable[str]], monotonic: Callable[[], float]
    ) -> None:
        self._lookup = lookup
        self._own_values = own_values
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._answers: OrderedDict[str, tuple[float, Domain | None]] = OrderedDict()
        # Counts `forget`, so that what was asked before is not kept after.
        self._generation = 0

    def find(self, values: Iterable[str]) -> dict[str, Domain | DirectoryError]:
        wanted = list(dict.fromkeys(values))
        with self._lock:
            known = {value: self._answers[value] for value in wanted if value in self._answers}
            generation = self._generation
        fresh_since = self._monotonic() - KEPT_SECONDS
        missing = [value for value in wanted if value not in known or known[value][0] < fresh_since]
        answers: dict[str, Domain | DirectoryError | None] = {value: domain for value, (_, domain) in known.items()}
        for start in range(0, len(missing), BATCH):
            asked = self._ask(missing[start : start + BATCH], generation)
            answers |= {
                value: answer
                for value, answer in asked.items()
                if value not in known or not isinstance(answer, DirectoryUnavailableError)
            }
        return {value: answer for value, answer in answers.items() if answer}

    def forget(self) -> None:
        with self._lock:
            self._answers.clear()
            self._generation += 1

    def _ask(self, values: Sequence[str], generation: int) -> dict[str, Domain | DirectoryError | None]:
        asked: dict[str, Domain | DirectoryError | None] = dict.fromkeys(values)
        for part, entries in self._lookup.find(values):
            if isinstance(entries, DirectoryError):
                asked.update(dict.fromkeys(part, entries))
                continue
            for entry in entries:
                for value in set(self._own_values(entry)) & set(part):
                    twice = DirectoryError(f"two domains have {value}, one is {entry.name}")
                    asked[value] = twice if asked[value] else _domain(entry)
        self._keep(asked, generation)
        return asked

    def _keep(self, asked: Mapping[str, Domain | DirectoryError | None], generation: int) -> None:
        now = self._monotonic()
        with self._lock:
            if generation != self._generation:
                return
            for value, answer in asked.items():
                if not isinstance(answer, DirectoryError):
                    self._answers[value] = (now, answer)
                    self._answers.move_to_end(value)
            while len(self._answers) > KEPT_ANSWERS:
                self._answers.popitem(last=False)


def _lookup(replicas: Replicas, base: str, *attributes: str) -> Lookup:
    return Lookup(
        replicas=replicas,
        base=base,
        filters=lambda value: [equal(attribute, value) for attribute in attributes],
        restriction=parsed("(objectClass=zimbraDomain)"),
        attributes=(NAME, ID, TYPE, TARGET_NAME, TARGET_ID, HOSTNAME, ADDRESS, ALLOWED, MECHANISM),
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
        )
    except UnusableNameError as error:
        return DirectoryError(f"{entry.name}: {error}")
    except DirectoryError as error:
        return error


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
MECHANISM: Final = "zimbraAuthMech"
# The mechanism by which Zimbra binds itself.
OWN_MECHANISM: Final = "zimbra"
ELSEWHERE_MEND: Final = "its passwords are not in this directory, let the backend check them (login_style replay)"
# As a route's soft TTL: a domain's rules are part of routes.
KEPT_SECONDS: Final = 600
# Names of hosts and domains are cheap to invent.
KEPT_ANSWERS: Final = 10_000
