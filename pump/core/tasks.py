"""Waiting for several tasks at once: one place for the races that a stop, a deadline and a cancellation make."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Collection, Coroutine
from typing import Any

import anyio

from pump.core.clock import Clock


async def wait_for(tasks: Collection[asyncio.Task[Any]], seconds: float, clock: Clock) -> bool:
    """Wait until all `tasks` are done, `seconds` at the most, cancelling none of them; whether all are done."""
    pending = {task for task in tasks if not task.done()}
    if not pending:
        return True
    timer = asyncio.create_task(clock.sleep(seconds), name="deadline")
    try:
        while pending and not timer.done():
            await asyncio.wait({*pending, timer}, return_when=asyncio.FIRST_COMPLETED)
            pending = {task for task in pending if not task.done()}
    finally:
        timer.cancel()
        await asyncio.wait({timer})
    return not pending


async def first_of(*waits: Coroutine[Any, Any, object]) -> None:
    """Run all until one of them ends, cancel the others; raises what the ended one raised."""
    tasks = [asyncio.create_task(wait) for wait in waits]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    for task in done:
        task.result()


class Nap:
    """One task's waits, which others may end early: once by `cut`, for good by `end`."""

    def __init__(self, clock: Clock) -> None:
        self.over = False
        """True once `end` was called: every wait after it lasts one pass of the event loop at the most."""
        self._clock = clock
        self._scope: anyio.CancelScope | None = None

    async def sleep(self, seconds: float) -> None:
        """Wait so long."""
        await self.until(self._clock.sleep(seconds))

    async def until(self, waiting: Awaitable[object], at_most: float | None = None) -> None:
        """Wait for it, `at_most` seconds of the event loop's own time; raises what it raises."""
        with anyio.move_on_after(0 if self.over else at_most) as self._scope:
            await waiting
        self._scope = None

    def cut(self) -> None:
        """End the wait that is on its way, if there is one."""
        if self._scope is not None:
            self._scope.cancel()

    def end(self) -> None:
        """End it, and every later one."""
        self.over = True
        self.cut()
