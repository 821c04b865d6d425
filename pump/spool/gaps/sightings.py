"""The names under which records were met on one side, a queue or a log: by them the same one is found on another."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

import orjson

from pump.core.event import Sighting
from pump.spool.errors import RowDamaged


@dataclass(slots=True, frozen=True)
class Seen:
    """A sighting as it is stored: of which event, and which other event that is; "" where it is one of its own."""

    sighting: Sighting
    id: str
    twin: str = ""


_AT_A_TIME: Final = 512


def add(db: sqlite3.Connection, sighted: Sequence[tuple[str, Seen, int]]) -> None:
    """Store sightings that are not there yet: (source, sighting, number by which it is forgotten)."""
    for start in range(0, len(sighted), _AT_A_TIME):
        part = sighted[start : start + _AT_A_TIME]
        values: list[object] = []
        for source, each, seq in part:
            values += (each.sighting.at, source, each.sighting.key, each.sighting.side, each.id, each.twin, seq)
        rows = ",".join(["(?, ?, ?, ?, ?, ?, ?)"] * len(part))
        db.execute(f"INSERT OR IGNORE INTO sightings(at, source, key, side, id, twin, seq) VALUES {rows}", values)


def seen(db: sqlite3.Connection, *, source: str, wanted: Collection[Sighting]) -> list[Seen]:
    """All sightings that share time and key with one of these. Raises RowDamaged where one is none."""
    keys = list({(one.at, one.key) for one in wanted})
    found: list[Seen] = []
    for start in range(0, len(keys), _AT_A_TIME):
        part = keys[start : start + _AT_A_TIME]
        values = ",".join(["(?, ?, ?)"] * len(part))
        (answer,) = db.execute(
            "SELECT json_group_array(json_array(at, key, side, id, twin)) FROM sightings"
            f" WHERE (at, source, key) IN (VALUES {values})",
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
