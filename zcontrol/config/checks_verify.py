"""What `[verify]` must satisfy: it lets people in, so that half of it is worse than nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zcontrol.address import is_loopback_url
from zcontrol.config.checks_oauth import check_oauth
from zcontrol.config.checks_shared import check_positive
from zcontrol.fault import Fault
from zcontrol.v1 import config_pb2

if TYPE_CHECKING:
    from collections.abc import Iterator


def check_verify(config: config_pb2.Config) -> Iterator[Fault]:
    """Faults of what verifies, with the directory that it stands on."""
    if config.verify.ldap.bind:
        yield from (fault.below("verify.ldap") for fault in _check_ldap(config.verify.ldap, config.directory))
    elif config.verify.HasField("ldap"):
        problem = "not set, so that nothing is proved; write bind = true, or leave [verify.ldap] out"
        yield Fault(path="verify.ldap.bind", problem=problem)
    if config.verify.HasField("oauth"):
        yield from (fault.below("verify.oauth") for fault in check_oauth(config.verify.oauth))


def verifies(config: config_pb2.Config) -> bool:
    """Whether anything would prove a client."""
    by_directory = config.directory.auth_http.mode == config_pb2.AUTH_HTTP_MODE_VERIFY
    return config.verify.ldap.bind or by_directory or config.verify.HasField("oauth")


def _check_ldap(binds: config_pb2.VerifyLdap, directory: config_pb2.Directory) -> Iterator[Fault]:
    if directory.WhichOneof("source") != "ldap":
        mend = "add [directory.ldap], or leave [verify.ldap] out"
        yield Fault(path="bind", found="true", problem=f"accounts of this directory are no entries to bind as; {mend}")
    elif clear := [url for url in directory.ldap.urls if _in_clear(url, directory.ldap)]:
        mend = 'set directory.ldap.tls = "starttls", or write ldaps:// in directory.ldap.urls'
        yield Fault(path="bind", found="true", problem=f"would send passwords to {clear[0]} in clear; {mend}")
    if binds.connections > MOST_CONNECTIONS:
        found = str(binds.connections)
        yield Fault(path="connections", found=found, problem=f"a thread each; write at most {MOST_CONNECTIONS}")
    yield from check_positive("timeout", binds.timeout, example="3s")


def _in_clear(url: str, ldap: config_pb2.LdapDirectory) -> bool:
    return url.startswith("ldap://") and ldap.tls != config_pb2.LDAP_TLS_STARTTLS and not is_loopback_url(url)


# More binds at once than that keep any directory busy.
MOST_CONNECTIONS = 256
