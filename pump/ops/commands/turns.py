"""The order of commands to one target: one at a time, as they came, each no longer than its time lasts."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NoReturn

from pump.commands.contract import Expired
from pump.core.clock import Clock
from pump.core.tasks import first_of


class Turns:
    """The desk's. A target costs something only while a command of it is there."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._locks: dict[str, asyncio.Lock] = {}
        self._waiting: Counter[str] = Counter()

    @asynccontextmanager
    async def of(self, target: str, deadline: float) -> AsyncIterator[None]:
        """This target's turn, in the order of the calls. Raises Expired at the deadline, monotonic seconds."""
        lock = self._locks.setdefault(target, asyncio.Lock())
        self._waiting[target] += 1
        try:
            if lock.locked():
                await first_of(lock.acquire(), self._over(deadline))
            else:
                await lock.acquire()
            try:
                yield
            finally:
                lock.release()
        finally:
            self._waiting[target] -= 1
            if not self._waiting[target]:
                del self._waiting[target], self._locks[target]

    async def _over(self, deadline: float) -> NoReturn:
        await self._clock.sleep(max(0.0, deadline - self._clock.monotonic()))
        raise Expired
