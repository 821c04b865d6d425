"""One record, one event: rows of the logs matched with the queues' records, in whichever order they come.

Every record that a log may have is stored with its sightings. A row is known where its own event was stored before, or
where another side has met more records of its name than the row's own side has: then one of those is the same. Counting
keeps two records apart that share a name, as two cars before one camera in one second do.

A row is looked up and stored while no queue stores, so that neither side misses the other.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from pump.core.event import Event, Sighting, Unparsed
from pump.ingest.intake import Intake
from pump.spool import Seen
from pump.vendors.hik_connect.backfill.rows import Found
from pump.vendors.hik_connect.backfill.sightings import LOGS, looked_for
from pump.vendors.hik_connect.uploads import Uploads

SPANS: Final = "backfill/spans"
"""The piece of state that holds the times, in seconds since 1970, that were searched: [[begin, end], …]."""
_MOST_SPANS: Final = 50
_SLICE: Final = 64
"""Events whose names are gathered between two looks at the event loop."""


@dataclass(slots=True)
class Judged:
    """The rows of a page: events that are new, the sightings of those that are known, and how many those are."""

    new: list[Event | Unparsed] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)
    known: int = 0


class Matcher:
    """One source's; `ends` is True where a queue brings the ends of alarms (the alarm queue alone does)."""

    def __init__(self, intake: Intake, *, ends: bool) -> None:
        self._intake = intake
        self._ends = ends
        self._gate = _Gate()
        stored = intake.state(SPANS).get(SPANS)
        self._spans: list[list[int]] = [
            [int(begin), int(end)] for begin, end in (stored if isinstance(stored, list) else [])
        ]

    # --- the logs' side -----------------------------------------------------------------------------------------------

    def search(self, begin: int, end: int) -> None:
        """This time is searched from now on: what queues bring of it may be known."""
        merged: list[list[int]] = []
        for low, high in sorted([*self._spans, [begin, end]]):
            if merged and low <= merged[-1][1]:
                merged[-1][1] = max(merged[-1][1], high)
            else:
                merged.append([low, high])
        # The oldest are grown together rather than forgotten: a look-up more harms nobody, one that is left out does.
        while len(merged) > _MOST_SPANS:
            merged[0:2] = [[merged[0][0], merged[1][1]]]
        self._spans = merged

    def state(self) -> dict[str, Any]:
        """What was searched, to be stored with what was found."""
        return {SPANS: self._spans}

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """No queue stores anything meanwhile."""
        async with self._gate.alone():
            yield

    async def judge(self, found: Sequence[Found]) -> Judged:
        """The rows of one page, to be called and stored within `alone`. Raises Unavailable."""
        events = [event for each in found for event in each if isinstance(event, Event)]
        index = await self._index(events)
        judged = Judged()
        for each in found:
            if isinstance(each.first, Unparsed):
                judged.new.append(each.first)
                continue
            twin = self._take(each.first, index, judged)
            # A start that a queue brought without its end has no end there: the queue's event is the whole of it.
            if each.end is not None and (self._ends or not twin):
                self._take(each.end, index, judged)
        return judged

    def _take(self, event: Event, index: _Index, judged: Judged) -> str:
        """Judge one event; the id of the other that it is, "" where there is none."""
        verdict = _same(event, index, lambda side, own: side != own)
        if verdict.known:
            judged.known += 1
        else:
            judged.new.append(event)
        judged.seen += verdict.accounts
        _note(index, verdict.accounts or [Seen(one, event.id) for one in event.sightings])
        return verdict.twin

    # --- the queues' side ---------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def among_queues(self) -> AsyncIterator[None]:
        """A queue looks and stores; others may meanwhile, a log may not."""
        async with self._gate.among():
            yield

    async def unknown(self, items: list[Event | Unparsed], uploads: Uploads) -> list[Event | Unparsed]:
        """Those that no log has brought before, to be called and stored within `among_queues`; mostly all.

        The others are noted in a transaction of their own, and `uploads` speaks of the log's events in their place.
        Raises Unavailable.
        """
        if not self._spans or not any(self._may_be_known(item) for item in items):
            return items
        events = [item for item in items if isinstance(item, Event) and item.sightings]
        index = await self._index(events)
        if not index:
            return items
        kept: list[Event | Unparsed] = []
        seen: list[Seen] = []
        for item in items:
            if not isinstance(item, Event) or not item.sightings:
                kept.append(item)
                continue
            verdict = _same(item, index, lambda side, own: side in LOGS)
            _note(index, verdict.accounts or [Seen(one, item.id) for one in item.sightings])
            if verdict.twin:
                seen += verdict.accounts
                uploads.rename(item.id, verdict.twin)
            else:
                kept.append(item)
        if seen:
            await self._intake.gaps.fill(None, (), seen=seen)
            self._intake.count("filled before", len(items) - len(kept))
        return kept

    def _may_be_known(self, item: Event | Unparsed) -> bool:
        if not isinstance(item, Event) or not item.sightings or item.time is None:
            return False
        second = int(item.time.timestamp())
        return any(begin <= second <= end for begin, end in self._spans)

    async def _index(self, events: Iterable[Event]) -> _Index:
        index: _Index = defaultdict(list)
        names: set[Sighting] = set()
        for place, event in enumerate(events):
            names.update(looked_for(event.sightings))
            if place % _SLICE == _SLICE - 1:
                await asyncio.sleep(0)
        for each in await self._intake.gaps.seen(names):
            index[each.sighting.at, each.sighting.key].append(each)
        return index


_Index = defaultdict[tuple[int, str], list[Seen]]


class _Verdict(NamedTuple):
    """`twin` is the id of another side's event that it is, "" where it is its own; `accounts` say so."""

    known: bool
    twin: str = ""
    accounts: Sequence[Seen] = ()


def _same(event: Event, index: _Index, other: Callable[[str, str], bool]) -> _Verdict:
    """The verdict on an event; `other(side, own side)` is True of a side in which it is looked for."""
    names = looked_for(event.sightings)
    for name in names:
        for each in index.get((name.at, name.key), ()):
            if each.sighting.side == name.side and each.id == event.id:
                return _Verdict(True, each.twin)
    accounts: list[Seen] = []
    for name in names:
        # Under each name at which somebody is free: a queue's and another queue's event may be one row of a log.
        if (found := _free(name, index.get((name.at, name.key), ()), other)) is not None:
            accounts.append(Seen(name, event.id, found))
    return _Verdict(True, accounts[0].twin, accounts) if accounts else _Verdict(False)


def _free(sighting: Sighting, entries: Sequence[Seen], other: Callable[[str, str], bool]) -> str | None:
    """The event of a side that has met more records of this name than the sighting's own has."""
    own = [each for each in entries if each.sighting.side == sighting.side]
    taken = {each.twin for each in own} | {each.id for each in own}
    for side in sorted({each.sighting.side for each in entries}):
        if other(side, sighting.side):
            theirs = [each.twin or each.id for each in entries if each.sighting.side == side]
            if len(theirs) > len(own):
                return next((id_ for id_ in theirs if id_ not in taken), theirs[0])
    return None


def _note(index: _Index, seen: Iterable[Seen]) -> None:
    for one in seen:
        entries = index[one.sighting.at, one.sighting.key]
        if not any(each.id == one.id and each.sighting.side == one.sighting.side for each in entries):
            entries.append(one)


class _Gate:
    """Many at a time, or one alone, who is let in before those that come after him."""

    def __init__(self) -> None:
        self._door = asyncio.Lock()
        self._inside = 0
        self._empty = asyncio.Event()
        self._empty.set()

    @asynccontextmanager
    async def among(self) -> AsyncIterator[None]:
        async with self._door:
            self._inside += 1
            self._empty.clear()
        try:
            yield
        finally:
            self._inside -= 1
            if not self._inside:
                self._empty.set()

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        async with self._door:
            await self._empty.wait()
            yield
