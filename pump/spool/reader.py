"""Reading stored events from the file: one batch, one short read transaction, one row that holds them all.

The rows of a batch come back as two values, their columns as JSON and their bodies joined by LF (no body holds one).
Fetching them one by one is three times quicker on an idle machine and thirty times slower beside a busy event loop,
for the thread takes the GIL back at every row.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field

import orjson

from pump.sink import Record
from pump.spool.rows import checksum


@dataclass(slots=True)
class Page:
    """Events read in one go; `damaged` are the numbers whose checksum was wrong, `through` how far the read came."""

    records: list[Record]
    through: int
    damaged: list[int] = field(default_factory=list)


def read(db: sqlite3.Connection, after: int, limit: int, max_bytes: int) -> Page:
    """The events above `after`: at most `limit`, about `max_bytes` of bodies, at least one where there is one."""
    while True:
        bound, size = db.execute(
            "SELECT max(seq), sum(size) FROM"
            " (SELECT seq, length(body) AS size FROM events WHERE seq > ? ORDER BY seq LIMIT ?)",
            (after, limit),
        ).fetchone()
        if bound is None:
            return Page([], after)
        if size <= max_bytes or limit == 1:
            break
        limit = max(1, min(limit - 1, limit * max_bytes // size))
    columns, bodies = db.execute(
        "SELECT json_group_array(json_array(seq, source, type, severity, recorded, crc)), group_concat(body, x'0a')"
        " FROM events WHERE seq > ? AND seq <= ?",
        (after, bound),
    ).fetchone()
    try:
        rows = orjson.loads(columns)
        lines = bodies.split(b"\n")
        if len(lines) == len(rows):
            return _checked(rows, lines, bound)
    except (ValueError, TypeError, AttributeError):
        pass  # a damaged column; the rows tell one by one which it is
    return _one_by_one(db, after, bound)


def _checked(rows: list[list[object]], lines: list[bytes], through: int) -> Page:
    page = Page([], through)
    for (seq, source, type_, severity, recorded, crc), body in zip(rows, lines, strict=True):
        if not isinstance(seq, int):
            raise TypeError("a row without a number")
        if (
            isinstance(source, str)
            and isinstance(type_, str)
            and isinstance(severity, int)
            and isinstance(recorded, int)
            and checksum(seq, source, type_, severity, recorded, body) == crc
        ):
            page.records.append(Record(seq, source, type_, severity, recorded, body))
        else:
            page.damaged.append(seq)
    return page


def _one_by_one(db: sqlite3.Connection, after: int, bound: int) -> Page:
    page = Page([], bound)
    for seq, *columns, body in db.execute(
        "SELECT seq, source, type, severity, recorded, crc, CAST(body AS BLOB) FROM events WHERE seq > ? AND seq <= ?",
        (after, bound),
    ):
        texts = [value.decode("utf-8", "replace") if isinstance(value, bytes) else value for value in columns]
        part = _checked([[seq, *texts]], [body or b""], seq)
        page.records += part.records
        page.damaged += part.damaged
    return page
