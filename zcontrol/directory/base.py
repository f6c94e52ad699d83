"""What a directory is: names in, accounts out, in batches where one bad name never fails its neighbours."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, final

from zcontrol.errors import DirectoryError
from zcontrol.v1 import route_pb2

# Names a batch: what an LDAP OR-filter carries well.
BATCH: Final = 64


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """An account, as the directory tells it; names are normalised already."""

    account: str
    # Stable across renames; empty: the directory has none.
    account_id: str = ""
    # In the directory's spelling; empty: the account has no home of its own.
    home: str = ""
    # Empty: the account.
    backend_login: str = ""
    may_act_as: tuple[str, ...] = ()
    status: route_pb2.AccountStatus.ValueType = route_pb2.ACCOUNT_STATUS_ACTIVE
    # Networks in CIDR form; empty: any.
    allowed_nets: tuple[str, ...] = ()
    # Whoever logs in is verified first, and the verdict says where to.
    verify: bool = False
    # LDAP only, and for control alone: the name of the entry.
    dn: str = ""
    # Why a bind as `dn` would not prove the account, and the mend; empty: it would.
    no_bind: str = ""
    # Zimbra only: the class of service that has a say in that; empty: the domain's; none: no class has.
    service_class: str | None = None


# An account, none of that name, or why the directory could not say.
Outcome = Found | DirectoryError | None


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What is different in the directory from now on."""

    # Names and ids of accounts that came, changed or went.
    accounts: frozenset[str] = field(default_factory=frozenset)
    # More than is worth listing.
    everything: bool = False


class Directory(ABC):
    """Where routes come from."""

    # Whether a bare account id is a login (`zimbraId`).
    has_ids: bool = False
    # Whether `domains_of` may know a host, i.e. virtual hosts are kept in the directory.
    has_hosts: bool = False
    # Batches it takes at the same time.
    concurrency: int = 1

    @abstractmethod
    async def find(self, names: Sequence[str]) -> list[Outcome]:
        """Look up at most `BATCH` normalised names or ids; the answers are in the same order.

        Never raises a `DirectoryError`: what goes wrong for a name, or for all, is in their places.
        """

    async def domains_of(self, hosts: Sequence[str]) -> Mapping[str, str | DirectoryError]:
        """The domains that the directory gives to these virtual hosts or addresses, or why it cannot say.

        Hosts it does not know are absent.
        """
        del hosts
        return {}

    async def has_domains(self, domains: Sequence[str]) -> Mapping[str, bool | DirectoryError]:
        """Whether it has accounts, or may have, in each of these domains, or why it cannot say.

        Absent are those that it can say nothing of, e.g. all of them where it only knows names.
        """
        del domains
        return {}

    async def probe(self) -> None:  # noqa: B027 - most directories have nothing to reach
        """Warn of what would keep look-ups from being answered, before anybody logs in."""

    def forget(self) -> None:  # noqa: B027 - most directories keep nothing
        """Keep nothing that was learned before now, e.g. of domains: an invalidation has come."""

    async def changes(self) -> AsyncIterator[Change]:
        """What changes, for as long as anybody listens; ends at once where the directory does not tell."""
        return
        yield

    @abstractmethod
    async def close(self) -> None:
        """Give back connections, files and threads."""
