"""Waiting for several tasks at once: one place for the races that a stop, a deadline and a cancellation make."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Coroutine
from typing import Any

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
