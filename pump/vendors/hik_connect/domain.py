"""Where the account's calls may go: the server of pump.toml, or what the login's `areaDomain` says, if it is safe."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

# What this pattern lets through is read alike by every URL parser: no user, path, query, escape or backslash.
_URL: Final = re.compile(r"(https?)://([a-z0-9-]+(?:\.[a-z0-9-]+)*|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?/?", re.ASCII)
_SECOND_LEVEL: Final = frozenset({"ac", "co", "com", "edu", "go", "gob", "gov", "gub", "mil", "ne", "net", "or", "org"})
_NUMERIC: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")


@dataclass(slots=True, frozen=True)
class Server:
    """A scheme, host and port, in small letters."""

    scheme: str
    host: str
    port: int | None

    def __str__(self) -> str:
        return f"{self.scheme}://{self.host}" + (f":{self.port}" if self.port is not None else "")

    @property
    def loopback(self) -> bool:
        """Whether it is this machine."""
        if self.host == "localhost":
            return True
        try:
            return ip_address(self.host.strip("[]")).is_loopback
        except ValueError:
            return False

    @property
    def domain(self) -> str | None:
        """What its owner registered ("hikcentralconnect.com", "example.co.uk"); None: an address, or a bare name.

        Without a list of public suffixes the last two labels serve, three where the second is a well-known one
        under a country's domain. Both sides of a comparison are cut alike, so a mistake only widens to the
        customers of one registry, and the server's certificate is checked in any case.
        """
        labels = self.host.split(".")
        if self.host.startswith("[") or len(labels) < 2 or _NUMERIC.fullmatch(labels[-1]):
            return None
        country = len(labels[-1]) == 2 and labels[-2] in _SECOND_LEVEL
        if country and len(labels) == 2:
            return None
        return ".".join(labels[-3 if country else -2 :])


def parse_server(url: str) -> Server:
    """The server that a URL names: https, or http on loopback alone; no path. ValueError says what is wanted."""
    found = _URL.fullmatch(url.strip().lower())
    if found is None:
        raise ValueError('a server such as "https://ieu.hikcentralconnect.com" is wanted, without a path')
    server = Server(found[1], found[2], int(found[3]) if found[3] else None)
    if server.port is not None and not 0 < server.port < 65536:
        raise ValueError("the port is not one")
    if server.scheme != "https" and not server.loopback:
        raise ValueError("https is wanted: the token must not travel in clear")
    return server


def area(named: object, server: Server) -> Server | None:
    """The server that `areaDomain` names, if calls may go there; None: keep the one that was configured.

    It must be https and of the domain that `server` is of; an address must be the same address. On loopback, in
    tests, any port of loopback will do.
    """
    if not isinstance(named, str):
        return None
    try:
        there = parse_server(named if "://" in named else f"https://{named}")
    except ValueError:
        return None
    if server.loopback or there.loopback:
        return there if server.loopback and there.loopback else None
    if there.scheme == "https" and (there.host == server.host or (there.domain and there.domain == server.domain)):
        return there
    return None
