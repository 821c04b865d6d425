"""A source under the real desk, on a real spool and listener, with a simulated camera's own interface."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pump.commands.contract import CommandResult, Request, Ticket
from pump.config.model import CommandSettings
from pump.core.clock import Clock
from pump.ingest.intake import Intake
from pump.ops.commands.desk import CommandDesk
from pump.telemetry.health import Health
from pump.vendors.avaeye.simulator.lapi import CameraServer
from pump.vendors.avaeye.source import AvaEye
from tests.unit.vendors.avaeye.site import AvaEyeSite, avaeye_site

TARGET = "camera/10000/1001"
_GRANTS: Any = {"grants": [{"callers": ["socket"], "verbs": ["*"], "targets": ["*"]}], "per_minute": 600}


@dataclass
class Commanded:
    """The parts."""

    site: AvaEyeSite
    desk: CommandDesk
    camera: CameraServer

    @property
    def source(self) -> AvaEye:
        return self.site.sources[0]

    async def ask(self, verb: str, target: str = TARGET, *, expires: float = 60, **arguments: Any) -> Ticket:
        return await self.desk.ask(Request(target, verb, arguments, expires), "socket")

    async def result(self, verb: str, target: str = TARGET, *, expires: float = 60, **arguments: Any) -> CommandResult:
        return await (await self.ask(verb, target, expires=expires, **arguments)).result


@asynccontextmanager
async def commanded(folder: Path, *, clock: Clock | None = None, **table: Any) -> AsyncIterator[Commanded]:
    """Camera 10000/1001 is configured with the simulated interface's address; `table` changes the source's table."""
    clock = clock or Clock()
    async with CameraServer(clock=clock) as camera:
        settings = {
            "username": "admin", "password": "camera-secret", "cameras": {"10000/1001": {"url": camera.url}}, **table,
        }  # fmt: skip
        async with avaeye_site(folder, settings, clock=clock) as site:
            source, intake = site.sources[0], site.intakes[0]
            source.devices(intake)
            own = Intake("pump", spool=site.spool, site="s", clock=clock, metrics=site.metrics, health=Health(clock))
            desk = CommandDesk(
                CommandSettings(**_GRANTS), {source.name: source}, {source.name: intake}, own,
                clock=clock, metrics=site.metrics,
            )  # fmt: skip
            running = asyncio.create_task(desk.run())
            try:
                yield Commanded(site, desk, camera)
            finally:
                running.cancel()
                await asyncio.wait({running})
                await desk.close()
