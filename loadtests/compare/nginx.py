"""nginx, Debian's: its mail proxy and its web proxy; as it comes, and with buffers of 64k.

Where a user lives it asks an auth_http server, by a new connection each login. Ours is another nginx that answers from
its configuration: hardly anything is faster. It is not counted, as zproxy's control is not.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from compare.peer import BACKENDS, PORTS, Peer, addresses, await_open
from compare.site import openssl, said
from servers.nginx import NGINX
from servers.process import running
from zcontrol.demo.loopback import own_address

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from compare.site import Site

AUTH_PORT: Final = 10081
SMTP: Final = "submission"
VARIANTS: Final = {
    "": ("", ""),
    "64k": (
        "    proxy_buffer 64k;\n",
        "    proxy_buffer_size 64k;\n    proxy_buffers 4 64k;\n    client_body_buffer_size 64k;\n",
    ),
}


@contextmanager
def nginx(site: Site, *, variant: str = "") -> Iterator[Peer]:
    """Start one, and whom it asks."""
    name = f"nginx {variant}".strip()
    room, host = site.room(name), own_address()
    mail, web = VARIANTS[variant]
    blocks = MAIL.format(host=host, asks=AUTH_PORT, variant=mail, servers=_mail_servers(site, host))
    web_terms = {"host": host, "port": PORTS["https"], "backend": site.backends["http"], "room": room, "variant": web}
    blocks += WEB.format(**web_terms, **site.ecdsa.config)
    told = {"smtp" if protocol == SMTP else protocol: port for protocol, port in site.backends.items()}
    auth = AUTH.format(host=host, port=AUTH_PORT, told=" ".join(f"{name} {port};" for name, port in told.items()))
    with _running(room / "auth", auth, site) as asked, _running(room / "proxy", blocks, site) as pid:
        await_open(host, room / "auth" / "log", port=AUTH_PORT)
        await_open(host, room / "proxy" / "log")
        version = said(NGINX, "-v").rpartition("/")[2]
        yield Peer(name=name, version=version, process=pid, addresses=addresses(host), asked=asked)


@contextmanager
def _running(room: Path, blocks: str, site: Site) -> Iterator[int]:
    room.mkdir()
    config, log = room / "nginx.conf", room / "log"
    config.write_text(CONFIG.format(room=room, log=log) + blocks)
    with running(NGINX, "-c", config, "-e", log, log=log, environment=openssl(site)) as pid:
        yield pid


def _mail_servers(site: Site, host: str) -> str:
    lines = ""
    for service, protocol in BACKENDS.items():
        if protocol == "http":
            continue
        says = SMTP_LINES if protocol == SMTP else f"protocol {protocol};"
        tls = TLS.format(**site.certificate(service).config) if site.client(service) else ""
        lines += f"    server {{ listen {host}:{PORTS[service]}{' ssl' if tls else ''}; {says}{tls} }}\n"
    return lines


CONFIG: Final = """\
load_module /usr/lib/nginx/modules/ngx_mail_module.so;
daemon off;
worker_processes auto;
worker_rlimit_nofile 20000;
pid {room}/nginx.pid;
error_log {log} warn;
events {{ worker_connections 19000; }}
"""
MAIL: Final = """\
mail {{
    auth_http {host}:{asks}/;
    ssl_protocols TLSv1.3;
    proxy_timeout 1h;
{variant}{servers}}}
"""
TLS: Final = " ssl_certificate {certificate_file}; ssl_certificate_key {key_file};"
# As a submission server does that is behind zproxy: the backend hears of the login.
SMTP_LINES: Final = "protocol smtp; smtp_auth plain login; proxy_smtp_auth on; xclient off;"
AUTH: Final = """\
http {{
    access_log off;
    map $http_auth_protocol $told {{ {told} }}
    server {{
        listen {host}:{port} reuseport;
        location / {{
            add_header Auth-Status OK;
            add_header Auth-Server 127.0.0.1;
            add_header Auth-Port $told;
            return 204;
        }}
    }}
}}
"""
WEB: Final = """\
http {{
    log_format record escape=json '{{"time":$msec,"id":"$request_id","client":"$remote_addr","tls":"$ssl_protocol",'
        '"http":"$server_protocol","method":"$request_method","host":"$host","path":"$uri","status":$status,'
        '"backend":"$upstream_addr","from_client":$request_length,"from_backend":$bytes_sent,'
        '"connect_ms":"$upstream_connect_time","response_ms":"$upstream_header_time","total_ms":$request_time}}';
    # Many lines a write, as zproxy's records are.
    access_log {room}/access.log record buffer=64k flush=1s;
    client_body_temp_path {room}/body;
    proxy_temp_path {room}/answer;
    fastcgi_temp_path {room}/fastcgi;
    scgi_temp_path {room}/scgi;
    uwsgi_temp_path {room}/uwsgi;
    keepalive_requests 100000000;
    upstream web {{ server 127.0.0.1:{backend}; keepalive 64; keepalive_requests 100000000; }}
    server {{
        listen {host}:{port} ssl http2 reuseport;
        ssl_certificate {certificate_file};
        ssl_certificate_key {key_file};
        ssl_protocols TLSv1.3;
        client_max_body_size 0;
{variant}
        location / {{
            proxy_pass http://web;
            proxy_http_version 1.1;
            # Bodies pass as they come, and no file is written.
            proxy_request_buffering off;
            proxy_max_temp_file_size 0;
            proxy_set_header Connection "";
            proxy_set_header Host $host;
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_set_header X-Forwarded-Proto $scheme;
        }}
    }}
}}
"""
