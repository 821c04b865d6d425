"""A sweep of the media store that remembers few of its files at a time: there may be millions, and one each minute."""

from __future__ import annotations

import heapq
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from pump.core.clock import Clock
from pump.ingest import evictions
from pump.ingest.evictions import Evictions
from pump.ingest.files import PART

OLDEST: Final = 2000
"""Files that are remembered in a look; where more must go there is another look."""

Look = Callable[[], Iterable[tuple[float, int, str]]]
"""All files there are, one by one: (time, bytes that it counts, path)."""


class File(NamedTuple):
    """A file of the store; the oldest is the least.

    By what the clock showed when: one that was in 1970 for a while must not make the newest go first.
    """

    seen: int
    """When it was last stored, by the time that the pump has seen pass; milliseconds."""
    when: float
    """The same by the wall clock of then, seconds."""
    path: str
    size: int


@dataclass(slots=True)
class Swept:
    """The outcome of a sweep."""

    files: int = 0
    """Those that are left."""
    bytes: int = 0
    """Theirs."""
    removed: int = 0


class Sweep:
    """Removes what is too old, then the oldest while there are too many bytes. In a thread."""

    def __init__(self, clock: Clock, retention: float, remove: Callable[[Path, float], bool], book: Evictions) -> None:
        """`retention` in seconds. `remove` is given a file and its time, and returns True where it went; the `book`
        is of what did."""
        self._clock = clock
        self._retention = retention
        self._remove = remove
        self._book = book

    def run(self, look: Look, most: Callable[[int], int], reason: str) -> Swept:
        """`most` gives the bytes that may be left of so many, `reason` is why young files go for others."""
        swept = Swept()
        goal: int | None = None
        while True:
            before = swept.removed
            oldest = self._look_through(look, swept)
            goal = most(swept.bytes) if goal is None else goal
            for file in oldest:
                if swept.bytes <= goal:
                    break
                if self._remove(Path(file.path), file.when):
                    age = self._clock.ages.age(int(file.when * 1000))
                    self._book.add(reason, file.size, age or 0.0)
                    swept.files -= 1
                    swept.bytes -= file.size
                    swept.removed += 1
            if swept.bytes <= goal or len(oldest) < OLDEST or swept.removed == before:
                return swept

    def _look_through(self, look: Look, swept: Swept) -> list[File]:
        """Remove what is too old, count the rest anew; the oldest of it that may go, in order."""
        swept.files = swept.bytes = 0
        return heapq.nsmallest(OLDEST, self._young(look, swept))

    def _young(self, look: Look, swept: Swept) -> Iterator[File]:
        ages = self._clock.ages
        old = ages.old(self._retention)
        for when, size, path in look():
            wall, part = int(when * 1000), path.endswith(PART)
            if any(begin <= when * 1000 < end for begin, end in old) and self._remove(Path(path), when):
                self._book.add(evictions.UNFINISHED if part else evictions.AGE, size, None)
                swept.removed += 1
                continue
            swept.files += 1
            swept.bytes += size
            if not part:  # else it is being written
                yield File(ages.latest(wall), when, path, size)


def files_in(folder: str | os.PathLike[str]) -> Iterator[tuple[float, int, str]]:
    """(time, bytes, path) of every file that lies in the folder; of none where there is no such folder."""
    try:
        entries = os.scandir(folder)
    except FileNotFoundError:
        return
    with entries:
        for entry in entries:
            try:
                stat = entry.stat()
            except FileNotFoundError:
                continue
            yield stat.st_mtime, stat.st_size, entry.path
