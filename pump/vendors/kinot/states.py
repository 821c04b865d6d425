"""What is known of each device, and the one place where a status meets it.

Statuses of one device are taken one after another, or two in flight would be compared with the same old state and
tell one change twice; those of different devices share their commits.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from pump.core.clock import Clock
from pump.core.errors import Unavailable
from pump.core.event import Event
from pump.ingest.intake import Intake
from pump.vendors.kinot.parse import Outcome, Status, compare, state_key

MOST: Final = 100_000
"""Devices that are remembered; no account has so many, so more are made up."""
RESULTS: Final = 512
"""Results of commands that are remembered by their digests. The spool knows longer, but for some days only."""
_RESULTS: Final = "results"
"""The key of their state."""


class States:
    """Every device's stored state, kept in memory as the spool has it."""

    def __init__(self, intake: Intake, clock: Clock, *, every: bool) -> None:
        self._intake = intake
        self._clock = clock
        self._every = every
        self._known: dict[str, dict[str, Any]] = intake.state("device/")
        self._locks: dict[str, asyncio.Lock] = {}
        self._touched: dict[str, float] = {}
        """When the last push about a device was taken, monotonic seconds."""
        self._results: list[str] = [*(intake.state(_RESULTS).get(_RESULTS) or ())]
        self._results_lock = asyncio.Lock()
        self._tasks: set[asyncio.Task[Outcome]] = set()

    def of(self, sn: str) -> dict[str, Any] | None:
        """The stored state of a lock or sensor, None for one that was never seen."""
        return self._known.get(state_key(sn))

    async def take(self, status: Status, *, asked: float | None = None, digest: str | None = None) -> Outcome:
        """Compare, store the difference with the new state; returns when both are on disk.

        `asked` is when a status that was read was asked for, monotonic seconds; None: it was pushed, and `digest`
        stands for what was. Raises Unavailable where the spool refuses; the state stays as it was then.
        """
        # The put may be stored though its caller was cancelled; the state that it stored must then be the one in
        # memory too, so comparing, storing and remembering are one piece that is not cut.
        task = asyncio.create_task(self._take(status, asked, digest), name=f"kinot {status.key}")
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return await asyncio.shield(task)

    async def take_result(self, event: Event, digest: str) -> None:
        """Store a command's result, but not one that was stored before; `digest` stands for its content.

        Its time says nothing: it may be that of the device's last change. Raises Unavailable.
        """
        async with self._results_lock:
            if digest in self._results:
                self._intake.count("duplicate")
                return
            results = [*self._results, digest][-RESULTS:]
            await self._intake.put(event, state={_RESULTS: results})
            self._results = results

    def _done(self, task: asyncio.Task[Outcome]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # whoever waited has it; nobody did where they were cancelled, and the device tries again

    async def _take(self, status: Status, asked: float | None, digest: str | None) -> Outcome:
        key = status.key
        if key not in self._known and len(self._known) >= MOST:
            raise Unavailable(f"more than {MOST} devices")
        async with self._locks.setdefault(key, asyncio.Lock()):
            state = self._known.get(key)
            if asked is not None and self._overtaken(status, state, asked):
                return "old"
            reconciled = asked is not None and status.kind != "gateway"
            ahead = self._intake.ahead
            result = compare(status, state, every=self._every, reconciled=reconciled, ahead=ahead, digest=digest)
            if result.events or result.state is not None:
                stored = {} if result.state is None else {key: result.state}
                await self._intake.put(*result.events, state=stored)
            if result.state is not None:
                self._known[key] = result.state
            if asked is None:
                self._touched[key] = self._clock.monotonic()
            if result.outcome != "first":
                missed = result.outcome == "changed" and asked is not None and status.kind != "gateway"
                self._intake.count("missed" if missed else result.outcome)
            return result.outcome

    def _overtaken(self, status: Status, state: dict[str, Any] | None, asked: float) -> bool:
        """Whether a push came while the list was on its way, and the list's time does not say which is newer."""
        if state is None or self._touched.get(status.key, -1.0) < asked:
            return False
        at = state.get("at")
        return status.stamp is None or at is None or status.moment(self._intake.ahead) <= at
