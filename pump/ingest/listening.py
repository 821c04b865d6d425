"""The time that a source has spent listening, over all runs: what silence means is counted in it."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from pump.core.clock import Clock

STANDSTILL: Final = 1.0
"""Of a longer time between two looks only this much was spent listening: the process stood still, seconds."""


class Listening:
    """A clock that goes while somebody listens, and looks at it. Its small file outlives a kill.

    An fsync four times a second it is not worth: after a power cut it may be old, and what was noted elsewhere says
    how far the time had come.
    """

    def __init__(self, clock: Clock, path: Path, latest: float) -> None:
        """`latest`: a moment that it has surely reached, seconds."""
        self._clock = clock
        self._path = path
        self._file: int | None = None
        self.looked = max(self._read(), latest)
        """As the last look found it, seconds."""
        self._at: float | None = None
        """The monotonic time of the last look, while it goes."""

    @property
    def now(self) -> float:
        """Seconds."""
        if self._at is None:
            return self.looked
        return self.looked + min(self._clock.monotonic() - self._at, STANDSTILL)

    def look(self) -> None:
        """Count the time since the last look."""
        self.looked = self.now
        if self._at is not None:
            self._at = self._clock.monotonic()
        self._write(self.looked)

    @contextmanager
    def going_on(self) -> Iterator[None]:
        """It goes inside."""
        self._at = self._clock.monotonic()
        try:
            yield
        finally:
            self.look()
            self._at = None
            if self._file is not None:
                os.close(self._file)
                self._file = None

    def _read(self) -> float:
        try:
            data = self._path.read_bytes()
            value: float = struct.unpack("<d", data[:8])[0]
        except (OSError, struct.error):
            return 0.0
        if data[8:] not in (b"", _checksum(data[:8])):  # none: it was written by an older version
            return 0.0
        return value if 0.0 <= value < 1e12 else 0.0

    def _write(self, value: float) -> None:
        try:
            if self._file is None:
                self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            data = struct.pack("<d", value)
            os.pwrite(self._file, data + _checksum(data), 0)
        except OSError:
            pass  # then what was noted elsewhere serves


def _checksum(data: bytes) -> bytes:
    return struct.pack("<I", zlib.crc32(data))
