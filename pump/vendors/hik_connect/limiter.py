"""The account's rate: the vendor takes 5 requests a second over everything (document, 3.1), we ask for 4."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from typing import Final

from pump.core.clock import Clock

INTERVAL: Final = 0.25
"""Seconds between two calls of the account; four a second, evenly, and nothing is saved up for a burst."""
MOST: Final = 5
"""No more calls than this may arrive at the vendor within any second."""
WINDOW: Final = 1.02
"""That second, in seconds, and a little more: the vendor's clock need not run as ours does."""


BACKGROUND: Final = "backfill"
"""The name under which calls ask for a place that may wait: any queue goes before them."""
COMMAND: Final = "command "
"""How the names of commands begin, each with a name of its own: they go before all queues, and none waits for another's
answer."""
CLIPS: Final = "clips"
"""The same of calls for clips, which the backfill's go before too."""
PATIENCE: Final = 1.0
"""Seconds that the backfill waits for the queues at the most: three that are polled leave no place of their own."""
_PATIENCE: Final = {BACKGROUND: PATIENCE, CLIPS: 5.0}
"""The same of each that may wait, the most urgent first."""


class Limiter:
    """Lets one call after another begin, whichever queue it is for.

    A call takes its place with `async with limiter.place(queue)` and holds it until it is answered. Places are given
    `INTERVAL` apart, to the waiting queue that was served longest ago. One queue never has two calls in flight, and
    a call that hangs holds up nobody but its own queue.

    The vendor counts arrivals, and a slow network or a busy machine bunches what was sent evenly. A call may have
    arrived at any moment until its answer, so no place is given while `MOST` calls are in flight or were answered
    within the last `WINDOW`: then no second sees more than `MOST`, however the network behaves.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._queues: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._waiting: dict[str, float] = {}
        self._served: dict[str, int] = {}
        self._places = 0
        self._flying = 0
        self._answered: deque[float] = deque()
        self._free = clock.monotonic()

    @asynccontextmanager
    async def place(self, queue: str) -> AsyncIterator[None]:
        """A call's place; the body is the call. Raises nothing of its own; a cancelled wait takes no place."""
        async with nullcontext() if queue.startswith(COMMAND) else self._queues[queue]:
            await self._turn(queue)
            self._flying += 1
            try:
                yield
            finally:
                self._flying -= 1
                self._answered.append(self._clock.monotonic())

    def hold(self, seconds: float) -> None:
        """Give no place for so long: the vendor said that the account asks too much."""
        self._free = max(self._free, self._clock.monotonic() + seconds)

    async def _turn(self, queue: str) -> None:
        self._waiting[queue] = self._clock.monotonic()
        try:
            while True:
                # Every waiter wakes for every place, and the one whose turn it is takes it. That needs no keeper
                # of turns who could be cancelled, and with a handful of queues it costs nothing.
                wait = self._until_free()
                if wait <= 0:
                    if min(self._waiting, key=self._turn_of) == queue:
                        break
                    wait = INTERVAL
                await self._clock.sleep(wait)
        finally:
            self._waiting.pop(queue, None)
        self._places += 1
        if not queue.startswith(COMMAND):
            self._served[queue] = self._places
        self._free = self._clock.monotonic() + INTERVAL

    def _turn_of(self, queue: str) -> tuple[bool, int, str]:
        if queue.startswith(COMMAND):
            return False, -len(_PATIENCE) - 1, queue
        patience = _PATIENCE.get(queue)
        if patience is None:
            return False, self._served.get(queue, 0), queue
        # Behind the queues, then before them; among themselves as the table has them.
        waits = self._clock.monotonic() - self._waiting[queue] < patience
        return waits, list(_PATIENCE).index(queue) - len(_PATIENCE), queue

    def _until_free(self) -> float:
        """Seconds until a place is free, as far as can be known now."""
        now = self._clock.monotonic()
        while self._answered and self._answered[0] <= now - WINDOW:
            self._answered.popleft()
        wait = self._free - now
        too_many = self._flying + len(self._answered) - (MOST - 1)
        if too_many <= 0:
            return wait
        if too_many > len(self._answered):  # all in flight: only an answer helps, and it comes when it comes
            return max(wait, INTERVAL)
        return max(wait, self._answered[too_many - 1] + WINDOW - now)
