"""A sink's openings, each in a task of its own that can be given up where it hears no cancellation."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final

import structlog

from pump.delivery.timeouts import CallGuard

log = structlog.get_logger()

MOST_STUCK: Final = 3
"""Openings of one sink that do not let go; beyond them the sink waits, for each holds memory."""

Live = Callable[[CallGuard], Coroutine[Any, Any, None]]
"""One life of the sink, its calls under the guard's deadlines."""


class SessionStuck(Exception):
    """An opening was left behind; says what it was doing."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} hangs")
        self.what = what


class SinkSessions:
    """One sink's, one after another."""

    def __init__(self, name: str, grace: float, on_stuck: Callable[[str], object]) -> None:
        """`grace`: seconds that a cancelled opening has to end; `on_stuck` gets what one was doing that has not."""
        self.stuck: dict[asyncio.Task[None], str] = {}
        """The call that each opening left behind was in, of those that have still not ended."""
        self._name = name
        self._grace = grace
        self._on_stuck = on_stuck

    @property
    def full(self) -> bool:
        """True where too many hang for one more."""
        return len(self.stuck) >= MOST_STUCK

    async def one_less(self) -> None:
        """Return once one of those that hang has ended."""
        await asyncio.wait(self.stuck, return_when=asyncio.FIRST_COMPLETED)

    async def run(self, live: Live) -> BaseException | None:
        """One life of the sink; what ended it, `SessionStuck` where it was left behind; cancelled, it has its grace."""
        guard = CallGuard(self._grace)
        # A task of its own: libraries' cancel scopes want to be left where they were entered, and a task that
        # swallows its cancellation can be given up.
        task = asyncio.create_task(live(guard), name=f"sink {self._name} open")
        ends: set[asyncio.Future[Any]] = {task, guard.stuck}
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            task.cancel(f"sink {self._name} is to stop")
            # Waited for although we are cancelled: there the sink is closed and its last cursor set. Not for ever.
            await asyncio.wait(ends, timeout=self._grace, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                self._give_up(task, guard)
            elif not task.cancelled():
                task.exception()
            raise
        if not task.done():
            return self._give_up(task, guard)
        if task.cancelled():
            return asyncio.CancelledError("a cancellation that nobody asked for")
        return task.exception()

    def _give_up(self, task: asyncio.Task[None], guard: CallGuard) -> SessionStuck:
        what = guard.stuck.result() if guard.stuck.done() else guard.doing or "an opening"
        guard.abandoned = True
        self.stuck[task] = what
        task.add_done_callback(self._let_go)
        log.error("A sink cannot be cancelled and is left behind", sink=self._name, doing=what)
        self._on_stuck(what)
        return SessionStuck(what)

    def _let_go(self, task: asyncio.Task[None]) -> None:
        what = self.stuck.pop(task)
        if not task.cancelled():
            task.exception()  # looked at: whatever it was no longer counts
        log.info("A sink that had been left behind has ended", sink=self._name, doing=what)
