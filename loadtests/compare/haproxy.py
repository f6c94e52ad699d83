"""HAProxy, Debian's: TCP and TLS for mail, whose users it does not know, and http mode for the web.

As it comes; with splice(2) both ways, which costs where little is sent and saves where much is; with buffers of 64k.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from compare.peer import BACKENDS, PORTS, Peer, addresses
from compare.site import openssl, said
from servers.process import running
from servers.waiting import accepts, until
from zcontrol.demo.loopback import own_address

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from compare.site import Site

HAPROXY: Final = "/usr/sbin/haproxy"
VARIANTS: Final = {
    "": "",
    "splice": "defaults\n    option splice-request\n    option splice-response\n",
    "64k": "global\n    tune.bufsize 65536\n",
}


@contextmanager
def haproxy(site: Site, *, variant: str = "") -> Iterator[Peer]:
    """Start one."""
    name = f"HAProxy {variant}".strip()
    room, host = site.room(name), own_address()
    config, log = room / "haproxy.cfg", room / "log"
    config.write_text(CONFIG.replace("# variant\n", VARIANTS[variant]) + _listeners(site, room, host))
    with running(HAPROXY, "-db", "-f", config, log=log, environment=openssl(site)) as pid:
        until(lambda: accepts(host, PORTS["imap"]))
        version = said(HAPROXY, "-v").split()[2]
        yield Peer(name=name, version=version, process=pid, addresses=addresses(host))


def _listeners(site: Site, room: Path, host: str) -> str:
    lines = ""
    for service, protocol in BACKENDS.items():
        tls = ""
        if site.client(service):
            certificate, bundle = site.certificate(service), room / f"{service}.pem"
            bundle.write_bytes(certificate.certificate_file.read_bytes() + certificate.key_file.read_bytes())
            tls = f" ssl crt {bundle}"
        if protocol in site.backends:
            lines += f"listen {service}\n    bind {host}:{PORTS[service]}{tls}\n"
            lines += HTTP if protocol == "http" else ""
            lines += f"    server mbox-1 127.0.0.1:{site.backends[protocol]}\n"
    return lines


CONFIG: Final = """\
global
    maxconn 9500
    ssl-default-bind-options ssl-min-ver TLSv1.3
    ssl-default-bind-ciphersuites TLS_AES_128_GCM_SHA256
defaults
    mode tcp
    timeout connect 5s
    timeout client 1h
    timeout server 1h
# variant
"""
HTTP: Final = """\
    mode http
    option forwardfor
    http-reuse always
"""
