"""Binaries beside the spool: each content once, under its SHA-256, as long as there is room and it is young enough.

What strangers send (devices that no configuration names and no operator took in) has a mark (`marks`) and a share of
its own: it never takes the room of a known device's file.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any, Final

import structlog

from pump.core.clock import Clock
from pump.core.tasks import Threads
from pump.ingest import evictions
from pump.ingest.evictions import Early, Evictions
from pump.ingest.files import PRESENT, adopt, dated, safe, write
from pump.ingest.marks import Marks
from pump.ingest.sweep import Look, Sweep, files_in
from pump.spool.folder import make, sync
from pump.telemetry.metrics import Metrics

log = structlog.get_logger()

LARGEST: Final = 16 << 20
"""Bytes of one file."""
EVERY: Final = 60.0
"""Seconds between two looks for files that are too old or too many."""
_ROOM: Final = 0.9
"""Share of the limit that is left after files had to go, so that not each further one has another go."""
STRANGERS_PART: Final = 8
"""Strangers may hold an eighth of `max_bytes`, and of that only what known devices leave."""
_FREED: Final = 0.02
"""Share of `max_bytes` that is freed at the least where strangers' files make room."""
_BLOCK: Final = 4096
"""Bytes that a stranger's file counts at the least, for that is what it takes on the disk."""
_FOLDER: Final = 0o750
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


@dataclass(slots=True)
class Holding:
    """Files of known devices, or of strangers: as last counted, and since added up."""

    files: int = 0
    bytes: int = 0


class Media:
    """A folder of files named by their content: writing the same twice costs one file.

    A file's time is that of its last storing; the oldest go first, whether or not an event still names them, for
    events are of use without their pictures and a full disk is of none. Strangers' files go before any known device's.
    """

    def __init__(
        self, folder: Path, *, clock: Clock | None = None, max_bytes: int = 4 << 30, retention: float = 7 * 86400.0,
        metrics: Metrics | None = None,
    ) -> None:  # fmt: skip
        """`max_bytes` of all files together, `retention` in seconds. Makes nothing yet."""
        self.folder = folder
        self._within = f"{folder}{os.sep}"
        self._clock = clock or Clock()
        self._clock.ages.look()  # a jump is known from now on
        self._max_bytes = max_bytes
        self._retention = retention
        self._metrics = metrics
        self._lock = threading.Lock()  # between finding a file there and removing it
        self._busy: set[str] = set()
        """Names whose files a thread looks for or writes: nobody else does, and none is removed."""
        self._let_go = threading.Condition(self._lock)
        self._pruning = threading.Lock()
        self._counted = False
        self._prepared = False
        self._system_dates: float | None = None
        """The beginning of monotonic time by the wall's, while the system dates files by the pump's clock."""
        self._known, self._strange = Holding(), Holding()
        self._marks = Marks(folder)
        self.evictions = Evictions(self._clock, metrics)
        """The book of what was removed."""
        self.threads = Threads("media", THREADS)
        """The store's own: work in them waits for its disk and for nothing else."""

    def adjust(self, *, max_bytes: int, retention: float) -> None:
        """Keep by these from the next look on."""
        self._max_bytes = max_bytes
        self._retention = retention

    @property
    def used(self) -> int:
        """Bytes of all files, as last counted and since added up."""
        return self._known.bytes + self._strange.bytes

    @property
    def strangers_limit(self) -> int:
        """Bytes that strangers' files may take at the most."""
        return self._max_bytes // STRANGERS_PART

    def figures(self) -> dict[str, Any]:
        """The store as /status shows it."""
        known, strange = self._known, self._strange
        return {
            "bytes": known.bytes + strange.bytes,
            "max_bytes": self._max_bytes,
            "files": known.files + strange.files,
            "strangers": {"bytes": strange.bytes, "max_bytes": self.strangers_limit, "files": strange.files},
            "evicted": self.evictions.counts,
        }

    async def store(self, content: bytes, *, stranger: bool = False) -> Stored:
        """Keep the content; returns once file and folder are fsynced. Raises OSError (the disk refuses), TooLarge.

        `stranger`: it counts against the strangers' share, unless a known device has sent the same.
        """
        return await self.threads.run(lambda: self.keep(content, stranger=stranger))

    async def run(self, report: Callable[[Early], object] | None = None) -> None:
        """Remove what is too old or too much, for as long as the task lives.

        `report` is called, at most once an hour, with what went though it was younger than `retention`.
        """
        await self.threads.run(self.begin)
        logged = sum(self.evictions.counts.values())
        while True:
            await self.threads.run(self.prune)
            if (removed := sum(self.evictions.counts.values()) - logged) > 0:
                logged += removed
                log.info("Pictures were removed, for they were too old or too many", count=removed, bytes=self.used)
            if report is not None and (early := self.evictions.take()) is not None:
                report(early)
            await self._clock.sleep(EVERY)

    def keep(self, content: bytes, *, stranger: bool = False) -> Stored:
        """`store`, for who is in one of `threads` already."""
        if len(content) > LARGEST:
            raise TooLarge(f"{len(content)} bytes")
        digest = hashlib.sha256(content).hexdigest()
        stored = Stored(digest, f"{digest[:2]}/{digest}", len(content))
        path = f"{self._within}{stored.path}"
        with self._alone(digest):
            there = self._there(path, stranger=stranger)
            if there is None:
                self._add(path, content, new=True, stranger=stranger)
        if there is not None:
            # A name alone proves nothing: a crash before its fsync may have left anything under it.
            if safe(there, path, content):
                if not stranger:
                    self._vouch(digest, len(content))
                return stored
            with self._alone(digest):
                self._add(path, content, new=False, stranger=stranger)
        self._make_room(stranger=stranger)
        return stored

    def _add(self, path: str, content: bytes, *, new: bool, stranger: bool) -> None:
        """Write a file, in the place of another content where it is not `new`."""
        name, size = os.path.basename(path), len(content)
        strange = self._mark(name, new=new) if stranger else name in self._marks
        self._write(path, content)
        self._grown(size, strange=strange)
        if strange and not stranger:
            self._vouch(name, size)

    def _write(self, name: str, content: bytes) -> None:
        now = self._clock.now().timestamp()
        begun = now - self._clock.monotonic()  # another where the wall time has jumped
        dates = self._system_dates is not None and abs(begun - self._system_dates) < PRESENT
        if not self._prepared:
            self._prepare()
        try:
            write(name, content, None if dates else now)
        except FileNotFoundError:  # somebody has cleared the store away
            self._prepare()
            write(name, content, None if dates else now)
        if not dates:
            self._system_dates = begun if dated(name, now) else None

    def adopt(self, part: Path, sha256: str, size: int, *, stranger: bool = False) -> Stored:
        """Take over a file that lies in the store's folder, whole, under its content's name; for what memory is too
        small for. `stranger` as in `keep`. Durable on return, in one of `threads`. Raises OSError; the file is gone.
        """
        path = self._path(sha256)
        if not (self._prepared and path.parent.exists()):
            self._prepare()
        with self._alone(sha256):
            known = path.exists()
            strange = self._mark(sha256, new=not known) if stranger else sha256 in self._marks
            adopt(part, path, self._clock.now().timestamp())
            if not known:
                self._grown(size, strange=strange)
            if not stranger:
                self._vouch(sha256, size)
        self._make_room(stranger=stranger)
        return Stored(sha256, f"{sha256[:2]}/{sha256}", size)

    def _path(self, name: str) -> Path:
        return self.folder / name[:2] / name

    @contextmanager
    def _alone(self, name: str) -> Iterator[None]:
        """Have nobody else look for this file meanwhile, write it, mark it or remove it."""
        with self._lock:
            while name in self._busy:
                self._let_go.wait()
            self._busy.add(name)
        try:
            yield
        finally:
            with self._lock:
                self._busy.remove(name)
                self._let_go.notify_all()

    def _mark(self, name: str, *, new: bool) -> bool:
        """Mark the file that a stranger is about to write, unless it is a known device's; True where it is a
        stranger's. `new`: there is none yet."""
        if not new and name not in self._marks:
            return False
        self._marks.add(name)
        self._marks.sync(name)
        return True

    def _vouch(self, name: str, size: int) -> None:
        """A known device has sent the same: from now on the file is its own."""
        with self._lock:
            if not self._marks.discard(name):
                return
            self._strange.files -= 1
            self._strange.bytes -= _cost(size, stranger=True)
            self._known.files += 1
            self._known.bytes += size
        self._marks.sync(name)

    def _grown(self, size: int, *, strange: bool) -> None:
        """Count a file that was written."""
        with self._lock:
            holding = self._strange if strange else self._known
            holding.files += 1
            holding.bytes += _cost(size, stranger=strange)

    def _make_room(self, *, stranger: bool) -> None:
        full = self.used > self._max_bytes or self._strange.bytes > self.strangers_limit
        # One who makes room at a time; what the others add meanwhile the next look finds.
        if full and self._counted and self._pruning.acquire(blocking=False):
            try:
                # A look at all files for each of a stranger's would be the stranger's to ask for.
                if stranger:
                    self._prune_strangers()
                else:
                    self._prune()
            finally:
                self._pruning.release()

    def _there(self, path: str, *, stranger: bool) -> FileIO | None:
        """The file where there is one, and young again: a stranger who sends what a known device has sent must not
        keep it young."""
        try:
            file = FileIO(os.open(path, os.O_RDWR | os.O_CLOEXEC))
        except FileNotFoundError:
            return None
        try:
            if not stranger or os.path.basename(path) in self._marks:
                now = self._clock.now().timestamp()
                os.utime(file.fileno(), (now, now))
        except OSError:
            file.close()
            raise
        return file

    def _prepare(self) -> None:
        """Make all folders at the first file, so that later ones need not sync their parents."""
        make(self.folder, _FOLDER)
        for number in range(256):
            (self.folder / f"{number:02x}").mkdir(_FOLDER, exist_ok=True)
        sync(self.folder)
        self._prepared = True

    def begin(self) -> None:
        """Have the clock doubted for a while where a run of which there is no note has left files far behind it."""
        newest = max((when for when, _, _ in self._files()), default=0.0)
        if newest:
            self._clock.ages.witness(int(newest * 1000))

    # --- making room --------------------------------------------------------------------------------------------

    def prune(self) -> int:
        """Remove files that are too old, then the oldest while there are too many bytes; how many were removed."""
        with self._pruning:
            return self._prune()

    def _prune(self) -> int:
        room = self._max_bytes
        removed = self._sweep(
            self._known_files, lambda used: int(room * _ROOM) if used > room else room, evictions.SIZE, self._known
        )
        removed += self._prune_strangers()
        self._counted = True
        if self._metrics is not None:
            self._metrics.media_bytes.labels("known").set(self._known.bytes)
            self._metrics.media_bytes.labels("strangers").set(self._strange.bytes)
        return removed

    def _prune_strangers(self) -> int:
        """The same for what strangers may hold, looking at their files alone."""
        room = max(0, min(self.strangers_limit, self._max_bytes - self._known.bytes))
        less = max(0, min(int(self.strangers_limit * _ROOM), room - int(self._max_bytes * _FREED)))
        return self._sweep(
            self._strangers, lambda used: less if used > room else room, evictions.STRANGERS, self._strange
        )

    def _sweep(self, look: Look, most: Callable[[int], int], reason: str, holding: Holding) -> int:
        """See `Sweep.run`; counts `holding` anew, and returns how many files were removed."""
        swept = Sweep(self._clock, self._retention, self._remove, self.evictions).run(look, most, reason)
        with self._lock:
            holding.files, holding.bytes = swept.files, swept.bytes
        return swept.removed

    def _strangers(self) -> Iterator[tuple[float, int, str]]:
        """As `_files`, of those with a mark, and as what they count; a mark without a file, which a kill may leave,
        goes."""
        for name in self._marks:
            path = self._path(name)
            try:
                stat = path.stat()
            except FileNotFoundError:
                with self._lock, suppress(OSError):  # the next look finds it again
                    if name not in self._busy and not path.exists():
                        self._marks.discard(name)
                continue
            yield stat.st_mtime, _cost(stat.st_size, stranger=True), os.fspath(path)

    def _remove(self, path: Path, when: float) -> bool:
        with self._lock:
            try:
                if path.name in self._busy or path.stat().st_mtime != when:
                    return False  # stored anew meanwhile
                path.unlink()
            except OSError:
                return False
            self._marks.discard(path.name)
        return True

    def _files(self) -> Iterator[tuple[float, int, str]]:
        """(time, bytes, path) of every file of the store."""
        for folder in self._folders():
            yield from files_in(folder)

    def _known_files(self) -> Iterator[tuple[float, int, str]]:
        """The same of those without a mark."""
        for folder in self._folders():
            marked = self._marks.within(os.path.basename(folder))
            yield from (file for file in files_in(folder) if os.path.basename(file[2]) not in marked)

    def _folders(self) -> list[str]:
        try:
            return [entry.path for entry in os.scandir(self.folder) if entry.is_dir() and len(entry.name) == 2]
        except FileNotFoundError:
            return []


def _cost(size: int, *, stranger: bool) -> int:
    return max(size, _BLOCK) if stranger else size
