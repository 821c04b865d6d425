"""Threads for work that would hold up the event loop, a share of their own for each kind of it.

asyncio's `to_thread` has one pool for everything, name look-ups too: a disk that hangs under six pictures stops all
of it. Here each kind of work has its own pool, and asyncio's is left to the look-ups.

These are pools and not anyio's `to_thread` with a limiter: that one gives a cancelled caller's place back while its
thread still runs, so that restarts over a disk that hangs would pile threads up, and it took a fifth more of the
processor for a pushed picture (docs/architecture.md).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Threads:
    """So many threads for one kind of work, made when they are needed; more work waits, first come, first served."""

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
