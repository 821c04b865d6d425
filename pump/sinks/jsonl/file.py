"""The file under the JSON-lines sink: whole lines or nothing, rotation, recovery. It blocks; a thread calls it."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal

import structlog

from pump.core.errors import Misconfigured, Unavailable
from pump.core.record import Record, State
from pump.sinks.common.cut_short import CutShort
from pump.sinks.jsonl import recovery as _tail
from pump.sinks.jsonl.compressing import Compressor
from pump.sinks.jsonl.rotation import shift, sync_folder

log = structlog.get_logger()

Fsync = Literal["never", "batch", "interval"]

_MODE: Final = 0o640
_LOCKED_WAIT: Final = 30.0
"""Seconds until a file that somebody else holds is tried again."""
FULL: Final = {
    errno.ENOSPC: "no space is left on the disk",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "the file may not grow any larger",
}
"""Errors that pass without a person's hand at the pump."""
ADVICE: Final = {
    errno.ENOENT: "the folder {folder} does not exist: create it, or change path",
    errno.ENOTDIR: "a part of {folder} is no folder: change path",
    errno.EACCES: "{path} may not be written by user {user}: change its owner or mode, and its folder's",
    errno.EPERM: "{path} may not be written by user {user}: change its owner or mode, and its folder's",
    errno.EROFS: "{path} is on a read-only file system: change path (under systemd: ReadWritePaths=)",
    errno.EISDIR: "{path} is a folder: name a file in it",
    errno.ELOOP: "{path} is a symbolic link that leads nowhere",
    errno.ENAMETOOLONG: "{path} is too long a name",
}
"""Errors that only a person can mend."""


class TakenBack(Exception):
    """The disk refused lines that had been accepted, and they were taken back: the sink must be opened anew."""

    def __init__(self) -> None:
        super().__init__("the disk refused lines that had been written; they will be written anew")


class LinesFile:
    """Lines appended to `path`, so that a crash at any moment leaves what `recover` can bring in order."""

    def __init__(
        self, path: Path, *, fsync: Fsync, rotate_bytes: int | None, rotate_keep: int, compress: bool = False
    ) -> None:
        self.path = path
        self._fsync = fsync
        self._rotate_bytes = rotate_bytes
        self._rotate_keep = rotate_keep
        self._compress = compress
        self._compressor: Compressor | None = None
        self._fd = -1
        self._inode = 0
        self._size = 0
        self._line: int | None = None
        """CRC-32 of the last line, where this opening wrote it: an inode's number goes to another file in time."""
        self._safe = 0
        """The offset up to which the current file is known to be on disk, where anybody asks for that."""
        self.taken_back = False
        """Lines that had been accepted are gone again; from then on nothing more is written, and nothing settled."""

    def open(self, state: State | None) -> tuple[State | None, _tail.Written | None]:
        """Open or create the file and bring its end in order.

        Returns the state to go on from, and the lines that are written already: until they have passed, the state
        must stay what it is. Without a state, or with one that no longer fits, those are the newest lines that there
        are. Raises Misconfigured, Unavailable.
        """
        try:
            self.path = Path(os.path.realpath(self.path))  # a link stays when what it leads to is rotated
            self._open()
            known = _known(state)
            found = None if known is None else _tail.parts(self.path, *known)
            lost = found is None
            if found is None:
                found = _tail.newest_lines(self.path)
                if known is not None:
                    log.warning(
                        "A file was truncated, replaced or removed behind the sink's back; its newest lines show what "
                        "is in it",
                        path=str(self.path),
                    )
            written = _tail.search(found, sync=self._fsync != "never", lost=lost)
            begun = self._begin()
            if self._compress:
                self._compressor = Compressor(self.path)
                self._compressor.start()
            if not written.left:
                return begun, None
            return (None if lost else state), written
        except OSError as error:
            raise self._translated(error) or error from error

    def write(self, bodies: Sequence[bytes]) -> None:
        """Append the lines.

        Raises CutShort (the disk is full), Misconfigured, TakenBack, OSError.
        """
        if self.taken_back:
            raise TakenBack  # lines behind a hole would be out of order, and the hole would stay
        data = b"\n".join((*bodies, b""))  # one copy of a batch, where the end of the last line added would be two
        try:
            self._follow(len(data))
        except OSError as error:
            raise self._translated(error) or error from error
        done = 0
        view = memoryview(data)
        try:
            while done < len(data):
                done += os.write(self._fd, view[done:])
            self._size += done
            self._line = zlib.crc32(data[data.rfind(b"\n", 0, -1) + 1 :])
            if self._fsync == "batch":
                self._sync(self._size - done)
        except OSError as error:
            if error.errno not in FULL:
                raise
            # All written, and full at the fsync: `_sync` has taken the batch back.
            done = self._back_to_whole_line(data, done) if done < len(data) else 0
            raise CutShort(FULL[error.errno], data.count(b"\n", 0, done)) from error

    def sync(self) -> None:
        """Put on disk what was written. Raises TakenBack where lines are gone for it, OSError where none are."""
        all_safe = self._safe == self._size
        try:
            self._sync(self._safe)
        except OSError as error:
            if all_safe:
                raise
            self.taken_back = True
            raise TakenBack from error

    def state(self) -> State:
        """The offset at which the next line begins, and the line before it."""
        place: dict[str, int] = {"inode": self._inode, "offset": self._size}
        return place if self._line is None else {**place, "line": self._line}

    def close(self) -> None:
        """Close the file, which gives its lock back."""
        if self._compressor is not None:
            self._compressor.close()
            self._compressor = None
        self._let_go()

    def _let_go(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _open(self) -> None:
        fd = _locked(self.path)
        self._let_go()
        self._fd = fd
        self._inode = os.fstat(fd).st_ino
        if self._fsync != "never":
            sync_folder(self.path.parent)

    def _begin(self) -> State:
        """Go on at the file's end, whoever wrote what is there."""
        _tail.end_line(self._fd, self.path)
        self._size = self._safe = os.fstat(self._fd).st_size
        self._line = None
        return self.state()

    def _follow(self, coming: int) -> None:
        """See what others did to the file since the last batch, and rotate when it is time."""
        try:
            moved = self.path.stat().st_ino != self._inode
        except FileNotFoundError:
            moved = True
        if moved:
            self._leave()
            self._open()
            self._begin()
            log.info("A file was moved away; a new one is begun", path=str(self.path))
            return
        if (size := os.fstat(self._fd).st_size) != self._size:
            sentence = (
                "A file was truncated behind the sink's back; the newest events may be in it twice"
                if size < self._size
                else "Somebody else writes to a file of ours"
            )
            log.warning(sentence, path=str(self.path), expected=self._size, found=size)
            self._begin()
        if self._rotate_bytes is not None and self._size > 0 and self._size + coming > self._rotate_bytes:
            self._leave()
            shift(self.path, self._rotate_keep)
            self._open()
            self._begin()
            if self._compressor is not None:
                self._compressor.start()

    def _leave(self) -> None:
        if self._fsync != "never":
            self.sync()

    def _sync(self, back: int) -> None:
        try:
            os.fdatasync(self._fd)
        except OSError:
            # What the kernel could not put on disk it calls clean from now on: the next fsync would say yes. Taken
            # back and written anew, it is on disk when that says so.
            os.ftruncate(self._fd, back)
            self._size, self._line = back, None
            raise
        self._safe = self._size

    def _back_to_whole_line(self, data: bytes, done: int) -> int:
        whole = data.rfind(b"\n", 0, done) + 1
        if done > whole:
            os.ftruncate(self._fd, self._size + whole)
        before, self._size = self._size, self._size + whole
        if whole:
            self._line = None
        if whole and self._fsync == "batch":
            try:
                self._sync(before)
            except OSError:
                return 0
        return whole

    def _translated(self, error: OSError) -> Misconfigured | Unavailable | None:
        if error.errno in FULL:
            return Unavailable(FULL[error.errno])
        if error.errno in ADVICE:
            advice = ADVICE[error.errno]
            return Misconfigured(advice.format(path=self.path, folder=self.path.parent, user=os.geteuid()))
        return None


def outside(batch: Sequence[Record], written: _tail.Written) -> list[int]:
    """The places in the batch whose lines are not written yet."""
    return [place for place, record in enumerate(batch) if not written.holds(record)]


def _known(state: State | None) -> tuple[int, int, int | None] | None:
    match state:
        case {"inode": int(inode), "offset": int(offset), "line": int(line)}:
            return inode, offset, line
        case {"inode": int(inode), "offset": int(offset)}:
            return inode, offset, None
    return None


def _locked(path: Path) -> int:
    """The file, open for appending and locked; created when missing."""
    while True:
        if path.exists() and not stat.S_ISREG(path.stat().st_mode) and not path.is_dir():
            raise Misconfigured(f'{path} is no regular file: name one, or "-" for standard output')
        fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, _MODE)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(fd).st_ino == path.stat().st_ino:
                return fd
        except BlockingIOError:
            os.close(fd)
            # Perhaps by an opening of ours that hung and was left behind: it lets go as soon as the disk answers.
            reason = f"{path} is being written by another process: give each its own file"
            raise Misconfigured(reason, retry_after=_LOCKED_WAIT) from None
        except FileNotFoundError:
            pass
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)  # somebody moved it away between the opening and the lock
