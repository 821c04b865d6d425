"""The spool as the rest of the pump sees it."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from pump.core.clock import Clock
from pump.core.record import Record, State
from pump.core.tasks import Threads
from pump.spool import schema, statements
from pump.spool.connection import Connection, reading, writing
from pump.spool.damage import repair
from pump.spool.damage.checks import with_checksum
from pump.spool.damage.repair import Repaired
from pump.spool.damage.sidecar import FirstPage, Sidecar
from pump.spool.errors import Fatal, Verdict, verdict
from pump.spool.folder import make
from pump.spool.gaps.along import NOTHING, Along
from pump.spool.gaps.ledger import GapLedger
from pump.spool.reader import EventReader, RecentRecords, first_since
from pump.spool.retention import TICK, Retention
from pump.spool.state import TIME, Buried, Damaged, Filling, News, SpoolState
from pump.spool.tables import strangers
from pump.spool.tables.dead_letters import DeadLetters
from pump.spool.tables.fetches import FetchQueue
from pump.spool.types import Cursor, Receipt, Row, SpoolSettings
from pump.spool.writer import Writer

if TYPE_CHECKING:  # a spool is read by commands too, which count nothing
    from pump.telemetry.metrics import Metrics

log = structlog.get_logger()

_REPAIRS = Threads("spool repair", 1)


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
        make(folder, 0o700)  # before anything runs
        path = folder / "spool.db"
        async with AsyncExitStack() as files:
            beside = Sidecar(folder)
            files.callback(beside.close)
            noted, commits = beside.high.read()
            beside.make_room()  # a writer that accepts takes it back
            db, state = await _open_writer(beside, path, (noted, commits), clock.now().strftime("%Y%m%dT%H%M%SZ"))
            files.push_async_callback(db.close)
            clock.ages.load(state.value(TIME), await db.run(_arrival))
            beside.high.write(state.head, state.commits)
            connection = await reading(path)
            files.push_async_callback(connection.close)
            repaired = repair.noted(state.value(repair.NOTED))
            if repaired is not None:
                log.error("The spool was damaged; what can be read of it was kept", **_words(repaired))
            news, recent = News(), RecentRecords(state.head)
            share = strangers.share(settings.max_bytes)
            writer = Writer(db, state, recent, beside, metrics=metrics, strangers=share)
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

    def append(
        self, rows: Sequence[Row], *, source: str, state: Mapping[str, Any] | None = None, urgent: bool = False,
        along: Along = NOTHING,
    ) -> Coroutine[Any, Any, Receipt]:  # fmt: skip
        """Store rows, state of `source` and what goes `along` in one transaction; see `Writer.append`."""
        values = {(source, key): value for key, value in state.items()} if state else {}
        return self._writer.append(rows, values, urgent=urgent, along=along)

    def state(self, source: str, prefix: str = "") -> dict[str, Any]:
        """The source's stored state, for the keys that begin with `prefix`."""
        return self._state.values(source, prefix)

    def remember(self, source: str, key: str, value: Any) -> None:
        """Store a piece of state within a second, without waiting for it; None removes it."""
        self._writer.remember((source, key), value)

    def quarantined(self, source: str) -> int:
        """Bytes stored of what `source` does not understand."""
        return self._state.quarantined(source)

    @property
    def strangers(self) -> int:
        """Bytes stored for devices that nobody knows."""
        return self._state.strangers

    @property
    def fetches(self) -> FetchQueue:
        """Links to pictures that are still to be fetched."""
        return self._state.fetches

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
        """The events above `after` in order, from memory near the head, else from the file; not to be changed.

        Empty only where nothing readable stands between `after` and the head as it was at the call. Raises
        `Unavailable` where the file cannot be read.
        """
        return await self._reader.read(after, limit, max_bytes)

    def recent(self, after: int, *, limit: int = 500) -> list[Record] | None:
        """The events above `after`, from memory alone; None where memory does not reach back so far."""
        return self._reader.recent(after, limit)

    async def span(self, first: int, last: int) -> tuple[int | None, int]:
        """When the removed events from `first` to `last` arrived, about: after, and before (milliseconds since 1970).

        After is from the notes of four times a day, None where they do not reach back so far; before is the arrival
        of the first event behind them, now where there is none. Raises `Unavailable`.
        """
        return await self._reader.span(first, last)

    def evicted(self, after: int, through: int) -> tuple[int, int, int] | None:
        """The strangers' events that were evicted above `after`, in holes that end at `through` or before.

        First number, last number, how many at most; None where there are none. What lies through `floor` is not among
        them.
        """
        return strangers.between(self._state.value(strangers.NOTED), max(after, self.floor), through)

    async def before(self, since_ms: int) -> int:
        """A number behind which all events lie that arrived at `since_ms` or later. Raises `Unavailable`."""
        return max(self.floor, await self._reader.look(partial(first_since, since_ms=since_ms)))

    def cursor(self, sink: str) -> Cursor | None:
        """The sink's place, None where it never had one."""
        return self._state.cursor(sink)

    @property
    def cursors_lost(self) -> bool:
        """True where a sink without a cursor may have had one, which damage took."""
        return self._state.cursors_lost

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
    def max_bytes(self) -> int:
        """The most it takes."""
        return self._retention.max_bytes

    def adjust(self, settings: SpoolSettings) -> None:
        """Go by other settings from now on; how much of strangers' may wait for a commit stays as it was opened."""
        self._retention.adjust(settings)

    @property
    def failed(self) -> asyncio.Event:
        """Set when the spool failed for good: end the process with 1."""
        return self._writer.failed

    @property
    def fatal(self) -> Fatal | None:
        """Why it failed."""
        return self._writer.fatal

    def listen(self, *, filling: Filling, damaged: Damaged, buried: Buried = lambda *_: None) -> None:
        """Have these called with what the spool finds, and at once with what it found before; one listener."""
        self._news.listen(filling=filling, damaged=damaged, buried=buried)


async def _open_writer(
    beside: Sidecar, path: Path, noted: tuple[int, int], stamp: str
) -> tuple[Connection, SpoolState]:
    """The writer's connection, with what it starts from; damage that only shows while it is opened is repaired too."""
    for again in (False, True):
        salvaged = await _REPAIRS.run(_repair, path, noted[0], stamp)
        try:
            db = await writing(path)
            try:
                return db, await db.run(partial(_prepare, path=path, noted=noted, stamp=stamp, salvaged=salvaged))
            except BaseException:
                await db.close()
                raise
        except sqlite3.Error as error:
            if again or verdict(error) not in (Verdict.DAMAGED, Verdict.ROW):
                raise
            log.warning("The spool cannot be opened as it is, and is repaired", error=str(error))
            beside.mark_damaged()
    raise AssertionError  # the second turn returns or raises


def _repair(path: Path, noted: int, stamp: str) -> bool:
    """Bring the file into a form that can be opened; True where another one took its place."""
    salvaged = repair.finish(path)
    if (reason := repair.examine(path, noted)) is not None:
        repair.salvage(path, reason, stamp, noted)
        return True
    return salvaged


def _prepare(db: sqlite3.Connection, path: Path, noted: tuple[int, int], stamp: str, *, salvaged: bool) -> SpoolState:
    """Make the tables, take out damaged rows, note a loss where the numbers are below those noted beside the file.

    What the spool starts from.
    """
    first_page = FirstPage(path)
    if schema.create(with_checksum(db), known=first_page.noted_version()):
        with suppress(sqlite3.Error):
            statements.checkpoint(db, "TRUNCATE")
    damaged = repair.sift(db, path, stamp) or salvaged
    # One transaction: killed between the two, the next start would take numbers for reported whose loss is not noted.
    db.execute("BEGIN IMMEDIATE")
    try:
        state = _load(db, path, noted, stamp, damaged=damaged)
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
    first_page.note()
    return state


def _load(db: sqlite3.Connection, path: Path, noted: tuple[int, int], stamp: str, *, damaged: bool) -> SpoolState:
    """What the spool starts from, with numbering above all that was given and the loss of what is not there noted."""
    high, commits = noted
    lost = max(0, high - statements.newest(db))
    state = statements.load(db, high)
    if lost or (state.commits < commits and not damaged):
        arrival = _arrival(db)
        what = "fewer events are there than were stored" if lost else "cursors and states are older than those stored"
        found = Repaired(
            f"{what}: a damaged WAL, or a copy put back", lost, 0, repair.keep_wal(path, stamp),
            None if arrival is None or not lost else arrival[1],
        )  # fmt: skip
        repair.note_cut(db, found, max(state.commits, commits))
        state = statements.load(db, high)
    state.commits = max(state.commits, commits)
    return state


def _arrival(db: sqlite3.Connection) -> tuple[int, int] | None:
    """The number and the arrival of the newest event that is there."""
    found: tuple[int, int] | None = db.execute(
        "SELECT last, recorded FROM blocks ORDER BY last DESC LIMIT 1"
    ).fetchone()
    return found


def _words(repaired: Repaired) -> dict[str, object]:
    return {"reason": repaired.reason, "lost": repaired.lost, "carried": repaired.carried, "aside": repaired.aside}
