"""What sources may rely on: one put, one commit; news, gaps and signs of life."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta, timezone

import pytest

from pump.core.errors import Unavailable
from pump.core.event import event_id
from pump.core.naming import Names
from pump.ingest.intake import Intake
from pump.spool import Receipt
from tests.unit.ingest.conftest import Site, passed, run, stored_events


def test_an_event_becomes_one_cloudevent_with_where_and_when(site: Site) -> None:
    async def main() -> None:
        async with site.intake() as (intake, spool):
            event = passed(5)
            event.subject = "camera/1"
            event.time = datetime(2026, 11, 20, 9, 5, tzinfo=timezone(timedelta(hours=2)))
            assert await intake.put(event) == Receipt(1, 0)
            (stored,) = await stored_events(spool)
            assert {key: value for key, value in stored.items() if key != "data"} == {
                "specversion": "1.0",
                "id": event.id,
                "source": "/north/teams",
                "type": "vehicle.passed",
                "subject": "camera/1",
                "time": "2026-11-20T07:05:00Z",
                "recordedtime": "2026-11-20T08:00:00Z",
                "datacontenttype": "application/json",
            }

    run(main)


def test_without_a_time_the_arrival_serves_and_the_event_says_so(site: Site) -> None:
    async def main() -> None:
        async with site.intake() as (intake, spool):
            event = passed()
            event.time = None
            await intake.put(event)
            (stored,) = await stored_events(spool)
            assert stored["time"] == stored["recordedtime"]
            assert stored["data"]["time_source"] == "received"

    run(main)


def test_state_goes_with_its_events_and_survives(site: Site) -> None:
    async def main() -> None:
        async with site.intake() as (intake, _):
            await intake.put(passed(), state={"queue/alarm": 7})
        async with site.intake() as (intake, _):
            assert intake.state("queue/") == {"queue/alarm": 7}

    run(main)


def test_news_of_a_source_that_flaps_while_nothing_is_stored_stay_few(site: Site) -> None:
    async def main() -> None:
        async with site.intake() as (intake, spool):
            for _ in range(1000):
                intake.down("away")
                intake.up()
            await intake.flush()
            told = await stored_events(spool)
            assert len(told) <= 100
            assert told[-1]["type"] == "pump.source.up"

    run(main)


def test_when_the_spool_refuses_put_raises_at_once_and_the_news_waits(site: Site) -> None:
    async def main() -> None:
        async with site.intake() as (intake, spool):
            intake.down("no route")
            spool._writer.refuse("the disk is full")
            with pytest.raises(Unavailable, match="the disk is full"):
                await intake.put(passed(1))
            assert await stored_events(spool) == []
            assert spool._writer.accept()
            await intake.put(passed(1))
            assert [event["type"] for event in await stored_events(spool)] == ["pump.source.down", "vehicle.passed"]

    run(main)


def test_up_and_down_are_told_once_each(site: Site) -> None:
    async def main() -> None:
        async with site.intake() as (intake, spool):
            for _ in range(3):
                intake.up()
            for _ in range(3):
                intake.down("the token was refused")
            intake.up()
            await intake.flush()
            assert [event["type"] for event in await stored_events(spool)] == [
                "pump.source.up", "pump.source.down", "pump.source.up",
            ]  # fmt: skip

    run(main)


def test_a_gap_ends_no_earlier_than_it_begins_though_the_clock_is_set_back(site: Site) -> None:
    async def main() -> None:
        async with site.intake() as (intake, spool):
            begin = site.clock.now()
            site.clock.advance(60)
            site.clock.jump(-3600)
            await intake.gap(begin, site.clock.now(), "the link was lost")
            await intake.gap(site.clock.now() - timedelta(seconds=5), site.clock.now(), "the link was lost again")
            back, forth = [event["data"] for event in await stored_events(spool)]
            # by the clock of now it was a minute long
            assert (back["from"], back["to"]) == ("2026-11-20T07:00:00.000Z", "2026-11-20T07:01:00.000Z")
            assert forth["from"] < forth["to"] == back["to"]

    run(main)


def test_the_same_gap_told_twice_is_one_event(site: Site) -> None:
    async def main() -> None:
        async with site.intake() as (intake, spool):
            begin = datetime(2026, 11, 20, 7, tzinfo=UTC)
            await intake.gap(begin, begin + timedelta(hours=1), "the subscription was lost", 4)
            await intake.gap(begin, begin + timedelta(hours=1), "the subscription was lost", 4)
            (stored,) = await stored_events(spool)
            data = stored["data"]
            assert (data["from"], data["to"]) == ("2026-11-20T07:00:00.000Z", "2026-11-20T08:00:00.000Z")
            assert (data["reason"], data["count"]) == ("the subscription was lost", 4)
            assert stored["source"] == "/north/teams"

    run(main)


def test_ids_of_the_pumps_own_events_carry_the_instance_for_ever(site: Site) -> None:
    async def main() -> None:
        async with site.intake() as (intake, spool):
            intake.up()
            await intake.flush()
        async with site.intake() as (intake, spool):
            intake.down("gone")
            await intake.flush()
            first, second = [event["id"].split("-")[0] for event in await stored_events(spool)]
            assert first == second
            assert len(first) == 12

    run(main)


def test_the_last_sign_of_life_is_stored_every_ten_seconds(site: Site) -> None:
    async def main() -> None:
        async with site.intake() as (intake, _):
            assert intake.last_activity is None
            intake.activity()
            site.clock.advance(9)
            intake.activity()  # too soon
        async with site.intake() as (intake, _):
            assert intake.last_activity == datetime(2026, 11, 20, 8, tzinfo=UTC)
            site.clock.advance(10)
            intake.activity()
        async with site.intake() as (intake, _):
            assert intake.last_activity == datetime(2026, 11, 20, 8, 0, 19, tzinfo=UTC)

    run(main)


def test_a_put_cancelled_while_it_encodes_stores_nothing_and_later_all(site: Site) -> None:
    async def main() -> None:
        async with site.intake() as (intake, spool):
            events = [passed(n % 60, raw=n) for n in range(500)]
            for n, event in enumerate(events):
                event.id = event_id(n)
            intake.up()
            put = asyncio.create_task(intake.put(*events))
            await asyncio.sleep(0)  # it has encoded a slice and let others run
            put.cancel()
            with pytest.raises(asyncio.CancelledError):
                await put
            await spool.flush()
            assert spool.head == 0
            assert await intake.put(*events) == Receipt(501, 0)  # the news of being up with them

    run(main)


def test_a_gap_that_the_spool_refuses_is_counted_once_it_is_stored(site: Site) -> None:
    async def main() -> None:
        async with site.intake() as (intake, spool):
            begin, end = site.clock.now() - timedelta(minutes=5), site.clock.now()
            spool._writer.refuse("the disk is full")
            for _ in range(3):
                with pytest.raises(Unavailable):
                    await intake.gap(begin, end, "the link was cut")
            assert site.value("pump_gaps_total", source="teams") == 0
            assert spool._writer.accept()
            await intake.gap(begin, end, "the link was cut")
            assert site.value("pump_gaps_total", source="teams") == 1

    run(main)


async def test_a_time_far_ahead_is_the_arrivals_and_one_behind_is_believed(site: Site) -> None:
    async with site.intake() as (intake, spool):
        now = site.clock.now()
        times = [
            now + timedelta(days=26_000),
            now + timedelta(minutes=11),
            now + timedelta(minutes=9),
            now - timedelta(9),
        ]
        events = [passed(number) for number in range(len(times))]
        ids = [event.id for event in events]
        for event, time in zip(events, times, strict=True):
            event.time = time
        await intake.put(*events)
        found = await stored_events(spool)
        assert [event["id"] for event in found] == ids
        assert [event["data"].get("time_source") for event in found] == ["received", "received", None, None]
        assert [datetime.fromisoformat(event["time"]) for event in found] == [now, now, *times[2:]]
        patient = Intake("other", spool=spool, site="north", clock=site.clock, metrics=site.metrics, health=site.health)
        patient.use_names(Names({}, timedelta(hours=1)))
        (later,) = (passed(9),)
        later.time = times[1]
        await patient.put(later)
        assert "time_source" not in (await stored_events(spool))[-1]["data"]
