"""What a login costs the proxy in CPU, and an idle session in memory. `make bench` runs it; figures go to stdout.

The backend is core/load's fake one and the clients are core/load's churn, so that the proxy is what is measured.
"""

from __future__ import annotations

import resource
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

# The suite's servers.
sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from servers.certificates import Authority
from servers.load import churn, fake_backend
from servers.process import cpu_seconds, private_bytes
from servers.zproxy import Zproxy, directory_file, listener
from zcontrol.demo.accounts import HOSTNAME

if TYPE_CHECKING:
    from servers.load import FakeBackend
    from servers.zproxy import Config

ACCOUNTS = 1000
CONCURRENCY = 32
WARM_UP = 1000
LOGINS = 10_000
IDLE_SESSIONS = 2000
LISTENERS = (
    ("imap", "off"),
    ("imaps", "implicit"),
    ("pop3", "off"),
    ("pop3s", "implicit"),
)


def main() -> int:
    """Measure each listener in turn."""
    # A session is two descriptors of the proxy's; children inherit the limit.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with fake_backend() as backend:
        for name, tls in LISTENERS:
            # A proxy of its own: what sessions before it have left in the allocator would be taken for its sessions'.
            with tempfile.TemporaryDirectory() as scratch:
                directory = Path(scratch)
                authority = Authority(directory)
                config = _config(directory, authority, backend) | {
                    "listeners": [listener(name, name.removesuffix("s"), tls)]
                }
                with Zproxy(directory, config) as zproxy:
                    _measure(zproxy, authority, name)
    return 0


def _measure(zproxy: Zproxy, authority: Authority, name: str) -> None:
    host, port = zproxy.listeners[name]
    options = {
        "protocol": name.removesuffix("s"),
        "target": f"{host}:{port}",
        "account": "user{}@load.example",
        "accounts": ACCOUNTS,
        "concurrency": CONCURRENCY,
    }
    if name.endswith("s"):
        options |= {"tls_name": HOSTNAME, "ca_file": authority.ca_file}
    with churn(logins=WARM_UP, **options):
        pass
    cpu = cpu_seconds(zproxy.process.pid)
    with churn(logins=LOGINS, **options) as figures:
        cpu = cpu_seconds(zproxy.process.pid) - cpu
    memory = private_bytes(zproxy.process.pid)
    with churn(logins=IDLE_SESSIONS, end="hold", **options) as held:
        memory = private_bytes(zproxy.process.pid) - memory
    errors = figures["errors"] | held["errors"]
    sys.stdout.write(
        f"{name:6} {cpu / LOGINS * 1e6:6.0f} µs CPU a login, {figures['logins_per_second']:6.0f} logins/s"
        f" with {CONCURRENCY} clients, p99 {figures['latency_ms']['p99']:5.1f} ms;"
        f" {memory / IDLE_SESSIONS:6.0f} bytes an idle session{f'; errors {errors}' if errors else ''}\n"
    )


def _config(directory: Path, authority: Authority, backend: FakeBackend) -> Config:
    certificate = authority.issue(HOSTNAME)
    homes = {f"user{number}@load.example": "fake" for number in range(ACCOUNTS)}
    ports = {"imap": {"port": backend.imap_port}, "pop3": {"port": backend.pop3_port}}
    return {
        "certificates": [
            {"certificate_file": str(certificate.certificate_file), "key_file": str(certificate.key_file)}
        ],
        "limits": {"trusted": ["127.0.0.0/8"]},
        "directory": directory_file(directory / "accounts.csv", homes),
        "backends": [{"name": "fake", "host": "127.0.0.1", "endpoints": ports}],
    }


if __name__ == "__main__":
    sys.exit(main())
