"""A source's side of the spool for the tests: a real intake on a real spool."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest

from pump.core.event import Event, event_id
from pump.ingest.intake import Intake
from pump.spool import Spool, SpoolSettings
from pump.telemetry.health import Health
from pump.telemetry.metrics import Metrics
from pump.testing import ManualClock


class Site:
    """A spool with one source's intake on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = ManualClock()
        self.metrics = Metrics()
        self.health = Health(self.clock)

    @asynccontextmanager
    async def intake(self, name: str = "teams", **settings: Any) -> AsyncIterator[tuple[Intake, Spool]]:
        spool = await Spool.open(
            self.folder, SpoolSettings.model_validate(settings), clock=self.clock, metrics=self.metrics
        )
        try:
            yield (
                Intake(name, spool=spool, site="north", clock=self.clock, metrics=self.metrics, health=self.health),
                spool,
            )
        finally:
            await spool.close()

    def value(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(name, labels) or 0.0


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Opens its intake when a test asks for it."""
    return Site(tmp_path)


def passed(n: int = 1, **data: Any) -> Event:
    """The n-th passage of a vehicle."""
    facts = {"vendor": "test", "code": "1", "name": "Pass", "phase": "pulse", "severity": "info", **data}
    return Event("vehicle.passed", event_id("test", n), facts, time=datetime(2026, 11, 20, 7, n, tzinfo=UTC))


async def stored_events(spool: Spool) -> list[dict[str, Any]]:
    """All that lies in the spool."""
    return [orjson.loads(record.body) for record in await spool.read(0)]


def run(main: Callable[[], Awaitable[None]]) -> None:
    """Run a test's body in an event loop of its own."""

    async def wrapped() -> None:
        await main()

    asyncio.run(wrapped())
