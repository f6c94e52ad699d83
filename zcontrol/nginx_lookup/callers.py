"""Who may ask: by the network that a connection comes from, by a secret in a header, or both."""

import hmac
from collections.abc import Iterable
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Final, final

from zcontrol.v1 import config_pb2


@final
class Callers:
    """The rules of one config."""

    def __init__(self, config: config_pb2.NginxLookup) -> None:
        self._networks = [ip_network(network) for network in config.callers]
        self._secret = config.secret.encode()
        self._header = (config.header_name or DEFAULT_HEADER).lower().encode()

    def admits(self, address: str) -> bool:
        """Whether this address may connect."""
        if not self._networks:
            return True
        source = ip_address(address)
        if isinstance(source, IPv6Address) and source.ipv4_mapped:
            source = source.ipv4_mapped
        return any(source in network for network in self._networks)

    def knows(self, headers: Iterable[tuple[bytes, bytes]]) -> bool:
        """Whether a request carries the secret, where there is one; names are in lower case."""
        if not self._secret:
            return True
        sent = [value for name, value in headers if name == self._header]
        return len(sent) == 1 and hmac.compare_digest(sent[0], self._secret)


DEFAULT_HEADER: Final = "X-Auth-Key"
