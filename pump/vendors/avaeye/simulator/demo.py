"""AvaEye in `pump demo`: a fleet that is busy at any hour, answers that get lost, a camera whose power fails.

Where somebody else sees the vehicles too, a camera forgets one before it has reported it: a hole that is to be found.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from itertools import cycle
from typing import Any, Final

from pump.core.clock import Clock
from pump.simulation.stage import Passage, Say
from pump.vendors.avaeye.simulator.camera import Camera
from pump.vendors.avaeye.simulator.messages import STEADY
from pump.vendors.avaeye.simulator.server import Fleet

_RATE: Final = 4.0
_KEEPALIVE: Final = 2.0
_BETWEEN: Final = 5.0
"""Seconds from one fault to the next."""
_FORGETS: Final = 1.0
"""Seconds until a camera forgets a vehicle."""


class Stage:
    """See `pump.simulation.stage.PushStage` and `RoadStage`."""

    def __init__(self, fleet: Fleet, clock: Clock) -> None:
        self.source: Mapping[str, Any] = {"type": "avaeye", "park_ids": ["10000"]}
        self._fleet = fleet
        self._clock = clock
        self._url: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._watchers: list[Callable[[Passage], object]] = []

    def reached_at(self, url: str) -> None:
        """See PushStage."""
        self._url.set_result(url)

    def watched_by(self, see: Callable[[Passage], object]) -> None:
        """See RoadStage."""
        self._watchers.append(see)
        for camera in self._fleet.cameras:
            camera.on_passage = partial(self._passes, camera)

    def _passes(self, camera: Camera, at: int, report: Callable[[], object]) -> None:
        for see in self._watchers:
            see(Passage(f"{camera.park}/{camera.device}", at, report))

    async def play(self, say: Say) -> None:
        """Cameras push; now and then an answer is lost, or a camera's power fails for a while."""
        await self._fleet.reach(await self._url)
        if self._watchers:
            await self._clock.sleep(_FORGETS)
            last = self._fleet.cameras[-1]  # the one whose power fails last
            last.forgets = True
            say(f"camera {last.device} forgets a vehicle before it has reported it")
        for number in cycle(range(len(self._fleet.cameras))):
            camera = self._fleet.cameras[number]
            await self._clock.sleep(_BETWEEN)
            camera.lose_answer = True
            say(f"the answer to a capture of camera {camera.device} gets lost; the camera sends it again")
            await self._clock.sleep(_BETWEEN)
            camera.silent.set()
            say(f"camera {camera.device} loses its power; three missed keep-alives make it offline")
            await self._clock.sleep(5 * _KEEPALIVE)
            camera.silent.clear()

    def moment(self, event: Mapping[str, Any]) -> float | None:
        """By the record's id."""
        raw = event["data"].get("raw")
        params = raw.get("params") if isinstance(raw, dict) else None
        record = params.get("recordId") if isinstance(params, dict) else None
        if not isinstance(record, str):
            return None
        return next((camera.seen(record) for camera in self._fleet.cameras if camera.seen(record) is not None), None)

    def redelivered(self) -> int:
        """Further tries, over all cameras, and what the parking lot wanted once more."""
        return sum(camera.retries + camera.reported_again for camera in self._fleet.cameras)


@asynccontextmanager
async def stage() -> AsyncIterator[Stage]:
    """Open a fleet; its cameras wait for the pump's address."""
    clock = Clock()
    async with Fleet(clock=clock, rate=_RATE, keepalive=_KEEPALIVE, picture=20_000, curves=(STEADY,)) as fleet:
        yield Stage(fleet, clock)
