"""The spool as the rest of the pump sees it."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import structlog

from pump.core.clock import Clock
from pump.core.errors import Unavailable
from pump.core.record import Record, State
from pump.spool import dead_letters as dead
from pump.spool import repair, schema, statements
from pump.spool.connection import Connection, reading, writing
from pump.spool.dead_letters import DeadLetter
from pump.spool.errors import Fatal, Verdict, verdict
from pump.spool.reader import RecentRecords, read
from pump.spool.repair import Repaired
from pump.spool.retention import MARKS, TICK, TIME, Retention
from pump.spool.sidecar import HighWater, Reserve
from pump.spool.types import Cursor, Receipt, Row, SpoolSettings
from pump.spool.writer import MARGIN, Writer
from pump.telemetry.metrics import Metrics

T = TypeVar("T")
log = structlog.get_logger()


class Spool:
    """Events on disk, numbered in the order of their commits, with the sinks' cursors and the sources' state.

    Made by `open`, to be closed. The folder must belong to this process alone (the daemon locks it).
    """

    def __init__(self, writer: Writer, upkeep: Retention, reader: Connection, *, metrics: Metrics) -> None:
        self._writer = writer
        self._retention = upkeep
        self._reader = reader
        self._metrics = metrics
        self._loop: asyncio.Task[None] | None = None
        self._beside: tuple[HighWater, Reserve] | None = None
        self.repaired: Repaired | None = None
        """The faults that this start found, or one before it that could not report them; None where all was well."""
        self.dead: dict[str, int] = {}
        """Dead letters by sink."""
        self.on_damaged: Callable[[list[int]], None] = lambda numbers: None
        """Called, once each, with the numbers of stored events whose checksum is wrong; they reach no sink."""
        self._told_damaged: set[int] = set()

    @classmethod
    async def open(cls, folder: Path, settings: SpoolSettings, *, clock: Clock, metrics: Metrics) -> Spool:
        """Open the spool in `folder`, made where missing; a damaged one is repaired first (see `repaired`).

        Raises OSError where the folder cannot be used, ValueError for a newer version's spool.
        """
        folder.mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240  # before anything runs
        path = folder / "spool.db"
        high, reserve = HighWater(folder / "spool.high"), Reserve(folder / "spool.reserve")
        noted = high.read()
        stat = os.statvfs(folder)
        if stat.f_bavail * stat.f_frsize < MARGIN and reserve.take():
            reserve.release()  # even opening the file needs some room; `accept` takes it back
        stamp = clock.now().strftime("%Y%m%dT%H%M%SZ")
        db = None
        try:
            await asyncio.to_thread(_repair, path, noted, stamp)
            db = await writing(path)
            await db.run(schema.create)
            before = await db.run(_newest)
            if noted > before[0]:
                reason = "fewer events are there than were stored: a damaged WAL, or a copy put back"
                await db.run(partial(repair.note, found=Repaired(reason, noted - before[0], 0, None, before[1])))
            found = await db.run(partial(statements.load, noted=noted))
            repaired = repair.noted(found.state)
            clock.ages.load(found.state.get(TIME), await db.run(_arrival))
            high.write(found.head)
            reader = await reading(path)
        except BaseException:
            if db is not None:
                await db.close()
            high.close()
            reserve.close()
            raise
        tail = RecentRecords(found.head)
        writer = Writer(
            db, folder, high=high, reserve=reserve, tail=tail, head=found.head, clock=clock, metrics=metrics
        )
        writer.state, writer.cursors, writer.stored_cursors = found.state, dict(found.cursors), found.cursors
        upkeep = Retention(writer, path, settings, clock=clock, metrics=metrics)
        upkeep.floor, writer.quarantined = found.floor, found.quarantined
        spool = cls(writer, upkeep, reader, metrics=metrics)
        spool._beside = (high, reserve)
        spool.repaired, spool.dead = repaired, found.dead
        if repaired is not None:
            log.error("The spool was damaged; what can be read of it was kept", **_words(repaired))
        if not writer.accept():
            writer.refuse(Verdict.FULL.value)
        await upkeep.begin()
        spool._loop = asyncio.create_task(spool._run(), name="spool writer")
        return spool

    def repair_told(self) -> None:
        """`repaired` is in the spool as events, or reported otherwise: later starts need not say it again."""
        if self.repaired is not None:
            self._writer.remember(repair.NOTED, None)

    async def close(self) -> None:
        """Store what waits, checkpoint, let go of the files. What cannot be stored is logged."""
        if self._writer.fatal is None:
            self._retention.note_time(now=True)
        self._writer.closing = True
        self._writer.wake.set()
        if self._loop is not None:
            await self._loop
        self._writer.stop_timer()
        if self._writer.fatal is None:
            with suppress(sqlite3.Error):  # the WAL then simply stays; the next start reads it
                await self._writer.run(partial(statements.checkpoint, mode="TRUNCATE"))
        await self._reader.close()
        await self._writer.db.close()
        if self._beside is not None:
            for each in self._beside:
                each.close()

    async def _run(self) -> None:
        writer = self._writer
        try:
            while True:
                writer.wake.clear()
                more = await writer.turn()
                more = await self._retention.maintain() or more
                if writer.closing and not more:
                    await writer.last_turn()
                    return
                if not more:
                    with suppress(TimeoutError):
                        async with asyncio.timeout(TICK):
                            await writer.wake.wait()
        except Exception as error:
            log.exception("The spool's writer met a bug")
            writer.fail(Verdict.TROUBLE, error)

    # --- sources' side ------------------------------------------------------------------------------------------

    async def append(
        self, rows: Sequence[Row], *, source: str, state: Mapping[str, Any] | None = None, urgent: bool = False
    ) -> Receipt:
        """Store rows, and state of `source`, in one transaction; see `Writer.append`."""
        return await self._writer.append(
            rows, {(source, key): value for key, value in (state or {}).items()}, urgent=urgent
        )

    def state(self, source: str, prefix: str = "") -> dict[str, Any]:
        """The source's stored state, for the keys that begin with `prefix`."""
        mine = ((key, value) for (owner, key), value in self._writer.state.items() if owner == source)
        return {key: value for key, value in mine if key.startswith(prefix)}

    def remember(self, source: str, key: str, value: Any) -> None:
        """Store a piece of state within a second, without waiting for it."""
        self._writer.remember((source, key), value)

    def quarantined(self, source: str) -> int:
        """Bytes stored of what `source` does not understand."""
        return self._writer.quarantined.get(source, 0)

    # --- sinks' side --------------------------------------------------------------------------------------------

    @property
    def head(self) -> int:
        """The highest number that was committed."""
        return self._writer.head

    @property
    def floor(self) -> int:
        """Everything through this number has been removed."""
        return self._retention.floor

    async def wait_above(self, seq: int) -> None:
        """Return once `head` is above `seq`."""
        while self._writer.head <= seq:
            await self._writer.grown.wait()

    async def read(self, after: int, *, limit: int = 500, max_bytes: int = 4 << 20) -> list[Record]:
        """The events above `after` in order, from memory near the head, else from the file.

        Empty only where nothing readable stands between `after` and the head as it was at the call. Raises
        `Unavailable` where the file cannot be read.
        """
        after = max(after, self._retention.floor)  # memory may still hold what was removed
        found = self._writer.tail.read(after, limit, max_bytes)
        while found is None:
            try:
                page = await self._reader.run(partial(read, after=after, limit=limit, max_bytes=max_bytes))
            except sqlite3.Error as error:
                if verdict(error) is Verdict.DAMAGED:
                    self._writer.fail(Verdict.DAMAGED, error)
                raise Unavailable(f"the spool cannot be read: {error}") from error
            # The writer's thread may have removed what its task does not know of yet.
            self._retention.floor = max(self._retention.floor, page.floor)
            if page.damaged:
                self._tell_damaged(page.damaged)
            if page.records or page.through == after:
                found = page.records
            after = page.through
        return found

    async def span(self, first: int, last: int) -> tuple[int | None, int]:
        """When the removed events from `first` to `last` arrived, about: after, and before (milliseconds since 1970).

        After is what the notes of four times a day hold, None where they do not reach back so far; before is the
        arrival of the first event behind them, now where there is none. Raises `Unavailable`.
        """
        marks: list[list[int]] = self._writer.state.get(MARKS) or []
        noted = next((at for at, head in reversed(marks) if head < first), None)
        found = await self.read(last, limit=1)
        present = self._writer.present
        after = None if noted is None else present(noted)
        before = present(found[0].recorded) if found else self._writer.now_ms()
        return (None if after is None else min(after, before)), before

    def _tell_damaged(self, numbers: list[int]) -> None:
        fresh = [seq for seq in numbers if seq not in self._told_damaged]
        if fresh:
            self._told_damaged.update(fresh)
            self._metrics.spool_damaged.inc(len(fresh))
            log.error("Stored events are damaged on disk and reach no sink", count=len(fresh))
            self.on_damaged(fresh)

    def cursor(self, sink: str) -> Cursor | None:
        """The sink's place, None where it never was."""
        return self._writer.cursors.get(sink)

    def set_cursor(self, sink: str, seq: int, state: State | None) -> None:
        """Note that the sink has everything through `seq`; stored with the next commit, or within a second.

        Raises ValueError for a number below the one that was noted last: a cursor moves back by `rewind_cursor` alone.
        """
        self._writer.set_cursor(sink, Cursor(seq, state))

    def rewind_cursor(self, sink: str, seq: int, state: State | None) -> None:
        """Note a number that may be lower: an operator's word, or a spool that has lost its newest events."""
        self._writer.set_cursor(sink, Cursor(seq, state), rewind=True)

    def set_holders(self, sinks: Mapping[str, bool]) -> None:
        """The configured sinks, and whether retention waits for each."""
        self._retention.holders = dict(sinks)

    def set_holding(self, sink: str, waits: bool) -> None:
        """Have retention wait for this sink from now on, or no longer."""
        self._retention.holders[sink] = waits

    # --- dead letters, and what is sent again; see pump.spool.dead_letters --------------------------------------------

    async def add_dead_letters(
        self, sink: str, records: Sequence[Record], reason: str | Mapping[int, str], attempts: int
    ) -> int:
        """Store records as the sink's dead letters, with one reason or each with its own by number.

        How many of them were none before: it may be repeated. Raises `Unavailable` where the disk refuses.
        """
        reasons = dict.fromkeys((one.seq for one in records), reason) if isinstance(reason, str) else reason
        at = self._writer.now_ms()
        fresh = await self._changing(
            partial(dead.add_dead_letters, sink=sink, records=records, reasons=reasons, attempts=attempts, at=at)
        )
        self.dead[sink] = self.dead.get(sink, 0) + fresh
        return fresh

    async def letters(
        self, *, sink: str | None = None, ids: Sequence[int] | None = None, after: int = 0, through: int = 1 << 62
    ) -> list[DeadLetter]:
        """A slice of the dead letters. Raises `Unavailable` where the file cannot be read."""
        work = partial(dead.letters, sink=sink, ids=ids, after=after, through=through)
        return await self._looking(work)

    async def newest_letter(self) -> int:
        """The highest number of a dead letter."""
        return await self._looking(dead.newest)

    async def drop_letters(self, *, sink: str | None = None, ids: Sequence[int] | None = None) -> int:
        """Remove dead letters, all that fit; how many. Raises `Unavailable` where the disk refuses."""
        count = 0
        while gone := await self._changing(partial(dead.drop, sink=sink, ids=ids)):
            for name, number in gone.items():
                self.dead[name] = self.dead.get(name, 0) - number
                count += number
        return count

    async def mark_refused_again(self, reasons: Mapping[int, str]) -> None:
        """Note that these were refused once more. Raises `Unavailable` where the disk refuses."""
        await self._changing(partial(dead.again, reasons=reasons, at=self._writer.now_ms()))

    async def before(self, since_ms: int) -> int:
        """A number behind which all events lie that arrived at `since_ms` or later. Raises `Unavailable`."""
        return max(self.floor, await self._looking(partial(dead.first_since, since_ms=since_ms)))

    async def _looking(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return await self._reader.run(work)
        except sqlite3.Error as error:
            raise Unavailable(f"the spool cannot be read: {error}") from error

    async def _changing(self, work: Callable[[sqlite3.Connection], T]) -> T:
        if self._writer.fatal is not None:
            raise Unavailable(f"the spool refuses: {self._writer.fatal}")
        try:
            return await self._writer.run(work)
        except sqlite3.Error as error:
            if (found := verdict(error)) in (Verdict.FATAL, Verdict.DAMAGED):
                self._writer.fail(found, error)
                raise Unavailable(f"the spool refuses: {self._writer.fatal}") from error
            raise Unavailable(f"the spool cannot be written: {error}") from error

    async def flush(self) -> None:
        """Return when everything that waits, cursors too, is on disk. Raises `Unavailable` where it cannot be."""
        await self._writer.flush()

    # --- the daemon's side --------------------------------------------------------------------------------------

    @property
    def folder(self) -> Path:
        """The folder in which it lies."""
        return self._writer.folder

    @property
    def refusing(self) -> str:
        """Why puts are refused now; empty while they are taken."""
        return self._writer.refusing

    @property
    def used(self) -> int:
        """Bytes: pages in use, and the WAL."""
        return self._retention.used

    @property
    def failed(self) -> asyncio.Event:
        """Set when the spool failed for good: end the process with 1."""
        return self._writer.failed

    @property
    def fatal(self) -> Fatal | None:
        """Why it failed."""
        return self._writer.fatal

    def on_filling(self, tell: Callable[[str, int, int], None]) -> None:
        """Have `tell(holder, used, max_bytes)` called when the spool is four fifths full."""
        self._retention.on_filling = tell


def _repair(path: Path, noted: int, stamp: str) -> None:
    repair.finish(path)
    if (reason := repair.examine(path)) is not None:
        repair.salvage(path, reason, stamp, noted)


def _newest(db: sqlite3.Connection) -> tuple[int, int | None]:
    """The highest number ever given in this file, and when its newest event arrived."""
    row = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'blocks'").fetchone()
    newest = db.execute("SELECT recorded FROM blocks ORDER BY last DESC LIMIT 1").fetchone()
    return (row[0] if row else 0, newest[0] if newest else None)


def _arrival(db: sqlite3.Connection) -> tuple[int, int] | None:
    """The number and the arrival of the newest event that is there."""
    found: tuple[int, int] | None = db.execute(
        "SELECT last, recorded FROM blocks ORDER BY last DESC LIMIT 1"
    ).fetchone()
    return found


def _words(repaired: Repaired) -> dict[str, object]:
    return {"reason": repaired.reason, "lost": repaired.lost, "carried": repaired.carried, "aside": repaired.aside}
