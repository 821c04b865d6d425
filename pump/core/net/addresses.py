"""The addresses that may be connected to: a URL that others name must not reach what lies inside our own network.

Asked for each address as it is connected to, after the name was resolved: a check of the name alone could be answered
one address, and the connection another. One rule for webhooks and for pictures.
"""

from __future__ import annotations

import ipaddress
import socket
from functools import lru_cache
from typing import Any, Final

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")
_FORBIDDEN: Final = "is a private, loopback, link-local or reserved address"


class Forbidden(OSError):
    """The address is none that may be connected to."""


def inside(text: str) -> bool:
    """True where this address, or the one of IPv4 that it stands for, is not one of the public internet."""
    address: Address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        embedded = address.ipv4_mapped or address.sixtofour or _behind_nat64(address)
        if embedded is not None:
            address = embedded
        elif address.teredo is not None or address.is_site_local:  # the latter is deprecated, Python calls it global
            return True
    return not address.is_global or address.is_multicast or address.is_reserved


@lru_cache(1024)  # of few hosts there are many links
def literal(host: str) -> Address | None:
    """The address that a URL's host is, brackets of IPv6 or none; None for a name."""
    try:
        return ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return None


def _behind_nat64(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF) if address in _NAT64 else None


class Gate:
    """Makes the sockets of a connector, for public addresses alone unless `private` are allowed too."""

    def __init__(self, *, private: bool) -> None:
        self._private = private
        self.forbidden = ""
        """Why the last address was refused; empty where none was."""

    def __call__(self, info: tuple[Any, ...]) -> socket.socket:
        """A socket for what getaddrinfo found. Raises Forbidden."""
        family, type_, proto, _, address = info
        if not self._private and inside(str(address[0])):
            self.forbidden = f"{address[0]} {_FORBIDDEN}"
            raise Forbidden(self.forbidden)
        self.forbidden = ""
        return socket.socket(family, type_, proto)
