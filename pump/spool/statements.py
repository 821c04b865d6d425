"""The SQL of a commit, run in the writer's thread.

Each statement takes the GIL back when it ends, and under a busy event loop every take waits: so one statement serves
many rows, and a question's answer is one row (docs/measurements.md).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import orjson
import structlog

from pump.core.record import Record
from pump.spool import blocks
from pump.spool.damage.checks import row_crc
from pump.spool.errors import RowDamaged
from pump.spool.gaps import along, ledger
from pump.spool.gaps.along import NOTHING, Along
from pump.spool.reader import floor
from pump.spool.rows import bounded_parts, filled_parts, insert_all, multi, parts
from pump.spool.state import NEWEST, NUMBER, SpoolState
from pump.spool.tables import fetches, limited, strangers, young
from pump.spool.tables.fetches import Changes
from pump.spool.tables.strangers import Hole
from pump.spool.types import Cursor, Row

log = structlog.get_logger()

SLICE = 500
"""Rows removed at a time: a large DELETE takes seconds and a WAL as large as the rows (docs/measurements.md)."""
_WEIGHED = 1000
"""Blocks that are weighed to know what a sink holds; of five million events all of them would take a second."""
_FAR = 1 << 40
"""Numbers that can have been given since the newest event that is there."""
_NO_COUNT = 1 << 62
"""SQLite's own count of events, which it then leaves alone: counting cost each commit a page. Nobody believes it."""
LETTER = 96
"""Bytes that a dead letter counts beside its event and its reason."""
LETTER_COST = f"coalesce(length(body), 0) + coalesce(length(reason), 0) + {LETTER}"
"""All that it counts, in SQL."""
_STATE = "SELECT source, key, value FROM state"
_KNOWN = (
    ") SELECT json_group_array(json_array(lead, source, id, seq)) FROM"
    " (SELECT lead, source, id, seq FROM wanted CROSS JOIN keys USING (lead, source, id)"
    " UNION ALL SELECT 0 AS lead, source, id, seq FROM wanted CROSS JOIN unmerged USING (source, id) WHERE lead = 0)"
)
"""Of the keys that are `wanted`, those that are stored."""


@dataclass(slots=True)
class Group:
    """All that one commit makes durable."""

    rows: Sequence[Row] = ()
    cursors: Mapping[str, Cursor] = field(default_factory=dict)
    state: Mapping[tuple[str, str], Any] = field(default_factory=dict)
    """(source, key) to a JSON value; None removes the key."""
    number: int = 0
    """Of the commit, among those that store cursors or state."""
    fetches: Changes = field(default_factory=Changes)
    """Filled by the commit: what it changed of the links that wait."""
    along: Along = NOTHING
    gaps: dict[str, dict[str, int]] | None = None
    """Set by `commit` where it has changed the gap ledger: the number of records by source and state."""
    young: int = 0
    """Set by `commit`: the new keys without a time."""


def commit(db: sqlite3.Connection, group: Group, first: int) -> list[Record]:
    """Store the group in one transaction, durable on return; what was new, numbered from `first` on.

    Raises what sqlite3 raises, after the transaction was rolled back.
    """
    db.execute("BEGIN IMMEDIATE")
    try:
        numbered: list[tuple[int, Row]] = []
        records = _insert(db, group, first, numbered) if group.rows else []
        group.fetches = fetches.store(db, group.rows, records, first)
        changed = along.store(db, numbered, group.along, first) if numbered or group.along else False
        if group.cursors:
            # The number rides on a page that is written anyway; no sink has an empty name.
            _store_cursors(db, {**group.cursors, "": Cursor(group.number, None)})
        if group.state:
            store_state(db, group.state if group.cursors else {**group.state, NUMBER: group.number})
        if changed:
            group.gaps = ledger.counts(db)
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
    return records


def _insert(db: sqlite3.Connection, group: Group, first: int, new: list[tuple[int, Row]]) -> list[Record]:
    """The records of those that were not stored before, which are added to `new` with their numbers."""
    numbered = list(enumerate(group.rows, first))
    timed = [each for each in numbered if each[1].dedup_time_ms]
    fresh = 0
    for part in filled_parts(timed):
        sql = multi("INSERT OR IGNORE INTO keys(lead, source, id, seq) VALUES", 4, len(part))
        fresh += db.execute(
            sql, [value for seq, row in part for value in (row.dedup_time_ms, row.source, row.id, seq)]
        ).rowcount
    if len(timed) < len(numbered):
        group.young = young.add(db, [each for each in numbered if not each[1].dedup_time_ms])
    if fresh + group.young < len(numbered):
        numbered = _survivors(db, numbered)
    if group.young and (kept := [each for each in numbered if not (each[1].dedup_time_ms or each[1].stranger)]):
        young.note(db, kept)
    new += numbered
    records = [Record(seq, row.source, row.type, row.severity, row.recorded, row.body) for seq, row in numbered]
    cut = list(blocks.cut(records))
    if any(row.stranger for _, row in numbered):
        rows_by_number = dict(numbered)
        cut = [
            block
            for _, run in groupby(records, key=lambda record: rows_by_number[record.seq].stranger)
            for block in blocks.cut(list(run))
        ]
        strange = [block for block in cut if rows_by_number[block[0].seq].stranger]
        strangers.note(db, [[(record.seq, rows_by_number[record.seq]) for record in block] for block in strange])
    packed = [(block[-1].seq, block[0].seq, max(r.recorded for r in block), *blocks.pack(block)) for block in cut]
    insert_all(db, "INSERT INTO blocks(last, first, recorded, events, bodies) VALUES", packed)
    quarantined = [(seq, row.source, len(row.body)) for seq, row in numbered if row.quarantined]
    if quarantined:
        sealed = [(*row, row_crc(*row)) for row in quarantined]
        db.executemany("INSERT INTO limited(seq, source, bytes, crc) VALUES (?, ?, ?, ?)", sealed)
    return records


def _survivors(db: sqlite3.Connection, numbered: list[tuple[int, Row]]) -> list[tuple[int, Row]]:
    """Those whose key this transaction inserted; the others were stored before, or stand twice in the group."""
    known: dict[tuple[int, str, str], int] = {}
    for part in parts(numbered):
        # One row holds the answer: a row each would take the GIL each. Joined, and not by IN, for which SQLite looks
        # through the whole table.
        sql = multi("WITH wanted(lead, source, id) AS (VALUES", 3, len(part)) + _KNOWN
        keys = [value for _, row in part for value in (row.dedup_time_ms, row.source, row.id)]
        (answer,) = db.execute(sql, keys).fetchone()
        known.update(((dedup_time_ms, source, id_), seq) for dedup_time_ms, source, id_, seq in orjson.loads(answer))
    return [(seq, row) for seq, row in numbered if known.get((row.dedup_time_ms, row.source, row.id)) == seq]


def _store_cursors(db: sqlite3.Connection, cursors: Mapping[str, Cursor]) -> None:
    rows = []
    for sink, cursor in cursors.items():
        row = sink, cursor.seq, None if cursor.state is None else orjson.dumps(cursor.state).decode()
        rows.append((*row, row_crc(*row)))
    update = " ON CONFLICT(sink) DO UPDATE SET seq = excluded.seq, state = excluded.state, crc = excluded.crc"
    insert_all(db, "INSERT INTO cursors(sink, seq, state, crc) VALUES", rows, update)


def store_state(db: sqlite3.Connection, state: Mapping[tuple[str, str], Any]) -> None:
    """Store pieces of state within the transaction that is open; None removes a key."""
    gone: dict[str, list[tuple[str]]] = {}
    for (source, key), value in state.items():
        if value is None:
            gone.setdefault(source, []).append((key,))
    for source, keys in gone.items():
        for part in bounded_parts(keys):
            sql = multi("DELETE FROM state WHERE source = ? AND key IN", len(part), 1)
            db.execute(sql, (source, *(key for (key,) in part)))
    kept = [(source, key, orjson.dumps(value).decode()) for (source, key), value in state.items() if value is not None]
    update = " ON CONFLICT(source, key) DO UPDATE SET value = excluded.value, crc = excluded.crc"
    sealed = [(*row, row_crc(*row)) for row in kept]
    insert_all(db, "INSERT INTO state(source, key, value, crc) VALUES", sealed, update)


@dataclass(slots=True, frozen=True)
class Pruned:
    """One slice that was removed: everything through `floor` is gone."""

    floor: int
    events: int
    quarantined: Mapping[str, int]
    """Bytes that counted against each source's limit."""
    strange: int
    """Bytes that were strangers'."""
    used: int
    """Bytes of the pages that are in use now."""


def prune(db: sqlite3.Connection, *, through: int, before: int, old: Sequence[tuple[int, int]] = ()) -> Pruned | None:
    """Remove a slice of the oldest events: none above `through`, none whose arrival (ms) is neither before `before` nor
    in one of the ranges `old`, which a clock that ran ahead once leaves.

    Whole blocks go. None where nothing was due.
    """
    (answer,) = db.execute(
        "SELECT json_group_array(json_array(first, last, recorded)) FROM"
        " (SELECT first, last, recorded FROM blocks WHERE last <= ? ORDER BY last LIMIT ?)",
        (through, SLICE // 10),
    ).fetchone()
    bound, events = None, 0
    for first, last, recorded in orjson.loads(answer):
        if not (isinstance(first, int) and isinstance(recorded, int) and first <= last):
            raise RowDamaged(f"the block of events that ends with {last} is damaged")
        if events >= SLICE or not (recorded < before or any(begin <= recorded < end for begin, end in old)):
            break
        bound, events = last, events + last + 1 - first
    if bound is None:
        return None
    with _unsynced(db):
        db.execute("BEGIN IMMEDIATE")
        try:
            if bound >= (known := newest(db)):
                _note_newest(db, known)
            db.execute("DELETE FROM blocks WHERE last <= ?", (bound,))
            quarantined = limited.remove(db, [(0, bound)])
            strange = strangers.forget(db, bound)
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise
    return Pruned(bound, events, quarantined, strange, used_bytes(db))


@contextmanager
def _unsynced(db: sqlite3.Connection) -> Iterator[None]:
    """Within it a commit is not fsynced: the next one that is has it on disk too, and a power cut before takes it back.

    For removals, which nobody waits for and which may be done twice.
    """
    db.execute("PRAGMA synchronous=NORMAL")
    try:
        yield
    finally:
        db.execute("PRAGMA synchronous=FULL")


def evict(
    db: sqlite3.Connection, *, holding: int, most: int, holes: Sequence[Hole], passed: int
) -> strangers.Evicted | None:
    """Remove a slice of strangers' oldest blocks, until they hold `most` of `holding` bytes; None where none is left.

    `holes` are those of before. Those through `passed`, which every sink has passed, are forgotten.
    """
    blocks, left = strangers.oldest(db, holding=holding, most=most)
    if not blocks:
        return None
    kept = strangers.merged([hole for hole in (*holes, *blocks) if hole.last > passed])
    db.execute("BEGIN IMMEDIATE")
    try:
        _note_newest(db, newest(db))
        quarantined = strangers.remove(db, blocks)
        store_state(db, {strangers.NOTED: [list(hole) for hole in kept]})
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
    return strangers.Evicted(blocks, left, kept, quarantined)


Key = tuple[int, str, str]
FIRST_KEY: Key = (-(1 << 63), "", "")


def prune_keys(db: sqlite3.Connection, *, above: Key, through: int) -> Key | None:
    """Look at a slice of the keys above `above`, in their own order, and remove those numbered `through` or lower.

    The last key looked at, None at the end. Keys lie by the vendor's time, not by arrival: a sweep passes them all.
    """
    bound = db.execute(
        "SELECT lead, source, id FROM keys WHERE (lead, source, id) > (?, ?, ?)"
        " ORDER BY lead, source, id LIMIT 1 OFFSET ?",
        (*above, SLICE - 1),
    ).fetchone()
    if bound is not None and not (list(map(type, bound)) == [int, str, str] and bound > above):
        raise RowDamaged("a key is damaged, or lies where it does not belong")  # the sweep would go round for ever
    if bound is None:
        db.execute("DELETE FROM keys WHERE (lead, source, id) > (?, ?, ?) AND seq <= ?", (*above, through))
        return None
    db.execute(
        "DELETE FROM keys WHERE (lead, source, id) > (?, ?, ?) AND (lead, source, id) <= (?, ?, ?) AND seq <= ?",
        (*above, *bound, through),
    )
    dedup_time_ms, source, id_ = bound
    return dedup_time_ms, source, id_


def merge_young(db: sqlite3.Connection, *, above: young.Key, count: int, through: int) -> young.Key | int:
    """Move so many young keys, those next above `above`, into `keys`; the last of them.

    At the end, where all keys of rows through the number `through` are there: how many young ones have come since.
    """
    with _unsynced(db):
        db.execute("BEGIN IMMEDIATE")
        try:
            found: young.Key | int | None = young.move(db, above=above, count=count)
            if found is None:
                found = young.left(db, through)
                store_state(db, {young.MERGED: through})
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise
    return found


def used_bytes(db: sqlite3.Connection) -> int:
    """Bytes of the pages in use."""
    (pages,) = db.execute("PRAGMA page_count").fetchone()
    (free,) = db.execute("PRAGMA freelist_count").fetchone()
    (size,) = db.execute("PRAGMA page_size").fetchone()
    return int((pages - free) * size)


def held_bytes(db: sqlite3.Connection, above: int) -> int:
    """Bytes of the events above a number: what a sink holds that has everything through it.

    Of more than `_WEIGHED` blocks so many are weighed, and the others taken to be like them: commits wait meanwhile.
    """
    weight, last, count = db.execute(
        "SELECT coalesce(sum(size), 0), max(last), count(*) FROM"
        " (SELECT last, length(events) + length(bodies) AS size FROM blocks WHERE last > ? ORDER BY last LIMIT ?)",
        (above, _WEIGHED),
    ).fetchone()
    if count < _WEIGHED:
        return int(weight)
    (newest_,) = db.execute("SELECT max(last) FROM blocks").fetchone()
    return int(weight * (newest_ - above) // (last - above))


def checkpoint(db: sqlite3.Connection, mode: str = "PASSIVE") -> None:
    """Copy the WAL into the file. On the writer's connection only (SQLite before 3.51.3 has a race elsewhere)."""
    db.execute(f"PRAGMA wal_checkpoint({mode})").fetchone()


def dead_letters(db: sqlite3.Connection) -> dict[str, tuple[int, int]]:
    """How many dead letters each sink has, and their bytes."""
    rows = db.execute(f"SELECT CAST(sink AS TEXT), count(*), sum({LETTER_COST}) FROM dead GROUP BY sink").fetchall()
    return {sink: (count, size) for sink, count, size in rows}


def newest(db: sqlite3.Connection) -> int:
    """The highest number that was given: the newest block's, or a noted or counted one, which is believed within
    reason.
    """
    (last,) = db.execute("SELECT coalesce(max(last), 0) FROM blocks").fetchone()
    row = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'blocks'").fetchone()  # that of older versions
    known = (_noted_newest(db), row[0] if row else 0)
    return max([int(last), *(one for one in known if isinstance(one, int) and last <= one < last + _FAR)])


def _noted_newest(db: sqlite3.Connection) -> int:
    row = db.execute("SELECT value FROM state WHERE source = ? AND key = ?", NEWEST).fetchone()
    return found if row and isinstance(found := _json(row[0]), int) else 0


def _note_newest(db: sqlite3.Connection, seq: int) -> None:
    """Note the highest number within the transaction that removes blocks: the newest may be among them."""
    store_state(db, {NEWEST: seq})


def go_on_above(db: sqlite3.Connection, seq: int) -> None:
    """Have the numbering of events go on above `seq`, and those of dead letters and gaps above the newest one."""
    found = dict(db.execute("SELECT CAST(name AS BLOB), seq FROM sqlite_sequence").fetchall())
    wanted = {b"blocks": _NO_COUNT}
    for table in ("dead", "gaps"):
        (newest_id,) = db.execute(f"SELECT coalesce(max(id), 0) FROM {table}").fetchone()
        counted = found.get(table.encode())
        believed = isinstance(counted, int) and newest_id <= counted < newest_id + _FAR
        wanted[table.encode()] = int(counted or 0) if believed else newest_id
    (last,) = db.execute("SELECT coalesce(max(last), 0) FROM blocks").fetchone()
    if found != wanted or seq > max(last, _noted_newest(db)):
        db.execute("SAVEPOINT numbering")
        _note_newest(db, seq)
        db.execute("DELETE FROM sqlite_sequence")  # a flipped byte may have renamed one, too
        values = [(name.decode(), number) for name, number in wanted.items()]
        db.executemany("INSERT INTO sqlite_sequence(name, seq) VALUES (?, ?)", values)
        db.execute("RELEASE numbering")


def _json(text: str) -> Any:
    """The content of a cursor or a state; None where a flipped bit made it unreadable: no start may fail for it."""
    try:
        return orjson.loads(text)
    except ValueError as error:
        log.error("A piece of state in the spool cannot be read and is left out", error=str(error))
        return None


def commit_number(cursor: Cursor | None, value: Any) -> int:
    """The number of the newest commit that stored cursors or state, of the two places where it may lie."""
    return max(cursor.seq if cursor is not None else 0, value if isinstance(value, int) else 0)


def load(db: sqlite3.Connection, noted: int) -> SpoolState:
    """Read what the writer starts from. `noted` is the high-water mark: numbering goes on above it."""
    # Where the witness saw higher numbers than the file holds, the loss is noted; the number stays.
    # A dead letter is known by its event's number, which no other event may get.
    above = max(noted, db.execute("SELECT coalesce(max(seq), 0) FROM dead").fetchone()[0])
    head = max(newest(db), above)
    go_on_above(db, head)
    oldest = floor(db)
    values = {(source, key): known for source, key, value in db.execute(_STATE) if (known := _json(value)) is not None}
    cursors = {
        sink: Cursor(seq, None if state is None else _json(state))
        for sink, seq, state in db.execute("SELECT sink, seq, state FROM cursors")
    }
    commits = commit_number(cursors.pop("", None), values.pop(NUMBER, None))
    values.pop(NEWEST, None)
    values.pop(young.MERGED, None)
    state = SpoolState(
        head=head,
        floor=head if oldest is None else oldest,
        cursors=cursors,
        values=values,
        quarantined=limited.held(db),
        dead=dead_letters(db),
        commits=commits,
        fetches=fetches.load(db),
    )
    state.recount_gaps(ledger.counts(db))
    state.recount_strangers(strangers.held(db))
    state.young = young.load(db)
    return state
