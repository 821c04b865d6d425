"""More time from the service manager, for as long as a start really works: a long repair, a long migration."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from pump.core.clock import Clock
from pump.runtime.systemd.notify import Notifier

EVERY: Final = 10.0
"""Seconds between two looks."""
FOR: Final = 60.0
"""Seconds that each asks for."""
_IDLE: Final = 0.05
"""Seconds of the processor that a process which only waits may have used between two looks."""


Work = tuple[float, int]
"""Seconds of the processor, and blocks read and written, since the process began."""


def _work() -> Work:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime, used.ru_inblock + used.ru_oublock


@asynccontextmanager
async def more_time(
    notifier: Notifier, clock: Clock, doing: str, work: Callable[[], Work] = _work
) -> AsyncIterator[None]:
    """Ask for more time at once, and again while the body is under way and the process works.

    It works where it uses the processor, or reads and writes blocks: whatever the body does in its threads, and however
    it does it. One that only waits, such as for a disk that hangs, is left to the manager's time-out.
    """
    asking = asyncio.create_task(_ask(notifier, clock, doing, work), name="more time")
    try:
        yield
    finally:
        asking.cancel()
        await asyncio.wait({asking})


async def _ask(notifier: Notifier, clock: Clock, doing: str, work: Callable[[], Work]) -> None:
    notifier.more_time(FOR)
    before = work()
    while True:
        await clock.sleep(EVERY)
        now = work()
        if now[0] - before[0] > _IDLE or now[1] > before[1]:
            notifier.more_time(FOR, doing)
            before = now
