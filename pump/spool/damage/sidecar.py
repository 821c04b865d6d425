"""The small files beside the database: the highest number handed out, room kept for a full disk, a mark of
damage, a copy of the first page.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import structlog

from pump.spool.connection import PAGE_SIZE

log = structlog.get_logger()

RESERVE = 16 << 20
MARGIN = 4 << 20
"""Bytes that must be free beyond the reserve before a full disk counts as usable again."""
_FORMAT = struct.Struct("<8sQI")
_MAGIC = b"pumphigh"
_COMMITS = b"pumpcmts"
_HEADER: Final = 100
"""Bytes of SQLite's header on the first page; some of its fields:"""
_SIZE: Final = slice(28, 32)
_FREE: Final = slice(32, 40)
_VERSION: Final = slice(60, 64)


class HighWater:
    """The highest committed sequence number, and the number of commits that stored cursors or state.

    A damaged WAL is cut back by SQLite without a word (docs/measurements.md): only these show that rows are gone. They
    are written after each commit and without fsync: after a power cut they may be a little low, never too high.
    """

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def read(self) -> tuple[int, int]:
        """Both as they are noted; 0 for one that cannot be read."""
        data = os.pread(self._file, 2 * _FORMAT.size, 0)
        return _number(data[: _FORMAT.size], _MAGIC), _number(data[_FORMAT.size :], _COMMITS)

    def write(self, seq: int, commits: int) -> None:
        """Note both."""
        os.pwrite(self._file, _noted(_MAGIC, seq) + _noted(_COMMITS, commits), 0)

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._file)


def _noted(magic: bytes, number: int) -> bytes:
    data = struct.pack("<8sQ", magic, number)
    return data + struct.pack("<I", zlib.crc32(data))


def _number(data: bytes, wanted: bytes) -> int:
    if len(data) != _FORMAT.size:
        return 0
    magic, number, crc = _FORMAT.unpack(data)
    return int(number) if magic == wanted and crc == zlib.crc32(data[:16]) else 0


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


class FirstPage:
    """The database's first page: SQLite's header and the tables' definitions, the same from one start to the next.

    A copy of it stands beside the spool. Where the page is damaged it takes its place, for without the definitions
    nothing else can be read.
    """

    def __init__(self, path: Path) -> None:
        """`path` is the database's, or that of a copy in the same folder."""
        self._path = path
        self._beside = path.with_name("spool.schema")

    def is_possible(self) -> bool:
        """False where the header has what SQLite never writes there but may bear with, or cannot bear at all."""
        with self._path.open("rb") as file:
            head = file.read(_HEADER)
        return (
            len(head) == _HEADER
            and head.startswith(b"SQLite format 3\0")
            and head[18] in (1, 2)  # beyond it SQLite lets nobody write
            and head[19] in (1, 2)
            and head[20] == 0
            and head[44:48] in (b"\0\0\0\0", b"\0\0\0\4")
            and head[48:56] == bytes(8)
            and head[56:60] in (bytes(4), b"\0\0\0\1")  # UTF-8
            and head[64:68] == bytes(4)
            and head[72:92] == bytes(20)
        )

    def noted_version(self) -> int:
        """The spool's version when the copy was made; 0 where there is no copy that can be believed."""
        page = self._noted()
        return 0 if page is None else int.from_bytes(page[_VERSION], "big")

    def note(self) -> None:
        """Have the copy be that of the present page, as the last checkpoint left it. Failures are logged."""
        try:
            with self._path.open("rb") as file:
                page = file.read(PAGE_SIZE)
            before = self._noted()
            if len(page) < PAGE_SIZE or not self.is_possible():
                return
            if before is not None and (before[_HEADER:], before[_VERSION]) == (page[_HEADER:], page[_VERSION]):
                return
            part = self._beside.with_name(f"{self._beside.name}.part")
            with open(part, "wb", opener=_private) as file:
                file.write(page + struct.pack("<I", zlib.crc32(page)))
                file.flush()
                os.fsync(file.fileno())
            part.replace(self._beside)
        except OSError as error:
            log.warning("The spool's first page could not be copied beside it", error=str(error))

    def substitutes(self, create: Callable[[Path], sqlite3.Connection]) -> Iterator[bytes]:
        """The pages that may stand for it, the likeliest first; `create` makes an empty spool."""
        page = self._noted()
        if page is not None:
            yield page
        # Tables that were made at once have the same places in each file; those of an older version may lie elsewhere.
        model = self._path.with_name("spool.model.db")
        remove(model)
        create(model).close()
        page = model.read_bytes()[:PAGE_SIZE]
        remove(model)
        yield page

    def read(self) -> bytes:
        """The page as it is."""
        with self._path.open("rb") as file:
            return file.read(PAGE_SIZE)

    def replace(self, page: bytes, *, own: bool = False) -> None:
        """Put `page` in its place, with the file's own size; `own`: it is that page, and has it."""
        changed = bytearray(page)
        if not own:
            changed[_SIZE] = max(1, self._path.stat().st_size // PAGE_SIZE).to_bytes(4, "big")
            changed[_FREE] = bytes(8)  # no free list: its pages count as lost, not as free
        with self._path.open("r+b") as file:
            file.write(changed)

    def _noted(self) -> bytes | None:
        with suppress(OSError):
            data = self._beside.read_bytes()
            page = data[:PAGE_SIZE]
            if len(data) == PAGE_SIZE + 4 and data[PAGE_SIZE:] == struct.pack("<I", zlib.crc32(page)):
                return page
        return None


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def remove(database: Path) -> None:
    """Remove a database with SQLite's files beside it, as far as they are there."""
    for end in ("", "-wal", "-shm"):
        if (file := database.with_name(database.name + end)).exists():
            file.unlink()


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

    def note_high(self, seq: int, commits: int) -> None:
        """Note both numbers. The commit stands even where that fails: they are witnesses against a damaged WAL."""
        try:
            self.high.write(seq, commits)
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
