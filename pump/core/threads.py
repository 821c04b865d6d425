"""Threads for work that would hold up the event loop, a share of their own for each kind of it.

asyncio's `to_thread` has one pool for everything, name look-ups too: a disk that hangs under six pictures stops all
of it. Here each kind of work has its own limit, and asyncio's pool is left to the look-ups.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import Final, ParamSpec, TypeVar

from anyio import CapacityLimiter, to_thread
from anyio.lowlevel import RunVar

P = ParamSpec("P")
T = TypeVar("T")


class Threads:
    """So many threads for one kind of work, in each event loop; more work waits its turn, first come, first served."""

    def __init__(self, kind: str, most: int) -> None:
        """`kind` is the work's name, for the tasks' names; `most` threads at a time."""
        self.kind = kind
        self.most = most
        # of the event loop: a limiter that was waited for in one must not be used in another
        self._limiter: RunVar[CapacityLimiter] = RunVar(f"threads for {kind}")

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do the work in one of the threads; raises what it raises.

        Cancelled while it waits its turn, it is not begun. Cancelled later, it goes on, and its thread counts until
        it has ended: restarts over a disk that hangs must not each leave another thread in it.
        """
        limiter = self._of_loop()
        turn = object()
        await limiter.acquire_on_behalf_of(turn)
        task = asyncio.create_task(
            to_thread.run_sync(lambda: work(*args, **kwargs), limiter=_UNLIMITED), name=self.kind
        )

        def ended(_: asyncio.Task[T]) -> None:
            limiter.release_on_behalf_of(turn)
            if not task.cancelled():
                task.exception()  # whoever waited has it; where they were cancelled nobody wants it

        task.add_done_callback(ended)
        return await asyncio.shield(task)

    @property
    def busy(self) -> int:
        """Threads at work in this event loop."""
        return self._of_loop().borrowed_tokens

    def _of_loop(self) -> CapacityLimiter:
        limiter = self._limiter.get(None)
        if limiter is None:
            limiter = CapacityLimiter(self.most)
            self._limiter.set(limiter)
        return limiter


_UNLIMITED: Final = CapacityLimiter(math.inf)
"""In place of anyio's own limit of 40 for all, which would give a turn back before a cancelled caller's thread ends."""
