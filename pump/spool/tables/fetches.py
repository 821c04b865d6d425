"""Links to pictures and clips that are still to be fetched: on disk with the events that name them, and in memory.

A link comes with its event's commit and goes with the commit of the event that says what became of it, so that no kill
loses one or settles it twice. What the vendor sends again brings the link again, perhaps signed afresh: the newer takes
the older's place, unless the picture is there already.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

import orjson

from pump.core.event import event_id
from pump.core.record import Record
from pump.core.text import fitted
from pump.spool.rows import filled_parts, multi
from pump.spool.types import Row

MOST: Final = 20_000
"""Links that may wait; beyond it `overdue` names those that are given up."""

Name = tuple[str, str]
"""(source, id of the medium)."""


@dataclass(slots=True, frozen=True)
class Fetch:
    """A link that waits."""

    source: str
    medium: str
    event: str
    """The id of the event that names it."""
    dedup_time_ms: int
    """Of that event: its followers lie beside it in the index."""
    recorded: int
    """When the link came, milliseconds since 1970."""
    expires: int
    """When it dies, the same; 0 where nobody says."""
    url: str
    facts: bytes
    """JSON; see `Link.facts`."""
    name: Name = field(init=False, repr=False, compare=False)
    """Its key: one object, for thousands wait in several books."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", (self.source, self.medium))

    @classmethod
    def of(
        cls, source: str, medium: str, event: str, dedup_time_ms: int, recorded: int, facts: Mapping[str, Any]
    ) -> Fetch:
        """One that has no link and will get none: for the event that says so."""
        return cls(source, medium, event, dedup_time_ms, recorded, 0, "", fitted(orjson.dumps(facts)))

    @property
    def stranger(self) -> bool:
        """True where its event came from a device that nobody knows: what is fetched counts as the stranger's too."""
        if _STRANGER not in self.facts:  # nearly all, and there may be 20,000
            return False
        found = _loaded(self.facts)
        return isinstance(found, dict) and found.get("stranger") is True


_STRANGER: Final = b'"stranger":true'


def _loaded(facts: bytes) -> Any:
    try:
        return orjson.loads(facts)
    except ValueError:  # a flipped bit
        return None


def result_id(medium: str, *, stored: bool) -> str:
    """The id of the event that says what became of a medium."""
    return event_id("media", "stored" if stored else "failed", medium)


@dataclass(slots=True)
class Changes:
    """What one commit changed."""

    added: list[Fetch] = field(default_factory=list)
    settled: list[Name] = field(default_factory=list)


class FetchQueue:
    """Those of a running spool. Belongs to the event loop; the writer alone changes it."""

    def __init__(self, waiting: Iterable[Fetch] = ()) -> None:
        """All that the file holds at the start."""
        self.taking = False
        """True once somebody fetches: links of new events are stored from then on."""
        self._waiting = {one.name: one for one in waiting}
        self._strange = {one.name: one for one in self._waiting.values() if one.stranger}
        self._events = Counter((one.source, one.event) for one in self._waiting.values())
        self._fresh = list(self._waiting.values())
        self._settled = asyncio.Event()
        self._on_grown: Callable[[], object] = lambda: None

    def __len__(self) -> int:
        return len(self._waiting)

    def begin(self, on_grown: Callable[[], object]) -> None:
        """Take links from now on, and call this whenever some came."""
        self.taking, self._on_grown = True, on_grown

    def apply(self, changes: Changes) -> None:
        """A commit has made these durable."""
        for one in changes.added:
            if (before := self._waiting.pop(one.name, None)) is not None:
                self._leave(before)
            self._waiting[one.name] = one
            if one.stranger:
                self._strange[one.name] = one
            self._events[one.source, one.event] += 1
            self._fresh.append(one)
        if changes.added:
            self._on_grown()
        for name in changes.settled:
            if (before := self._waiting.pop(name, None)) is not None:
                self._leave(before)
        if changes.settled:
            self._settled.set()
            self._settled = asyncio.Event()

    def _leave(self, one: Fetch) -> None:
        self._strange.pop(one.name, None)
        event = one.source, one.event
        self._events[event] -= 1
        if self._events[event] <= 0:
            del self._events[event]

    def take(self) -> list[Fetch]:
        """Those that came since the last call and still wait; at the first call all of them."""
        fresh, self._fresh = self._fresh, []
        return [one for one in fresh if self._waiting.get(one.name) is one]

    def again(self) -> None:
        """Have `take` name all that wait once more: who took them has failed."""
        self._fresh = list(self._waiting.values())

    def get(self, name: Name) -> Fetch | None:
        """The one that waits under this name."""
        return self._waiting.get(name)

    def overdue(self) -> list[Fetch]:
        """Of too many the oldest, strangers' before any known device's."""
        if (excess := len(self._waiting) - MOST) <= 0:
            return []
        found = list(islice(self._strange.values(), excess))
        known = (one for one in self._waiting.values() if one.name not in self._strange)
        return found + list(islice(known, excess - len(found)))

    def waits(self, source: str, event: str) -> bool:
        """True while a link of this event waits."""
        return (source, event) in self._events

    async def settled(self) -> None:
        """Return when one of them has gone."""
        await self._settled.wait()


# --- the SQL, run in the writer's thread ------------------------------------------------------------------------------

# One statement for many rows: each takes the GIL back when it ends (docs/measurements.md).
_COLUMNS: Final = "source, medium, event, lead, recorded, expires, url, facts"
_KINDS: Final = (str, str, str, int, int, int, str, str)
_AT_ONCE: Final = 128
"""Rows of a statement: some 100 KB, which it keeps until it is used again."""
_INSERT: Final = f"INSERT OR IGNORE INTO fetches({_COLUMNS}) VALUES"
_REPLACE: Final = (
    f"INSERT OR REPLACE INTO fetches({_COLUMNS})"
    f" SELECT {', '.join(f'value ->> {place}' for place in range(len(_KINDS)))} FROM json_each(?)"
)
_DELETE: Final = "DELETE FROM fetches WHERE (source, medium) IN (SELECT value ->> 0, value ->> 1 FROM json_each(?))"
_STORED: Final = (
    "WITH wanted(lead, source, id) AS (SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each(?))"
    " SELECT json_group_array(id) FROM (SELECT id FROM wanted CROSS JOIN keys USING (lead, source, id)"
    " UNION ALL SELECT id FROM wanted CROSS JOIN unmerged USING (source, id) WHERE lead = 0)"
)


def store(db: sqlite3.Connection, rows: Sequence[Row], records: Sequence[Record], first: int) -> Changes:
    """Store the links of the rows, whose numbers begin at `first`, and remove what they settle; `records` are new."""
    changes = Changes()
    if not any(row.links or row.settles for row in rows):
        return changes
    fresh = {record.seq for record in records}
    again: list[Fetch] = []
    for seq, row in enumerate(rows, first):
        if row.settles:
            changes.settled.append((row.source, row.settles))
        if row.links:
            (changes.added if seq in fresh else again).extend(_links(row))
    if again:
        changes.added += _without_picture(db, again)
    if changes.added:
        # In the table's own order: a page of many that wait is then written once, however many come.
        added = sorted({one.name: _values(one) for one in changes.added}.values())
        if _insert(db, added) < len(added):  # some are there already: seldom, and twice the work
            db.execute(_REPLACE, (_json(added),))
    if changes.settled:
        db.execute(_DELETE, (_json(changes.settled),))
    return changes


def _insert(db: sqlite3.Connection, added: Sequence[Sequence[object]]) -> int:
    """Store those that are not there; how many those were.

    SQLite copies each page that a statement of several rows is to change, unless no row can make it fail: so with OR
    IGNORE alone, and in half the time.
    """
    stored = 0
    for start in range(0, len(added), _AT_ONCE):
        for part in filled_parts(added[start : start + _AT_ONCE]):
            values = [value for row in part for value in row]
            stored += db.execute(multi(_INSERT, len(_KINDS), len(part)), values).rowcount
    return stored


def _links(row: Row) -> Iterator[Fetch]:
    for link in row.links:
        facts = fitted(orjson.dumps({**link.facts, "stranger": True} if row.stranger else link.facts))
        yield Fetch(row.source, link.medium, row.id, row.dedup_time_ms, row.recorded, link.expires, link.url, facts)


def _without_picture(db: sqlite3.Connection, links: Sequence[Fetch]) -> list[Fetch]:
    """Those whose picture has not come already."""
    keys = [(one.dedup_time_ms, one.source, result_id(one.medium, stored=True)) for one in links]
    (found,) = db.execute(_STORED, (_json(keys),)).fetchone()
    there = set(orjson.loads(found))
    return [one for one, (_, _, id_) in zip(links, keys, strict=True) if id_ not in there]


def _json(rows: Sequence[object]) -> str:
    return orjson.dumps(rows).decode()


def _values(one: Fetch) -> tuple[object, ...]:
    return (
        one.source, one.medium, one.event, one.dedup_time_ms, one.recorded, one.expires, one.url, one.facts.decode(),
    )  # fmt: skip


def load(db: sqlite3.Connection) -> list[Fetch]:
    """All that wait, the oldest first; what a repair has carried over in ruins is left out."""
    rows = db.execute(f"SELECT {_COLUMNS} FROM fetches ORDER BY recorded").fetchall()
    return [_fetch(row) for row in rows if tuple(map(type, row)) == _KINDS]


def _fetch(row: Sequence[Any]) -> Fetch:
    source, medium, event, lead, recorded, expires, url, facts = row
    return Fetch(source, medium, event, lead, recorded, expires, url, facts.encode())
