"""The part of a spool that is kept in memory, shared by those who store, remove and read.

One object for all of them, given to each when it is made, so that none sets anything in another.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from pump.spool.tables.fetches import Fetch, FetchQueue
from pump.spool.types import Cursor

Key = tuple[str, str]
"""Of a piece of state: its source, and its name there."""

MARKS: Final = ("pump", "marks")
"""The piece of state that notes, every six hours, how far the spool had come: [ms since 1970, number]."""
TIME: Final = ("pump", "time")
"""The piece of state that notes the time the pump has seen pass, and what the clock showed: `Ages.note`."""

LOST_CURSORS: Final = ("pump", "cursors-lost")
"""The piece of state that holds the newest number of when cursors were lost: a sink without one may have had one."""
NUMBER: Final = ("pump", "commit")
"""The piece of state that holds the number of a commit that stored state and no cursor; never in memory."""
NEWEST: Final = ("pump", "newest")
"""The piece of state that holds the highest number of when events were last removed; never in memory."""
COPIES: Final = "cursor/"
"""Before a sink's name, the key of pump's state that holds a copy of its cursor, some time old: [number, state]."""
COPY_SECONDS: Final = 60.0
"""Seconds between two copies of a cursor."""


@dataclass(slots=True)
class Noted:
    """Cursors and pieces of state that wait for a commit; a value of None removes its key."""

    cursors: dict[str, Cursor] = field(default_factory=dict)
    values: dict[Key, Any] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.cursors or self.values)


class SpoolState:
    """Numbers, cursors, sources' state and counts of one spool. Belongs to the event loop; each change is a method.

    Head and floor never fall, and a cursor moves back by a rewind alone.
    """

    def __init__(
        self, *, head: int, floor: int, cursors: Mapping[str, Cursor] | None = None,
        values: Mapping[Key, Any] | None = None, quarantined: Mapping[str, int] | None = None,
        dead: Mapping[str, tuple[int, int]] | None = None, commits: int = 0, fetches: Iterable[Fetch] = (),
    ) -> None:  # fmt: skip
        """All as the file holds it at the start; where a cursor is lost its copy serves. `dead` by sink: letters, and
        their bytes."""
        self.fetches = FetchQueue(fetches)
        """Links that are still to be fetched."""
        self._head = head
        self._floor = floor
        self._values: dict[str, dict[str, Any]] = {}
        """By source, and there by key."""
        self._keys: dict[str, list[str]] = {}
        """Those of each source in their order, as the file has them: a prefix is a range of them."""
        self.apply(values or {})
        self._cursors = self._copies() | dict(cursors or {})
        self._stored = dict(self._cursors)
        self._copied: dict[str, float] = {}
        self.commits = commits
        """Commits so far that stored cursors or state; the writer's alone to count."""
        self.young = 0
        """Keys without a time that came since they were last moved; the writer's and retention's alone to count."""
        self._quarantined = dict(quarantined or {})
        self._dead: dict[str, int] = {}
        self._dead_bytes: dict[str, int] = {}
        self.recount_dead(dead or {})
        self._strangers = 0
        self._gaps: dict[str, Mapping[str, int]] = {}
        self._holders: dict[str, bool] = {}
        self._unstored = Noted()
        self._grown = asyncio.Event()

    # --- how far it has come ------------------------------------------------------------------------------------------

    @property
    def head(self) -> int:
        """The highest number that was committed."""
        return self._head

    @property
    def floor(self) -> int:
        """Everything through this number has been removed."""
        return self._floor

    def advance(self, head: int) -> None:
        """A commit has stored events through `head`; wakes those who wait for it."""
        if head > self._head:
            self._head = head
            self._grown.set()
            self._grown = asyncio.Event()

    def removed_through(self, floor: int) -> None:
        """Everything through `floor` is gone from the file."""
        self._floor = max(self._floor, floor)

    async def wait_above(self, seq: int) -> None:
        """Return once `head` is above `seq`."""
        while self._head <= seq:
            await self._grown.wait()

    # --- sinks --------------------------------------------------------------------------------------------------------

    def cursor(self, sink: str) -> Cursor | None:
        """The place noted last for the sink; None where it has none."""
        return self._cursors.get(sink)

    def set_cursor(self, sink: str, cursor: Cursor, *, rewind: bool = False) -> None:
        """Note a cursor for the next commit. Raises ValueError where it would move back without `rewind`."""
        before = self._cursors.get(sink)
        if before is not None and cursor.seq < before.seq and not rewind:
            raise ValueError(f"the cursor of {sink} would move back from {before.seq} to {cursor.seq}")
        self._cursors[sink] = self._unstored.cursors[sink] = cursor

    def copy_cursor(self, sink: str, cursor: Cursor, now: float, *, rewind: bool) -> None:
        """Note a copy of the cursor as a piece of state, every `COPY_SECONDS` and at once where it moved back.

        It lies on another page of the file: where the cursor itself is lost, the sink has what came since once more,
        and not all that is stored. `now` in seconds, by the monotonic clock.
        """
        if rewind or now - self._copied.get(sink, -COPY_SECONDS) >= COPY_SECONDS:
            self._copied[sink] = now
            self.remember(("pump", COPIES + sink), [cursor.seq, cursor.state])

    def _copies(self) -> dict[str, Cursor]:
        found: dict[str, Cursor] = {}
        for key, copy in self.values("pump", COPIES).items():
            match copy:
                case [int(seq), None | dict() as state]:
                    found[key.removeprefix(COPIES)] = Cursor(seq, state)
        return found

    @property
    def cursors_lost(self) -> bool:
        """True while a sink without a cursor may have had one: something of what it had not had is still there."""
        newest = self.value(LOST_CURSORS)
        return isinstance(newest, int) and self._floor < newest

    def set_holders(self, sinks: Mapping[str, bool]) -> None:
        """Have retention wait, or not, for each of these; what is known of others stays."""
        self._holders.update(sinks)

    def held_through(self) -> int:
        """The highest number that retention may remove: no holding sink is behind it, by its stored cursor."""
        return min(self._behind().values(), default=self._head)

    def holder(self) -> str:
        """The holding sink that is furthest behind; "" where none is."""
        behind = {sink: seq for sink, seq in self._behind().items() if seq < self._head}
        return min(behind, key=lambda sink: behind[sink], default="")

    def passed_through(self) -> int:
        """The number that every sink has passed which ever had a cursor, by its stored one."""
        return min((cursor.seq for cursor in self._stored.values()), default=self._head)

    def _behind(self) -> dict[str, int]:
        stored = self._stored
        return {sink: stored[sink].seq if sink in stored else 0 for sink, holds in self._holders.items() if holds}

    # --- sources ------------------------------------------------------------------------------------------------------

    def value(self, key: Key) -> Any:
        """One piece of state; None where there is none."""
        source, name = key
        return self._values.get(source, {}).get(name)

    def values(self, source: str, prefix: str = "") -> dict[str, Any]:
        """The source's state, for the keys that begin with `prefix`, in their order."""
        values, keys = self._values.get(source, {}), self._keys.get(source, [])
        found: dict[str, Any] = {}
        for place in range(bisect_left(keys, prefix), len(keys)):
            if not keys[place].startswith(prefix):
                break
            found[keys[place]] = values[keys[place]]
        return found

    def remember(self, key: Key, value: Any) -> None:
        """Note a piece of state for the next commit; None removes it."""
        self.apply({key: value})
        self._unstored.values[key] = value

    def apply(self, values: Mapping[Key, Any]) -> None:
        """Take over state that a commit has stored with its events; None removes a key."""
        for (source, name), value in values.items():
            mine, keys = self._values.setdefault(source, {}), self._keys.setdefault(source, [])
            if value is not None:
                if name not in mine:
                    insort(keys, name)
                mine[name] = value
            elif name in mine:
                del mine[name], keys[bisect_left(keys, name)]

    # --- between two commits ------------------------------------------------------------------------------------------

    @property
    def unstored(self) -> bool:
        """True while a cursor or a piece of state waits for a commit."""
        return bool(self._unstored)

    def noted(self) -> Noted:
        """A copy of all that waits."""
        return Noted(dict(self._unstored.cursors), dict(self._unstored.values))

    def waits(self, noted: Noted) -> bool:
        """True where any of these very objects still waits: neither stored nor replaced by a newer one."""
        mine = self._unstored
        return any(mine.cursors.get(sink) is cursor for sink, cursor in noted.cursors.items()) or any(
            key in mine.values and mine.values[key] is value for key, value in noted.values.items()
        )

    def take_unstored(self) -> Noted:
        """All that waits, for a commit: to be given to `stored` after it, or to `put_back` where it failed."""
        taken, self._unstored = self._unstored, Noted()
        return taken

    def stored(self, taken: Noted) -> None:
        """A commit has made these durable: retention may go by the cursors."""
        self._stored.update(taken.cursors)

    def put_back(self, taken: Noted) -> None:
        """These wait again, behind anything newer that came meanwhile."""
        self._unstored.cursors = taken.cursors | self._unstored.cursors
        self._unstored.values = taken.values | self._unstored.values

    # --- counts -------------------------------------------------------------------------------------------------------

    def quarantined(self, source: str) -> int:
        """Bytes stored of what `source` does not understand."""
        return self._quarantined.get(source, 0)

    def add_quarantined(self, source: str, size: int) -> None:
        """So many bytes more."""
        self._quarantined[source] = self.quarantined(source) + size

    def take_quarantined(self, gone: Mapping[str, int]) -> None:
        """The bytes of each source that were removed."""
        for source, size in gone.items():
            self._quarantined[source] = max(0, self.quarantined(source) - size)

    @property
    def strangers(self) -> int:
        """Bytes stored for devices that nobody knows."""
        return self._strangers

    def add_strangers(self, size: int) -> None:
        """So many bytes more, or fewer where the number is negative."""
        self._strangers = max(0, self._strangers + size)

    def recount_strangers(self, found: int) -> None:
        """The bytes as counted anew after a removal."""
        self._strangers = found

    @property
    def dead(self) -> Mapping[str, int]:
        """Dead letters by sink."""
        return self._dead

    @property
    def dead_bytes(self) -> Mapping[str, int]:
        """Their bytes by sink."""
        return self._dead_bytes

    def count_dead(self, sink: str, more: int, size: int) -> None:
        """So many dead letters of the sink, of so many bytes, came, or went where the numbers are negative."""
        self._dead[sink] = self._dead.get(sink, 0) + more
        self._dead_bytes[sink] = self._dead_bytes.get(sink, 0) + size

    def recount_dead(self, found: Mapping[str, tuple[int, int]]) -> None:
        """The letters of each sink and their bytes, counted anew."""
        self._dead = {sink: count for sink, (count, _) in found.items()}
        self._dead_bytes = {sink: size for sink, (_, size) in found.items()}

    @property
    def gaps(self) -> Mapping[str, Mapping[str, int]]:
        """Records of the gap ledger by source and state."""
        return self._gaps

    def recount_gaps(self, found: Mapping[str, Mapping[str, int]]) -> None:
        """The records, counted anew after a change."""
        self._gaps = dict(found)


Filling = Callable[[str, int, int], None]
"""(the sink that holds most or "", bytes used, max_bytes): the spool is four fifths full."""
Damaged = Callable[[list[int]], None]
"""Numbers of stored events whose checksum is wrong, each once; they reach no sink."""
Buried = Callable[[str, int, int], object]
"""(sink, count, bytes): its oldest dead letters were removed, for all together were more than their share."""


class News:
    """The spool's findings while it runs, for one listener; those from before it listens are kept for it."""

    def __init__(self) -> None:
        self._early: list[Callable[[], None]] = []
        self._filling: Filling | None = None
        self._damaged: Damaged | None = None
        self._buried: Buried | None = None

    def listen(self, *, filling: Filling, damaged: Damaged, buried: Buried = lambda *_: None) -> None:
        """Have these called from now on, and at once with what was found before."""
        self._filling, self._damaged, self._buried = filling, damaged, buried
        early, self._early = self._early, []
        for each in early:
            each()

    def filling(self, holder: str, used: int, limit: int) -> None:
        """The spool is filling up."""
        if self._filling is None:
            self._early.append(partial(self.filling, holder, used, limit))
        else:
            self._filling(holder, used, limit)

    def damaged(self, numbers: list[int]) -> None:
        """These events cannot be read."""
        if self._damaged is None:
            self._early.append(partial(self.damaged, numbers))
        else:
            self._damaged(numbers)

    def buried(self, sink: str, count: int, size: int) -> None:
        """Dead letters went."""
        if self._buried is None:
            self._early.append(partial(self.buried, sink, count, size))
        else:
            self._buried(sink, count, size)
