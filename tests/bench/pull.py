"""Pulling batches from the Hik-Connect simulator to durable, against a bare decode of the same bytes."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import orjson
from pydantic import TypeAdapter

from pump.core.clock import Clock
from pump.ingest.intake import Intake
from pump.spool import Spool, SpoolSettings
from pump.telemetry.health import Health
from pump.telemetry.metrics import Metrics
from pump.vendors.hik_connect.settings import HikConnectSettings
from pump.vendors.hik_connect.simulator.account import QUEUES
from pump.vendors.hik_connect.simulator.messages import Record
from pump.vendors.hik_connect.simulator.server import Simulator
from pump.vendors.hik_connect.source import HikConnect
from tests.bench.measure import Figure, Meter, Row, interleaved, share
from tests.bench.vendor import Records, vendor

_EVENTS = 10_000
_BATCH = 500


async def _pull(folder: Path, records: Records) -> tuple[Figure, Stand]:
    """The figures from the vendor's queues to the last completed batch, and how long the loop served nobody."""
    clock, total = Clock(), sum(map(len, records.values()))
    with tempfile.TemporaryDirectory(dir=folder) as place, vendor(records) as there:
        metrics, health = Metrics(), Health(clock)
        spool = await Spool.open(Path(place), SpoolSettings(), clock=clock, metrics=metrics)
        settings = TypeAdapter(HikConnectSettings).validate_python(
            {
                "type": "hik-connect", "server": there.url, "app_key": "ak", "secret_key": "sk",
                "queues": tuple(records), "poll_interval": "1ms",
            }
        )  # fmt: skip
        source = HikConnect("teams", settings, clock, paced=False)
        intake = Intake("teams", spool=spool, site="b", clock=clock, metrics=metrics, health=health)
        details = intake.component.details
        running = asyncio.create_task(source.run(intake), name="source")
        await there.offer()
        stand = Stand()
        watch = asyncio.create_task(_watch(stand), name="watch")
        meter = Meter()
        # A batch's backlog is noted when it was completed.
        while spool.head < total or any(details[queue]["backlog"] for queue in records):
            await asyncio.sleep(0.002)
        figure = meter.figure(total)
        watch.cancel()
        stored = metrics.registry.get_sample_value("pump_events_total", {"source": "teams"}) or 0
        assert there.completed() == total <= stored, f"{there.completed()} completed and {stored:.0f} stored of {total}"
        running.cancel()
        await asyncio.gather(running, watch, return_exceptions=True)
        await spool.close()
    return figure, stand


@dataclass
class Stand:
    """The loop's longest stand-still, in seconds: by the clock, and of its own work alone."""

    clock: float = 0.0
    work: float = 0.0


async def _watch(stand: Stand) -> None:
    while True:
        now, work = time.perf_counter(), time.thread_time()
        await asyncio.sleep(0.001)
        stand.clock = max(stand.clock, time.perf_counter() - now - 0.001)
        stand.work = max(stand.work, time.thread_time() - work)


def _bodies(records: list[Record]) -> list[bytes]:
    return [
        orjson.dumps(
            {"data": {"batchId": "x", "remainingNumber": 1, "alarmMsg": records[n : n + _BATCH]}, "errorCode": "0"}
        )
        for n in range(0, _EVENTS, _BATCH)
    ]


def _decode(bodies: list[bytes]) -> Figure:
    meter = Meter()
    for body in bodies:
        orjson.loads(body)
    return meter.figure(_EVENTS)


def table(folder: Path, repetitions: int) -> Iterator[Row]:
    """The rows."""
    maker = Simulator(clock=Clock())
    one: Records = {"alarm": list(maker.make("alarm", _EVENTS))}
    plain: Records = {"alarm": list(maker.make("alarm", _EVENTS, "camera"))}
    three: Records = {name: list(maker.make(name, _EVENTS // 3 + 1)) for name in QUEUES}
    bodies, plain_bodies = _bodies(one["alarm"]), _bodies(plain["alarm"])
    stood: list[Stand] = []

    def pull(records: Records) -> Figure:
        rate, stand = asyncio.run(_pull(folder, records))
        stood.append(stand)
        return rate

    found = interleaved(
        repetitions,
        limit=lambda: _decode(bodies),
        plain_limit=lambda: _decode(plain_bodies),
        one=lambda: pull(one),
        plain=lambda: pull(plain),
        three=lambda: pull(three),
    )
    words = "events/s bare decode"
    yield share("pull to durable, one queue, batches of 500", found["one"], found["limit"], 0.25, words)
    yield share("the same, camera alarms alone", found["plain"], found["plain_limit"], 0.25, words)
    yield share("pull to durable, three queues", found["three"], found["limit"], 0.25, words)
    clock, work = (1000 * median(each) for each in zip(*((one.clock, one.work) for one in stood), strict=True))
    detail = f"its own work {work:.1f} ms; the worst run {1000 * max(one.clock for one in stood):.1f} ms"
    yield Row("the loop's longest stand-still, median of runs", clock, "<= 10", clock <= 10, detail, " ms")
