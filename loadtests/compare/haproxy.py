"""HAProxy, Debian's: TCP and TLS for mail, whose users it does not know, and http mode for the web.

As it comes; with splice(2) both ways, which costs where little is sent and saves where much is; with buffers of 64k.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from compare.peer import BACKENDS, PORTS, Peer, addresses, await_open
from compare.site import openssl, said
from servers.process import running
from zcontrol.demo.loopback import own_address

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from compare.site import Site

HAPROXY: Final = "/usr/sbin/haproxy"
VARIANTS: Final = {
    "": ("", ""),
    # Pipes are descriptors too.
    "splice": ("    maxpipes 100\n", "    option splice-request\n    option splice-response\n"),
    "64k": ("    tune.bufsize 65536\n", ""),
}


@contextmanager
def haproxy(site: Site, *, variant: str = "") -> Iterator[Peer]:
    """Start one."""
    name = f"HAProxy {variant}".strip()
    room, host = site.room(name), own_address()
    config, log = room / "haproxy.cfg", room / "log"
    tuning, options = VARIANTS[variant]
    config.write_text(CONFIG.format(tuning=tuning, options=options) + _listeners(site, room, host))
    with running(HAPROXY, "-db", "-f", config, log=log, environment=openssl(site)) as pid:
        await_open(host, log)
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
        lines += f"listen {service}\n    bind {host}:{PORTS[service]}{tls}\n"
        lines += HTTP if protocol == "http" else ""
        lines += f"    server mbox-1 127.0.0.1:{site.backends[protocol]}\n"
    return lines


CONFIG: Final = """\
global
    maxconn 9400
    ssl-default-bind-options ssl-min-ver TLSv1.3
    ssl-default-bind-ciphersuites TLS_AES_128_GCM_SHA256
{tuning}defaults
    mode tcp
    timeout connect 5s
    timeout client 1h
    timeout server 1h
{options}"""
HTTP: Final = """\
    mode http
    option forwardfor
    http-reuse always
"""
