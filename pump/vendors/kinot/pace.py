"""The pace of one app key's calls: no two begin within an interval, commands go first, lists one after another."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, Literal

from pump.core.clock import Clock

Lane = Literal["command", "ask", "poll"]
"""command: before all others. ask: what became of one. poll: everything else, one at a time."""

INTERVAL: Final = 0.2
"""Seconds from the beginning of one call to the next: the gateway throttles those who hurry."""


class Pace:
    """When the next call may begin."""

    def __init__(self, clock: Clock, interval: float = INTERVAL) -> None:
        self._clock = clock
        self._interval = interval
        self._poll = asyncio.Lock()
        self._free = clock.monotonic()

    @asynccontextmanager
    async def turn(self, lane: Lane) -> AsyncIterator[None]:
        """Entered when the call may begin, left when it has ended. A poll that hangs holds up polls alone."""
        if lane == "command":
            await self._first()
            yield
        elif lane == "ask":
            await self._later()
            yield
        else:
            async with self._poll:
                await self._later()
                yield

    async def _first(self) -> None:
        """The next free moment is this call's, whoever else waits for it."""
        now = self._clock.monotonic()
        mine = max(now, self._free)
        self._free = mine + self._interval
        await self._clock.sleep(mine - now)

    async def _later(self) -> None:
        while (wait := self._free - self._clock.monotonic()) > 0.0:
            await self._clock.sleep(wait)  # a command may have taken the moment meanwhile
        self._free = self._clock.monotonic() + self._interval
