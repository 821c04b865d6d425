"""Delimiters of a multipart body: found, told apart, and cut off."""

from __future__ import annotations

import re
from typing import Final

_TERMINATOR: Final = re.compile(rb"[ \t]{0,8}(?:\r?\n|(--))")
_BEGUN: Final = re.compile(rb"[ \t]{0,8}[\r-]?")


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
