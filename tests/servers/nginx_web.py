"""Two real nginx, Debian's: a web server of a few files, and the proxy before it that an operator would set up."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from servers.nginx import NGINX
from servers.process import running
from servers.waiting import accepts, until
from zcontrol.demo.loopback import own_address

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from servers.certificates import Certificate

PORT: Final = 10080
TLS_PORT: Final = 10443
FILES: Final = {"1k": 1024, "1m": 1 << 20, "100m": 100 << 20}


@contextmanager
def web_server(directory: Path) -> Iterator[str]:
    """Serve FILES below `/`, and take whatever is sent to `/upload`; gives the address."""
    files = directory / "files"
    files.mkdir()
    for name, size in FILES.items():
        (files / name).write_bytes(b"0123456789abcdef" * (size // 16))
    address = own_address()
    blocks = WEB_SERVER.format(address=address, files=files, sink=directory / "sink.sock")
    with _nginx(directory / "web", blocks, address, PORT):
        yield address


@contextmanager
def web_proxy(directory: Path, backend: str, certificate: Certificate) -> Iterator[tuple[str, int]]:
    """Serve what `backend` has by HTTPS; gives the address and the master's process."""
    address = own_address()
    blocks = WEB_PROXY.format(address=address, backend=backend, log=directory / "access.log", **certificate.config)
    with _nginx(directory / "proxy", blocks, address, TLS_PORT) as pid:
        yield address, pid


@contextmanager
def _nginx(directory: Path, blocks: str, address: str, port: int) -> Iterator[int]:
    directory.mkdir()
    log, config = directory / "nginx.log", directory / "nginx.conf"
    config.write_text(CONFIG.format(directory=directory, blocks=blocks))
    with running(NGINX, "-c", config, "-e", log, log=log) as pid:
        until(lambda: accepts(address, port))
        yield pid


CONFIG: Final = """\
daemon off;
worker_processes auto;
pid {directory}/nginx.pid;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    # h2load does not connect again.
    keepalive_requests 100000000;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/answer;
    fastcgi_temp_path {directory}/fastcgi;
    scgi_temp_path {directory}/scgi;
    uwsgi_temp_path {directory}/uwsgi;
{blocks}
}}
"""
WEB_SERVER: Final = """\
    server {{
        listen {address}:10080;
        root {files};
        client_max_body_size 0;
        # All of a body is read before the answer, as an application does.
        location = /upload {{ client_body_buffer_size 2m; proxy_pass http://unix:{sink}; }}
    }}
    server {{ listen unix:{sink}; client_max_body_size 0; location / {{ return 204; }} }}
"""
WEB_PROXY: Final = """\
    log_format record escape=json '{{"time":$msec,"id":"$request_id","client":"$remote_addr","tls":"$ssl_protocol",'
        '"http":"$server_protocol","method":"$request_method","host":"$host","path":"$uri","status":$status,'
        '"backend":"$upstream_addr","from_client":$request_length,"from_backend":$bytes_sent,'
        '"connect_ms":"$upstream_connect_time","response_ms":"$upstream_header_time","total_ms":$request_time}}';
    # Many lines a write, as our records are.
    access_log {log} record buffer=64k flush=1s;
    upstream web {{ server {backend}:10080; keepalive 64; keepalive_requests 100000000; }}
    server {{
        listen {address}:10443 ssl http2;
        ssl_certificate {certificate_file};
        ssl_certificate_key {key_file};
        ssl_protocols TLSv1.2 TLSv1.3;
        ssl_session_cache shared:tls:10m;
        client_max_body_size 0;
        location / {{
            proxy_pass http://web;
            proxy_http_version 1.1;
            # Bodies pass as they come, and no file is written.
            proxy_request_buffering off;
            proxy_max_temp_file_size 0;
            proxy_set_header Connection "";
            proxy_set_header Host $host;
            proxy_set_header X-Real-IP $remote_addr;
            proxy_set_header X-Request-ID $request_id;
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_set_header X-Forwarded-Host $host;
            proxy_set_header X-Forwarded-Port $server_port;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_set_header Forwarded "for=$remote_addr;host=$host;proto=$scheme";
        }}
    }}
"""
