"""What counts against its source's limit: a row for each stored event that the source does not understand."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Sequence


def held(db: sqlite3.Connection) -> dict[str, int]:
    """The bytes of each source."""
    return dict(db.execute("SELECT source, sum(bytes) FROM limited GROUP BY source").fetchall())


def remove(db: sqlite3.Connection, ranges: Sequence[tuple[int, int]]) -> dict[str, int]:
    """Remove the rows of these numbers, first to last, in the caller's transaction; the bytes of each source."""
    gone: Counter[str] = Counter()
    for first, last in ranges:
        for source, size in db.execute(
            "SELECT source, sum(bytes) FROM limited WHERE seq BETWEEN ? AND ? GROUP BY source", (first, last)
        ).fetchall():
            gone[source] += size
    if gone:
        db.executemany("DELETE FROM limited WHERE seq BETWEEN ? AND ?", ranges)
    return dict(gone)
