"""The small files beside the database: the highest number handed out, room kept for a full disk, a mark of damage."""

from __future__ import annotations

import errno
import os
import struct
import zlib
from pathlib import Path

import structlog

log = structlog.get_logger()

RESERVE = 16 << 20
MARGIN = 4 << 20
"""Bytes that must be free beyond the reserve before a full disk counts as usable again."""
_FORMAT = struct.Struct("<8sQI")
_MAGIC = b"pumphigh"


class HighWater:
    """The highest committed sequence number, noted after each commit.

    A damaged WAL is cut back by SQLite without a word (docs/measurements.md): only this number shows that rows are
    gone. It is written without fsync: after a power cut it may be a little low, never too high.
    """

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def read(self) -> int:
        """The number noted; 0 where none can be read."""
        data = os.pread(self._file, _FORMAT.size, 0)
        if len(data) != _FORMAT.size:
            return 0
        magic, seq, crc = _FORMAT.unpack(data)
        return int(seq) if magic == _MAGIC and crc == zlib.crc32(data[:16]) else 0

    def write(self, seq: int) -> None:
        """Note `seq`."""
        data = struct.pack("<8sQ", _MAGIC, seq)
        os.pwrite(self._file, data + struct.pack("<I", zlib.crc32(data)), 0)

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._file)


class Reserve:
    """Disk space held by a file that means nothing: given up when the disk is full, so that cursors still find room."""

    def __init__(self, path: Path, size: int = RESERVE) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._size = size
        self.held = False

    def take(self) -> bool:
        """Hold the space again; False where the disk has not got it. Raises OSError for other troubles."""
        if not self.held:
            try:
                os.posix_fallocate(self._file, 0, self._size)
            except OSError as error:
                if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                    raise
                os.ftruncate(self._file, 0)
                return False
            self.held = True
        return True

    def release(self) -> bool:
        """Give the space up; False where it was given up before."""
        if not self.held:
            return False
        os.ftruncate(self._file, 0)
        self.held = False
        return True

    def close(self) -> None:
        """Let go of the file; its space stays held."""
        os.close(self._file)


class Sidecar:
    """All of them in one spool's folder, to be closed. The folder is there already."""

    def __init__(self, folder: Path) -> None:
        """Raises OSError where they cannot be opened."""
        self.folder = folder
        self.high = HighWater(folder / "spool.high")
        try:
            self.reserve = Reserve(folder / "spool.reserve")
        except OSError:
            self.high.close()
            raise

    def make_room(self) -> None:
        """Give the reserve up where the disk is full: even opening the database needs some room."""
        if self._free() < MARGIN and self.reserve.take():
            self.reserve.release()

    def hold_reserve(self) -> bool:
        """Hold the reserve; False where the disk has no room for it and some more."""
        try:
            room = self.reserve.take()
        except OSError as error:
            log.warning("The spool's reserve cannot be held", error=str(error))
            room = False
        return room and self._free() >= MARGIN

    def note_high(self, seq: int) -> None:
        """Note the highest number. The commit stands even where that fails: it is the witness against a damaged WAL."""
        try:
            self.high.write(seq)
        except OSError as error:
            log.warning("The highest sequence number could not be noted beside the spool", error=str(error))

    def mark_damaged(self) -> None:
        """Have the next start examine and repair the database."""
        (self.folder / "spool.damaged").touch(mode=0o600)

    def close(self) -> None:
        """Let go of the files; the reserve stays held."""
        self.high.close()
        self.reserve.close()

    def _free(self) -> int:
        stat = os.statvfs(self.folder)
        return stat.f_bavail * stat.f_frsize
