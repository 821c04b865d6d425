"""The lines that a JSON-lines file already holds: behind the place that the sink's state names, or at its end.

After a crash the file may be ahead of the stored cursor: whole lines whose events will be sent again, and a last line
that is torn. Where the cursor was lost, or no longer fits the file, the newest lines of it and of the rotated ones
are the witness. They are remembered by what names their events for ever, source and id, for an event that its vendor
sends again has another time of arrival. What is no event at the end is cut.
"""

from __future__ import annotations

import gzip
import os
import re
import shutil
import zlib
from array import array
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Final

import orjson
import structlog

from pump.core.record import Record
from pump.sinks.jsonl.rotation import GZIP, files, is_compressed, length, numbered, opened
from pump.sinks.jsonl.rotation import inode as written_to

log = structlog.get_logger()

HEAD: Final = b'{"specversion":"1.0","id":"'
"""The beginning of every line of ours."""
LONGEST: Final = 4 << 20
"""Bytes; what goes on longer without a line's end is not ours (an event is at most 256 KiB)."""
_RECORDED: Final = b'"recordedtime":"'
_COPY: Final = 1 << 20


LOOKED: Final = 512 << 20
"""Bytes of the newest lines that are looked through where the place is lost; what was written before may come twice."""
AGAIN: Final = 3_600_000.0
"""Milliseconds after the newest line in which vendors may send again what a damaged spool has lost with its key."""
_TYPE: Final = b'","type":"'
"""Follows source and id in a line of ours; within a text its first sign has a backslash before it."""
_BUCKETS: Final = 256


@dataclass(slots=True, frozen=True)
class FilePart:
    """A file, and where to begin in it. `ours` says that all behind `start` was to be written by this sink."""

    path: Path
    start: int
    ours: bool
    cut: bool = True
    """True where an end that is torn is to be cut."""


class Digests:
    """Lines by a digest of eight bytes: Python's own hash of bytes, which serves for the life of a process.

    In buckets, so that sorting one of them makes few objects.
    """

    def __init__(self) -> None:
        self.left = 0
        """Those that were not met yet."""
        self._buckets = [array("q") for _ in range(_BUCKETS)]
        self._met: list[bytearray] = []

    def add(self, text: bytes) -> None:
        """Remember it."""
        digest = hash(text)
        self._buckets[digest % _BUCKETS].append(digest)

    def close(self) -> None:
        """All were added: make them ready for `meet`, each of them once."""
        for place, bucket in enumerate(self._buckets):
            self._buckets[place] = array("q", sorted(set(bucket)))
        self._met = [bytearray(len(bucket)) for bucket in self._buckets]
        self.left = sum(map(len, self._buckets))

    def meet(self, text: bytes) -> bool:
        """True where it is among them; met again it counts once."""
        digest = hash(text)
        bucket, met = self._buckets[digest % _BUCKETS], self._met[digest % _BUCKETS]
        place = bisect_left(bucket, digest)
        if place == len(bucket) or bucket[place] != digest:
            return False
        self.left -= not met[place]
        met[place] = 1
        return True


@dataclass(slots=True)
class Written:
    """The lines found. With `lost` they are the file's newest, of which nobody knows which were stored as delivered."""

    lost: bool = False
    events: Digests = field(default_factory=Digests)
    """By source and id."""
    rows: Digests = field(default_factory=Digests)
    """By these and the time of arrival, where the place is lost: the very rows of the spool."""
    newest: bytes = b""
    """The latest time of arrival among them, to the second."""
    until: float = float("inf")
    """Milliseconds since 1970; records that arrived later are taken for new ones."""

    @property
    def left(self) -> int:
        """Lines whose events were not met yet."""
        return self.events.left

    def add(self, line: bytes) -> None:
        """Remember a whole line of ours."""
        self.events.add(_name(line))
        begin = line.find(_RECORDED) + len(_RECORDED)
        self.newest = max(self.newest, line[begin : begin + 19])
        if self.lost:
            self.rows.add(_row(line))

    def close(self) -> None:
        """All lines were added: make them ready for `holds`."""
        self.events.close()
        self.rows.close()
        try:
            newest = datetime.strptime(self.newest.decode("ascii"), "%Y-%m-%dT%H:%M:%S").replace(tzinfo=UTC)
        except ValueError:
            return
        self.until = (newest.timestamp() + 1.0) * 1000.0 + AGAIN  # the fraction of the second was left off

    def holds(self, record: Record) -> bool:
        """True where the record's event is among them."""
        return record.recorded <= self.until and self.events.meet(_name(record.body))

    def is_row(self, record: Record) -> bool:
        """True where this very record was written, not one that its vendor has sent again since."""
        return self.rows.meet(_row(record.body))

    def forget_rows(self) -> None:
        """The place is found, or nobody looks for it: the events alone are of use from here on."""
        self.rows = Digests()

    def done(self, last: Record) -> bool:
        """True where no record that follows `last` can be among them."""
        return self.left <= 0 or last.recorded > self.until


def _name(line: bytes) -> bytes:
    """Source and id as the line begins with them."""
    return line[: line.find(_TYPE, len(HEAD))]


def _row(line: bytes) -> bytes:
    begin = line.find(_RECORDED)
    return _name(line) + line[begin : line.find(b'"', begin + len(_RECORDED))]


def newest_lines(path: Path, most: int = LOOKED) -> list[FilePart]:
    """The newest parts of the file and of those that it was before, `most` bytes together, oldest first.

    Those are files of its folder whose names go on behind its own with a number or a date, as rotation gives them, and
    that begin as ours do. Raises OSError.
    """
    older = [file for file in files(path.parent) if _OLDER.fullmatch(file.name.removeprefix(path.name))]
    older = [file for file in older if file.name.startswith(path.name) and _begins_as_ours(file)]
    older.sort(key=lambda file: file.stat().st_mtime_ns, reverse=True)
    ours = {file for _, file in numbered(path)}
    older = [file for file in older if not is_compressed(file) or file.with_name(file.name[: -len(GZIP)]) not in ours]
    found: list[FilePart] = []
    for file in (path, *older):
        size = length(file)
        start = max(0, size - most)
        found.append(
            FilePart(
                file, _line_from(file, start), False, cut=file == path or (file in ours and not is_compressed(file))
            )
        )
        most -= size - start
        if most <= 0:
            break
    return found[::-1]


_OLDER: Final = re.compile(r"[.-]\d[\w.-]*")


def _begins_as_ours(file: Path) -> bool:
    try:
        with opened(file) as lines:
            return lines.read(len(HEAD)) == HEAD
    except (EOFError, zlib.error, gzip.BadGzipFile):
        return False


def _line_from(file: Path, start: int) -> int:
    """Where the first line begins that begins at `start` or behind it."""
    if start == 0:
        return 0
    with opened(file) as lines:
        try:
            lines.seek(start - 1)
            lines.readline(LONGEST)
        except (EOFError, zlib.error, gzip.BadGzipFile):
            return 0  # damaged, and its length with it; `search` reports that
        return lines.tell()


def parts(path: Path, inode: int, offset: int, line: int | None = None) -> list[FilePart] | None:
    """The files that hold what was written behind `offset` of the file `inode`, oldest first.

    That is the file itself, perhaps renamed since within its folder, and all that took its place after it. None
    where the file is gone, or is no longer what it was: truncated, or another one with its number, in which the line
    before `offset` has not the CRC-32 `line`. Raises OSError.
    """
    known = numbered(path)
    current = path.stat()
    if current.st_ino == inode:
        return [FilePart(path, offset, True)] if _fits(path, offset, line) else None
    older = next((file for file in files(path.parent) if written_to(file) == inode), None)
    if older is None:
        log.warning("The file that a sink last wrote is gone; those beside it are searched", path=str(path))
        return None
    whole = not is_compressed(older)
    if not _fits(older, offset, line):
        log.warning("The file that a sink last wrote has changed", path=str(older))
        return None
    number = next((n for n, file in known if file == older), 0)
    newer = [FilePart(file, 0, False, cut=not is_compressed(file)) for n, file in known if n < number]
    return [FilePart(older, offset, False, cut=whole), *newer, FilePart(path, 0, False)]


def search(found: Sequence[FilePart], *, sync: bool, lost: bool = False) -> Written:
    """Remember the whole lines of the parts, and cut the ends that are none; `sync` puts both on disk.

    Killed anywhere it can be repeated. Raises OSError.
    """
    written = Written(lost=lost)
    for part in found:
        if is_compressed(part.path):
            _read_compressed(part, written)
            continue
        with part.path.open("rb+", buffering=_COPY) as file:
            end, keep = _scan(file, part, written)
            if part.cut and (size := os.fstat(file.fileno()).st_size) > end:
                _cut(file, part.path, end, size, keep=keep)
            if sync:  # a killed process left them to the kernel; the cursor will pass them on our word
                os.fdatasync(file.fileno())
    written.close()
    return written


def _read_compressed(part: FilePart, written: Written) -> None:
    """As `search`, of what was on disk whole before it had its name."""
    with opened(part.path) as file:
        try:
            _scan(file, part, written)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            log.warning(
                "A compressed file is damaged; what it holds behind that place may be written twice",
                path=str(part.path), reason=type(error).__name__,
            )  # fmt: skip


def end_line(fd: int, path: Path) -> None:
    """See to it that the next line begins at the beginning of one: what stands there unfinished is not ours to cut."""
    size = os.fstat(fd).st_size
    if size and os.pread(fd, 1, size - 1) != b"\n":
        log.warning("The last line of a file is unfinished; ours begin on a new one", path=str(path))
        os.write(fd, b"\n")


def _fits(path: Path, offset: int, line: int | None) -> bool:
    """True where a line can begin at `offset`, behind the one with the CRC-32 `line` where that is known."""
    if offset == 0:
        return True
    if offset > length(path):
        return False
    try:
        with opened(path) as file:
            start = max(0, offset - LONGEST)
            file.seek(start)
            before = file.read(offset - start)
            last = before[before.rfind(b"\n", 0, -1) + 1 :]
            return last.endswith(b"\n") and line in (None, zlib.crc32(last))
    except (EOFError, zlib.error, gzip.BadGzipFile):
        return False


def _scan(file: BinaryIO, part: FilePart, written: Written) -> tuple[int, bool]:
    """(Where to cut, or the file's end, whether what is cut may be of use to somebody).

    A file that is ours ends with its first line that is no event: zeros after a power cut, or a stranger's text; the
    events behind it will be sent again. Of a file that others may have begun only a torn line of ours is cut.
    """
    end = place = part.start
    torn = b""
    file.seek(place)
    while line := file.readline(LONGEST):
        whole = line.endswith(b"\n")
        if whole and _is_event(line):
            written.add(line)
        elif part.ours:
            return place, whole or (len(line) == LONGEST and bool(line.strip(b"\0")))
        place += len(line)
        if whole:
            end, torn = place, b""
        else:
            torn = torn or line
    cuttable = HEAD.startswith(torn[: len(HEAD)]) or torn.startswith(b"\0")
    return end if cuttable else place, False


def _is_event(line: bytes) -> bool:
    if not line.startswith(HEAD):
        return False
    try:
        orjson.loads(line)
    except orjson.JSONDecodeError:
        return False
    return True


def _cut(file: BinaryIO, path: Path, end: int, size: int, *, keep: bool) -> None:
    kept = path.with_name(f"{path.name}.cut") if keep else None
    if kept is not None:
        file.seek(end)
        with open(os.open(kept, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640), "ab") as beside:
            shutil.copyfileobj(file, beside, _COPY)
    os.ftruncate(file.fileno(), end)
    log.warning(
        "A file's end that is no whole event was cut",
        path=str(path),
        bytes=size - end,
        kept=str(kept) if kept else None,
    )
