"""Nameless vendor in `pump demo`: doors, and a fault now and then."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from itertools import cycle
from typing import Any, Final

from pump.cli.new.templates.nameless_vendor.simulator.server import Fault, Simulator
from pump.core.clock import Clock
from pump.simulation.stage import Say

_TICK: Final = 0.2
"""Seconds from one record to the next."""
_BETWEEN: Final = 4.0
"""Seconds from one fault to the next."""
_FAULTS: Final = (
    (Fault("status"), "the vendor answers 503"),
    (Fault("drop"), "the vendor closes a connection before it has answered"),
    (None, "the vendor hands confirmed records out again"),
)


class Stage:
    """See `pump.simulation.stage.Stage`."""

    def __init__(self, simulator: Simulator, clock: Clock) -> None:
        self.source: Mapping[str, Any] = {
            "type": "nameless-vendor",
            "server": simulator.url,
            "api_key": "key",
            "poll_interval": "200ms",
        }
        self._simulator = simulator
        self._clock = clock
        self._moments: dict[str, float] = {}

    async def play(self, say: Say) -> None:
        """Doors open and close, and the faults in turn."""
        faults = cycle(_FAULTS)
        due = self._clock.monotonic() + _BETWEEN
        while True:
            for record in self._simulator.produce(1):
                self._moments[record["id"]] = self._clock.monotonic()
            if self._clock.monotonic() >= due:
                due += _BETWEEN
                fault, words = next(faults)
                if fault is None:
                    self._simulator.account.redeliver(3)
                else:
                    self._simulator.faults.append(fault)
                say(words)
            await self._clock.sleep(_TICK)

    def moment(self, event: Mapping[str, Any]) -> float | None:
        """By the record's own id."""
        raw = event["data"].get("raw")
        return self._moments.get(str(raw.get("id"))) if isinstance(raw, dict) else None

    def redelivered(self) -> int:
        """Records handed out more than once."""
        account = self._simulator.account
        return account.handed - len({record["id"] for record in account.confirmed})


@asynccontextmanager
async def stage() -> AsyncIterator[Stage]:
    """Open the simulator on a free port of the loopback."""
    clock = Clock()
    async with Simulator(clock=clock) as simulator:
        yield Stage(simulator, clock)
