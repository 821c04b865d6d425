"""A camera in `pump demo`: plates, doors, lines and motion, a cut stream, a silence, a repetition."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from itertools import cycle
from typing import Any, Final

from pump.core.clock import Clock
from pump.simulation.stage import Say
from pump.vendors.hik_camera.simulator.messages import Kind
from pump.vendors.hik_camera.simulator.server import Quirks, Simulator, identity

_KINDS: Final[tuple[Kind, ...]] = ("anpr", "access", "line", "motion", "anpr", "counting", "io", "access")
_TICK: Final = 0.5
_BETWEEN: Final = 5.0
"""Seconds from one fault to the next."""


class Stage:
    """See `pump.simulation.stage.Stage`."""

    def __init__(self, simulator: Simulator, clock: Clock) -> None:
        self.source: Mapping[str, Any] = {
            "type": "hik-camera",
            "url": simulator.url,
            "password": simulator.login.password,
            "heartbeat_timeout": "3s",
        }
        self._simulator = simulator
        self._clock = clock
        self._made: dict[int, float] = {}

    async def play(self, say: Say) -> None:
        """A matter each half second, and the faults in turn."""
        faults = cycle(
            (
                (self._simulator.cut, "the camera ended its stream; the last three events come again"),
                (self._simulator.half_open, "the camera's stream is dead without a word; the watchdog will notice"),
                (self._simulator.expire_nonces, "the camera forgot its nonces; the next connection takes a fresh one"),
            )
        )
        due = self._clock.monotonic() + _BETWEEN
        for kind in cycle(_KINDS):
            if self._simulator.streams:
                now = self._clock.monotonic()
                messages = self._simulator.emit(kind, repeats=8)
                self._made.update((message.number, now) for message in messages)
            if self._clock.monotonic() >= due:
                due += _BETWEEN
                fault, words = next(faults)
                fault()
                say(words)
            await self._clock.sleep(_TICK)

    def moment(self, event: Mapping[str, Any]) -> float | None:
        """By the running number that the simulator's messages carry."""
        raw = event["data"].get("raw")
        number = identity(raw) if isinstance(raw, dict) else None
        return None if number is None else self._made.get(number)

    def redelivered(self) -> int:
        """Written whole to more than one connection."""
        streams = self._simulator.account.streams
        return sum(len(stream.written) for stream in streams) - len(self._simulator.account.whole)


@asynccontextmanager
async def stage() -> AsyncIterator[Stage]:
    """Open the simulator on a free port of the loopback."""
    clock = Clock()
    quirks = Quirks(heartbeat_interval=1.0, replay=3)
    async with Simulator(clock=clock, quirks=quirks) as simulator:
        yield Stage(simulator, clock)
