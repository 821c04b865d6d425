"""A spool, a source's intake, the fetcher that runs beside it, and a host of pictures, on one clock that tests turn."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson
import pytest

from pump.core.event import Event, event_id
from pump.ingest.fetch.access import PictureAccess
from pump.ingest.fetch.fetcher import Fetcher, FetchLimits
from pump.ingest.intake import Intake
from pump.ingest.media import Media
from pump.simulation.pictures import PictureHost
from pump.spool import Spool, SpoolSettings
from pump.telemetry.health import Health
from pump.telemetry.metrics import Metrics
from pump.testing import ManualClock

TURNS = 20
"""Passes of the event loop after which whoever the clock has woken has looked around."""


class Running:
    """One life of the parts."""

    def __init__(self, spool: Spool, intake: Intake, fetcher: Fetcher, clock: ManualClock) -> None:
        self.spool = spool
        self.intake = intake
        self.fetcher = fetcher
        self.clock = clock

    async def quiet(self) -> None:
        """Nothing is under way, and whoever waits for a moment has said for which."""
        await _turns()
        await self.fetcher.quiet()
        await _turns()

    async def through(self, seconds: float) -> None:
        """Let so much time pass, stopping at each moment at which somebody wakes."""
        end = self.clock.monotonic() + seconds
        await self.quiet()
        while (deadline := self.clock.deadline) is not None and deadline <= end:
            self.clock.advance(max(0.0, deadline - self.clock.monotonic()))
            await self.quiet()
        self.clock.advance(end - self.clock.monotonic())
        await self.quiet()

    async def events(self, *types: str) -> list[dict[str, Any]]:
        """All that are stored, or those of some types."""
        found: list[dict[str, Any]] = []
        after = 0
        while page := await self.spool.read(after):
            found += [orjson.loads(record.body) for record in page]
            after = page[-1].seq
        return [event for event in found if not types or event["type"] in types]

    async def reasons(self) -> list[str]:
        """Why media failed."""
        return [event["data"]["reason"] for event in await self.events("media.failed")]


class Ground:
    """A folder in which one life follows another."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = ManualClock()
        self.metrics = Metrics()
        self.media = Media(folder / "media", clock=self.clock)
        self.resolver: Any = None

    @asynccontextmanager
    async def running(
        self, access: Mapping[str, PictureAccess] | PictureAccess, **limits: Any
    ) -> AsyncIterator[Running]:
        """Parts that run; `access` of the source "teams" or of several."""
        health = Health(self.clock)
        spool = await Spool.open(self.folder, SpoolSettings(), clock=self.clock, metrics=self.metrics)
        intakes: dict[str, Intake] = {}

        def intake(name: str) -> Intake:
            if name not in intakes:
                intakes[name] = Intake(
                    name, spool=spool, site="north", clock=self.clock, metrics=self.metrics, health=health,
                    media=self.media,
                )  # fmt: skip
            return intakes[name]

        fetcher = Fetcher(
            spool, self.media, intake, {"teams": access} if isinstance(access, PictureAccess) else access,
            limits=FetchLimits(**limits), clock=self.clock, metrics=self.metrics,
            component=health.component("media fetcher"),
        )  # fmt: skip
        fetcher.rng = random.Random(1)
        fetcher.resolver = self.resolver
        task = asyncio.create_task(fetcher.run())
        try:
            yield Running(spool, intake("teams"), fetcher, self.clock)
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            await spool.close()

    def files(self) -> dict[str, bytes]:
        """Every file of the store by its name; each holds what its name says."""
        found = {path.name: path.read_bytes() for path in self.media.folder.rglob("*") if path.is_file()}
        assert all(sha256(content).hexdigest() == name for name, content in found.items())
        return found

    def value(self, name: str, **labels: str) -> float:
        """A metric's."""
        return self.metrics.registry.get_sample_value(name, labels) or 0.0


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    """A fresh one."""
    return Ground(tmp_path)


def alarm(number: int, *links: str, state: str = "remote", **entry: Any) -> Event:
    """An alarm with links."""
    identity = event_id("alarm", number)
    media = [
        {"id": f"{identity}/{n}", "kind": "picture", "url": link, "state": state, **entry}
        for n, link in enumerate(links)
    ]
    data = {
        "vendor": "test", "code": "1", "name": "Alarm", "phase": "pulse", "severity": "warning",
        "device": {"serial": "D1"}, "media": media,
    }  # fmt: skip
    return Event("video.intrusion", identity, data, time=datetime(2026, 11, 20, 8, tzinfo=UTC), subject="camera/1")


def own(host: PictureHost) -> PictureAccess:
    """A source whose own server is the host."""
    return PictureAccess(own=host.url)


async def _turns() -> None:
    for _ in range(TURNS):
        await asyncio.sleep(0)
