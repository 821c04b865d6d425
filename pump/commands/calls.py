"""Raw calls: any call of a vendor's document, signed as its source's or sink's own are (`pump call`). No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from string import printable
from typing import Final
from urllib.parse import unquote

CALL: Final = "call"
"""The verb of a raw call in grants, events and metrics; it is none of the vocabulary's."""
METHODS: Final = ("GET", "POST", "PUT", "DELETE", "PATCH")
LONGEST_PATH: Final = 2048
"""Characters of a path with its query."""
LARGEST_BODY: Final = 512 << 10
LARGEST_ANSWER: Final = 4 << 20
"""Bytes."""
JSON: Final = "application/json"
PATIENCE: Final = 10.0
"""Seconds after a call's expiry; whoever asked for it has ended it before."""
_PLAIN: Final = frozenset(printable) - frozenset(' \t\n\r\x0b\x0c"#<>\\^`{|}')
"""Characters that a path and its query may have as they are (RFC 3986, and its brackets)."""
_TYPE: Final = frozenset(printable) - frozenset("\t\n\r\x0b\x0c")


@dataclass(slots=True, frozen=True)
class RawCall:
    """One call, as it is asked for. Raises ValueError in words where it could lead elsewhere than it says."""

    method: str
    path: str
    """With its query, percent-encoded as it goes over the wire; on the part's own server."""
    body: bytes = b""
    content_type: str = JSON
    device: str | None = None
    """Which of its devices, "park/device", where each has an address of its own."""

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ValueError(f"the method is one of {', '.join(METHODS)}")
        if not self.path.startswith("/") or not 1 < len(self.path) <= LONGEST_PATH:
            raise ValueError(
                f"the path begins with / and has up to {LONGEST_PATH} characters; the server is the configured one"
            )
        if not _PLAIN.issuperset(self.path):
            raise ValueError("the path and its query are percent-encoded, without spaces and without a fragment")
        segments = (one.partition(";")[0] for one in self.plain[1:].removesuffix("/").split("/"))
        if not {"..", ".", ""}.isdisjoint(segments) or "\\" in self.plain:
            raise ValueError("the path has no empty segment, and no . or ..")
        if not self.plain.isprintable():
            raise ValueError("the path has characters that cannot be printed")
        if len(self.body) > LARGEST_BODY:
            raise ValueError(f"the body has {LARGEST_BODY >> 10} KiB at the most")
        if not 0 < len(self.content_type) <= 100 or not _TYPE.issuperset(self.content_type):
            raise ValueError('the content type is a text such as "application/json"')

    @property
    def bare(self) -> str:
        """The path without its query."""
        return self.path.partition("?")[0]

    @property
    def plain(self) -> str:
        """The path as any server may come to read it: decoded as often as it can be."""
        found = self.bare
        for _ in range(8):
            if (decoded := unquote(found)) == found:
                break
            found = decoded
        return found

    @property
    def ordered(self) -> str:
        """Path and query, the query's fields in the order in which they are signed."""
        path, mark, query = self.path.partition("?")
        return f"{path}?{'&'.join(sorted(query.split('&')))}" if mark and query else path

    def below(self, paths: Iterable[str]) -> bool:
        """True where it is one of these paths, which are in small letters, or lies below one."""
        mine = f"{self.plain.lower().rstrip('/')}/"
        return any(mine.startswith(f"{one}/") for one in paths)


@dataclass(slots=True, frozen=True)
class RawAnswer:
    """An answer as it came, read whole."""

    status: int
    content_type: str
    body: bytes
    no: str = ""
    """The vendor's own refusal inside HTTP 200, such as its code; empty where there is none."""

    @classmethod
    def of(cls, status: int, headers: Mapping[str, str], body: bytes, no: str = "") -> RawAnswer:
        """Of an answer with its headers, whose names match in any case."""
        return cls(status, headers.get("Content-Type", "").partition(";")[0].strip().lower(), body, no)


def without(secret: str, body: bytes) -> bytes:
    """An answer without the token that it may repeat."""
    return body.replace(secret.encode(), b"*****") if secret else body
