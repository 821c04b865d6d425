"""One deadline at a time, which may move nearer while it is slept for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from pump.core.clock import Clock


class Timer:
    """Calls `tick` when what `due` tells has come. `due` is in monotonic seconds, None: nothing is waited for."""

    def __init__(self, clock: Clock, due: Callable[[], float | None], tick: Callable[[], Awaitable[None]]) -> None:
        self._clock = clock
        self._due = due
        self._tick = tick
        self._changed = asyncio.Event()
        self._next: float | None = None

    def rearm(self) -> None:
        """`due` may tell another time: one that comes nearer than the one slept for wakes the sleeper."""
        due = self._due()
        if due is not None and (self._next is None or due < self._next):
            self._changed.set()

    async def run(self) -> None:
        """For ever; raises what `tick` raises."""
        while True:
            self._changed.clear()
            due = self._next = self._due()
            if due is None:
                await self._changed.wait()
            elif (wait := due - self._clock.monotonic()) > 0:
                await self._sleep_or_change(wait)
            else:
                await self._tick()

    async def _sleep_or_change(self, seconds: float) -> None:
        sleeper = asyncio.ensure_future(self._clock.sleep(seconds))
        changer = asyncio.ensure_future(self._changed.wait())
        try:
            await asyncio.wait({sleeper, changer}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (sleeper, changer):
                task.cancel()
            await asyncio.wait({sleeper, changer})
