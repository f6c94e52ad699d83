"""What a request costs the proxy beside nginx, before the same web server. `make bench` runs it; figures go to stdout.

Both are measured in turn, several times, and the best of each counts: a busy machine only ever adds. Every request
names an account by Basic, as DAV clients do, so zproxy looks for its home; to nginx all are the same. Words on the
command line choose the loads whose names have one of them.
"""

from __future__ import annotations

import base64
import re
import resource
import socket
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

# The suite's servers.
sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from servers.certificates import Authority
from servers.nginx_web import FILES, PORT, TLS_PORT, web_proxy, web_server
from servers.process import cpu_seconds, family, private_bytes
from servers.zproxy import Zproxy, directory_file, listener
from zcontrol.demo.accounts import HOSTNAME

if TYPE_CHECKING:
    import ssl
    from collections.abc import Sequence

    from servers.certificates import Certificate
    from servers.zproxy import Config

ACCOUNT: Final = "siti@tgg.net.id"
ROUNDS: Final = 5
IDLE_CONNECTIONS: Final = 1000
# As a browser's are.
FIELDS: Final = {
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "Accept-Language": "id,en-US;q=0.7,en;q=0.3",
    "Accept-Encoding": "gzip, deflate, br",
    "Referer": f"https://{HOSTNAME}/mail/?_task=mail&_mbox=INBOX",
    "Cookie": "roundcube_sessid=6e5bd2f0c1a94f0b8b1c6d7e8f901234; roundcube_sessauth=8a9b0c1d2e3f405162738495a6b7c8d9",
    "Authorization": f"Basic {base64.b64encode(f'{ACCOUNT}:only for benches'.encode()).decode()}",
}


@dataclass(frozen=True, kw_only=True)
class Proxy:
    """One of the two."""

    name: str
    address: tuple[str, int]
    process: int

    def cpu_seconds(self) -> float:
        """Return what all its processes have used."""
        return sum(map(cpu_seconds, family(self.process)))

    def private_bytes(self) -> int:
        """Return what all its processes hold."""
        return sum(map(private_bytes, family(self.process)))


@dataclass(frozen=True, kw_only=True)
class Load:
    """Clients of one kind."""

    name: str
    command: Sequence[str]
    path: str

    def against(self, proxy: Proxy) -> Figures:
        """Run the clients to their end."""
        host, port = proxy.address
        fields = [part for name, value in FIELDS.items() for part in ("-H", f"{name}: {value}")]
        if self.command[0] == "wrk":
            target = ["-H", f"Host: {HOSTNAME}", f"https://{host}:{port}{self.path}"]
        else:
            target = [f"--connect-to={host}:{port}", f"https://{HOSTNAME}{self.path}"]
        before = proxy.cpu_seconds()
        command = [*self.command, *fields, *target]
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout  # noqa: S603 - ours
        return _figures(said, proxy.cpu_seconds() - before)


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What came of a load."""

    rate: float
    cpu_micros: float
    failed: int


def main() -> int:
    """Run each load against both."""
    # A connection through a proxy is two descriptors; children inherit the limit.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        # nginx's workers are nobody.
        directory.chmod(0o755)
        authority = Authority(directory)
        certificate = authority.issue(HOSTNAME)
        backend = stack.enter_context(web_server(directory))
        zproxy = stack.enter_context(Zproxy(directory, _config(directory, certificate, backend)))
        host, pid = stack.enter_context(web_proxy(directory, backend, certificate))
        proxies = [
            Proxy(name="zproxy", address=zproxy.listeners["https"], process=zproxy.process.pid),
            Proxy(name="nginx", address=(host, TLS_PORT), process=pid),
        ]
        upload = directory / "upload"
        upload.write_bytes(bytes(FILES["1m"]))
        _print("", "zproxy", "nginx", "ratio")
        words = sys.argv[1:] or [""]
        for load in _loads(upload):
            if any(word in load.name for word in words):
                _compare(load, proxies)
        _compare_memory(proxies, authority.client_context())
    return 0


def _loads(upload: Path) -> Sequence[Load]:
    wrk = ("wrk", "-t1", "-c32", "-d3s")
    h1, h2 = ("h2load", "--h1"), ("h2load",)
    sent = ("-d", str(upload))
    return [
        Load(name="1 KB, HTTP/1.1, kept alive", command=wrk, path="/1k"),
        Load(name="1 KB, HTTP/1.1, a connection each", command=(*wrk, "-H", "Connection: close"), path="/1k"),
        Load(name="1 KB, HTTP/2, 8 x 16 streams", command=(*h2, "-n16000", "-c8", "-m16"), path="/1k"),
        Load(name="1 MB, HTTP/1.1", command=(*h1, "-n600", "-c8"), path="/1m"),
        Load(name="1 MB, HTTP/2", command=(*h2, "-n600", "-c4", "-m2"), path="/1m"),
        Load(name="100 MB, HTTP/1.1", command=(*h1, "-n8", "-c4"), path="/100m"),
        Load(name="100 MB, HTTP/2", command=(*h2, "-n8", "-c4"), path="/100m"),
        Load(name="1 MB sent, HTTP/1.1", command=(*h1, "-n600", "-c8", *sent), path="/upload"),
        Load(name="1 MB sent, HTTP/2", command=(*h2, "-n600", "-c4", "-m2", *sent), path="/upload"),
    ]


def _compare(load: Load, proxies: Sequence[Proxy]) -> None:
    rounds = [[load.against(proxy) for proxy in proxies] for _ in range(ROUNDS)]
    best = [
        Figures(
            rate=max(one.rate for one in of_proxy),
            cpu_micros=min(one.cpu_micros for one in of_proxy),
            failed=sum(one.failed for one in of_proxy),
        )
        for of_proxy in zip(*rounds, strict=True)
    ]
    ours, theirs = best
    shown = [f"{one.rate:8.1f}/s {one.cpu_micros:8.0f} µs" for one in best]
    failed = f"; failed {ours.failed} and {theirs.failed}" if ours.failed or theirs.failed else ""
    ratio = f"{ours.rate / theirs.rate:5.2f} x rate, {ours.cpu_micros / theirs.cpu_micros:5.2f} x CPU{failed}"
    _print(load.name, *shown, ratio)


def _compare_memory(proxies: Sequence[Proxy], context: ssl.SSLContext) -> None:
    after = [proxy.private_bytes() for proxy in proxies]
    _print("memory after all that", *(f"{held / 1e6:.1f} MB" for held in after), f"{after[0] / after[1]:5.2f} x")
    idle = [_idle_bytes(proxy, context) for proxy in proxies]
    _print("an idle connection", *(f"{held:.0f} bytes" for held in idle), f"{idle[0] / idle[1]:5.2f} x")


def _idle_bytes(proxy: Proxy, context: ssl.SSLContext) -> float:
    """Return what a connection holds that has made a request; the kernel's buffers are not in it."""
    head = "".join(f"{name}: {value}\r\n" for name, value in FIELDS.items())
    request = f"GET /1k HTTP/1.1\r\nHost: {HOSTNAME}\r\n{head}\r\n".encode()
    before = proxy.private_bytes()
    with ExitStack() as stack:
        for _ in range(IDLE_CONNECTIONS):
            plain = stack.enter_context(socket.create_connection(proxy.address))
            stream = stack.enter_context(context.wrap_socket(plain, server_hostname=HOSTNAME))
            stream.sendall(request)
            while not stream.recv(FILES["1k"] * 4).endswith(b"def"):
                pass
        return (proxy.private_bytes() - before) / IDLE_CONNECTIONS


def _figures(said: str, cpu: float) -> Figures:
    """Read what wrk or h2load says."""
    if made := re.search(r"(\d+) requests in", said):
        done, rate = int(made[1]), _number(r"Requests/sec: +([\d.]+)", said)
        failed = _number(r"Non-2xx or 3xx responses: (\d+)", said)
        failed += sum(map(int, re.findall(r"\w+ (\d+)", _text(r"Socket errors: (.*)", said))))
    else:
        done = int(_number(r"(\d+) succeeded", said))
        rate, failed = _number(r"([\d.]+) req/s", said), _number(r"(\d+) failed", said)
    return Figures(rate=rate, cpu_micros=cpu / max(done, 1) * 1e6, failed=int(failed))


def _number(pattern: str, said: str) -> float:
    return float(_text(pattern, said) or 0)


def _text(pattern: str, said: str) -> str:
    found = re.search(pattern, said)
    return found[1] if found else ""


def _config(directory: Path, certificate: Certificate, backend: str) -> Config:
    return {
        "listeners": [listener("https", "http", "implicit")],
        "certificates": [certificate.config],
        "limits": {"trusted": ["127.0.0.0/8"]},
        "http": {"hosts": [{"names": [HOSTNAME], "login": "web"}]},
        "directory": directory_file(directory / "accounts.csv", {ACCOUNT: "web"}),
        "backends": [{"name": "web", "host": backend, "endpoints": {"http": {"port": PORT}}}],
    }


def _print(what: str, ours: str, theirs: str, ratio: str) -> None:
    sys.stdout.write(f"{what:34}{ours:>24}{theirs:>24}  {ratio}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
