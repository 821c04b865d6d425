"""A large body on its way, held as the pieces it comes in: searching or joining it at each would cost as much again."""

from __future__ import annotations

from typing import Final

LARGE: Final = 1 << 16
"""Bytes from which on a body is large."""
END: Final = 1 << 12
"""Bytes at the end of what has come that are looked at for a delimiter: there the stream may pause."""
_LONGEST: Final = 140
_JPEG, _JPEG_END = b"\xff\xd8", b"\xff\xd9"


class Pieces:
    """Bytes of one body, of which its length alone tells the end, unless a delimiter comes earlier.

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
        """What is held, and `data`."""
        return bytearray().join((*self._pieces, data))


def is_picture(buffer: bytes | bytearray, begin: int, end: int) -> bool:
    """Whether a JPEG begins and ends there."""
    return buffer.startswith(_JPEG, begin) and buffer.startswith(_JPEG_END, end - 2)


def delimited(buffer: bytes | bytearray, delimiter: bytes, begin: int) -> bool:
    """Whether the delimiter is there. Searching from the end takes half the time (CPython 3.11)."""
    return buffer.rfind(delimiter, max(0, begin)) >= 0
