"""Parts of a multipart body as the reader hands them out, a large one held in the pieces it came in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

BodyParser = Callable[[bytes], Any]
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
        """True where the limit for pictures applies."""
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
    Content-Length, no judge knows its type, and the stream ended: nobody can know whether it is whole.
    """

    head: Head
    body: bytes
    value: Any = None
    """The body as the judge of its content type made it."""
    fault: Fault | None = None


Reason = Literal["garbage", "header malformed", "header over its limit", "part over its limit", "header cut"]


@dataclass(slots=True)
class Skipped:
    """Bytes that became no part: how many, why, and the first 256 of them."""

    reason: Reason
    size: int
    sample: bytes


_SAMPLE: Final = 256


class SkippedRun:
    """Bytes in a row that become no part, until they are reported."""

    def __init__(self) -> None:
        self.reason: Reason = "garbage"
        """Of what comes next, too."""
        self.size = 0
        self._sample = b""

    def add(self, content: bytes | bytearray) -> None:
        """They too; white space before the first ones is none."""
        if not self.size:
            content = content.lstrip(b" \t\r\n")
        self.size += len(content)
        if len(self._sample) < _SAMPLE:
            self._sample += bytes(content[: _SAMPLE - len(self._sample)])

    def taken(self) -> list[Skipped]:
        """The run, if there is one; a new one begins."""
        found = [Skipped(self.reason, self.size, self._sample)] if self.size else []
        self.size, self._sample, self.reason = 0, b"", "garbage"
        return found


LARGE: Final = 1 << 16
"""Bytes from which on a body is large."""
END: Final = 1 << 12
"""Bytes at the end of what has come that are looked at for a delimiter: there the stream may pause."""
_LONGEST: Final = 140
_JPEG, _JPEG_END = b"\xff\xd8", b"\xff\xd9"


class ChunkedBody:
    """Bytes of one body whose length alone says where it ends, unless a delimiter comes earlier.

    Only what may be the last for a while is looked at for one. One that is overlooked shows at the full length, for
    then the picture is not whole by its own marks.
    """

    def __init__(self, first: memoryview | bytearray, length: int, delimiter: bytes) -> None:
        self.held = len(first)
        """Bytes."""
        self._length = length
        self._delimiter = delimiter
        self._pieces: list[memoryview | bytearray] = [first]
        self._last = bytes(first[-_LONGEST:])

    @property
    def missing(self) -> int:
        """Bytes to the body's end."""
        return self._length - self.held

    def add(self, data: bytes) -> bool:
        """Hold it too; False, and nothing done, where it completes the body or a delimiter is at its end."""
        if len(data) >= self._length - self.held:
            return False
        small = len(data) <= END
        seen = self._last + data if small else data
        if delimited(seen, self._delimiter, len(seen) - END - _LONGEST):
            return False
        self._last = seen[-_LONGEST:]
        self.held += len(data)
        if not small:
            self._pieces.append(memoryview(data))
        elif isinstance(last := self._pieces[-1], bytearray):
            last += data
        else:
            self._pieces.append(bytearray(data))
        return True

    def picture(self, data: bytes) -> bytes | None:
        """The body that `data` completes; None where it does not, or the body is not whole by its own marks."""
        missing = self.missing
        if len(data) < missing:
            return None
        body = b"".join((*self._pieces, memoryview(data)[:missing]))
        return body if is_picture(body, 0, len(body)) else None

    def joined(self, data: bytes = b"") -> bytearray:
        """All that is held, and `data`."""
        return bytearray().join((*self._pieces, data))


def is_picture(buffer: bytes | bytearray, begin: int, end: int) -> bool:
    """True where a JPEG begins and ends there."""
    return buffer.startswith(_JPEG, begin) and buffer.startswith(_JPEG_END, end - 2)


def delimited(buffer: bytes | bytearray, delimiter: bytes, begin: int) -> bool:
    """True where the delimiter is there. Searching from the end takes half the time (CPython 3.11)."""
    return buffer.rfind(delimiter, max(0, begin)) >= 0
