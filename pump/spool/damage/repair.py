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
from pump.spool.blocks import header, pack, unpack
from pump.spool.connection import PAGE_SIZE, make_private, read_ahead
from pump.spool.damage.checks import (
    SEALED,
    Damage,
    Text,
    decoded,
    has_checksum,
    is_sound,
    look_through,
    row_crc,
    shape,
    with_checksum,
)
from pump.spool.damage.sidecar import FirstPage, remove
from pump.spool.errors import Verdict, verdict
from pump.spool.folder import sync
from pump.spool.state import LOST_CURSORS, NUMBER
from pump.spool.tables import young

log = structlog.get_logger()

CHECKED = 256 << 20
"""Bytes up to which a file is checked whole at every start; a larger one only where damage was met before."""
KEPT = 5
"""Damages of which what was set aside is kept."""
NOTED = ("pump", "repaired")
"""The piece of state that holds a loss until it is announced."""
_ASIDE = "spool.damaged-"
_COMPLETE = "spool.salvaged-"
_STRIDE = 512
_BEYOND = 1 << 20
"""Numbers by which the newest event may be above the high-water mark, which is written without an fsync."""
_INSERT = "INSERT INTO blocks(last, first, recorded, events, bodies) VALUES (?, ?, ?, ?, ?)"
_Hole = tuple[int, int, int | None]
"""Numbers that are missing: the first, the last, the arrival of the event before them."""
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


def examine(path: Path, noted: int = 0) -> str | None:
    """The fault of the file, None where there is none. Reads only. `noted` is the high-water mark.

    Raises sqlite3.DatabaseError where the disk does not let it be seen.
    """
    marker = path.with_name("spool.damaged")
    if not path.exists():
        return None
    if path.stat().st_size == 0:
        return "the file is empty" if noted else None
    if not FirstPage(path).is_possible():
        return "the file's header is damaged"
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as db:
            if (fault := schema.fault(db)) is not None:
                return fault
            if is_whole(path):
                if path.stat().st_size <= CHECKED:  # of a larger one the memory may not hold it all
                    read_ahead(path)
                found = [text for (text,) in db.execute("PRAGMA quick_check(1)")]
                if found != ["ok"]:
                    return "; ".join(found)
            for table in schema.present(db):
                db.execute(f"SELECT * FROM {table} LIMIT 1").fetchone()
    except sqlite3.DatabaseError as error:
        if verdict(error) in (Verdict.FULL, Verdict.TROUBLE, Verdict.FATAL):
            raise  # the disk's state says nothing about the file's: a sound spool must not be set aside for it
        return None if "Could not decode" in str(error) else str(error)  # a row's text: see `checks`
    return "damage was met while it was in use" if marker.exists() else None


def is_whole(path: Path) -> bool:
    """True where all of the file is to be looked through at this start."""
    return path.with_name("spool.damaged").exists() or path.stat().st_size <= CHECKED


def sift(db: sqlite3.Connection, path: Path, stamp: str) -> bool:
    """Take damaged rows out of the tables that are no events', into a file beside the spool, and note the loss.

    True where there were any.
    """
    aside = free(path.with_name(f"{_ASIDE}{stamp}.jsonl"))
    db.execute("BEGIN IMMEDIATE")
    try:
        found = look_through(db, [table for table in schema.COPIED if table != "keys"], aside, whole=is_whole(path))
        if found:
            if found.rows["cursors"]:
                note_lost_cursors(db)
            note(db, Repaired(found.words(), 0, 0, aside.name if found.rows else None, None))
        db.execute("COMMIT")
        return bool(found)
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def free(path: Path) -> Path:
    """The path, or one like it under which nothing is there: what was set aside is never written over."""
    number = 1
    found = path
    while found.exists():
        number += 1
        found = path.with_name(f"{path.stem}-{number}{path.suffix}")
    return found


def keep_wal(path: Path, stamp: str) -> str | None:
    """Copy the WAL, of which SQLite takes only what lies before the damage, before it is written over; its name."""
    wal = path.with_name(path.name + "-wal")
    aside = free(path.with_name(f"{_ASIDE}{stamp}.wal"))
    try:
        if wal.stat().st_size == 0:
            return None
        make_private(aside)
        shutil.copyfile(wal, aside)
    except OSError:  # none there, or no room for it
        with suppress(OSError):
            aside.unlink(missing_ok=True)  # a part of it would take the room that the start needs
        return None
    return aside.name


def note_cut(db: sqlite3.Connection, found: Repaired, commits: int) -> None:
    """Note within the transaction that is open that the newest commits are gone, and perhaps cursors with them.

    Their numbers go on above `commits`, so that no later start finds the same again.
    """
    note(db, found)
    note_lost_cursors(db)
    statements.store_state(db, {NUMBER: commits})


def salvage(path: Path, reason: str, stamp: str, highest: int) -> None:
    """Set the damaged file aside under `stamp` and make a new one of what can be read of it; `highest` shows the loss.

    `highest` is the high-water mark. Killed in the middle, the next start finds either the old file still in place,
    or a new one that is complete, which `finish` puts there.
    """
    fresh = path.with_name("spool.salvage.db")
    remove(fresh)
    aside = free(path.with_name(f"{_ASIDE}{stamp}.db"))
    stamp = aside.stem.removeprefix(_ASIDE)
    with closing(_create(fresh)) as new:
        carried, since, lost, left_out = _carry(path, new, highest)
        if left_out:
            reason = f"{reason}; left out: {left_out}"
        note(new, Repaired(reason, lost, carried, aside.name, since))
        new.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    sync(fresh)
    os.rename(fresh, path.with_name(f"{_COMPLETE}{stamp}.db"))
    sync(path.parent)
    finish(path)


def finish(path: Path) -> bool:
    """Put a salvage that is complete in the damaged file's place; True where one was.

    Killed anywhere, it can be repeated.
    """
    found = False
    for complete in sorted(path.parent.glob(f"{_COMPLETE}*.db")):
        aside = path.with_name(_ASIDE + complete.name.removeprefix(_COMPLETE))
        # The WAL first: beside the new file SQLite would take it for that one's.
        for end in ("-wal", "-shm", ""):
            with suppress(FileNotFoundError):
                os.rename(path.with_name(path.name + end), aside.with_name(aside.name + end))
        path.with_name("spool.damaged").unlink(missing_ok=True)
        os.rename(complete, path)
        sync(path.parent)
        found = True
    for name in ("spool.salvage.db", "spool.damaged-copy.db"):
        remove(path.with_name(name))
    _forget_old(path.parent)
    return found


def _forget_old(folder: Path) -> None:
    """Remove what was set aside long before: a disk that damages a file each day must not fill itself up with them."""
    aside: dict[str, list[Path]] = {}
    for file in folder.glob(f"{_ASIDE}*"):
        aside.setdefault(file.name.partition(".db")[0].removesuffix(".jsonl").removesuffix(".wal"), []).append(file)
    newest = sorted(aside.values(), key=lambda files: max(file.stat().st_mtime_ns for file in files))
    for file in (file for files in newest[:-KEPT] for file in files):
        log.warning("A damaged file that was set aside is removed, for there are newer ones", name=file.name)
        file.unlink(missing_ok=True)


def note(db: sqlite3.Connection, found: Repaired) -> None:
    """Keep in the spool what was found, until it is announced: a process killed before that must not hide a loss.

    What an earlier start found and could not announce stays noted with it.
    """
    row = db.execute("SELECT value FROM state WHERE source = ? AND key = ?", NOTED).fetchone()
    before = noted(orjson.loads(row[0])) if row else None
    if before is not None:
        found = Repaired(
            found.reason if before.reason == found.reason else f"{before.reason}; {found.reason}",
            before.lost + found.lost,
            before.carried + found.carried,
            found.aside or before.aside,
            min((each for each in (before.since, found.since) if each is not None), default=None),
        )
    statements.store_state(db, {NOTED: asdict(found)})


def note_lost_cursors(db: sqlite3.Connection) -> None:
    """Note that a sink without a cursor may have had one: it begins with the oldest event that is there."""
    newest = db.execute("SELECT max(last) FROM blocks").fetchone()[0] or 0
    statements.store_state(db, {LOST_CURSORS: newest})


def noted(kept: Any) -> Repaired | None:
    """The loss that `note` kept under `NOTED`; None where none waits to be announced."""
    try:
        return None if kept is None else Repaired(**kept)
    except TypeError:
        return None


def _create(path: Path) -> sqlite3.Connection:
    make_private(path)
    db = sqlite3.connect(path, isolation_level=None)
    db.execute(f"PRAGMA page_size={PAGE_SIZE}")
    db.execute("PRAGMA journal_mode=WAL")
    schema.create(with_checksum(db))
    return db


def _carry(path: Path, new: sqlite3.Connection, highest: int) -> tuple[int, int | None, int, str]:
    """Copy what can be read.

    How many events, the arrival of the last before the first loss, how many are lost, and which other rows are.
    """
    old = _open_damaged(path)
    if old is None:
        statements.go_on_above(new, highest)
        note_lost_cursors(new)
        return 0, None, highest, "all that is no event"
    carried = 0
    since: int | None = None
    holes: list[_Hole] = []
    with closing(old):
        old.text_factory = Text  # undecoded: a damaged one must not stop the others
        first, last = _bounds(old, highest)
        new.execute("BEGIN")
        expected = first
        for end, begin, index, bodies in _readable(old, last):
            # A tree whose branches grew together gives a row twice.
            records = [record for record in unpack(begin, end, index, bodies).records if record.seq >= expected]
            if not records or records[-1].seq > last:
                continue
            for record in records:
                if record.seq > expected:
                    holes.append((expected, record.seq - 1, since))
                expected, since = record.seq + 1, record.recorded
            new.execute(_INSERT, (records[-1].seq, records[0].seq, max(r.recorded for r in records), *pack(records)))
            carried += len(records)
        end = max(last, highest)
        found = Damage()
        whole = {table: _copy_table(old, new, table, found) for table in schema.COPIED}
        young.insert_sorted(new, young.KEPT)
        new.execute("DELETE FROM young")
        statements.store_state(new, {young.MERGED: end})  # strangers' rows have keys of lost events too
        # What was removed, or reported, before this is no loss.
        above = max(expected, statements.newest(new) + 1), end, since
        since, lost = _lost(new, holes, above, all(whole[table] for table in ("keys", "young", "strangers")))
        statements.go_on_above(new, end)
        if not whole["cursors"]:
            note_lost_cursors(new)
        new.execute("COMMIT")
    torn = [table for table, complete in whole.items() if not complete and not found.rows[table]]
    parts = [found.words()] if found else []
    if torn:
        parts.append(f"what could not be read of {', '.join(torn)}")
    return carried, since, lost, "; ".join(parts)


def _lost(new: sqlite3.Connection, holes: list[_Hole], above: _Hole, whole: bool) -> tuple[int | None, int]:
    """(The arrival of the last event before the first that is lost, how many are.) Their keys go, for vendors' sake.

    A duplicate takes a number too and has no key of its own: only numbers with a key are events. Where keys are
    missing the numbers alone count, which may be too many: so in `above`, the hole above all that is there, for a WAL
    that was cut had the keys too.
    """
    low, high, arrival = above
    tail = max(0, high + 1 - low)
    new.execute("CREATE TEMP TABLE holes(low INTEGER PRIMARY KEY, high INTEGER NOT NULL, since INTEGER)")
    new.executemany("INSERT INTO holes VALUES (?, ?, ?)", holes)
    (oldest,) = new.execute("SELECT min(seq) FROM keys").fetchone()
    inside = "(SELECT high FROM holes WHERE low <= keys.seq ORDER BY low DESC LIMIT 1) >= keys.seq"
    lost, first = new.execute(f"SELECT count(*), min(seq) FROM keys WHERE {inside}").fetchone()
    if tail:
        new.execute("INSERT INTO holes VALUES (?, ?, ?)", above)
    # What is gone may be sent again by a vendor that never had our acknowledgement: it must not count as known.
    new.execute(f"DELETE FROM keys WHERE {inside}")
    # Nor may it count as met, or as the twin of what was: a log that is searched for it brings it again.
    new.execute(f"DELETE FROM sightings WHERE twin = '' AND {inside.replace('keys.', 'sightings.')}")
    new.execute("DELETE FROM sightings WHERE twin <> '' AND twin NOT IN (SELECT id FROM sightings WHERE twin = '')")
    if not whole or oldest is None:
        older = [(high + 1 - low, since) for low, high, since in holes]
        lost = 0
    else:  # their keys had their time
        older = [(min(high, oldest - 1) + 1 - low, since) for low, high, since in holes if low < oldest]
    if older:
        return older[0][1], lost + tail + sum(count for count, _ in older)
    if lost:
        arrival = next(since for low, high, since in holes if low <= first <= high)
    return (arrival, lost + tail) if lost + tail else (None, 0)


def _open_damaged(path: Path) -> sqlite3.Connection | None:
    """A connection to what can be read of the damaged file; the file itself stays as it was found.

    Where its first page is the broken one, that of a copy is replaced.
    """
    error = "its header is damaged"
    if FirstPage(path).is_possible():
        db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
        try:
            db.execute("SELECT last FROM blocks LIMIT 1").fetchone()
            if schema.columns_fault(db) is None:
                return db
        except sqlite3.DatabaseError as raised:
            error = str(raised)
        db.close()
    copy = path.with_name("spool.damaged-copy.db")
    remove(copy)
    for end in ("", "-wal"):
        if path.with_name(path.name + end).exists():
            shutil.copyfile(path.with_name(path.name + end), copy.with_name(copy.name + end))
    first_page = FirstPage(copy)
    own = first_page.read()
    for page in (*first_page.substitutes(_create), own):  # in the end its own again: some can be read with it perhaps
        first_page.replace(page, own=page is own)
        db = sqlite3.connect(copy, isolation_level=None)
        try:
            db.execute("SELECT last FROM blocks LIMIT 1").fetchone()
            if page is own or schema.columns_fault(db) is None:
                return db
        except sqlite3.DatabaseError as raised:
            error = str(raised)
        db.close()
    log.error("Nothing can be read of the damaged spool", error=error)
    return None


def _bounds(db: sqlite3.Connection, highest: int) -> tuple[int, int]:
    """(The first number that can be expected, the last one): a damaged column must not make them absurd."""
    first, last = 1, highest
    with suppress(sqlite3.DatabaseError):
        found = db.execute("SELECT max(last) FROM blocks").fetchone()[0] or 0
        if not highest or found <= highest + _BEYOND:
            last = max(last, found)
    with suppress(sqlite3.DatabaseError):
        last_of_first, index, found = db.execute(
            "SELECT last, events, first FROM blocks ORDER BY last LIMIT 1"
        ).fetchone() or (0, b"", first)
        named = header(index)
        possible = [each for each in (found, named and named[1]) if isinstance(each, int) and 0 < each <= last_of_first]
        first = min(possible, default=first)
    return first, last


def _readable(db: sqlite3.Connection, last: int) -> Iterator[tuple[Any, ...]]:
    """The rows through `last` that can be read; a range that cannot is halved down to single rows."""
    low = 0
    while low <= last:
        # Over what was removed, or never given, in one step.
        with suppress(sqlite3.DatabaseError):
            low = db.execute("SELECT min(last) FROM blocks WHERE last >= ?", (low,)).fetchone()[0] or last + 1
        ranges = [(low, min(low + _STRIDE - 1, last))]
        while ranges:
            begin, end = ranges.pop()
            try:
                rows = db.execute(_BLOCKS, (begin, end)).fetchall()
            except sqlite3.DatabaseError:
                if begin < end:
                    middle = (begin + end) // 2
                    ranges += [(middle + 1, end), (begin, middle)]
                continue
            yield from rows
        low += _STRIDE


def _copy_table(old: sqlite3.Connection, new: sqlite3.Connection, table: str, found: Damage) -> bool:
    """Copy what is sound and can be read from either end; whether that is all."""
    columns = shape(new, table)
    sealed = table in SEALED
    try:
        there = set(shape(old, table))
        with_crc = sealed and has_checksum(old, table)
    except sqlite3.DatabaseError:
        return False
    if not there:
        return schema.is_older_than(old, table)
    names = ", ".join(columns)
    into = f"INSERT OR IGNORE INTO {table}({names}{', crc' if sealed else ''}) VALUES "
    into += f"({', '.join('?' * (len(columns) + sealed))})"
    complete = True
    for order in ("", " DESC"):
        by = ", ".join(column + order for column in schema.COPIED[table])
        damaged: list[Any] = []
        try:
            for *row, crc in old.execute(f"SELECT {names}, {'crc' if with_crc else 'NULL'} FROM {table} ORDER BY {by}"):
                if is_sound(row, columns, crc, sealed=crc is not None):  # None: from before there were checksums
                    values = [decoded(value) for value in row]
                    new.execute(into, (*values, row_crc(*values)) if sealed else values)
                else:
                    damaged.append(row)
        except sqlite3.DatabaseError as error:
            complete = False
            log.warning("A table of the damaged spool was carried over in part", table=table, error=str(error))
        if damaged and not found.rows[table]:
            found.add(table, damaged)
        if complete:
            break
    return complete and not found.rows[table]
