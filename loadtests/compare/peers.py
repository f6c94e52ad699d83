"""All that are compared, by name: what starts each; and the backends themselves, beside which a proxy adds."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from compare.dovecot import dovecot
from compare.haproxy import haproxy
from compare.nginx import nginx
from compare.peer import BACKENDS, Peer
from compare.zproxy import zproxy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager

    from compare.site import Site


@contextmanager
def direct(site: Site) -> Iterator[Peer]:
    """Go past all proxies."""
    addresses = {service: f"127.0.0.1:{site.backends[protocol]}" for service, protocol in BACKENDS.items()}
    yield Peer(name="direct", version="", process=None, addresses=addresses)


PEERS: Final[Mapping[str, Callable[[Site], AbstractContextManager[Peer]]]] = MappingProxyType(
    {
        "zproxy": zproxy,
        "nginx": nginx,
        "nginx 64k": partial(nginx, variant="64k"),
        "HAProxy": haproxy,
        "HAProxy splice": partial(haproxy, variant="splice"),
        "HAProxy 64k": partial(haproxy, variant="64k"),
        "Dovecot": dovecot,
        "direct": direct,
    }
)
