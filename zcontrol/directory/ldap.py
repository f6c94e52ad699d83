"""Accounts in LDAP, by the generic preset: one entry an account, wherever it is below the base."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from zcontrol.directory.base import Directory, Outcome
from zcontrol.directory.ldap_accounts import GENERIC, AccountAttributes
from zcontrol.directory.ldap_replicas import Replicas
from zcontrol.directory.ldap_request import Search, all_of, any_of, ends_with, parsed
from zcontrol.directory.ldap_search import Lookup
from zcontrol.errors import DirectoryError
from zcontrol.v1 import config_pb2

Answer = TypeVar("Answer")


class LdapDirectory(Directory):
    """Looks accounts up in threads, each with a connection of its own."""

    # What a preset is.
    preset: AccountAttributes = GENERIC
    preset_filter: str = ""
    base_required: bool = True

    def __init__(self, config: config_pb2.LdapDirectory) -> None:
        """Connects to nobody yet; raises `DirectoryError` if the config can lead nowhere."""
        if not config.base and self.base_required:
            raise DirectoryError("directory.ldap.base is empty: say where accounts are searched")
        self.concurrency = config.connections or DEFAULT_CONNECTIONS
        self._replicas = Replicas(config)
        self._threads = ThreadPoolExecutor(self.concurrency, thread_name_prefix="ldap")
        self._attributes = self.preset.configured(config.attributes)
        restriction = config.filter or self.preset_filter
        self._accounts = Lookup(
            replicas=self._replicas,
            base=config.base,
            filters=self._attributes.filters,
            restriction=parsed(restriction) if restriction else b"",
            attributes=self._attributes.names(),
        )

    async def find(self, names: Sequence[str]) -> list[Outcome]:
        """Look up names and ids."""
        found = await self._in_thread(self._find, names)
        return [found[name] for name in names]

    async def has_domains(self, domains: Sequence[str]) -> Mapping[str, bool | DirectoryError]:
        """Whether the name or an alias of any account ends with each of these."""
        return await self._in_thread(self._has_domains, domains)

    async def probe(self) -> None:
        """Bind to every replica and read the base there."""
        search = Search(
            base=self._accounts.base,
            filter=parsed(ANY_ENTRY),
            attributes=(NO_ATTRIBUTES,),
            size_limit=1,
            only_base=True,
        )
        await asyncio.wait(map(asyncio.wrap_future, self._replicas.probe(search)))

    async def close(self) -> None:
        """Let searches end, then close connections and threads."""
        await asyncio.to_thread(self._threads.shutdown)
        await asyncio.to_thread(self._replicas.close)

    async def _in_thread(self, work: Callable[[Sequence[str]], Answer], values: Sequence[str]) -> Answer:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, values)

    def _find(self, names: Sequence[str]) -> dict[str, Outcome]:
        """In a thread."""
        found: dict[str, Outcome] = {}
        for part, entries in self._accounts.find(names):
            if isinstance(entries, DirectoryError):
                found.update(dict.fromkeys(part, entries))
            else:
                found |= self._attributes.match(part, entries)
        return found

    def _has_domains(self, domains: Sequence[str]) -> dict[str, bool | DirectoryError]:
        """In a thread, a search each: nobody asks for many, and what an OR finds first may be one domain's alone."""
        return {domain: self._has_domain(domain) for domain in domains}

    def _has_domain(self, domain: str) -> bool | DirectoryError:
        ends = any_of(ends_with(name, f"@{domain}") for name in (self._attributes.account, *self._attributes.aliases))
        restriction = self._accounts.restriction
        search = Search(
            base=self._accounts.base,
            filter=all_of([restriction, ends]) if restriction else ends,
            attributes=(NO_ATTRIBUTES,),
            size_limit=1,
        )
        try:
            result = self._replicas.ask(search)
        except DirectoryError as error:
            return error
        if result.entries or result.complete:
            return bool(result.entries)
        return DirectoryError(f"the LDAP search for {domain} ended with {result.description}")


DEFAULT_CONNECTIONS: Final = 4
ANY_ENTRY: Final = "(objectClass=*)"
# RFC 4511, 4.5.1.8.
NO_ATTRIBUTES: Final = "1.1"
