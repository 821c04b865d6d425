"""Reading a spool from outside the daemon: `pump events`, `pump dead`, `pump devices`; and beside it, for /media and
the operators' page.

Reads only, whether or not a daemon runs.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import orjson

from pump.core.ages import JUMP_MS, in_order
from pump.core.record import Record
from pump.spool.blocks import unpack
from pump.spool.connection import connect_reading
from pump.spool.gaps.ledger import Gap, GapState
from pump.spool.gaps.ledger import read as gaps_in
from pump.spool.reader import first_since, read
from pump.spool.state import TIME
from pump.spool.tables.dead_letters import GONE, DeadLetter, gone
from pump.spool.tables.dead_letters import letters as letters_in
from pump.spool.tables.fetches import result_id
from pump.spool.tables.young import KEPT

_BATCH = 500
_BYTES = 4 << 20
_BLOCKS = 8
"""Of events, read at a time from the newest on."""
_LAST = 1 << 62
"""Above every number."""
_BACK = "SELECT min(last) FROM (SELECT last FROM blocks WHERE last < ? ORDER BY last DESC LIMIT ?)"
_FIRST_SINCE = "SELECT min(last) FROM blocks WHERE recorded >= ? OR typeof(recorded) <> 'integer'"
"""Reads a column of every block, about a quarter of the file."""
_BEFORE = "SELECT max(last) FROM blocks WHERE last < ?"


def events(
    folder: Path, *, since_ms: int | None = None, until_ms: int | None = None, after: int | None = None
) -> Iterator[Record]:
    """The stored events in order: those above the number `after`, of what arrived from `since_ms` to before `until_ms`.

    What lies before the first or behind the last of these is not read, unless a clock that jumped has put arrivals out
    of order. Ends at the newest; call again with the last number to follow. Raises FileNotFoundError where no spool is,
    sqlite3.DatabaseError where it cannot be read.
    """
    path = folder / "spool.db"
    if not path.exists():
        raise FileNotFoundError(path)
    with closing(connect_reading(path)) as db:
        position, last = _between(db, after or 0, since_ms, until_ms)
        while position < last:
            page = read(db, position, min(_BATCH, last - position), _BYTES)
            yield from _arrived(page.records, since_ms, until_ms)
            if page.through == position:
                return
            position = page.through


def latest(folder: Path, *, since_ms: int | None = None, until_ms: int | None = None) -> Iterator[Record]:
    """The same events, the newest first: whoever wants a few of them has the others unread. Raises as `events` does."""
    path = folder / "spool.db"
    if not path.exists():
        raise FileNotFoundError(path)
    with closing(connect_reading(path)) as db:
        first, position = _between(db, 0, since_ms, until_ms)
        while position > first:
            (lower,) = db.execute(_BACK, (position, _BLOCKS)).fetchone()
            after = max(first, lower or 0)
            found = list(_arrived(_through(db, after, position), since_ms, until_ms))
            yield from reversed(found)
            position = after


def _through(db: sqlite3.Connection, after: int, through: int) -> Iterator[Record]:
    """The events above one number and up to another."""
    while after < through:
        page = read(db, after, min(_BATCH, through - after), _BYTES)
        yield from (record for record in page.records if record.seq <= through)
        if page.through == after:
            return
        after = page.through


def _arrived(records: Iterable[Record], since_ms: int | None, until_ms: int | None) -> Iterator[Record]:
    for record in records:
        if (since_ms is None or record.recorded >= since_ms) and (until_ms is None or record.recorded < until_ms):
            yield record


def _between(db: sqlite3.Connection, after: int, since_ms: int | None, until_ms: int | None) -> tuple[int, int]:
    """The number above which, and the number through which, all events lie that are wanted."""
    first, last = after, _LAST
    if since_ms is None and until_ms is None:
        return first, last
    row = db.execute("SELECT value FROM state WHERE source = ? AND key = ?", TIME).fetchone()
    try:
        kept = orjson.loads(row[0]) if row else None
    except (ValueError, TypeError):  # damaged: the daemon's next start sets it aside
        kept = None
    if since_ms is not None:
        if in_order(kept, since_ms):
            first = max(first, first_since(db, since_ms - JUMP_MS))
        else:
            (found,) = db.execute(_FIRST_SINCE, (since_ms,)).fetchone()
            first = max(first, db.execute(_BEFORE, (last if found is None else found,)).fetchone()[0] or 0)
    if until_ms is not None and in_order(kept, until_ms):
        last = _block_behind(db, first_since(db, until_ms + JUMP_MS))
    return first, last


def _block_behind(db: sqlite3.Connection, seq: int) -> int:
    """The last number of the block behind the number; which may hold some of both."""
    row = db.execute("SELECT last FROM blocks WHERE last > ? ORDER BY last LIMIT 1", (seq,)).fetchone()
    return _LAST if row is None else int(row[0])


def blocks_before(folder: Path, before: int | None = None) -> Generator[list[Record], None, None]:
    """The stored events below the number `before` (None: all), newest first, a block's at a time. Raises as `events`.

    To be read to its end, or closed: it holds a connection, and no transaction between two blocks.
    """
    path = folder / "spool.db"
    if not path.exists():
        raise FileNotFoundError(path)
    columns = "SELECT first, last, events, bodies FROM blocks"
    with closing(connect_reading(path)) as db:
        row = None
        if before is not None:
            row = db.execute(f"{columns} WHERE last >= ? ORDER BY last LIMIT 1", (before - 1,)).fetchone()
        row = row or db.execute(f"{columns} ORDER BY last DESC LIMIT 1").fetchone()
        while row is not None:
            records = unpack(*row).records
            yield [record for record in reversed(records) if before is None or record.seq < before]
            row = db.execute(f"{columns} WHERE last < ? ORDER BY last DESC LIMIT 1", (row[1],)).fetchone()


def event_of(folder: Path, number: int) -> Record | None:
    """The stored event of this number, None where it is not there (any more). Raises as `events` does."""
    path = folder / "spool.db"
    if not path.exists():
        raise FileNotFoundError(path)
    with closing(connect_reading(path)) as db:
        found = read(db, number - 1, 1, 1).records
        return found[0] if found and found[0].seq == number else None


def letters_of(folder: Path, number: int) -> list[DeadLetter]:
    """The dead letters that the event of this number has become, of all sinks. Raises as `events` does."""
    path = folder / "spool.db"
    if not path.exists():
        raise FileNotFoundError(path)
    with closing(connect_reading(path)) as db:
        ids = [row[0] for row in db.execute("SELECT id FROM dead WHERE seq = ?", (number,))]
        return letters_in(db, ids=ids) if ids else []


def newest_letters(folder: Path, count: int) -> list[DeadLetter]:
    """So many dead letters, of all sinks, the newest first. Raises as `events` does."""
    path = folder / "spool.db"
    if not path.exists():
        raise FileNotFoundError(path)
    with closing(connect_reading(path)) as db:
        ids = [row[0] for row in db.execute("SELECT id FROM dead ORDER BY id DESC LIMIT ?", (count,))]
        return letters_in(db, ids=ids)[::-1] if ids else []


def letters(folder: Path, *, sink: str | None = None, ids: Sequence[int] | None = None) -> Iterator[DeadLetter]:
    """The dead letters of `sink` (None: of all) and of `ids` (None: any), by number. Raises as `events` does."""
    path = folder / "spool.db"
    if not path.exists():
        raise FileNotFoundError(path)
    with closing(connect_reading(path)) as db:
        after = 0
        while found := letters_in(db, sink=sink, ids=ids, after=after):
            yield from found
            after = found[-1].id


def removed_letters(folder: Path) -> list[tuple[str, int, int]]:
    """(sink, how many dead letters went for want of room, when the last did in ms since 1970). Raises as `events`."""
    noted = [(key.removeprefix(GONE), gone(value)) for source, key, value in state(folder, GONE) if source == "pump"]
    return [(sink, count, at) for sink, (count, at) in noted if count]


def gaps(folder: Path, *, source: str | None = None, state: GapState | None = None) -> Iterator[Gap]:
    """The gap ledger's records of `source` (None: of all) in `state` (None: in any), by number. Raises as `events`."""
    path = folder / "spool.db"
    if not path.exists():
        raise FileNotFoundError(path)
    with closing(connect_reading(path)) as db:
        if db.execute("SELECT 1 FROM sqlite_schema WHERE name = 'gaps'").fetchone() is None:
            return  # an older pump's file, which its next start changes
        after = 0
        while found := gaps_in(db, source=source, state=state, after=after):
            yield from found
            after = found[-1].id


def newest(folder: Path) -> int:
    """The highest number that is stored, 0 where none is. Raises as `events` does."""
    path = folder / "spool.db"
    if not path.exists():
        raise FileNotFoundError(path)
    with closing(connect_reading(path)) as db:
        return int(db.execute("SELECT coalesce(max(last), 0) FROM blocks").fetchone()[0])


def state(folder: Path, prefix: str = "") -> list[tuple[str, str, Any]]:
    """(source, key, value) of the sources' stored state, for the keys that begin with `prefix`, sorted.

    Raises as `events` does.
    """
    path = folder / "spool.db"
    if not path.exists():
        raise FileNotFoundError(path)
    still = not path.with_name("spool.db-wal").exists()  # a daemon that runs has one
    with closing(connect_reading(path, still=still)) as db:
        rows = db.execute("SELECT source, key, value FROM state ORDER BY source, key").fetchall()
    found = []
    for row in rows:
        with suppress(ValueError, TypeError, AttributeError):  # damaged: the daemon's next start sets it aside
            source, key, value = (text.decode() for text in row)
            if key.startswith(prefix):
                found.append((source, key, json.loads(value)))
    return found


def find_medium(folder: Path, medium: str) -> Mapping[str, Any] | None:
    """The entry of `data.media` that says where the medium lies, its event's own or that of `media.stored`.

    None where no stored event has it, or none says where it is. Opens the spool in `folder` for itself: the keys lie by
    time, so that this looks through them all (0.2 s for a million). Raises sqlite3.Error.
    """
    event, result = medium.rpartition("/")[0], result_id(medium, stored=True)
    with closing(connect_reading(folder / "spool.db")) as db:
        sql, ids = "SELECT id, seq FROM keys WHERE id IN (?, ?)", [event, result]
        if db.execute("SELECT 1 FROM sqlite_schema WHERE name = 'young'").fetchone():  # an older pump's file has none
            sql, ids = f"{sql} UNION ALL SELECT id, seq FROM ({KEPT}) WHERE id IN (?, ?)", [*ids, *ids]
        for (number,) in db.execute(f"SELECT seq FROM ({sql}) ORDER BY id <> ?", [*ids, event]).fetchall():
            entry = _entry(db, number, medium)
            if entry is not None and "path" in entry:
                return entry
    return None


def _entry(db: sqlite3.Connection, seq: int, medium: str) -> Mapping[str, Any] | None:
    for record in read(db, seq - 1, 1, 1).records:
        if record.seq == seq:
            for entry in orjson.loads(record.body).get("data", {}).get("media", ()):
                if entry.get("id") == medium:
                    return dict(entry)
    return None
