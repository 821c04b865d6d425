"""What sources may rely on: one put, one commit; what is strange is kept in another form, never dropped in silence."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import orjson
import pytest

from pump.core.errors import Unavailable
from pump.core.event import Event, Unparsed, event_id
from pump.ingest.encoding import LARGEST
from pump.ingest.intake import Intake
from pump.spool import Receipt, Spool, SpoolSettings
from pump.telemetry.health import Health
from pump.telemetry.metrics import Metrics
from pump.testing import ManualClock


class _Site:
    """A spool with one source's intake on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = ManualClock()
        self.metrics = Metrics()
        self.health = Health(self.clock)

    @asynccontextmanager
    async def intake(self, name: str = "teams", **settings: Any) -> AsyncIterator[tuple[Intake, Spool]]:
        spool = await Spool.open(
            self.folder, SpoolSettings.model_validate(settings), clock=self.clock, metrics=self.metrics
        )
        try:
            yield (
                Intake(name, spool=spool, site="north", clock=self.clock, metrics=self.metrics, health=self.health),
                spool,
            )
        finally:
            await spool.close()

    def value(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(name, labels) or 0.0


@pytest.fixture
def site(tmp_path: Path) -> _Site:
    return _Site(tmp_path)


def _event(n: int = 1, **data: Any) -> Event:
    facts = {"vendor": "test", "code": "1", "name": "Pass", "phase": "pulse", "severity": "info", **data}
    return Event("vehicle.passed", event_id("test", n), facts, time=datetime(2026, 11, 20, 9, n, tzinfo=UTC))


async def _stored(spool: Spool) -> list[dict[str, Any]]:
    return [orjson.loads(record.body) for record in await spool.read(0)]


def _run(main: Callable[[], Awaitable[None]]) -> None:
    async def wrapped() -> None:
        await main()

    asyncio.run(wrapped())


def test_an_event_becomes_one_cloudevent_with_where_and_when(site: _Site) -> None:
    async def main() -> None:
        async with site.intake() as (intake, spool):
            event = _event(5)
            event.subject = "camera/1"
            event.time = datetime(2026, 11, 20, 11, 5, tzinfo=timezone(timedelta(hours=2)))
            assert await intake.put(event) == Receipt(1, 0)
            (stored,) = await _stored(spool)
            assert {key: value for key, value in stored.items() if key != "data"} == {
                "specversion": "1.0",
                "id": event.id,
                "source": "/north/teams",
                "type": "vehicle.passed",
                "subject": "camera/1",
                "time": "2026-11-20T09:05:00Z",
                "recordedtime": "2026-11-20T08:00:00Z",
                "datacontenttype": "application/json",
            }

    _run(main)


def test_without_a_time_the_arrival_serves_and_the_event_says_so(site: _Site) -> None:
    async def main() -> None:
        async with site.intake() as (intake, spool):
            event = _event()
            event.time = None
            await intake.put(event)
            (stored,) = await _stored(spool)
            assert stored["time"] == stored["recordedtime"]
            assert stored["data"]["time_source"] == "received"

    _run(main)


def test_state_goes_with_its_events_and_survives(site: _Site) -> None:
    async def main() -> None:
        async with site.intake() as (intake, _):
            await intake.put(_event(), state={"queue/alarm": 7})
        async with site.intake() as (intake, _):
            assert intake.state("queue/") == {"queue/alarm": 7}

    _run(main)


@pytest.mark.parametrize(
    ("raw", "key", "wanted"),
    [
        (b"<html>", "raw", "<html>"),
        (b"\xff\x00", "raw_base64", base64.b64encode(b"\xff\x00").decode()),
        ({"guid": 5}, "raw", {"guid": 5}),
        (None, "raw", None),
    ],
)
def test_what_cannot_be_parsed_is_kept_whole_and_its_redelivery_is_a_duplicate(
    site: _Site, raw: Any, key: str, wanted: Any
) -> None:
    async def main() -> None:
        async with site.intake() as (intake, spool):
            assert await intake.unparsed(raw, "no object") == Receipt(1, 0, 1)
            assert await intake.unparsed(raw, "no object") == Receipt(0, 1)
            (stored,) = await _stored(spool)
            assert stored["type"] == "pump.record.unparsed"
            assert stored["data"]["error"] == "no object"
            assert stored["data"][key] == wanted
            assert site.value("pump_unparsed_total", source="teams") == 1

    _run(main)


def test_an_event_that_json_cannot_hold_is_kept_as_unparsed_and_its_neighbours_flow(site: _Site) -> None:
    async def main() -> None:
        async with site.intake() as (intake, spool):
            receipt = await intake.put(_event(1), _event(2, raw={"plate": "A\ud800"}), _event(3))
            assert receipt == Receipt(3, 0, 1)
            types = [event["type"] for event in await _stored(spool)]
            assert types == ["vehicle.passed", "pump.record.unparsed", "vehicle.passed"]

    _run(main)


def test_what_the_spool_cannot_hold_is_kept_once_however_often_it_comes(site: _Site) -> None:
    async def main() -> None:
        async with site.intake() as (intake, spool):
            for _ in range(3):
                huge = _event(1)
                huge.dedup_time_ms = 1 << 70
                receipt = await intake.put(huge, _event(2), state={"page": 1})
                site.clock.advance(1.0)
            assert receipt == Receipt(0, 2)
            types = sorted(event["type"] for event in await _stored(spool))
            assert types == ["pump.record.unparsed", "vehicle.passed"]
            assert intake.state()["page"] == 1

    _run(main)


def test_a_time_at_the_edge_of_the_calendar_harms_no_neighbour(site: _Site) -> None:
    async def main() -> None:
        async with site.intake() as (intake, spool):
            edge = _event(1)
            edge.time = datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=5)))
            await intake.put(edge, _event(2))
            types = sorted(event["type"] for event in await _stored(spool))
            assert types == ["pump.record.unparsed", "vehicle.passed"]

    _run(main)


def test_news_of_a_source_that_flaps_while_nothing_is_stored_stay_few(site: _Site) -> None:
    async def main() -> None:
        async with site.intake() as (intake, spool):
            for _ in range(1000):
                intake.down("away")
                intake.up()
            await intake.flush()
            told = await _stored(spool)
            assert len(told) <= 100
            assert told[-1]["type"] == "pump.source.up"

    _run(main)


@pytest.mark.parametrize("depth", [300, 1000, 10_000])
def test_a_record_nested_too_deeply_for_json_is_kept_as_text(site: _Site, depth: int) -> None:
    async def main() -> None:
        async with site.intake() as (intake, spool):
            deep: list[Any] = []
            for _ in range(depth - 1):
                deep = [deep]
            await intake.put(_event(1, raw=deep), Unparsed(deep, "too deep"), _event(2))
            stored = await _stored(spool)
            assert [event["type"].split(".")[0] for event in stored] == ["pump", "pump", "vehicle"]
            assert all("[" * depth in event["data"]["raw"] for event in stored[:2])

    _run(main)


def test_a_large_raw_goes_to_media_and_the_event_stays_small(site: _Site) -> None:
    async def main() -> None:
        async with site.intake() as (intake, spool):
            raw = {"picture": "x" * (LARGEST * 2)}
            await intake.put(_event(1, raw=raw))
            (stored,) = await _stored(spool)
            (media,) = stored["data"]["media"]
            assert stored["data"]["raw"] == {"$media": media["id"]}
            kept = (site.folder / "media" / media["path"]).read_bytes()
            assert orjson.loads(kept) == raw
            assert media["bytes"] == len(kept)

    _run(main)


def test_beyond_its_limit_strange_records_are_counted_and_sampled(site: _Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pump.ingest.encoding.QUARANTINE_LIMIT", 10_000)

    async def main() -> None:
        async with site.intake() as (intake, spool):
            for n in range(30):
                await intake.unparsed(str(n) * 1000, "strange")
            kept = await _stored(spool)
            sampled = [event for event in kept if "sampled" in event["data"]]
            whole = len(kept) - len(sampled)
            assert 4 <= whole <= 9  # each is 1 to 2 kB with its envelope; 10 kB may be kept
            assert len(sampled) == 1
            assert len(sampled[0]["data"]["raw"]) <= 1024
            assert site.value("pump_unparsed_dropped_total", source="teams") == 30 - whole
            site.clock.advance(61)
            await intake.unparsed("later" * 500, "strange")
            last = (await _stored(spool))[-1]
            assert last["data"]["sampled"] == 30 - whole  # all since the first sample, itself included
            # Redeliveries of what was kept do not use the limit up.
            before = spool.quarantined("teams")
            await intake.unparsed("0" * 1000, "strange")
            assert spool.quarantined("teams") == before

    _run(main)


def test_when_the_spool_refuses_put_raises_at_once_and_the_news_waits(site: _Site) -> None:
    async def main() -> None:
        async with site.intake() as (intake, spool):
            intake.down("no route")
            spool._writer.refuse("the disk is full")
            with pytest.raises(Unavailable, match="the disk is full"):
                await intake.put(_event(1))
            assert await _stored(spool) == []
            assert spool._writer.accept()
            await intake.put(_event(1))
            assert [event["type"] for event in await _stored(spool)] == ["pump.source.down", "vehicle.passed"]

    _run(main)


def test_up_and_down_are_told_once_each(site: _Site) -> None:
    async def main() -> None:
        async with site.intake() as (intake, spool):
            for _ in range(3):
                intake.up()
            for _ in range(3):
                intake.down("the token was refused")
            intake.up()
            await intake.flush()
            assert [event["type"] for event in await _stored(spool)] == [
                "pump.source.up", "pump.source.down", "pump.source.up",
            ]  # fmt: skip

    _run(main)


def test_a_gap_ends_no_earlier_than_it_begins_though_the_clock_is_set_back(site: _Site) -> None:
    async def main() -> None:
        async with site.intake() as (intake, spool):
            begin = site.clock.now()
            site.clock.advance(60)
            site.clock.jump(-3600)
            await intake.gap(begin, site.clock.now(), "the link was lost")
            await intake.gap(site.clock.now() - timedelta(seconds=5), site.clock.now(), "the link was lost again")
            back, forth = [event["data"] for event in await _stored(spool)]
            # by the clock of now it was a minute long
            assert (back["from"], back["to"]) == ("2026-11-20T07:00:00.000Z", "2026-11-20T07:01:00.000Z")
            assert forth["from"] < forth["to"] == back["to"]

    _run(main)


def test_the_same_gap_told_twice_is_one_event(site: _Site) -> None:
    async def main() -> None:
        async with site.intake() as (intake, spool):
            begin = datetime(2026, 11, 20, 7, tzinfo=UTC)
            await intake.gap(begin, begin + timedelta(hours=1), "the subscription was lost", 4)
            await intake.gap(begin, begin + timedelta(hours=1), "the subscription was lost", 4)
            (stored,) = await _stored(spool)
            data = stored["data"]
            assert (data["from"], data["to"]) == ("2026-11-20T07:00:00.000Z", "2026-11-20T08:00:00.000Z")
            assert (data["reason"], data["count"]) == ("the subscription was lost", 4)
            assert stored["source"] == "/north/teams"

    _run(main)


def test_ids_of_the_pumps_own_events_carry_the_instance_for_ever(site: _Site) -> None:
    async def main() -> None:
        async with site.intake() as (intake, spool):
            intake.up()
            await intake.flush()
        async with site.intake() as (intake, spool):
            intake.down("gone")
            await intake.flush()
            first, second = [event["id"].split("-")[0] for event in await _stored(spool)]
            assert first == second
            assert len(first) == 12

    _run(main)


def test_the_last_sign_of_life_is_stored_every_ten_seconds(site: _Site) -> None:
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

    _run(main)


def test_a_put_cancelled_while_it_encodes_stores_nothing_and_later_all(site: _Site) -> None:
    async def main() -> None:
        async with site.intake() as (intake, spool):
            events = [_event(n % 60, raw=n) for n in range(500)]
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

    _run(main)


def test_a_gap_that_the_spool_refuses_is_counted_once_it_is_stored(site: _Site) -> None:
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

    _run(main)
