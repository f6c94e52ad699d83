"""Listening sockets, made before anything serves on them: a config whose address is taken is refused as a whole."""

import socket
from typing import Final

from zcontrol.address import parse_host_port


def listen(address: str) -> socket.socket:
    """A listening socket at `host:port`; raises `OSError`."""
    host, port = parse_host_port(address)
    [(family, kind, _, _, place), *_] = socket.getaddrinfo(str(host), port, type=socket.SOCK_STREAM)
    listening = socket.socket(family, kind)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listening.bind(place)
        listening.listen(BACKLOG)
        listening.setblocking(False)  # noqa: FBT003 - the name is the meaning
    except OSError:
        listening.close()
        raise
    return listening


BACKLOG: Final = 1024
