"""The Device Gateway in `pump demo`: five panels, a cut stream, garbage, a silent moment of a device."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from itertools import cycle
from typing import Any, Final

from pump.core.clock import Clock
from pump.simulation.stage import Say
from pump.vendors.hik_gateway.simulator.messages import identity
from pump.vendors.hik_gateway.simulator.server import Simulator

_EVERY: Final = 0.2
"""Seconds between two messages."""
_BETWEEN: Final = 5.0
"""Seconds from one fault to the next."""


class Stage:
    """See `pump.simulation.stage.Stage`."""

    def __init__(self, simulator: Simulator, clock: Clock) -> None:
        self.source: Mapping[str, Any] = {
            "type": "hik-gateway",
            "url": simulator.url,
            "username": "admin",
            "password": "secret1",
        }
        self._simulator = simulator
        self._clock = clock
        self._put: dict[str, float] = {}

    async def play(self, say: Say) -> None:
        """Traffic while the pump is subscribed, and the faults in turn."""
        mix = self._simulator.messages.mix(list(self._simulator.devices))
        faults = cycle((self._garbage, self._cut))
        due = self._clock.monotonic() + _BETWEEN
        while True:
            await self._simulator.subscribed.wait()
            now = self._clock.monotonic()
            self._put.update(dict.fromkeys(self._simulator.put(next(mix)), now))
            if now >= due:
                due = now + _BETWEEN
                say(next(faults)())
            await self._clock.sleep(_EVERY)

    def _cut(self) -> str:
        for one in self._simulator.subscriptions.values():
            one.cut()
        self._simulator.faults.replay = 5
        return "the gateway cut its stream; it sends its last parts again when the pump is back"

    def _garbage(self) -> str:
        self._simulator.faults.garbage.append(b"\0\xff garbage between two parts\r\n")
        return "the gateway wrote garbage into its stream; the pump finds the next part"

    def moment(self, event: Mapping[str, Any]) -> float | None:
        """By the message itself."""
        raw = event["data"].get("raw")
        return self._put.get(identity(raw)) if isinstance(raw, dict) else None

    def redelivered(self) -> int:
        """Sent again after a reconnect."""
        return self._simulator.account.replayed


@asynccontextmanager
async def stage() -> AsyncIterator[Stage]:
    """Open the simulator on a free port of the loopback."""
    clock = Clock()
    async with Simulator(clock=clock) as simulator:
        yield Stage(simulator, clock)
