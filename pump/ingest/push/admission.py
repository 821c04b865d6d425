"""Who may send, and how much: address ranges, trusted proxies, requests a second a device, bytes of bodies held."""

from __future__ import annotations

import ipaddress
import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from pump.ingest.push.request import Push, Refused

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@lru_cache(4096)
def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address without port or zone, IPv4 also where it stands inside IPv6; None for what is none."""
    text = text.strip().strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def within(peer: str, networks: Sequence[Network]) -> bool:
    """Whether the address lies in one of the networks; what is no address lies in none."""
    address = _address(peer)
    return address is not None and any(address in network for network in networks)


def plain(peer: str) -> str:
    """The address in its usual spelling: "::ffff:10.0.0.1" is "10.0.0.1"."""
    address = _address(peer)
    return peer if address is None else str(address)


def client(peer: str, forwarded: str, proxies: Sequence[Network]) -> str:
    """Whose request it is: `peer`, or where that is a trusted proxy, the last address in X-Forwarded-For that is none.

    What stands left of that address was written by the client itself and is not believed.
    """
    if not forwarded or not within(peer, proxies):
        return peer
    for text in reversed(forwarded.split(",")):
        address = _address(text)
        if address is None:
            return peer
        peer = str(address)
        if not within(peer, proxies):
            return peer
    return peer


def whole_seconds(wait: float) -> str:
    """For the header Retry-After: seconds, rounded up, at least 1."""
    return str(max(1, math.ceil(wait)))


HELD: Final = 256 << 20
"""Bytes of bodies, from their first byte until they are answered."""
SHARE: Final = 4
"""The part of these that one address may hold: one that dribbles must not keep the others' pictures out."""
SMALL: Final = 64 << 10
"""Bytes of a body up to which it is taken though others hold too many."""
RETRY_AFTER: Final = 5.0
"""Seconds that a refused sender is asked to wait, where nobody knows better."""


class BodyBudget:
    """One listener's. What is held of a request is in `Push.held`, and given back whatever becomes of it."""

    def __init__(self, largest: int) -> None:
        """`largest`: bytes that a body may have; a share holds one as it came and unpacked, however large that is."""
        self.held = 0
        """Bytes."""
        self._most = max(HELD, 2 * SHARE * largest)
        self._by_address: dict[str, int] = {}

    def hold(self, push: Push, size: int) -> None:
        """Count bytes as the request's. Raises Refused where too many are held, and it is not a small one."""
        push.held += size
        self.held += size
        own = self._by_address[push.peer] = self._by_address.get(push.peer, 0) + size
        if push.held > SMALL and (self.held > self._most or own > self._most // SHARE):
            raise Refused(503, "too many large bodies at a time", retry_after=RETRY_AFTER)

    def release(self, push: Push) -> None:
        """The request is answered, or its connection gone."""
        self.held -= push.held
        left = self._by_address.pop(push.peer) - push.held
        if left:
            self._by_address[push.peer] = left
