"""The lot of `pump demo`: a vehicle that the pump has missed is found, reported again, and both agree."""

from __future__ import annotations

import asyncio

from pump.core.clock import Clock
from pump.simulation.stage import Passage
from pump.sinks.tuya.settings import TuyaSettings
from pump.sinks.tuya.simulator.demo import stage
from pump.sinks.tuya.sink import TuyaSink
from tests.unit.sinks.tuya.lot import event


async def test_a_hole_is_found_and_closed() -> None:
    clock = Clock()
    at = clock.now_ms() - 60_000
    at -= at % 10_000
    told: list[str] = []
    async with stage() as one:
        settings = TuyaSettings.model_validate(dict(one.sink))
        again: asyncio.Queue[int] = asyncio.Queue()
        playing = asyncio.create_task(one.play(told.append))
        for number in range(3):
            one.see(Passage("10000/1001", at + number, lambda number=number: again.put_nowait(number)))  # type: ignore[misc]
        one.see(Passage("10000/1002", at, lambda: None))
        one.see(Passage("elsewhere/1", at, lambda: None))
        sink = TuyaSink("tuya", settings, state=None, clock=clock, site="demo")
        async with sink:
            await sink.send([event(1, at), event(2, at + 1), event(3, at, camera="1002")])
            watching = asyncio.create_task(sink.watch())
            assert [await again.get() for _ in range(3)] == [0, 1, 2]
            assert told[0].startswith("a hole: the parking lot has counted 3 in from ")
            assert one.summary() == ("windows", "0 agreed, 1 holes found, 0 closed")
            watching.cancel()
            await asyncio.wait({watching})
            await sink.send([event(4, at + 2, arrived=clock.now_ms())])
            watching = asyncio.create_task(sink.watch())
            while not any(words.startswith("the hole is closed: ") for words in told):
                await asyncio.sleep(0.02)
            watching.cancel()
            playing.cancel()
            await asyncio.wait({watching, playing})
    head, words = one.summary()
    assert head == "windows"
    assert words.endswith("1 holes found, 1 closed")
    assert not words.startswith("0 agreed")
