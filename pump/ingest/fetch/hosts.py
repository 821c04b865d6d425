"""Rules of hosts that may be asked for pictures. Light, for every command reads a configuration."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pump.core.net.addresses import literal

if TYPE_CHECKING:
    from yarl import URL

_NAME: Final = re.compile(r"[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?)*")
"""Of a host in ASCII, in small letters; one in other letters is written as DNS has it (xn--…)."""


@dataclass(slots=True, frozen=True)
class HostRule:
    """A host that may be asked: a name, all names below one ("*.example.com"), or an address; at a port or at any."""

    host: str
    port: int | None = None
    https: bool = False
    """Through https alone."""

    @classmethod
    def parse(cls, text: str) -> HostRule:
        """A row of `[media] hosts`. Raises ValueError for what is neither host nor pattern."""
        name, _, port = text.strip().lower().rpartition(":") if _has_port(text) else (text.strip().lower(), "", "")
        bare = name.removeprefix("*.")
        address = literal(bare)
        wrong = not bare or "*" in bare or (name != bare and address is not None)
        if not wrong and address is None:
            wrong = _NAME.fullmatch(bare) is None
        if wrong or (port and not 0 < int(port) < 65536):
            raise ValueError('a host such as "pictures.example.com", "*.example.com" or "10.0.0.5:8080" is wanted')
        return cls(name if address is None else str(address), int(port) if port else None)

    @property
    def literal(self) -> bool:
        """True for an address, which may be a private one."""
        return literal(self.host) is not None

    def fits(self, url: URL) -> bool:
        """True where the rule lets this link through."""
        if (self.port is not None and url.port != self.port) or (self.https and url.scheme != "https"):
            return False
        host = host_of(url)
        return host.endswith(self.host[1:]) if self.host.startswith("*.") else host == self.host


def _has_port(text: str) -> bool:
    return text.rpartition(":")[2].isdigit() and (text.count(":") == 1 or "]:" in text)


def host_of(url: URL) -> str:
    """The host of a link, spelled in the one way in which rules are."""
    host = (url.host or "").lower().rstrip(".")
    address = literal(host)
    return host if address is None else str(address)
