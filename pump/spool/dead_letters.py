"""Dead letters: what a sink refused or could not deliver in time, whole, until somebody decides."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from pump.core.record import Record
from pump.spool.connection import connect_reading

SLICE: Final = 200
"""Rows read or removed at a time."""
_WRITTEN: Final = 500
"""Letters that one statement writes: ten values each, of the 32766 that SQLite permits."""
_COLUMNS: Final = "id, sink, seq, source, type, severity, recorded, body, reason, attempts, at"


@dataclass(slots=True, frozen=True)
class DeadLetter:
    """One, as it is stored."""

    id: int
    """Grows, and names it for ever."""
    sink: str
    record: Record
    reason: str
    attempts: int
    at: int
    """When it was given up, milliseconds since 1970."""


def add_dead_letters(
    db: sqlite3.Connection, *, sink: str, records: Sequence[Record], reasons: Mapping[int, str], attempts: int, at: int
) -> int:
    """Store dead letters of a sink in one transaction; how many are new. `reasons` by number; `at` in ms since 1970.

    An event is one letter of a sink: where it lies there already (a kill came before the cursor was stored, or a
    replay was refused too) the letter gets the new reason and time, and the attempts are added to its own.
    """
    db.execute("BEGIN IMMEDIATE")
    try:
        numbers = {record.seq for record in records}
        known = "SELECT count(*) FROM dead WHERE sink = ? AND seq IN (SELECT value FROM json_each(?))"
        (there,) = db.execute(known, (sink, orjson.dumps(list(numbers)).decode())).fetchone()
        for start in range(0, len(records), _WRITTEN):
            values: list[object] = []
            for one in records[start : start + _WRITTEN]:
                values += (sink, one.seq, one.source, one.type, one.severity, one.recorded, one.body)
                values += (reasons[one.seq], attempts, at)
            rows = ",".join(["(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"] * (len(values) // 10))
            db.execute(
                "INSERT INTO dead(sink, seq, source, type, severity, recorded, body, reason, attempts, at)"
                f" VALUES {rows} ON CONFLICT(sink, seq) DO UPDATE SET reason = excluded.reason,"
                " attempts = dead.attempts + excluded.attempts, at = excluded.at",
                values,
            )
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
    return len(numbers) - int(there)


def letters(
    db: sqlite3.Connection, *, sink: str | None = None, ids: Sequence[int] | None = None, after: int = 0,
    through: int = 1 << 62, limit: int = SLICE,
) -> list[DeadLetter]:  # fmt: skip
    """Those of `sink` (None: of all) and of `ids` (None: any), above the number `after`, by number."""
    where, values = _where(sink, ids)
    found = db.execute(
        f"SELECT {_COLUMNS} FROM dead WHERE id > ? AND id <= ?{where} ORDER BY id LIMIT ?",
        (after, through, *values, limit),
    ).fetchall()
    return [_letter(row) for row in found]


def _letter(row: Sequence[Any]) -> DeadLetter:
    id_, sink, seq, source, type_, severity, recorded, body, reason, attempts, at = row
    record = Record(seq, _text(source), _text(type_), severity, recorded, bytes(body))
    return DeadLetter(id_, _text(sink), record, _text(reason), attempts, at)


def newest(db: sqlite3.Connection) -> int:
    """The highest number given so far."""
    (found,) = db.execute("SELECT coalesce(max(id), 0) FROM dead").fetchone()
    return int(found)


def drop(db: sqlite3.Connection, *, sink: str | None = None, ids: Sequence[int] | None = None) -> dict[str, int]:
    """Remove a slice of them; how many of each sink, empty when none are left."""
    where, values = _where(sink, ids)
    rows = db.execute(
        f"DELETE FROM dead WHERE id IN (SELECT id FROM dead WHERE TRUE{where} ORDER BY id LIMIT ?) RETURNING sink",
        (*values, SLICE),
    ).fetchall()
    gone: dict[str, int] = {}
    for (name,) in rows:
        gone[_text(name)] = gone.get(_text(name), 0) + 1
    return gone


def again(db: sqlite3.Connection, reasons: Mapping[int, str], at: int) -> None:
    """Note for each of these that it was refused once more."""
    noted = orjson.dumps([[id_, reason] for id_, reason in reasons.items()]).decode()
    db.execute(
        "UPDATE dead SET reason = noted.value ->> 1, attempts = attempts + 1, at = ?"
        " FROM json_each(?) AS noted WHERE dead.id = noted.value ->> 0",
        (at, noted),
    )


def read_letters(folder: Path, *, sink: str | None = None, ids: Sequence[int] | None = None) -> Iterator[DeadLetter]:
    """The same from outside the daemon; reads only, whether or not one runs.

    Raises FileNotFoundError where no spool is, sqlite3.Error where it cannot be read.
    """
    path = folder / "spool.db"
    if not path.exists():
        raise FileNotFoundError(path)
    with closing(connect_reading(path)) as db:
        after = 0
        while found := letters(db, sink=sink, ids=ids, after=after):
            yield from found
            after = found[-1].id


def first_since(db: sqlite3.Connection, since_ms: int) -> int:
    """A number behind which every event lies that arrived at `since_ms` or later; found by bisection, not by reading.

    Arrivals grow with the numbers but for a clock set back: that much may lie before it.
    """
    low, high = 0, (db.execute("SELECT max(last) FROM blocks").fetchone()[0] or 0)
    while low < high:
        middle = (low + high) // 2
        row = db.execute("SELECT last, recorded FROM blocks WHERE last > ? ORDER BY last LIMIT 1", (middle,)).fetchone()
        if row is None or row[1] >= since_ms:
            high = middle
        else:
            low = row[0]
    return low


def _where(sink: str | None, ids: Sequence[int] | None) -> tuple[str, list[object]]:
    where, values = "", list[object]()
    if sink is not None:
        where, values = f"{where} AND sink = ?", [*values, sink]
    if ids is not None:
        where, values = (
            f"{where} AND id IN (SELECT value FROM json_each(?))",
            [*values, orjson.dumps(list(ids)).decode()],
        )
    return where, values


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
