"""Reading stored events from the file: one batch, one short read transaction."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field

from pump.sink import Record
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
