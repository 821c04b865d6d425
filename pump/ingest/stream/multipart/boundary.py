"""Delimiters of a multipart body: found, learned, and cut off."""

from __future__ import annotations

import re
from typing import Final

_TERMINATOR: Final = re.compile(rb"[ \t]{0,8}(?:\r?\n|(--))")
_BEGUN: Final = re.compile(rb"[ \t]{0,8}[\r-]?")
_ANY: Final = re.compile(rb"(-{2,8}[\w<(+.][\w<>()+.,/:=?-]{0,99})[ \t]{0,8}\r?\n(?=[Cc]ontent-)")
"""A delimiter of a name not known yet: a header must follow, or any line of dashes would do."""
_LONGEST: Final = 140
"""Bytes that may have to be seen again until a delimiter of unknown name is complete."""
_DASH: Final = ord("-")
_DASHES: Final = 6
"""Dashes that a delimiter may have before its own."""


class BoundaryMatcher:
    """A stream's delimiter: the header's parameter promises one, the body has the last word.

    One unlike the header's is believed when a header follows it, and for good when it comes a second time.
    """

    def __init__(self, boundary: str | None) -> None:
        wanted = bare((boundary or "").encode("latin-1", "replace"))
        self._promised = [b"--" + wanted] if wanted else []
        self._candidate = b""
        self._all = self._promised
        self.confirmed = False
        self.token = b"\0"
        """The confirmed one, its dashes before it; before that what nothing matches."""
        self.line = b"\0"
        """The confirmed one between line ends."""

    @property
    def longest(self) -> int:
        """Bytes that a delimiter may add to a body's limit."""
        return len(self._all[0] if self._all else b"") + 16

    def locate(self, buffer: bytes | bytearray, start: int, stop: int) -> tuple[int, int, bool]:
        """The first delimiter wholly within: where it begins and ends, whether it closes the stream.

        Without one the second number is -1, and the first is where to look again once there are more bytes.
        """
        found = (stop, -1, False)
        for delimiter in self._all:
            one = find(buffer, delimiter, start, stop)
            if one[1] >= 0 > found[1] or (one[0] < found[0] and (one[1] >= 0) == (found[1] >= 0)):
                found = one
        if self.confirmed:
            return found
        other = _ANY.search(buffer, start, stop)
        if other and (found[1] < 0 or other.end() <= found[0]):
            found = (other.start(), other.end(), False)
        elif found[1] < 0:
            return max(start, min(found[0], stop - _LONGEST)), -1, False
        begin, end, closing = found
        # No more of them than are looked at again in any slicing: a body may be made of dashes.
        start = max(start, begin - _DASHES)
        while begin > start and buffer[begin - 1] == _DASH:
            begin -= 1
        self._learn(bytes(buffer[begin:end]).rstrip(b" \t\r\n"), closing)
        return begin, end, closing

    def without_begun(self, body: bytes) -> bytes:
        """A body that the stream's end cut short of its delimiter, without what there is of that."""
        begin = body.rfind(b"\n-") + 1
        begun = body[begin:].rstrip(b"\r\n") if begin else b""
        return body[:begin] if begun and any(one.startswith(begun) for one in self._all) else body

    def _learn(self, token: bytes, closing: bool) -> None:
        token = token[:-2] if closing else token
        if token != self._candidate and token not in self._promised:
            self._candidate = token
            self._all = [token, *self._promised]
            return
        self.confirmed = True
        self._all = [token]
        self.token = token
        self.line = b"\r\n" + token + b"\r\n"


def find(buffer: bytes | bytearray, delimiter: bytes, start: int, stop: int) -> tuple[int, int, bool]:
    """The first `delimiter` wholly within: where it begins and ends, whether it closes the stream.

    Without one the second number is -1, and the first is where to look again once there are more bytes.
    """
    at = buffer.find(delimiter, start, stop)
    while at >= 0:
        behind = at + len(delimiter)
        if found := _TERMINATOR.match(buffer, behind, stop):
            return at, found.end(), found[1] is not None
        if _BEGUN.fullmatch(buffer, behind, stop):
            return at, -1, False
        at = buffer.find(delimiter, at + 1, stop)
    return max(start, stop - len(delimiter) + 1), -1, False


def bare(token: bytes) -> bytes:
    """A boundary without quotes, dashes before it and angle brackets."""
    return token.strip(b" \t\"'").lstrip(b"-").strip(b"<>")


def without_line_end(body: bytes) -> bytes:
    """The line end before a delimiter belongs to the delimiter."""
    return body[:-2] if body.endswith(b"\r\n") else body.removesuffix(b"\n")
