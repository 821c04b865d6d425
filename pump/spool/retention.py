"""Keeping the spool in bounds: checkpoints, retention, the size limit, coming back from a full disk."""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from pump.core.clock import Clock
from pump.spool import statements
from pump.spool.connection import PAGE_SIZE
from pump.spool.errors import Verdict, verdict
from pump.spool.gaps import sightings
from pump.spool.state import MARKS, TIME, News, SpoolState
from pump.spool.tables import strangers, young
from pump.spool.tables.dead_share import DeadShare
from pump.spool.types import SpoolSettings
from pump.spool.writer import Writer

if TYPE_CHECKING:  # a spool is read by commands too, which count nothing
    from pump.telemetry.metrics import Metrics

log = structlog.get_logger()

CHECKPOINT_BYTES = 4 << 20
"""Small checkpoints keep the commits beside them quick: 99 % within 3 ms instead of 22 (docs/measurements.md)."""
TICK = 1.0
"""Seconds between two looks while anything is due."""
KEYS_KEPT = 1_000_000
KEYS_SECONDS = 7 * 86400.0
MARK_SECONDS = 6 * 3600.0
SWEEP_SECONDS = 60.0
MOVES = 512
"""Slices of a move of young keys, a tick's each where no more come: of 64 keys, which among ten million write 1 MiB."""
NAMED = 10.0
"""Seconds between two looks for who holds a spool that refuses."""
LOG_SECONDS = 60.0
"""From one line about strangers' events to the next."""
PRESSED = 0.75
"""Share of `max_bytes` from which delivered events go before their retention is over."""
FILLING = 0.8
RELIEVED = 0.7
RESUME = 0.95
SHRINKING = 16
"""Part of `max_bytes` by which a spool that is above it, and shrinks, may grow again before it refuses."""
NEVER = 1 << 62
SLICES = 8
"""Slices in a row, so that removing keeps up with storing; more would keep puts waiting."""


class Retention:
    """The work between commits. `maintain` is called after each of them and once a `TICK`."""

    def __init__(
        self, state: SpoolState, writer: Writer, path: Path, settings: SpoolSettings, *, clock: Clock, news: News,
        metrics: Metrics,
    ) -> None:  # fmt: skip
        """`path` is the database's."""
        self.used = 0
        """Bytes: pages in use, and the WAL."""
        self.max_bytes = settings.max_bytes
        self._state = state
        self._writer = writer
        self._wal = path.with_name(path.name + "-wal")
        self._news = news
        self._settings = settings
        self._clock = clock
        self._metrics = metrics
        self._dead = DeadShare(state, writer, settings.max_bytes, clock=clock, news=news, metrics=metrics)
        self._wal_bytes = 0
        self._filling = False
        self._full = False
        """Whether it refuses for its size."""
        self._most = self._most_for = 0
        """Bytes up to which it takes events while it shrinks to `max_bytes`, and the `max_bytes` that they are for."""
        self._named = -NAMED
        self._evicting = False
        self._evicted = 0
        self._logged = -LOG_SECONDS
        self._looked = -TICK
        self._swept = -SWEEP_SECONDS
        self._swept_through = 0
        self._sweep: statements.Key | None = None
        self._sightings: sightings.Place | None = None
        self._merge: young.Key | None = None
        self._merge_slice = 0
        self._merged_through = 0

    def adjust(self, settings: SpoolSettings) -> None:
        """Keep, and refuse, by these settings from the next look on."""
        self._settings = settings
        self.max_bytes = settings.max_bytes

    async def begin(self) -> None:
        """Take the first measure, and refuse at once where it is too much. Raises sqlite3.Error."""
        await self._measure()
        await self._limit(self._state.passed_through())  # nobody has said yet which sinks hold

    async def maintain(self) -> bool:
        """Do what is due; True where more of it waits."""
        if self._writer.fatal is not None:
            return False
        more = False
        self.note_time()
        try:
            if self._writer.written >= min(CHECKPOINT_BYTES, self.max_bytes // 16):
                # A WAL that once grew stays that large, and counts, until it is cut.
                most = min(4 * CHECKPOINT_BYTES, self.max_bytes // 4)
                mode = "TRUNCATE" if self._wal_bytes > most else "PASSIVE"
                await self._writer.checkpoint(mode)
                await self._measure()
            more = await self._evict()
            if await self._dead.keep():
                more = True
                self._writer.wrote(statements.SLICE * 1024)
                await self._measure()
            now = self._clock.monotonic()
            aged = now - self._looked >= TICK
            if aged or self.used > PRESSED * self.max_bytes:
                self._looked = now if aged else self._looked
                for _ in range(SLICES):
                    if not await self._prune(aged=aged):
                        break
                else:
                    more = True
                await self._prune_keys(now)
                await self._prune_sightings()
                await self._look_how_full()
                await self._limit()
            await self._merge_young(aged=aged)  # last: without room it fails, and what makes room lies before it
        except sqlite3.Error as error:
            self._trouble(error)
        return more

    async def _measure(self) -> None:
        self._measured(await self._writer.run(statements.used_bytes))

    def _measured(self, used: int) -> None:
        """So many bytes of pages are in use."""
        with suppress(FileNotFoundError):  # no WAL yet
            self._wal_bytes = self._wal.stat().st_size
        self.used = used + self._wal_bytes
        self._metrics.spool_bytes.set(self.used)
        self._metrics.spool_limit.set(self.max_bytes)

    async def _evict(self) -> bool:
        """One slice of strangers' oldest events, where they hold more than their share; True where more must go."""
        state, share = self._state, strangers.share(self.max_bytes)
        if not self._evicting and state.strangers <= share:
            return False
        self._evicting = state.strangers > share * strangers.LEFT
        if not self._evicting:
            return False
        holes = strangers.holes_of(state.value(strangers.NOTED))
        work = partial(
            statements.evict, holding=state.strangers, most=int(share * strangers.LEFT),
            holes=[hole for hole in holes if hole.last > state.floor], passed=state.passed_through(),
        )  # fmt: skip
        gone = await self._writer.run(work)
        if gone is None:  # what was counted is not there
            state.recount_strangers(await self._writer.run(strangers.held))
            return False
        self._writer.evicted(gone)
        state.take_quarantined(gone.quarantined)
        self._metrics.pruned.labels("strangers").inc(gone.events)
        self._evicted += gone.events
        now = self._clock.monotonic()
        if now - self._logged >= LOG_SECONDS:
            self._logged = now
            log.warning(
                "Devices that nobody knows send more than their share of the spool; their oldest events are removed",
                events=self._evicted, max_bytes=share,
            )  # fmt: skip
            self._evicted = 0
        self._writer.wrote(statements.SLICE * 1024)
        await self._measure()
        return True

    async def _prune(self, *, aged: bool) -> bool:
        """One slice: by age, where that is due, or by size before the size becomes a matter of refusing."""
        limit = self.max_bytes
        if not aged and self.used <= PRESSED * limit:
            return False
        (_, before), *old = self._clock.ages.old(self._settings.retention)
        through, reason = self._state.held_through(), "age"
        if self.used > PRESSED * limit:
            before, reason = NEVER, "size"
            if self.used > RESUME * limit and self._settings.when_full == "drop-oldest":
                through, reason = self._state.head, "full"
        through = min(through, self._state.head)
        if through <= self._state.floor:
            return False
        work = partial(statements.prune, through=through, before=before, old=old)
        pruned = await self._writer.run(work)
        if pruned is None:
            return False
        self._state.removed_through(pruned.floor)
        self._state.take_quarantined(pruned.quarantined)
        self._state.add_strangers(-pruned.strange)
        self._metrics.pruned.labels(reason).inc(pruned.events)
        self._writer.wrote(statements.SLICE * 1024)
        self._measured(pruned.used)
        return True

    async def _prune_keys(self, now: float) -> None:
        """Keys outlive their events: the newest million or seven days, whichever is more. One slice of a sweep."""
        if self._sweep is None:
            if now - self._swept < SWEEP_SECONDS:
                return
            self._swept = now
            through = min(self._state.head - KEYS_KEPT, self._seven_days_ago())
            if through - self._swept_through < KEYS_KEPT // 10:
                return  # a sweep reads every key: it must be worth it
            self._swept_through, self._sweep = through, statements.FIRST_KEY
        work = partial(statements.prune_keys, above=self._sweep, through=self._swept_through)
        self._sweep = await self._writer.run(work)
        self._writer.wrote(statements.SLICE * 64)
        if self._sweep is None:
            self._sightings = sightings.FIRST_PLACE

    async def _merge_young(self, *, aged: bool) -> None:
        """Move young keys among all others, two for each that comes meanwhile: no put waits for many at a time.

        And some at each tick, so that a pump that is started anew again and again ends it too.
        """
        state = self._state
        if self._merge is None:
            if state.young < young.MOST:
                return
            self._merge_slice = max(1, state.young // MOVES)
            self._merge, self._merged_through, state.young = young.FIRST, state.head, 0
        if 2 * state.young < self._merge_slice and not aged:
            return
        count = max(2 * state.young, self._merge_slice)
        work = partial(statements.merge_young, above=self._merge, count=count, through=self._merged_through)
        found = await self._writer.run(work)
        self._merge, state.young = (None, found) if isinstance(found, int) else (found, 0)
        self._writer.wrote(count * PAGE_SIZE // 4)

    async def _prune_sightings(self) -> None:
        """They live as long as the keys: one slice of a sweep that follows the keys' own."""
        if self._sightings is not None:
            work = partial(sightings.prune, above=self._sightings, through=self._swept_through)
            self._sightings = await self._writer.run(work)
            self._writer.wrote(statements.SLICE * 64)

    def _seven_days_ago(self) -> int:
        """The head as it was seven days ago, by the marks that are kept of it; 0 where none is so old."""
        now, ages = self._clock.now_ms(), self._clock.ages
        # Those of a future that is not known would keep every key until their time comes.
        marks = [(age, mark) for mark in self._state.value(MARKS) or [] if (age := ages.age(mark[0])) is not None]
        if not marks or marks[-1][0] >= MARK_SECONDS or marks[-1][1][0] > now:
            old = [each for each in marks if each[0] > KEYS_SECONDS]
            marks = [*old[-1:], *(each for each in marks if each[0] <= KEYS_SECONDS), (0.0, [now, self._state.head])]
            self._writer.remember(MARKS, [mark for _, mark in marks])
        return int(next((head for age, (_, head) in reversed(marks) if age > KEYS_SECONDS), 0))

    def note_time(self, *, now: bool = False) -> None:
        """Have the time that was seen stored, where that is due."""
        if (note := self._clock.ages.note(self._state.head, now=now)) is not None:
            self._writer.remember(TIME, note)

    async def _look_how_full(self) -> None:
        limit = self.max_bytes
        if self.used >= FILLING * limit and not self._filling:
            self._filling = True
            holder = await self._holder(PRESSED)
            log.warning("The spool is filling up", bytes=self.used, max_bytes=limit, holder=holder or None)
            self._news.filling(holder, self.used, limit)
        elif self.used < RELIEVED * limit:
            self._filling = False

    async def _limit(self, removable: int | None = None) -> None:
        """Refuse where it is too full, or take again. Events through `removable` may go; None: what sinks let go."""
        limit, now = self.max_bytes, self._clock.monotonic()
        shrinks = self._shrinks(self._state.held_through() if removable is None else removable)
        if self.used >= limit and self._settings.when_full == "block" and not shrinks:
            if not self._writer.refusing or (self._full and now - self._named >= NAMED):
                self._full, self._named = True, now
                self._writer.refuse(f"max_bytes is reached, held by {await self._who_holds()}")
        elif self._writer.refusing and (self.used < RESUME * limit or shrinks) and self._writer.accept():
            self._full = False
            await self._measure()

    def _shrinks(self, removable: int) -> bool:
        """True while a spool above `max_bytes`, which was lowered, comes down to it, for there is what may go.

        New events are taken meanwhile: removing keeps up with storing. Should it not, the spool may not grow again.
        """
        limit = self.max_bytes
        above = self.used + limit // SHRINKING
        self._most = max(limit, above if limit != self._most_for else min(self._most, above))
        self._most_for = limit
        # Refusing for its size, it has grown by all that it may: half of that must go first.
        most = self._most - limit // SHRINKING // 2 if self._full else self._most
        return limit <= self.used < most and self._state.floor < removable

    async def _who_holds(self) -> str:
        if sink := await self._holder(RESUME):
            return f"the sink {sink}, which has not had {self._state.head - self._state.held_through()} events"
        if self._state.floor < self._state.held_through():
            return "nobody: old events are being removed"
        return "nobody: what is kept beside the events fills it (dead letters, keys, what sources remember)"

    async def _holder(self, part: float) -> str:
        """The sink without whose events less than this part of `max_bytes` would be in use; "" where none is.

        A sink that keeps up is a few events behind too, and holds nothing to speak of.
        """
        sink = self._state.holder()
        if not sink:
            return ""
        held = await self._writer.run(partial(statements.held_bytes, above=self._state.held_through()))
        return sink if self.used - held < part * self.max_bytes else ""

    def _trouble(self, error: sqlite3.Error) -> None:
        found = verdict(error)
        if found in (Verdict.FATAL, Verdict.DAMAGED):
            self._writer.fail(found, error)
        elif found is Verdict.ROW:
            raise error
        else:
            self._writer.refuse(found.value)
