"""What is known of each device, and the one place where a status meets it.

Statuses of one device are taken one after another, or two in flight would be compared with the same old state and
tell one change twice; those of different devices share their commits.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from pump.core.clock import Clock
from pump.core.errors import Unavailable
from pump.ingest.intake import Intake
from pump.spool import Gap
from pump.vendors.kinot.parse import Outcome, Status, compare, state_key

MOST: Final = 100_000
"""Devices that are remembered; no account has so many, so more are made up."""


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
        self._tasks: set[asyncio.Task[Outcome]] = set()

    def of(self, sn: str) -> dict[str, Any] | None:
        """The stored state of a lock or sensor, None for one that was never seen."""
        return self._known.get(state_key(sn))

    async def take(self, status: Status, *, asked: float | None = None, gap: Gap | None = None) -> Outcome:
        """Compare, store the difference with the new state; returns when both are on disk.

        `asked` is when a status that was read was asked for, monotonic seconds; None: it was pushed. A difference
        helps to fill `gap`. Raises Unavailable where the spool refuses; the state stays as it was then.
        """
        # The put may be stored though its caller was cancelled; the state that it stored must then be the one in
        # memory too, so comparing, storing and remembering are one piece that is not cut.
        task = asyncio.create_task(self._take(status, asked, gap), name=f"kinot {status.key}")
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return await asyncio.shield(task)

    def _done(self, task: asyncio.Task[Outcome]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # whoever waited has it; nobody did where they were cancelled, and the device tries again

    async def _take(self, status: Status, asked: float | None, gap: Gap | None) -> Outcome:
        key = status.key
        if key not in self._known and len(self._known) >= MOST:
            raise Unavailable(f"more than {MOST} devices")
        async with self._locks.setdefault(key, asyncio.Lock()):
            state = self._known.get(key)
            if asked is not None and self._overtaken(status, state, asked):
                return "old"
            result = compare(
                status, state, every=self._every, reconciled=asked is not None and status.kind != "gateway"
            )
            if result.events or result.state is not None:
                stored = {} if result.state is None else {key: result.state}
                if gap is None:
                    await self._intake.put(*result.events, state=stored)
                else:
                    await self._intake.gaps.fill(gap, result.events, stored)
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
        return status.stamp is None or state.get("at") is None or status.stamp <= state["at"]
