"""A stream's bytes with stand-ins in them: part by part, for a value may lie across two chunks; cut as they came."""

from __future__ import annotations

from collections import deque
from typing import Final

from pump.ingest.recording.bodies import BodyReplacer, borders

LARGEST: Final = 24 << 20
"""Bytes without a border between two parts after which they are taken for a part all the same."""
_BORDER: Final = 256
"""Bytes that the beginning of a part has at the most, up to where it can be known for one."""


class StreamReplacer:
    """One link's. What it is fed comes out once its part is whole, as many bytes, with the times of its chunks."""

    def __init__(self, bodies: BodyReplacer, *, joined: bool = False) -> None:
        self._bodies = bodies
        self._buffer = bytearray()
        self._chunks: deque[tuple[int, int]] = deque()
        """When each chunk came, in milliseconds, and how many bytes of it are in the buffer."""
        self._searched = 0
        self._inside = joined
        """True where the buffer begins in the middle of a part."""

    def feed(self, at: int, data: bytes, *, torn: bool = False) -> list[tuple[int, bytes]]:
        """A chunk; `torn`: bytes before it are missing, and nothing is kept up to the next part's beginning."""
        if torn:
            self._drop(len(self._buffer))
            self._inside = True
        self._buffer += data
        self._chunks.append((at, len(data)))
        if self._inside:
            first = next(borders(self._buffer), None)
            if first is None:
                self._drop(max(0, len(self._buffer) - _BORDER))
                return []
            self._drop(first[0])
            self._inside = False
        last = 0
        for begin, _ in borders(self._buffer, max(0, self._searched - _BORDER)):
            last = begin
        self._searched = len(self._buffer)
        if not last and len(self._buffer) > LARGEST:
            last = len(self._buffer)
        return self._released(last)

    def rest(self) -> list[tuple[int, bytes]]:
        """What is left, as the link has ended."""
        return [] if self._inside else self._released(len(self._buffer))

    def _released(self, size: int) -> list[tuple[int, bytes]]:
        if not size:
            return []
        made = self._bodies.body(bytes(self._buffer[:size]))
        found, place = [], 0
        while place < size:
            at, length = self._chunks.popleft()
            taken = min(length, size - place)
            found.append((at, made[place : place + taken]))
            place += taken
            if taken < length:
                self._chunks.appendleft((at, length - taken))
        del self._buffer[:size]
        self._searched = max(0, self._searched - size)
        return found

    def _drop(self, size: int) -> None:
        del self._buffer[:size]
        self._searched = 0
        while size:
            at, length = self._chunks.popleft()
            if length > size:
                self._chunks.appendleft((at, length - size))
            size -= min(size, length)
