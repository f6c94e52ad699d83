"""What answers for logins: the directory, the cache and the verifiers of one config, opened and closed as one."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

from zcontrol.routing.open import open_resolver
from zcontrol.security.open import open_verifiers

if TYPE_CHECKING:
    from collections.abc import Callable

    from zcontrol.routing.resolver import Resolver
    from zcontrol.security.verify import Verifiers
    from zcontrol.v1 import config_pb2, pool_pb2


@final
@dataclass(frozen=True, kw_only=True)
class Logins:
    """What a config's directory, cache and verifiers have become; not in use yet, or any more."""

    resolver: Resolver
    verifiers: Verifiers

    def start(self) -> None:
        """Follow what changes, and see now what can be reached."""
        self.resolver.start()
        self.verifiers.start()

    async def close(self) -> None:
        """Answer what was asked; verifiers look names up, and so go first."""
        await self.verifiers.close()
        await self.resolver.close()


async def open_logins(
    config: config_pb2.Config, pool: Callable[[], pool_pb2.Pool], *, before: Logins | None = None
) -> Logins:
    """Open them, to take the place of those before; raises whatever is wrong with the config."""
    # In a thread: a directory file may be large, and a reload must not hold up look-ups.
    resolver = await asyncio.to_thread(open_resolver, config, pool, before=before.resolver if before else None)
    try:
        verifiers = await asyncio.to_thread(
            open_verifiers, config, resolver, before=before.verifiers if before else None
        )
    except BaseException:
        await resolver.close()
        raise
    return Logins(resolver=resolver, verifiers=verifiers)
