"""Reading stored events: from the file in short transactions, or the newest from memory."""

from __future__ import annotations

import sqlite3
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import structlog

from pump.core.clock import Clock
from pump.core.errors import Unavailable
from pump.core.record import Record
from pump.spool.blocks import header, unpack
from pump.spool.connection import Connection
from pump.spool.errors import Verdict, verdict
from pump.spool.state import MARKS, News, SpoolState

if TYPE_CHECKING:  # a spool is read by commands too, which count nothing
    from pump.telemetry.metrics import Metrics

T = TypeVar("T")
log = structlog.get_logger()


@dataclass(slots=True)
class Page:
    """Events read in one go; `damaged` are the numbers whose checksum was wrong, `through` how far the read came.

    Everything through `floor` had been removed when they were read.
    """

    records: list[Record]
    through: int
    damaged: list[int] = field(default_factory=list)
    floor: int = 0


def read(db: sqlite3.Connection, after: int, limit: int, max_bytes: int) -> Page:
    """The events above `after`: about `limit` and `max_bytes` of bodies at the most, a block where there is one."""
    page = Page([], after)
    size = 0
    cursor = db.execute("SELECT first, last, events, bodies FROM blocks WHERE last > ? ORDER BY last", (after,))
    try:
        for first, last, index, bodies in cursor:
            block = unpack(first, last, index, bodies)
            page.records += [record for record in block.records if record.seq > after]
            page.damaged += [seq for seq in block.damaged if seq > after]
            page.through = last
            size += len(bodies) if isinstance(bodies, bytes) else 0
            if len(page.records) >= limit or size >= max_bytes:
                break
    finally:
        cursor.close()  # the read transaction ends here, with the batch
    page.floor = floor(db) or 0
    if len(page.records) > limit:
        del page.records[limit:]
        page.through = page.records[-1].seq
        page.damaged = [seq for seq in page.damaged if seq <= page.through]
    return page


def floor(db: sqlite3.Connection) -> int | None:
    """The number below the oldest event that is there, None where none is; too low rather than too high if damaged."""
    oldest = db.execute("SELECT first, last, events FROM blocks ORDER BY last LIMIT 1").fetchone()
    if oldest is None:
        return None
    last = int(oldest[1])
    first, _, index = oldest
    found = header(index)
    return max(0, min(last, first if isinstance(first, int) else last, last if found is None else found[1]) - 1)


def first_since(db: sqlite3.Connection, since_ms: int) -> int:
    """A number behind which every event lies that arrived at `since_ms` or later; found by bisection, not by reading.

    Arrivals grow with the numbers but for a clock set back: that much may lie before it.
    """
    low, high = 0, (db.execute("SELECT max(last) FROM blocks").fetchone()[0] or 0)
    while low < high:
        middle = (low + high) // 2
        row = db.execute("SELECT last, recorded FROM blocks WHERE last > ? ORDER BY last LIMIT 1", (middle,)).fetchone()
        if row is None or not isinstance(row[1], int) or row[1] >= since_ms:
            high = middle
        else:
            low = row[0]
    return low


class RecentRecords:
    """The newest committed events, up to `max_bytes` of bodies. Its memory is the bound on what fast sinks cost."""

    def __init__(self, after: int, max_bytes: int = 16 << 20) -> None:
        self._records: list[Record] = []
        self._after = after
        """Everything above this number that is in the spool is here."""
        self._bytes = 0
        self._max_bytes = max_bytes
        self._last: tuple[tuple[int, int, int], list[Record]] | None = None
        """What was last asked for, and found: sinks that keep up ask for the same."""

    def add(self, records: Sequence[Record]) -> None:
        """Append what a commit stored; the oldest go when the limit is passed."""
        self._last = None
        self._records.extend(records)
        self._bytes += sum([len(record.body) for record in records])
        if self._bytes <= self._max_bytes:
            return
        # A little below, so that the list is not shifted at every commit; more would be memory that comes and goes.
        cut, target = 0, self._max_bytes * 15 // 16
        while self._bytes > target:
            self._bytes -= len(self._records[cut].body)
            cut += 1
        self._after = self._records[cut - 1].seq
        del self._records[:cut]

    def remove(self, first: int, last: int) -> None:
        """Forget the events of these numbers: they were evicted, and nobody may get what others have not."""
        self._last = None
        low = bisect_left(self._records, first, key=lambda record: record.seq)
        high = bisect_right(self._records, last, key=lambda record: record.seq)
        self._bytes -= sum(len(record.body) for record in self._records[low:high])
        del self._records[low:high]

    def read(self, after: int, limit: int, max_bytes: int) -> list[Record] | None:
        """The records that follow `after`, not to be changed; None where they are no longer all here."""
        if after < self._after:
            return None
        asked = after, limit, max_bytes
        if self._last is None or self._last[0] != asked:
            self._last = asked, self._found(*asked)
        return self._last[1]

    def _found(self, after: int, limit: int, max_bytes: int) -> list[Record]:
        start = bisect_right(self._records, after, key=lambda record: record.seq)
        chosen = self._records[start : start + limit]
        if sum([len(record.body) for record in chosen]) <= max_bytes:
            return chosen
        total = 0
        for count, record in enumerate(chosen):
            total += len(record.body)
            if total > max_bytes and count:
                return chosen[:count]
        return chosen


class EventReader:
    """Both of them as one: from memory near the head, from the file behind it. Belongs to the event loop."""

    def __init__(
        self, db: Connection, state: SpoolState, recent: RecentRecords, *, fail: Callable[[Verdict, Exception], None],
        clock: Clock, news: News, metrics: Metrics,
    ) -> None:  # fmt: skip
        """`db` reads alone; `fail` is called where the file turns out to be damaged."""
        self._db = db
        self._state = state
        self._recent = recent
        self._fail = fail
        self._clock = clock
        self._news = news
        self._metrics = metrics
        self._announced: set[int] = set()

    async def read(self, after: int, limit: int, max_bytes: int) -> list[Record]:
        """See `Spool.read`."""
        after = max(after, self._state.floor)  # memory may still hold what was removed
        found = self._recent.read(after, limit, max_bytes)
        while found is None:
            try:
                page = await self._db.run(partial(read, after=after, limit=limit, max_bytes=max_bytes))
            except sqlite3.Error as error:
                raise self._unreadable(error) from error
            # The writer's thread may have removed what its task does not know of yet.
            self._state.removed_through(page.floor)
            if page.damaged:
                self._announce(page.damaged)
            if page.records or page.through == after:
                found = page.records
            after = page.through
        return found

    def recent(self, after: int, limit: int) -> list[Record] | None:
        """See `Spool.recent`."""
        return self._recent.read(max(after, self._state.floor), limit, 1 << 62)

    async def span(self, first: int, last: int) -> tuple[int | None, int]:
        """See `Spool.span`."""
        marks: list[list[int]] = self._state.value(MARKS) or []
        noted = next((at for at, head in reversed(marks) if head < first), None)
        found = await self.read(last, 1, 1)
        present = self._clock.ages.present
        after = None if noted is None else present(noted)
        before = present(found[0].recorded) if found else self._clock.now_ms()
        return (None if after is None else min(after, before)), before

    async def look(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """The result of `work` in the reader's thread. Raises `Unavailable` where the file cannot be read."""
        try:
            return await self._db.run(work)
        except sqlite3.Error as error:
            raise self._unreadable(error) from error

    def _unreadable(self, error: sqlite3.Error) -> Unavailable:
        if verdict(error) is Verdict.DAMAGED:
            self._fail(Verdict.DAMAGED, error)  # the process ends, and the next start repairs it
        return Unavailable(f"the spool cannot be read: {error}")

    def _announce(self, numbers: list[int]) -> None:
        fresh = [seq for seq in numbers if seq not in self._announced]
        if fresh:
            self._announced.update(fresh)
            self._metrics.spool_damaged.inc(len(fresh))
            log.error("Stored events are damaged on disk and reach no sink", count=len(fresh))
            self._news.damaged(fresh)
