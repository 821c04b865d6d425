"""Turns at a target: one command at a time, in the order in which they came."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pump.commands.contract import Expired
from pump.core.clock import Clock
from pump.core.tasks import wait_for


class Turns:
    """A lock for each target that somebody has or waits for; none is kept beyond that."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._locks: dict[str, asyncio.Lock] = {}
        self._waiting: Counter[str] = Counter()

    @asynccontextmanager
    async def turn(self, target: str, deadline: float) -> AsyncIterator[None]:
        """The target's, for as long as the body takes. Raises Expired where it has not come by the deadline."""
        lock = self._locks.setdefault(target, asyncio.Lock())
        self._waiting[target] += 1
        try:
            await self._acquire(lock, deadline)
            try:
                yield
            finally:
                lock.release()
        finally:
            self._waiting[target] -= 1
            if not self._waiting[target]:
                del self._waiting[target], self._locks[target]

    @property
    def taken(self) -> int:
        """Targets that somebody has or waits for."""
        return len(self._locks)

    async def _acquire(self, lock: asyncio.Lock, deadline: float) -> None:
        if not lock.locked():
            await lock.acquire()
            return
        acquiring = asyncio.create_task(lock.acquire(), name="turn")
        try:
            if not await wait_for({acquiring}, max(0.0, deadline - self._clock.monotonic()), self._clock):
                raise Expired
        except BaseException:
            acquiring.cancel()
            await asyncio.wait({acquiring})
            if not acquiring.cancelled():
                lock.release()  # it came in the moment of the end: the next one's now
            raise
