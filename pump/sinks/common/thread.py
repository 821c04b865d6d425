"""One thread for a sink's blocking calls, which outlives no cancellation."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


class SinkThread:
    """A thread of the sink's own: a file system that hangs must not take a thread that others wait for."""

    def __init__(self, name: str) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix=name)

    async def run(self, work: Callable[[], T], abort: Callable[[], object] | None = None) -> T:
        """What `work` returns or raises, called in the thread.

        A call in a thread cannot be cancelled. A cancellation calls `abort`, waits until the call has ended, and
        is raised then, whatever the call's end was: whoever cancelled may take the file over at once.
        """
        running = asyncio.get_running_loop().run_in_executor(self._pool, work)
        cancelled: asyncio.CancelledError | None = None
        while not running.done():
            try:
                await asyncio.wait({running})
            except asyncio.CancelledError as error:
                # Kept until the thread has ended, and through repeated cancellations: the next opening reads the
                # file's tail and cuts it, which must not happen under a write that is still on its way.
                cancelled = error
                if abort is not None:
                    abort()
        if cancelled is not None:
            running.exception()  # looked at, so that the loop does not report it as never retrieved
            raise cancelled
        return running.result()

    def close(self) -> None:
        """Let the thread end; without waiting, for it is idle or hangs."""
        self._pool.shutdown(wait=False)
