"""Accounts in Zimbra's LDAP: as the generic preset, and what its domains add.

A name in an alias domain is looked up again in the domain behind it; bare names are qualified by virtual hosts and
addresses; a domain's status and allowed networks are part of each of its routes, and so hold on cache hits too. Domains
and classes of service may say that a password of an account's entry is not enough.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import final

from zcontrol.directory.base import Found, Outcome
from zcontrol.directory.ldap import LdapDirectory
from zcontrol.directory.ldap_accounts import AccountAttributes
from zcontrol.directory.zimbra_classes import FACTOR, USUAL, Classes
from zcontrol.directory.zimbra_domains import Domain, Domains
from zcontrol.errors import DirectoryError
from zcontrol.v1 import config_pb2, route_pb2


@final
class ZimbraDirectory(LdapDirectory):
    """The Zimbra preset."""

    has_ids = True
    has_hosts = True
    preset = AccountAttributes(
        account="zimbraMailDeliveryAddress",
        aliases=("zimbraMailAlias",),
        id="zimbraId",
        home="zimbraMailHost",
        status="zimbraAccountStatus",
        second_factors=("zimbraTwoFactorAuthEnabled", FACTOR),
        inherited_factor=FACTOR,
        service_class="zimbraCOSId",
    )
    # Distribution lists have aliases too.
    preset_filter = "(objectClass=zimbraAccount)"
    # Domains and classes of service have nothing above them all but the root.
    base_required = False

    def __init__(self, config: config_pb2.LdapDirectory) -> None:
        """As the generic preset."""
        super().__init__(config)
        self._domains = Domains(self._replicas, config.domain_base or config.base)
        self._classes = Classes(self._replicas, config.domain_base or config.base)

    async def domains_of(self, hosts: Sequence[str]) -> Mapping[str, str | DirectoryError]:
        """The domains whose zimbraVirtualHostname or zimbraVirtualIPAddress these are."""
        return await self._in_thread(self._domains.by_hosts, hosts)

    async def has_domains(self, domains: Sequence[str]) -> Mapping[str, bool | DirectoryError]:
        """Whether each of these is a zimbraDomain, be it an alias of another."""
        found = await self._in_thread(self._domains.by_names, domains)
        return {
            domain: error if isinstance(error := found.get(domain), DirectoryError) else error is not None
            for domain in domains
        }

    def forget(self) -> None:
        """Read domains and classes again."""
        self._domains.forget()
        self._classes.forget()

    def _find(self, names: Sequence[str]) -> dict[str, Outcome]:
        found = super()._find(names)
        self._follow_alias_domains(found)
        accounts = [outcome for outcome in found.values() if isinstance(outcome, Found)]
        domains = self._domains.by_names(_domain(account.account) for account in accounts)
        ruled = {
            name: _with_rules(outcome, domains.get(_domain(outcome.account))) if isinstance(outcome, Found) else outcome
            for name, outcome in found.items()
        }
        return self._with_classes(ruled)

    def _with_classes(self, found: dict[str, Outcome]) -> dict[str, Outcome]:
        """What classes of service have to say, where nothing else has spoken against binds."""
        open_to = {
            name: account.service_class
            for name, account in found.items()
            if isinstance(account, Found) and account.service_class is not None and not account.no_bind
        }
        told = self._classes.no_bind(open_to.values())
        return {
            name: replace(account, no_bind=told[open_to[name]])
            if isinstance(account, Found) and name in open_to
            else account
            for name, account in found.items()
        }

    def _follow_alias_domains(self, found: dict[str, Outcome]) -> None:
        """Look unknown names up again where their domain is an alias of another."""
        unknown = [name for name, outcome in found.items() if outcome is None and "@" in name]
        domains = self._domains.by_names(_domain(name) for name in unknown)
        again = {}
        for name in unknown:
            domain = domains.get(_domain(name))
            target = self._domains.target(domain) if isinstance(domain, Domain) else domain
            if isinstance(target, DirectoryError):
                # It may be somebody's name in the domain behind.
                found[name] = target
            elif target:
                again[name] = f"{name.rpartition('@')[0]}@{target}"
        behind = super()._find(list(dict.fromkeys(again.values()))) if again else {}
        found.update((name, behind[real]) for name, real in again.items())


def _with_rules(account: Found, domain: Domain | DirectoryError | None) -> Found | DirectoryError:
    """Without its domain's rules no account is let in."""
    if domain is None:
        return DirectoryError(f"the domain of {account.account} is not in the directory")
    if isinstance(domain, DirectoryError):
        return domain
    named = account.service_class
    return replace(
        account,
        allowed_nets=domain.allowed_nets,
        no_bind=account.no_bind or domain.no_bind,
        service_class=None if named is None else named or domain.service_class or USUAL,
        status=max(account.status, domain.status, key=_SEVERITY.index),
    )


def _domain(name: str) -> str:
    return name.rpartition("@")[2]


# Of an account and its domain the worse status holds.
_SEVERITY = (
    route_pb2.ACCOUNT_STATUS_ACTIVE,
    route_pb2.ACCOUNT_STATUS_MAINTENANCE,
    route_pb2.ACCOUNT_STATUS_LOCKED,
    route_pb2.ACCOUNT_STATUS_CLOSED,
)
