"""The sinks' side: for each sink one loop from the spool to its `send`, with a durable cursor of its own.

A loop holds one batch at a time (`batch_size` records, at most 4 MiB of bodies or one larger record), and what it
waits for delays no other: each sink lives in a task that its loop can give up.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Sequence
from typing import Any, Final, Literal, Protocol, TypeVar

import structlog

from pump.core.backoff import Backoff
from pump.core.clock import Clock
from pump.core.errors import Gone, Misconfigured, Rejected, Unavailable
from pump.core.failure import Failure, diagnose
from pump.core.record import Record, State
from pump.core.routing import Routing
from pump.core.settings import SinkSettings
from pump.core.timeouts import GRACE, CallGuard, CallTimeout, SessionAbandoned
from pump.delivery.cursor import SETTLE_EVERY, OnLost, SinkCursor
from pump.delivery.errand import next_errand
from pump.delivery.masking import Masking
from pump.delivery.resend_queue import ResendQueue
from pump.delivery.session import SessionStuck, SinkSessions
from pump.delivery.shutoff import SinkShutoff
from pump.sink import Sink
from pump.spool import Spool
from pump.telemetry.health import Component
from pump.telemetry.metrics import Metrics

log = structlog.get_logger()

OPENING: Final = 300.0
"""Seconds that an opening may take: after a crash a sink may have much to look through."""
LEAVING: Final = 10.0
"""Seconds that closing may take."""

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
        self.cursor = SinkCursor(spool, name, clock=clock, metrics=metrics, component=component, on_lost=on_lost)
        self.shutoff = SinkShutoff(spool, name, settings, clock=clock, metrics=metrics)
        self._spool = spool
        self._make = make
        self._clock = clock
        self._metrics = metrics
        self._component = component
        self._site = site
        self._routing = Routing(settings)
        self._shape = Masking(settings)
        self._whole: dict[int, Record] = {}
        """What the sink sees a part of only, by number: dead letters are kept whole."""
        self.resend_queue = ResendQueue(self._wake)
        """What is to go to the sink beside its own stream."""
        self._backoff = Backoff(rng=rng)
        self._failed: Literal["", "opening", "sending"] = ""
        self._target: int | None = None
        self._waiting: asyncio.Timeout | None = None
        self._idle = False
        self._oldest: int | None = None
        self._openings = SinkSessions(name, grace, self._on_stuck)

    # --- the daemon's side --------------------------------------------------------------------------------------

    @property
    def position(self) -> int:
        """Everything through this number is done with, or in a deferring sink's hands."""
        return self.cursor.seq

    @property
    def lag(self) -> int:
        """Numbers between the spool's head and the position."""
        return self.cursor.lag

    @property
    def stopping(self) -> bool:
        """Whether `stop` was called."""
        return self._target is not None

    @property
    def delay_s(self) -> float:
        """Seconds since the oldest event in hand arrived; 0 while there is none."""
        return 0.0 if self._oldest is None else max(0.0, (self._clock.now_ms() - self._oldest) / 1000.0)

    @property
    def stuck(self) -> list[str]:
        """What this sink was doing when it was given up, of each opening that has still not ended."""
        return list(self._openings.stuck.values())

    def stop(self) -> None:
        """Have `run` return once everything is delivered that is in the spool now, or at the sink's next failure.

        A peer that is away is not waited for: what it has not had stays in the spool for the next start.
        """
        if self._target is None:
            self._target = self._spool.head
            self.resend_queue.close("the sink stops")
        if self._waiting is not None and not self._waiting.expired():
            self._waiting.reschedule(asyncio.get_running_loop().time())

    async def run(self) -> None:
        """Deliver until `stop` or cancellation. Raises nothing of the sink's: it is opened again after a wait."""
        self._metrics.lag.labels(sink=self.name).set_function(lambda: self.lag)
        self.shutoff.restore()
        while True:
            failure = await (self._rest() if self.shutoff.reason else self._opening())
            if failure is not None and self._target is None:
                await self._pause(failure)
                self._metrics.restarts.labels(part=self._component.name).inc()
            if self._target is not None:
                if self._target > self.position:
                    reason = failure.reason if failure is not None else ""
                    log.warning("A sink stops before it had everything", sink=self.name, left=self.lag, reason=reason)
                return

    async def _rest(self) -> None:
        """Wait until it is switched on, or is to stop."""
        await self.cursor.restore(self.settings)
        self._oldest = None
        self._component.down(self.shutoff.reason)
        self.resend_queue.close(f"the sink is {self.shutoff.reason}")
        await self._wait(self.shutoff.until_on(), None)
        if not self.stopping:
            self.resend_queue.open()

    # --- one opening after another ------------------------------------------------------------------------------

    async def _opening(self) -> Failure | None:
        """One life of the sink, from its making to its leaving; why it ended."""
        while self._openings.full:
            self._component.down(f"{len(self.stuck)} openings hang and cannot be cancelled")
            if self._target is not None:
                return None
            await self._wait(self._openings.one_less(), None)
        error = await self._openings.run(self._live)
        if error is None:
            return None
        if isinstance(error, SessionStuck):
            return Failure(str(error), None, logging.ERROR, "A sink hangs and will be opened anew beside it")
        if isinstance(error, CallTimeout):
            self._count_retry("stalled")
            return Failure(str(error), None, logging.ERROR, "A sink did not answer in time and will be opened again")
        if isinstance(error, Gone):
            self._count_retry("gone")
            await self.shutoff.shut_off(error.reason)
            return None
        if not isinstance(error, asyncio.CancelledError):
            self._count_retry("misconfigured" if isinstance(error, Misconfigured) else "error")
        return diagnose(error)

    def _on_stuck(self, what: str) -> None:
        self._count_retry("stuck")
        self._component.down(f"{what} hangs and cannot be cancelled")

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

    async def _live(self, guard: CallGuard) -> None:
        self._failed = self._failed or "opening"
        await self.cursor.restore(self.settings)
        sink = self._make(self.name, self.settings, state=self.cursor.state, clock=self._clock, site=self._site)
        await guard.within(OPENING, "opening", sink.__aenter__())
        try:
            if sink.state != self.cursor.state:
                # Stored before the first batch, so that what a crash leaves of that batch can be found again.
                self.cursor.state = sink.state
                await self.cursor.store_now()
            if self._failed == "opening":  # what failed in sending is mended by sending alone
                self._failed = ""
                self._up()
            await self._feed(guard, sink)
        except BaseException as error:
            await self._leave(guard, sink, error)
            raise
        await self._leave(guard, sink, None)

    async def _leave(self, guard: CallGuard, sink: Sink[Any], error: BaseException | None) -> None:
        """Settle and close. A cancellation comes once, so these awaits are not disturbed by the one under way."""
        try:
            if sink.deferring and not guard.abandoned:
                await self.cursor.settle(guard, sink, last=True)
        except Exception as raised:  # noqa: BLE001  # what is not settled is sent again
            log.warning("A sink could not settle before it was left", sink=self.name, error=type(raised).__name__)
        try:
            trace = error.__traceback__ if error is not None else None
            await guard.within(LEAVING, "closing", sink.__aexit__(type(error) if error else None, error, trace))
        except SessionAbandoned:
            raise
        except Exception:
            log.exception("A sink failed while it was closed", sink=self.name)

    # --- beside its own stream; see pump.delivery.errand --------------------------------------------------------------

    def _wake(self) -> None:
        if self._idle and self._waiting is not None and not self._waiting.expired():
            self._waiting.reschedule(asyncio.get_running_loop().time())

    async def attempt(self, guard: CallGuard, sink: Sink[Any], batch: list[Record]) -> State | None:
        """One `send`, with what the sink wants remembered of its failure. Raises what it raises, and `CallTimeout`."""
        self._failed = "sending"
        try:
            return await guard.within(self.settings.deadline, "sending", sink.send(batch))
        except (Unavailable, Rejected, Misconfigured) as error:
            self.cursor.remember(error.state)
            raise

    def worked(self) -> None:
        """A `send` has got through."""
        self._failed = ""
        self._backoff.reset()
        self._up()

    async def pause(self, seconds: float) -> None:
        """Wait so long, or until `stop`."""
        await self._wait(self._clock.sleep(seconds), None)

    # --- batches ------------------------------------------------------------------------------------------------

    async def _feed(self, guard: CallGuard, sink: Sink[Any]) -> None:
        while True:
            if sink.deferring and self.cursor.due:
                await self.cursor.settle(guard, sink)
            if self._target is not None and self.position >= self._target:
                return
            head = self._spool.head
            if self.resend_queue and await next_errand(self, guard, sink):
                continue
            if self.position >= head:
                unsettled = sink.deferring and self.cursor.unsettled
                self._idle = True
                await self._wait(self._spool.wait_above(self.position), SETTLE_EVERY if unsettled else None)
                self._idle = False
                continue
            records = await self._spool.read(self.position, limit=self.settings.read_limit)
            await self.cursor.tell_lost(records, head)
            if not records:
                self.cursor.advance(head, sink.deferring)
                continue
            wanted = self._routing.select(records)
            if excluded := len(records) - len(wanted):
                self._metrics.excluded.labels(sink=self.name).inc(excluded)
            if wanted:
                await self._send(guard, sink, await self.shaped(wanted))
            else:
                await asyncio.sleep(0)  # a read from memory does not yield, and there may be a million of these
            self.cursor.advance(records[-1].seq, sink.deferring)

    async def shaped(self, records: Sequence[Record]) -> list[Record]:
        """As the sink may see them."""
        if not self._shape:
            return list(records)
        self._whole = {record.seq: record for record in records}
        return await self._shape.apply(records)

    async def _send(self, guard: CallGuard, sink: Sink[Any], batch: list[Record]) -> None:
        """Deliver the batch, the rest of it again and again while the peer is away."""
        self._oldest = batch[0].recorded
        attempts = 0
        while batch:
            attempts += 1
            refused = 0
            try:
                state = await self.attempt(guard, sink, batch)
            except Unavailable as error:
                done = max(0, min(error.sent, len(batch)))
                if done:
                    self._count_sent(done)
                    self.cursor.handed = batch[done - 1].seq
                    self.cursor.advance(self.cursor.handed, sink.deferring)
                    self._oldest = batch[min(done, len(batch) - 1)].recorded
                    batch, attempts = batch[done:], 0
                    self._backoff.reset()
                if batch:
                    await self.retry(guard, sink, error)
                continue
            except Rejected as error:
                refused = await self._bury(guard, sink, batch, error, attempts)
                state = self.cursor.state
            self.cursor.handed = batch[-1].seq
            if not sink.deferring:
                self.cursor.state = state
            self._count_sent(len(batch) - refused)
            self.worked()
            break
        self._oldest = None

    async def _bury(
        self, guard: CallGuard, sink: Sink[Any], batch: list[Record], rejected: Rejected, attempts: int
    ) -> int:
        refused = [self._whole.get(record.seq, record) for record in batch if record.seq in rejected.sequence]
        while True:
            try:
                fresh = await self._spool.add_dead_letters(self.name, refused, rejected.reasons, attempts)
                break
            except Unavailable as error:
                await self.retry(guard, sink, error)
        self._metrics.dead.labels(sink=self.name).inc(fresh)
        log.warning("A sink refuses events, which are dead letters now", sink=self.name, events=len(refused))
        return len(refused)

    async def retry(self, guard: CallGuard, sink: Sink[Any], error: Unavailable) -> None:
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
            await self.cursor.settle(guard, sink, last=True)
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
