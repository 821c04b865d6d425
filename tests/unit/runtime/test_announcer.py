"""The daemon's own events, over a real spool: in order, not lost while it refuses."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from pump.core.clock import Clock
from pump.core.errors import Unavailable
from pump.core.event import Event
from pump.ingest.intake import Intake
from pump.runtime.announcer import KEPT, Announcer
from pump.sink import Damage
from pump.spool import Receipt, Repaired, Spool, SpoolSettings
from pump.spool.damage import repair
from pump.telemetry.health import Health
from pump.telemetry.metrics import Metrics
from pump.testing import ManualClock
from pump.testing.records import record
from tests.unit.spool.conftest import rows


class Moody(Intake):
    """An intake whose spool can be told to refuse: a disk that is full to its last byte."""

    error: Exception | None = None

    async def put_own(self, event: Event, state: Mapping[str, Any] | None = None) -> Receipt:
        if self.error is not None:
            raise self.error
        return await super().put_own(event, state)


class Desk:
    """An announcer over a spool of its own."""

    def __init__(self, spool: Spool) -> None:
        self.spool = spool
        self.clock = Clock()
        self.metrics = Metrics()
        self.health = Health(self.clock)
        self.intake = self.make("pump")
        self.announcer = Announcer(self.intake, spool, clock=self.clock, metrics=self.metrics)

    def make(self, name: str) -> Moody:
        return Moody(name, spool=self.spool, site="garage", clock=self.clock, metrics=self.metrics, health=self.health)

    async def stored(self) -> list[dict[str, Any]]:
        return [json.loads(record.body) for record in await self.spool.read(0)]


async def desk(folder: Path, test: Callable[[Desk], Coroutine[Any, Any, None]]) -> None:
    spool = await Spool.open(folder, SpoolSettings(), clock=Clock(), metrics=Metrics())
    try:
        await test(Desk(spool))
    finally:
        await spool.close()


async def test_events_are_stored_in_order_and_carry_the_instance(tmp_path: Path) -> None:
    async def test(d: Desk) -> None:
        d.announcer.tell("pump.started", "Pump started", "info", version="1", previous=None)
        d.announcer.tell("pump.stopping", "Pump stopping", "info")
        await d.announcer.flush()
        first, second = await d.stored()
        assert (first["type"], second["type"]) == ("pump.started", "pump.stopping")
        assert first["source"] == "/garage/pump"
        assert first["data"]["version"] == "1"
        assert "previous" not in first["data"]
        instance = d.spool.state("pump")["instance"]
        assert first["id"].startswith(instance)
        assert first["id"] != second["id"]

    await desk(tmp_path, test)


async def test_what_the_spool_refuses_waits_and_keeps_its_order(tmp_path: Path) -> None:
    async def test(d: Desk) -> None:
        d.intake.error = Unavailable("the disk is full")
        for number in range(3):
            d.announcer.tell("pump.stopping", "Pump stopping", "info", number=number)
        await d.announcer.flush()
        assert await d.stored() == []
        d.intake.error = None
        await d.announcer.flush()
        await d.announcer.flush()
        assert [event["data"]["number"] for event in await d.stored()] == [0, 1, 2]

    await desk(tmp_path, test)


async def test_what_waits_is_bounded_and_told(tmp_path: Path) -> None:
    async def test(d: Desk) -> None:
        with capture_logs() as logs:
            for number in range(KEPT + 1):
                d.announcer.tell("pump.stopping", "Pump stopping", "info", number=number)
        assert [line["event"] for line in logs] == [
            "An event of the daemon's own is given up, for the spool takes none"
        ]

    await desk(tmp_path, test)


async def test_an_event_that_cannot_be_stored_at_all_keeps_nobody_waiting(tmp_path: Path) -> None:
    async def test(d: Desk) -> None:
        d.announcer.tell("pump.started", "Pump started", "info")
        d.announcer.tell("pump.stopping", "Pump stopping", "info")
        d.intake.error = RuntimeError("a bug")
        with pytest.raises(RuntimeError):
            await d.announcer.flush()
        d.intake.error = None
        await d.announcer.flush()
        assert [event["type"] for event in await d.stored()] == ["pump.stopping"]

    await desk(tmp_path, test)


async def test_a_sources_news_are_stored_without_a_put(tmp_path: Path) -> None:
    async def test(d: Desk) -> None:
        teams = d.make("teams")
        d.announcer.carry(teams)
        teams.up()
        teams.down("no route")
        await d.announcer.flush()
        assert [(event["source"], event["type"]) for event in await d.stored()] == [
            ("/garage/teams", "pump.source.up"),
            ("/garage/teams", "pump.source.down"),
        ]

    await desk(tmp_path, test)


async def _damage(folder: Path, found: Repaired) -> None:
    """Leave a spool with two events whose bodies are wrong, and the note of an earlier repair."""
    spool = await Spool.open(folder, SpoolSettings(), clock=Clock(), metrics=Metrics())
    await spool.append(rows(0, 2), source="teams")
    await spool._writer.run(lambda db: db.execute("UPDATE blocks SET bodies = zeroblob(length(bodies))").fetchone())
    await spool._writer.run(partial(repair.note, found=found))
    await spool.close()


async def test_dead_letters_that_went_for_want_of_room_are_an_event(tmp_path: Path) -> None:
    async def test(d: Desk) -> None:
        d.spool._retention._dead._share = 5_000
        await d.spool.dead_letters.add(
            "hook", [record(seq)._replace(body=bytes(1000)) for seq in range(1, 11)], "no", 1
        )
        async with asyncio.timeout(60):
            while not d.announcer._waiting:
                await d.spool.flush()
        await d.announcer.flush()
        [event] = await d.stored()
        assert event["type"] == "pump.dead.evicted"
        facts = {name: event["data"][name] for name in ("sink", "count", "bytes", "severity")}
        gone = 10 - d.spool.dead_letters.counts["hook"]
        assert facts == {"sink": "hook", "count": gone, "bytes": gone * 1098, "severity": "warning"}

    await desk(tmp_path, test)


async def test_what_the_spool_finds_is_told(tmp_path: Path) -> None:
    since = datetime(2026, 11, 20, 8, tzinfo=UTC)
    found = Repaired("a page is torn", 7, 100, "spool.damaged-1.db", int(since.timestamp() * 1000))
    await _damage(tmp_path, found)

    async def test(d: Desk) -> None:
        await d.announcer.flush()
        await d.stored()  # the reader comes upon what is damaged
        await d.announcer.flush()
        repaired, gap, damaged, another = [(event["type"], event["data"]) for event in await d.stored()]
        assert repaired[0] == damaged[0] == "pump.spool.repaired"
        assert (repaired[1]["lost"], repaired[1]["carried"]) == (7, 100)
        assert gap[0] == another[0] == "pump.gap"
        assert (gap[1]["from"], gap[1]["count"]) == ("2026-11-20T08:00:00Z", 7)
        assert gap[1]["to"] > gap[1]["from"]
        assert another[1]["count"] == 2
        assert d.metrics.registry.get_sample_value("pump_gaps_total", {"source": "pump"})

    await desk(tmp_path, test)

    async def at_the_next_start(d: Desk) -> None:
        await d.announcer.flush()
        types = [event["type"] for event in await d.stored()]
        assert types == ["pump.spool.repaired", "pump.gap"] * 2, "an earlier repair is told once"

    await desk(tmp_path, at_the_next_start)


async def test_a_gap_ends_no_earlier_than_it_begins_though_the_clock_is_set_back(tmp_path: Path) -> None:
    async def test(d: Desk) -> None:
        clock = ManualClock()
        announcer = Announcer(d.intake, d.spool, clock=clock, metrics=d.metrics)
        begin = clock.now()
        clock.jump(-7200)
        announcer.gap(begin, "the spool was damaged", 3)
        await announcer.flush()
        [gap] = await d.stored()
        assert gap["data"]["from"] == gap["data"]["to"] == "2026-11-20T06:00:00Z"

    await desk(tmp_path, test)


async def test_what_a_sink_finds_damaged_is_an_event_and_a_gap_of_that_sink(tmp_path: Path) -> None:
    async def test(d: Desk) -> None:
        d.announcer.sink_damaged("archive", Damage("a page is torn", 3, 97, "archive.db.damaged-1"))
        d.announcer.sink_damaged("archive", Damage("it is empty", 0, 0, ""))
        await d.announcer.flush()
        repaired, gap, other = [(event["type"], event["data"]) for event in await d.stored()]
        assert repaired[0] == other[0] == "pump.sink.repaired"
        assert [repaired[1][key] for key in ("sink", "lost", "aside")] == ["archive", 3, "archive.db.damaged-1"]
        assert (gap[0], gap[1]["sink"], gap[1]["count"]) == ("pump.gap", "archive", 3)
        assert "aside" not in other[1]

    await desk(tmp_path, test)
