"""Kinot in `pump demo`: a garage of bays, callbacks that are lost, doubled, late or forged, and the list that knows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from itertools import cycle
from typing import Any, Final

from pump.core.clock import Clock
from pump.simulation.stage import Say
from pump.vendors.kinot.simulator.callbacks import Trick
from pump.vendors.kinot.simulator.server import Simulator

_RATE: Final = 5.0
"""Changes a second in the whole garage."""
_TICK: Final = 0.1
_BETWEEN: Final = 4.0
"""Seconds from one trick to the next."""
_TRICKS: Final[tuple[tuple[Trick, str], ...]] = (
    ("lost", "a sensor's callback is lost on its way; the next snapshot finds what it would have said"),
    ("duplicate", "the platform sends a callback twice"),
    ("wrong_sign", "somebody sends a callback with a sign that does not match"),
    ("old", "a callback of a minute ago comes late, after a newer one"),
)


class Stage:
    """See `pump.simulation.stage.PushStage`."""

    def __init__(self, simulator: Simulator, clock: Clock) -> None:
        self.source: Mapping[str, Any] = {
            "type": "kinot",
            "server": simulator.url,
            "app_key": "ak",
            "app_secret": "sk",
            "register_callbacks": False,
            "snapshot": "3s",
            "gateways": [*simulator.fleet.gateways],
        }
        self._simulator = simulator
        self._clock = clock
        self._reached = asyncio.Event()
        self._moments: dict[tuple[int, str], float] = {}

    def reached_at(self, url: str) -> None:
        """Where the callbacks go; the demo names each source like its kind."""
        self._simulator.register(f"{url}/kinot/kinot")
        self._reached.set()

    async def play(self, say: Say) -> None:
        """Cars come and go, and the tricks in turn."""
        await self._reached.wait()
        simulator, clock = self._simulator, self._clock
        tricks = cycle(_TRICKS)
        owed, due = 0.0, clock.monotonic() + _BETWEEN
        while True:
            if clock.monotonic() >= due:
                due += _BETWEEN
                trick, words = next(tricks)
                simulator.platform.tricks.append(trick)
                say(words)
            owed += _RATE * _TICK
            while owed >= 1.0:
                owed -= 1.0
                bay = simulator.fleet.turn(clock.now())
                self._moments[bay.sn, bay.updated.isoformat()] = clock.monotonic()
                simulator.push(bay)
            await clock.sleep(_TICK)

    def moment(self, event: Mapping[str, Any]) -> float | None:
        """When a callback was sent; what a snapshot found was not."""
        data = event["data"]
        raw = data.get("raw")
        if not isinstance(raw, dict) or data.get("reconciled") or event["type"].startswith("pump."):
            return None
        return self._moments.get((raw.get("sn", 0), raw.get("updated_at", "")))

    def redelivered(self) -> int:
        """Callbacks that were sent once more, with and without need."""
        callbacks = self._simulator.platform.callbacks
        return self._simulator.platform.repeated + len(callbacks) - len({each.body for each in callbacks})


@asynccontextmanager
async def stage() -> AsyncIterator[Stage]:
    """Open the simulator on a free port of the loopback."""
    clock = Clock()
    async with Simulator(clock=clock, bays=24) as simulator:
        yield Stage(simulator, clock)
