"""The lines that a JSON-lines file already holds behind the place that the sink's state names.

After a crash the file may be ahead of the stored cursor: whole lines whose events will be sent again, and a last line
that is torn. Here the whole lines are remembered by a digest, and what is no event at the end is cut.
"""

from __future__ import annotations

import os
import re
import shutil
from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Final

import orjson
import structlog

from pump.core.record import Record

log = structlog.get_logger()

HEAD: Final = b'{"specversion":"1.0","id":"'
"""The beginning of every line of ours."""
LONGEST: Final = 4 << 20
"""Bytes; what goes on longer without a line's end is not ours (an event is at most 256 KiB)."""
_RECORDED: Final = b'"recordedtime":"'
_COPY: Final = 1 << 20


@dataclass(slots=True, frozen=True)
class FilePart:
    """A file, and where to begin in it. `ours` says that all behind `start` was to be written by this sink."""

    path: Path
    start: int
    ours: bool


@dataclass(slots=True)
class Written:
    """The lines found, at eight bytes each: Python's own hash of bytes, which serves for the life of a process."""

    digests: array[int] = field(default_factory=lambda: array("q"))
    left: int = 0
    newest: bytes = b""
    """The latest time of arrival among them, to the second."""
    until: float = float("inf")
    """Milliseconds since 1970; no record that arrived later is among them."""

    def close(self) -> None:
        """All lines were added: make them ready for `holds`."""
        self.digests = array("q", sorted(self.digests))
        self.left = len(self.digests)
        try:
            newest = datetime.strptime(self.newest.decode("ascii"), "%Y-%m-%dT%H:%M:%S").replace(tzinfo=UTC)
        except ValueError:
            return
        self.until = (newest.timestamp() + 1.0) * 1000.0  # the fraction of the second was left off

    def holds(self, record: Record) -> bool:
        """True where the record's line is among them."""
        if record.recorded > self.until:
            return False
        digest = hash(record.body)
        place = bisect_left(self.digests, digest)
        found = place < len(self.digests) and self.digests[place] == digest
        self.left -= found
        return found

    def done(self, last: Record) -> bool:
        """True where no record that follows `last` can be among them."""
        return self.left <= 0 or last.recorded > self.until


def parts(path: Path, inode: int, offset: int) -> list[FilePart] | None:
    """The files that hold what was written behind `offset` of the file `inode`, oldest first.

    That is the file itself, perhaps renamed since within its folder, and all that took its place after it. None
    where the file is there and is no longer what it was (truncated, or another one with its number). Where it is
    gone, all that are still there are searched. Raises OSError.
    """
    numbered = sorted(_numbered(path), reverse=True)
    current = path.stat()
    if current.st_ino == inode:
        return [FilePart(path, offset, True)] if _fits(path, offset) else None
    older = next((file for file in _files(path.parent) if file.stat().st_ino == inode), None)
    if older is None:
        log.warning("The file that a sink last wrote is gone; those beside it are searched", path=str(path))
        return [*(FilePart(file, 0, False) for _, file in numbered), FilePart(path, 0, False)]
    first = [FilePart(older, offset, False)] if _fits(older, offset) else []
    if not first:
        log.warning("The file that a sink last wrote has changed", path=str(older))
    number = next((n for n, file in numbered if file == older), 0)
    newer = [FilePart(file, 0, False) for n, file in numbered if n < number]
    return [*first, *newer, FilePart(path, 0, False)]


def search(found: Sequence[FilePart], *, sync: bool) -> Written:
    """Remember the whole lines of the parts, and cut the ends that are none; `sync` puts both on disk.

    Raises OSError.
    """
    written = Written()
    for part in found:
        with part.path.open("rb+", buffering=_COPY) as file:
            end, keep = _scan(file, part, written)
            if (size := os.fstat(file.fileno()).st_size) > end:
                _cut(file, part.path, end, size, keep=keep)
            if sync:  # a killed process left them to the kernel; the cursor will pass them on our word
                os.fdatasync(file.fileno())
    written.close()
    return written


def end_line(fd: int, path: Path) -> None:
    """See to it that the next line begins at the beginning of one: what stands there unfinished is not ours to cut."""
    size = os.fstat(fd).st_size
    if size and os.pread(fd, 1, size - 1) != b"\n":
        log.warning("The last line of a file is unfinished; ours begin on a new one", path=str(path))
        os.write(fd, b"\n")


def rotated(path: Path, number: int) -> Path:
    """The name of the `number`-th file before the current one."""
    return path.with_name(f"{path.name}.{number}")


def _numbered(path: Path) -> Iterator[tuple[int, Path]]:
    name = re.compile(re.escape(path.name) + r"\.([1-9]\d{0,8})")
    for file in _files(path.parent):
        if found := name.fullmatch(file.name):
            yield int(found[1]), file


def _files(folder: Path) -> Iterator[Path]:
    with os.scandir(folder) as entries:
        yield from (Path(entry.path) for entry in entries if entry.is_file(follow_symlinks=False))


def _fits(path: Path, offset: int) -> bool:
    """True where a line can begin at `offset`."""
    with path.open("rb") as file:
        if offset > os.fstat(file.fileno()).st_size:
            return False
        return offset == 0 or os.pread(file.fileno(), 1, offset - 1) == b"\n"


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
            written.digests.append(hash(line[:-1]))
            begin = line.find(_RECORDED) + len(_RECORDED)
            written.newest = max(written.newest, line[begin : begin + 19])
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
