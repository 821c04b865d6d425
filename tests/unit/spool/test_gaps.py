"""The gap ledger: opened with its event, filled with the events that were missing, bounded, and saved from damage."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from pump.core.event import Event, Sighting
from pump.ingest.intake import Intake
from pump.spool import GapOpened, Spool, SpoolSettings, offline, schema
from pump.spool.damage import repair
from pump.spool.gaps.along import Along
from pump.spool.gaps.ledger import KEPT, GapChange
from pump.spool.gaps.sightings import Seen
from pump.telemetry.health import Health
from pump.telemetry.metrics import Metrics
from pump.testing import ManualClock
from tests.unit.spool.conftest import Opener, rows

HOUR = timedelta(hours=1)
PULSE = {"phase": "pulse", "severity": "info"}


def site(spool: Spool, clock: ManualClock, metrics: Metrics, name: str = "teams") -> Intake:
    return Intake(name, spool=spool, site="north", clock=clock, metrics=metrics, health=Health(clock))


def event(number: int) -> Event:
    return Event("vehicle.passed", f"v{number}", {"vendor": "hik-connect", "code": "1", "name": "Pass", **PULSE})


async def test_a_gap_opens_one_record_and_what_fills_it_is_counted(opened: Opener, metrics: Metrics) -> None:
    clock = ManualClock()
    async with opened(clock) as spool:
        intake = site(spool, clock, metrics)
        intake.gaps.fills()
        end = clock.now()
        for _ in range(2):  # reported twice, for the first answer was lost
            await intake.gap(end - HOUR, end, "the subscription was lost")
        [gap] = await intake.gaps.open()
        assert (gap.source, gap.state, gap.until - gap.since, gap.filled) == ("teams", "open", 3_600_000, 0)
        assert gap.reason == "the subscription was lost"
        assert spool.gaps.counts == {"teams": {"open": 1}}

        await intake.put(event(1))
        await intake.gaps.fill(gap, [event(1), event(2), event(3)], {"at": 7})
        await intake.gaps.fill(gap, [event(2), event(3)], {"at": 8}, notes="half")
        assert intake.state("at") == {"at": 8}
        [gap] = await intake.gaps.open()
        assert (gap.filled, gap.notes) == (2, "half"), "what was known, or comes again, fills nothing"
        await intake.gaps.fill(gap, [event(4)], become="filled")
        assert await intake.gaps.open() == []
        kept = await spool.gaps.get(gap.id)
        assert kept is not None
        assert (kept.filled, kept.state, kept.notes) == (3, "filled", "half")
        assert spool.gaps.counts == {"teams": {"filled": 1}}
        assert metrics.registry.get_sample_value("pump_gap_events_total", {"source": "teams"}) == 3
    async with opened(clock) as spool:
        assert spool.gaps.counts == {"teams": {"filled": 1}}


async def test_a_gap_that_nobody_can_fill_is_so_from_the_start(opened: Opener, metrics: Metrics) -> None:
    clock = ManualClock()
    async with opened(clock) as spool:
        intake, own = site(spool, clock, metrics), site(spool, clock, metrics, "pump")
        end = clock.now()
        await intake.gap(end - HOUR, end, "the camera ended the stream")
        facts = {"from": end - HOUR, "to": end}
        await own.put_own(own.own("pump.gap", "Gap", "warning", **facts, reason="removed", count=3, sink="hook"))
        await own.put_own(own.own("pump.gap", "Gap", "warning", **facts, reason="the spool was damaged", count=9))
        await own.put_own(own.own("pump.gap", "Gap", "warning", **{"from": end, "to": end}, reason="damaged", count=1))
        found = await spool.gaps.read()
        assert [(gap.source, gap.count) for gap in found] == [("teams", None), ("pump", 3), ("pump", 9), ("pump", 1)]
        assert {gap.state for gap in found} == {"unfillable"}
        assert all(gap.notes for gap in found)
        [lost] = await intake.gaps.lost(0)
        assert lost.reason == "the spool was damaged", "a source with a log may fill it"
        assert await intake.gaps.lost(lost.id) == []


async def test_a_record_that_no_event_opens_is_there_once(opened: Opener, metrics: Metrics) -> None:
    clock = ManualClock()
    async with opened(clock) as spool:
        intake = site(spool, clock, metrics)
        end = clock.now()
        first = await intake.gaps.note("by hand 1", end - HOUR, end, "asked for by hand")
        assert first == await intake.gaps.note("by hand 1", end - HOUR, end, "asked for by hand")
        other = await intake.gaps.note("by hand 2", end - HOUR, end, "asked for by hand")
        assert [first, other] == await intake.gaps.open()


async def test_the_ledger_is_bounded_and_open_records_stay_longest(opened: Opener) -> None:
    clock = ManualClock()

    def made(count: int, first: int, *, unfillable: bool) -> Along:
        gap = GapOpened(0, 1000, "away", clock.now_ms(), unfillable=unfillable)
        return Along(opened=[("door", f"{number}", gap) for number in range(first, first + count)])

    async with opened(clock) as spool:
        await spool.append((), source="teams", along=Along(opened=[("teams", "x", GapOpened(0, 1, "away", 0))]))
        await spool.append((), source="door", along=made(10, 0, unfillable=False))
        await spool.append((), source="door", along=made(KEPT + 50, 10, unfillable=True))
        assert spool.gaps.counts == {"teams": {"open": 1}, "door": {"open": 10, "unfillable": KEPT}}
        await spool.append((), source="door", along=made(KEPT, 5000, unfillable=True))
        assert spool.gaps.counts["door"] == {"open": 10, "unfillable": KEPT}
        await spool.append((), source="door", along=made(3 * KEPT, 9000, unfillable=False))
        assert spool.gaps.counts == {"teams": {"open": 1}, "door": {"open": 2 * KEPT}}


async def test_what_goes_along_with_a_refused_row_is_stored_with_its_successor(
    opened: Opener, metrics: Metrics
) -> None:
    """SQLite takes no number above 64 bits: the event is kept as unparsed, counts, and what goes along is done."""
    clock = ManualClock()
    async with opened(clock) as spool:
        intake = site(spool, clock, metrics)
        gap = await intake.gaps.note("x", clock.now() - HOUR, clock.now(), "away")
        bad = event(1)
        bad.dedup_time_ms = 1 << 70
        await intake.gaps.fill(gap, [bad, event(2)], {"at": 1}, become="filled")
        kept = await spool.gaps.get(gap.id)
        assert kept is not None
        assert (kept.state, kept.filled, intake.state("at")) == ("filled", 2, {"at": 1})


async def test_sightings_find_the_same_record_from_either_side(opened: Opener, metrics: Metrics) -> None:
    clock = ManualClock()
    one, other = Sighting(1_795_000_000, "abc", "combine"), Sighting(1_795_000_000, "abc", "alarmlog")
    async with opened(clock) as spool:
        intake = site(spool, clock, metrics)
        met = event(1)
        met.sightings = (one,)
        await intake.put(met)
        await intake.put(met)
        assert await intake.gaps.seen([other]) == [Seen(one, "v1")]
        await intake.gaps.fill(None, [], seen=[Seen(other, "l1", "v1")])
        assert {each.id: each.twin for each in await intake.gaps.seen([one])} == {"v1": "", "l1": "v1"}
        assert await site(spool, clock, metrics, "others").gaps.seen([one]) == []
        assert await intake.gaps.seen([Sighting(1_795_000_001, "abc", "combine")]) == []
    async with opened(clock) as spool:
        assert len(await site(spool, clock, metrics).gaps.seen([one])) == 2


async def test_sightings_go_with_the_keys(opened: Opener, metrics: Metrics, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pump.spool.retention.KEYS_KEPT", 20)
    monkeypatch.setattr("pump.spool.retention.KEYS_SECONDS", 0.0)
    clock = ManualClock()

    def sighted(first: int, count: int) -> list[Any]:
        made = rows(first, count, recorded=clock.now_ms())
        for number, row in enumerate(made, first):
            row.sightings = (Sighting(number, "key", "combine"),)
        return made

    async with opened(clock, retention="30d") as spool:
        intake = site(spool, clock, metrics)
        for first in range(0, 1500, 100):
            await spool.append(sighted(first, 100), source="teams")
        for _ in range(20):
            clock.advance(7 * 3600.0)
            await spool.append(sighted(1500, 1), source="teams")
        assert await intake.gaps.seen([Sighting(3, "key", "combine")]) == []
        assert await intake.gaps.seen([Sighting(1450, "key", "combine")]) == [] or spool.head < 1500
        assert len(await intake.gaps.seen([Sighting(1500, "key", "combine")])) == 1


async def test_a_salvage_keeps_the_ledger_and_the_sightings(tmp_path: Path) -> None:
    clock, metrics = ManualClock(), Metrics()
    settings = SpoolSettings()
    spool = await Spool.open(tmp_path, settings, clock=clock, metrics=metrics)
    intake = site(spool, clock, metrics)
    gap = await intake.gaps.note("x", clock.now() - HOUR, clock.now(), "away")
    await intake.gaps.fill(gap, [event(1)], seen=[Seen(Sighting(5, "k", "q"), "e")])
    await spool.close()
    repair.salvage(tmp_path / "spool.db", "a test", "20261120T080000Z", 1)
    spool = await Spool.open(tmp_path, settings, clock=clock, metrics=metrics)
    kept = await spool.gaps.get(gap.id)
    assert kept is not None
    assert (kept.filled, kept.state) == (1, "open")
    assert await site(spool, clock, metrics).gaps.seen([Sighting(5, "k", "q")]) == [Seen(Sighting(5, "k", "q"), "e")]
    await spool.close()


async def test_what_a_damaged_spool_has_lost_may_be_brought_again(tmp_path: Path) -> None:
    """Neither its own sightings nor those of its twins in a log say that it is there."""
    clock, metrics, settings = ManualClock(), Metrics(), SpoolSettings()
    spool = await Spool.open(tmp_path, settings, clock=clock, metrics=metrics)
    intake = site(spool, clock, metrics)
    for number in (0, 1, 2):
        met = event(number)
        met.sightings = (Sighting(number, "k", "combine"),)
        await intake.put(met)
        await intake.gaps.fill(None, (), seen=[Seen(Sighting(number, "k", "alarmlog"), f"l{number}", f"v{number}")])
    await spool.close()
    path = tmp_path / "spool.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("DELETE FROM blocks WHERE last = 2")
    repair.salvage(path, "a test", "20261120T080000Z", 3)
    spool = await Spool.open(tmp_path, settings, clock=clock, metrics=metrics)
    gaps = site(spool, clock, metrics).gaps
    assert await gaps.seen([Sighting(1, "k", "alarmlog")]) == []
    assert {each.id for each in await gaps.seen([Sighting(2, "k", "alarmlog")])} == {"v2", "l2"}
    await spool.close()


async def test_a_spool_of_the_former_version_is_no_damaged_one(tmp_path: Path) -> None:
    path = tmp_path / "spool.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        for table in schema.TABLES[: schema.TABLES.index(schema.ONE_LETTER) + 1]:
            db.execute(table.replace(", crc INTEGER", ""))
        db.execute("PRAGMA user_version=2")
    assert list(offline.gaps(tmp_path)) == []
    assert repair.examine(path) is None
    spool = await Spool.open(tmp_path, SpoolSettings(), clock=ManualClock(), metrics=Metrics())
    assert spool.repaired is None
    await spool.append((), source="teams", along=Along(opened=[("teams", "x", GapOpened(0, 1, "away", 0))]))
    assert [gap.event for gap in offline.gaps(tmp_path, source="teams", state="open")] == ["x"]
    assert list(offline.gaps(tmp_path, state="filled")) == []
    await spool.append((), source="teams", along=Along(changes=[GapChange(1, 5, "filled", "n" * 9999)]))
    [gap] = offline.gaps(tmp_path)
    assert (gap.state, gap.changed, len(gap.notes)) == ("filled", 5, 500)
    await spool.close()


async def test_a_page_of_another_table_reads_as_no_record(tmp_path: Path) -> None:
    """A file whose first page is lost gets a new one, by which an older file's blocks may stand where the ledger is."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        schema.create(db)
        row = (7, 1, 1_795_000_000_000, b"[]", b"{}", *[None] * 7)
        db.execute(f"INSERT OR IGNORE INTO gaps VALUES ({','.join('?' * len(row))})", row)
        assert db.execute("SELECT count(*) FROM gaps").fetchone() == (0,)


async def test_a_start_leaves_the_numbering_of_the_records_as_it_is(opened: Opener) -> None:
    """A record lost to damage must not give its number to another: what is noted of it would be that one's."""
    clock = ManualClock()
    opening = [("teams", f"g{n}", GapOpened(1, 2, "why", 3)) for n in range(3)]
    async with opened(clock) as spool:
        await spool.append([], source="teams", along=Along(opened=opening))
    path = spool.folder / "spool.db"
    with closing(sqlite3.connect(path)) as db:
        db.execute("DELETE FROM gaps WHERE id = 3")
        db.commit()
    async with opened(clock) as spool:
        await spool.append([], source="teams", along=Along(opened=[("teams", "g4", GapOpened(1, 2, "why", 3))]))
        newest = await spool.gaps.named("teams", "g4")
        assert newest is not None
        assert newest.id == 4
