"""A real nginx mail proxy, Debian's, that asks an auth_http server where each login goes."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from servers.process import running
from servers.waiting import accepts, until
from zcontrol.demo.loopback import own_address

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PORTS: Final = {"imap": 10143, "pop3": 10110, "smtp": 10025, "smtp_xclient": 10026}


class Nginx:
    """One running nginx, a listener a protocol; `smtp` logs in to the backend, `smtp_xclient` tells it who it is."""

    def __init__(self, directory: Path, asks: str, *, header: str) -> None:
        self.address = own_address()
        self.log_file = directory / "nginx.log"
        self.asks = asks
        self._config = directory / "nginx.conf"
        self._config.write_text(CONFIG.format(directory=directory, asks=asks, header=header, address=self.address))

    @contextmanager
    def running(self) -> Iterator[None]:
        command = [NGINX, "-c", self._config, "-e", self.log_file]
        with running(*command, log=self.log_file):
            until(lambda: all(accepts(self.address, port) for port in PORTS.values()))
            yield


@contextmanager
def nginx(directory: Path, asks: str, *, secret: str) -> Iterator[Nginx]:
    """Start one that asks at `host:port/path`, and shows a secret."""
    server = Nginx(directory, asks, header=secret)
    with server.running():
        yield server


NGINX: Final = "/usr/sbin/nginx"
CONFIG: Final = """\
load_module /usr/lib/nginx/modules/ngx_mail_module.so;
daemon off;
worker_processes 1;
pid {directory}/nginx.pid;
error_log {directory}/nginx.log info;
events {{ worker_connections 512; }}
mail {{
    auth_http {asks};
    auth_http_header X-Auth-Key "{header}";
    # Else a wrong password is an "internal server error".
    proxy_pass_error_message on;
    server {{ listen {address}:10143; protocol imap; imap_auth plain login; }}
    server {{ listen {address}:10110; protocol pop3; pop3_auth plain; }}
    server {{ listen {address}:10025; protocol smtp; smtp_auth plain login; proxy_smtp_auth on; xclient off; }}
    server {{ listen {address}:10026; protocol smtp; smtp_auth plain login; xclient on; }}
}}
"""
