"""The spool as the rest of the pump sees it."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Any

import structlog

from pump.core.clock import Clock
from pump.core.record import Record, State
from pump.spool import repair, schema, statements
from pump.spool.connection import reading, writing
from pump.spool.dead_letters import DeadLetters
from pump.spool.errors import Fatal, Verdict
from pump.spool.gaps.along import NOTHING, Along
from pump.spool.gaps.ledger import GapLedger
from pump.spool.reader import EventReader, RecentRecords, first_since
from pump.spool.repair import Repaired
from pump.spool.retention import TICK, Retention
from pump.spool.sidecar import Sidecar
from pump.spool.state import TIME, Damaged, Filling, News, SpoolState
from pump.spool.types import Cursor, Receipt, Row, SpoolSettings
from pump.spool.writer import Writer
from pump.telemetry.metrics import Metrics

log = structlog.get_logger()


class Spool:
    """Events on disk, numbered in the order of their commits, with the sinks' cursors and the sources' state.

    Made by `open`, to be closed. The folder must belong to this process alone (the daemon locks it).
    """

    def __init__(
        self, state: SpoolState, writer: Writer, retention: Retention, reader: EventReader, dead_letters: DeadLetters,
        *, news: News, repaired: Repaired | None, files: AsyncExitStack,
    ) -> None:  # fmt: skip
        """Storing begins at once, in a task of its own. `files` closes what is open, connections first."""
        self.dead_letters = dead_letters
        """Events that sinks refused or could not deliver in time."""
        self.gaps = GapLedger(state, reader)
        """The stretches of time in which events may be missing, and what became of each."""
        self.repaired = repaired
        """The damage that this start found, or one before it that could not report it; None where all was well."""
        self._state = state
        self._writer = writer
        self._retention = retention
        self._reader = reader
        self._news = news
        self._files = files
        self._loop = asyncio.create_task(self._run(), name="spool writer")

    @classmethod
    async def open(cls, folder: Path, settings: SpoolSettings, *, clock: Clock, metrics: Metrics) -> Spool:
        """Open the spool in `folder`, made where missing; a damaged one is repaired first (see `repaired`).

        Raises OSError where the folder cannot be used, ValueError for a newer version's spool.
        """
        folder.mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240  # before anything runs
        path = folder / "spool.db"
        async with AsyncExitStack() as files:
            beside = Sidecar(folder)
            files.callback(beside.close)
            noted = beside.high.read()
            beside.make_room()  # a writer that accepts takes it back
            await asyncio.to_thread(_repair, path, noted, clock.now().strftime("%Y%m%dT%H%M%SZ"))
            db = await writing(path)
            files.push_async_callback(db.close)
            await db.run(partial(_prepare, noted=noted))
            state = await db.run(partial(statements.load, noted=noted))
            clock.ages.load(state.value(TIME), await db.run(_arrival))
            beside.high.write(state.head)
            connection = await reading(path)
            files.push_async_callback(connection.close)
            repaired = repair.noted(state.value(repair.NOTED))
            if repaired is not None:
                log.error("The spool was damaged; what can be read of it was kept", **_words(repaired))
            news, recent = News(), RecentRecords(state.head)
            writer = Writer(db, state, recent, beside, metrics=metrics)
            retention = Retention(state, writer, path, settings, clock=clock, news=news, metrics=metrics)
            reader = EventReader(connection, state, recent, fail=writer.fail, clock=clock, news=news, metrics=metrics)
            dead_letters = DeadLetters(state, writer, reader, clock=clock)
            if not writer.accept():
                writer.refuse(Verdict.FULL.value)
            await retention.begin()
            return cls(
                state, writer, retention, reader, dead_letters, news=news, repaired=repaired, files=files.pop_all()
            )

    def repair_told(self) -> None:
        """`repaired` is in the spool as events, or reported otherwise: later starts need not do it again."""
        if self.repaired is not None:
            self._writer.remember(repair.NOTED, None)

    async def close(self) -> None:
        """Store what waits, checkpoint, let go of the files. What cannot be stored is logged.

        Cut short while the disk hangs it closes no file: the thread that hangs may still write to them.
        """
        if self._writer.fatal is None:
            self._retention.note_time(now=True)
        self._writer.close()
        await self._loop
        if self._writer.fatal is None:
            with suppress(sqlite3.Error):  # the WAL then simply stays; the next start reads it
                await self._writer.checkpoint("TRUNCATE")
        await self._files.aclose()

    async def _run(self) -> None:
        writer = self._writer
        try:
            while True:
                more = await writer.turn()
                more = await self._retention.maintain() or more
                if writer.closing and not more:
                    await writer.last_turn()
                    return
                if not more:
                    await writer.wait(TICK)
        except Exception as error:
            log.exception("The spool's writer met a bug")
            writer.fail(Verdict.TROUBLE, error)

    # --- sources' side ------------------------------------------------------------------------------------------

    async def append(
        self, rows: Sequence[Row], *, source: str, state: Mapping[str, Any] | None = None, urgent: bool = False,
        along: Along = NOTHING,
    ) -> Receipt:  # fmt: skip
        """Store rows, state of `source` and what goes `along` in one transaction; see `Writer.append`."""
        values = {(source, key): value for key, value in (state or {}).items()}
        return await self._writer.append(rows, values, urgent=urgent, along=along)

    def state(self, source: str, prefix: str = "") -> dict[str, Any]:
        """The source's stored state, for the keys that begin with `prefix`."""
        return self._state.values(source, prefix)

    def remember(self, source: str, key: str, value: Any) -> None:
        """Store a piece of state within a second, without waiting for it; None removes it."""
        self._writer.remember((source, key), value)

    def quarantined(self, source: str) -> int:
        """Bytes stored of what `source` does not understand."""
        return self._state.quarantined(source)

    # --- sinks' side --------------------------------------------------------------------------------------------

    @property
    def head(self) -> int:
        """The highest number that was committed."""
        return self._state.head

    @property
    def floor(self) -> int:
        """Everything through this number has been removed."""
        return self._state.floor

    async def wait_above(self, seq: int) -> None:
        """Return once `head` is above `seq`."""
        await self._state.wait_above(seq)

    async def read(self, after: int, *, limit: int = 500, max_bytes: int = 4 << 20) -> list[Record]:
        """The events above `after` in order, from memory near the head, else from the file.

        Empty only where nothing readable stands between `after` and the head as it was at the call. Raises
        `Unavailable` where the file cannot be read.
        """
        return await self._reader.read(after, limit, max_bytes)

    async def span(self, first: int, last: int) -> tuple[int | None, int]:
        """When the removed events from `first` to `last` arrived, about: after, and before (milliseconds since 1970).

        After is from the notes of four times a day, None where they do not reach back so far; before is the arrival
        of the first event behind them, now where there is none. Raises `Unavailable`.
        """
        return await self._reader.span(first, last)

    async def before(self, since_ms: int) -> int:
        """A number behind which all events lie that arrived at `since_ms` or later. Raises `Unavailable`."""
        return max(self.floor, await self._reader.look(partial(first_since, since_ms=since_ms)))

    def cursor(self, sink: str) -> Cursor | None:
        """The sink's place, None where it never had one."""
        return self._state.cursor(sink)

    def set_cursor(self, sink: str, seq: int, state: State | None) -> None:
        """Note that the sink has everything through `seq`; stored with the next commit, or within a second.

        Raises ValueError for a number below the one that was noted last: a cursor moves back by `rewind_cursor` alone.
        """
        self._writer.set_cursor(sink, Cursor(seq, state))

    def rewind_cursor(self, sink: str, seq: int, state: State | None) -> None:
        """Note a number that may be lower: an operator's word, or a spool that has lost its newest events."""
        self._writer.set_cursor(sink, Cursor(seq, state), rewind=True)

    def set_holders(self, sinks: Mapping[str, bool]) -> None:
        """Have retention wait, or not, for each of these sinks, from now on."""
        self._state.set_holders(sinks)

    async def flush(self) -> None:
        """Return when everything that waits, cursors too, is on disk. Raises `Unavailable` where it cannot be."""
        await self._writer.flush()

    # --- the daemon's side --------------------------------------------------------------------------------------

    @property
    def folder(self) -> Path:
        """The directory it lies in."""
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

    def listen(self, *, filling: Filling, damaged: Damaged) -> None:
        """Have these called with what the spool finds, and at once with what it found before; one listener."""
        self._news.listen(filling=filling, damaged=damaged)


def _repair(path: Path, noted: int, stamp: str) -> None:
    repair.finish(path)
    if (reason := repair.examine(path)) is not None:
        repair.salvage(path, reason, stamp, noted)


def _prepare(db: sqlite3.Connection, noted: int) -> None:
    """Make the tables; note a loss where the file's newest number is below the one noted beside it."""
    schema.create(db)
    row = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'blocks'").fetchone()
    newest = row[0] if row else 0
    if noted > newest:
        arrival = _arrival(db)
        reason = "fewer events are there than were stored: a damaged WAL, or a copy put back"
        repair.note(db, Repaired(reason, noted - newest, 0, None, None if arrival is None else arrival[1]))


def _arrival(db: sqlite3.Connection) -> tuple[int, int] | None:
    """The number and the arrival of the newest event that is there."""
    found: tuple[int, int] | None = db.execute(
        "SELECT last, recorded FROM blocks ORDER BY last DESC LIMIT 1"
    ).fetchone()
    return found


def _words(repaired: Repaired) -> dict[str, object]:
    return {"reason": repaired.reason, "lost": repaired.lost, "carried": repaired.carried, "aside": repaired.aside}
