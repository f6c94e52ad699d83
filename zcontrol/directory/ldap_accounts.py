"""Accounts in LDAP entries: which attribute says what, and which of the names asked for an entry answers."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_network
from typing import final

from zcontrol.directory.base import Found, Outcome
from zcontrol.directory.ldap_connection import Entry
from zcontrol.directory.ldap_request import equal
from zcontrol.directory.status import account_status
from zcontrol.errors import DirectoryError, UnusableNameError
from zcontrol.routing.names import canonical
from zcontrol.v1 import config_pb2


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class AccountAttributes:
    """The attributes of an account; an empty one is not read."""

    account: str
    aliases: tuple[str, ...]
    id: str
    home: str
    status: str = ""
    backend_login: str = ""
    may_act_as: str = ""
    # Those that say TRUE where a password alone is not to let anybody in.
    second_factors: tuple[str, ...] = ()
    # Of these the one that a class of service decides where the account does not, and the class.
    inherited_factor: str = ""
    service_class: str = ""

    def configured(self, config: config_pb2.LdapAttributes) -> "AccountAttributes":
        """These, save what the config names."""
        return replace(
            self,
            account=config.account or self.account,
            aliases=tuple(config.aliases) or self.aliases,
            id=config.id or self.id,
            home=config.home or self.home,
            status=config.status or self.status,
            backend_login=config.backend_login or self.backend_login,
            may_act_as=config.may_act_as or self.may_act_as,
        )

    def names(self) -> list[str]:
        """All that must be asked for."""
        single = (
            self.account,
            self.id,
            self.home,
            self.status,
            self.backend_login,
            self.may_act_as,
            self.service_class,
        )
        return list(dict.fromkeys(filter(None, (*single, *self.aliases, *self.second_factors))))

    def filters(self, name: str) -> list[bytes]:
        """What finds an account by a name, or by an id where that is what was asked for."""
        if "@" not in name:
            return [equal(self.id, name)]
        return [equal(attribute, name) for attribute in (self.account, *self.aliases)]

    def match(self, wanted: Iterable[str], entries: Sequence[Entry]) -> dict[str, Outcome]:
        """Give each name the entry that has it among its own values; two entries for a name refuse that name only."""
        outcomes: dict[str, Outcome] = dict.fromkeys(wanted)
        claimed: dict[str, str] = {}
        for entry in entries:
            answer = self._read(entry)
            for name in self._own_names(entry) & outcomes.keys():
                if name in claimed:
                    outcomes[name] = DirectoryError(f"two entries for {name}: {claimed[name]} and {entry.name}")
                else:
                    outcomes[name] = answer
                    claimed[name] = entry.name
        return outcomes

    def _own_names(self, entry: Entry) -> set[str]:
        names = {text.lower() for text in entry.texts(self.id)}
        for attribute in (self.account, *self.aliases):
            for text in entry.texts(attribute):
                try:
                    names.add(canonical(text))
                except UnusableNameError:
                    continue
        return names

    def _read(self, entry: Entry) -> Found | DirectoryError:
        try:
            return Found(
                account=canonical(_one(entry, self.account)),
                account_id=_first(entry, self.id).lower(),
                home=_first(entry, self.home),
                backend_login=_first(entry, self.backend_login),
                may_act_as=tuple(map(canonical, entry.texts(self.may_act_as))),
                status=account_status(_first(entry, self.status)),
                dn=entry.name,
                no_bind=self._no_bind(entry),
                service_class=self._service_class(entry),
            )
        except (DirectoryError, UnusableNameError) as error:
            return DirectoryError(f"{entry.name}: {error}")

    def _no_bind(self, entry: Entry) -> str:
        for attribute in self.second_factors:
            if "TRUE" in entry.texts(attribute):
                return second_factor(attribute)
        return ""

    def _service_class(self, entry: Entry) -> str | None:
        if not self.service_class or entry.texts(self.inherited_factor):
            return None
        return _first(entry, self.service_class)


def second_factor(attribute: str) -> str:
    """Why a bind proves nobody where an attribute asks for a second factor."""
    return f"{attribute} is TRUE, and a password is one factor: {SECOND_FACTOR_MEND}"


def networks(entry: Entry, attribute: str) -> tuple[str, ...]:
    """The networks or addresses that an attribute lists, in CIDR form; one that is neither raises."""
    try:
        return tuple(str(ip_network(text.strip(), strict=False)) for text in entry.texts(attribute))
    except ValueError as error:
        # Left out it could let everybody in.
        raise DirectoryError(f"{attribute}: {error}") from error


def _one(entry: Entry, attribute: str) -> str:
    texts = entry.texts(attribute)
    if len(texts) != 1:
        raise DirectoryError(f"{attribute} has {len(texts)} values; name a single-valued one in attributes.account")
    return texts[0]


def _first(entry: Entry, attribute: str) -> str:
    return next(iter(entry.texts(attribute)), "")


SECOND_FACTOR_MEND = "let it log in where the backend checks (login_style replay), or by a token"
GENERIC = AccountAttributes(account="mail", aliases=("mailAlternateAddress",), id="entryUUID", home="mailHost")
