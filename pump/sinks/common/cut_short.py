"""A write of several lines that ended in their midst."""

from __future__ import annotations


class CutShort(Exception):
    """The first `lines` of those to be written are there, whole; the rest is not, for `reason`."""

    def __init__(self, reason: str, lines: int) -> None:
        super().__init__(reason)
        self.reason = reason
        self.lines = lines
