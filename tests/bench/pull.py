"""Pulling batches from the Hik-Connect simulator to durable, against a bare decode of the same bytes."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import orjson
from pydantic import TypeAdapter

from pump.clock import Clock
from pump.health import Health
from pump.intake import Intake
from pump.metrics import Metrics
from pump.spool import Spool, SpoolSettings
from pump.vendors.hik_connect.simulator import Simulator
from pump.vendors.hik_connect.simulator_account import QueueName
from pump.vendors.hik_connect.source import HikConnect, HikConnectSettings
from pump.vendors.hik_connect.traffic import Record
from tests.bench.measure import Row, interleaved, share

_EVENTS = 10_000
_BATCH = 500


async def _pull(
    folder: Path, queues: tuple[QueueName, ...], records: dict[QueueName, list[Record]]
) -> tuple[float, float]:
    """Events a second from the vendor's queues to the last completed batch; the loop's longest stand-still in seconds."""
    clock = Clock()
    with tempfile.TemporaryDirectory(dir=folder) as place:
        metrics, health = Metrics(), Health(clock)
        spool = await Spool.open(Path(place), SpoolSettings(), clock=clock, metrics=metrics)
        async with Simulator(clock=clock, rate_limit=None) as simulator:
            settings = TypeAdapter(HikConnectSettings).validate_python(
                {
                    "type": "hik-connect", "server": simulator.url, "app_key": "ak", "secret_key": "sk",
                    "queues": queues, "poll_interval": "1ms",
                }
            )  # fmt: skip
            source = HikConnect("teams", settings, clock, paced=False)
            intake = Intake("teams", spool=spool, site="b", clock=clock, metrics=metrics, health=health)
            running = asyncio.create_task(source.run(intake), name="source")
            states = [simulator.account.queues[queue] for queue in queues]
            while not all(state.subscribed for state in states):
                await asyncio.sleep(0.01)
            for queue in queues:
                simulator.put(queue, *records[queue])
            stood = asyncio.create_task(_longest_stand(), name="watch")
            begun = time.perf_counter()
            while not all(
                len(state.completed) == len(records[queue]) for queue, state in zip(queues, states, strict=True)
            ):
                await asyncio.sleep(0.005)
            elapsed = time.perf_counter() - begun
            stood.cancel()
            longest = (await asyncio.gather(stood, return_exceptions=True))[0]
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        assert spool.head >= _EVENTS
        await spool.close()
    total = sum(len(records[queue]) for queue in queues)
    return total / elapsed, longest if isinstance(longest, float) else 0.0


async def _longest_stand() -> float:
    longest, last = 0.0, time.perf_counter()
    try:
        while True:
            await asyncio.sleep(0.001)
            now = time.perf_counter()
            longest, last = max(longest, now - last - 0.001), now
    except asyncio.CancelledError:
        return longest


def _decode(bodies: list[bytes]) -> float:
    begun = time.perf_counter()
    for body in bodies:
        orjson.loads(body)
    return _EVENTS / (time.perf_counter() - begun)


def table(folder: Path, repetitions: int) -> Iterator[Row]:
    """The rows."""
    maker = Simulator(clock=Clock())
    one: dict[QueueName, list[Record]] = {"alarm": list(maker.make("alarm", _EVENTS))}
    names: tuple[QueueName, ...] = ("alarm", "combine", "rawmsg")
    three = {name: list(maker.make(name, _EVENTS // 3 + 1)) for name in names}
    bodies = [
        orjson.dumps(
            {"data": {"batchId": "x", "remainingNumber": 1, "alarmMsg": one["alarm"][n : n + _BATCH]}, "errorCode": "0"}
        )
        for n in range(0, _EVENTS, _BATCH)
    ]
    stood: list[float] = []

    def pull(queues: tuple[QueueName, ...], records: dict[QueueName, list[Record]]) -> float:
        rate, longest = asyncio.run(_pull(folder, queues, records))
        stood.append(longest)
        return rate

    found = interleaved(
        repetitions,
        limit=lambda: _decode(bodies),
        one=lambda: pull(("alarm",), one),
        three=lambda: pull(names, three),
    )
    words = "events/s bare decode; simulator and pump share this process"
    yield share("pull to durable, one queue, batches of 500", found["one"], found["limit"], 0.25, words)
    yield share("pull to durable, three queues", found["three"], found["limit"], 0.25, words)
    worst = sorted(stood)[len(stood) // 2] * 1000
    yield Row(
        "the loop's longest stand-still, median of runs",
        worst,
        "<= 10",
        worst <= 10,
        "simulator's own share included",
        " ms",
    )
