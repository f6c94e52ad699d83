"""zproxy as in production: an edge and control apart, a record a session, the health of backends watched.

The edge is what is counted. Control is asked by it once an account, so that a login costs control nothing.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from compare.peer import BACKENDS, Peer
from compare.site import ACCOUNT, ACCOUNTS, said
from servers.zproxy import PROGRAM, Zproxy, directory_file, listener
from zcontrol.demo.accounts import HOSTNAME

if TYPE_CHECKING:
    from collections.abc import Iterator

    from compare.site import Site
    from servers.zproxy import Config


@contextmanager
def zproxy(site: Site) -> Iterator[Peer]:
    """Start both."""
    room = site.room("zproxy")
    config = _config(site) | {"api": {"address": f"unix:{room}/api.sock"}}
    for role in ("control", "edge"):
        (room / role).mkdir()
    control, edge = (Zproxy(room / role, config, role=role) for role in ("control", "edge"))
    with control, edge:
        yield Peer(
            name="zproxy",
            version=said(str(PROGRAM), "--version"),
            process=edge.process.pid,
            addresses={name: f"{host}:{port}" for name, (host, port) in edge.listeners.items()}
            # It chooses the certificate by the name that the client asks for.
            | {"imaps_rsa": "{}:{}".format(*edge.listeners["imaps"])},
            asked=control.process.pid,
        )


def _config(site: Site) -> Config:
    homes = {ACCOUNT.format(number): "mbox-1" for number in range(ACCOUNTS)}
    endpoints = {protocol: {"port": port} for protocol, port in site.backends.items()}
    return {
        "listeners": [
            listener(service, protocol, "implicit" if service.endswith("s") else "off")
            for service, protocol in BACKENDS.items()
            if not service.endswith("_rsa")
        ],
        "certificates": [site.ecdsa.config, site.rsa.config],
        "limits": {"trusted": ["127.0.0.0/8"]},
        "http": {"hosts": [{"names": [HOSTNAME]}]},
        "directory": directory_file(site.directory / "accounts.csv", homes),
        "backends": [{"name": "mbox-1", "host": "127.0.0.1", "endpoints": endpoints}],
        "defaults": {"http": "mbox-1"},
    }
