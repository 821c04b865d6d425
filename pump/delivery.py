"""The sinks' side: for each sink one loop from the spool to its `send`, with a durable cursor of its own.

A loop holds one batch at a time (`batch_size` records, at most 4 MiB of bodies or one larger record), and what it
waits for delays no other: each sink lives in a task that its loop can give up.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from typing import Any, Final, Literal, Protocol, TypeVar

import structlog

from pump.aside import Aside, Errand
from pump.backoff import Backoff
from pump.clock import Clock
from pump.deadline import GRACE, Abandoned, Guard, Overdue
from pump.errors import Misconfigured, Rejected, Unavailable
from pump.health import Component
from pump.metrics import Metrics
from pump.routing import Routing
from pump.settings import SinkSettings
from pump.shape import Shape
from pump.sink import Record, Sink, State
from pump.spool import Spool
from pump.supervisor import Failure, diagnose

log = structlog.get_logger()

SETTLE_EVERY: Final = 0.5
"""Seconds between two questions to a deferring sink."""
OPENING: Final = 300.0
"""Seconds that an opening may take: after a crash a sink may have much to look through."""
LEAVING: Final = 10.0
"""Seconds that closing may take."""
MOST_STUCK: Final = 3
"""Openings of one sink that do not let go; beyond them the sink waits, for each holds memory."""

PATIENCE: Final = 60
"""Questions to a deferring sink, `SETTLE_EVERY` apart, before something else is done first."""

OnLost = Callable[[str, int, int, int], Awaitable[object]]
"""Told (sink, first number, last number, how many at most) of what was removed before the sink had it."""

T = TypeVar("T")


class MakeSink(Protocol):
    """What makes a sink: its class, or a stand-in's factory. Called for each opening; does no I/O."""

    def __call__(
        self, name: str, settings: Any, *, state: State | None, clock: Clock, site: str
    ) -> Sink[Any]: ...  # pragma: no cover


class Delivery:
    """One sink's loop. The daemon makes it once for each `[sinks.NAME]` and keeps `run` going in a task.

    `run` may be cancelled at any moment, and called again after it ended: it goes on from the stored cursor. After
    `stop` it returns by itself.
    """

    def __init__(
        self,
        spool: Spool,
        make: MakeSink,
        name: str,
        settings: SinkSettings,
        *,
        clock: Clock,
        metrics: Metrics,
        component: Component,
        site: str,
        on_lost: OnLost,
        rng: random.Random | None = None,
        grace: float = GRACE,
    ) -> None:
        self.name = name
        self.settings = settings
        self.position = 0
        """Everything through this number is done with, or in a deferring sink's hands."""
        self._spool = spool
        self._make = make
        self._clock = clock
        self._metrics = metrics
        self._component = component
        self._site = site
        self._on_lost = on_lost
        self._grace = grace
        self._routing = Routing(settings)
        self._shape = Shape(settings)
        self._whole: dict[int, Record] = {}
        """What the sink sees a part of only, by number: dead letters are kept whole."""
        self.aside = Aside(self._wake)
        """What is to go to the sink beside its own stream."""
        self._backoff = Backoff(rng=rng)
        self._state: State | None = None
        self._handed = 0
        """The last number that was given to the sink."""
        self._settled = 0
        """The last number of those that a deferring sink has said to be safe."""
        self._asked = 0.0
        self._failed: Literal["", "opening", "sending"] = ""
        self._target: int | None = None
        self._waiting: asyncio.Timeout | None = None
        self._idle = False
        self._oldest: int | None = None
        self._stuck: dict[asyncio.Task[None], str] = {}

    # --- the daemon's side --------------------------------------------------------------------------------------

    @property
    def lag(self) -> int:
        """Numbers between the spool's head and the position."""
        return max(0, self._spool.head - self.position)

    @property
    def behind(self) -> float:
        """Seconds since the oldest event in hand arrived; 0 while there is none."""
        return 0.0 if self._oldest is None else max(0.0, (self._clock.now_ms() - self._oldest) / 1000.0)

    @property
    def stuck(self) -> list[str]:
        """What this sink was doing when it was given up, of each opening that has still not ended."""
        return list(self._stuck.values())

    def stop(self) -> None:
        """Have `run` return once everything is delivered that is in the spool now, or at the sink's next failure.

        A peer that is away is not waited for: what it has not had stays in the spool for the next start.
        """
        if self._target is None:
            self._target = self._spool.head
            self.aside.close("the sink stops")
        if self._waiting is not None and not self._waiting.expired():
            self._waiting.reschedule(asyncio.get_running_loop().time())

    async def run(self) -> None:
        """Deliver until `stop` or cancellation. Raises nothing of the sink's: it is opened again after a wait."""
        self._metrics.lag.labels(sink=self.name).set_function(lambda: self.lag)
        while True:
            failure = await self._opening()
            if failure is not None and self._target is None:
                await self._pause(failure)
                self._metrics.restarts.labels(part=self._component.name).inc()
            if self._target is not None:
                if self._target > self.position:
                    reason = failure.reason if failure is not None else ""
                    log.warning("A sink stops before it had everything", sink=self.name, left=self.lag, reason=reason)
                return

    # --- one opening after another ------------------------------------------------------------------------------

    async def _opening(self) -> Failure | None:
        """One life of the sink, from its making to its leaving; why it ended."""
        while len(self._stuck) >= MOST_STUCK:
            self._component.down(f"{len(self._stuck)} openings hang and cannot be cancelled")
            if self._target is not None:
                return None
            await self._wait(asyncio.wait(self._stuck, return_when=asyncio.FIRST_COMPLETED), None)
        guard = Guard(self._grace)
        # A task of its own: libraries' cancel scopes want to be left where they were entered, and a task that
        # swallows its cancellation can be given up.
        task = asyncio.create_task(self._live(guard), name=f"sink {self.name} open")
        ends: set[asyncio.Future[Any]] = {task, guard.stuck}
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            task.cancel(f"sink {self.name} is to stop")
            # Waited for although we are cancelled: there the sink is closed and its last cursor set. Not for ever.
            await asyncio.wait(ends, timeout=self._grace, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                self._give_up(task, guard)
            elif not task.cancelled():
                task.exception()
            raise
        if not task.done():
            return self._give_up(task, guard)
        if task.cancelled():
            return diagnose(asyncio.CancelledError("a cancellation that nobody asked for"))
        error = task.exception()
        if error is None:
            return None
        if isinstance(error, Overdue):
            self._count_retry("stalled")
            return Failure(str(error), None, logging.ERROR, "A sink did not answer in time and will be opened again")
        failure = diagnose(error)
        self._count_retry("misconfigured" if isinstance(error, Misconfigured) else "error")
        return failure

    def _give_up(self, task: asyncio.Task[None], guard: Guard) -> Failure:
        what = guard.stuck.result() if guard.stuck.done() else guard.doing or "an opening"
        guard.abandoned = True
        self._stuck[task] = what
        task.add_done_callback(self._let_go)
        self._count_retry("stuck")
        log.error("A sink cannot be cancelled and is left behind", sink=self.name, doing=what)
        self._component.down(f"{what} hangs and cannot be cancelled")
        return Failure(f"{what} hangs", None, logging.ERROR, "A sink hangs and will be opened anew beside it")

    def _let_go(self, task: asyncio.Task[None]) -> None:
        what = self._stuck.pop(task)
        if not task.cancelled():
            task.exception()  # looked at: whatever it was no longer counts
        log.info("A sink that had been left behind has ended", sink=self.name, doing=what)

    async def _pause(self, failure: Failure) -> None:
        drawn = self._backoff.next()
        wait = drawn if failure.wait is None else failure.wait
        self._component.down(failure.reason)
        log.log(
            failure.level,
            failure.sentence,
            part=self._component.name,
            reason=failure.reason,
            wait_s=round(wait, 3),
            exc_info=failure.error,
        )
        await self._wait(self._clock.sleep(wait), None)

    async def _live(self, guard: Guard) -> None:
        self._failed = self._failed or "opening"
        await self._place()
        sink = self._make(self.name, self.settings, state=self._state, clock=self._clock, site=self._site)
        await guard.within(OPENING, "opening", sink.__aenter__())
        try:
            if sink.state != self._state:
                # Stored before the first batch, so that what a crash leaves of that batch can be found again.
                self._state = sink.state
                self._store(self.position)
                await self._spool.flush()
            if self._failed == "opening":  # what failed in sending is mended by sending alone
                self._failed = ""
                self._up()
            await self._feed(guard, sink)
        except BaseException as error:
            await self._leave(guard, sink, error)
            raise
        await self._leave(guard, sink, None)

    async def _leave(self, guard: Guard, sink: Sink[Any], error: BaseException | None) -> None:
        """Settle and close. A cancellation comes once, so these awaits are not disturbed by the one under way."""
        try:
            if sink.deferring and not guard.abandoned:
                await self._settle(guard, sink, last=True)
        except Exception as raised:  # noqa: BLE001  # what is not settled is sent again
            log.warning("A sink could not settle before it was left", sink=self.name, error=type(raised).__name__)
        try:
            trace = error.__traceback__ if error is not None else None
            await guard.within(LEAVING, "closing", sink.__aexit__(type(error) if error else None, error, trace))
        except Abandoned:
            raise
        except Exception:
            log.exception("A sink failed while it was closed", sink=self.name)

    # --- where it stands ----------------------------------------------------------------------------------------

    async def _place(self) -> None:
        """Take up the stored cursor; a new sink's is stored at once, so that what comes now is its own."""
        cursor = self._spool.cursor(self.name)
        head = self._spool.head
        if cursor is None:
            self.position, self._state = (head if self.settings.start == "now" else self._spool.floor), None
            self._store(self.position)
            await self._spool.flush()
        else:
            self.position, self._state = cursor.seq, cursor.state
            if cursor.seq > head:
                log.error("A sink's cursor is ahead of the spool; it goes on at the spool's end", sink=self.name)
                self.position = head
        self._handed = self._settled = self.position

    def _store(self, seq: int) -> None:
        self._spool.set_cursor(self.name, seq, self._state)
        self._component.details.update(position=seq, lag=self.lag)

    def _passed(self, seq: int, deferring: bool) -> None:
        self.position = seq
        if not deferring or self._settled >= self._handed:
            self._store(seq)

    async def _settle(self, guard: Guard, sink: Sink[Any], *, last: bool = False) -> None:
        """Ask a deferring sink how far it is, and move the cursor there.

        `last`: asked once more where it says nothing: a sink that spaces its work knows by that that no more comes.
        """
        self._asked = self._clock.monotonic()
        for _ in range(2 if last else 1):
            if self._settled >= self._handed:
                return
            settled = await guard.within(self.settings.timeout, "settling", sink.settle())
            if settled is not None:
                self._settled, self._state = settled.seq, settled.state
                # What routing excluded behind the last one that the sink was given needs no word of the sink's.
                self._store(self.position if self._settled >= self._handed else self._settled)

    async def _tell_lost(self, records: list[Record], head: int) -> None:
        through = min(self._spool.floor, records[0].seq - 1 if records else head)
        if through <= self.position:
            return
        first, count = self.position + 1, through - self.position
        self._metrics.lost.labels(sink=self.name).inc(count)
        log.error("Events were removed before a sink had them", sink=self.name, at_most=count)
        self.position = through
        try:
            await self._on_lost(self.name, first, through, count)
        except Exception:
            log.exception("A sink's loss could not be told as an event", sink=self.name, at_most=count)

    # --- beside its own stream ----------------------------------------------------------------------------------

    def _wake(self) -> None:
        if self._idle and self._waiting is not None and not self._waiting.expired():
            self._waiting.reschedule(asyncio.get_running_loop().time())

    async def _errand(self, guard: Guard, sink: Sink[Any]) -> bool:
        """Do one errand; False where it must wait: after it, a deferring sink's word is about other numbers."""
        for _ in range(PATIENCE):
            if not sink.deferring or self._settled >= self._handed:
                break
            await self._settle(guard, sink, last=True)
            await self._wait(self._clock.sleep(0.0 if self._settled >= self._handed else SETTLE_EVERY), None)
        else:
            return False
        errand = self.aside.take()
        if errand is None or self._target is not None:
            return True
        try:
            await self._run(guard, sink, errand)
        except BaseException:
            errand.fail("the sink failed meanwhile; some may have been delivered")
            raise
        errand.finish()
        return True

    async def _run(self, guard: Guard, sink: Sink[Any], errand: Errand) -> None:
        outcome, batch = errand.outcome, await self._shaped(errand.left)
        last, state = batch[-1].seq, self._state
        while batch and not errand.done.done():
            self._failed = "sending"
            try:
                state = await guard.within(self.settings.deadline, "sending", sink.send(batch))
            except Unavailable as error:
                done = max(0, min(error.sent, len(batch)))
                outcome.sent, batch = outcome.sent + done, batch[done:]
                if batch:
                    await self._retry(guard, sink, error)
                continue
            except Rejected as error:
                outcome.refused = {
                    record.seq: error.reasons[record.seq] for record in batch if record.seq in error.sequence
                }
            outcome.sent += len(batch) - len(outcome.refused)
            self._failed = ""
            self._backoff.reset()
            self._up()
            break
        if sink.deferring:
            state = await self._settle_errand(guard, sink, last)
        self._state = state
        self._store(self.position)

    async def _settle_errand(self, guard: Guard, sink: Sink[Any], last: int) -> State | None:
        """Wait until a deferring sink has what it accepted, and take its state; its cursor stays.

        The number may be one that it has settled before: then it says nothing, and there is nothing to wait for.
        """
        state = self._state
        for turn in range(PATIENCE):
            settled = await guard.within(self.settings.timeout, "settling", sink.settle())
            if settled is not None:
                state = settled.state
                if settled.seq == last:
                    break
            elif turn > 1:
                break
            await self._wait(self._clock.sleep(SETTLE_EVERY if turn else 0.0), None)
        return state

    # --- batches ------------------------------------------------------------------------------------------------

    async def _feed(self, guard: Guard, sink: Sink[Any]) -> None:
        while True:
            if sink.deferring and self._clock.monotonic() - self._asked >= SETTLE_EVERY:
                await self._settle(guard, sink)
            if self._target is not None and self.position >= self._target:
                return
            head = self._spool.head
            if self.aside and await self._errand(guard, sink):
                continue
            if self.position >= head:
                unsettled = sink.deferring and self._settled < self._handed
                self._idle = True
                await self._wait(self._spool.wait_above(self.position), SETTLE_EVERY if unsettled else None)
                self._idle = False
                continue
            records = await self._spool.read(self.position, limit=self.settings.handful)
            await self._tell_lost(records, head)
            if not records:
                self._passed(head, sink.deferring)
                continue
            wanted = self._routing.select(records)
            if excluded := len(records) - len(wanted):
                self._metrics.excluded.labels(sink=self.name).inc(excluded)
            if wanted:
                await self._send(guard, sink, await self._shaped(wanted))
            else:
                await asyncio.sleep(0)  # a read from memory does not yield, and there may be a million of these
            self._passed(records[-1].seq, sink.deferring)

    async def _shaped(self, records: list[Record]) -> list[Record]:
        if not self._shape:
            return records
        self._whole = {record.seq: record for record in records}
        return await self._shape.apply(records)

    async def _send(self, guard: Guard, sink: Sink[Any], batch: list[Record]) -> None:
        """Deliver the batch, the rest of it again and again while the peer is away."""
        self._oldest = batch[0].recorded
        attempts = 0
        while batch:
            attempts += 1
            self._failed = "sending"
            refused = 0
            try:
                state = await guard.within(self.settings.deadline, "sending", sink.send(batch))
            except Unavailable as error:
                done = max(0, min(error.sent, len(batch)))
                if done:
                    self._count_sent(done)
                    self._handed = batch[done - 1].seq
                    self._passed(self._handed, sink.deferring)
                    self._oldest = batch[min(done, len(batch) - 1)].recorded
                    batch, attempts = batch[done:], 0
                    self._backoff.reset()
                if batch:
                    await self._retry(guard, sink, error)
                continue
            except Rejected as error:
                refused = await self._bury(guard, sink, batch, error, attempts)
                state = self._state
            self._handed = batch[-1].seq
            if not sink.deferring:
                self._state = state
            self._count_sent(len(batch) - refused)
            self._failed = ""
            self._backoff.reset()
            self._up()
            break
        self._oldest = None

    async def _bury(self, guard: Guard, sink: Sink[Any], batch: list[Record], rejected: Rejected, attempts: int) -> int:
        refused = [self._whole.get(record.seq, record) for record in batch if record.seq in rejected.sequence]
        while True:
            try:
                fresh = await self._spool.bury(self.name, refused, rejected.reasons, attempts)
                break
            except Unavailable as error:
                await self._retry(guard, sink, error)
        self._metrics.dead.labels(sink=self.name).inc(fresh)
        log.warning("A sink refuses events, which are dead letters now", sink=self.name, events=len(refused))
        return len(refused)

    async def _retry(self, guard: Guard, sink: Sink[Any], error: Unavailable) -> None:
        """Wait before the same sink is tried again; raises the error where the loop is to end."""
        if self._target is not None:
            raise error
        drawn = self._backoff.next()
        wait = drawn if error.retry_after is None else error.retry_after
        news = self._component.down(error.reason or "its peer is away")
        self._component.details.update(lag=self.lag)
        self._count_retry("unavailable")
        log.log(
            logging.WARNING if news else logging.DEBUG,
            "A sink's peer is away; its events wait",
            sink=self.name,
            reason=error.reason,
            wait_s=round(wait, 3),
        )
        if sink.deferring:
            await self._settle(guard, sink, last=True)
        await self._wait(self._clock.sleep(wait), None)
        if self._target is not None:
            raise error

    async def _wait(self, waiting: Awaitable[T], at_most: float | None) -> None:
        """Wait for it, `at_most` seconds, or until `stop`."""
        try:
            async with asyncio.timeout(0 if self._target is not None else at_most) as self._waiting:
                await waiting
        except TimeoutError:
            pass
        finally:
            self._waiting = None

    def _up(self) -> None:
        if self._component.up():
            log.info("A sink delivers", sink=self.name)

    def _count_sent(self, count: int) -> None:
        self._metrics.sent.labels(sink=self.name).inc(count)

    def _count_retry(self, reason: str) -> None:
        self._metrics.sink_retries.labels(sink=self.name, reason=reason).inc()
