"""The gap ledger: each stretch of time in which events may be missing, and what became of it."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Literal

from pump.core.event import Sighting
from pump.spool.gaps import sightings
from pump.spool.gaps.sightings import Seen
from pump.spool.reader import EventReader
from pump.spool.state import SpoolState
from pump.spool.types import GapOpened

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
        return await self._reader.look(partial(sightings.seen, source=source, wanted=wanted)) if wanted else []


# --- the SQL, run in the threads ------------------------------------------------------------------------------------


def change(db: sqlite3.Connection, one: GapChange) -> None:
    """Give a record its new state and notes."""
    db.execute(
        "UPDATE gaps SET state = coalesce(?, state), notes = coalesce(?, notes), changed = ? WHERE id = ?",
        (one.state, _short(one.notes), one.at, one.id),
    )


def add_filled(db: sqlite3.Connection, gap: int, count: int, at: int) -> None:
    """So many events more fill the record; the newest arrived at `at` (milliseconds since 1970)."""
    db.execute("UPDATE gaps SET filled = filled + ?, changed = max(changed, ?) WHERE id = ?", (count, at, gap))


def open_(db: sqlite3.Connection, source: str, name: str, gap: GapOpened) -> None:
    """Open a record, once for each name of a source; the source's oldest go where it has too many."""
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


def _gap(row: Sequence[Any]) -> Gap:
    id_, source, event, since, until, reason, count, opened, changed, filled, notes, state = row
    return Gap(
        id_, _text(source), _text(event), since, until, _text(reason), count, opened, changed, filled, _text(notes),
        _text(state),  # type: ignore[arg-type]  # the table's CHECK holds it to the three
    )  # fmt: skip


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
