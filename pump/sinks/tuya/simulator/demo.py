"""Tuya parking in `pump demo`: a lot that counts the vehicles itself, finds what the pump has missed, and closes it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Final

from pump.core.clock import Clock
from pump.simulation.stage import Passage, Say
from pump.sinks.tuya.simulator.lot import Claim, Lot, Own
from pump.sinks.tuya.simulator.server import CLIENT_ID, DEVICE, SECRET, Cloud

_WINDOW: Final = "10s"
_LAG: Final = "1s"
_CAMERAS: Final = {f"10000/{1001 + number}": ("in", "out")[number % 2] for number in range(8)}
_WAYS: Final = ("in", "out")


class Stage:
    """See `pump.simulation.stage.SinkStage`."""

    def __init__(self, cloud: Cloud, lot: Lot) -> None:
        self.sink: Mapping[str, Any] = {
            "type": "tuya",
            "host": cloud.url,
            "client_id": CLIENT_ID,
            "client_secret": SECRET,
            "device_id": DEVICE,
            "window": _WINDOW,
            "lag": _LAG,
            "directions": _CAMERAS,
        }
        self._lot = lot
        self._say: Say = lambda words: None
        self._agreed: dict[tuple[int, int], int] = {}
        """The count that both had last, by window and direction."""
        self._holes: set[tuple[int, int]] = set()
        self._found = self._closed = 0

    def see(self, passage: Passage) -> None:
        """See SinkStage."""
        way = _CAMERAS.get(passage.camera)
        if way is not None:
            self._lot.saw(Own(passage.at, passage.camera, passage.report), direction=_WAYS.index(way))

    async def play(self, say: Say) -> None:
        """It answers when it is asked."""
        self._say = say
        await asyncio.Event().wait()

    def verified(self, claim: Claim, agrees: bool) -> None:
        """The lot has compared a count with its own."""
        if claim.direction is None:
            return
        key, way = (claim.start, claim.direction), _WAYS[claim.direction]
        when = f"from {_clock(claim.start)} to {_clock(claim.end)}"
        mine = len(self._lot.own(0, claim.direction, claim.start, claim.end))
        if not agrees:
            self._found += key not in self._holes
            self._holes.add(key)
            self._agreed.pop(key, None)
            self._say(
                f"a hole: the parking lot has counted {mine} {way} {when}, the pump {claim.total}; "
                "the lot reports them again"
            )
            return
        self._agreed[key] = claim.total
        if key in self._holes:
            self._holes.discard(key)
            self._closed += 1
            self._say(f"the hole is closed: the parking lot and the pump agree on {mine} {way} {when}")
        elif (other := self._agreed.get((claim.start, 1 - claim.direction))) is not None:
            both = (claim.total, other) if way == "in" else (other, claim.total)
            self._say(f"a window agreed: {both[0]} in and {both[1]} out {when}")

    def summary(self) -> tuple[str, str]:
        """See SinkStage."""
        windows = {start for start, _ in self._agreed} - {start for start, _ in self._holes}
        return "windows", f"{len(windows)} agreed, {self._found} holes found, {self._closed} closed"


def _clock(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%H:%M:%S")


@asynccontextmanager
async def stage() -> AsyncIterator[Stage]:
    """Open the cloud with one lot that sees what it is shown."""
    lot = Lot()
    played: list[Stage] = []
    cloud = Cloud(
        clock=Clock(), lots={DEVICE: lot}, on_verified=lambda claim, agrees: played[0].verified(claim, agrees)
    )
    async with cloud:
        played.append(Stage(cloud, lot))
        yield played[0]
