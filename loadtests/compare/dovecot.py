"""Dovecot's login proxy, Debian's, in its high-performance mode: a login process a core, each for many clients.

Where a user lives it asks its own auth process, which is counted: it is one of its processes and cannot be another's.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from compare.peer import BACKENDS, PORTS, Peer, addresses, await_open
from compare.site import openssl, said
from servers.process import family, running
from zcontrol.demo.dovecot import as_owner, give, owner
from zcontrol.demo.loopback import own_address

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from compare.site import Site

DOVECOT: Final = "/usr/sbin/dovecot"


@contextmanager
def dovecot(site: Site) -> Iterator[Peer]:
    """Start it."""
    room, host = site.room("dovecot"), own_address()
    for name, certificate in {"ecdsa": site.ecdsa, "rsa": site.rsa}.items():
        shutil.copy(certificate.certificate_file, room / f"{name}.pem")
        shutil.copy(certificate.key_file, room / f"{name}.key")
    config, log = room / "dovecot.conf", room / "log"
    config.write_text(_config(site, room, host))
    log.touch()
    for path in (room, *room.rglob("*")):
        give(path)
    with running(*as_owner(), DOVECOT, "-F", "-c", config, log=log) as pid:
        await_open(host, log)
        version = said(DOVECOT, "--version").split()[0]
        try:
            yield Peer(name="Dovecot", version=version, process=pid, addresses=addresses(host))
        finally:
            # Its children too: the master alone takes seconds to see that all are gone.
            for process in family(pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, signal.SIGTERM)


def _config(site: Site, room: Path, host: str) -> str:
    backends = {protocol: port for protocol, port in site.backends.items() if protocol != "http"}
    user = owner()
    lines = CONFIG.format(
        host=host,
        room=room,
        user=user.pw_name,
        protocols=" ".join(backends),
        port=_port(list(backends.items())),
        environment=openssl(site)["OPENSSL_CONF"],
    )
    for protocol in backends:
        listeners = "".join(
            LISTENER.format(service=service, port=PORTS[service], tls="yes" if site.client(service) else "no")
            for service, of in BACKENDS.items()
            if of == protocol
        )
        lines += SERVICE.format(protocol=protocol, cores=os.cpu_count(), listeners=listeners)
    return lines


def _port(backends: Sequence[tuple[str, int]]) -> str:
    """Choose by protocol, in Dovecot's words: its passdbs know no other way."""
    (protocol, port), *others = backends
    return f"%{{if;%s;eq;{protocol};{port};{_port(others)}}}" if others else str(port)


CONFIG: Final = """\
protocols = {protocols}
listen = {host}
base_dir = {room}/run
state_dir = {room}/state
log_path = {room}/log
# A line a login would only cost.
info_log_path = /dev/null
import_environment = $import_environment OPENSSL_CONF={environment}
default_internal_user = {user}
default_login_user = {user}
default_internal_group =
default_client_limit = 20000
default_vsz_limit = 0
disable_plaintext_auth = no
ssl = yes
ssl_cert = <{room}/ecdsa.pem
ssl_key = <{room}/ecdsa.key
ssl_min_protocol = TLSv1.3
ssl_cipher_suites = TLS_AES_128_GCM_SHA256
ssl_curve_list = X25519
local_name rsa.example {{
  ssl_cert = <{room}/rsa.pem
  ssl_key = <{room}/rsa.key
}}
passdb {{
  driver = static
  args = proxy=y host=127.0.0.1 port={port} nopassword=y
}}
service anvil {{
  chroot =
}}
"""
SERVICE: Final = """\
service {protocol}-login {{
  chroot =
  service_count = 0
  process_min_avail = {cores}
  process_limit = {cores}
{listeners}}}
"""
LISTENER: Final = """\
  inet_listener {service} {{
    port = {port}
    ssl = {tls}
  }}
"""
