"""Waiting for several tasks at once, naps that others may end, and threads: a pool for each kind of work."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import Any, ParamSpec, TypeVar

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
        try:
            with anyio.move_on_after(0 if self.over else at_most) as self._scope:
                await waiting
        finally:
            self._scope = None

    @property
    def waiting(self) -> bool:
        """Whether a wait is on its way."""
        return self._scope is not None

    def cut(self) -> None:
        """End the wait that is on its way, if there is one."""
        if self._scope is not None and not self._scope.cancel_called:
            self._scope.cancel()

    def end(self) -> None:
        """End it, and every later one."""
        self.over = True
        self.cut()


P = ParamSpec("P")
T = TypeVar("T")


class Threads:
    """So many threads for one kind of work, made when they are needed; more work waits, first come, first served.

    asyncio's `to_thread` has one pool for everything, name look-ups too: a disk that hangs under six pictures stops all
    of it. anyio's `to_thread` with a limiter gives a cancelled caller's place back while its thread still runs, so that
    restarts over such a disk would pile threads up, and took a fifth more of the processor for a pushed picture
    (docs/architecture.md).
    """

    def __init__(self, kind: str, most: int) -> None:
        """`kind` is the name of the work and of its threads; `most` run at a time."""
        self.kind = kind
        self.most = most
        self._pools: dict[asyncio.AbstractEventLoop, tuple[ThreadPoolExecutor, AsyncGenerator[None, None]]] = {}

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do the work in one of the threads, with the caller's context variables; raises what it raises.

        Cancelled while it waits its turn, it is not begun. Cancelled later, it goes on and keeps its thread until it
        has ended.
        """
        loop = asyncio.get_running_loop()
        pool, _ = self._pools.get(loop) or await self._begin(loop)
        return await loop.run_in_executor(pool, partial(copy_context().run, partial(work, *args, **kwargs)))

    async def _begin(self, loop: asyncio.AbstractEventLoop) -> tuple[ThreadPoolExecutor, AsyncGenerator[None, None]]:
        pool = ThreadPoolExecutor(self.most, thread_name_prefix=self.kind)
        life = self._last_as_long_as(loop, pool)
        self._pools[loop] = pool, life
        await anext(life)
        return pool, life

    async def _last_as_long_as(
        self, loop: asyncio.AbstractEventLoop, pool: ThreadPoolExecutor
    ) -> AsyncGenerator[None, None]:
        """Stay open until the event loop closes its generators, as each does before it ends; then end the pool."""
        try:
            yield
        finally:
            del self._pools[loop]
            pool.shutdown(wait=False, cancel_futures=True)  # a thread that hangs must not keep the loop from ending
