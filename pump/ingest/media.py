"""Binaries beside the spool: each content once, under its SHA-256, as long as there is room and it is young enough."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from pump.core.clock import Clock
from pump.core.tasks import Threads

log = structlog.get_logger()

LARGEST: Final = 16 << 20
"""Bytes of one file."""
EVERY: Final = 60.0
"""Seconds between two looks for files that are too old or too many."""
_ROOM: Final = 0.9
"""Share of the limit that is left after files had to go, so that not each further one has another go."""
_PART: Final = ".part"
THREADS: Final = 8
"""Threads that write at a time: their fsyncs share the disk's commits, and a disk that hangs holds no more of them."""


@dataclass(slots=True, frozen=True)
class Stored:
    """A binary on disk."""

    sha256: str
    path: str
    """Relative to the store's folder."""
    bytes: int


class TooLarge(ValueError):
    """A content above the limit of one file; it was not stored."""


class Media:
    """A folder of files named by their content: writing the same twice costs one file.

    A file's time is that of its last storing; the oldest go first, whether or not an event still names them, for
    events are of use without their pictures and a full disk is of none.
    """

    def __init__(
        self, folder: Path, *, clock: Clock | None = None, max_bytes: int = 4 << 30, retention: float = 7 * 86400.0
    ) -> None:
        """`max_bytes` of all files together, `retention` in seconds. Makes nothing yet."""
        self.folder = folder
        self.used = 0
        """Bytes of all files, as last counted and since added up."""
        self._clock = clock or Clock()
        self._clock.ages.look()  # a jump is known from now on
        self._max_bytes = max_bytes
        self._retention = retention
        self._lock = threading.Lock()  # between finding a file there and removing it
        self._counted = False
        self._prepared = False
        self.threads = Threads("media", THREADS)
        """The store's own: work in them waits for its disk and for nothing else."""

    async def store(self, content: bytes) -> Stored:
        """Keep the content; returns once file and folder are fsynced. Raises OSError (the disk refuses), TooLarge."""
        return await self.threads.run(self.keep, content)

    async def store_all(self, contents: Sequence[bytes]) -> list[Stored]:
        """As `store`, several in one thread."""
        return await self.threads.run(lambda: [self.keep(content) for content in contents])

    async def run(self) -> None:
        """Remove what is too old or too much, for as long as the task lives."""
        while True:
            await self.threads.run(self.prune)
            await self._clock.sleep(EVERY)

    def keep(self, content: bytes) -> Stored:
        """`store`, for who is in one of `threads` already."""
        if len(content) > LARGEST:
            raise TooLarge(f"{len(content)} bytes")
        digest = hashlib.sha256(content).hexdigest()
        relative = f"{digest[:2]}/{digest}"
        path = self.folder / relative
        stored = Stored(digest, relative, len(content))
        if self._stands(path, content):
            return stored
        self._prepare(path.parent)
        _write(path, content)
        with self._lock:
            self.used += len(content)
            full = self._counted and self.used > self._max_bytes
        if full:
            self.prune()
        return stored

    def adopt(self, part: Path, sha256: str, size: int) -> Stored:
        """Take over a file that lies in the store's folder, whole, under its content's name; for what memory is too
        small for. Durable on return. In one of `threads`. Raises OSError; the file is gone then.
        """
        relative = f"{sha256[:2]}/{sha256}"
        path = self.folder / relative
        self._prepare(path.parent)
        with self._lock:
            known = path.exists()
        _adopt(part, path)
        now = self._clock.now().timestamp()
        os.utime(path, (now, now))
        with self._lock:
            self.used += 0 if known else size
            full = self._counted and self.used > self._max_bytes
        if full:
            self.prune()
        return Stored(sha256, relative, size)

    def _stands(self, path: Path, content: bytes) -> bool:
        """True where the content is there, whole, and safe; it is young again then.

        A name alone proves nothing: another thread may not have fsynced it yet, and a crash before that may have
        left anything under it.
        """
        with self._lock:
            try:
                file = os.open(path, os.O_RDWR)
                now = self._clock.now().timestamp()
                os.utime(path, (now, now))
            except FileNotFoundError:
                return False
        with open(file, "rb", buffering=0) as opened:
            if opened.read(len(content) + 1) != content:
                return False
            os.fsync(file)
        _sync(path.parent)
        return True

    def _prepare(self, folder: Path) -> None:
        """Make all folders at the first file, so that later ones need not sync their parents."""
        if self._prepared and folder.exists():
            return
        for number in range(256):
            (self.folder / f"{number:02x}").mkdir(parents=True, exist_ok=True)
        for each in (self.folder, self.folder.parent):
            _sync(each)
        self._prepared = True

    def prune(self) -> int:
        """Remove files that are too old, then the oldest while there are too many bytes; how many were removed."""
        # By what the clock showed when: one that was in 1970 for a while must not make the newest go first.
        ages = self._clock.ages
        files = sorted((ages.latest(int(when * 1000)), when, size, path) for when, size, path in self._files())
        used = sum(size for _, _, size, _ in files)
        old = ages.old(self._retention)
        most = self._max_bytes * _ROOM if used > self._max_bytes else self._max_bytes
        removed = 0
        for _, when, size, path in files:
            part = path.endswith(_PART)
            young = not any(begin <= when * 1000 < end for begin, end in old)
            if young and used <= most and not part:
                break
            if part and young:
                continue  # one that is being written
            if self._remove(Path(path), when):
                removed += 1
                used -= size
        with self._lock:
            self.used, self._counted = used, True
        if removed:
            log.info("Pictures were removed, for they were too old or too many", count=removed, bytes=used)
        return removed

    def _remove(self, path: Path, when: float) -> bool:
        with self._lock:
            try:
                if path.stat().st_mtime != when:
                    return False  # stored anew meanwhile
                path.unlink()
            except OSError:
                return False
        return True

    def _files(self) -> Iterator[tuple[float, int, str]]:
        """(time, bytes, path) of every file of the store."""
        try:
            folders = [entry.path for entry in os.scandir(self.folder) if entry.is_dir() and len(entry.name) == 2]
        except FileNotFoundError:
            return
        for folder in folders:
            with os.scandir(folder) as entries:
                for entry in entries:
                    try:
                        stat = entry.stat()
                    except FileNotFoundError:
                        continue
                    yield stat.st_mtime, stat.st_size, entry.path


def _write(path: Path, content: bytes) -> None:
    """The file, fsynced, in its folder, fsynced too.

    It gets its name before the fsync: that one writes the journal with the name in it, where the folder's own would
    have to write it a second time.
    """
    name = os.fspath(path)
    part = f"{name}.{threading.get_ident()}{_PART}"
    try:
        file = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        try:
            rest = memoryview(content)
            while rest:
                rest = rest[os.write(file, rest) :]
            os.rename(part, name)
            try:
                os.fsync(file)
            except OSError:
                # What was written may be lost, and the next fsync say nothing of it: nobody may find this file.
                if os.path.samestat(os.fstat(file), os.stat(name)):
                    os.unlink(name)
                raise
        finally:
            os.close(file)
    except OSError:
        with suppress(OSError):
            os.unlink(part)
        raise
    _sync(path.parent)


def _adopt(part: Path, path: Path) -> None:
    """The file under its new name, fsynced, and the folder too; in the order of `_write`."""
    file = os.open(part, os.O_RDWR | os.O_CLOEXEC)
    try:
        os.rename(part, path)
        try:
            os.fsync(file)
        except OSError:
            if os.path.samestat(os.fstat(file), os.stat(path)):
                os.unlink(path)
            raise
    finally:
        os.close(file)
        with suppress(OSError):
            os.unlink(part)
    _sync(path.parent)


def _sync(folder: Path) -> None:
    file = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
