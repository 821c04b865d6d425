"""Time, injected: wall time for what is written down, monotonic time for every duration."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from functools import cached_property

from pump.core.ages import Ages


class Clock:
    """The machine's own clock. `pump.testing.ManualClock` stands in for it in tests."""

    def now(self) -> datetime:
        """The wall time, in UTC. It may jump; never subtract two of them to get a duration."""
        return datetime.now(UTC)

    def now_ms(self) -> int:
        """The wall time in milliseconds since 1970."""
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        """Seconds that only ever grow; the origin means nothing."""
        return time.monotonic()

    @cached_property
    def ages(self) -> Ages:
        """The age of a wall time, though it may have jumped meanwhile."""
        return Ages(self.now_ms, self.monotonic)

    async def sleep(self, seconds: float) -> None:
        """Wait for `seconds` of monotonic time."""
        await asyncio.sleep(seconds)
