"""A sink of type tuya on a clock that a test moves, against the simulated cloud on a real socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, MutableMapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from pump.core.clock import Clock
from pump.core.errors import Unavailable
from pump.core.event import Event, encode, event_id
from pump.core.record import Record
from pump.sinks.tuya.settings import TuyaSettings
from pump.sinks.tuya.simulator import Cloud, Lot, Own
from pump.sinks.tuya.simulator.server import CLIENT_ID, DEVICE, SECRET
from pump.sinks.tuya.sink import TuyaSink
from pump.testing import ManualClock

HOUR = 3_600_000
CAMERAS = {"10000/1001": "in", "10000/1002": "out"}


def settings(url: str, **keys: Any) -> TuyaSettings:
    table = {
        "type": "tuya", "host": url, "client_id": CLIENT_ID, "client_secret": SECRET, "device_id": DEVICE,
        "directions": CAMERAS,
    }  # fmt: skip
    return TuyaSettings.model_validate({**table, **keys})


def event(
    seq: int,
    at: int,
    *,
    camera: str = "1001",
    type_: str = "vehicle.passed",
    arrived: int | None = None,
    source: str = "gate",
    **data: Any,
) -> Record:
    """An event of a plate camera; `at` and `arrived` in milliseconds since 1970."""
    recorded = at if arrived is None else arrived
    fields = {
        "vendor": "testing", "code": "capture", "phase": "pulse", "severity": "info",
        "device": {"id": camera}, "place": {"lot": "10000"}, **data,
    }  # fmt: skip
    made = Event(type_, event_id("testing", seq), fields, _moment(at), f"camera/10000/{camera}")
    return Record(seq, source, type_, 0, recorded, encode(made, f"/testing/{source}", _moment(recorded)))


def _moment(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)


def own(at: int) -> Own:
    """A pass as the lot has it."""
    return Own(at, "", lambda: None)


def tuya(url: str, clock: Clock, memory: MutableMapping[str, Any], **keys: Any) -> TuyaSink:
    sink = TuyaSink("lot", settings(url, **keys), state=None, clock=clock, site="testing")
    sink.recall(memory)
    return sink


class Site:
    """A cloud with one lot, and a memory that outlives the sinks."""

    def __init__(self, clock: ManualClock, cloud: Cloud, lot: Lot) -> None:
        self.clock = clock
        self.cloud = cloud
        self.lot = lot
        self.memory: dict[str, Any] = {}
        self.downs: list[str] = []
        """Why the cloud was away, each time."""

    @asynccontextmanager
    async def sink(self, **keys: Any) -> AsyncIterator[TuyaSink]:
        """One opening."""
        async with tuya(self.cloud.url, self.clock, self.memory, **keys) as sink:
            yield sink

    async def elapse(self, sink: TuyaSink, seconds: float, *, rests: bool = True, at_least: float = 0.0) -> None:
        """Have the sink watch, as delivery does while nothing is to be sent, until so much time has passed.

        With `rests` longer, where it must be, until nothing more is due. `at_least`: seconds between two tries.
        """
        clock = self.clock
        end = clock.monotonic() + seconds
        for _ in range(2000):
            watching = asyncio.create_task(sink.watch())
            try:
                while await self._asleep(watching):
                    if clock.monotonic() >= end:
                        return
                    clock.advance(end - clock.monotonic())
            finally:
                watching.cancel()
                await asyncio.wait({watching})
            try:
                watching.result()
            except Unavailable as error:
                self.downs.append(error.reason)
                clock.advance(max(error.retry_after or 0.0, at_least))
                if not rests and clock.monotonic() >= end:
                    return
        raise AssertionError("it never came to rest")

    async def _asleep(self, watching: asyncio.Task[Any]) -> bool:
        """True once the watch waits for the clock, False once it has ended."""
        asleep = asyncio.create_task(self.clock.sleeping())
        await asyncio.wait({watching, asleep}, return_when=asyncio.FIRST_COMPLETED)
        asleep.cancel()
        return not watching.done()

    def now(self) -> int:
        return self.clock.now_ms()

    def counts(self) -> dict[tuple[int, int | None, int], int]:
        """What the lot was given last, by data_type, direction and start."""
        return {key[:3]: count for key, count in self.lot.newest().items()}


@asynccontextmanager
async def site(*, knows: bool = True, supported: bool = True, **cloud: Any) -> AsyncIterator[Site]:
    """The clock stands at a full hour."""
    clock, lot = ManualClock(), Lot(knows=knows, supported=supported)
    async with Cloud(clock=clock, lots={DEVICE: lot}, **cloud) as there:
        yield Site(clock, there, lot)
