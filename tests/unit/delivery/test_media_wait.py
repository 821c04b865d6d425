"""A sink that waits for pictures: in order, for so long, and alone."""

from __future__ import annotations

from pathlib import Path

import orjson

from pump.spool import Link, Row
from pump.spool.tables.fetches import result_id
from pump.testing import ManualClock
from pump.testing.sinks import CollectingSinks
from tests.unit.delivery.test_delivery import Stage, run, running


def linked(clock: ManualClock, number: int, *, link: bool = True) -> Row:
    """An event with a picture that is being fetched, or without one."""
    event = {"id": f"e{number}", "data": {"media": [{"id": f"e{number}/0", "state": "remote"}] if link else []}}
    links = [Link(f"e{number}/0", "https://a.example/x.jpg", 0)] if link else []
    return Row("gate", "vehicle.passed", 0, clock.now_ms(), 0, f"e{number}", orjson.dumps(event), links=links)


def result(clock: ManualClock, number: int) -> Row:
    """The picture is there."""
    id_ = result_id(f"e{number}/0", stored=True)
    return Row("gate", "media.stored", 0, clock.now_ms(), 0, id_, b"{}", settles=f"e{number}/0")


async def test_an_event_waits_for_its_picture_in_order_and_other_sinks_do_not(tmp_path: Path) -> None:
    clock = ManualClock()

    async def test(on: Stage) -> None:
        on.spool.fetches.begin(lambda: None)
        waiting, other = CollectingSinks(), CollectingSinks()
        delivery, second = on.delivery(waiting, wait_media="5s"), on.delivery(other, "other")
        async with running(delivery, second):
            await on.spool.append(
                [linked(clock, 1, link=False), linked(clock, 2), linked(clock, 3, link=False)], source="gate"
            )
            await other.arrived(3)
            await waiting.arrived(1)
            assert waiting.sequence == [1]
            clock.advance(4.9)
            await on.spool.append([result(clock, 2)], source="gate")
            await waiting.arrived(4)
            assert waiting.sequence == other.sequence[:4] == [1, 2, 3, 4]
            delivery.stop()
            second.stop()

    await run(tmp_path, test, clock)


async def test_it_waits_no_longer_than_the_setting_says(tmp_path: Path) -> None:
    clock = ManualClock()

    async def test(on: Stage) -> None:
        on.spool.fetches.begin(lambda: None)
        sinks = CollectingSinks()
        delivery = on.delivery(sinks, wait_media="5s")
        async with running(delivery):
            await on.spool.append([linked(clock, 1), linked(clock, 2)], source="gate")
            await clock.sleeping()
            clock.advance(4.9)
            assert sinks.sequence == []
            clock.advance(0.2)
            await sinks.arrived(2)
            await on.spool.append([linked(clock, 3)], source="gate")
            await clock.sleeping()
            assert sinks.sequence == [1, 2]
            delivery.stop()  # a stop waits for no picture
            await sinks.arrived(3)

    await run(tmp_path, test, clock)


async def test_nothing_is_held_where_nobody_fetches(tmp_path: Path) -> None:
    clock = ManualClock()

    async def test(on: Stage) -> None:
        sinks = CollectingSinks()
        delivery = on.delivery(sinks, wait_media="5s")
        async with running(delivery):
            await on.spool.append([linked(clock, 1)], source="gate")
            await sinks.arrived(1)
            delivery.stop()

    await run(tmp_path, test, clock)
