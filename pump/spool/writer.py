"""The one writer: group commit, and what happens when the disk refuses.

While one commit is on its way all that arrives waits for the next, so that one fsync serves many; what the event loop
has in hand already is waited for, and nothing else.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

import structlog

from pump.core.errors import Unavailable
from pump.core.record import Record
from pump.spool import statements
from pump.spool.connection import PAGE_SIZE, Connection
from pump.spool.damage.sidecar import Sidecar
from pump.spool.errors import Fatal, RowRefused, Verdict, verdict
from pump.spool.gaps.along import NOTHING, Along, together
from pump.spool.queue import STRANGERS_WAITING, Put, PutQueue
from pump.spool.reader import RecentRecords
from pump.spool.state import Key, Noted, SpoolState
from pump.spool.statements import Group
from pump.spool.tables.strangers import NOTED, Evicted, cost
from pump.spool.types import Cursor, Receipt, Row

if TYPE_CHECKING:  # a spool is read by commands too, which count nothing
    from pump.telemetry.metrics import Metrics

T = TypeVar("T")
log = structlog.get_logger()

REFUSALS = (sqlite3.Error, sqlite3.Warning, ValueError, TypeError, OverflowError)
"""Errors of sqlite3 and of its binding of values; `errors.verdict` is what follows from it."""
COMMIT_BYTES = 4 * PAGE_SIZE
"""Written by a commit beside the bodies, about: a page of each table and index it touches."""
_NONE: Final = Noted()
CURSOR_DELAY = 1.0
"""Seconds that a cursor waits for somebody else's commit before it makes its own."""


class Writer:
    """Owns the writing connection. All methods belong to the event loop; one task calls `turn` and `last_turn`."""

    def __init__(
        self, db: Connection, state: SpoolState, recent: RecentRecords, beside: Sidecar, *, metrics: Metrics,
        strangers: int = STRANGERS_WAITING,
    ) -> None:  # fmt: skip
        """`strangers` is how many bytes of theirs may wait for a commit."""
        self.folder = beside.folder
        self.refusing = ""
        """Why puts are refused now; empty while they are taken."""
        self.fatal: Fatal | None = None
        self.failed = asyncio.Event()
        self.closing = False
        self.written = 0
        """Bytes, about, that went into the WAL since the last checkpoint."""
        self._db = db
        self._state = state
        self._recent = recent
        self._beside = beside
        self._metrics = metrics
        self._next = state.head + 1
        self._puts = PutQueue(strangers)
        self._due = False
        self._timer: asyncio.TimerHandle | None = None
        self._wake = asyncio.Event()

    # --- what the rest of the spool calls -----------------------------------------------------------------------

    async def append(
        self, rows: Sequence[Row], state: Mapping[Key, Any], *, urgent: bool = False, along: Along = NOTHING
    ) -> Receipt:
        """Store rows, state and `along` in one transaction; returns after the fsync.

        `urgent` rows (the daemon's own, few) are taken while others are refused, from the reserve. Raises
        `Unavailable` at once where the spool refuses, `RowRefused` where single rows cannot be stored. Cancelled,
        it may have stored them.
        """
        size = sum([len(row.body) for row in rows])
        if self.fatal is not None or self.closing:
            raise Unavailable("the spool is closed")
        if self.refusing and not urgent:
            raise Unavailable(f"the spool refuses: {self.refusing}")
        stranger = bool(rows) and rows[0].stranger
        if self._puts.full(size, stranger=stranger):
            raise Unavailable("the spool refuses: too much waits for the disk")
        put = Put(rows, state, size, urgent, asyncio.get_running_loop().create_future(), stranger, along)
        self._puts.add(put)
        self._wake.set()
        return await put.done

    def set_cursor(self, sink: str, cursor: Cursor, *, rewind: bool = False) -> None:
        """Note a cursor; it rides on the next commit, or makes one of its own after `CURSOR_DELAY`.

        Raises ValueError where it would move back without `rewind`.
        """
        self._state.set_cursor(sink, cursor, rewind=rewind)
        self._state.copy_cursor(sink, cursor, time.monotonic(), rewind=rewind)
        self._soon()

    def remember(self, key: Key, value: Any) -> None:
        """Note a piece of state that belongs to no event, as a cursor is noted."""
        self._state.remember(key, value)
        self._soon()

    def _soon(self) -> None:
        if self._timer is None and not self.closing:
            self._timer = asyncio.get_running_loop().call_later(CURSOR_DELAY, self._ring)

    def _ring(self) -> None:
        self._timer = None
        self._due = True
        self._wake.set()

    async def flush(self) -> None:
        """Return when all that waits, cursors too, is on disk. Raises `Unavailable` where it cannot be.

        What comes meanwhile waits for its own commit.
        """
        self._due = True
        noted = self._state.noted()
        await self.append((), {}, urgent=True)
        if self._state.waits(noted):
            raise Unavailable(f"cursors could not be stored: {self.refusing}")

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """The result of `work` in the writer's thread, between commits. What it adds to the WAL is for `wrote`."""
        return await self._db.run(work)

    def wrote(self, size: int) -> None:
        """About so many bytes went into the WAL."""
        self.written += size

    async def change(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """The same for whoever waits for it: raises `Unavailable` where the spool has failed or the disk refuses."""
        if self.fatal is not None:
            raise Unavailable(f"the spool refuses: {self.fatal}")
        try:
            return await self.run(work)
        except sqlite3.Error as error:
            if (found := verdict(error)) in (Verdict.FATAL, Verdict.DAMAGED):
                self.fail(found, error)
                raise Unavailable(f"the spool refuses: {self.fatal}") from error
            raise Unavailable(f"the spool cannot be written: {error}") from error

    def evicted(self, gone: Evicted) -> None:
        """Strangers' blocks were removed from the file: nobody may find them in memory, nor miss the holes."""
        for block in gone.blocks:
            self._recent.remove(block.first, block.last)
        self._state.recount_strangers(gone.left)
        self._state.apply({NOTED: [list(hole) for hole in gone.holes]})

    async def checkpoint(self, mode: str) -> None:
        """Copy the WAL into the file: PASSIVE, or TRUNCATE. Raises sqlite3.Error."""
        self.written = 0
        await self.run(partial(statements.checkpoint, mode=mode))

    def close(self) -> None:
        """Take no more; what waits is stored by `last_turn`."""
        self.closing = True
        if self._timer is not None:
            self._timer.cancel()
        self._wake.set()

    # --- the loop -----------------------------------------------------------------------------------------------

    async def turn(self) -> bool:
        """One commit, if anything is due; True where more is waiting."""
        self._wake.clear()
        await self._puts.let_come()
        if self.fatal is not None:
            return False  # a commit that succeeds after a failed fsync proves nothing
        group = self._puts.take()
        if group or (self._due and self._state.unstored):
            await self._commit(group)
        return bool(self._puts)

    async def last_turn(self) -> None:
        """Store what still waits, cursors too, before the end."""
        self._due = True
        while await self.turn():
            pass
        if self._state.unstored:
            sinks = sorted(self._state.noted().cursors)
            log.warning("Cursors could not be stored at the end; some events may be sent again", sinks=sinks)

    async def wait(self, seconds: float) -> None:
        """Return when something came since the last turn began, after `seconds` at the latest."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wake.wait()

    async def _commit(self, puts: list[Put]) -> None:
        noted = self._state.take_unstored()
        self._due = False
        try:
            await self._store(_group(puts, noted), puts, noted)
        except REFUSALS as error:
            self._state.put_back(noted)
            await self._failed_group(puts, error)
            if self._state.unstored:
                self._soon()
        except BaseException:
            _refuse(puts, "its writer failed; the log has it whole")  # nobody may wait for ever
            raise

    async def _store(self, group: Group, puts: Sequence[Put] = (), noted: Noted = _NONE) -> list[Record]:
        """Commit the group, and answer `puts`, of which it is made with what was `noted`; what was new.

        They are answered as soon as the loop hears of the commit: through this task it would be a turn later.
        """
        if group.cursors or group.state:
            group.number = self._state.commits = self._state.commits + 1
        work = partial(self._in_thread, group, self._next)
        then = partial(self._stored, group, puts, noted, time.perf_counter())
        return await self._db.run_then(work, then)

    def _stored(self, group: Group, puts: Sequence[Put], noted: Noted, begun: float, new: list[Record]) -> list[Record]:
        self.written += COMMIT_BYTES + sum([len(row.body) for row in group.rows])
        self._metrics.commits.inc()
        self._metrics.commit_seconds.observe(time.perf_counter() - begun)
        self._state.fetches.apply(group.fetches)  # before a sink can see the events
        if group.gaps is not None:
            self._state.recount_gaps(group.gaps)
        self._state.young += group.young
        if new:
            self._next += len(group.rows)
            self._recent.add(new)
            self._state.advance(new[-1].seq)
        self._state.stored(noted)
        self._committed(puts, new)
        return new

    def _in_thread(self, group: Group, first: int, db: sqlite3.Connection) -> list[Record]:
        records = statements.commit(db, group, first)
        if records or group.number:
            head = records[-1].seq if records else self._state.head
            self._beside.note_high(head, group.number or self._state.commits)
        return records

    def _committed(self, puts: Sequence[Put], records: Sequence[Record]) -> None:
        numbers = [record.seq for record in records]
        first = self._next - sum([len(put.rows) for put in puts]) if records else 0
        for put in puts:
            rows, begin, first = put.rows, first, first + len(put.rows)
            stored = numbers[bisect_left(numbers, begin) : bisect_left(numbers, first)]
            if (duplicates := len(rows) - len(stored)) > 0:
                kept = set(stored)
                rows = [row for seq, row in enumerate(rows, begin) if seq in kept]
            quarantined = self._count_limited(rows)
            self._state.apply(put.state)
            if not put.done.done():  # the one who waited may have been cancelled
                put.done.set_result(Receipt(len(stored), duplicates, quarantined))

    def _count_limited(self, rows: Sequence[Row]) -> int:
        """Add up the rows, which were stored, against the limits there are; how many of them are quarantined."""
        count = 0
        for row in rows:
            if row.quarantined:
                self._state.add_quarantined(row.source, len(row.body))
                count += 1
            if row.stranger:
                self._state.add_strangers(cost(row))
        return count

    # --- faults -------------------------------------------------------------------------------------------------

    async def _failed_group(self, puts: list[Put], error: Exception) -> None:
        found = verdict(error)
        if found in (Verdict.FATAL, Verdict.DAMAGED):
            self.fail(found, error)
            _refuse(puts, str(self.fatal))
        elif found is Verdict.ROW:
            await self._one_by_one(puts, error)
        else:
            self.refuse(found.value)
            _refuse([put for put in puts if not put.urgent], self.refusing)
            await self._from_reserve([put for put in puts if put.urgent])

    async def _one_by_one(self, puts: list[Put], error: Exception) -> None:
        """Repeat a failed group put by put, then row by row: one bad row harms nobody else."""
        if not puts:
            self.fail(Verdict.ROW, error)  # a cursor or a state that cannot be stored is our own bug
        for put in puts:
            try:
                await self._store(Group(put.rows, state=put.state, along=put.along), [put])
            except REFUSALS as failure:
                if verdict(failure) is not Verdict.ROW:
                    await self._failed_group([put], failure)
                else:
                    await self._row_by_row(put)

    async def _row_by_row(self, put: Put) -> None:
        refused: list[int] = []
        reason = ""
        stored = quarantined = 0
        for place, row in enumerate(put.rows):
            try:
                if await self._store(Group([row])):
                    stored += 1
                    quarantined += self._count_limited([row])
            except REFUSALS as failure:
                if verdict(failure) is not Verdict.ROW:
                    await self._failed_group([put], failure)
                    return
                refused.append(place)
                reason = f"{type(failure).__name__}: {failure}"
        if not put.done.done():
            others = Receipt(stored, len(put.rows) - len(refused) - stored, quarantined)
            put.done.set_exception(RowRefused(refused, reason, others))

    async def _from_reserve(self, puts: list[Put]) -> None:
        """Store the daemon's own rows and the cursors on a full disk, giving up the reserve if need be."""
        for attempt in (self._beside.reserve.release, lambda: False):
            if not (puts or self._state.unstored):
                return
            noted = self._state.take_unstored()
            try:
                await self._store(_group(puts, noted), puts, noted)
            except REFUSALS as error:
                self._state.put_back(noted)
                found = verdict(error)
                if found in (Verdict.FATAL, Verdict.DAMAGED):
                    self.fail(found, error)
                elif attempt():
                    continue
                _refuse(puts, self.refusing)
            return

    def refuse(self, reason: str) -> None:
        """Take nothing more until `accept`; what waits is refused too."""
        if not self.refusing:
            log.error("The spool refuses new events; vendors are not answered until it takes them again", reason=reason)
        self.refusing = reason
        self._metrics.spool_full.set(1)
        _refuse(self._puts.take_refused(), reason)

    def accept(self) -> bool:
        """Take events again, if the disk has room for the reserve and some more; False where it has not."""
        if not self._beside.hold_reserve():
            return False
        if self.refusing:
            log.info("The spool takes events again", was=self.refusing)
        self.refusing = ""
        self._metrics.spool_full.set(0)
        return True

    def fail(self, found: Verdict, error: Exception) -> None:
        """The end: nothing more is stored, the daemon must stop with 1."""
        if self.fatal is None:
            self.fatal = Fatal(f"{found.value}: {error}")
            log.critical(
                "The spool failed; the process ends, and a new one looks at the disk afresh", reason=str(self.fatal)
            )
            if found is Verdict.DAMAGED:
                self._beside.mark_damaged()
            self.failed.set()
        _refuse(self._puts.take_refused(all_=True), str(self.fatal))


def _refuse(puts: Sequence[Put], reason: str) -> None:
    for put in puts:
        if not put.done.done():
            put.done.set_exception(Unavailable(f"the spool refuses: {reason}"))


def _group(puts: Sequence[Put], noted: Noted) -> Group:
    """One commit of all this; where a key stands in both, the state of the puts is the newer."""
    state = dict(noted.values)
    for put in puts:
        state.update(put.state)
    along = [put.along for put in puts if put.along]
    return Group([row for put in puts for row in put.rows], noted.cursors, state, along=together(along))
