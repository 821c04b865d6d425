"""A spool with a sink of type tuya, as a process that can be killed: `FOLDER URL EVENTS POINT`.

Stores events until there are so many, counts them all, reports every window, and ends with 0. At the named point it
kills itself, with -9: no clean-up, no last commit.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from pathlib import Path
from typing import Any

import structlog

from pump.core.clock import Clock
from pump.core.record import Batch, State
from pump.delivery.cursor import Surroundings
from pump.delivery.delivery import Delivery
from pump.sinks.tuya.ledger import read
from pump.sinks.tuya.settings import TuyaSettings
from pump.sinks.tuya.simulator import ACCOUNT
from pump.sinks.tuya.sink import TuyaSink
from pump.sinks.tuya.windows import Report
from pump.spool import Spool, SpoolSettings
from pump.telemetry.health import Component
from pump.telemetry.metrics import Metrics
from pump.testing.records import rows
from tests.conformance.test_tuya_conformance import DayAfter

POINTS = ("counted", "counted and stored", "asked", "accepted", "accepted and stored")


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class Killed(TuyaSink):
    """Dies at a point, after the first few batches or reports."""

    point: str
    spool: Spool
    left = 3

    def at(self, point: str) -> bool:
        """True at the point, the third time."""
        if point == self.point:
            self.left -= 1
        return point == self.point and self.left == 0

    async def send(self, batch: Batch) -> State | None:
        state = await super().send(batch)
        if self.at("counted"):
            die()
        if self.at("counted and stored"):
            await self.spool.flush()
            die()
        return state

    async def _report(self, report: Report) -> None:
        if self.at("asked"):
            asyncio.get_running_loop().call_later(0.002, die)
        before = self._ledger.accepted

        def accepted(report: Report, sn: str) -> None:
            if self.at("accepted"):
                die()
            before(report, sn)

        self._ledger.accepted = accepted  # type: ignore[method-assign]  # the place where it dies
        try:
            await super()._report(report)
        finally:
            self._ledger.accepted = before  # type: ignore[method-assign]
        if self.at("accepted and stored"):
            await self.spool.flush()
            die()


async def main(folder: Path, url: str, wanted: int, point: str) -> None:
    clock, metrics = Clock(), Metrics()
    spool = await Spool.open(folder, SpoolSettings(), clock=clock, metrics=metrics)
    made: list[Killed] = []

    def make(name: str, settings: Any, *, state: State | None, clock: Clock, site: str) -> TuyaSink:
        sink = Killed(name, settings, state=state, clock=DayAfter(), site=site)
        sink.point, sink.spool = point, spool
        made.append(sink)
        return sink

    async def lost(*_: object) -> None:
        raise AssertionError("events were lost")

    table = {**ACCOUNT, "type": "tuya", "host": url, "directions": {"gate": "in"}, "lag": "10ms"}
    settings = TuyaSettings.model_validate({**table, "batch_size": 25})
    component = Component("sink lot", clock)
    delivery = Delivery(Surroundings(spool, clock, metrics, "testing", lost), make, "lot", settings, component)
    running = asyncio.create_task(delivery.run())
    print("begun", flush=True)
    while spool.head < wanted:
        numbers = range(spool.head + 1, min(spool.head + 20, wanted) + 1)
        await spool.append(rows(numbers, clock), source="gate")
        await asyncio.sleep(0)
    if point in POINTS:
        await asyncio.Event().wait()  # it comes: there is a day of windows to be reported
    while not made or _total(made[-1]) < wanted or made[-1]._ledger._pending:
        await asyncio.sleep(0.01)
    delivery.stop()
    await running
    await spool.close()


def _total(sink: TuyaSink) -> int:
    return sum(window.count("in") for _, window in read(sink._memory))


if __name__ == "__main__":
    # standard output is for one word, and a pipe that nobody reads on would fill up
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4]))
