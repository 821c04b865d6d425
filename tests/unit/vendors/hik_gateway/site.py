"""One pump with one gateway source, before one simulated gateway; real sockets, a real spool, time moved by hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson

from pump.core.errors import Misconfigured, Unavailable
from pump.core.event import Event, Unparsed
from pump.ingest.intake import Intake
from pump.spool import Receipt, Spool, SpoolSettings
from pump.telemetry.health import Health
from pump.telemetry.metrics import Metrics
from pump.testing import ManualClock
from pump.vendors.hik_gateway import SOURCE
from pump.vendors.hik_gateway.simulator.messages import identity
from pump.vendors.hik_gateway.simulator.server import Quirks, Simulator

PASSWORD = "secret1"


class Refusing(Intake):
    """The real intake; refuses events when it is told to."""

    refusing = False
    refused = 0
    under_way = 0
    """Puts that wait for their commit."""

    async def put(
        self, *items: Event | Unparsed, state: Mapping[str, Any] | None = None, stranger: bool = False
    ) -> Receipt:
        if self.refusing and items:
            self.refused += 1
            raise Unavailable("the spool is full", retry_after=1.0)
        self.under_way += 1
        try:
            return await super().put(*items, state=state, stranger=stranger)
        finally:
            self.under_way -= 1


class Site:
    pace = 0.05
    """Seconds of the clock that pass between two looks."""

    def __init__(self, vendor: Simulator, spool: Spool, clock: ManualClock, settings: Mapping[str, Any]) -> None:
        self.vendor, self.spool, self.clock = vendor, spool, clock
        self.metrics = Metrics()
        self.intake = Refusing(
            "arc", spool=spool, site="north", clock=clock, metrics=self.metrics, health=Health(clock)
        )  # fmt: skip
        more = {"type": "hik-gateway", "url": vendor.url, "username": "admin", "password": PASSWORD, **settings}
        self.source = SOURCE("arc", SOURCE.Settings.model_validate(more), clock)
        self.task = asyncio.create_task(self._supervise(), name="source arc")

    async def _supervise(self) -> None:
        """As the supervisor does for a rejected password."""
        while True:
            try:
                await self.source.run(self.intake)
            except Misconfigured as error:
                self.intake.down(error.reason)
                await self.clock.sleep(error.retry_after or 600.0)

    def pass_by(self) -> None:
        """Let time pass; not while a put waits for the disk, or a slow one would be the gateway's silence."""
        if not self.intake.under_way:
            self.clock.advance(self.pace)

    async def until(self, condition: Callable[[], object]) -> None:
        """Lets time pass, faster than the world's, until it is so."""
        async with asyncio.timeout(60.0):
            while not condition():
                if self.task.done():
                    await self.task
                self.pass_by()
                await asyncio.sleep(0.001)

    async def up(self) -> None:
        """Until the link stands."""
        await self.until(lambda: self.intake.component.state == "up" and self.vendor.subscriptions)

    async def stored(self, n: int) -> None:
        """Until `n` events of devices are stored."""
        async with asyncio.timeout(60.0):
            while len(await self.events()) < n:
                self.pass_by()
                await asyncio.sleep(0.002)

    async def stop(self) -> None:
        self.task.cancel()
        await asyncio.wait({self.task})

    async def records(self) -> list[dict[str, Any]]:
        """All that is stored."""
        records, after = list[Any](), 0
        while batch := await self.spool.read(after):
            records += batch
            after = batch[-1].seq
        return [orjson.loads(record.body) for record in records]

    async def events(self) -> list[dict[str, Any]]:
        """What devices sent."""
        found = [event for event in await self.records() if not event["type"].startswith("pump.")]
        return [event for event in found if not event["data"].get("reconciled")]

    async def reconciled(self, n: int = 0) -> list[dict[str, Any]]:
        """What the device list told, once there are `n`."""
        async with asyncio.timeout(60.0):
            while len(found := [event for event in await self.records() if event["data"].get("reconciled")]) < n:
                self.pass_by()
                await asyncio.sleep(0.002)
        return found

    async def gaps(self) -> list[dict[str, Any]]:
        return [event["data"] for event in await self.records() if event["type"] == "pump.gap"]

    async def gapped(self, n: int = 1) -> list[dict[str, Any]]:
        """The gaps, once there are `n`."""
        async with asyncio.timeout(60.0):
            while len(found := await self.gaps()) < n:
                self.pass_by()
                await asyncio.sleep(0.002)
        return found

    async def identities(self) -> list[str]:
        """What devices sent, in the simulator's words, in the order of storage."""
        return [identity(event["data"]["raw"]) for event in await self.events()]


@asynccontextmanager
async def spooled(folder: Path, clock: ManualClock) -> AsyncIterator[Spool]:
    spool = await Spool.open(folder, SpoolSettings(), clock=clock, metrics=Metrics())
    try:
        yield spool
    finally:
        await spool.close()


@asynccontextmanager
async def site(
    folder: Path, *, quirks: Quirks | None = None, settings: Mapping[str, Any] | None = None, **more: Any
) -> AsyncIterator[Site]:
    clock = ManualClock()
    async with Simulator(clock=clock, quirks=quirks, **more) as vendor, spooled(folder, clock) as spool:
        one = Site(vendor, spool, clock, settings or {})
        try:
            yield one
        finally:
            await one.stop()
