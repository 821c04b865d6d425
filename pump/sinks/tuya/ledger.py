"""The ledger of one lot: each window's counts, what was accepted of them, and what is to be reported next.

It lies in the sink's memory (`Sink.recall`), a key for each window, so that a change costs a row and not the whole.
The memory is never older than the cursor: what `send` sets is noted before delivery moves the cursor, and one commit
takes both. It may be newer, where a kill comes between; so each window keeps the highest number (`Record.seq`) that it
has counted, and what comes again, after a crash or by a replay, is not counted twice.

Windows are aligned to their length, and follow one another without a hole from the first one in which something was
counted (`since`): an hour without a vehicle is reported too, for it may be that we missed them all. Such a window is
stored once it is accepted; until then it is due because it is not there.

What is due goes by the wall clock (the vendor compares it with its own, and refuses a wrong one), what is removed by
the time that has passed (`Ages`), so that a clock which jumps removes nothing.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Collection, Iterator, Mapping, MutableMapping
from typing import Any, Final

import structlog

from pump.core.clock import Clock
from pump.sinks.tuya.windows import KINDS, OF_TYPE, Kind, Report, Window

log = structlog.get_logger()

WINDOW: Final = "window/"
"""Of the memory's keys, followed by the window's start."""
SINCE: Final = "since"
FORGOTTEN: Final = "forgotten"
FED: Final = "fed"
FORM: Final = "form"
KEEP: Final = 31 * 86400.0
"""Seconds for which an accepted window is kept, and for which an event may be late."""
MOST: Final = 10_000
"""Windows that are kept, whatever their age; after a time without the pump half as many are caught up with."""
LONGEST_LOOK: Final = 30.0
"""Seconds between two looks at the wall clock, which may jump."""
SHORTEST_LOOK: Final = 0.01
_LIVE_MS: Final = 86_400_000


class Ledger:
    """One lot's windows; all in memory, each change noted in `memory`."""

    def __init__(
        self,
        memory: MutableMapping[str, Any],
        *,
        window_ms: int,
        lag_ms: int,
        named: Collection[Kind],
        able: Collection[Kind] = KINDS,
        clock: Clock,
    ) -> None:
        """`named`: kinds that are reported though nothing was counted of them yet, for the configuration names them.

        `able`: those that can be counted at all.
        """
        self._memory = memory
        self._length = window_ms
        self._lag = lag_ms
        self._reach = min(int(KEEP * 1000), MOST // 2 * window_ms)
        self._through = -1
        self._named = frozenset(named)
        self._clock = clock
        self._windows = dict(read(memory))
        self._starts = sorted(self._windows)
        self._forgotten: int = memory.get(FORGOTTEN, -1)
        self._fed: dict[Kind, int] = {}
        self._configure(able)
        self._pending = {start for start in self._starts if self._waits(self._windows[start])}
        self._aside: dict[tuple[int, int], float] = {}

    def _configure(self, able: Collection[Kind]) -> None:
        """Have each kind reported from where something began to feed it, and no more where nothing does."""
        before = self._memory.get(FORM, {}).get("named", ())
        for kind, since in self._memory.get(FED, {}).items():
            if kind in able and (kind in self._named or kind not in before):
                self._fed[kind] = since
        if SINCE in self._memory:
            # what passed before the table had its camera was not counted
            begin = self._at(self._clock.now_ms()).end
            self._fed = {**dict.fromkeys(self._named, begin), **self._fed}
        form = {"window": self._length, "lag": self._lag, "named": sorted(self._named)}
        for key, value in ((FED, dict(self._fed)), (FORM, form)):
            if self._memory.get(key) != value:
                self._memory[key] = value

    # --- counting -----------------------------------------------------------------------------------------------------

    def count(self, kind: Kind, at: int, seq: int, arrived: int) -> str:
        """Count an event that happened at `at`; "" where it was counted, else why not: "repeated" or "too late".

        `seq` is its number, `arrived` its arrival; times in milliseconds since 1970.
        """
        age = self._clock.ages.age(at)
        if at < self._forgotten or (age is not None and age >= KEEP):
            return "too late"
        window = self._at(at)
        if seq <= window.seq:
            return "repeated"
        window.counts[kind] = window.count(kind) + 1
        window.seq, window.changed = seq, arrived
        if window.start not in self._windows:
            self._windows[window.start] = window
            insort(self._starts, window.start)
        self._feed(kind, window.start, live=abs(arrived - at) < _LIVE_MS)
        self._note(window)
        return ""

    def _feed(self, kind: Kind, start: int, *, live: bool) -> None:
        """Something was counted; where it is the first, its window is the first of all, but not for a late event."""
        fed = dict(self._fed)
        if live and SINCE not in self._memory:
            self._memory[SINCE] = start
            fed = {**dict.fromkeys(self._named, start), **fed}
        if live:
            fed.setdefault(kind, start)
        if fed != self._fed:
            self._fed = fed
            self._memory[FED] = dict(fed)

    def _at(self, at: int) -> Window:
        """The window that holds the moment; a new one where there is none, as long as its neighbours let it be."""
        place = bisect_right(self._starts, at)
        before = self._windows[self._starts[place - 1]] if place else None
        if before is not None and at < before.end:
            return before
        start = at - at % self._length
        end = start + self._length
        if before is not None:  # neighbours may be of another length, which the configuration had before
            start = max(start, before.end)
        if place < len(self._starts):
            end = min(end, self._starts[place])
        return Window(start, end)

    def _note(self, window: Window) -> None:
        self._memory[f"{WINDOW}{window.start}"] = window.json()
        if self._waits(window):
            self._pending.add(window.start)
        else:
            self._pending.discard(window.start)

    # --- reporting ----------------------------------------------------------------------------------------------------

    def _kinds(self, window: Window, data_type: int) -> tuple[Kind, ...]:
        """The kinds that a report about the window holds; none of what nothing feeds."""
        return tuple(
            kind
            for kind in OF_TYPE[data_type]
            if kind in window.sent or window.count(kind) or self._fed.get(kind, window.start + 1) <= window.start
        )

    def _waits(self, window: Window) -> bool:
        return any(window.differs(self._kinds(window, data_type)) for data_type in OF_TYPE)

    def next(self) -> Report | None:
        """The earliest report that is due now; None where there is none."""
        now, moment = self._clock.now_ms(), self._clock.monotonic()
        for window in self._candidates(now):
            if self._ready_in(window, now) > 0:
                continue
            for data_type in OF_TYPE:
                kinds = self._kinds(window, data_type)
                aside = self._aside.get((window.start, data_type), moment) > moment
                if window.differs(kinds) and not aside:
                    return Report(window, data_type, {kind: window.count(kind) for kind in kinds})
        return None

    @property
    def holds_back(self) -> bool:
        """True while a report that was refused waits for others."""
        moment = self._clock.monotonic()
        return any(until > moment for until in self._aside.values())

    def wait(self) -> float:
        """Seconds after which `next` is to be asked again."""
        now, moment = self._clock.now_ms(), self._clock.monotonic()
        waits = [LONGEST_LOOK, *(until - moment for until in self._aside.values() if until > moment)]
        waits += [
            ready
            for window in self._candidates(now + int(LONGEST_LOOK * 1000))
            if (ready := self._ready_in(window, now)) > 0
        ]
        return max(SHORTEST_LOOK, min(waits))

    def _candidates(self, now: int) -> Iterator[Window]:
        """The windows that wait and whose end and lag lie before `now`, in order; the first of the empty ones too."""
        empty = self._first_empty(now)
        for start in sorted(self._pending):
            if empty is not None and empty.start < start:
                yield empty
                empty = None
            if self._windows[start].end + self._lag <= now:
                yield self._windows[start]
        if empty is not None:
            yield empty

    def _first_empty(self, now: int) -> Window | None:
        """The first window without an event that is not stored yet and lies wholly before `now` less the lag."""
        since: int | None = self._memory.get(SINCE)
        if since is None:
            return None
        limit = now - self._lag
        if self._through - self._length > now:  # the clock was ahead, and is right again
            self._through = since
        through = max(self._through, since, self._forgotten, limit - self._reach)
        while (window := self._at(through)).start in self._windows:
            through = window.end
        self._through = through
        return window if window.end <= limit and self._waits(window) else None

    def _ready_in(self, window: Window, now: int) -> float:
        """Seconds until the window may be reported: a lag after its end, and after its newest event came."""
        ends = (window.end + self._lag - now) / 1000
        if not window.changed:
            return ends
        quiet = self._clock.ages.age(window.changed)
        return ends if quiet is None else max(ends, self._lag / 1000 - quiet)

    def accepted(self, report: Report, sn: str) -> None:
        """The lot has taken the report; `sn` is its number."""
        window = self._stored(report.window)
        window.sent.update(report.counts)
        window.sn[report.data_type] = sn
        window.refused = ""
        self._aside.pop(report.name, None)
        self._note(window)
        self._forget()

    def set_aside(self, report: Report, why: str, seconds: float) -> None:
        """The report was refused for what it holds: others go first for so long."""
        window = self._stored(report.window)
        window.refused = why
        self._aside[report.name] = self._clock.monotonic() + seconds
        self._note(window)

    def _stored(self, window: Window) -> Window:
        """The window as it stands in the ledger: an empty one that was reported may have got an event meanwhile."""
        if window.start not in self._windows:
            self._windows[window.start] = window
            insort(self._starts, window.start)
        return self._windows[window.start]

    # --- forgetting ---------------------------------------------------------------------------------------------------

    def _forget(self) -> None:
        """Remove accepted windows that are old, and whatever is too much."""
        while self._starts:
            window = self._windows[self._starts[0]]
            too_many = len(self._starts) > MOST
            age = self._clock.ages.age(window.end)
            old = age is not None and age >= KEEP and window.start not in self._pending
            if not (old or too_many):
                return
            if window.start in self._pending:
                log.error("A window is given up that the lot never accepted", start_ms=window.start, most=MOST)
            self._forgotten = max(self._forgotten, window.end)
            self._memory[FORGOTTEN] = self._forgotten
            del self._memory[f"{WINDOW}{window.start}"], self._windows[window.start], self._starts[0]
            self._pending.discard(window.start)


def read(memory: Mapping[str, Any]) -> Iterator[tuple[int, Window]]:
    """The windows that a sink's memory holds, by start; a value that is none is passed over and reported."""
    for key in list(memory):
        if key.startswith(WINDOW):
            try:
                start = int(key.removeprefix(WINDOW))
                yield start, Window.of(start, memory[key])
            except (KeyError, TypeError, ValueError, AttributeError):
                log.error("A stored window cannot be read and is left out", key=key)
