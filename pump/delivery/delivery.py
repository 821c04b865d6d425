"""The sinks' side: for each sink one loop from the spool to its `send`, with a durable cursor of its own.

A loop holds one batch at a time (`batch_size` records, at most 4 MiB of bodies or one larger record), and what it
waits for delays no other: each sink lives in a task that its loop can give up.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, Final, Protocol

import structlog

from pump.core.backoff import Backoff
from pump.core.clock import Clock
from pump.core.errors import Gone, Misconfigured
from pump.core.failure import Failure, diagnose
from pump.core.record import State
from pump.core.routing import Routing
from pump.core.settings import SinkSettings
from pump.core.tasks import Nap
from pump.core.text import words_of
from pump.delivery.cursor import SETTLE_EVERY, SinkCursor, Surroundings
from pump.delivery.masking import Masking
from pump.delivery.media_wait import MediaWait
from pump.delivery.memory import SinkMemory
from pump.delivery.resend_queue import ResendQueue
from pump.delivery.sender import BatchSender, ForStream, SinkHealth
from pump.delivery.session import SessionStuck, SinkSessions
from pump.delivery.shutoff import SinkShutoff
from pump.delivery.timeouts import CallGuard, CallTimeout, SessionAbandoned
from pump.sink import Sink
from pump.telemetry.health import Component

log = structlog.get_logger()

OPENING: Final = 300.0
"""Seconds that an opening may take: after a crash a sink may have much to look through."""
LEAVING: Final = 10.0
"""Seconds that closing may take."""


class MakeSink(Protocol):
    """The maker of a sink: its class, or a stand-in's factory. Called for each opening; does no I/O."""

    def __call__(
        self, name: str, settings: Any, *, state: State | None, clock: Clock, site: str
    ) -> Sink[Any]: ...  # pragma: no cover


class Delivery:
    """One sink's loop. The daemon makes it once for each `[sinks.NAME]` and keeps `run` going in a task.

    `run` may be cancelled at any moment, and called again after it ended: it goes on from the stored cursor. After
    `stop` it returns by itself.
    """

    def __init__(
        self, around: Surroundings, make: MakeSink, name: str, settings: SinkSettings, component: Component
    ) -> None:
        self.name = name
        self.settings = settings
        self.cursor = SinkCursor(around, name, component)
        self.shutoff = SinkShutoff(around.spool, name, settings, clock=around.clock, metrics=around.metrics)
        self.resend_queue = ResendQueue(self._wake)
        """The batches that are to go to the sink beside its own stream."""
        self.names_events: bool = getattr(make, "names_events", False)
        """Whether the sink's peer gets a name with each event, by which it drops repeats."""
        self._around = around
        self._spool = around.spool
        self._make = make
        self._clock = around.clock
        self._metrics = around.metrics
        self._component = component
        self._health = SinkHealth(name, component, around.metrics)
        self._routing = Routing(settings)
        self._masking = Masking(settings)
        self._media_wait = MediaWait(around.spool, settings.wait_media, around.clock)
        self._backoff = Backoff(rng=around.rng)
        self._nap = Nap(around.clock)
        self._target: int | None = None
        self._idle = False
        self._sender: BatchSender | None = None
        self.open_sink: Sink[Any] | None = None
        """The sink while it is entered."""
        self._guard: CallGuard | None = None
        self._running = False
        self._turns = 0
        self._seen: tuple[int, int, int] = (0, 0, 0)
        """How far the loop had come when it was last asked for."""
        self._moved = around.clock.monotonic()
        """When the loop was last seen to move on."""
        self._sessions = SinkSessions(name, around.grace, self._on_stuck)

    # --- the daemon's side --------------------------------------------------------------------------------------

    @property
    def position(self) -> int:
        """Everything through this number is done with, or in a deferring sink's hands."""
        return self.cursor.seq

    @property
    def lag(self) -> int:
        """Numbers between the spool's head and the position."""
        return self.cursor.lag

    def hurry(self) -> bool:
        """End the wait between two tries, as an operator asks; False where there is none."""
        if self._component.state != "down" or self._idle or not self._nap.waiting:
            return False
        self._backoff.reset()
        self._nap.cut()
        return True

    @property
    def gave_up(self) -> bool:
        """True where so many openings hang, and cannot be cancelled, that there is none beside them any more."""
        return self._sessions.full

    def standing(self) -> float:
        """Seconds in which the loop has neither moved on nor been in a wait that has an end of its own, such as a
        call into the sink. For who asks it every second or so."""
        guard, now = self._guard, self._clock.monotonic()
        seen, self._seen = self._seen, (self._turns, self.position, self.cursor.looked)
        waits = not self._running or self._idle or self._nap.waiting or (guard is not None and bool(guard.doing))
        if waits or seen != self._seen:
            self._moved = now
        return now - self._moved

    @property
    def stopping(self) -> bool:
        """True where `stop` was called."""
        return self._target is not None

    @property
    def delay_s(self) -> float:
        """Seconds since the oldest event in hand arrived; 0 while there is none."""
        oldest = None if self._sender is None else self._sender.oldest
        return 0.0 if oldest is None else self._clock.ages.age(oldest, down=True) or 0.0

    @property
    def stuck(self) -> list[str]:
        """The call that this sink was in when it was given up, of each opening that has still not ended."""
        return list(self._sessions.stuck.values())

    def stop(self, *, drain: bool = True) -> None:
        """Have `run` return once everything is delivered that is in the spool now, or at the sink's next failure.

        A peer that is away is not waited for: what it has not had stays in the spool for the next start. Without
        `drain` it returns after the batch in hand: another is to go on from there.
        """
        if self._target is None:
            self._target = self._spool.head if drain else self.position
            self.resend_queue.close("the sink stops")
        self._nap.end()

    async def run(self) -> None:
        """Deliver until `stop` or cancellation. Raises nothing of the sink's: it is opened again after a wait."""
        self._metrics.lag.labels(sink=self.name).set_function(lambda: self.lag)
        self.shutoff.restore()
        self._running = True
        try:
            await self._run()
        finally:
            self._running = False

    async def _run(self) -> None:
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
        self._health.down(self.shutoff.reason)
        self.resend_queue.close(f"the sink is {self.shutoff.reason}")
        await self._nap.until(self.shutoff.until_on())
        if not self.stopping:
            self.resend_queue.open()

    # --- one opening after another ------------------------------------------------------------------------------

    async def _opening(self) -> Failure | None:
        """One life of the sink, from its making to its leaving; why it ended."""
        while self._sessions.full:
            self._health.down(f"{len(self.stuck)} openings hang and cannot be cancelled")
            if self._target is not None:
                return None
            await self._nap.until(self._sessions.one_less())
        error = await self._sessions.run(self._live)
        if error is None:
            return None
        if isinstance(error, SessionStuck):
            return Failure(str(error), None, logging.ERROR, "A sink hangs and will be opened anew beside it")
        if isinstance(error, CallTimeout):
            self._health.count_retry("stalled")
            return Failure(str(error), None, logging.ERROR, "A sink did not answer in time and will be opened again")
        if isinstance(error, Gone):
            self._health.count_retry("gone")
            await self.shutoff.shut_off(error.reason)
            return None
        if not isinstance(error, asyncio.CancelledError):
            self._health.count_retry("misconfigured" if isinstance(error, Misconfigured) else "error")
        return diagnose(error)

    def _on_stuck(self, what: str) -> None:
        self._health.count_retry("stuck")
        self._health.down(f"{what} hangs and cannot be cancelled")

    async def _pause(self, failure: Failure) -> None:
        drawn = self._backoff.next()
        wait = drawn if failure.wait is None else failure.wait
        self._health.down(failure.reason)
        log.log(
            failure.level,
            failure.sentence,
            part=self._component.name,
            reason=failure.reason,
            wait_s=round(wait, 3),
            exc_info=failure.error,
        )
        await self._nap.sleep(wait)

    async def _live(self, guard: CallGuard) -> None:
        self._guard = guard
        self._health.opening()
        await self.cursor.restore(self.settings)
        site = self._around.site
        sink = self._make(self.name, self.settings, state=self.cursor.state, clock=self._clock, site=site)
        self.cursor.deferring = sink.deferring
        sink.recall(SinkMemory(self._spool, self.name))
        await guard.within(OPENING, "opening", sink.__aenter__())
        sender = self._sender = BatchSender(
            sink,
            guard,
            cursor=self.cursor,
            masking=self._masking,
            backoff=self._backoff,
            nap=self._nap,
            health=self._health,
        )
        self.open_sink = sink
        try:
            if sink.damage is not None:
                self._around.on_damaged(self.name, sink.damage)
            if self.cursor.lost:
                await self.cursor.find(guard, sink, self._routing)
            if sink.state != self.cursor.state:
                # Stored before the first batch, so that what a crash leaves of that batch can be found again.
                self.cursor.state = sink.state
                await self.cursor.store_now()
            self._health.opened()
            await self._feed(sender)
        except BaseException as error:
            await self._leave(guard, sink, error)
            raise
        await self._leave(guard, sink, None)

    async def _leave(self, guard: CallGuard, sink: Sink[Any], error: BaseException | None) -> None:
        """Settle and close. A cancellation comes once, so these awaits are not disturbed by the one under way."""
        self.open_sink = None
        try:
            if sink.deferring and not guard.abandoned:
                await self.cursor.settle(guard, sink, last=True)
        except Exception as raised:  # noqa: BLE001  # what is not settled is sent again
            log.warning("A sink could not settle before it was left", sink=self.name, reason=words_of(raised))
        try:
            trace = error.__traceback__ if error is not None else None
            await guard.within(LEAVING, "closing", sink.__aexit__(type(error) if error else None, error, trace))
        except SessionAbandoned:
            raise
        except Exception as raised:
            failure = diagnose(raised)
            sentence = "A sink failed while it was closed"
            log.log(failure.level, sentence, sink=self.name, reason=failure.reason, exc_info=failure.error)

    # --- batches ------------------------------------------------------------------------------------------------

    async def _feed(self, sender: BatchSender) -> None:
        cursor, deferring = self.cursor, sender.sink.deferring
        while True:
            self._turns += 1
            if deferring and cursor.due:
                await sender.settle()
            if self._target is not None and self.position >= self._target:
                return
            head = self._spool.head
            if self.resend_queue and await sender.resend(self.resend_queue):
                continue
            if self.position >= head:
                await cursor.caught_up()
                await self._await(sender, self._spool.wait_above(self.position))
                continue
            records = await self._spool.read(self.position, limit=self.settings.read_limit)
            await cursor.tell_lost(records, head)
            if not records:
                cursor.advance(head)
                continue
            wanted = self._routing.select(records)
            if self._media_wait and not self.stopping and (place := self._media_wait.held(wanted)) is not None:
                held = wanted[place]
                if not place:
                    await self._await(sender, self._media_wait.over(held))
                    continue
                wanted = wanted[:place]
                records = [record for record in records if record.seq < held.seq]
            if excluded := len(records) - len(wanted):
                self._metrics.excluded.labels(sink=self.name).inc(excluded)
            if wanted:
                batch = ForStream(wanted, self.name, cursor, self._spool, self._metrics)
                await sender.send(batch, wanted)
                cursor.handed = wanted[-1].seq
                if not deferring:
                    cursor.state = batch.state
            else:
                await asyncio.sleep(0)  # a read from memory does not yield, and there may be a million of these
            cursor.advance(records[-1].seq)

    async def _await(self, sender: BatchSender, news: Coroutine[Any, Any, None]) -> None:
        """Wait for it with nothing to send: a resend, and a deferring sink that owes its word, end it early."""
        self._idle = True
        try:
            await sender.idle(self._nap.until(news, SETTLE_EVERY if self.cursor.unsettled else None))
        finally:
            self._idle = False

    def _wake(self) -> None:
        if self._idle:
            self._nap.cut()
