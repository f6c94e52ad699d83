"""Hosts, ports and URLs as config and pool write them: parsed once, or a ValueError that says how to write one."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


def parse_host(text: str) -> str | IPAddress:
    """An IP address or a DNS name, without port."""
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        pass
    if is_dns_name(text):
        return text
    raise ValueError("not an IP address or DNS name; write e.g. 10.0.0.7 or mbox-3.example.net, without a port")


def parse_host_port(text: str) -> tuple[str | IPAddress, int]:
    """`host:port`, an IPv6 address in brackets."""
    host, colon, port = text.rpartition(":")
    if not colon or not _PORT.fullmatch(port) or int(port) > LARGEST_PORT:
        raise ValueError("not host:port; write e.g. 127.0.0.1:7410 or [::1]:7410")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError("an IPv6 address goes in brackets; write e.g. [::1]:7410")
    return parse_host(host), int(port)


def is_dns_name(text: str) -> bool:
    """Whether a text is a host or domain name; one that ends in a number would be taken for an address."""
    labels = text.split(".")
    return len(text) <= _LONGEST_NAME and all(map(_LABEL.fullmatch, labels)) and not labels[-1].isdigit()


def is_loopback(host: str | IPAddress) -> bool:
    """Whether only this machine can be meant."""
    return host == "localhost" if isinstance(host, str) else host.is_loopback


def is_loopback_url(url: str) -> bool:
    """Whether a URL leads to this machine only; one that cannot be parsed does not."""
    try:
        return is_loopback(parse_host(urlsplit(url).hostname or ""))
    except ValueError:
        return False


_PORT = re.compile(r"[0-9]{1,5}")
LARGEST_PORT = 65535
# RFC 1035, 2.3.4: 255 octets on the wire are 253 in text.
_LONGEST_NAME = 253
# Underscores occur in the names that container networks give.
_LABEL = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
