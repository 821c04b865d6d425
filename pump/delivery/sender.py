"""Sending one batch until the sink has it: the sink's own stream and what is sent again, by the same steps.

A `send` may end in four ways (`pump.sink`): it took the batch, it names those it refuses, it names those that are
done and wants the rest again later, or it raises what ends the opening. What is done is known by number, so that a
sink may take the events of a batch in any order, and neither side keeps a second book of it.
"""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Collection, Coroutine, Iterable, Mapping, Sequence
from typing import Any, Final

import structlog

from pump.core.backoff import Backoff
from pump.core.errors import Misconfigured, Rejected, Unavailable, Undelivered, bare
from pump.core.record import Record, State
from pump.core.tasks import Nap
from pump.delivery.cursor import SETTLE_EVERY, SinkCursor
from pump.delivery.masking import Masking
from pump.delivery.resend_queue import ResendBatch, ResendQueue
from pump.delivery.timeouts import CallGuard
from pump.sink import Sink
from pump.spool import Spool
from pump.telemetry.health import Component
from pump.telemetry.metrics import Metrics

log = structlog.get_logger()

TRIES: Final = 12
"""Failures in a row, none of the batch delivered, after which a resend is given up: one event that the peer cannot
take must not hold the sink's own stream. The waits between them grow, so that takes minutes."""
QUESTIONS: Final = 60
"""Questions to a deferring sink, `SETTLE_EVERY` apart, before something else is done first."""


class BatchSender:
    """One opening's `send`, with its retries; made anew for each opening of the sink."""

    def __init__(
        self,
        sink: Sink[Any],
        guard: CallGuard,
        *,
        cursor: SinkCursor,
        masking: Masking,
        backoff: Backoff,
        nap: Nap,
        health: SinkHealth,
    ) -> None:
        self.sink = sink
        self.cursor = cursor
        self.oldest: int | None = None
        """When the oldest event in hand arrived (milliseconds since 1970); None while there is none."""
        self._guard = guard
        self._masking = masking
        self._backoff = backoff
        self._nap = nap
        self._health = health

    async def send(self, purpose: Purpose, records: Sequence[Record]) -> None:
        """Have the sink take the records; the rest again and again while its peer is away.

        Raises what a failed opening raises (`pump.sink.Sink.send`), and `Unavailable` where the loop is to stop.
        """
        left = await self._masking.apply(records) if self._masking else records
        whole = {record.seq: record for record in records} if self._masking else {}
        attempts = failures = 0
        first = True
        try:
            while left and purpose.wanted:
                self.oldest = left[0].recorded
                attempts += 1
                try:
                    try:
                        purpose.state = await self._attempt(left)
                    finally:
                        if first:  # later ones find what an attempt before them has sent
                            purpose.repeated(self.sink.duplicates)
                        first = False
                except Rejected as error:
                    purpose.state = purpose.state if error.state is None else error.state
                    numbers = {record.seq for record in left} - error.reasons.keys()
                    left, away = await self._book(purpose, left, whole, numbers, error.reasons, attempts), None
                except (Unavailable, Misconfigured) as error:
                    before = len(left)
                    purpose.state = purpose.state if error.state is None else error.state
                    left = await self._book(purpose, left, whole, error.done, error.refused, attempts)
                    if isinstance(error, Misconfigured):
                        raise
                    away = bare(error)
                    if len(left) < before:
                        attempts = failures = 0
                        self._backoff.reset()
                else:
                    purpose.delivered(left)
                    left, away = (), None
                if away is None:
                    self._health.worked()
                    self._backoff.reset()
                elif left:
                    failures += 1
                    if purpose.tries is not None and failures >= purpose.tries:
                        purpose.give_up(f"given up after {failures} tries: {away.reason}")
                        return
                    await self.retry(away)
        finally:
            self.oldest = None

    async def _book(
        self,
        purpose: Purpose,
        batch: Sequence[Record],
        whole: Mapping[int, Record],
        done: Collection[int],
        refused: Mapping[int, str],
        attempts: int,
    ) -> list[Record]:
        """Note what became of a batch that was not simply taken; what is left of it."""
        # First of all, without a wait: a stop while the spool refuses the letters must not have these sent again. The
        # cursor passes only what is settled from the beginning on, so no letter is passed before it is stored.
        purpose.delivered([record for record in batch if record.seq in done])
        turned_down = [whole.get(record.seq, record) for record in batch if record.seq in refused]
        while turned_down and (waits := await purpose.refused(turned_down, refused, attempts)) is not None:
            await self.retry(waits)
        return [record for record in batch if record.seq not in done and record.seq not in refused]

    async def retry(self, error: Unavailable) -> None:
        """Wait before the same sink is tried again; raises the error where the loop is to end."""
        if self._nap.over:
            raise error
        drawn = self._backoff.next()
        wait = drawn if error.retry_after is None else error.retry_after
        self._health.away(error.reason, wait, self.cursor.lag)
        if self.sink.deferring:
            await self.settle(last=True)
        await self._nap.sleep(wait)
        if self._nap.over:
            raise error

    async def idle(self, waiting: Coroutine[Any, Any, None]) -> None:
        """Wait for what ends by itself once there is something to do; a sink that watches its peer does so meanwhile.

        Raises what `Sink.watch` raises, but for `Unavailable`, which is waited out, unless the loop is to end.
        """
        if not self.sink.watches:
            await waiting
            return
        loop = asyncio.get_running_loop()
        begun = loop.time()
        # Tasks, and no cancel scope around them: the wait for their end must not be cut as they were.
        watching = asyncio.create_task(self.sink.watch(), name="a sink's watch")
        events = asyncio.create_task(waiting, name="a sink's wait for events")
        tasks: set[asyncio.Task[Any]] = {watching, events}
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await self._guard.within(self.sink.settings.timeout, "ceasing to watch", asyncio.wait(tasks))
        if not events.cancelled():
            events.result()
        if watching.cancelled():
            return
        try:
            state = watching.result()
        except Unavailable as error:
            self.cursor.remember(error.state)
            if loop.time() - begun > self._backoff.limit:  # a link that has lasted, and no peer that throws us out
                self._backoff.reset()
            await self.retry(error)
        else:
            self.cursor.remember(state)
            self._health.worked()

    async def settle(self, *, last: bool = False) -> None:
        """Ask a deferring sink how far it is; see `SinkCursor.settle`."""
        await self.cursor.settle(self._guard, self.sink, last=last)

    async def _attempt(self, batch: Sequence[Record]) -> State | None:
        """One `send`; what the sink wants remembered of its failure is stored."""
        self._health.trying()
        self.sink.duplicates, self.sink.left_out = 0, {}
        try:
            return await self._guard.within(self.sink.settings.deadline, "sending", self.sink.send(batch))
        except (Undelivered, Rejected) as error:
            self.cursor.remember(error.state)
            raise
        finally:
            self._health.count_duplicates(self.sink.duplicates)
            self._health.count_left_out(self.sink.left_out)

    # --- what is sent again -------------------------------------------------------------------------------------

    async def resend(self, queue: ResendQueue) -> bool:
        """Send the next batch that waits beside the sink's own stream.

        False where it must wait: a deferring sink still owes its word about its own stream, and what it says after a
        resend is about other numbers.
        """
        for _ in range(QUESTIONS):
            if not self.sink.deferring or not self.cursor.unsettled:
                break
            await self.settle(last=True)
            await self._nap.sleep(SETTLE_EVERY if self.cursor.unsettled else 0.0)
        else:
            return False
        batch = queue.take()
        if batch is None or self._nap.over:
            return True
        purpose = ForResend(batch)
        purpose.state = self.cursor.state
        last = batch.left[-1].seq
        self.sink.fresh_ids = batch.fresh_ids
        try:
            await self.send(purpose, batch.left)
            if self.sink.deferring:
                purpose.state = await self._settled_through(last)
        except BaseException:
            batch.fail("the sink failed meanwhile; some may have been delivered")
            raise
        finally:
            self.sink.fresh_ids = ""
        self.cursor.state = purpose.state
        self.cursor.store()
        batch.finish()
        return True

    async def _settled_through(self, last: int) -> State | None:
        """Wait until a deferring sink has what it accepted, and take its state; its cursor stays.

        The number may be one that it has settled before: then it says nothing, and there is nothing to wait for.
        """
        state = self.cursor.state
        for turn in range(QUESTIONS):
            found = await self._guard.within(self.sink.settings.timeout, "settling", self.sink.settle())
            if found is not None:
                state = found.state
                if found.seq == last:
                    break
            elif turn > 1:
                break
            await self._nap.sleep(SETTLE_EVERY if turn else 0.0)
        return state


class SinkHealth:
    """A sink's standing as health, log and metrics show it."""

    def __init__(self, name: str, component: Component, metrics: Metrics) -> None:
        self._name = name
        self._component = component
        self._metrics = metrics
        self._failed_in = ""

    def opening(self) -> None:
        """An opening begins; what failed in sending is mended by sending alone."""
        self._failed_in = self._failed_in or "opening"

    def opened(self) -> None:
        """The opening succeeded."""
        if self._failed_in == "opening":
            self._failed_in = ""
            self._up()

    def trying(self) -> None:
        """A `send` begins."""
        self._failed_in = "sending"

    def worked(self) -> None:
        """A `send` has got through."""
        self._failed_in = ""
        self._up()

    def away(self, reason: str, wait: float, lag: int) -> None:
        """The peer is away; the sink is tried again after `wait` seconds."""
        news = self._component.down(reason or "its peer is away")
        self._component.details.update(lag=lag)
        self.count_retry("unavailable")
        log.log(
            logging.WARNING if news else logging.DEBUG,
            "A sink's peer is away; its events wait",
            sink=self._name,
            reason=reason,
            wait_s=round(wait, 3),
        )

    def down(self, reason: str) -> None:
        """Nothing is delivered until something changes."""
        self._component.down(reason)

    def count_retry(self, reason: str) -> None:
        """One more failure, by its kind."""
        self._metrics.sink_retries.labels(sink=self._name, reason=reason).inc()

    def count_duplicates(self, count: int) -> None:
        """Events that the peer had already, and said so."""
        if count:
            self._metrics.sink_duplicates.labels(sink=self._name).inc(count)

    def count_left_out(self, reasons: Mapping[str, int]) -> None:
        """Events that the sink was given and its peer will not get."""
        for reason, count in reasons.items():
            self._metrics.sink_left_out.labels(sink=self._name, reason=reason).inc(count)

    def _up(self) -> None:
        if self._component.up():
            log.info("A sink delivers", sink=self._name)


class Purpose(ABC):
    """Why a batch is sent, and so what its end means."""

    tries: int | None = None
    """Failures in a row after which it is given up; None: never."""
    state: State | None = None
    """The sink's, once the batch is done."""

    @property
    def wanted(self) -> bool:
        """True where anybody still waits for it."""
        return True

    @abstractmethod
    def delivered(self, records: Sequence[Record]) -> None:
        """The sink has these."""

    @abstractmethod
    async def refused(self, records: list[Record], reasons: Mapping[int, str], attempts: int) -> Unavailable | None:
        """The sink will never take these. What keeps them from being stored is returned: then it is called again."""

    def repeated(self, count: int) -> None:  # noqa: B027  # as below
        """At the first attempt the peer had so many of them already, and did not take them again."""

    def give_up(self, reason: str) -> None:  # noqa: B027  # only who sets `tries` has a use for it
        """It was tried `tries` times."""


class ForStream(Purpose):
    """A batch of the sink's own stream: the cursor follows what is done, what is refused becomes a dead letter."""

    def __init__(self, batch: Sequence[Record], name: str, cursor: SinkCursor, spool: Spool, metrics: Metrics) -> None:
        self.state = cursor.state
        self._name = name
        self._cursor = cursor
        self._spool = spool
        self._metrics = metrics
        self._batch = batch
        self._settled: set[int] = set()
        self._passed = 0

    def delivered(self, records: Sequence[Record]) -> None:
        """Count them, and move the cursor past what is done from the beginning on."""
        if records:
            self._metrics.sent.labels(self._name).inc(len(records))
            if len(records) < len(self._batch):
                self._settle(record.seq for record in records)
            # Else all at once, as nearly always: the loop passes them.

    async def refused(self, records: list[Record], reasons: Mapping[int, str], attempts: int) -> Unavailable | None:
        """Keep them as dead letters, before the cursor passes them."""
        try:
            fresh = await self._spool.dead_letters.add(self._name, records, reasons, attempts)
        except Unavailable as error:
            return error
        self._metrics.dead.labels(sink=self._name).inc(fresh)
        log.warning("A sink refuses events, which are dead letters now", sink=self._name, events=len(records))
        self._settle(record.seq for record in records)
        return None

    def _settle(self, numbers: Iterable[int]) -> None:
        self._settled.update(numbers)
        before = self._passed
        while self._passed < len(self._batch) and self._batch[self._passed].seq in self._settled:
            self._passed += 1
        if before < self._passed < len(self._batch):  # the last step is the loop's: it passes what routing excluded too
            self._cursor.hand(self._batch[self._passed - 1].seq)


class ForResend(Purpose):
    """A batch that somebody asked for: the cursor stays, who asked gets the result."""

    tries = TRIES

    def __init__(self, batch: ResendBatch) -> None:
        self._batch = batch

    @property
    def wanted(self) -> bool:
        """True where who asked still waits."""
        return not self._batch.done.done()

    def delivered(self, records: Sequence[Record]) -> None:
        """Count them."""
        self._batch.outcome.sent += len(records)

    async def refused(self, records: list[Record], reasons: Mapping[int, str], attempts: int) -> Unavailable | None:
        """Note the reasons; who asked decides what becomes of them."""
        self._batch.outcome.refused.update({record.seq: reasons[record.seq] for record in records})
        return None

    def repeated(self, count: int) -> None:
        """Note them: who asked wanted them to be there once more."""
        self._batch.outcome.duplicates += count

    def give_up(self, reason: str) -> None:
        """Say so to who asked."""
        self._batch.fail(reason)
