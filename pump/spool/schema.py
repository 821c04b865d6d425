"""The spool's tables."""

from __future__ import annotations

import sqlite3

VERSION = 3
APPLICATION_ID = 0x70756D70  # "pump"

# An event is one dead letter of a sink, however often it is refused, and whatever is killed in between.
_ONE_LETTER = "CREATE UNIQUE INDEX one_letter ON dead(sink, seq)"
# Links that are still to be fetched, each stored with the event that names it.
_FETCHES = """CREATE TABLE fetches(
    source TEXT, medium TEXT, event TEXT NOT NULL, lead INTEGER NOT NULL, recorded INTEGER NOT NULL,
    expires INTEGER NOT NULL, url TEXT NOT NULL, facts TEXT NOT NULL, PRIMARY KEY(source, medium)) WITHOUT ROWID"""
_THIRD = (_FETCHES,)
"""Tables that came with version 3."""
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
    _ONE_LETTER,
    *_THIRD,
)
COPIED = {
    "keys": ("lead", "source", "id"),
    "cursors": ("sink",),
    "state": ("source", "key"),
    "limited": ("seq",),
    "dead": ("id",),
    "fetches": ("source", "medium"),
}
"""Tables that a salvage carries over beside the events, with the columns by which each lies."""
SINCE = {"fetches": 3}
"""The version that a table came with, where that is not the first: an older file is sound without it."""

_STEPS = {
    1: ("DELETE FROM dead WHERE id NOT IN (SELECT min(id) FROM dead GROUP BY sink, seq)", _ONE_LETTER),
    2: _THIRD,
}
"""The statements that lead from a version to the next one."""


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
