"""What control's part of a config must satisfy beyond its types; the edge checks its own part.

Runs on a config whose defaults are filled in.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from zcontrol.address import is_dns_name, parse_host, parse_host_port
from zcontrol.config.checks_api import check_api
from zcontrol.config.checks_auth_http import check_auth_http
from zcontrol.config.checks_nginx_lookup import check_nginx_lookup
from zcontrol.config.checks_shared import check_ca_file, check_positive
from zcontrol.config.checks_verify import check_verify, verifies
from zcontrol.fault import Fault, shown
from zcontrol.pool.rules import check_pool
from zcontrol.v1 import config_pb2, pool_pb2

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from google.protobuf.duration_pb2 import Duration


def check_control(config: config_pb2.Config) -> list[Fault]:
    """Every fault of the fields marked [control]."""
    return [
        *_check_state_directory(config.state_directory),
        *check_api(config.api),
        *_check_directory(config.directory),
        *_check_names(config.names),
        *_check_mail_domains(config.mail_domains),
        *_check_cache(config.cache),
        *_check_rotations(config),
        *check_verify(config),
        *_check_nginx_lookup(config),
        *check_pool(seed(config), verifies=verifies(config)),
    ]


def check_presence(directory: config_pb2.Directory) -> Iterator[Fault]:
    """A file directory's file must be there; what it holds is for whoever opens it."""
    path = directory.file.path
    if path and not Path(path).is_file():
        problem = "no such file; create it, or mend the path"
        yield Fault(path="directory.file.path", found=shown(path), problem=problem)


def seed(config: config_pb2.Config) -> pool_pb2.Pool:
    """The pool that the config would seed an empty store with."""
    return pool_pb2.Pool(backends=config.backends, groups=config.groups, defaults=config.defaults)


def _check_state_directory(directory: str) -> Iterator[Fault]:
    if not directory:
        yield Fault(path="state_directory", problem="missing; name a directory, e.g. /var/lib/zproxy")
    elif Path(directory).exists() and not Path(directory).is_dir():
        yield Fault(path="state_directory", found=shown(directory), problem="not a directory; name another path")


def _check_directory(directory: config_pb2.Directory) -> Iterator[Fault]:
    source = directory.WhichOneof("source")
    if source is None:
        yield Fault(
            path="directory", problem="missing; add [directory.file], [directory.ldap] or [directory.auth_http]"
        )
    elif source == "file":
        yield from _check_file_directory(directory.file)
    elif source == "auth_http":
        yield from (fault.below("directory.auth_http") for fault in check_auth_http(directory.auth_http))
    else:
        yield from (fault.below("directory.ldap") for fault in _check_ldap(directory.ldap))


def _check_file_directory(file: config_pb2.FileDirectory) -> Iterator[Fault]:
    path = "directory.file.path"
    if not file.path:
        yield Fault(path=path, problem="missing; name a .toml or .csv file")
    elif Path(file.path).suffix not in (".toml", ".csv"):
        yield Fault(path=path, found=shown(file.path), problem="must end in .toml or .csv, which tells how to read it")


def _check_ldap(ldap: config_pb2.LdapDirectory) -> Iterator[Fault]:
    if not ldap.urls:
        yield Fault(path="urls", problem='missing; write at least one, e.g. "ldap://ldap.example.net"')
    for index, url in enumerate(ldap.urls):
        if problem := _ldap_url_problem(url):
            yield Fault(path=f"urls[{index}]", found=shown(url), problem=problem)
    if not ldap.base and ldap.preset != config_pb2.LDAP_PRESET_ZIMBRA:
        yield Fault(path="base", problem='missing; say where accounts are, e.g. "ou=people,dc=example,dc=net"')
    if bool(ldap.bind_dn) != bool(ldap.bind_password):
        # RFC 4513, 5.1.2: a DN with an empty password binds as nobody and is answered with success.
        absent = "bind_password" if ldap.bind_dn else "bind_dn"
        yield Fault(path=absent, problem="missing; set bind_dn and bind_password, or neither to bind anonymously")
    if ldap.tls == config_pb2.LDAP_TLS_STARTTLS and ldap.urls and not _any_plain(ldap.urls):
        yield Fault(path="tls", found='"starttls"', problem="ldaps:// is TLS from the first byte; leave tls out")
    if ldap.filter and not (ldap.filter.startswith("(") and ldap.filter.count("(") == ldap.filter.count(")")):
        problem = "not an LDAP filter; write e.g. (objectClass=inetOrgPerson)"
        yield Fault(path="filter", found=shown(ldap.filter), problem=problem)
    yield from check_ca_file(ldap.ca_file)
    yield from check_positive("timeout", ldap.timeout, example="2s")


def _any_plain(urls: Iterable[str]) -> bool:
    return any(url.startswith("ldap://") for url in urls)


def _ldap_url_problem(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("ldap", "ldaps"):
        return "not an LDAP URL; write ldap://host:389 or ldaps://host:636"
    if parts.path.strip("/") or parts.query or parts.username:
        return "only scheme, host and port belong here; base and bind_dn are keys of their own"
    try:
        parse_host(parts.hostname or "")
        port = parts.port
    except ValueError as why:
        return str(why)
    return "not a port; write 1 to 65535" if port == 0 else ""


def _check_names(names: config_pb2.Names) -> Iterator[Fault]:
    domains = {"names.default_domain": names.default_domain} if names.default_domain else {}
    for index, host in enumerate(names.virtual_hosts):
        if not host.hosts:
            yield Fault(path=f"names.virtual_hosts[{index}].hosts", problem="missing; name at least one host")
        domains[f"names.virtual_hosts[{index}].domain"] = host.domain
    for key in ("windows_domains", "domain_aliases"):
        domains |= {f"names.{key}.{alias}": domain for alias, domain in getattr(names, key).items()}
    for path, domain in domains.items():
        if not is_dns_name(domain):
            yield Fault(path=path, found=shown(domain), problem="not a domain; write e.g. example.net")
    yield from _check_hosts(names.virtual_hosts)
    for index, suffix in enumerate(names.strip_suffixes):
        if not suffix or "@" in suffix:
            yield Fault(path=f"names.strip_suffixes[{index}]", found=shown(suffix), problem="write e.g. /tb, without @")
    if "@" in names.detail_separator:
        found = shown(names.detail_separator)
        yield Fault(path="names.detail_separator", found=found, problem="would cut names at their domain; write e.g. +")


def _check_mail_domains(domains: Iterable[str]) -> Iterator[Fault]:
    for index, domain in enumerate(domains):
        if not is_dns_name(domain):
            yield Fault(
                path=f"mail_domains[{index}]", found=shown(domain), problem="not a domain; write e.g. example.net"
            )


def _check_hosts(virtual_hosts: Iterable[config_pb2.VirtualHost]) -> Iterator[Fault]:
    seen: dict[str, str] = {}
    for index, virtual_host in enumerate(virtual_hosts):
        for at, host in enumerate(virtual_host.hosts):
            path = f"names.virtual_hosts[{index}].hosts[{at}]"
            try:
                parse_host(host)
            except ValueError as why:
                yield Fault(path=path, found=shown(host), problem=str(why))
            if seen.setdefault(host.lower(), path) != path:
                yield Fault(path=path, found=shown(host), problem=f"named already at {seen[host.lower()]}; keep one")


def _check_cache(cache: config_pb2.Cache) -> Iterator[Fault]:
    for index, server in enumerate(cache.memcached):
        try:
            parse_host_port(server)
        except ValueError:
            problem = "not host:port; write e.g. 10.0.0.5:11211"
            yield Fault(path=f"cache.memcached[{index}]", found=shown(server), problem=problem)
    if cache.memcached and len(cache.seal_key.encode()) < _SHORTEST_SEAL_KEY:
        what = f"shorter than {_SHORTEST_SEAL_KEY} octets" if cache.seal_key else "missing"
        mend = 'it seals routes in memcached; make one with `openssl rand -hex 32`, "${NAME}" takes it from there'
        yield Fault(path="cache.seal_key", problem=f"{what}: {mend}")
    for name in ("timeout", "soft_ttl", "hard_ttl", "negative_ttl"):
        yield from check_positive(f"cache.{name}", getattr(cache, name), example="10m")
    if cache.soft_ttl.ToMilliseconds() > cache.hard_ttl.ToMilliseconds():
        problem = f"shorter than soft_ttl, which is {_shown(cache.soft_ttl)}; write a longer one"
        yield Fault(path="cache.hard_ttl", found=_shown(cache.hard_ttl), problem=problem)


def _check_nginx_lookup(config: config_pb2.Config) -> Iterator[Fault]:
    if config.HasField("nginx_lookup"):
        yield from (fault.below("nginx_lookup") for fault in check_nginx_lookup(config.nginx_lookup))


def _check_rotations(config: config_pb2.Config) -> Iterator[Fault]:
    tickets, cookies = config.ticket_keys.rotation, config.cookie_keys.rotation
    if not _SHORTEST_TICKET_ROTATION <= tickets.ToTimedelta() <= _LONGEST_TICKET_ROTATION:
        problem = 'not from a second to a week; write e.g. "12h"'
        yield Fault(path="ticket_keys.rotation", found=_shown(tickets), problem=problem)
    if not _SHORTEST_COOKIE_ROTATION <= cookies.ToTimedelta() <= _LONGEST_COOKIE_ROTATION:
        problem = 'not from a day to 30 days; write e.g. "168h"'
        yield Fault(path="cookie_keys.rotation", found=_shown(cookies), problem=problem)


def _shown(duration: Duration) -> str:
    return shown(duration.ToJsonString())


# As many octets as the MAC puts out: a shorter key is the weakest part of the seal.
_SHORTEST_SEAL_KEY = 32
_SHORTEST_TICKET_ROTATION = timedelta(seconds=1)
# RFC 8446, 4.6.1: a ticket lives no longer.
_LONGEST_TICKET_ROTATION = timedelta(days=7)
# Edges hold every key that a cookie of 30 days may need: at a day they are 32.
_SHORTEST_COOKIE_ROTATION = timedelta(days=1)
_LONGEST_COOKIE_ROTATION = timedelta(days=30)
