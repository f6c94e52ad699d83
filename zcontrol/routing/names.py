"""Names: from what a client typed to the one form that caches, limits, hashing and records use.

The only place that normalises and qualifies. It knows the operator's rules, not the directory: a bare name that only
the directory can qualify (by its own virtual hosts) leaves here as a `Qualified` with `hosts`.
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from ipaddress import IPv6Address, ip_address
from typing import Final, NamedTuple

from zcontrol.errors import UnqualifiedNameError, UnusableNameError
from zcontrol.v1 import config_pb2

# As the edge's own limit; decorations such as `/tb` and UTF-8 leave room for four addresses of RFC 5321, 4.5.3.1.
MAX_NAME_OCTETS: Final = 1024


class Qualified(NamedTuple):
    """A normalised login, as far as the operator's rules lead."""

    # `user@domain`; an account id where the directory logs in by id; without `@` and with `hosts` if unsettled.
    name: str
    # What may qualify a bare name by the directory's virtual hosts, in order; empty: nothing is left to ask.
    hosts: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """The canonical question, under which an answer is cached."""
        # Names and hosts are free of controls, so that LF cannot make two questions look alike.
        return "\n".join((self.name, *self.hosts)) if self.hosts else self.name


class Names:
    """The operator's rules, applied in a fixed order until nothing changes: a normalised name stays as it is."""

    def __init__(
        self, config: config_pb2.Names, *, directory_has_hosts: bool = False, directory_has_ids: bool = False
    ) -> None:
        # Empty: none.
        self.default_domain: Final = canonical_domain(config.default_domain) if config.default_domain else ""
        self._by_host = {
            canonical_host(host): canonical_domain(rule.domain) for rule in config.virtual_hosts for host in rule.hosts
        }
        self._detail = config.detail_separator.casefold()
        self._suffixes = tuple(fold(suffix) for suffix in config.strip_suffixes)
        self._windows = {fold(short): canonical_domain(domain) for short, domain in config.windows_domains.items()}
        self._domain_aliases = _followed(config.domain_aliases)
        self._directory_has_hosts = directory_has_hosts
        self._directory_has_ids = directory_has_ids

    def qualify(
        self, login: bytes, virtual_host: str = "", local_address: str = "", *, steps: list[str] | None = None
    ) -> Qualified:
        """Normalise and qualify what a client typed; `steps` collects a sentence for each thing done."""
        if len(login) > MAX_NAME_OCTETS:
            raise UnusableNameError(f"longer than {MAX_NAME_OCTETS} octets")
        try:
            typed = login.decode()
        except UnicodeDecodeError as error:
            raise UnusableNameError("not UTF-8") from error
        name = self._apply_rules(fold(typed))
        if steps is not None:
            steps.append(f"typed {typed!r}, by case, Unicode and rules {name!r}")
        local, at, domain = name.rpartition("@")
        if at:
            qualified = self.with_domain(local, canonical_domain(domain))
        else:
            qualified = self._qualify_bare(name, virtual_host, local_address)
        if steps is not None:
            steps.append(self._told(name, qualified, (virtual_host, local_address)))
        return qualified

    def vouched(self, name: str) -> Qualified:
        """Qualify a name by which an issuer of tokens tells people apart; case alone may be spelled otherwise.

        Whoever has himself called `siti+x` there, or a full-width `siti`, is another than Siti, and must not be to us.
        """
        folded = fold(name)
        ruled = self._apply_rules(folded)
        local, _, domain = ruled.rpartition("@")
        by_rules = ruled == folded or (local and local == folded.partition("\\")[2])
        by_unicode = folded == name.lower() and unicodedata.is_normalized("NFC", name)
        if not by_rules or not by_unicode or ("@" in folded and not _is_spelled_once(domain)):
            raise UnusableNameError("only our own rules or Unicode's make it the name of an account")
        return self.qualify(name.encode())

    def with_domain(self, local: str, domain: str) -> Qualified:
        """Qualify a bare name by a domain, or by the domain that this one is an alias of."""
        return Qualified(_bounded(f"{local}@{self._domain_aliases.get(domain, domain)}"))

    def real_domain(self, domain: str) -> str:
        """The domain itself, or the one that the operator made it an alias of."""
        return self._domain_aliases.get(domain, domain)

    def by_default(self, local: str) -> Qualified:
        """Qualify a bare name that no virtual host claimed."""
        if not self.default_domain:
            raise UnqualifiedNameError("has no domain, and nothing qualifies it (see names.default_domain)")
        return self.with_domain(local, self.default_domain)

    def _apply_rules(self, name: str) -> str:
        r"""Suffixes, `DOMAIN\user` and detail, again until a round changes nothing: each one shortens the name."""
        while True:
            before = name
            for suffix in self._suffixes:
                name = name.removesuffix(suffix).rstrip(" ")
            local, at, domain = name.rpartition("@")
            if not at:
                local, domain = domain, ""
                short, backslash, user = local.partition("\\")
                if backslash and short in self._windows:
                    local, at, domain = user, "@", self._windows[short]
            # A name that begins with the separator is all detail: it stays, and is nobody's.
            if self._detail and (end := local.find(self._detail, 1)) > 0:
                local = local[:end]
            name = f"{local}{at}{domain}"
            if not local:
                raise UnusableNameError("empty")
            if name == before:
                return name

    def _qualify_bare(self, name: str, virtual_host: str, local_address: str) -> Qualified:
        if self._directory_has_ids and _ACCOUNT_ID.fullmatch(name):
            return Qualified(name)
        hosts = tuple(canonical_host(host) for host in (virtual_host, local_address) if host)
        if not self._directory_has_hosts:
            hosts = tuple(host for host in hosts if host in self._by_host)
        if not hosts:
            return self.by_default(name)
        if hosts[0] in self._by_host:
            return self.with_domain(name, self._by_host[hosts[0]])
        return Qualified(name, hosts)

    def _told(self, name: str, qualified: Qualified, hosts: Sequence[str]) -> str:
        """Which rule made the qualified name of a normalised one."""
        if qualified.hosts:
            return f"bare; the directory may qualify it by {' or '.join(qualified.hosts)}"
        if "@" not in qualified.name:
            return f"an account id: {qualified.name}"
        if "@" in name:
            rule, domain = "as typed", canonical_domain(name.rpartition("@")[2])
        elif host := next((host for host in map(canonical_host, hosts) if host in self._by_host), ""):
            rule, domain = f"by virtual host {host}", self._by_host[host]
        else:
            rule, domain = "by the default domain", self.default_domain
        real = self.real_domain(domain)
        alias = f"; {domain} is an alias of {real}" if domain != real else ""
        return f"qualified {rule}{alias}: {qualified.name}"

    def domain_of_host(self, host: str) -> str | None:
        """The domain that the operator gave to a virtual host or address."""
        return self._by_host.get(host)


def canonical(name: str) -> str:
    """One form for all spellings of `user@domain`, without any rule: for names that a directory tells."""
    local, at, domain = fold(name).rpartition("@")
    return _bounded(f"{local}@{canonical_domain(domain)}" if at else domain)


def fold(text: str) -> str:
    """Case, compatibility forms and outer spaces; refuses controls, format characters and what is not assigned."""
    folded = text.lower().strip(" ") if text.isascii() else _fold_unicode(text)
    if not folded.isprintable():
        raise UnusableNameError("has a control or invisible character")
    return folded


def canonical_domain(domain: str) -> str:
    """A domain in its ASCII form, lower case, without the root's dot."""
    domain = fold(domain).rstrip(".")
    if not domain.isascii():
        try:
            domain = domain.encode("idna").decode("ascii").lower().rstrip(".")
        except UnicodeError as error:
            raise UnusableNameError("its domain is no host name") from error
    if not domain or " " in domain:
        raise UnusableNameError("its domain is no host name")
    return domain


def _is_spelled_once(domain: str) -> bool:
    """Whether a domain is the ASCII form, or what this form stands for."""
    form = canonical_domain(domain)
    try:
        return domain in (form, form.encode().decode("idna"))
    except UnicodeError:
        return False


def canonical_host(host: str) -> str:
    """A virtual host's name or an address of ours, in one spelling; what is neither is kept as it is."""
    try:
        address = ip_address(host.strip("[]"))
    except ValueError:
        return "".join(filter(str.isprintable, host.lower())).rstrip(".")
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(address)


def _fold_unicode(text: str) -> str:
    # Folding can make what normalisation composes again and the reverse, so both until nothing changes (UAX 15, 31).
    for _ in range(_FOLD_ROUNDS):
        folded = unicodedata.normalize("NFKC", text.casefold()).strip()
        if folded == text:
            return folded
        text = folded
    raise UnusableNameError("has no stable Unicode form")


def _bounded(name: str) -> str:
    if len(name) * 4 > MAX_NAME_OCTETS and len(name.encode()) > MAX_NAME_OCTETS:
        raise UnusableNameError(f"normalised, longer than {MAX_NAME_OCTETS} octets")
    return name


def _followed(aliases: Mapping[str, str]) -> dict[str, str]:
    """Alias domain to the domain at the end of its chain; a circle ends where it closes."""
    step = {canonical_domain(alias): canonical_domain(real) for alias, real in aliases.items()}
    ends = {}
    for alias, first in step.items():
        end, seen = first, {alias}
        while end in step and end not in seen:
            seen.add(end)
            end = step[end]
        ends[alias] = end
    return ends


# zimbraId and entryUUID are UUIDs (RFC 9562); nothing else without `@` is taken for an id.
_ACCOUNT_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
# Real text settles in two.
_FOLD_ROUNDS: Final = 6
