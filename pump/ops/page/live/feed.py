"""The newest events for everybody who looks: one task reads them from the spool's memory while there are viewers.

It never waits for a viewer. Each has a bounded queue; what does not fit is counted, and the viewer is informed.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import orjson
import structlog

from pump.core.clock import Clock
from pump.core.record import Record
from pump.ops.page.filters import Filter, decoded
from pump.ops.page.rows import Words, mark_of, row_of
from pump.spool import Spool

log = structlog.get_logger()

PACE: Final = 0.25
"""Seconds between two looks: the eye sees no difference, and a flood costs four of them a second."""
READ: Final = 300
"""Events that one look takes, the newest ones."""
SHOWN: Final = 100
"""Rows that one look gives a viewer; and marks."""
MARKING: Final = ("alarm.acknowledged", "media.stored")
"""Types that say something of an earlier row: an acknowledgement, a picture that came later. Who filters them out gets
them as marks."""
WAITING: Final = 300
"""Rows that wait for a viewer whose connection is slow."""
MOST: Final = 100
"""Viewers at a time."""

Row = tuple[int, bytes]
"""A row's number, and the row as JSON."""
Made = tuple[list[Row], list[int], list[Row]]
"""Rows, the numbers of those left out, and marks."""


class Viewer:
    """One open list: the rows that wait for it. Belongs to the event loop."""

    def __init__(self, wanted: Filter, words: Words, position: int) -> None:
        self.wanted = wanted
        self.words = words
        self.position = position
        """Everything through this number was looked at for it."""
        self.news = asyncio.Event()
        self._rows: deque[Row] = deque()
        self._marks: deque[Row] = deque(maxlen=WAITING)
        self._skipped = 0

    def offer(self, rows: list[Row], position: int, skipped: int = 0, marks: Iterable[Row] = ()) -> None:
        """Have these rows and marks wait, oldest first; the oldest of all go where they are too many."""
        self._marks.extend(marks)
        self._rows.extend(rows)
        self._skipped += skipped
        while len(self._rows) > WAITING:
            self._rows.popleft()
            self._skipped += 1
        self.position = position
        self.news.set()

    def take_marks(self) -> list[Row]:
        """The marks that wait: for rows that `take` gave, now or before."""
        taken = list(self._marks)
        self._marks.clear()
        return taken

    def take(self) -> tuple[list[Row], int, int]:
        """All that waits, how many were left out before it, and the number through which that goes."""
        taken = list(self._rows), self._skipped, self.position
        self._rows.clear()
        self._skipped = 0
        self.news.clear()
        return taken


class Feed:
    """All viewers of one daemon."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._viewers: set[Viewer] = set()
        self._task: asyncio.Task[None] | None = None
        self._position = 0
        self.over = asyncio.Event()
        """Set when the daemon stops: every viewer leaves."""

    @property
    def full(self) -> bool:
        """True where there are as many viewers as there may be."""
        return len(self._viewers) >= MOST

    @contextmanager
    def viewer(self, spool: Spool, wanted: Filter, words: Words) -> Iterator[Viewer]:
        """A viewer of what comes from now on; its `position` says where that begins."""
        if self._task is None:
            self._position = spool.head
            self._task = asyncio.create_task(self._run(spool), name="operators' page: live events")
            self._task.add_done_callback(self._ended)
        viewer = Viewer(wanted, words, self._position)
        self._viewers.add(viewer)
        try:
            yield viewer
        finally:
            self._viewers.discard(viewer)
            if not self._viewers and self._task is not None:
                self._task.cancel()
                self._task = None

    async def _run(self, spool: Spool) -> None:
        while True:
            await spool.wait_above(self._position)
            head = spool.head
            after = max(self._position, head - READ)
            records = spool.recent(after, limit=READ)
            passed = after - self._position
            if records is None:  # large events, and more of them than memory keeps
                records, passed = [], head - self._position
            self._position = records[-1].seq if records else head
            self._spread(records, passed)
            await self._clock.sleep(PACE)

    def _spread(self, records: list[Record], passed: int) -> None:
        """Give each viewer the rows that it wants. Viewers who want the same share all the work but their own write."""
        events: dict[int, Mapping[str, Any]] = {}
        made: dict[tuple[Filter, str], Made] = {}
        for viewer in self._viewers:
            key = (viewer.wanted, viewer.words.texts.language)
            found = made.get(key)
            if found is None:
                found = made[key] = _wanted(records, viewer, events)
            rows = [row for row in found[0] if row[0] > viewer.position]
            left_out = sum(number > viewer.position for number in found[1])
            marks = [mark for mark in found[2] if mark[0] > viewer.position]
            viewer.offer(rows, self._position, passed + left_out, marks)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("The operators' page shows no new events until it is opened anew", exc_info=error)
            self._task = None


def _wanted(records: list[Record], viewer: Viewer, events: dict[int, Mapping[str, Any]]) -> Made:
    """The newest rows of these records for whoever wants what this viewer does.

    `events` has what was decoded already.
    """

    def event_of(record: Record) -> Mapping[str, Any]:
        return events.get(record.seq) or events.setdefault(record.seq, decoded(record))

    wanted, words = viewer.wanted, viewer.words
    chosen: list[Record] = []
    marking: list[Record] = []
    for record in records:
        if wanted.may_take(record) and (wanted.is_plain or wanted.takes(event_of(record), record.body, words.zone)):
            chosen.append(record)
        elif record.type in MARKING:
            marking.append(record)
    rows = [(record.seq, orjson.dumps(row_of(event_of(record), words, record.seq))) for record in chosen[-SHOWN:]]
    marks = [(record.seq, orjson.dumps(mark_of(event_of(record), words))) for record in marking[-SHOWN:]]
    return rows, [record.seq for record in chosen[:-SHOWN]], marks
