"""Ages that a clock which jumps does not falsify: how long ago, at the least, the wall clock showed a stamp.

A host without a battery clock boots in 1970 or years ahead, and NTP mends it minutes later. Arrivals are stored as the
wall clock gave them, so nothing may be removed for what two wall times differ by. `Ages` counts the time that the pump
has seen pass (by the monotonic clock) and keeps which wall times the clock showed when: its spans. docs/clocks.md says
what follows for each part.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Final

import structlog

log = structlog.get_logger()

JUMP_MS: Final = 60_000
"""A wall clock that differs by more from what was to be expected has jumped, which is an event."""
STEP_MS: Final = 2_000
"""A smaller step begins a new span, and is no event."""
LONGEST_MS: Final = 366 * 86_400_000
"""A longer time without the pump is not believed: a clock that is years ahead is likelier."""
STEADY: Final = 3600.0
"""Seconds for which the clock must not jump after a start until the time without the pump counts as passed."""
NOTE: Final = 600.0
"""Seconds between two notes of the time that was seen."""
MOST: Final = 256
"""Spans that are remembered; the oldest two become one beyond it."""
UNTOLD: Final = 16
"""Jumps that may wait for their event."""
BEGINNING: Final = -(1 << 62)
_STOOD: Final = 0.5
"""Seconds between the two readings of one look, beyond which the process stood still in their middle."""


@dataclass(slots=True, frozen=True)
class Jump:
    """The wall clock has jumped; both times in milliseconds since 1970."""

    before: int
    """As the clock would show it now, had it not jumped; after a start the newest time that is stored."""
    after: int


@dataclass(slots=True, frozen=True)
class _Span:
    """From `begin` to `end`, in seen time, the clock showed the seen time plus `offset`; all in milliseconds."""

    begin: int
    end: int | None
    """None: it still does."""
    offset: int


@dataclass(slots=True, frozen=True)
class _Line:
    """The seen time so far, with its wall time and highest number, and all spans until then."""

    seen: int
    wall: int
    head: int
    spans: list[_Span]

    def through(self, newest: tuple[int, int] | None) -> _Line:
        """The line up to the newest event, which may have come after the note was written."""
        if newest is None or newest[0] <= self.head:
            return self
        return replace(self, seen=self.seen + min(max(0, newest[1] - self.wall), int(2000 * NOTE)), wall=newest[1])

    def json(self) -> dict[str, Any]:
        """As it is noted."""
        spans = [[span.begin, span.end, span.offset] for span in self.spans]
        return {"seen": self.seen, "wall": self.wall, "head": self.head, "spans": spans}

    @classmethod
    def of(cls, kept: dict[str, Any]) -> _Line:
        """As `json` gave it. Raises TypeError, ValueError, KeyError, IndexError for what it did not give."""
        spans = [
            _Span(int(begin), None if end is None else int(end), int(offset)) for begin, end, offset in kept["spans"]
        ]
        spans[-1] = replace(spans[-1], end=None)
        return cls(int(kept["seen"]), int(kept["wall"]), int(kept["head"]), spans)


class Ages:
    """One clock's history. Its methods may be called from any thread; each takes a look at the clock first."""

    def __init__(self, now_ms: Callable[[], int], monotonic: Callable[[], float]) -> None:
        """The two readings of the clock. Begins without a past: every stamp is believed, until `load`."""
        self._now_ms = now_ms
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._loaded = False
        self._untold: list[Jump] = []
        self._due = False
        self._noted = monotonic()
        wall, mono = self._read()
        self._begin(wall, mono, seen=wall, doubt=0)
        self._spans = [_Span(BEGINNING, None, 0)]
        self._fresh = True
        self._line = _Line(wall, wall, 0, [])
        """While in doubt: where the last run without doubt ended."""
        self._mistrusting: list[_Span] = []
        """While in doubt: the spans as they are if the time without the pump does not count."""

    # --- what is asked ------------------------------------------------------------------------------------------

    def look(self) -> None:
        """See whether the clock has jumped. At least once a second, so that it is known when."""
        with self._lock:
            self._look()

    def age(self, wall_ms: int, *, down: bool = False) -> float | None:
        """Seconds since the clock showed this time, the last time it did; None where it lies in an unknown future.

        Time without the pump that is in doubt yet counts with `down` alone: where too short is worse than too long.
        """
        with self._lock:
            self._look()
            latest = self._latest(wall_ms)
            if latest is None:
                return None
            doubt = 0 if down or latest >= self._start else self._doubt
            return max(0, self._last - latest - doubt) / 1000.0

    def latest(self, wall_ms: int) -> int:
        """The seen time at which the clock showed this, the last time it did; for sorting by age."""
        with self._lock:
            self._look()
            latest = self._latest(wall_ms)
            return self._last + wall_ms - self._wall if latest is None else latest

    def old(self, seconds: float) -> list[tuple[int, int]]:
        """The wall times from which more than so many seconds have passed for certain: [from, to), in order.

        The first begins with the beginning of all time, and is the only one for a clock that never jumped.
        """
        with self._lock:
            self._look()
            cut = self._last - self._doubt - int(seconds * 1000)
            young: list[tuple[int, int]] = []
            limit, shown = self._wall, BEGINNING
            for span in self._spans:
                end = self._last if span.end is None else span.end
                limit = max(limit, end + span.offset)
                if span.begin > cut and shown < span.begin + span.offset:
                    young.append((shown, span.begin + span.offset))  # what the clock left out as it jumped forward
                if end >= cut:  # a little more on both sides, for small steps make no span of their own
                    young.append((max(span.begin - STEP_MS, cut) + span.offset, end + span.offset + STEP_MS))
                shown = max(shown, end + span.offset)
        return list(_between(sorted(young), limit))

    def present(self, wall_ms: int) -> int:
        """A stamp of this run as the clock of now would have given it, milliseconds since 1970; older ones as is."""
        with self._lock:
            self._look()
            *former, present = self._spans
            if self._latest_in(present, wall_ms) is not None:
                return wall_ms
            for span in reversed(former):
                if span.end is None or span.end <= self._start:
                    break
                if max(span.begin, self._start) <= wall_ms - span.offset <= span.end:
                    return wall_ms - span.offset + present.offset
            return wall_ms

    def jumps(self) -> list[Jump]:
        """The jumps that are not events yet; each is given once."""
        with self._lock:
            self._look()
            told, self._untold = self._untold, []
            self._due = self._due or bool(told)
            return told

    # --- over restarts ------------------------------------------------------------------------------------------

    def load(self, kept: object, newest: tuple[int, int] | None) -> None:
        """Take up what `state` gave a former run, and the newest stored event's number and arrival. Once a process.

        A time without the pump that can be one counts, after an hour in which the clock did not jump.
        """
        with self._lock:
            if self._loaded:
                return
            self._loaded = True
            former = _former(kept)
            if former is None and newest is None:
                self._due = True
                return
            if former is not None:
                line, doubted, self._untold = former
            else:  # by the clock alone, as before there were notes
                assert newest is not None
                line, doubted = _unnoted(*newest), None
            self._resume(line, doubted, newest)

    def witness(self, wall_ms: int) -> None:
        """A run of which no note is left stamped something then: what passed since is in doubt, as at any start.

        Nothing where there is a note, for that says more, or where it lies ahead.
        """
        with self._lock:
            self._look()
            if self._fresh and len(self._spans) == 1 and wall_ms < self._wall:
                self._resume(_unnoted(0, wall_ms), None, None)

    def note(self, head: int, *, now: bool = False) -> dict[str, Any] | None:
        """The state that `load` needs at the next start, where it is due: JSON; `head` is the highest stored number."""
        with self._lock:
            self._look()
            mono = self._monotonic()
            if not (now or self._due or mono - self._noted >= NOTE):
                return None
            self._due, self._noted = False, mono
            note = _Line(self._last, self._wall, head, self._spans).json()
            if self._doubt:  # which of the two is right shows later, perhaps in another run
                doubted = _Line(self._last - self._doubt, self._wall, head, self._mistrusting)
                note = {**self._line.json(), "doubted": doubted.json()}
            return {**note, "untold": [[jump.before, jump.after] for jump in self._untold]}

    # --- the clock ----------------------------------------------------------------------------------------------

    def _read(self) -> tuple[int, float]:
        for _ in range(10):
            begun = self._monotonic()
            wall = self._now_ms()
            mono = self._monotonic()
            if mono - begun < _STOOD:
                break
        return wall, mono

    def _resume(self, line: _Line, doubted: _Line | None, newest: tuple[int, int] | None) -> None:
        """Go on from where a former run ended."""
        self._fresh = False
        wall, mono = self._read()
        known = (doubted or line).through(newest)
        down = wall - line.spans[-1].offset - line.seen
        back = wall < known.wall - JUMP_MS
        mistrusting = [*known.spans[:-1], replace(known.spans[-1], end=known.seen)]
        mistrusting.append(_Span(known.seen, None, wall - known.seen))
        if back or down > LONGEST_MS or line.seen + down <= known.seen:
            self._spans = mistrusting if abs(down) > STEP_MS or doubted else line.spans
            self._begin(wall, mono, seen=known.seen, doubt=0)
        else:
            self._spans, self._line, self._mistrusting = line.spans, line, mistrusting
            self._begin(wall, mono, seen=line.seen + down, doubt=line.seen + down - known.seen)
        self._due = True
        if back:
            self._tell(Jump(known.wall, wall))

    def _begin(self, wall: int, mono: float, *, seen: int, doubt: int) -> None:
        self._anchor, self._started = float(seen), mono
        self._start = self._last = seen
        """Seen time at the start, and at the last look; milliseconds."""
        self._wall = wall
        self._doubt = doubt
        """Of the seen time, milliseconds without the pump that may be an error of the clock."""

    def _look(self) -> None:
        wall, mono = self._read()
        seen = int(self._anchor + (mono - self._started) * 1000.0)
        expected = self._wall + seen - self._last
        if abs(wall - expected) > JUMP_MS:
            seen = self._jumped(wall, mono, seen)
            self._tell(Jump(expected, wall))
        elif self._doubt and mono - self._started >= STEADY:
            self._doubt, self._due = 0, True
        elif abs(wall - seen - self._spans[-1].offset) > STEP_MS:
            self._close(seen)
            self._follow(_Span(self._last, None, wall - seen))
            if self._doubt:
                *former, last = self._mistrusting
                step = _Span(self._last - self._doubt, None, wall - seen + self._doubt)
                self._mistrusting = [*former, replace(last, end=seen - self._doubt), step]
        self._last, self._wall = seen, wall

    def _jumped(self, wall: int, mono: float, seen: int) -> int:
        """Begin a new span; the seen time, which is less where the time without the pump is not believed now."""
        self._due = True
        if self._doubt:
            doubt, self._doubt = self._doubt, 0
            self._anchor -= doubt
            self._start -= doubt
            self._last -= doubt
            seen -= doubt
            self._spans = self._mistrusting
        elif self._fresh and mono - self._started < STEADY:
            # What is older than the history may have been stamped by a clock as right as this one: the later counts.
            self._fresh = False
            self._spans.insert(0, _Span(BEGINNING, self._start, wall - seen))
        self._close(seen)
        self._follow(_Span(self._last, None, wall - seen))
        return seen

    def _close(self, end: int) -> None:
        self._spans[-1] = replace(self._spans[-1], end=end)

    def _follow(self, span: _Span) -> None:
        self._spans.append(span)
        if len(self._spans) > MOST:
            self._spans[:2] = [replace(self._spans[1], begin=BEGINNING)]

    def _tell(self, jump: Jump) -> None:
        log.warning("The wall clock has jumped", before_ms=jump.before, after_ms=jump.after)
        self._untold.append(jump)
        del self._untold[:-UNTOLD]
        self._due = True

    def _latest(self, wall: int) -> int | None:
        found: int | None = None
        shown = BEGINNING
        for span in self._spans:
            latest = self._latest_in(span, wall)
            if latest is None and shown < wall < span.begin + span.offset:
                latest = span.begin
            if latest is not None and (found is None or latest > found):
                found = latest
            shown = max(shown, (self._last if span.end is None else span.end) + span.offset)
        return found

    def _latest_in(self, span: _Span, wall: int) -> int | None:
        end = self._last if span.end is None else span.end
        seen = wall - span.offset
        # Small steps make no span of their own.
        return min(seen, end) if span.begin - STEP_MS <= seen <= end + STEP_MS else None


def in_order(kept: object, wall_ms: int) -> bool:
    """False where the clock was once set back over this wall time (ms since 1970), by the note that `load` takes.

    Then stamps of before and after it are mixed, and a search by halves goes wrong. Without a note nobody knows.
    """
    former = _former(kept)
    if former is None:
        return False
    shown = BEGINNING
    for span in (former[1] or former[0]).spans:
        begin = span.begin + span.offset
        if begin < shown and begin < wall_ms + JUMP_MS and shown > wall_ms - JUMP_MS:
            return False
        shown = max(shown, begin if span.end is None else span.end + span.offset)
    return True


def _between(young: Iterable[tuple[int, int]], limit: int) -> Iterable[tuple[int, int]]:
    """The pieces between the sorted ranges, up to `limit`; the first piece always, be it empty."""
    last, first = BEGINNING, True
    for begin, end in young:
        if begin > last or first:
            yield last, max(begin, last)
            first = False
        last = max(last, end + 1)
    if last < limit:
        yield last, limit + 1


def _unnoted(head: int, wall: int) -> _Line:
    """Where a run ended that left no note, by the wall time and the number that it stored last."""
    return _Line(wall, wall, head, [_Span(BEGINNING, None, 0)])


def _former(kept: object) -> tuple[_Line, _Line | None, list[Jump]] | None:
    """The state that `note` gave; None where it is none."""
    if not isinstance(kept, dict):
        return None
    with suppress(TypeError, ValueError, KeyError, IndexError):
        doubted = _Line.of(kept["doubted"]) if "doubted" in kept else None
        untold = [Jump(int(before), int(after)) for before, after in kept["untold"]]
        return _Line.of(kept), doubted, untold
    return None
