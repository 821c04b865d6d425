"""A coroutine that is cancelled at its n-th suspension, in either of the two ways in which a cancellation can come."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Coroutine, Generator
from typing import Any, Literal

Way = Literal["while it waits", "as it wakes"]
"""The second is the awkward one: what was waited for is there, and whoever waited does not get it."""


class CutAt(Awaitable[Any]):
    """The coroutine, to be awaited once; `cut` says whether it came to a suspension of this number."""

    def __init__(self, work: Coroutine[Any, Any, Any], number: int, way: Way) -> None:
        self._work = work
        self._number = number
        self._way = way
        self.cut = False

    def __await__(self) -> Generator[Any, Any, Any]:
        task = asyncio.current_task()
        assert task is not None
        suspended = 0
        error: BaseException | None = None
        while True:
            try:
                waiting = self._work.throw(error) if error is not None else self._work.send(None)
            except StopIteration as end:
                return end.value
            suspended += 1
            if suspended == self._number:
                self.cut = True
                if self._way == "while it waits" or waiting is None:
                    task.cancel()
                else:
                    waiting.add_done_callback(lambda _: task.cancel())  # comes before the task's own waking
            error = None
            try:
                yield waiting
            except BaseException as thrown:  # noqa: BLE001  # handed on
                error = thrown


async def calm(before: set[asyncio.Task[Any]]) -> None:
    """Wait until no task is left beyond those that were there before."""
    while left := {one for one in asyncio.all_tasks() - before if one is not asyncio.current_task()}:
        await asyncio.wait(left)
