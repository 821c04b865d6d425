"""Rotated files compressed beside the writer: a thread of low priority, one file after another.

A file is written under a name of its own, put on disk with its folder, renamed, and only then the plain one removed: a
kill at any moment leaves the plain file, or the compressed one, or both, and half a file is made again.
"""

from __future__ import annotations

import contextlib
import fcntl
import gzip
import os
import threading
from pathlib import Path
from typing import Final

import structlog

from pump.core.text import words_of
from pump.sinks.jsonl.rotation import compressed, is_compressed, lock, numbered, sync_folder

log = structlog.get_logger()

_PART: Final = ".compressing"
"""The end of the name of what is not finished; no search takes it for lines."""
_CHUNK: Final = 1 << 20
_LEVEL: Final = 6
_NICE: Final = 10
"""Of the thread: others go first."""
_PATIENCE: Final = 5.0
"""Seconds that a stop waits for the chunk in hand."""


class Compressor:
    """Of one file's rotated ones. All its methods are quick, but for `close`, which waits for a chunk."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._thread: threading.Thread | None = None
        self._work = threading.Event()
        self._over = threading.Event()

    def start(self) -> None:
        """Have all rotated files that are not compressed made so; called at each rotation, and at the opening."""
        self._work.set()
        if self._thread is None and not self._over.is_set():
            self._thread = threading.Thread(target=self._run, name=f"compressing {self._path.name}", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """End it; what is not finished is made again by the next opening."""
        self._over.set()
        self._work.set()
        if self._thread is not None:
            self._thread.join(_PATIENCE)

    def _run(self) -> None:
        with contextlib.suppress(OSError, AttributeError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)  # Linux: of this thread alone
        while not self._over.is_set():
            self._work.wait()
            self._work.clear()
            try:
                while not self._over.is_set() and (file := self._next()) is not None:
                    if not self._compress(file):
                        break
            except OSError as error:
                log.warning(
                    "A rotated file could not be compressed; it stays as it is until the next rotation",
                    path=str(self._path),
                    reason=words_of(error),
                )

    def _next(self) -> Path | None:
        """The oldest one that is not compressed."""
        with lock(self._path):
            return next((file for _, file in numbered(self._path) if not is_compressed(file)), None)

    def _compress(self, file: Path) -> bool:
        """True where it is done, or gone; False where another is at it, or it was interrupted. Raises OSError."""
        part = self._path.with_name(self._path.name + _PART)
        with contextlib.ExitStack() as stack:
            try:
                source = stack.enter_context(file.open("rb"))
            except FileNotFoundError:
                return True  # rotated meanwhile: the next look finds it under its new name
            known = os.fstat(source.fileno())
            target = os.open(part, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            stack.callback(os.close, target)
            try:
                fcntl.flock(target, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if part.stat().st_ino != os.fstat(target).st_ino:
                    return False  # renamed since it was opened: it is somebody's finished file now
            except (BlockingIOError, FileNotFoundError):
                return False  # by an opening that was left behind
            try:
                os.ftruncate(target, 0)
                with (
                    os.fdopen(os.dup(target), "wb") as raw,
                    gzip.GzipFile(f"inode-{known.st_ino}", "wb", _LEVEL, raw, mtime=known.st_mtime) as out,
                ):
                    while chunk := source.read(_CHUNK):
                        if self._over.is_set():
                            part.unlink(missing_ok=True)
                            return False
                        out.write(chunk)
                os.fchmod(target, known.st_mode & 0o777)
                os.utime(target, ns=(known.st_atime_ns, known.st_mtime_ns))
                os.fsync(target)
                self._take_its_place(part, known.st_ino)
            except OSError:
                part.unlink(missing_ok=True)
                raise
        return True

    def _take_its_place(self, part: Path, inode: int) -> None:
        """Rename it to what the plain file is called by now, then remove that; one that has gone meanwhile stays so."""
        with lock(self._path):
            for _, file in numbered(self._path):
                if not is_compressed(file) and file.stat().st_ino == inode:
                    part.replace(compressed(file))
                    sync_folder(file.parent)
                    file.unlink()
                    sync_folder(file.parent)
                    return
            part.unlink(missing_ok=True)
