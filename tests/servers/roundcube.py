"""Real webmail: Debian's Roundcube behind nginx and php-fpm, one beside each mailbox server, as providers run it.

Each has sessions of its own, in a database of its own, and a key of its own: what one server made, another one cannot
read. It stands beside a Postfix and so is started by root, who gives its workers to nobody.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import tempfile
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from servers.nginx import NGINX
from servers.postfix import PORTS as SMTP_PORTS
from servers.process import running
from servers.waiting import accepts, until
from zcontrol.demo.dovecot import PORTS as MAIL_PORTS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from servers.certificates import Authority
    from servers.postfix import Postfix
    from zcontrol.demo.dovecot import MailboxServer

PORTS: Final = {
    "http": 10080,
    "https": 10443,
    # This one expects a PROXY protocol header.
    "https_proxy": 11443,
}
WORKERS = 4
DATABASE: Final = Path("/usr/share/roundcube/SQL/sqlite.initial.sql")
DOCUMENTS: Final = Path("/var/lib/roundcube/public_html")


@dataclass(frozen=True, kw_only=True)
class Seen:
    """One request, as the webmail's own server logged it."""

    method: str
    uri: str
    status: int
    host: str
    cookie: str
    forwarded_for: str
    forwarded_proto: str
    """What X-Forwarded-Proto said."""
    proxied: str
    """The client's address of the PROXY header."""
    connection: int
    """Which connection, by number."""


class Roundcube:
    """One running webmail at the address of its mailbox server; a context manager."""

    def __init__(self, directory: Path, authority: Authority, mailbox: MailboxServer, mta: Postfix) -> None:
        self.name = mailbox.name
        self.address = mailbox.address
        self.verify_name = f"{self.name}.example"
        self._directory = directory
        self._log_file = directory / "access.log"
        self._prepare(authority, mailbox, mta)
        self._running = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as starting:
            php = [_php_fpm(), "--nodaemonize", "--fpm-config", self._directory / "php-fpm.conf"]
            starting.enter_context(running(*php, log=self._directory / "php.log"))
            until((self._directory / "php.sock").exists)
            nginx = [NGINX, "-c", self._directory / "nginx.conf", "-e", self._directory / "nginx.log"]
            starting.enter_context(running(*nginx, log=self._directory / "nginx.log"))
            until(lambda: all(accepts(self.address, port) for port in PORTS.values()))
            self._running = starting.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._running.close()

    def seen(self) -> list[Seen]:
        """Return every request that has ended."""
        lines = self._log_file.read_text().splitlines(keepends=True)
        return [Seen(**_seen(json.loads(line))) for line in lines if line[-1] == "\n"]

    def logins(self) -> list[str]:
        """Return what it wrote of each login, good and bad."""
        log = self._directory / "logs" / "userlogins.log"
        return log.read_text().splitlines() if log.exists() else []

    def users(self) -> set[str]:
        """Return who has ever been let in."""
        with sqlite3.connect(self._directory / "data" / "roundcube.db") as database:
            return {name for (name,) in database.execute("SELECT username FROM users")}

    def errors(self) -> str:
        log = self._directory / "logs" / "errors.log"
        return log.read_text() if log.exists() else ""

    def _prepare(self, authority: Authority, mailbox: MailboxServer, mta: Postfix) -> None:
        directory, certificate = self._directory, authority.issue(self.verify_name)
        for name in ("data", "logs", "temp", "body", "fastcgi"):
            (directory / name).mkdir()
        for name, source in (
            ("tls.pem", certificate.certificate_file),
            ("tls.key", certificate.key_file),
            ("ca.pem", authority.ca_file),
        ):
            (directory / name).write_bytes(source.read_bytes())
        with sqlite3.connect(directory / "data" / "roundcube.db") as database:
            database.executescript(DATABASE.read_text())
        words = {
            "directory": directory,
            "address": self.address,
            "documents": DOCUMENTS,
            "imap": f"{mailbox.address}:{MAIL_PORTS['imap']}",
            "smtp": f"tls://{mta.address}:{SMTP_PORTS['submission']}",
            "smtp_name": mta.verify_name,
            "name": self.name,
            "key": f"{self.name:*<24}",
            "workers": WORKERS,
            **{f"{name}_port": port for name, port in PORTS.items()},
        }
        (directory / "config").mkdir()
        for name, text in (("config/config.inc.php", ROUNDCUBE), ("php-fpm.conf", PHP), ("nginx.conf", SERVER)):
            (directory / name).write_text(_filled(text, words))
        for name in ("data", "data/roundcube.db", "logs", "temp", "body", "fastcgi"):
            shutil.chown(directory / name, "nobody")


@contextmanager
def started(authority: Authority, mailbox: MailboxServer, mta: Postfix) -> Iterator[Roundcube]:
    """Start one in a directory that its users may pass through; it is gone at the end."""
    parent = Path(tempfile.mkdtemp(prefix="zproxy-roundcube-"))
    parent.chmod(0o755)
    try:
        with Roundcube(parent, authority, mailbox, mta) as running:
            yield running
    finally:
        shutil.rmtree(parent)


def _php_fpm() -> Path:
    """Return the program, whose name has PHP's version."""
    return max(Path("/usr/sbin").glob("php-fpm[0-9]*"))


def _seen(line: dict[str, str]) -> dict[str, Any]:
    return line | {"status": int(line["status"]), "connection": int(line["connection"])}


def _filled(text: str, words: dict[str, object]) -> str:
    """Put words in place of `@word@`: the braces of these languages mean something else."""
    for word, value in words.items():
        text = text.replace(f"@{word}@", str(value))
    return text


ROUNDCUBE: Final = """\
<?php
$config = [];
$config['db_dsnw'] = 'sqlite:///@directory@/data/roundcube.db?mode=0600';
$config['imap_host'] = '@imap@';
$config['smtp_host'] = '@smtp@';
$config['smtp_user'] = '%u';
$config['smtp_pass'] = '%p';
$config['smtp_conn_options'] = ['ssl' => ['cafile' => '@directory@/ca.pem', 'peer_name' => '@smtp_name@']];
$config['product_name'] = 'Webmail of @name@';
$config['des_key'] = '@key@';
$config['log_driver'] = 'file';
$config['log_dir'] = '@directory@/logs/';
$config['log_logins'] = true;
$config['temp_dir'] = '@directory@/temp/';
$config['plugins'] = [];
$config['skin'] = 'elastic';
$config['language'] = 'en_US';
$config['enable_spellcheck'] = false;
$config['create_default_folders'] = true;
$config['show_images'] = 0;
// Else it makes session cookies that a browser would send in clear, and believes nobody about the client.
$config['proxy_whitelist'] = ['127.0.0.1'];
$config['trusted_host_patterns'] = ['^mail\\\\.tgg\\\\.net\\\\.id$'];
$config['login_rate_limit'] = 1000;
"""
PHP: Final = """\
[global]
error_log = @directory@/php.log
[www]
user = nobody
group = nogroup
listen = @directory@/php.sock
listen.owner = nobody
listen.mode = 0600
pm = static
pm.max_children = @workers@
; Its defaults are Debian's, and what is read last wins.
env[RCUBE_CONFIG_PATH] = /etc/roundcube
env[ROUNDCUBE_CONFIG_DIR] = @directory@/config
php_admin_value[upload_max_filesize] = 40M
php_admin_value[post_max_size] = 41M
php_admin_value[memory_limit] = 256M
php_admin_value[upload_tmp_dir] = @directory@/temp
php_admin_value[date.timezone] = UTC
"""
SERVER: Final = """\
daemon off;
user nobody nogroup;
worker_processes 1;
pid @directory@/nginx.pid;
events { worker_connections 512; }
http {
    include /etc/nginx/mime.types;
    log_format seen escape=json '{"method":"$request_method","uri":"$request_uri","status":"$status","host":"$host",'
        '"cookie":"$http_cookie","forwarded_for":"$http_x_forwarded_for",'
        '"forwarded_proto":"$http_x_forwarded_proto","proxied":"$proxy_protocol_addr","connection":"$connection"}';
    access_log @directory@/access.log seen;
    client_body_temp_path @directory@/body;
    fastcgi_temp_path @directory@/fastcgi;
    client_max_body_size 41m;
    ssl_certificate @directory@/tls.pem;
    ssl_certificate_key @directory@/tls.key;
    server {
        listen @address@:@http_port@;
        listen @address@:@https_port@ ssl;
        listen @address@:@https_proxy_port@ ssl proxy_protocol;
        root @documents@;
        index index.php;
        location ~ [.]php$ {
            include /etc/nginx/fastcgi.conf;
            fastcgi_pass unix:@directory@/php.sock;
        }
    }
}
"""
