"""Rates: so many a second and not more, refused beyond it or spread evenly."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final

from pump.core.clock import Clock

BURST: Final = 60.0
"""Seconds' worth of requests that may come at once: a camera that was cut off brings all that it has kept meanwhile,
and one that is refused then waits for seconds before each further try."""
_REMEMBERED: Final = 20_000
"""Devices whose pace is remembered; of more, those that were longest silent start afresh."""
AT_ONCE: Final = 100
"""Events at a time, at the most: between two of them the sink's own stream goes on."""


class TokenBucket:
    """Requests a second by key: a bucket each, which fills at `rate` and holds a minute's worth, at least one."""

    def __init__(self, rate: float, clock: Clock) -> None:
        """`rate` 0 lets everything pass."""
        self._rate = rate
        self._room = max(1.0, BURST * rate)
        self._clock = clock
        self._buckets: dict[Hashable, tuple[float, float]] = {}

    def take(self, key: Hashable, cost: float = 1.0) -> float:
        """0.0 where the request may pass, else the seconds until one may; it costs `cost` of what the bucket holds."""
        if not self._rate:
            return 0.0
        now = self._clock.monotonic()
        level, since = self._buckets.pop(key, (self._room, now))
        level = min(self._room, level + (now - since) * self._rate)
        wait = 0.0 if level >= cost else (cost - level) / self._rate
        self._buckets[key] = (level if wait else level - cost, now)  # at the end: the first is the longest silent
        if len(self._buckets) > _REMEMBERED:
            del self._buckets[next(iter(self._buckets))]
        return wait


class EvenPacer:
    """Keeps to a rate of events a second, spread evenly."""

    def __init__(self, rate: float, clock: Clock) -> None:
        self._rate = rate
        self._clock = clock
        self._due = clock.monotonic()

    @property
    def read_limit(self) -> int:
        """The number that may go at once so that a second holds no more than the rate."""
        return max(1, min(AT_ONCE, int(self._rate)))

    async def wait(self, count: int) -> None:
        """Wait until `count` more may go."""
        now = self._clock.monotonic()
        if self._due > now:
            await self._clock.sleep(self._due - now)
        self._due = max(self._due, now) + count / self._rate
