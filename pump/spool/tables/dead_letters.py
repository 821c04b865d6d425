"""Dead letters: what a sink refused or could not deliver in time, whole, until somebody decides."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import orjson
import structlog

from pump.core.clock import Clock
from pump.core.record import Record
from pump.spool.damage.checks import has_checksum, row_crc, sealing
from pump.spool.reader import EventReader
from pump.spool.rows import insert_all
from pump.spool.state import SpoolState
from pump.spool.statements import LETTER, LETTER_COST
from pump.spool.writer import Writer

log = structlog.get_logger()

SLICE: Final = 200
"""Rows read or removed at a time."""
_THERE: Final = "SELECT json_group_array(seq) FROM dead WHERE sink = ? AND seq IN (SELECT value FROM json_each(?))"
_STRANGERS: Final = (
    "SELECT json_group_array(id) FROM dead WHERE sink = ? AND seq IN (SELECT value FROM json_each(?)"
    " WHERE (SELECT first FROM strangers WHERE last >= value ORDER BY last LIMIT 1) <= value)"
)
_COLUMNS: Final = "id, sink, seq, source, type, severity, recorded, body, reason, attempts, at"
STRANGE: Final = ("pump", "dead-strangers")
"""The piece of state that holds the numbers of letters about strangers' events, the oldest first."""
GONE: Final = "dead-evicted/"
"""Before a sink's name, the key of pump's state that holds how many of its letters went for want of room, and when the
last did: milliseconds since 1970."""
_INSERT: Final = "INSERT INTO dead(sink, seq, source, type, severity, recorded, body, reason, attempts, at) VALUES"
_AGAIN: Final = (
    " ON CONFLICT(sink, seq) DO UPDATE SET reason = excluded.reason, attempts = dead.attempts + excluded.attempts,"
    " at = excluded.at"
)


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


class DeadLetters:
    """Those of a running spool, all sinks' together. Belongs to the event loop."""

    def __init__(self, state: SpoolState, writer: Writer, reader: EventReader, *, clock: Clock) -> None:
        self._state = state
        self._writer = writer
        self._reader = reader
        self._clock = clock

    @property
    def counts(self) -> Mapping[str, int]:
        """Dead letters by sink."""
        return self._state.dead

    @property
    def bytes(self) -> Mapping[str, int]:
        """What they hold of their share, by sink."""
        return self._state.dead_bytes

    def removed(self, sink: str) -> int:
        """How many of the sink's letters went for want of room, until all that are left are dropped."""
        return gone(self._state.value(("pump", GONE + sink)))[0]

    async def add(self, sink: str, records: Sequence[Record], reason: str | Mapping[int, str], attempts: int) -> int:
        """Store records as the sink's dead letters, with one reason or each with its own by number.

        How many of them were none before: it may be repeated. Raises `Unavailable` where the disk refuses.
        """
        reasons = dict.fromkeys((one.seq for one in records), reason) if isinstance(reason, str) else reason
        at = self._clock.now_ms()
        added = await self._writer.change(
            partial(add, sink=sink, records=records, reasons=reasons, attempts=attempts, at=at)
        )
        self._state.count_dead(sink, added.fresh, added.bytes)
        if added.strange:
            self._writer.remember(STRANGE, [*(self._state.value(STRANGE) or ()), *added.strange])
        return added.fresh

    async def read(
        self, *, sink: str | None = None, ids: Sequence[int] | None = None, after: int = 0, through: int = 1 << 62
    ) -> list[DeadLetter]:
        """A slice of them, by number. Raises `Unavailable` where the file cannot be read."""
        return await self._reader.look(partial(letters, sink=sink, ids=ids, after=after, through=through))

    async def newest(self) -> int:
        """The highest number given so far. Raises `Unavailable` where the file cannot be read."""
        return await self._reader.look(newest)

    async def drop(self, *, sink: str | None = None, ids: Sequence[int] | None = None) -> int:
        """Remove all that fit; how many. Raises `Unavailable` where the disk refuses."""
        count = 0
        while dropped := await self._writer.change(partial(drop, sink=sink, ids=ids)):
            for name, (number, size) in dropped.items():
                self._state.count_dead(name, -number, -size)
                count += number
        if ids is None:  # whoever drops all of them has seen what went before
            for name in [*self._state.dead] if sink is None else [sink]:
                if self.removed(name):
                    self._writer.remember(("pump", GONE + name), None)
        return count

    async def mark_refused_again(self, reasons: Mapping[int, str]) -> None:
        """Note that these were refused once more, by number. Raises `Unavailable` where the disk refuses."""
        await self._writer.change(partial(again, reasons=reasons, at=self._clock.now_ms()))


def gone(noted: object) -> tuple[int, int]:
    """How many letters went for want of room, and when the last did, as `GONE` has it; 0 and 0 for anything else."""
    match noted:
        case [int(count), int(at)]:
            return count, at
    return 0, 0


# --- the SQL, run in the threads ------------------------------------------------------------------------------------


@dataclass(slots=True, frozen=True)
class Added:
    """Letters that were none before."""

    fresh: int = 0
    bytes: int = 0
    strange: Sequence[int] = ()
    """The numbers of those about strangers' events."""


def add(
    db: sqlite3.Connection, *, sink: str, records: Sequence[Record], reasons: Mapping[int, str], attempts: int, at: int
) -> Added:
    """Store dead letters of a sink in one transaction. `reasons` by number; `at` in ms since 1970.

    An event is one letter of a sink: where it lies there already (a kill came before the cursor was stored, or a
    replay was refused too) the letter gets the new reason and time, and the attempts are added to its own.
    """
    numbers = orjson.dumps(list({record.seq for record in records})).decode()
    db.execute("BEGIN IMMEDIATE")
    try:
        there = _numbers(db, _THERE, sink, numbers)
        rows = [(sink, *one, reasons[one.seq], attempts, at) for one in records]
        insert_all(db, _INSERT, rows, _AGAIN)
        sealed = f"UPDATE dead SET crc = {sealing('dead')} WHERE sink = ? AND seq IN (SELECT value FROM json_each(?))"
        db.execute(sealed, (sink, numbers))
        fresh = {one.seq: len(one.body) + len(reasons[one.seq]) + LETTER for one in records if one.seq not in there}
        strange = _numbers(db, _STRANGERS, sink, orjson.dumps(list(fresh)).decode()) if fresh else ()
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
    return Added(len(fresh), sum(fresh.values()), sorted(strange))


def _numbers(db: sqlite3.Connection, sql: str, sink: str, numbers: str) -> set[int]:
    (found,) = db.execute(sql, (sink, numbers)).fetchone()
    return set(orjson.loads(found))


def letters(
    db: sqlite3.Connection, *, sink: str | None = None, ids: Sequence[int] | None = None, after: int = 0,
    through: int = 1 << 62, limit: int = SLICE,
) -> list[DeadLetter]:  # fmt: skip
    """Those of `sink` (None: of all) and of `ids` (None: any), above the number `after`, by number."""
    where, values = _where(sink, ids)
    sealed = has_checksum(db, "dead")  # a file that no start of this version has seen has none
    columns = f"{_COLUMNS}, {'crc' if sealed else 'NULL'}"
    found = db.execute(
        f"SELECT {columns} FROM dead WHERE id > ? AND id <= ?{where} ORDER BY id LIMIT ?",
        (after, through, *values, limit),
    ).fetchall()
    read = [(row[0], _letter(row, sealed)) for row in found]
    if damaged := [id_ for id_, letter in read if letter is None]:
        log.error("Dead letters are damaged on disk and left out", numbers=damaged)
    return [letter for _, letter in read if letter is not None]


def _letter(row: Sequence[Any], sealed: bool) -> DeadLetter | None:
    """The letter in the row; None where it is damaged: the next start that looks for it sets it aside."""
    *values, crc = row
    try:
        if sealed and row_crc(*values) != crc:
            return None
        id_, sink, seq, source, type_, severity, recorded, body, reason, attempts, at = values
        record = Record(seq, _text(source), _text(type_), severity, recorded, bytes(body))
        return DeadLetter(id_, _text(sink), record, _text(reason), attempts, at)
    except (ValueError, TypeError):
        return None


def newest(db: sqlite3.Connection) -> int:
    """The highest number given so far."""
    (found,) = db.execute("SELECT coalesce(max(id), 0) FROM dead").fetchone()
    return int(found)


def drop(
    db: sqlite3.Connection, *, sink: str | None = None, ids: Sequence[int] | None = None
) -> dict[str, tuple[int, int]]:
    """Remove a slice of them; how many of each sink and their bytes, empty when none are left."""
    where, values = _where(sink, ids)
    rows = db.execute(
        f"DELETE FROM dead WHERE id IN (SELECT id FROM dead WHERE TRUE{where} ORDER BY id LIMIT ?)"
        f" RETURNING sink, {LETTER_COST}",
        (*values, SLICE),
    ).fetchall()
    gone: dict[str, tuple[int, int]] = {}
    for name, size in rows:
        count, before = gone.get(_text(name), (0, 0))
        gone[_text(name)] = count + 1, before + size
    return gone


def again(db: sqlite3.Connection, reasons: Mapping[int, str], at: int) -> None:
    """Note for each of these that it was refused once more."""
    noted = orjson.dumps([[id_, reason] for id_, reason in reasons.items()]).decode()
    ids = orjson.dumps(list(reasons)).decode()
    db.execute("BEGIN IMMEDIATE")
    try:
        db.execute(
            "UPDATE dead SET reason = noted.value ->> 1, attempts = attempts + 1, at = ?"
            " FROM json_each(?) AS noted WHERE dead.id = noted.value ->> 0",
            (at, noted),
        )
        db.execute(f"UPDATE dead SET crc = {sealing('dead')} WHERE id IN (SELECT value FROM json_each(?))", (ids,))
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


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
