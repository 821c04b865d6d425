"""Admission of requests: address ranges, trusted proxies, requests a second a device, bytes of bodies held."""

from __future__ import annotations

import ipaddress
import math
from collections.abc import Hashable, Sequence
from functools import lru_cache
from typing import Final

from pump.core.clock import Clock
from pump.core.groups import BOUNDS
from pump.core.rate import TokenBucket
from pump.core.text import bounded
from pump.ingest.push.request import Refused

_KEY: Final = BOUNDS["key"]
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


_LONGEST: Final = 80
"""Characters of an address with brackets, zone and port."""


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address without port or zone, IPv4 also where it stands inside IPv6; None for what is none."""
    return _parsed(text) if len(text) <= _LONGEST else None  # what a client sends must not fill the cache


@lru_cache(4096)
def _parsed(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
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
    """True for an address in one of the networks; what is no address lies in none."""
    address = _address(peer)
    return address is not None and any(address in network for network in networks)


def plain(peer: str) -> str:
    """The address in its usual spelling: "::ffff:10.0.0.1" is "10.0.0.1"."""
    address = _address(peer)
    return peer if address is None else str(address)


def client(peer: str, forwarded: str, proxies: Sequence[Network]) -> str:
    """The sender of a request: `peer`; for a trusted proxy, the last address in X-Forwarded-For that is none.

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
SHARE: Final = 8
"""The part of these that one address may hold: one that dribbles must not keep the others' pictures out."""
SMALL: Final = 64 << 10
"""Bytes of a body up to which it is taken though others hold too many."""
LARGE: Final = 4 << 20
"""Bytes of a body from which the values that it is read into count too: of smaller ones few are read at a time."""
RETRY_AFTER: Final = 5.0
"""Seconds that a refused sender is asked to wait, where nobody knows better."""


class BodyBudget:
    """One listener's; what each request holds of it is in its `HeldBody`."""

    def __init__(self, largest: int) -> None:
        """`largest`: bytes that a body may have; a share holds one as it came and unpacked, however large that is."""
        self.held = 0
        """Bytes."""
        self._by_address: dict[str, int] = {}
        self.adjust(largest)

    def adjust(self, largest: int) -> None:
        """Allow for bodies of so many bytes from now on."""
        self._most = max(HELD, 2 * SHARE * largest)

    def count(self, peer: str, size: int) -> bool:
        """Count bytes as the address's, or give them back where `size` is negative; False where too many are held."""
        self.held += size
        own = self._by_address.pop(peer, 0) + size
        if own:
            self._by_address[peer] = own
        return self.held <= self._most and own <= self._most // SHARE


class HeldBody:
    """The bytes that one request holds; give them back whatever becomes of it."""

    __slots__ = ("_budget", "_peer", "size")

    def __init__(self, budget: BodyBudget, peer: str) -> None:
        self.size = 0
        """Bytes."""
        self._budget = budget
        self._peer = peer

    def hold(self, size: int) -> None:
        """Count so many more (fewer where it is negative).

        Raises Refused (503) where too many are held, and the body is not a small one.
        """
        self.size += size
        if not self._budget.count(self._peer, size) and self.size > SMALL:
            raise Refused(503, "too many large bodies at a time", retry_after=RETRY_AFTER)

    def release(self) -> None:
        """Give them all back."""
        if self.size:
            self._budget.count(self._peer, -self.size)
            self.size = 0


class Admission:
    """One listener's: the addresses that may push, the requests that a device may make, the bytes that are held."""

    def __init__(
        self,
        clock: Clock,
        *,
        device_rate: float = 0.0,
        largest: int = 16 << 20,
        allow: Sequence[Network] = (),
        trusted_proxies: Sequence[Network] = (),
    ) -> None:
        """`device_rate` requests a second (0: as many as come), `largest` bytes of a body; `allow` empty: all."""
        self.budget = BodyBudget(largest)
        self.trusted_proxies = trusted_proxies
        self._clock = clock
        self._allow = allow
        self._device_rate = device_rate
        self._rates = TokenBucket(device_rate, clock)

    def adjust(
        self, *, device_rate: float, largest: int, allow: Sequence[Network], trusted_proxies: Sequence[Network]
    ) -> None:
        """Admit by these from the next request on; what is held is held still."""
        self.budget.adjust(largest)
        self.trusted_proxies = trusted_proxies
        self._allow = allow
        if device_rate != self._device_rate:  # else each device keeps the pace it has
            self._device_rate, self._rates = device_rate, TokenBucket(device_rate, self._clock)

    def check_address(self, peer: str) -> None:
        """Raises Refused (403) where the address may not push."""
        if self._allow and not within(peer, self._allow):
            raise Refused(403, "this address may not push")

    def admit(self, device: Hashable) -> None:
        """Count a request of the device, which the source names once it knows it. Raises Refused (429) for too many.

        All sources share the count: the name of the source belongs into `device`.
        """
        parts = device if isinstance(device, tuple) else (device,)
        if wait := self._rates.take(tuple([bounded(one, _KEY) if isinstance(one, str) else one for one in parts])):
            raise Refused(429, "this device sends too many requests", retry_after=wait)
