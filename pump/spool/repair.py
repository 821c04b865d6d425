"""A damaged spool: found at a start and set aside, what can be read carried over, the loss announced, without help."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson
import structlog

from pump.spool import schema, statements
from pump.spool.blocks import pack, unpack
from pump.spool.connection import PAGE_SIZE
from pump.spool.errors import Verdict, verdict

log = structlog.get_logger()

CHECKED = 256 << 20
"""Bytes up to which a file is checked whole at every start; a larger one only where damage was met before."""
NOTED = ("pump", "repaired")
"""The piece of state that holds a loss until it is announced."""
_ASIDE = "spool.damaged-"
_COMPLETE = "spool.salvaged-"
_STRIDE = 512
_INSERT = "INSERT INTO blocks(last, first, recorded, events, bodies) VALUES (?, ?, ?, ?, ?)"
_BLOCKS = "SELECT last, first, events, bodies FROM blocks WHERE last BETWEEN ? AND ? ORDER BY last"


@dataclass(slots=True)
class Repaired:
    """The damage that a start found, for `pump.spool.repaired` and its gap."""

    reason: str
    lost: int
    """Events that were stored and are gone, as far as their numbers show."""
    carried: int
    """Events that were carried over from a file set aside; 0 where the file itself was kept."""
    aside: str | None
    """The damaged file's new name, beside the spool."""
    since: int | None
    """Arrival (ms since 1970) of the last event before the first that is missing; None: not known."""


def examine(path: Path) -> str | None:
    """The fault of the file, None where there is none. Reads only.

    Raises sqlite3.DatabaseError where the disk does not let it be seen.
    """
    marker = path.with_name("spool.damaged")
    if not path.exists():
        return None
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as db:
            db.execute("SELECT count(*) FROM sqlite_schema").fetchone()
            if marker.exists() or path.stat().st_size <= CHECKED:
                found = [text for (text,) in db.execute("PRAGMA quick_check(1)")]
                if found != ["ok"]:
                    return "; ".join(found)
            (version,) = db.execute("PRAGMA user_version").fetchone()
            for table in ("blocks", *schema.copied(version)):
                db.execute(f"SELECT * FROM {table} LIMIT 1").fetchone()
    except sqlite3.DatabaseError as error:
        if verdict(error) in (Verdict.FULL, Verdict.TROUBLE, Verdict.FATAL):
            raise  # the disk's state says nothing about the file's: a sound spool must not be set aside for it
        empty = path.stat().st_size == 0
        return None if empty or ("no such table" in str(error) and _new(path)) else str(error)
    return "damage was met while it was in use" if marker.exists() else None


def _new(path: Path) -> bool:
    """True for a spool whose tables were never made (killed while it was created)."""
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as db:
        return bool(db.execute("SELECT count(*) FROM sqlite_schema").fetchone() == (0,))


def salvage(path: Path, reason: str, stamp: str, highest: int) -> None:
    """Set the damaged file aside under `stamp` and make a new one of what can be read of it; `highest` shows the loss.

    `highest` is the high-water mark. Killed in the middle, the next start finds either the old file still in place,
    or a new one that is complete, which `finish` puts there.
    """
    fresh = path.with_name("spool.salvage.db")
    copy = path.with_name("spool.damaged-copy.db")
    for each in (fresh, copy):
        _remove(each)
    # The copy is worked on, so that the file set aside stays as it was found.
    for end in ("", "-wal"):
        if path.with_name(path.name + end).exists():
            shutil.copyfile(path.with_name(path.name + end), copy.with_name(copy.name + end))
    with closing(_create(fresh)) as new:
        carried, since, lost = _carry(copy, new, highest)
        note(new, Repaired(reason, lost, carried, f"{_ASIDE}{stamp}.db", since))
        new.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    _sync(fresh)
    os.rename(fresh, path.with_name(f"{_COMPLETE}{stamp}.db"))
    _sync(path.parent)
    finish(path)


def finish(path: Path) -> None:
    """Put a salvage that is complete in the damaged file's place. Killed anywhere, it can be repeated."""
    for complete in sorted(path.parent.glob(f"{_COMPLETE}*.db")):
        aside = path.with_name(_ASIDE + complete.name.removeprefix(_COMPLETE))
        # The WAL first: beside the new file SQLite would take it for that one's.
        for end in ("-wal", "-shm", ""):
            with suppress(FileNotFoundError):
                os.rename(path.with_name(path.name + end), aside.with_name(aside.name + end))
        path.with_name("spool.damaged").unlink(missing_ok=True)
        os.rename(complete, path)
        _sync(path.parent)
    for name in ("spool.salvage.db", "spool.damaged-copy.db"):
        _remove(path.with_name(name))


def note(db: sqlite3.Connection, found: Repaired) -> None:
    """Keep in the spool what was found, until it is announced: a process killed before that must not hide a loss."""
    value = orjson.dumps(asdict(found)).decode()
    db.execute("INSERT OR REPLACE INTO state(source, key, value) VALUES (?, ?, ?)", (*NOTED, value))


def noted(kept: Any) -> Repaired | None:
    """The loss that `note` kept under `NOTED`; None where none waits to be announced."""
    try:
        return None if kept is None else Repaired(**kept)
    except TypeError:
        return None


def _create(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, isolation_level=None)
    db.execute(f"PRAGMA page_size={PAGE_SIZE}")
    db.execute("PRAGMA journal_mode=WAL")
    schema.create(db)
    return db


def _carry(copy: Path, new: sqlite3.Connection, highest: int) -> tuple[int, int | None, int]:
    """Copy what can be read: how many events, the arrival of the last before the first loss, how many are lost."""
    old = _open_damaged(copy)
    if old is None:
        statements.go_on_above(new, highest)
        return 0, None, highest
    carried = 0
    since: int | None = None
    holes: list[tuple[int, int, int | None]] = []
    with closing(old):
        first, last = _bounds(old, highest)
        new.execute("BEGIN")
        expected = first
        for end, begin, index, bodies in _readable(old, first, last):
            # A tree whose branches grew together gives a row twice.
            records = [record for record in unpack(begin, end, index, bodies).records if record.seq >= expected]
            if not records:
                continue
            for record in records:
                if record.seq > expected:
                    holes.append((expected, record.seq - 1, since))
                expected, since = record.seq + 1, record.recorded
            new.execute(_INSERT, (records[-1].seq, records[0].seq, max(r.recorded for r in records), *pack(records)))
            carried += len(records)
        if max(last, highest) >= expected:
            holes.append((expected, max(last, highest), since))
        (version,) = old.execute("PRAGMA user_version").fetchone()
        whole = {table: _copy_table(old, new, table) for table in schema.copied(version)}
        since, lost = _lost(new, holes, whole["keys"])
        statements.go_on_above(new, max(last, highest))
        new.execute("COMMIT")
    return carried, since, lost


def _lost(new: sqlite3.Connection, holes: list[tuple[int, int, int | None]], whole: bool) -> tuple[int | None, int]:
    """(The arrival of the last event before the first that is lost, how many are.) Their keys go, for vendors' sake.

    A duplicate takes a number too and has no key of its own: only numbers with a key are events. Where keys are
    missing the numbers alone count, which may be too many.
    """
    if not holes:
        return None, 0
    new.execute("CREATE TEMP TABLE holes(low INTEGER PRIMARY KEY, high INTEGER NOT NULL, since INTEGER)")
    new.executemany("INSERT INTO holes VALUES (?, ?, ?)", holes)
    (oldest,) = new.execute("SELECT min(seq) FROM keys").fetchone()
    inside = "(SELECT high FROM holes WHERE low <= keys.seq ORDER BY low DESC LIMIT 1) >= keys.seq"
    lost, first = new.execute(f"SELECT count(*), min(seq) FROM keys WHERE {inside}").fetchone()
    # What is gone may be sent again by a vendor that never had our acknowledgement: it must not count as known.
    new.execute(f"DELETE FROM keys WHERE {inside}")
    # Nor may it count as met, or as the twin of what was: a log that is searched for it brings it again.
    new.execute(f"DELETE FROM sightings WHERE twin = '' AND {inside.replace('keys.', 'sightings.')}")
    new.execute("DELETE FROM sightings WHERE twin <> '' AND twin NOT IN (SELECT id FROM sightings WHERE twin = '')")
    if not whole or oldest is None:
        return holes[0][2], sum(high + 1 - low for low, high, _ in holes)
    older = [(min(high, oldest - 1) + 1 - low, since) for low, high, since in holes if low < oldest]
    if older:  # their keys had their time
        return older[0][1], lost + sum(count for count, _ in older)
    if not lost:
        return None, 0
    return next(since for low, high, since in holes if low <= first <= high), lost


def _open_damaged(copy: Path) -> sqlite3.Connection | None:
    """A connection to the damaged copy; its first page is replaced by a new spool's where it is the broken one."""
    for attempt in range(2):
        try:
            db = sqlite3.connect(copy, isolation_level=None)
            try:
                db.execute("SELECT last FROM blocks LIMIT 1").fetchone()
                return db
            except sqlite3.DatabaseError as error:
                db.close()
                if attempt:
                    log.error("Nothing can be read of the damaged spool", error=str(error))
                    return None
                _transplant(copy)
        except OSError as error:
            log.error("Nothing can be read of the damaged spool", error=str(error))
            return None
    return None


def _transplant(copy: Path) -> None:
    """Give the copy the first page of an empty spool: it holds the schema alone, always the same."""
    model = copy.with_name("spool.model.db")
    _remove(model)
    _create(model).close()
    page = bytearray(model.read_bytes()[:PAGE_SIZE])
    _remove(model)
    pages = copy.stat().st_size // PAGE_SIZE
    page[28:32] = pages.to_bytes(4, "big")  # size of the file in pages
    page[32:40] = bytes(8)  # no free list: its pages count as lost, not as free
    with copy.open("r+b") as file:
        file.write(page)


def _bounds(db: sqlite3.Connection, highest: int) -> tuple[int, int]:
    first, last = 1, highest
    with suppress(sqlite3.DatabaseError):
        first = db.execute("SELECT min(first) FROM blocks").fetchone()[0] or first
    with suppress(sqlite3.DatabaseError):
        last = max(last, db.execute("SELECT max(last) FROM blocks").fetchone()[0] or 0)
    return first, last


def _readable(db: sqlite3.Connection, first: int, last: int) -> Iterator[tuple[Any, ...]]:
    """The rows from `first` to `last` that can be read; a range that cannot is halved down to single rows."""
    ranges = [(low, min(low + _STRIDE - 1, last)) for low in range(first, last + 1, _STRIDE)]
    ranges.reverse()
    while ranges:
        low, high = ranges.pop()
        try:
            rows = db.execute(_BLOCKS, (low, high)).fetchall()
        except sqlite3.DatabaseError:
            if low < high:
                middle = (low + high) // 2
                ranges += [(middle + 1, high), (low, middle)]
            continue
        yield from rows


def _copy_table(old: sqlite3.Connection, new: sqlite3.Connection, table: str) -> bool:
    """Copy what can be read from either end; whether that is all."""
    for order in ("", " DESC"):
        columns = ", ".join(column + order for column in schema.COPIED[table])
        try:
            for row in old.execute(f"SELECT * FROM {table} ORDER BY {columns}"):
                new.execute(f"INSERT OR IGNORE INTO {table} VALUES ({','.join('?' * len(row))})", row)
        except sqlite3.DatabaseError as error:
            log.warning("A table of the damaged spool was carried over in part", table=table, error=str(error))
        else:
            return not order
    return False


def _remove(path: Path) -> None:
    for end in ("", "-wal", "-shm"):
        path.with_name(path.name + end).unlink(missing_ok=True)


def _sync(path: Path) -> None:
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
