"""The spool's tables, and whether those of a file are the ones that this code made."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from functools import cache

from pump.spool.damage.checks import SEALED, sealing, with_checksum
from pump.spool.errors import NewerSpool

VERSION = 4
APPLICATION_ID = 0x70756D70  # "pump"

# An event is one dead letter of a sink, however often it is refused, and whatever is killed in between.
ONE_LETTER = "CREATE UNIQUE INDEX one_letter ON dead(sink, seq)"
# Blocks of events of devices that nobody knows, with their keys: `pump.spool.tables.strangers`.
_STRANGERS = """CREATE TABLE strangers(
        last INTEGER PRIMARY KEY, first INTEGER NOT NULL, events INTEGER NOT NULL, bytes INTEGER NOT NULL,
        keys BLOB NOT NULL, crc INTEGER)"""
# Links that are still to be fetched, each stored with the event that names it.
_FETCHES = """CREATE TABLE fetches(
    source TEXT, medium TEXT, event TEXT NOT NULL, lead INTEGER NOT NULL, recorded INTEGER NOT NULL,
    expires INTEGER NOT NULL, url TEXT NOT NULL, facts TEXT NOT NULL, PRIMARY KEY(source, medium)) WITHOUT ROWID"""
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
_THIRD: tuple[str, ...] = (_STRANGERS, _FETCHES, *_GAPS)
"""Tables that came with version 3."""
# Keys of rows without a time, a commit's in a row: `pump.spool.tables.young`.
_YOUNG = "CREATE TABLE young(last INTEGER PRIMARY KEY, keys BLOB NOT NULL, crc INTEGER)"
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
    "CREATE TABLE cursors(sink TEXT PRIMARY KEY, seq INTEGER NOT NULL, state TEXT, crc INTEGER) WITHOUT ROWID",
    """CREATE TABLE state(
        source TEXT, key TEXT, value TEXT NOT NULL, crc INTEGER, PRIMARY KEY(source, key)) WITHOUT ROWID""",
    "CREATE TABLE limited(seq INTEGER PRIMARY KEY, source TEXT NOT NULL, bytes INTEGER NOT NULL, crc INTEGER)",
    """CREATE TABLE dead(
        id INTEGER PRIMARY KEY AUTOINCREMENT, sink TEXT NOT NULL, seq INTEGER NOT NULL, source TEXT NOT NULL,
        type TEXT NOT NULL, severity INTEGER NOT NULL, recorded INTEGER NOT NULL, body BLOB NOT NULL,
        reason TEXT NOT NULL, attempts INTEGER NOT NULL, at INTEGER NOT NULL, crc INTEGER)""",
    ONE_LETTER,
    *_THIRD,
    _YOUNG,
)
COPIED = {
    "keys": ("lead", "source", "id"),
    "cursors": ("sink",),
    "state": ("source", "key"),
    "limited": ("seq",),
    "dead": ("id",),
    "strangers": ("last",),
    "young": ("last",),
    "fetches": ("source", "medium"),
    "gaps": ("id",),
    "sightings": ("at", "source", "key", "side", "id"),
}
"""Tables that a salvage carries over beside the events, with the columns by which each lies."""
_SECOND = tuple(table for table in SEALED if table not in ("strangers", "young"))
"""Those of version 2 that have checksums since version 3."""
_CHECKSUMS = tuple(
    statement
    for table in _SECOND
    for statement in (
        f"ALTER TABLE {table} ADD COLUMN crc INTEGER",
        f"UPDATE {table} SET crc = {sealing(table)}",
    )
)
"""What version 3 changed in the tables that were there."""
_STEPS = {
    0: TABLES,
    1: (
        "DELETE FROM dead WHERE id NOT IN (SELECT min(id) FROM dead GROUP BY sink, seq)",
        ONE_LETTER,
        *_CHECKSUMS,
        *_THIRD,
        _YOUNG,
    ),
    2: (*_CHECKSUMS, *_THIRD, _YOUNG),
    3: (_YOUNG,),
}
"""The statements that lead from a version to the present one."""
_OLDEST = ("blocks", "keys", *_SECOND)
"""The tables that every version has."""
_SINCE = {**dict.fromkeys(("strangers", "fetches", "gaps", "sightings"), 3), "young": 4}
"""The version with which a table came; the others were there from the first."""


def create(db: sqlite3.Connection, *, known: int = 0) -> bool:
    """Make the tables where they are missing, change those of an older version; True where anything was to do.

    The number of the version is one of a few bytes; the tables themselves say which it is, and `known`, noted beside
    the file by the last start, what it was. Raises NewerSpool for a newer version's file.
    """
    (said,) = db.execute("PRAGMA user_version").fetchone()
    version = _version(db)
    if said > VERSION and version == VERSION != known:
        raise NewerSpool(
            f"the spool was written by a newer pump (its version is {said}, known is {VERSION}): nothing was changed; "
            "install that pump again, or give this one another [pump] state_dir"
        )
    if version == said == VERSION:
        return False
    db.execute("BEGIN IMMEDIATE")
    for statement in _STEPS.get(version, ()):
        with_checksum(db).execute(statement)
    db.execute(f"PRAGMA user_version={VERSION}")
    db.execute(f"PRAGMA application_id={APPLICATION_ID}")
    db.execute("COMMIT")
    return True


def _version(db: sqlite3.Connection) -> int:
    """The version that the tables are of; 0 where there are none."""
    columns = {name: {column for column, *_ in _columns(db, name)} for name in ("blocks", "cursors", "young")}
    if not columns["blocks"]:
        return 0
    if "crc" in columns["cursors"]:
        return VERSION if columns["young"] else 3
    return 2 if any(name == "one_letter" for _, name, _ in _made(db)) else 1


def create_empty(db: sqlite3.Connection) -> None:
    """Make all tables in a file that has none."""
    db.execute("BEGIN IMMEDIATE")
    for statement in TABLES:
        db.execute(statement)
    db.execute(f"PRAGMA user_version={VERSION}")
    db.execute(f"PRAGMA application_id={APPLICATION_ID}")
    db.execute("COMMIT")


def fault(db: sqlite3.Connection) -> str | None:
    """The fault of the tables' definitions, be they of this version or of an older one; None where there is none.

    Raises sqlite3.Error where they cannot be read.
    """
    made = _made(db)
    if not made or made >= _present():
        return None
    (said,) = db.execute("PRAGMA user_version").fetchone()
    if VERSION in (_version(db), said):
        return None if said > VERSION else "the tables' definitions are damaged"
    return columns_fault(db)


def columns_fault(db: sqlite3.Connection) -> str | None:
    """The table whose columns are not those of any version; None where there is none. Raises sqlite3.Error."""
    for name in _OLDEST:
        columns, wanted = _columns(db, name), _columns_of_this_version()[name]
        if len(columns) < len(wanted) - 1 or not columns <= wanted:  # the older ones lack the checksum
            return f"the definition of the table {name} is damaged"
    return None


def is_older_than(db: sqlite3.Connection, table: str) -> bool:
    """True where the file says that it is of a version before the one with which this table of ours came."""
    (said,) = db.execute("PRAGMA user_version").fetchone()
    return bool(said < _SINCE.get(table, 1))


def present(db: sqlite3.Connection) -> list[str]:
    """The tables of ours that the file has."""
    there = {name for kind, name, _ in _made(db) if kind == "table"}
    return [name for name in ("blocks", *COPIED) if name in there]


def _made(db: sqlite3.Connection) -> set[tuple[str, str, str]]:
    """(kind, name, definition) of each table and index; raises sqlite3.Error where they cannot be read."""
    found = db.execute("SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL")
    return {(kind, name, "".join(sql.split())) for kind, name, sql in found}


def _columns(db: sqlite3.Connection, table: str) -> set[tuple[object, ...]]:
    return set(db.execute('SELECT name, type, "notnull", pk FROM pragma_table_info(?)', (table,)).fetchall())


@cache
def _present() -> frozenset[tuple[str, str, str]]:
    with closing(_model()) as db:
        return frozenset(_made(db))


@cache
def _columns_of_this_version() -> dict[str, set[tuple[object, ...]]]:
    with closing(_model()) as db:
        return {name: _columns(db, name) for name in _OLDEST}


def _model() -> sqlite3.Connection:
    db = sqlite3.connect(":memory:", isolation_level=None)
    create_empty(db)
    return db
