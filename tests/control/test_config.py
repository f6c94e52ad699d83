"""A config file becomes one checked message, or every fault at once with its key, its value and the mend."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from zcontrol.config import ConfigError, ConfigUnreadableError, Role, load
from zcontrol.v1 import config_pb2, pool_pb2

if TYPE_CHECKING:
    from pathlib import Path

WHOLE = """
hostname = "mail.tgg.net.id"
state_directory = "{state}"

[[listeners]]
name = "imap"
protocol = "imap"
address = "127.0.0.1:0"
tls = "starttls_optional"
proxy_protocol_from = ["127.0.0.0/8"]

[limits]
line = "16KiB"
sessions = 10

[timeouts]
login = "1m30s"

[directory.file]
path = "{state}/accounts.toml"

[names]
default_domain = "tgg.net.id"
domain_aliases = {{ "tgg.example" = "tgg.net.id" }}

[defaults]
mail = "MBOX-1"

[[backends]]
name = "mbox-1"
host = "127.0.0.2"
weight = 0
[backends.endpoints.imap]
port = 143
forward = "id"
"""


class Sheet:
    """A config file to write and load."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.path = directory / "zproxy.toml"
        (directory / "accounts.toml").touch()

    def load(self, text: str, role: Role = Role.RUN, **environ: str) -> config_pb2.Config:
        self.path.write_text(text)
        return load(self.path, role, environ=environ)

    def faults(self, text: str, role: Role = Role.RUN, **environ: str) -> dict[str, str]:
        with pytest.raises(ConfigError) as caught:
            self.load(text, role, **environ)
        return {fault.path: str(fault) for fault in caught.value.faults}

    def whole(self, more: str = "") -> str:
        """A good config, `more` put before its first table."""
        head, table, tail = WHOLE.format(state=self.directory).partition("[[listeners]]")
        return f"{head}{more}\n{table}{tail}"


@pytest.fixture
def sheet(tmp_path: Path) -> Sheet:
    return Sheet(tmp_path)


def test_reads_every_kind_of_value(sheet: Sheet) -> None:
    config = sheet.load(sheet.whole())
    assert config.listeners[0].protocol == config_pb2.PROTOCOL_IMAP
    assert config.listeners[0].tls == config_pb2.LISTENER_TLS_STARTTLS_OPTIONAL
    assert list(config.listeners[0].proxy_protocol_from) == ["127.0.0.0/8"]
    assert (config.limits.line, config.limits.sessions) == (16384, 10)
    assert config.timeouts.login.ToSeconds() == 90
    assert dict(config.names.domain_aliases) == {"tgg.example": "tgg.net.id"}
    assert config.backends[0].HasField("weight")
    assert config.backends[0].endpoints.imap.forward == pool_pb2.FORWARD_ID
    assert config.directory.WhichOneof("source") == "file"


def test_fills_the_defaults_that_control_reads(sheet: Sheet) -> None:
    config = sheet.load(sheet.whole())
    assert config.api.address == f"unix:{sheet.directory}/api.sock"
    assert config.cache.soft_ttl.ToSeconds() == 600
    assert config.cache.timeout.ToMilliseconds() == 100


def test_a_given_value_outranks_the_default(sheet: Sheet) -> None:
    text = sheet.whole() + '[cache]\nsoft_ttl = "1m"\n[api]\naddress = "127.0.0.1:7410"\n'
    config = sheet.load(text)
    assert (config.cache.soft_ttl.ToSeconds(), config.api.address) == (60, "127.0.0.1:7410")


@pytest.mark.parametrize(
    ("more", "path", "told"),
    [
        ("hostnam = 'x'", "hostnam", "did you mean `hostname`?"),
        ("zzz = 1", "zzz", "known here: api, "),
        ("threads = 'two'", "threads", '"two": a string; write a whole number'),
        ("threads = true", "threads", "true: a boolean; write a whole number"),
        ("threads = -1", "threads", "-1: out of range; write a number from 0 to 4294967295"),
        ("threads = 4294967296", "threads", "out of range"),
        ("api = 3", "api", "api = 3: a number; write a table, [api]"),
        ("groups = 5", "groups", "groups = 5: a number; write [[groups]]"),
        ("cache.soft_ttl = '0s'", "cache.soft_ttl", 'cache.soft_ttl = "0s": must be more than nothing'),
        ("ticket_keys.rotation = '169h'", "ticket_keys.rotation", "not from a second to a week"),
        ("cookie_keys.rotation = '23h'", "cookie_keys.rotation", "not from a day to 30 days"),
        ("log.threads = 2", "log.threads", "no such key in [log]; `threads` is a key of the top level"),
        ("health.interval = 5", "health.interval", '5: a number; write a duration in quotes, e.g. "30s"'),
        ("health.interval = '5 sec'", "health.interval", '"5 sec": not a duration'),
        ("groups = [{name = 'g', kind = 'Shared'}]", "groups[0].kind", '"Shared": not one of "stateless", "shared"'),
        (
            "[[backends]]\nname = 'm'\nhost = '127.0.0.9'\nendpoints.submission = {port = 587, forward = 'xoip'}",
            "backends[0].endpoints.submission.forward",
            '"xoip": is for pop3 alone',
        ),
        ("groups = {name = 'g'}", "groups", "a table; write [[groups]]"),
        ("groups = [1]", "groups[0]", "a number; write [[groups]]"),
        ("log.records = '${HOME}'", "log.records", "environment variables fill secrets only"),
        ("log.records = 1979-05-27", "log.records", "a date or time; write a string in quotes"),
        ('log."a b" = 1', 'log."a b"', "no such key"),
        ("api.reflection = 'yes'", "api.reflection", "write true or false"),
    ],
)
def test_names_key_value_and_mend(sheet: Sheet, more: str, path: str, told: str) -> None:
    faults = sheet.faults(sheet.whole(more))
    assert told in faults[path]


def test_tells_every_fault_at_once(sheet: Sheet) -> None:
    faults = sheet.faults("hostnam = 'x'\nthreads = ''\n[api]\naddress = '0.0.0.0:1'\n[[backends]]\nname = 'a b'\n")
    assert set(faults) == {
        "hostnam",
        "threads",
        "state_directory",
        "api.address",
        "directory",
        "backends[0].name",
        "backends[0].host",
        "backends[0].endpoints",
    }


def test_a_value_of_the_wrong_type_is_not_called_missing_too(sheet: Sheet) -> None:
    faults = sheet.faults(sheet.whole("cache.memcached = ['127.0.0.1:11211']\ncache.seal_key = 5"))
    assert list(faults) == ["cache.seal_key"]


def test_two_directories_are_one_too_many(sheet: Sheet) -> None:
    faults = sheet.faults(sheet.whole("directory.ldap.base = 'dc=x'"))
    assert "file and ldap are both set; keep one" in faults["directory"]


def test_a_secret_comes_from_the_environment(sheet: Sheet) -> None:
    text = sheet.whole("cache.memcached = ['127.0.0.1:11211']\ncache.seal_key = '${SEAL}'")
    assert sheet.load(text, SEAL="k" * 32).cache.seal_key == "k" * 32
    assert "SEAL is not set" in sheet.faults(text)["cache.seal_key"]


@pytest.mark.parametrize("key", ["${NOT SET}", "x${SEAL}", "${SEAL}${SEAL}", "${", "${1}"])
def test_a_secret_that_is_not_one_whole_variable_is_not_taken_literally(sheet: Sheet, key: str) -> None:
    text = sheet.whole(f"cache.memcached = ['127.0.0.1:11211']\ncache.seal_key = '{key}{' ' * 32}'")
    told = sheet.faults(text, SEAL="k" * 32)["cache.seal_key"]
    assert 'is not one whole "${NAME}"' in told
    assert key not in told.replace("${NAME}", "").replace('holds "${"', "")


def test_no_fault_shows_a_secret(sheet: Sheet) -> None:
    faults = sheet.faults(sheet.whole("cache.memcached = ['127.0.0.1:11211']\ncache.seal_key = 'hunter2'"))
    assert "shorter than 32 octets" in faults["cache.seal_key"]
    assert "hunter2" not in str(faults)


def test_a_duplicate_key_is_told_with_its_line(sheet: Sheet) -> None:
    assert "line 2" in sheet.faults("threads = 1\nthreads = 2\n")["TOML"]


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_a_file_that_cannot_be_read_is_another_error(sheet: Sheet, content: bytes | None) -> None:
    if content is not None:
        sheet.path.write_bytes(content)
    with pytest.raises(ConfigUnreadableError, match=r"zproxy\.toml"):
        load(sheet.path, Role.RUN, environ={})


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("0.0.0.0:7410", "whoever could reach it could do everything"),
        ("10.0.0.1:7410", "[api.certificates]"),
        ("localhost:7410", "[api.certificates]"),
        ("::1:7410", "brackets"),
        ("127.0.0.1", "not host:port"),
        ("unix:", "no path"),
        (f"unix:/{'x' * 107}", "107 octets"),
    ],
)
def test_the_api_stays_on_this_machine(sheet: Sheet, address: str, told: str) -> None:
    assert told in sheet.faults(sheet.whole(f"api.address = '{address}'"))["api.address"]


@pytest.mark.parametrize(
    ("ldap", "path", "told"),
    [
        ("base = 'dc=x'", "urls", "missing"),
        ("urls = ['http://x']", "urls[0]", "not an LDAP URL"),
        ("urls = ['ldap://']", "urls[0]", "not an IP address or DNS name"),
        ("urls = ['ldap://x:99999']", "urls[0]", "out of range"),
        ("urls = ['ldap://x/dc=x']", "urls[0]", "only scheme, host and port"),
        ("urls = ['ldap://x']", "base", "missing"),
        ("bind_dn = 'cn=x'", "bind_password", "missing"),
        ("bind_password = 'x'", "bind_dn", "missing"),
        ("urls = ['ldaps://x']\ntls = 'starttls'", "tls", "TLS from the first byte"),
        ("filter = '(a=b'", "filter", "not an LDAP filter"),
        ("ca_file = '/nonexistent'", "ca_file", "no such file"),
        ("timeout = '0s'", "timeout", "more than nothing"),
    ],
)
def test_an_ldap_directory_is_checked(sheet: Sheet, ldap: str, path: str, told: str) -> None:
    text = f"state_directory = '{sheet.directory}'\n[directory.ldap]\n{ldap}\n"
    assert told in sheet.faults(text)[f"directory.ldap.{path}"]


def test_ldap_beyond_loopback_starts_tls_by_default(sheet: Sheet) -> None:
    text = f"state_directory = '{sheet.directory}'\n[directory.ldap]\nbase = 'dc=x'\nurls = ['ldap://%s']\n"
    assert sheet.load(text % "ldap.example.net").directory.ldap.tls == config_pb2.LDAP_TLS_STARTTLS
    assert sheet.load(text % "127.0.0.1").directory.ldap.tls == config_pb2.LDAP_TLS_UNSPECIFIED


@pytest.mark.parametrize(
    ("more", "path"),
    [
        ("names.default_domain = 'a b'", "names.default_domain"),
        ("names.virtual_hosts = [{domain = 'x.net'}]", "names.virtual_hosts[0].hosts"),
        ("names.virtual_hosts = [{hosts = ['a', 'A'], domain = 'x.net'}]", "names.virtual_hosts[0].hosts[1]"),
        ("names.detail_separator = '@'", "names.detail_separator"),
        ("names.strip_suffixes = ['']", "names.strip_suffixes[0]"),
        ("cache.memcached = ['x']", "cache.memcached[0]"),
        ("cache.soft_ttl = '48h'", "cache.hard_ttl"),
        ("directory.file.path = '/x.json'", "directory.file.path"),
        ("directory.file.path = '/nonexistent.csv'", "directory.file.path"),
        ("defaults.mail = 'nobody'", "defaults.mail"),
    ],
)
def test_controls_part_is_checked(sheet: Sheet, more: str, path: str) -> None:
    source = "" if more.startswith("directory") else f"directory.file.path = '{sheet.directory}/accounts.toml'"
    assert path in sheet.faults(f"state_directory = '{sheet.directory}'\n{source}\n{more}\n")


def test_an_edge_needs_no_directory(sheet: Sheet) -> None:
    config = sheet.load(f"state_directory = '{sheet.directory}'", Role.EDGE)
    assert config.api.address == f"unix:{sheet.directory}/api.sock"


def test_the_edges_own_faults_stand_beside_controls(sheet: Sheet) -> None:
    sheet.path.write_text("threads = 'x'")
    with pytest.raises(ConfigError) as caught:
        load(
            sheet.path,
            Role.RUN,
            environ={},
            edge_check=lambda _: [("hostname", "missing; write one"), ("threads", "?")],
        )
    told = [str(fault) for fault in caught.value.faults]
    assert "hostname: missing; write one" in told
    assert not any(line.startswith("threads: ?") for line in told)


def test_every_field_of_the_schema_has_a_reader() -> None:
    known = {FieldDescriptor.TYPE_BOOL, FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_ENUM}
    known |= {FieldDescriptor.TYPE_UINT32, FieldDescriptor.TYPE_UINT64, FieldDescriptor.TYPE_MESSAGE}
    assert {field.type for field in _fields(config_pb2.Config.DESCRIPTOR)} <= known


def test_exactly_the_secrets_are_marked() -> None:
    secrets = {field.name for field in _fields(config_pb2.Config.DESCRIPTOR) if field.GetOptions().debug_redact}
    assert secrets == {
        "bearer_token",
        "bind_password",
        "client_secret",
        "password",
        "salt_key",
        "seal_key",
        "secret",
        "value",
    }


def _fields(message: Descriptor) -> list[FieldDescriptor]:
    fields = list(message.fields)
    for field in message.fields:
        if field.message_type is not None and field.message_type.full_name != "google.protobuf.Duration":
            fields += _fields(field.message_type)
    return fields
