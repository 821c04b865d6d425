"""The tuya sink in its delivery, with a real spool: health, switching off, restarts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from pump.core.record import State
from pump.delivery.cursor import Surroundings
from pump.delivery.delivery import Delivery
from pump.sinks.tuya.settings import TuyaSettings
from pump.sinks.tuya.simulator import ACCOUNT, Cloud, Lot
from pump.sinks.tuya.simulator.server import DEVICE
from pump.sinks.tuya.sink import TuyaSink
from pump.telemetry.health import Component
from tests.conformance.test_tuya_conformance import DayAfter
from tests.unit.delivery.test_delivery import Stage, running, stage


@asynccontextmanager
async def cloud(**lot: Any) -> AsyncIterator[Cloud]:
    async with Cloud(clock=DayAfter(), lots={DEVICE: Lot(**lot)}) as there:
        yield there


def delivery(on: Stage, there: Cloud, **keys: Any) -> tuple[Delivery, Component]:
    table = {**ACCOUNT, "type": "tuya", "host": there.url, "directions": {"gate": "in"}, "lag": "10ms", **keys}
    component = Component("sink lot", on.clock)

    def make(name: str, settings: Any, *, state: State | None, clock: Any, site: str) -> TuyaSink:
        return TuyaSink(name, settings, state=state, clock=DayAfter(), site=site)

    around = Surroundings(on.spool, on.clock, on.metrics, "testing", on._on_lost)
    return Delivery(around, make, "lot", TuyaSettings.model_validate(table), component), component


async def _until(condition: Any) -> None:
    while not condition():  # real sockets report to nobody
        await asyncio.sleep(0.01)


def _state(component: Component) -> str:
    return component.state


def _claimed(there: Cloud) -> int:
    return sum(total for (_, direction, _, _), total in there.lots[DEVICE].newest().items() if direction == 0)


async def test_a_cloud_that_goes_and_comes_makes_the_sink_down_and_up_and_nothing_is_held(tmp_path: Path) -> None:
    async with cloud(knows=False) as there, stage(tmp_path) as on:
        one, component = delivery(on, there)
        await there.go_away()
        async with running(one):
            await on.put(5)
            await _until(lambda: _state(component) == "down")
            assert "cannot be reached" in component.reason
            await on.put(5)
            await _until(lambda: one.position == on.spool.head)
            assert _state(component) == "down", "that events are counted does not make it up"
            await there.come_back()
            one.hurry()
            await _until(lambda: _claimed(there) == 10)
            await _until(lambda: _state(component) == "up")
        assert on.value("pump_sent_total", sink="lot") == 10
        assert on.value("pump_sink_retries_total", sink="lot", reason="unavailable") >= 1


async def test_a_jieshun_lot_is_switched_off_over_restarts_until_somebody_switches_it_on(tmp_path: Path) -> None:
    async with cloud(supported=False) as there:
        async with stage(tmp_path) as on:
            one, component = delivery(on, there)
            async with running(one):
                await on.put(3)
                await _until(lambda: one.shutoff.reason)
                assert "Jieshun" in one.shutoff.reason
                await on.put(3)
                one.stop()
            calls = sum(there.refusals.values())
            assert calls == 1
        async with stage(tmp_path) as on:
            one, component = delivery(on, there)
            async with running(one):
                await _until(lambda: component.state == "down")
                assert sum(there.refusals.values()) == calls, "not tried again"
                there.lots[DEVICE].supported = True
                await one.shutoff.turn_on()
                await _until(lambda: _claimed(there) == 6)


async def test_an_orderly_stop_does_not_wait_for_a_cloud_that_hangs(tmp_path: Path) -> None:
    async with cloud(knows=False) as there, stage(tmp_path) as on:
        one, _ = delivery(on, there, timeout="100s")
        there.stalled.clear()
        running_ = asyncio.create_task(one.run())
        await on.put(3)
        await _until(lambda: one.position == on.spool.head)
        one.stop()
        await running_
        there.stalled.set()


async def test_a_replay_counts_nothing_again_and_says_so(tmp_path: Path) -> None:
    async with cloud(knows=False) as there, stage(tmp_path) as on:
        one, _ = delivery(on, there)
        async with running(one):
            await on.put(8)
            await _until(lambda: _claimed(there) == 8)
            records = await on.spool.read(0)
            outcome = await one.resend_queue.deliver(records)
            assert (outcome.sent, outcome.duplicates) == (8, 8)
        assert on.value("pump_sink_duplicates_total", sink="lot") == 8


async def test_what_is_left_out_has_a_counter(tmp_path: Path) -> None:
    async with cloud(knows=False) as there, stage(tmp_path) as on:
        one, _ = delivery(on, there, directions={"other": "in"})
        async with running(one):
            await on.put(4)
            await _until(lambda: on.value("pump_sink_left_out_total", sink="lot", reason="no direction") == 4)
