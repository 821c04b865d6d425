"""The hosts that links of a source may be fetched from: its own, its vendor's known ones, and those that [media] names.

An event is written by strangers: a link in it may name the cloud's metadata service, a router, ourselves. So a link is
asked only where the configuration vouches for its host, a private address only where the configuration names that very
one, and a redirect is a link like any other that must not lead from one side of that line to the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import cached_property
from typing import Any, Final

import aiohttp
from yarl import URL

from pump.core.net.addresses import inside, literal
from pump.ingest.fetch.errors import LinkForbidden
from pump.ingest.fetch.hosts import HostRule, host_of

_SCHEMES: Final = ("http", "https")


class Side(Enum):
    """The side of the line that a host stands on."""

    PUBLIC = "public"
    """Any address of the internet, none of a private network."""
    NAMED = "named"
    """The configuration names this very host: its address may be private."""
    OWN = "own"
    """The source's own server or device: the same, and its login is for it."""


Login = Callable[[URL], AbstractAsyncContextManager[aiohttp.ClientResponse]]
"""Opens a link of the source's own host with the source's account, at any status. Raises `FetchLater`."""


@dataclass(frozen=True)
class PictureAccess:
    """What a source says of its links: `Source.pictures` gives it."""

    own: str = ""
    """The source's own server or device, as in pump.toml; "" where it has none."""
    named: tuple[HostRule, ...] = ()
    """Its devices' own addresses, as in pump.toml: they may be private ones, and no login is for them."""
    hosts: tuple[HostRule, ...] = ()
    """The vendor's known hosts of pictures: public ones."""
    given: tuple[HostRule, ...] = ()
    """The same of links that the vendor's own API gave in answer to a call (`Event.vouched`), and of no others."""
    login: Login | None = field(default=None, repr=False)
    """None: links of the own host are asked as they are."""
    codes: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Devices' verification codes by serial number, for pictures that are encrypted."""
    tls: Any = field(default=True, repr=False)
    """For https to the own host: as aiohttp takes it."""

    @cached_property
    def _origin(self) -> tuple[str, int | None]:
        url = URL(self.own)
        return host_of(url), url.port

    @cached_property
    def vouched(self) -> PictureAccess:
        """The access of links that the vendor's own API gave."""
        return replace(self, hosts=(*self.hosts, *self.given), given=()) if self.given else self

    def side(self, url: URL, more: Iterable[HostRule] = ()) -> Side:
        """The side that the link's host stands on; `more` is `[media] hosts`. Raises LinkForbidden."""
        host = host_of(url)
        if url.scheme not in _SCHEMES or not host:
            raise LinkForbidden("it is no http or https link")
        if self.own and (host, url.port) == self._origin:
            return Side.OWN
        if any(rule.fits(url) for rule in self.named):
            return Side.NAMED
        rules = [*self.hosts, *more]
        found = [rule for rule in rules if rule.fits(url)]
        address = literal(host)
        if address is not None and inside(host):
            if any(rule.literal for rule in found):
                return Side.NAMED
            raise LinkForbidden(f"{host} is a private or loopback address that the configuration does not name")
        if not found:
            raise LinkForbidden(f"the configuration does not vouch for {host}; [media] hosts would permit it")
        return Side.PUBLIC
