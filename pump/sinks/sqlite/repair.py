"""A damaged archive: set aside as it was found, what can be read carried into a new one, without a person.

It blocks; a thread calls it. The archive holds what no spool may hold any more: nothing of it is thrown away.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import structlog

from pump.core.record import State
from pump.sinks.sqlite import table

log = structlog.get_logger()

CHECKED: Final = 64 << 20
"""Bytes up to which an archive is checked whole at every opening; a larger one only where damage was met before."""
CARRYING: Final = 200.0
"""Seconds that carrying over may take, of the 300 of an opening: the newest first, the rest stays where it is."""
DAMAGED: Final = frozenset({"SQLITE_NOTADB", "SQLITE_CORRUPT"})
"""Beginnings of SQLite's names for a file that is damaged."""
_APPLICATION: Final = slice(68, 72)
_STRIDE: Final = 1024
_CREATED: Final = "".join(table.create()[0].replace(" IF NOT EXISTS", "").split())


@dataclass(slots=True)
class Found:
    """What an opening found of damage."""

    reason: str
    carried: int = 0
    lost: int = 0
    """Events that the archive had and has no longer, as far as its numbers show."""
    aside: str = ""
    """The damaged file's new name, beside the archive; empty where it was kept."""


def is_damage(error: sqlite3.Error) -> bool:
    """True where it says that the file is damaged."""
    name = getattr(error, "sqlite_errorname", None) or ""
    return any(name.startswith(each) for each in DAMAGED) or "malformed" in str(error) or "decode" in str(error)


def mark(path: Path) -> None:
    """Have the next opening check the archive whole."""
    with suppress(OSError):
        _marker(path).touch()


def look(path: Path, state: State | None, stamp: str) -> Found | None:
    """See that the file, if there is one, can be used as an archive; a damaged one of ours is made anew.

    `state` is what `remember` gave, of an opening before. Raises sqlite3.Error, OSError.
    """
    if not path.exists() or not is_ours(path, state):
        return None
    reason = _fault(path, state)
    if reason is None:
        return None
    found = _renew(path, reason, stamp)
    if state is not None and isinstance(before := state.get("number"), int):
        found.lost = max(0, before - _newest(path))
    log.error("An archive was damaged; what can be read of it was kept", path=str(path), reason=reason)
    return found


def cut(path: Path, state: State | None) -> Found | None:
    """See that nothing is missing of what was stored last: SQLite drops the end of a damaged WAL without a word."""
    before = None if state is None or not _same(path, state) else state.get("number")
    if not isinstance(before, int) or (lost := before - _newest(path)) <= 0:
        return None
    return Found("its newest events are gone: a damaged WAL, or a copy put back", lost=lost)


def remember(path: Path, number: int) -> State:
    """The state by which a later opening knows the file for ours, and its highest number."""
    return {"inode": path.stat().st_ino, "number": number, "version": table.VERSION}


def is_known(path: Path, state: State | None) -> bool:
    """True where an opening of this version has left the file: then a mark in it that says otherwise is damaged."""
    return _same(path, state) and state is not None and state.get("version") == table.VERSION


def _same(path: Path, state: State | None) -> bool:
    return state is not None and state.get("inode") == path.stat().st_ino


def is_ours(path: Path, state: State | None) -> bool:
    """True for an archive that we made, be it damaged: by what is known of it, else by either of two marks in it."""
    if _same(path, state):
        return True
    with path.open("rb") as file:
        head = file.read(100)
    if int.from_bytes(head[_APPLICATION], "big") == table.APPLICATION_ID:
        return True
    with (
        suppress(sqlite3.DatabaseError),
        closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as db,
    ):
        return _has_our_table(db)
    return False


def _has_our_table(db: sqlite3.Connection) -> bool:
    found = db.execute("SELECT sql FROM sqlite_schema WHERE name = 'events'").fetchone()
    return found is not None and "".join(str(found[0]).split()) == _CREATED


def _fault(path: Path, state: State | None) -> str | None:
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as db:
            made = db.execute("SELECT count(*) FROM sqlite_schema").fetchone() != (0,)
            if not made:  # of one that was killed while it was made nothing is known
                return "it is empty" if _same(path, state) else None
            if not _has_our_table(db):
                return "the definition of its table is damaged"
            if _marker(path).exists() or path.stat().st_size <= CHECKED:
                answer = [text for (text,) in db.execute("PRAGMA quick_check(1)")]
                if answer != ["ok"]:
                    return "; ".join(answer)
    except sqlite3.DatabaseError as error:
        if getattr(error, "sqlite_errorname", "").startswith(("SQLITE_BUSY", "SQLITE_CANTOPEN", "SQLITE_IOERR_NOMEM")):
            raise
        return str(error)
    return "damage was met while it was in use" if _marker(path).exists() else None


def _renew(path: Path, reason: str, stamp: str) -> Found:
    """Set the file aside and put a new one in its place. Killed anywhere, the next opening begins it anew."""
    fresh = path.with_name(f"{path.name}.new")
    _remove(fresh)
    os.close(os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, path.stat().st_mode & 0o777))
    with closing(sqlite3.connect(fresh, isolation_level=None)) as new:
        new.execute("PRAGMA synchronous=OFF")  # it is put on disk before it takes the place
        for statement in table.create():
            new.execute(statement)
        new.execute("BEGIN")
        carried, complete = _carry(path, new)
        new.execute("COMMIT")
    if not complete:
        reason = f"{reason}; not all of it could be carried over"
    _sync(fresh)
    aside = _free(path.with_name(f"{path.name}.damaged-{stamp}"))
    for end in ("-wal", "-shm"):  # beside the new file SQLite would take them for that one's
        with suppress(FileNotFoundError):
            os.rename(path.with_name(path.name + end), aside.with_name(aside.name + end))
    try:
        os.link(path, aside)  # so that there is an archive at every moment
    except OSError:
        os.rename(path, aside)
    os.rename(fresh, path)
    _marker(path).unlink(missing_ok=True)
    _sync(path.parent)
    return Found(reason, carried=carried, aside=aside.name)


def _carry(path: Path, new: sqlite3.Connection) -> tuple[int, bool]:
    """Copy the rows that can be read, the newest first; how many, and whether that is all."""
    end = time.monotonic() + CARRYING
    columns = ", ".join(("number", *table.COLUMNS))
    into = f"INSERT OR IGNORE INTO events({columns}) VALUES ({', '.join('?' * (table.WIDTH + 1))})"
    carried, complete = 0, True
    # Read only: what is set aside stays as it was found, its WAL too.
    with (
        suppress(sqlite3.DatabaseError),
        closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as old,
    ):
        (highest,) = old.execute("SELECT max(number) FROM events").fetchone()
        for rows in _readable(old, columns, highest or 0):
            if rows is None or time.monotonic() > end:
                complete = False
                if rows is not None:
                    break
                continue
            carried += new.executemany(into, rows).rowcount
        return carried, complete
    return carried, False


def _readable(old: sqlite3.Connection, columns: str, highest: int) -> Iterator[list[Any] | None]:
    """Rows from the highest number down; None for a piece that cannot be read, after it was halved down to a row."""
    sql = f"SELECT {columns} FROM events WHERE number BETWEEN ? AND ?"
    high = highest
    while high > 0:
        with suppress(sqlite3.DatabaseError):  # over what `keep` has removed in one step
            high = old.execute("SELECT max(number) FROM events WHERE number <= ?", (high,)).fetchone()[0] or 0
        ranges = [(max(1, high - _STRIDE + 1), high)]
        while ranges:
            begin, end = ranges.pop()
            try:
                yield old.execute(sql, (begin, end)).fetchall()
            except sqlite3.DatabaseError:
                if begin < end:
                    middle = (begin + end) // 2
                    ranges += [(begin, middle), (middle + 1, end)]
                else:
                    yield None
        high -= _STRIDE


def _newest(path: Path) -> int:
    with closing(sqlite3.connect(path)) as db:
        (found,) = db.execute("SELECT coalesce(max(number), 0) FROM events").fetchone()
    return int(found)


def _marker(path: Path) -> Path:
    return path.with_name(f"{path.name}.damaged")


def _free(path: Path) -> Path:
    number, found = 1, path
    while found.exists():
        number += 1
        found = path.with_name(f"{path.name}-{number}")
    return found


def _remove(path: Path) -> None:
    for end in ("", "-wal", "-shm", "-journal"):
        path.with_name(path.name + end).unlink(missing_ok=True)


def _sync(path: Path) -> None:
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
