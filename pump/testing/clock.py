"""A clock that a test moves by hand."""

from __future__ import annotations

import asyncio
import heapq
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Final

from pump.core.clock import Clock

START: Final = datetime(2026, 11, 20, 8, 0, tzinfo=UTC)
"""The moment at which every `ManualClock` begins, and at which the stand-ins' events arrived."""


class ManualClock(Clock):
    """Stands in for `pump.core.clock.Clock`: time passes only when the test says so.

    `advance` moves wall and monotonic time together and wakes who slept long enough, in the order of their
    deadlines; `jump` moves the wall time alone, as a corrected system clock does. Both return at once: who was
    woken runs when the test next awaits. A task that sleeps again and again wants `run`, which stops at each
    deadline on its way. `sleeping` returns when the code under test has arrived at its sleeps, without polling.
    For one event loop at a time.
    """

    def __init__(self, start: datetime = START) -> None:
        if start.tzinfo is None:
            raise ValueError("start must be aware")
        self._epoch = start.astimezone(UTC)
        self._elapsed = 0.0
        self._offset = 0.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._numbers = count()
        self._watchers: list[tuple[int, asyncio.Future[None]]] = []

    def now(self) -> datetime:
        """The start, plus every `advance`, plus every `jump`; in UTC."""
        return self._epoch + timedelta(seconds=self._elapsed + self._offset)

    def now_ms(self) -> int:
        """`now` in milliseconds since 1970."""
        return (self.now() - datetime.fromtimestamp(0, UTC)) // timedelta(milliseconds=1)

    def monotonic(self) -> float:
        """The sum of every `advance` in seconds, beginning at 0."""
        return self._elapsed

    async def sleep(self, seconds: float) -> None:
        """Waits until the clock was advanced by `seconds`; zero or less yields once, as asyncio.sleep does."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._elapsed + seconds, next(self._numbers), woken))
        self._tell_watchers()
        await woken

    def advance(self, seconds: float) -> None:
        """Moves both times forward; ValueError when negative."""
        if seconds < 0:
            raise ValueError("monotonic time never goes back; jump() moves the wall time")
        self._move_to(self._elapsed + seconds)

    def jump(self, seconds: float) -> None:
        """Moves the wall time alone, forward or back; nobody is woken."""
        self._offset += seconds

    async def run(self, seconds: float, *, turns: int = 20) -> None:
        """Advances by `seconds`, stopping at each deadline on the way to let the woken run.

        `turns` is how many passes of the event loop they are given each time; what waits for a socket or a thread
        may need more, so wait for its result instead.
        """
        end = self._elapsed + seconds
        await _pass(turns)
        while (deadline := self.deadline) is not None and deadline <= end:
            self._move_to(max(deadline, self._elapsed))
            await _pass(turns)
        self._move_to(end)
        await _pass(turns)

    @property
    def sleepers(self) -> int:
        """The number of tasks that sleep now."""
        return sum(not woken.done() for _, _, woken in self._sleepers)

    @property
    def deadline(self) -> float | None:
        """The monotonic time at which the next sleeper wakes, None when nobody sleeps."""
        while self._sleepers and self._sleepers[0][2].done():
            heapq.heappop(self._sleepers)
        return self._sleepers[0][0] if self._sleepers else None

    async def sleeping(self, n: int = 1) -> None:
        """Waits until at least `n` sleep."""
        if self.sleepers >= n:
            return
        reached: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._watchers.append((n, reached))
        await reached

    def _move_to(self, end: float) -> None:
        self._elapsed = end
        while self._sleepers and self._sleepers[0][0] <= end:
            woken = heapq.heappop(self._sleepers)[2]
            if not woken.done():
                woken.set_result(None)

    def _tell_watchers(self) -> None:
        sleepers = self.sleepers
        for n, reached in self._watchers:
            if n <= sleepers and not reached.done():
                reached.set_result(None)
        self._watchers = [(n, reached) for n, reached in self._watchers if not reached.done()]


async def _pass(turns: int) -> None:
    for _ in range(turns):
        await asyncio.sleep(0)
