"""Real LDAP servers, each with a small schema of ours and what entries a test gives it.

`start_slapd` starts one; several with the same entries are replicas. The schema has the few attributes that the generic
and the Zimbra preset read, with the syntax and matching that the real ones have.
"""

from __future__ import annotations

import subprocess
from contextlib import ExitStack
from typing import TYPE_CHECKING, Protocol

import pytest

from servers.pausing import pause, resume
from servers.waiting import accepts, until
from zcontrol.demo.loopback import own_address

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from servers.certificates import Certificate

LDAP_PORT = 3890
LDAPS_PORT = 6360
BASE = "dc=example"
ROOT_DN = f"cn=root,{BASE}"
ROOT_PASSWORD = "only for tests"

Entry = tuple[str, "Mapping[str, str | Sequence[str]]"]


class Slapd:
    """One server; `pause` stops it without closing anything, as an overloaded machine does."""

    def __init__(self, directory: Path, *, settings: str = "", overlays: str = "", suffix: str = BASE) -> None:
        self.address = own_address()
        self.url = f"ldap://{self.address}:{LDAP_PORT}"
        self.ldaps_url = f"ldaps://{self.address}:{LDAPS_PORT}"
        self._directory = directory
        self._config = directory / "slapd.conf"
        self._urls = self.url
        self._process: subprocess.Popen[bytes] | None = None
        (directory / "data").mkdir(parents=True)
        (directory / "zproxy.schema").write_text(SCHEMA)
        self._config.write_text(_config(directory, settings, overlays, suffix))

    def use(self, certificate: Certificate) -> None:
        """Offer StartTLS and LDAPS, and start."""
        files = f"TLSCertificateFile {certificate.certificate_file}\nTLSCertificateKeyFile {certificate.key_file}\n"
        self._config.write_text(files + self._config.read_text())
        self._urls = f"{self.url} {self.ldaps_url}"
        self.start()

    def load(self, entries: Sequence[Entry]) -> None:
        """Fill the stopped server."""
        ldif = "\n".join(_ldif(name, attributes) for name, attributes in [(BASE, TREE), *entries])
        self._run("-T", "add", "-q", input=ldif.encode())

    def rename(self, name: str, to: str) -> None:
        """Give an entry of the running server another relative name."""
        change = f"dn: {name}\nchangetype: modrdn\nnewrdn: {to}\ndeleteoldrdn: 0\n"
        command = ["ldapmodify", "-x", "-H", self.url, "-D", ROOT_DN, "-w", ROOT_PASSWORD]
        done = subprocess.run(command, input=change.encode(), capture_output=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr.decode()

    def start(self) -> None:
        log = (self._directory / "log").open("ab")
        # `-d 0` keeps it in the foreground.
        command = [SLAPD, "-d", "0", "-h", self._urls, "-f", str(self._config)]
        self._process = subprocess.Popen(command, stdout=log, stderr=log)
        log.close()
        until(lambda: accepts(self.address, LDAP_PORT))

    def pause(self) -> None:
        assert self._process
        pause(self._process.pid)

    def resume(self) -> None:
        assert self._process
        resume(self._process.pid)

    def stop(self) -> None:
        if self._process:
            self._process.kill()
            self._process.wait(timeout=10)
            self._process = None

    def _run(self, *arguments: str, input: bytes) -> None:  # noqa: A002 - subprocess's word
        done = subprocess.run(
            [SLAPD, *arguments, "-f", str(self._config)], input=input, capture_output=True, check=False, timeout=60
        )
        assert done.returncode == 0, done.stderr.decode()


class StartSlapd(Protocol):
    def __call__(
        self, *entries: Entry, settings: str = "", overlays: str = "", suffix: str = BASE, start: bool = True
    ) -> Slapd: ...


@pytest.fixture
def start_slapd(tmp_path: Path) -> Iterator[StartSlapd]:
    """Start servers that end with the test."""
    with ExitStack() as stack:

        def start_one(
            *entries: Entry, settings: str = "", overlays: str = "", suffix: str = BASE, start: bool = True
        ) -> Slapd:
            path = tmp_path / f"slapd-{len(list(tmp_path.glob('slapd-*')))}"
            server = Slapd(path, settings=settings, overlays=overlays, suffix=suffix)
            stack.callback(server.stop)
            server.load(entries)
            if start:
                server.start()
            return server

        yield start_one


def person(uid: str, **attributes: str | Sequence[str]) -> Entry:
    """An account of the generic preset."""
    return f"uid={uid},{BASE}", {"objectClass": ["account", "testMailAccount"], "uid": uid, **attributes}


def with_password(entry: Entry, password: str, **attributes: str | Sequence[str]) -> Entry:
    """The same account, with a password to bind by and whatever a password policy has noted of it."""
    name, known = entry
    classes = [*known["objectClass"], "simpleSecurityObject"]
    return name, {**known, "objectClass": classes, "userPassword": password, **attributes}


def zimbra_account(uid: str, **attributes: str | Sequence[str]) -> Entry:
    """An account of the Zimbra preset."""
    return f"uid={uid},{BASE}", {"objectClass": ["account", "zimbraAccount"], "uid": uid, **attributes}


def zimbra_domain(name: str, **attributes: str | Sequence[str]) -> Entry:
    """A domain of the Zimbra preset."""
    return f"zimbraDomainName={name},{BASE}", {
        "objectClass": "zimbraDomain",
        "zimbraDomainName": name,
        "zimbraDomainType": "local",
        **attributes,
    }


def zimbra_class(name: str, **attributes: str | Sequence[str]) -> Entry:
    """A class of service of the Zimbra preset; `default` is that of accounts which name none."""
    return f"cn={name},{BASE}", {"objectClass": "zimbraCOS", "cn": name, **attributes}


def _ldif(name: str, attributes: Mapping[str, str | Sequence[str]]) -> str:
    lines = [f"dn: {name}"]
    for attribute, values in attributes.items():
        lines += [f"{attribute}: {value}" for value in ([values] if isinstance(values, str) else values)]
    return "\n".join(lines) + "\n"


def _config(directory: Path, settings: str, overlays: str, suffix: str) -> str:
    schemas = "".join(f"include /etc/ldap/schema/{name}.schema\n" for name in ("core", "cosine"))
    return f"""{schemas}include {directory}/zproxy.schema
modulepath /usr/lib/ldap
moduleload back_mdb
{settings}
database mdb
suffix "{suffix}"
rootdn "{ROOT_DN}"
rootpw "{ROOT_PASSWORD}"
directory {directory}/data
maxsize 268435456
dbnosync
{INDEXES}
{overlays}"""


SLAPD = "/usr/sbin/slapd"
TREE = {"objectClass": ["dcObject", "organization"], "dc": "example", "o": "example"}
_IA5 = "EQUALITY caseIgnoreIA5Match SYNTAX 1.3.6.1.4.1.1466.115.121.1.26"
_TEXT = "EQUALITY caseIgnoreMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15"
_BOOLEAN = "EQUALITY booleanMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.7"
_ATTRIBUTES = {
    "mailAlternateAddress": _IA5,
    "mailHost": _IA5,
    "mailStatus": _TEXT,
    "mailLogin": _TEXT,
    "mailMayActAs": _IA5,
    "zimbraId": f"{_TEXT} SINGLE-VALUE",
    "zimbraMailDeliveryAddress": _IA5,
    "zimbraMailAlias": _IA5,
    "zimbraMailHost": f"{_IA5} SINGLE-VALUE",
    "zimbraAccountStatus": f"{_TEXT} SINGLE-VALUE",
    "zimbraDomainName": f"{_IA5} SINGLE-VALUE",
    "zimbraDomainType": f"{_TEXT} SINGLE-VALUE",
    "zimbraDomainAliasTargetId": f"{_TEXT} SINGLE-VALUE",
    "zimbraDomainAliasTargetName": f"{_IA5} SINGLE-VALUE",
    "zimbraVirtualHostname": _IA5,
    "zimbraVirtualIPAddress": _IA5,
    "zimbraDomainAllowedIPs": _IA5,
    "zimbraAuthMech": f"{_TEXT} SINGLE-VALUE",
    "zimbraTwoFactorAuthEnabled": f"{_BOOLEAN} SINGLE-VALUE",
    "zimbraFeatureTwoFactorAuthRequired": f"{_BOOLEAN} SINGLE-VALUE",
    "zimbraCOSId": f"{_TEXT} SINGLE-VALUE",
    "zimbraDomainStatus": f"{_TEXT} SINGLE-VALUE",
    "zimbraDomainDefaultCOSId": f"{_TEXT} SINGLE-VALUE",
}
_DOMAIN = [name for name in _ATTRIBUTES if name.startswith(("zimbraAuth", "zimbraDomain", "zimbraVirtual"))]
_ACCOUNT = [name for name in _ATTRIBUTES if name.startswith("zimbra") and name not in _DOMAIN]
_GENERIC = ["mail", *(name for name in _ATTRIBUTES if name.startswith("mail"))]
INDEXES = "index objectClass eq\n" + "".join(
    f"index {name} eq\n" for name in ("mail", "mailAlternateAddress", *_ACCOUNT, *_DOMAIN)
)
# Below the arc that needs no registration (ITU-T X.667).
_ARC = "2.25.305419896"
SCHEMA = "".join(
    f"attributetype ( {_ARC}.1.{number} NAME '{name}' {kind} )\n"
    for number, (name, kind) in enumerate(_ATTRIBUTES.items(), 1)
) + "".join(
    f"objectclass ( {_ARC}.3.{number} NAME '{name}' SUP top {kind} MAY ( {' $ '.join(may)} ) )\n"
    for number, (name, kind, may) in enumerate(
        [
            ("testMailAccount", "AUXILIARY", _GENERIC),
            ("zimbraAccount", "AUXILIARY", ["mail", *_ACCOUNT]),
            ("zimbraDomain", "STRUCTURAL", ["zimbraId", *_DOMAIN]),
            ("zimbraCOS", "STRUCTURAL", ["cn", "zimbraId", "zimbraFeatureTwoFactorAuthRequired"]),
        ],
        1,
    )
)
