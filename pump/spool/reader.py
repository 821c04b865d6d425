"""Reading stored events: from the file in short transactions, or the newest from memory."""

from __future__ import annotations

import sqlite3
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field

from pump.core.record import Record
from pump.spool.blocks import unpack


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
            size += len(bodies)
            if len(page.records) >= limit or size >= max_bytes:
                break
    finally:
        cursor.close()  # the read transaction ends here, with the batch
    oldest = db.execute("SELECT first FROM blocks ORDER BY last LIMIT 1").fetchone()
    if oldest is not None:
        page.floor = oldest[0] - 1
    if len(page.records) > limit:
        del page.records[limit:]
        page.through = page.records[-1].seq
        page.damaged = [seq for seq in page.damaged if seq <= page.through]
    return page


class RecentRecords:
    """The newest committed records, up to `max_bytes` of bodies. Its memory is the bound on what fast sinks cost."""

    def __init__(self, after: int, max_bytes: int = 16 << 20) -> None:
        self._records: list[Record] = []
        self._after = after
        """Everything above this number that is in the spool is here."""
        self._bytes = 0
        self._max_bytes = max_bytes

    def add(self, records: Sequence[Record]) -> None:
        """Append what a commit stored; the oldest go when the limit is passed."""
        self._records.extend(records)
        self._bytes += sum(len(record.body) for record in records)
        if self._bytes <= self._max_bytes:
            return
        # Down to three quarters, so that the list is not shifted at every commit.
        cut, target = 0, self._max_bytes * 3 // 4
        while self._bytes > target:
            self._bytes -= len(self._records[cut].body)
            cut += 1
        self._after = self._records[cut - 1].seq
        del self._records[:cut]

    def read(self, after: int, limit: int, max_bytes: int) -> list[Record] | None:
        """The records that follow `after`; None where they are no longer all here."""
        if after < self._after:
            return None
        start = bisect_right(self._records, after, key=lambda record: record.seq)
        chosen = self._records[start : start + limit]
        total = 0
        for count, record in enumerate(chosen):
            total += len(record.body)
            if total > max_bytes and count:
                return chosen[:count]
        return chosen
