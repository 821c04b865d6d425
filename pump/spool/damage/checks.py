"""Checksums of the rows that are no events, and the look through all of them at a start.

A flipped byte in such a row may change a value, its type, or make a text none: SQLite sees nothing wrong with it. A
damaged row goes into a file beside the spool, for a person to look at; its part begins from its default.
"""

from __future__ import annotations

import os
import sqlite3
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import orjson

from pump.spool.blocks import EVENTS, header, unpack

Values = Sequence[Any]


class Text(bytes):
    """A text as it lies in the file, which a flipped byte may have made undecodable; a blob is plain bytes."""


Shape = Mapping[str, tuple[type, ...]]
"""A table's columns, without the checksum, in their order, and the types that each may have."""
SEALED: Final = {
    "cursors": ("sink", "seq", "state"),
    "state": ("source", "key", "value"),
    "limited": ("seq", "source", "bytes"),
    "strangers": ("last", "first", "events", "bytes", "keys"),
    "young": ("last", "keys"),
    "dead": ("id", "sink", "seq", "source", "type", "severity", "recorded", "body", "reason", "attempts", "at"),
}
"""Tables whose rows have a checksum, `crc`, of these columns in this order.

`keys` has none: a damaged key costs a second storing, if the vendor sends the event again, and no more, while a
checksum would have to be made for every event. Whoever meets one that cannot be a key has the spool salvaged.
"""
LARGE: Final = ("dead", "sightings")
"""Tables that may be so large that not every start looks through them: it must not take longer the more is stored.

Whoever reads a dead letter looks at its checksum, whoever meets a sighting that cannot be one has the spool salvaged.
"""
_TYPES: Final[Mapping[str, type]] = {"TEXT": Text, "INTEGER": int, "BLOB": bytes}


def row_crc(*values: Any) -> int:
    """CRC-32 of a row's columns: texts as str or as the bytes they lie as, numbers, None."""
    crc = 0
    for value in values:
        if isinstance(value, str):
            value = value.encode()
        elif not isinstance(value, bytes):
            value = b"-" if value is None else b"%d" % value
        crc = zlib.crc32(value, zlib.crc32(b"%d:" % len(value), crc))
    return crc


def sealing(table: str) -> str:
    """The SQL that makes the checksum of a row that is stored; for connections that `with_checksum` has seen."""
    # As a blob, for a text that is none would be no argument; a number becomes its digits.
    return f"row_crc({', '.join(f'CAST({column} AS BLOB)' for column in SEALED[table])})"


def with_checksum(db: sqlite3.Connection) -> sqlite3.Connection:
    """Give the connection the function `row_crc`."""
    db.create_function("row_crc", -1, row_crc, deterministic=True)
    return db


def shape(db: sqlite3.Connection, table: str) -> Shape:
    """The shape of a table, by its definition."""
    columns = db.execute('SELECT name, type, "notnull" OR pk FROM pragma_table_info(?)', (table,)).fetchall()
    found: dict[str, tuple[type, ...]] = {}
    for name, kind, filled in columns:
        found[_plain(name)] = (_TYPES[_plain(kind)], *(() if filled else (type(None),)))
    found.pop("crc", None)
    return found


def _plain(name: str | bytes) -> str:
    return name.decode() if isinstance(name, bytes) else name


def has_checksum(db: sqlite3.Connection, table: str) -> bool:
    """False for a table of a version that had none."""
    sql = "SELECT 1 FROM pragma_table_info(?) WHERE name = 'crc'"
    return db.execute(sql, (table,)).fetchone() is not None


def is_sound(row: Values, columns: Shape, crc: Any = None, *, sealed: bool) -> bool:
    """True where the columns, read within `raw_texts`, have their types, and this checksum where they are `sealed`."""
    for value, types in zip(row, columns.values(), strict=True):
        if type(value) not in types:
            return False
        if type(value) is Text:
            try:
                value.decode()
            except ValueError:
                return False
    return not sealed or (type(crc) is int and row_crc(*row) == crc)


@contextmanager
def raw_texts(db: sqlite3.Connection) -> Iterator[None]:
    """Within it, texts are read as `Text`, undecoded."""
    before, db.text_factory = db.text_factory, Text
    try:
        yield
    finally:
        db.text_factory = before


_NAMED: Final = 8
"""Damaged rows that are named; the others are counted."""


@dataclass(slots=True)
class Damage:
    """Rows that were set aside, by table; `headers` of blocks were mended from the block's own index."""

    rows: Counter[str] = field(default_factory=Counter)
    names: list[str] = field(default_factory=list)
    """The keys of such rows, as far as they can be read; a few."""
    headers: int = 0

    def __bool__(self) -> bool:
        return bool(self.rows or self.headers)

    def add(self, table: str, rows: Sequence[Values]) -> None:
        """These rows of a table are damaged."""
        self.rows[table] += len(rows)
        self.names += [_name(row) for row in rows[: max(0, _NAMED - len(self.names))]]

    def words(self) -> str:
        """All of it in a sentence."""
        parts = [f"{count} of {table}" for table, count in sorted(self.rows.items())]
        named = f" ({', '.join(self.names)})" if self.names else ""
        said = [f"damaged rows were set aside: {', '.join(parts)}{named}"] if parts else []
        if self.headers:
            said.append(f"the numbers of {self.headers} blocks of events were mended")
        return "; ".join(said)


def look_through(db: sqlite3.Connection, tables: Iterable[str], aside: Path, *, whole: bool) -> Damage:
    """Check every row within the transaction that is open, and take damaged ones out into the file `aside`, fsynced.

    Large tables and blocks are looked at with `whole` alone. Of the blocks it is the columns that are looked at; their
    events have checksums of their own, which readers check. Raises sqlite3.Error, OSError.
    """
    found = Damage()
    lost: list[dict[str, Any]] = []
    for table in tables:
        if whole or table not in LARGE:
            lost += _sift(db, table, found)
    if whole:
        found.headers = _mend_headers(db)
    if lost:
        _keep(aside, lost)
    return found


def _sift(db: sqlite3.Connection, table: str, found: Damage) -> list[dict[str, Any]]:
    """Leave the table's sound rows in it; those that are not."""
    columns, sealed = shape(db, table), table in SEALED
    names = ", ".join(columns)
    every = f"SELECT {names}, {'crc' if sealed else 'NULL'} FROM {table}"
    with raw_texts(db):
        damaged = [row for *row, crc in db.execute(every) if not is_sound(row, columns, crc, sealed=sealed)]
    if damaged:
        found.add(table, damaged)
        if table == "dead":
            _remove_letters(db, [row[0] for row in damaged])
        else:
            with raw_texts(db):
                sound = [[*row, crc] for *row, crc in db.execute(every) if is_sound(row, columns, crc, sealed=sealed)]
            _write_anew(db, table, f"{names}, crc" if sealed else names, sound, len(columns) + sealed)
    return [{"table": table, **dict(zip(columns, row, strict=True))} for row in damaged]


def _write_anew(db: sqlite3.Connection, table: str, columns: str, rows: Sequence[Values], width: int) -> None:
    """Empty the table and fill it: a damaged key lies in a wrong place of the tree, where no search finds it."""
    db.execute(f"DELETE FROM {table}")
    sql = f"INSERT OR REPLACE INTO {table}({columns}) VALUES ({', '.join('?' * width)})"
    db.executemany(sql, ([decoded(value) for value in row[:width]] for row in rows))


def decoded(value: Any) -> Any:
    """A value of a sound row as it is bound again."""
    return value.decode() if isinstance(value, Text) else value


def _remove_letters(db: sqlite3.Connection, ids: Sequence[int]) -> None:
    """Remove dead letters, whose entries in the index may not be found: it is made anew."""
    [(index,)] = db.execute("SELECT sql FROM sqlite_schema WHERE name = 'one_letter'").fetchall()
    db.execute("DROP INDEX one_letter")
    db.executemany("DELETE FROM dead WHERE id = ?", [(id_,) for id_ in ids])
    db.execute("DELETE FROM dead WHERE id NOT IN (SELECT min(id) FROM dead GROUP BY sink, seq)")
    db.execute(index)


def _mend_headers(db: sqlite3.Connection) -> int:
    """Have each block's columns say what its events say; how many did not."""
    wrong: list[tuple[int, tuple[int, int, int]]] = []
    before = 0
    for last, first, recorded, index in db.execute("SELECT last, first, recorded, events FROM blocks ORDER BY last"):
        if header(index) != (last, first, recorded) or first <= before:
            found = _right(db, last, first, recorded, before)
            if found != (last, first, recorded):
                wrong.append((last, found))
        before = max(before, last)
    for last, (right, first, recorded) in wrong:
        sql = "UPDATE OR IGNORE blocks SET last = ?, first = ?, recorded = ? WHERE last = ?"
        db.execute(sql, (right, first, recorded, last))
    return len(wrong)


def _right(db: sqlite3.Connection, last: int, first: Any, recorded: Any, before: int) -> tuple[int, int, int]:
    """The columns of a block whose index has others: of those that are possible, as its sound events have them."""
    (index, bodies) = db.execute("SELECT events, bodies FROM blocks WHERE last = ?", (last,)).fetchone()
    found = unpack(first, last, index, bodies)
    events = found.records
    whole = header(index)
    if events and not found.damaged and whole is not None:
        return whole
    lowest, highest = (events[0].seq, events[-1].seq) if events else (last, last)
    newest = max((record.recorded for record in events), default=0)
    if not (isinstance(first, int) and before < first <= lowest):
        first = lowest
    if not highest <= last <= highest + EVENTS:
        last = highest
    if not (isinstance(recorded, int) and (recorded >= newest > 0 or not events)):
        recorded = newest
    return last, first, recorded


def _keep(aside: Path, lost: Sequence[Mapping[str, Any]]) -> None:
    """Write the rows as lines of JSON; bytes that are no text as Python writes them."""
    with open(aside, "ab", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
        for row in lost:
            file.write(orjson.dumps({name: _shown(value) for name, value in row.items()}) + b"\n")
        file.flush()
        os.fsync(file.fileno())


def _shown(value: Any) -> Any:
    return value.decode(errors="backslashreplace") if isinstance(value, bytes) else value


def _name(row: Values) -> str:
    """The row by its first two columns; texts that strangers sent may be among them, so it is cut short."""
    return "/".join(str(_shown(value))[:64] for value in row[:2])
