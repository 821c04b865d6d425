"""A sink's losses of strangers' events, which are evicted from between others: counted at once, one gap a minute."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from pump.core.clock import Clock
from pump.spool import Spool
from pump.telemetry.metrics import Metrics

log = structlog.get_logger()

EVERY: Final = 60.0
"""Seconds between two gaps of one sink, unless it has caught up."""
OWNER: Final = "pump"
PREFIX: Final = "lost/"
"""The piece of state of each sink that holds what it has passed and is no event yet: [first, last, count]."""

OnLost = Callable[[str, int, int, int], Awaitable[object]]
"""Called with (sink, first number, last number, how many at most) for what was removed before the sink had it."""


class EvictedEvents:
    """One sink's. What it passes is noted in the commit that stores its cursor, so a kill hides no loss."""

    def __init__(self, spool: Spool, sink: str, *, clock: Clock, metrics: Metrics, on_lost: OnLost) -> None:
        self._spool = spool
        self._sink = sink
        self._clock = clock
        self._metrics = metrics
        self._on_lost = on_lost
        self._through = 0
        """What ends here, or below, was counted."""
        self._reported = -EVERY
        kept = spool.state(OWNER, PREFIX + sink).get(PREFIX + sink)
        self._waiting: list[int] | None = kept if isinstance(kept, list) and len(kept) == 3 else None

    async def passing(self, after: int, through: int) -> None:
        """The sink goes on from `after` and is given all that is left through `through`."""
        found = self._spool.evicted(max(after, self._through), through)
        if found is not None:
            first, self._through, count = found
            self._metrics.lost.labels(sink=self._sink).inc(count)
            if self._waiting is not None:
                first, count = self._waiting[0], self._waiting[2] + count
            self._note([first, self._through, count])
        if self._clock.monotonic() - self._reported >= EVERY:
            await self.report()

    async def report(self) -> None:
        """Have what waits reported now, if anything does."""
        if self._waiting is None:
            return
        first, last, count = self._waiting
        self._reported = self._clock.monotonic()
        log.error("Strangers' events were evicted before a sink had them", sink=self._sink, at_most=count)
        await self._on_lost(self._sink, first, last, count)
        self._note(None)

    def _note(self, waiting: list[int] | None) -> None:
        self._waiting = waiting
        self._spool.remember(OWNER, PREFIX + self._sink, waiting)
