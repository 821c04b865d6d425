"""One pump with one camera source before one simulated device; the folder outlives both."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson

from pump.core.clock import Clock
from pump.core.errors import Unavailable
from pump.core.event import Event, Unparsed
from pump.ingest.intake import Intake
from pump.spool import Receipt, Spool, SpoolSettings
from pump.telemetry.health import Health
from pump.telemetry.metrics import Metrics
from pump.testing import ManualClock
from pump.vendors.hik_camera import SOURCE
from pump.vendors.hik_camera.simulator.server import Simulator, identity


class Refusing(Intake):
    """The real intake, and a spool that refuses when it is told to."""

    refusing = False
    refused = 0
    under_way = 0
    """Puts that wait for their commit."""

    async def put(
        self, *items: Event | Unparsed, state: Mapping[str, Any] | None = None, stranger: bool = False
    ) -> Receipt:
        if self.refusing:
            self.refused += 1
            raise Unavailable("the spool is full", retry_after=0.05)
        self.under_way += 1
        try:
            return await super().put(*items, state=state, stranger=stranger)
        finally:
            self.under_way -= 1


class Site:
    """What a test holds."""

    def __init__(self, device: Simulator, spool: Spool, clock: Clock, settings: Mapping[str, Any]) -> None:
        self.device, self.spool, self.clock = device, spool, clock
        self.metrics = Metrics()
        self.intake = Refusing(
            "door", spool=spool, site="north", clock=clock, metrics=self.metrics, health=Health(clock)
        )
        more = {"type": "hik-camera", "url": device.url, "password": "Camera-1", **settings}
        self.source = SOURCE("door", SOURCE.Settings.model_validate(more), clock)
        self.task = asyncio.create_task(self.source.run(self.intake), name="source door")

    def pass_by(self, seconds: float) -> None:
        """Let time pass; not while a put waits for the disk, or a slow one would be a device's silence."""
        if isinstance(self.clock, ManualClock) and not self.intake.under_way:
            self.clock.advance(seconds)

    async def until(self, condition: Callable[[], object], *, step: float = 0.02) -> None:
        """Let time pass, far faster than the world's where the clock is moved by hand, until it is so."""
        async with asyncio.timeout(60.0):
            while not condition():
                if self.task.done():
                    await self.task
                self.pass_by(step)
                await asyncio.sleep(0.001)

    async def stored(
        self, wanted: Callable[[list[dict[str, Any]]], object], *, within: float = math.inf
    ) -> list[dict[str, Any]]:
        """The stored events, once they are as wanted. Meanwhile time passes, but no more than `within` seconds."""
        last = self.clock.monotonic() + within
        head = -1
        found: list[dict[str, Any]] = []
        async with asyncio.timeout(60.0):
            while True:
                if self.spool.head != head:
                    head, found = self.spool.head, await self.events()
                    if wanted(found):
                        return found
                if self.task.done():
                    await self.task
                if self.clock.monotonic() + 0.02 <= last:
                    self.pass_by(0.02)
                await asyncio.sleep(0.001)

    @property
    def state(self) -> str:
        return self.intake.component.state

    async def source_gap(self) -> None:
        """A gap of the last ten minutes."""
        await self.intake.gap(self.clock.now() - timedelta(minutes=10), self.clock.now(), "cut by the test")

    async def stop(self) -> None:
        self.task.cancel()
        with suppress(asyncio.CancelledError):
            await self.task

    async def events(self, type_: str = "") -> list[dict[str, Any]]:
        """What is stored, in order, without the source's ups and downs."""
        events: list[dict[str, Any]] = []
        after = 0
        while batch := await self.spool.read(after):
            events += [orjson.loads(record.body) for record in batch]
            after = batch[-1].seq
        return [
            event
            for event in events
            if not event["type"].startswith("pump.source.") and event["type"].startswith(type_)
        ]

    def counted(self, what: str) -> int:
        value = self.metrics.registry.get_sample_value("pump_source_incidents_total", {"source": "door", "what": what})
        return int(value or 0)


def numbers(events: list[dict[str, Any]]) -> list[int]:
    """The running numbers of the device's messages among the events, in their order."""
    own = [event for event in events if event["data"]["vendor"] == "hik-camera" and "raw" in event["data"]]
    return [number for event in own if (number := identity(event["data"]["raw"])) is not None]


@asynccontextmanager
async def site(folder: Path, device: Simulator, clock: Clock, **settings: Any) -> AsyncIterator[Site]:
    """A pump at this device, stopped and closed at the end."""
    spool = await Spool.open(folder, SpoolSettings(), clock=clock, metrics=Metrics())
    one = Site(device, spool, clock, settings)
    try:
        yield one
    finally:
        await one.stop()
        await spool.close()
