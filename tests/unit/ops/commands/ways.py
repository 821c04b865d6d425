"""A way in between a real broker and the gates of `site`, kept going as the supervisor keeps it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pump.commands.ways import WayIn
from pump.core.clock import Clock
from pump.core.errors import Misconfigured, Unavailable
from pump.ops.commands.reception import MessageReception
from tests.unit.ops.commands.site import Site, site


def granted(*callers: str, **more: Any) -> Mapping[str, Any]:
    """[commands] that lets these do everything."""
    return {"grants": [{"callers": callers, "verbs": ["*"], "targets": ["*"]}], "per_minute": 600, **more}


@dataclass
class Way:
    """The pump's side."""

    site: Site
    reception: MessageReception
    up: asyncio.Event
    reasons: list[str]
    """Why it has ended, each time."""

    @property
    def did(self) -> list[tuple[str, str]]:
        return [(target, verb) for target, verb, _ in self.site.gates.did]

    def counted(self, outcome: str) -> float:
        labels = {"sink": "out", "outcome": outcome}
        return self.site.metrics.registry.get_sample_value("pump_command_messages_total", labels) or 0.0

    @property
    def lost(self) -> float:
        """Answers."""
        found = self.site.metrics.registry.get_sample_value("pump_command_answers_lost_total", {"sink": "out"})
        return found or 0.0


@asynccontextmanager
async def way(
    folder: Path, make: Callable[[Clock], WayIn], settings: Mapping[str, Any], clock: Clock | None = None
) -> AsyncIterator[Way]:
    """One that is up."""
    clock = clock or Clock()
    async with site(folder, clock, settings) as there:
        one, reasons = make(clock), list[str]()
        found = Way(
            there, MessageReception("out", there.desk, clock=clock, metrics=there.metrics), asyncio.Event(), reasons
        )

        async def keep() -> None:
            while True:
                try:
                    await one.run(found.reception, found.up.set)
                except (Unavailable, Misconfigured) as error:
                    found.up.clear()
                    reasons.append(error.reason)
                    await asyncio.sleep(0.05)  # a backoff

        running = asyncio.create_task(keep())
        try:
            await asyncio.wait_for(found.up.wait(), 60)
            yield found
        finally:
            await found.reception.close(0.0)
            running.cancel()
            await asyncio.wait({running})
            if not running.cancelled():
                running.result()  # a bug


async def until(condition: Callable[[], object]) -> None:
    """Wait for what another task, or another process, brings about."""
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.01)


async def let_go() -> None:
    """After an aiomqtt client has ended: it asks the loop a turn later to write to a socket of its number, which may
    be another's by then."""
    for _ in range(3):
        await asyncio.sleep(0)
