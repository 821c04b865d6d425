"""The challenges of a 401, which may offer several logins, and the one that we take: Digest, wherever it stands.

A header may hold several challenges, and there may be several headers (RFC 9110, 11.6.1). aiohttp's middleware reads
the beginning of the first alone (3.14), so that a device that offers Basic before Digest could not be logged in to.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, cast

import aiohttp
from multidict import CIMultiDict
from yarl import URL

_TOKEN: Final = r"[A-Za-z][\w!#$%&'*+.^`|~-]*"
_BORDER: Final = re.compile(rf'"(?:[^"\\]|\\.)*"|(,)\s*(?={_TOKEN}(?:\s+[^\s=,"]+\s*=|\s*(?:,|$)))')
"""A quoted string, in which a comma means nothing; or the comma before the next scheme."""


def challenges(header: str) -> list[str]:
    """One text a challenge, in their order, of a WWW-Authenticate header; several headers are joined by ", "."""
    found, begin = [], 0
    for border in _BORDER.finditer(header):
        if border[1]:
            found.append(header[begin : border.start()].strip())
            begin = border.end()
    return [one for one in (*found, header[begin:].strip()) if one]


@dataclass(slots=True, frozen=True)
class _Challenged:
    """What the middleware reads of a 401."""

    status: int
    headers: CIMultiDict[str]
    url: URL


class Digest(aiohttp.DigestAuthMiddleware):
    """aiohttp's login, given the Digest challenge alone. There is no public way to choose one (aiohttp 3.14)."""

    def _authenticate(self, response: aiohttp.ClientResponse) -> bool:
        offered = challenges(", ".join(response.headers.getall("WWW-Authenticate", [])))
        for one in offered:
            if one.lower().startswith("digest "):
                alone = _Challenged(response.status, CIMultiDict({"WWW-Authenticate": one}), response.url)
                return super()._authenticate(cast(aiohttp.ClientResponse, alone))
        return False
