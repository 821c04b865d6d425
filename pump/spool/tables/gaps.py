"""The gap ledger: each stretch of time in which events may be missing, and what became of it; and the sightings.

A record is opened by the commit that stores its `pump.gap`, and changed by the commits that store what fills it: so
neither can be without the other, whatever is killed in between.

A sighting is a name under which a record was met on one side, a queue or a log: the same record met on another side
is found by it.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Literal

import orjson

from pump.core.event import Sighting
from pump.spool.reader import EventReader
from pump.spool.state import SpoolState
from pump.spool.types import GapOpened, Row

GapState = Literal["open", "filled", "unfillable"]
STATES: Final[tuple[GapState, ...]] = ("open", "filled", "unfillable")

KEPT: Final = 1000
"""Records of a source that are kept whatever their state; closed ones beyond it go, and open ones beyond twice that."""
SLICE: Final = 200
"""Records read at a time."""
LONGEST_NOTE: Final = 500
_COLUMNS: Final = "id, source, event, since, until, reason, count, opened, changed, filled, notes, state"


@dataclass(slots=True, frozen=True)
class Gap:
    """A record of the ledger. Times are milliseconds since 1970."""

    id: int
    """Grows, and names it for ever."""
    source: str
    event: str
    """The id of the `pump.gap` that opened it, or a name of its own where none did."""
    since: int
    until: int
    reason: str
    count: int | None
    """Events that are missing at the most, where that is known."""
    opened: int
    changed: int
    filled: int
    """Events that were stored to fill it."""
    notes: str
    state: GapState


@dataclass(slots=True, frozen=True)
class GapChange:
    """A record's new state and notes; None leaves them as they are. `at` is milliseconds since 1970."""

    id: int
    at: int
    state: GapState | None = None
    notes: str | None = None


@dataclass(slots=True, frozen=True)
class Seen:
    """A sighting as it is stored: of which event, and which other event that is; "" where it is one of its own."""

    sighting: Sighting
    id: str
    twin: str = ""


@dataclass(slots=True, frozen=True)
class Along:
    """All that goes along with the rows of one put, in their transaction."""

    opened: Sequence[tuple[str, str, GapOpened]] = ()
    """(source, name, gap): records that no event opens."""
    changes: Sequence[GapChange] = ()
    seen: Sequence[tuple[str, Seen]] = ()
    """(source, sighting) of events that are not among the rows."""

    def __bool__(self) -> bool:
        return bool(self.opened or self.changes or self.seen)


NOTHING: Final = Along()


def together(several: Sequence[Along]) -> Along:
    """What goes along with several puts, in their order."""
    return Along(
        [each for one in several for each in one.opened],
        [each for one in several for each in one.changes],
        [each for one in several for each in one.seen],
    )


class GapLedger:
    """The ledger of a running spool. Belongs to the event loop; what changes it goes with `Spool.append`."""

    def __init__(self, state: SpoolState, reader: EventReader) -> None:
        self._state = state
        self._reader = reader

    @property
    def counts(self) -> Mapping[str, Mapping[str, int]]:
        """The number of records by source and state."""
        return self._state.gaps

    async def read(
        self, *, source: str | None = None, state: GapState | None = None, after: int = 0, limit: int = SLICE
    ) -> list[Gap]:
        """A slice of them, by number. Raises `Unavailable` where the file cannot be read."""
        return await self._reader.look(partial(read, source=source, state=state, after=after, limit=limit))

    async def named(self, source: str, event: str) -> Gap | None:
        """The record that an event of this id, or a put under this name, opened. Raises as `read`."""
        return await self._reader.look(partial(named, source=source, event=event))

    async def get(self, id_: int) -> Gap | None:
        """The record of this number. Raises as `read`."""
        found = await self._reader.look(partial(read, after=id_ - 1, limit=1))
        return found[0] if found and found[0].id == id_ else None

    async def seen(self, source: str, wanted: Collection[Sighting]) -> list[Seen]:
        """All sightings, on any side, that share time and key with one of these. Raises as `read`."""
        return await self._reader.look(partial(seen, source=source, wanted=wanted)) if wanted else []


# --- the SQL, run in the threads ------------------------------------------------------------------------------------


def store(db: sqlite3.Connection, rows: Iterable[tuple[int, Row]], along: Along, first: int) -> bool:
    """What new rows and `along` say of gaps, within the transaction of a commit; True where the ledger has changed.

    `first` is the first number of the commit: by it sightings of events that are not among the rows are forgotten.
    """
    opened = list(along.opened)
    filled: Counter[int] = Counter()
    sighted = [(source, each, first) for source, each in along.seen]
    latest = 0
    for seq, row in rows:
        if row.fills:
            filled[row.fills] += 1
            latest = max(latest, row.recorded)
        if row.sightings:
            sighted += [(row.source, Seen(one, row.id), seq) for one in row.sightings]
        if row.gap is not None:
            opened.append((row.source, row.id, row.gap))
    for source, name, gap in opened:
        _open(db, source, name, gap)
    for id_, count in filled.items():
        db.execute("UPDATE gaps SET filled = filled + ?, changed = max(changed, ?) WHERE id = ?", (count, latest, id_))
    for change in along.changes:
        db.execute(
            "UPDATE gaps SET state = coalesce(?, state), notes = coalesce(?, notes), changed = ? WHERE id = ?",
            (change.state, _short(change.notes), change.at, change.id),
        )
    _sight(db, sighted)
    return bool(opened or filled or along.changes)


def _open(db: sqlite3.Connection, source: str, name: str, gap: GapOpened) -> None:
    db.execute(
        "INSERT OR IGNORE INTO gaps(source, event, since, until, reason, count, opened, changed, filled, notes, state)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, ?, ?)",
        (source, name, gap.since, gap.until, gap.reason, gap.count, gap.opened, gap.opened, _short(gap.notes) or "",
         "unfillable" if gap.unfillable else "open"),
    )  # fmt: skip
    for limit, which in ((KEPT, " AND state <> 'open'"), (2 * KEPT, "")):
        beyond = "(SELECT id FROM gaps WHERE source = ? ORDER BY id DESC LIMIT 1 OFFSET ?)"
        db.execute(f"DELETE FROM gaps WHERE source = ? AND id <= {beyond}{which}", (source, source, limit))


def _short(text: str | None) -> str | None:
    return None if text is None else text[:LONGEST_NOTE]


_AT_A_TIME: Final = 512


def _sight(db: sqlite3.Connection, sighted: Sequence[tuple[str, Seen, int]]) -> None:
    for start in range(0, len(sighted), _AT_A_TIME):
        part = sighted[start : start + _AT_A_TIME]
        values: list[object] = []
        for source, each, seq in part:
            values += (each.sighting.at, source, each.sighting.key, each.sighting.side, each.id, each.twin, seq)
        rows = ",".join(["(?, ?, ?, ?, ?, ?, ?)"] * len(part))
        db.execute(f"INSERT OR IGNORE INTO sightings(at, source, key, side, id, twin, seq) VALUES {rows}", values)


def counts(db: sqlite3.Connection) -> dict[str, dict[str, int]]:
    """The number of records by source and state."""
    found: dict[str, dict[str, int]] = {}
    for source, state, count in db.execute("SELECT source, state, count(*) FROM gaps GROUP BY source, state"):
        found.setdefault(_text(source), {})[_text(state)] = count
    return found


def read(
    db: sqlite3.Connection, *, source: str | None = None, state: GapState | None = None, after: int = 0,
    limit: int = SLICE,
) -> list[Gap]:  # fmt: skip
    """Those of `source` (None: of all) in `state` (None: in any), above the number `after`, by number."""
    where, values = "", list[object]()
    for column, wanted in (("source", source), ("state", state)):
        if wanted is not None:
            where, values = f"{where} AND {column} = ?", [*values, wanted]
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM gaps WHERE id > ?{where} ORDER BY id LIMIT ?", (after, *values, limit)
    ).fetchall()
    return [_gap(row) for row in rows]


def named(db: sqlite3.Connection, *, source: str, event: str) -> Gap | None:
    """The record of this source and name."""
    row = db.execute(f"SELECT {_COLUMNS} FROM gaps WHERE source = ? AND event = ?", (source, event)).fetchone()
    return None if row is None else _gap(row)


def seen(db: sqlite3.Connection, *, source: str, wanted: Collection[Sighting]) -> list[Seen]:
    """All sightings that share time and key with one of these."""
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
        found += [Seen(Sighting(at, key, side), id_, twin) for at, key, side, id_, twin in orjson.loads(answer)]
    return found


Place = tuple[int, str, str, str, str]
FIRST_PLACE: Final[Place] = (-(1 << 63), "", "", "", "")
_SWEPT: Final = 500


def prune_sightings(db: sqlite3.Connection, *, above: Place, through: int) -> Place | None:
    """Look at a slice of the sightings above `above`, in their own order, and remove those of the number `through` or
    lower; the last one looked at, None at the end. As `statements.prune_keys`.
    """
    place = "(at, source, key, side, id)"
    bound: Place | None = db.execute(
        f"SELECT at, source, key, side, id FROM sightings WHERE {place} > (?, ?, ?, ?, ?)"
        f" ORDER BY at, source, key, side, id LIMIT 1 OFFSET {_SWEPT - 1}",
        above,
    ).fetchone()
    if bound is None:
        db.execute(f"DELETE FROM sightings WHERE {place} > (?, ?, ?, ?, ?) AND seq <= ?", (*above, through))
        return None
    db.execute(
        f"DELETE FROM sightings WHERE {place} > (?, ?, ?, ?, ?) AND {place} <= (?, ?, ?, ?, ?) AND seq <= ?",
        (*above, *bound, through),
    )
    return bound


def _gap(row: Sequence[Any]) -> Gap:
    id_, source, event, since, until, reason, count, opened, changed, filled, notes, state = row
    return Gap(
        id_, _text(source), _text(event), since, until, _text(reason), count, opened, changed, filled, _text(notes),
        _text(state),  # type: ignore[arg-type]  # the table's CHECK holds it to the three
    )  # fmt: skip


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
