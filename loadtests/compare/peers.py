"""All that are compared, by name: what starts each."""

from __future__ import annotations

from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from compare.dovecot import dovecot
from compare.haproxy import haproxy
from compare.nginx import nginx
from compare.zproxy import zproxy

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager

    from compare.peer import Peer
    from compare.site import Site

PEERS: Final[Mapping[str, Callable[[Site], AbstractContextManager[Peer]]]] = MappingProxyType(
    {
        "zproxy": zproxy,
        "nginx": nginx,
        "nginx 64k": partial(nginx, variant="64k"),
        "HAProxy": haproxy,
        "HAProxy splice": partial(haproxy, variant="splice"),
        "HAProxy 64k": partial(haproxy, variant="64k"),
        "Dovecot": dovecot,
    }
)
