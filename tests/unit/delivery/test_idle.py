"""A sink that watches its peer while there is nothing to send (`Sink.watch`)."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from pump.core.errors import Misconfigured, Unavailable
from pump.testing import ManualClock
from pump.testing.sinks import Deaf, ScriptedSinks, hang
from tests.unit.delivery.test_delivery import Stage, run, running


async def test_a_peer_that_is_lost_while_idle_makes_the_sink_down_until_it_is_found_again(tmp_path: Path) -> None:
    clock = ManualClock()

    async def test(on: Stage) -> None:
        back = asyncio.Event()

        async def found() -> None:
            await back.wait()

        sinks = ScriptedSinks(watching=[Unavailable("cut"), Unavailable("still away", retry_after=7.0), found])
        delivery = on.delivery(sinks)
        component = delivery._component
        async with running(delivery):
            await sinks.until(lambda: sinks.watched == 1)
            await clock.sleeping()
            assert (component.state, component.reason) == ("down", "cut")
            clock.advance(1.0)
            await sinks.until(lambda: sinks.watched == 2)
            await clock.sleeping()
            assert clock.deadline == clock.monotonic() + 7.0
            clock.advance(7.0)
            await sinks.until(lambda: sinks.watched == 3)
            assert component.state == "down"
            back.set()
            await sinks.until(lambda: sinks.watched == 4)
            assert component.reason == ""
            await on.spool.flush()
            assert on.cursor() == (0, {"watched": 3})  # what a watch says is stored
        assert len(sinks.states) == 1, "the same opening"
        assert on.value("pump_sink_retries_total", sink="out", reason="unavailable") == 2

    await run(tmp_path, test, clock)


async def test_what_comes_meanwhile_is_sent_and_never_beside_a_watch(tmp_path: Path) -> None:
    async def test(on: Stage) -> None:
        open_watches = 0

        async def watch() -> None:
            nonlocal open_watches
            open_watches += 1
            try:
                await hang()
            finally:
                open_watches -= 1

        async def send() -> None:
            assert open_watches == 0

        sinks = ScriptedSinks([send, send, send], watching=[watch, watch, watch, watch])
        delivery = on.delivery(sinks)
        async with running(delivery):
            for count in range(1, 4):
                await sinks.until(lambda count=count: sinks.watched == count)  # type: ignore[misc]
                await on.put(1)
                await sinks.arrived(count)
            await sinks.until(lambda: sinks.watched == 4)
            delivery.stop()
        assert sinks.sequence == [1, 2, 3]

    await run(tmp_path, test)


async def test_a_stop_ends_the_wait_for_a_peer_that_is_lost(tmp_path: Path) -> None:
    clock = ManualClock()

    async def test(on: Stage) -> None:
        sinks = ScriptedSinks(watching=[Unavailable("cut", retry_after=60.0)])
        delivery = on.delivery(sinks)
        task = asyncio.create_task(delivery.run())
        await clock.sleeping()
        delivery.stop()
        await task
        assert sinks.closed == 1

    await run(tmp_path, test, clock)


async def test_a_watch_that_only_a_person_can_mend_ends_the_opening(tmp_path: Path) -> None:
    clock = ManualClock()

    async def test(on: Stage) -> None:
        sinks = ScriptedSinks(watching=[Misconfigured("the password was changed", retry_after=9.0)])
        delivery = on.delivery(sinks)
        async with running(delivery):
            await sinks.until(lambda: sinks.closed == 1)
            await clock.sleeping()
            assert "password" in delivery._component.reason
            await on.put(1)
            assert not sinks.received, "what comes does not cut a person's wait short"
            clock.advance(9.0)
            await sinks.arrived(1)

    await run(tmp_path, test, clock)


@pytest.mark.parametrize("ends", [True, False])
async def test_a_watch_that_hears_no_cancellation_is_left_behind(tmp_path: Path, ends: bool) -> None:
    async def test(on: Stage) -> None:
        deaf = Deaf()
        sinks = ScriptedSinks(watching=[deaf])
        delivery = on.delivery(sinks, timeout="50ms")
        async with running(delivery):
            await sinks.until(lambda: sinks.watched == 1)
            await on.put(1)
            if ends:
                deaf.release()
            await sinks.arrived(1)
            deaf.release()

    await run(tmp_path, test)
