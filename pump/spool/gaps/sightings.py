"""The names under which records were met on one side, a queue or a log: by them the same one is found on another."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

import orjson

from pump.core.event import Sighting
from pump.spool.errors import RowDamaged
from pump.spool.rows import filled_parts, multi, parts


@dataclass(slots=True, frozen=True)
class Seen:
    """A sighting as it is stored: of which event, and which other event that is; "" where it is one of its own."""

    sighting: Sighting
    id: str
    twin: str = ""


Stored = tuple[int, str, str, str, str, str, int]
"""A row: at, source, key, side, id, twin, and the number by which it is forgotten."""


def add(db: sqlite3.Connection, rows: Sequence[Stored]) -> None:
    """Store sightings that are not there yet."""
    for part in filled_parts(rows):
        sql = multi("INSERT OR IGNORE INTO sightings(at, source, key, side, id, twin, seq) VALUES", 7, len(part))
        db.execute(sql, [value for row in part for value in row])


def seen(db: sqlite3.Connection, *, source: str, wanted: Collection[Sighting]) -> list[Seen]:
    """All sightings that share time and key with one of these. Raises RowDamaged where one is none."""
    keys = list({(one.at, one.key) for one in wanted})
    found: list[Seen] = []
    for part in parts(keys):
        (answer,) = db.execute(
            # joined, and not by IN, for which SQLite looks through the whole table
            f"WITH wanted(at, source, key) AS ({multi('VALUES', 3, len(part))})"
            " SELECT json_group_array(json_array(met.at, met.key, side, id, twin)) FROM wanted"
            " CROSS JOIN sightings AS met USING (at, source, key)",
            [value for at, key in part for value in (at, source, key)],
        ).fetchone()
        try:
            found += [Seen(Sighting(at, key, side), id_, twin) for at, key, side, id_, twin in orjson.loads(answer)]
        except ValueError as error:  # a text that is none
            raise RowDamaged("a sighting is damaged") from error
    return found


Place = tuple[int, str, str, str, str]
FIRST_PLACE: Final[Place] = (-(1 << 63), "", "", "", "")
_SWEPT: Final = 500


def prune(db: sqlite3.Connection, *, above: Place, through: int) -> Place | None:
    """Look at a slice of the sightings above `above`, in their own order, and remove those of the number `through` or
    lower; the last one looked at, None at the end. As `statements.prune_keys`; raises RowDamaged as it does.
    """
    place = "(at, source, key, side, id)"
    bound: Place | None = db.execute(
        f"SELECT at, source, key, side, id FROM sightings WHERE {place} > (?, ?, ?, ?, ?)"
        f" ORDER BY at, source, key, side, id LIMIT 1 OFFSET {_SWEPT - 1}",
        above,
    ).fetchone()
    if bound is not None and not (list(map(type, bound)) == [int, str, str, str, str] and bound > above):
        raise RowDamaged("a sighting is damaged, or lies where it does not belong")
    if bound is None:
        db.execute(f"DELETE FROM sightings WHERE {place} > (?, ?, ?, ?, ?) AND seq <= ?", (*above, through))
        return None
    db.execute(
        f"DELETE FROM sightings WHERE {place} > (?, ?, ?, ?, ?) AND {place} <= (?, ?, ?, ?, ?) AND seq <= ?",
        (*above, *bound, through),
    )
    return bound
