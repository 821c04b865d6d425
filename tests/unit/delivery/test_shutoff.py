"""A sink whose receiver wants no more is off: over restarts, for this receiver alone, and without filling the spool."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from pump.core.errors import Gone, Refusal, Unavailable
from pump.core.settings import SinkSettings
from pump.delivery.cursor import Surroundings
from pump.delivery.delivery import Delivery
from pump.telemetry.health import Component
from pump.testing import ManualClock
from pump.testing.records import rows
from pump.testing.sinks import CollectingSinks, ScriptedSinks
from tests.unit.delivery.test_delivery import Stage, run, running
from tests.unit.ops.test_resend import Told, resend

DAY = 86400.0


class Addressed(SinkSettings):
    url: str = "https://example.com/a"

    def endpoint_digest(self) -> str:
        return self.url


def delivery(on: Stage, sinks: ScriptedSinks, url: str = "https://example.com/a", **keys: Any) -> Delivery:
    async def lost(sink: str, first: int, last: int, count: int) -> None:
        on.lost.append((sink, first, last, count))

    return Delivery(
        Surroundings(on.spool, on.clock, on.metrics, "testing", lost, grace=0.05),
        sinks,
        "out",
        Addressed(type="test", url=url, **keys),
        Component("sink out", on.clock),
    )


async def until_off(on: Stage, one: Delivery) -> None:
    while not one.shutoff.reason or one._component.state != "down":
        await asyncio.sleep(0)


async def switched_off(on: Stage) -> None:
    """A life in which the receiver takes two events and wants no more."""
    await on.put(5)
    one = delivery(on, ScriptedSinks([None, Gone("example.com answers 410 Gone")]), batch_size=2)
    with capture_logs() as logs:
        async with running(one):
            await until_off(on, one)
            assert "example.com answers 410 Gone" in one._component.reason
            assert "pump enable out" in one._component.reason
            assert on.value("pump_sink_off", sink="out") == 1
            assert on.value("pump_sink_retries_total", sink="out", reason="gone") == 1
            assert one.delay_s == 0, "nothing is in hand"
    assert [entry["sink"] for entry in logs if entry["event"].startswith("A sink is switched off")] == ["out"]
    assert on.cursor() == (2, {"received": 2})


async def test_off_outlives_a_restart_and_nothing_is_opened(tmp_path: Path) -> None:
    async def again(on: Stage) -> None:
        sinks = CollectingSinks()
        one = delivery(on, sinks)
        async with running(one):
            await until_off(on, one)
            await on.put(1)
            one.stop()
            with pytest.raises(Unavailable, match="stops"):
                await one.resend_queue.deliver(await on.spool.read(0))
        assert sinks.states == []
        assert on.value("pump_sink_off", sink="out") == 1

    await run(tmp_path, switched_off)
    await run(tmp_path, again)
    await run(tmp_path, again)


async def test_another_address_finds_it_on(tmp_path: Path) -> None:
    async def moved(on: Stage) -> None:
        sinks = CollectingSinks()
        async with running(delivery(on, sinks, "https://example.com/b")):
            await sinks.arrived(3)
        assert sinks.sequence == [3, 4, 5]
        assert on.value("pump_sink_off", sink="out") == 0

    async def and_back(on: Stage) -> None:
        sinks = CollectingSinks()
        one = delivery(on, sinks)
        on.stored = 5
        await on.put(1)
        async with running(one):
            await sinks.arrived(1)
        assert not one.shutoff.reason, "it was forgotten with the change"

    await run(tmp_path, switched_off)
    await run(tmp_path, moved)
    await run(tmp_path, and_back)


async def test_a_person_switches_it_on_and_it_goes_on_where_it_was(tmp_path: Path) -> None:
    async def asked(on: Stage) -> None:
        sinks = CollectingSinks()
        one = delivery(on, sinks)
        async with running(one):
            await until_off(on, one)
            commands = resend(on, one).commands()
            with pytest.raises(Refusal, match="switched off"):
                await commands["replay"]({"sink": "out"}, Told())
            await on.spool.dead_letters.add("out", await on.spool.read(0, limit=1), "HTTP 400", 1)
            assert await commands["dead.retry"]({"all": True}, Told()) == {"sent": 0, "refused": 0, "left": ["out"]}
            assert await commands["sink.enable"]({"sink": "out"}, Told()) == {"behind": 3}
            await sinks.arrived(3)
            assert sinks.sequence == [3, 4, 5]
            while one._component.state != "up":
                await asyncio.sleep(0)
            assert await commands["replay"]({"sink": "out"}, Told()) == {"looked": 5, "sent": 5, "refused": 0}
            for wrong in ({"sink": "out"}, {"sink": "nobody"}, {}):
                with pytest.raises(Refusal):
                    await commands["sink.enable"](wrong, Told())
        assert on.value("pump_sink_off", sink="out") == 0

    async def still_on(on: Stage) -> None:
        one = delivery(on, CollectingSinks())
        one.stop()
        await one.run()
        assert not one.shutoff.reason

    await run(tmp_path, switched_off)
    await run(tmp_path, asked)
    await run(tmp_path, still_on)


async def test_off_again_in_the_same_life(tmp_path: Path) -> None:
    async def test(on: Stage) -> None:
        await on.put(2)
        sinks = ScriptedSinks([Gone("410"), Gone("410")])
        one = delivery(on, sinks)
        async with running(one):
            for _ in range(2):
                await until_off(on, one)
                await one.shutoff.turn_on()
            await sinks.arrived(2)
        assert sinks.sequence == [1, 2]

    await run(tmp_path, test)


async def test_off_it_holds_nothing_and_what_went_meanwhile_is_told_when_it_is_on(tmp_path: Path) -> None:
    clock = ManualClock()

    async def test(on: Stage) -> None:
        on.spool.set_holders({"out": True})
        sinks = ScriptedSinks([Gone("example.com answers 410 Gone")])
        one = delivery(on, sinks)
        await on.put(10)
        async with running(one):
            await until_off(on, one)
            clock.advance(8 * DAY)
            while on.spool.floor < 10:
                on.spool.remember("pump", "tick", 1)
                await on.spool.flush()
            await on.spool.append(rows(range(11, 13), clock), source="gate")
            await one.shutoff.turn_on()
            await sinks.arrived(2)
            assert on.spool._state.holder() == "out", "on, it holds again"
        assert sinks.sequence == [11, 12]
        assert on.lost == [("out", 1, 10, 10)]
        assert on.value("pump_lost_total", sink="out") == 10

    await run(tmp_path, test, clock)
