"""The share of strangers: what is stored for devices that nobody knows, and may be evicted, the oldest first.

A stranger's events lie in blocks of their own, each with a row in `strangers` that has their keys: events and keys go
together, or whoever makes up devices would fill the spool with keys. The numbers that went from between others are
holes; they are noted in the same commit, so that each sink that had not had them reports its loss, whatever is killed.
"""

from __future__ import annotations

import sqlite3
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from operator import itemgetter
from typing import Final, NamedTuple

import orjson
import structlog

from pump.spool.damage.checks import row_crc
from pump.spool.tables import limited, young
from pump.spool.types import Row

log = structlog.get_logger()

PART: Final = 8
"""Strangers may hold an eighth of `max_bytes`."""
LEFT: Final = 7 / 8
"""Share of that which is left after some had to go, so that not each commit has another go."""
NOTED: Final = ("pump", "evicted")
"""The piece of state that holds the holes: [first, last, events] of each."""
HOLES: Final = 256
"""Holes that are remembered; the oldest two become one beyond it."""
SLICE: Final = 50
"""Blocks that go at a time: more than a commit brings, and few enough that the next commit does not wait long."""
_KEY: Final = 64
"""Bytes of a key's row and of the block's index, beside the id; an id stands in the keys and here."""


class Hole(NamedTuple):
    """So many `events` were evicted, numbered `first` to `last`."""

    first: int
    last: int
    events: int


@dataclass(slots=True, frozen=True)
class Evicted:
    """The blocks that went."""

    blocks: list[Hole]
    left: int
    """Bytes that strangers hold now."""
    holes: list[Hole]
    """All that are to be remembered."""
    quarantined: Mapping[str, int]
    """Bytes that counted against each source's limit."""

    @property
    def events(self) -> int:
        """All that went."""
        return sum(block.events for block in self.blocks)


def share(max_bytes: int) -> int:
    """Bytes that strangers may hold in a spool of this size."""
    return max_bytes // PART


def cost(row: Row) -> int:
    """Bytes that a stranger's event counts."""
    return len(row.body) + 2 * len(row.id) + _KEY


def note(db: sqlite3.Connection, blocks: Iterable[Sequence[tuple[int, Row]]]) -> None:
    """Have these blocks, just stored, count as strangers'."""
    values: list[tuple[int, int, int, int, bytes]] = []
    for block in blocks:
        keys = orjson.dumps([(row.dedup_time_ms, row.source, row.id, seq) for seq, row in block])
        values.append((block[-1][0], block[0][0], len(block), sum(cost(row) for _, row in block), keys))
    db.executemany(
        "INSERT INTO strangers(last, first, events, bytes, keys, crc) VALUES (?, ?, ?, ?, ?, ?)",
        [(*row, row_crc(*row)) for row in values],
    )


def held(db: sqlite3.Connection) -> int:
    """Bytes of all that is strangers'."""
    (found,) = db.execute("SELECT coalesce(sum(bytes), 0) FROM strangers WHERE typeof(bytes) = 'integer'").fetchone()
    return int(found)


def oldest(db: sqlite3.Connection, *, holding: int, most: int) -> tuple[list[Hole], int]:
    """A slice of the oldest blocks that must go until strangers hold `most` of `holding` bytes; what they hold then.

    A row whose checksum is wrong is removed alone: its events stay, as if of a known device.
    """
    blocks: list[Hole] = []
    rows = db.execute("SELECT last, first, events, bytes, keys, crc FROM strangers ORDER BY last LIMIT ?", (SLICE,))
    for *row, crc in rows.fetchall():
        if holding <= most:
            break
        if not _sound(row, crc):
            log.error("A row about strangers' events is damaged and left out; the events stay", last=row[0])
            db.execute("DELETE FROM strangers WHERE last = ?", (row[0],))
            continue
        last, first, events, size, _ = row
        blocks.append(Hole(first, last, events))
        holding -= size
    return blocks, holding


def _sound(row: Sequence[object], crc: object) -> bool:
    *numbers, keys = row
    return all(type(each) is int for each in numbers) and type(keys) is bytes and row_crc(*row) == crc


def remove(db: sqlite3.Connection, blocks: Sequence[Hole]) -> dict[str, int]:
    """Remove the oldest blocks, in the caller's transaction; the bytes that counted against each source's limit."""
    forget(db, blocks[-1].last)
    ranges = [(block.first, block.last) for block in blocks]
    db.executemany("DELETE FROM blocks WHERE last BETWEEN ? AND ?", ranges)
    return limited.remove(db, ranges)


def forget(db: sqlite3.Connection, through: int) -> int:
    """Remove the rows and the keys of strangers' blocks through a number, in the caller's transaction; their bytes."""
    rows = db.execute("SELECT keys, bytes FROM strangers WHERE last <= ?", (through,)).fetchall()
    for keys, _ in rows:
        mine = _keys(keys)
        db.executemany("DELETE FROM keys WHERE lead = ? AND source = ? AND id = ?", mine)
        young.forget(db, [(source, id_) for lead, source, id_ in mine if lead == 0])
    if rows:
        db.execute("DELETE FROM strangers WHERE last <= ?", (through,))
    return sum(size for _, size in rows if type(size) is int)


def _keys(text: bytes) -> list[tuple[int, str, str]]:
    """The keys of a block; none where a flipped bit made them unreadable, and they go with all others' keys."""
    with suppress(ValueError, TypeError):
        return [(lead, source, id_) for lead, source, id_, *_ in orjson.loads(text)]
    return []


def merged(holes: Sequence[Hole]) -> list[Hole]:
    """In order, and no more than are remembered: a wider hole has the same count of events."""
    found: list[Hole] = []
    for hole in sorted(set(holes)):
        if found and hole.first == found[-1].last + 1:
            hole = Hole(found[-1].first, hole.last, found.pop().events + hole.events)
        found.append(hole)
    if (more := len(found) - HOLES) > 0:
        oldest, found = found[: more + 1], found[more + 1 :]
        found.insert(0, Hole(oldest[0].first, oldest[-1].last, sum(hole.events for hole in oldest)))
    return found


def between(kept: object, after: int, through: int) -> tuple[int, int, int] | None:
    """The holes of `NOTED` that end above `after`, and at `through` or before, as one: first, last, events at most.

    Each sink asks for each of its batches, so only these are looked at.
    """
    if not isinstance(kept, list):
        return None
    mine: list[Hole] = []
    with suppress(TypeError, LookupError):
        low, high = (bisect_right(kept, place, key=itemgetter(1)) for place in (after, through))
        mine = holes_of(kept[low:high])
    if not mine:
        return None
    count = sum(min(hole.events, hole.last - max(after, hole.first - 1)) for hole in mine)
    return max(mine[0].first, after + 1), mine[-1].last, count


def holes_of(kept: object) -> list[Hole]:
    """The holes as `NOTED` has them; none where it cannot be read."""
    if not isinstance(kept, list):
        return []
    with suppress(TypeError, ValueError):
        return [Hole(int(first), int(last), int(events)) for first, last, events in kept]
    return []
