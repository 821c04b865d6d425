"""The spool's tables."""

from __future__ import annotations

import sqlite3

VERSION = 3
APPLICATION_ID = 0x70756D70  # "pump"

# An event is one dead letter of a sink, however often it is refused, and whatever is killed in between.
ONE_LETTER = "CREATE UNIQUE INDEX one_letter ON dead(sink, seq)"
_GAPS = (
    # A stretch of time in which events may be missing. `event` is the id of the pump.gap that opened it, or a name of
    # its own; times are milliseconds since 1970. No column has a default: a page that is none of this table's, which a
    # salvage may take for one, must not read as a row.
    """CREATE TABLE gaps(
        id INTEGER PRIMARY KEY AUTOINCREMENT, source TEXT NOT NULL, event TEXT NOT NULL, since INTEGER NOT NULL,
        until INTEGER NOT NULL, reason TEXT NOT NULL, count INTEGER, opened INTEGER NOT NULL,
        changed INTEGER NOT NULL, filled INTEGER NOT NULL, notes TEXT NOT NULL,
        state TEXT NOT NULL CHECK(state IN ('open', 'filled', 'unfillable')))""",
    "CREATE UNIQUE INDEX one_gap ON gaps(source, event)",
    # Under which names a record was met, and where (side): two ways to one vendor's record need not name it alike.
    """CREATE TABLE sightings(
        at INTEGER, source TEXT, key TEXT, side TEXT, id TEXT, twin TEXT NOT NULL, seq INTEGER NOT NULL,
        PRIMARY KEY(at, source, key, side, id)) WITHOUT ROWID""",
)
# The order of creation fixes the tables' root pages: repair relies on it when the file's first page is lost.
TABLES = (
    # Events lie in blocks, so that storing, reading and removing them costs a row for many. `events` is a JSON array of
    # [seq, source, type, severity, recorded, size, crc]; `bodies` holds the bodies, one behind the other.
    """CREATE TABLE blocks(
        last INTEGER PRIMARY KEY AUTOINCREMENT, first INTEGER NOT NULL, recorded INTEGER NOT NULL,
        events BLOB NOT NULL, bodies BLOB NOT NULL)""",
    # Keys outlive their events. The vendor's time leads, so that the tree grows at its end (docs/measurements.md).
    """CREATE TABLE keys(
        lead INTEGER, source TEXT, id TEXT, seq INTEGER NOT NULL, PRIMARY KEY(lead, source, id)) WITHOUT ROWID""",
    "CREATE TABLE cursors(sink TEXT PRIMARY KEY, seq INTEGER NOT NULL, state TEXT) WITHOUT ROWID",
    "CREATE TABLE state(source TEXT, key TEXT, value TEXT NOT NULL, PRIMARY KEY(source, key)) WITHOUT ROWID",
    "CREATE TABLE limited(seq INTEGER PRIMARY KEY, source TEXT NOT NULL, bytes INTEGER NOT NULL)",
    """CREATE TABLE dead(
        id INTEGER PRIMARY KEY AUTOINCREMENT, sink TEXT NOT NULL, seq INTEGER NOT NULL, source TEXT NOT NULL,
        type TEXT NOT NULL, severity INTEGER NOT NULL, recorded INTEGER NOT NULL, body BLOB NOT NULL,
        reason TEXT NOT NULL, attempts INTEGER NOT NULL, at INTEGER NOT NULL)""",
    ONE_LETTER,
    *_GAPS,
)
COPIED = {
    "keys": ("lead", "source", "id"),
    "cursors": ("sink",),
    "state": ("source", "key"),
    "limited": ("seq",),
    "dead": ("id",),
    "gaps": ("id",),
    "sightings": ("at", "source", "key", "side", "id"),
}
"""Tables that a salvage carries over beside the events, with the columns by which each lies."""
SINCE = {"gaps": 3, "sightings": 3}
"""The version from which on a file has a table, where that is not the first."""

_STEPS = {
    1: ("DELETE FROM dead WHERE id NOT IN (SELECT min(id) FROM dead GROUP BY sink, seq)", ONE_LETTER),
    2: _GAPS,
}
"""The statements that lead from each version to the next."""


def copied(version: int) -> list[str]:
    """The tables of `COPIED` that a file of this version has."""
    return [table for table in COPIED if SINCE.get(table, 1) <= version]


def create(db: sqlite3.Connection) -> None:
    """Make the tables where they are missing, change those of an older version.

    Raises ValueError for a newer version's file.
    """
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version > VERSION:
        raise ValueError(f"the spool was written by a newer pump (its version is {version}, known is {VERSION})")
    if version == VERSION:
        return
    db.execute("BEGIN IMMEDIATE")
    for statement in TABLES if version == 0 else [each for step in range(version, VERSION) for each in _STEPS[step]]:
        db.execute(statement)
    db.execute(f"PRAGMA user_version={VERSION}")
    db.execute(f"PRAGMA application_id={APPLICATION_ID}")
    db.execute("COMMIT")
