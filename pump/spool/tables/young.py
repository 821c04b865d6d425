"""Keys of rows without a time, until they lie among all others.

Their ids are in no order, so that each would have a page of `keys` of its own written, and written again by the
checkpoint. So a commit appends its own ones, as one row of `young` or with the row that `strangers` has of them anyway,
and they are looked for in a table in memory. Once many have come they are moved in the order of `keys`, where a page
then takes several.

`unmerged` lies in the writer's connection: it goes back with its transactions, and a start makes it anew. A kill amid a
move leaves keys in both places, and the next move passes them again.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Final

import orjson

from pump.spool.damage.checks import row_crc
from pump.spool.rows import filled_parts, multi
from pump.spool.types import Row

MOST: Final = 32_768
"""Keys from which on they are moved: 2 MiB of memory, and of as much again in the file 0.1 s or 0.2 of a start."""
MERGED: Final = ("pump", "merged")
"""The piece of state that holds the number through which all keys are in `keys`; never in memory."""
Key = tuple[str, str]
"""Source and id."""
FIRST: Final[Key] = ("", "")

KEPT: Final = (
    "SELECT value ->> 1 AS source, value ->> 2 AS id, value ->> 3 AS seq FROM"
    " (SELECT keys FROM young UNION ALL SELECT keys FROM strangers WHERE last > coalesce("
    f"(SELECT CAST(value AS INTEGER) FROM state WHERE source = '{MERGED[0]}' AND key = '{MERGED[1]}'), 0)) AS kept,"
    " json_each(iif(json_valid(CAST(kept.keys AS TEXT)), CAST(kept.keys AS TEXT), '[]'))"
    " WHERE value ->> 0 = 0 AND value ->> 3 IS NOT NULL"
)
"""The SQL for those that the file holds; strangers' of version 3 have no number, and lie in `keys`."""
_MADE: Final = (
    "CREATE TEMP TABLE IF NOT EXISTS unmerged("
    "source TEXT, id TEXT, seq INTEGER NOT NULL, PRIMARY KEY(source, id)) WITHOUT ROWID"
)
# The sqlite3 module counts rows only of what begins with INSERT.
_INSERT: Final = "INSERT OR IGNORE INTO unmerged WITH new(source, id, seq) AS (VALUES"
_NEW: Final = (
    ") SELECT source, id, seq FROM new WHERE NOT EXISTS"
    " (SELECT 1 FROM keys WHERE keys.lead = 0 AND keys.source = new.source AND keys.id = new.id)"
)
_FORGET: Final = "DELETE FROM unmerged WHERE (source, id) IN (SELECT value ->> 0, value ->> 1 FROM json_each(?))"
_RANGE: Final = "(source, id) > (?, ?) AND (source, id) <= (?, ?)"


def load(db: sqlite3.Connection) -> int:
    """Have those that the file holds in memory; the number of them."""
    db.execute(_MADE)
    db.execute("DELETE FROM unmerged")
    return db.execute(f"INSERT OR IGNORE INTO unmerged {KEPT}").rowcount


def add(db: sqlite3.Connection, numbered: Sequence[tuple[int, Row]]) -> int:
    """Take the keys of these rows, which have no time, into memory; how many were not known."""
    fresh = 0
    for part in filled_parts(numbered):
        sql = multi(_INSERT, 3, len(part)) + _NEW
        fresh += db.execute(sql, [value for seq, row in part for value in (row.source, row.id, seq)]).rowcount
    return fresh


def note(db: sqlite3.Connection, numbered: Sequence[tuple[int, Row]]) -> None:
    """Have the file hold the keys of these rows, which are new and no stranger's."""
    row = numbered[-1][0], orjson.dumps([(0, row.source, row.id, seq) for seq, row in numbered])
    db.execute("INSERT INTO young(last, keys, crc) VALUES (?, ?, ?)", (*row, row_crc(*row)))


def forget(db: sqlite3.Connection, keys: Sequence[Key]) -> None:
    """Have these no longer in memory; who calls has removed what the file holds of them."""
    if keys:
        db.execute(_FORGET, (orjson.dumps(keys).decode(),))


def move(db: sqlite3.Connection, *, above: Key, count: int) -> Key | None:
    """Move so many keys, those next above `above`, into `keys`; the last of them, None where no more are."""
    sql = "SELECT source, id FROM unmerged WHERE (source, id) > (?, ?) ORDER BY source, id LIMIT 1 OFFSET ?"
    last: Key | None = db.execute(sql, (*above, count - 1)).fetchone()
    where, values = (_RANGE, (*above, *last)) if last else ("(source, id) > (?, ?)", above)
    insert_sorted(db, f"SELECT source, id, seq FROM unmerged WHERE {where}", values)
    db.execute(f"DELETE FROM unmerged WHERE {where}", values)
    return last


def insert_sorted(db: sqlite3.Connection, found: str, values: Sequence[object] = ()) -> None:
    """Store in `keys` what the SQL finds, in their order: each page is written once."""
    db.execute(f"INSERT OR IGNORE INTO keys SELECT 0, source, id, seq FROM ({found}) ORDER BY source, id", values)


def left(db: sqlite3.Connection, through: int) -> int:
    """Forget the rows through a number, whose keys are all in `keys`; how many keys wait still."""
    db.execute("DELETE FROM young WHERE last <= ?", (through,))
    (count,) = db.execute("SELECT count(*) FROM unmerged").fetchone()
    return int(count)
