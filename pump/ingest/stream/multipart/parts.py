"""What the multipart reader hands out, and the most it will hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Judge = Callable[[bytes], Any]
"""Parses a body: what it returns is the part's `value`; ValueError says that the body does not parse."""

Fault = Literal["cut", "does not parse", "no delimiter"]


@dataclass(slots=True, frozen=True)
class Limits:
    """The most, in bytes, that is kept of one part before it is skipped: the reader's memory is bounded by them."""

    header: int = 16 << 10
    part: int = 4 << 20
    picture: int = 16 << 20
    """For image, video, audio and application/octet-stream."""


@dataclass(slots=True, frozen=True)
class Head:
    """A part's header. Shared between parts: do not change it."""

    fields: Mapping[str, str] = field(default_factory=dict)
    """By name in lower case; of a repeated one the last."""
    content_type: str = ""
    """In lower case, without parameters; "" where absent."""
    length: int | None = None
    """Content-Length in bytes, None where absent or no number."""

    @property
    def large(self) -> bool:
        """Whether the limit for pictures applies."""
        kind = self.content_type
        return kind.startswith(("image/", "video/", "audio/")) or kind == "application/octet-stream"


def read_head(block: bytes) -> Head | None:
    """A header's lines, read; None where there are some and none of them is a field."""
    fields: dict[str, str] = {}
    for line in block.decode("latin-1").split("\n"):
        name, colon, value = line.partition(":")
        if colon and (name := name.strip().lower()):
            fields[name] = value.strip()
    if block.strip() and not fields:
        return None
    kind = fields.get("content-type", "").partition(";")[0].strip().lower()
    length = fields.get("content-length", "")
    number = length.isascii() and length.isdigit() and len(length) < 16
    return Head(fields, kind, int(length) if number else None)


@dataclass(slots=True)
class Part:
    """One part. `fault` is None where it is whole; else `body` is what there was of it.

    "cut": the next delimiter, or the stream's end, came before its Content-Length was complete. "does not parse":
    the judge refused it both at its Content-Length and up to the delimiter. "no delimiter": it has no
    Content-Length, no judge knows its type, and the stream ended: nobody can tell whether it is whole.
    """

    head: Head
    body: bytes
    value: Any = None
    """What the judge of its content type made of the body."""
    fault: Fault | None = None


@dataclass(slots=True)
class Skipped:
    """Bytes that became no part: how many, why, and the first 256 of them."""

    reason: Literal["garbage", "header malformed", "header over its limit", "part over its limit", "header cut"]
    size: int
    sample: bytes
