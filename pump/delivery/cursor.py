"""The place of a sink in the spool: its stored cursor, what it was given, what it has said to be safe."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import structlog

from pump.core.clock import Clock
from pump.core.record import Record, State
from pump.core.routing import Routing
from pump.core.settings import SinkSettings
from pump.delivery.evicted import EvictedEvents, OnLost
from pump.delivery.timeouts import GRACE, CallGuard
from pump.sink import Damage, Sink
from pump.spool import Spool
from pump.telemetry.health import Component
from pump.telemetry.metrics import Metrics

log = structlog.get_logger()

SETTLE_EVERY: Final = 0.5
"""Seconds between two questions to a deferring sink."""

OnDamaged = Callable[[str, Damage], object]
"""Called with (sink, damage) for what a sink's opening found damaged in what it keeps, and mended."""


@dataclass(slots=True, frozen=True)
class Surroundings:
    """The parts that all sinks of one daemon share."""

    spool: Spool
    clock: Clock
    metrics: Metrics
    site: str
    on_lost: OnLost
    """Called with what retention or a full disk removed before a sink had it."""
    on_damaged: OnDamaged = lambda sink, damage: None
    """Called with what a sink found damaged."""
    rng: random.Random | None = None
    """For the waits' jitter; None: the system's."""
    grace: float = GRACE
    """Seconds that a cancelled call into a sink has to end."""
    on_evicted: OnLost | None = None
    """The same for strangers' events that were evicted; None: `on_lost`."""


class SinkCursor:
    """One sink's place. Kept over its openings; all methods belong to the event loop."""

    def __init__(self, around: Surroundings, name: str, component: Component) -> None:
        self.seq = 0
        """Everything through this number is done with, or in a deferring sink's hands; never grows smaller."""
        self.state: State | None = None
        """The sink's, as it is stored beside the cursor."""
        self.deferring = False
        """True where the sink that is open says by `settle` alone what is safe."""
        self.handed = 0
        """The last number that was given to a deferring sink."""
        self.settled = 0
        """The last number of those that a deferring sink has said to be safe."""
        self.looked = 0
        """Through which number a lost place was looked for."""
        self.lost = False
        """True where damage took the stored cursor, and the place is not found yet."""
        self._spool = around.spool
        self._name = name
        self._clock = around.clock
        self._metrics = around.metrics
        self._component = component
        self._on_lost = around.on_lost
        on_evicted = around.on_evicted or around.on_lost
        self._evicted = EvictedEvents(
            around.spool, name, clock=around.clock, metrics=around.metrics, on_lost=on_evicted
        )
        self._asked = 0.0

    @property
    def lag(self) -> int:
        """Numbers between the spool's head and the place."""
        return max(0, self._spool.head - self.seq)

    @property
    def unsettled(self) -> bool:
        """True where a deferring sink has records that it has not said to be safe."""
        return self.deferring and self.settled < self.handed

    @property
    def safe(self) -> int:
        """The number that may be stored: everything through this number needs no further send."""
        return self.settled if self.unsettled else self.seq

    @property
    def due(self) -> bool:
        """True where it is time to ask a deferring sink."""
        return self._clock.monotonic() - self._asked >= SETTLE_EVERY

    async def restore(self, settings: SinkSettings) -> None:
        """Go on from the stored cursor; a new sink's is stored at once, so that what comes now is its own."""
        cursor = self._spool.cursor(self._name)
        head = self._spool.head
        self.deferring = False  # until an opening says otherwise
        self.lost = cursor is None and self._spool.cursors_lost
        if self.lost:
            self.seq, self.state = self._spool.floor, None
        elif cursor is None:
            self.seq, self.state = (head if settings.start == "now" else self._spool.floor), None
            log.info(
                "A new sink begins",
                sink=self._name, start=settings.start, left_out=max(0, self.seq - self._spool.floor),
            )  # fmt: skip
            await self.store_now()
        else:
            self.seq, self.state = cursor.seq, cursor.state
            if cursor.seq > head:
                log.error("A sink's cursor is ahead of the spool; it goes on at the spool's end", sink=self._name)
                self.seq = head
                self._spool.rewind_cursor(self._name, head, self.state)
        self.handed = self.settled = self.seq

    async def find(self, guard: CallGuard, sink: Sink[SinkSettings], routing: Routing) -> None:
        """Find a lost place by what the sink's peer holds; where it shows nothing, all that is stored comes again.

        Cut short anywhere, it begins anew at the next opening: nothing is stored before it has ended.
        """
        left_out, after, head = 0, self.seq, self._spool.head
        while after < head and (records := await self._spool.read(after, limit=sink.settings.read_limit)):
            held = None
            if wanted := routing.select(records):
                held = await guard.within(sink.settings.deadline, "showing what it has", sink.first_held(wanted))
            if held is not None:
                left_out, self.seq = held - self.seq, held
                break
            after = self.looked = records[-1].seq
        self.handed = self.settled = self.seq
        self.lost = False
        log.warning(
            "A sink's cursor was lost with a damaged spool; it begins behind the first event that its peer shows, "
            "or with the oldest one",
            sink=self._name, left_out=left_out, to_come=self.lag,
        )  # fmt: skip
        await self.store_now()

    def store(self) -> None:
        """Have the cursor stored with the next commit."""
        self._spool.set_cursor(self._name, self.safe, self.state)
        self._component.details.update(position=self.safe, lag=self.lag)

    async def store_now(self) -> None:
        """The same, on disk when this returns. Raises `Unavailable`."""
        self.store()
        await self._spool.flush()

    def remember(self, state: State | None) -> None:
        """Have what a sink wants remembered beside an error stored; None: it said nothing of it."""
        if state is not None and state != self.state:
            self.state = state
            self.store()

    def hand(self, seq: int) -> None:
        """Everything through `seq`, the number of a record that the sink was given, is done or in its hands."""
        self.handed = seq
        self.advance(seq)

    def advance(self, seq: int) -> None:
        """Everything through `seq` was given to the sink, or is not for it."""
        self.seq = seq
        if not self.unsettled:
            self._pass()

    def _pass(self) -> None:
        """Store a place behind which nothing is left open, what routing excluded included."""
        self.handed = self.settled = self.seq
        self.store()

    async def settle(self, guard: CallGuard, sink: Sink[SinkSettings], *, last: bool = False) -> None:
        """Ask a deferring sink how far it is, and move the cursor there.

        `last`: asked once more where it says nothing: a sink that spaces its work knows by that that no more comes.
        """
        self._asked = self._clock.monotonic()
        for _ in range(2 if last else 1):
            if not self.unsettled:
                return
            found = await guard.within(sink.settings.timeout, "settling", sink.settle())
            if found is not None and found.seq >= self.settled:
                self.settled, self.state = found.seq, found.state
                if self.unsettled:
                    self.store()
                else:
                    self._pass()

    async def tell_lost(self, records: list[Record], head: int) -> None:
        """Pass, count and report what was removed before the sink had it; `records` were read above the place."""
        through = min(self._spool.floor, records[0].seq - 1 if records else head)
        if through > self.seq:
            await self._tell_removed(through)
        await self._told(self._evicted.passing(self.seq, records[-1].seq if records else head))

    async def caught_up(self) -> None:
        """The sink has all there is: report at once what it has lost on its way."""
        await self._told(self._evicted.report())

    async def _told(self, report: Awaitable[object]) -> None:
        """A bug about the report of a loss must not keep the sink from what is there."""
        try:
            await report
        except Exception:
            log.exception("A sink's loss could not be told as an event", sink=self._name)

    async def _tell_removed(self, through: int) -> None:
        first, count = self.seq + 1, through - self.seq
        self._metrics.lost.labels(sink=self._name).inc(count)
        log.error("Events were removed before a sink had them", sink=self._name, at_most=count)
        self.seq = through
        await self._told(self._on_lost(self._name, first, through, count))
