from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from pump.spool import Spool, SpoolSettings, offline, schema
from pump.spool.tables import dead_letters as dead
from pump.telemetry.metrics import Metrics
from pump.testing import ManualClock
from pump.testing.records import record, rows


async def opened(folder: Path, clock: ManualClock | None = None) -> Spool:
    return await Spool.open(folder, SpoolSettings(), clock=clock or ManualClock(), metrics=Metrics())


async def test_they_are_listed_kept_over_a_restart_and_dropped(tmp_path: Path) -> None:
    spool = await opened(tmp_path)
    await spool.dead_letters.add("hook", [record(seq) for seq in range(1, 451)], "HTTP 400", 1)
    await spool.dead_letters.add("other", [record(7)], "HTTP 422", 3)
    await spool.close()
    spool = await opened(tmp_path)
    assert spool.dead_letters.counts == {"hook": 450, "other": 1}
    first = await spool.dead_letters.read(sink="hook")
    assert [letter.record for letter in first] == [record(seq) for seq in range(1, len(first) + 1)]
    assert (first[0].reason, first[0].attempts, first[0].sink) == ("HTTP 400", 1, "hook")
    [last] = await spool.dead_letters.read(after=450)
    assert (last.sink, last.record.seq, last.id) == ("other", 7, await spool.dead_letters.newest())
    assert len(list(offline.letters(tmp_path))) == 451
    assert [letter.id for letter in offline.letters(tmp_path, ids=[3, 451, 999])] == [3, 451]
    assert await spool.dead_letters.drop(ids=[1, 451]) == 2
    assert spool.dead_letters.counts == {"hook": 449, "other": 0}
    assert await spool.dead_letters.drop(sink="hook") == 449
    assert await spool.dead_letters.drop(sink="hook") == 0
    assert list(offline.letters(tmp_path)) == []
    await spool.close()


async def test_refused_again_the_reason_and_the_count_change(tmp_path: Path) -> None:
    clock = ManualClock()
    spool = await opened(tmp_path, clock)
    await spool.dead_letters.add("hook", [record(seq) for seq in range(1, 4)], "HTTP 400", 1)
    clock.advance(60)
    await spool.dead_letters.mark_refused_again({1: "HTTP 422", 3: "it's 'quoted'"})
    found = await spool.dead_letters.read()
    assert [(letter.reason, letter.attempts) for letter in found] == [
        ("HTTP 422", 2), ("HTTP 400", 1), ("it's 'quoted'", 2),
    ]  # fmt: skip
    assert found[0].at - found[1].at == 60_000
    await spool.close()


async def test_buried_again_it_is_still_one_letter_with_the_newest_reason(tmp_path: Path) -> None:
    clock = ManualClock()
    spool = await opened(tmp_path, clock)
    assert await spool.dead_letters.add("hook", [record(1), record(2)], {1: "HTTP 400", 2: "HTTP 413"}, 1) == 2
    await spool.close()
    spool = await opened(tmp_path, clock)
    clock.advance(60)
    assert await spool.dead_letters.add("hook", [record(1), record(3)], {1: "HTTP 422", 3: "HTTP 422"}, 2) == 1
    assert await spool.dead_letters.add("other", [record(1)], "HTTP 400", 1) == 1
    found = await spool.dead_letters.read(sink="hook")
    assert [(one.id, one.record.seq, one.reason, one.attempts) for one in found] == [
        (1, 1, "HTTP 422", 3), (2, 2, "HTTP 413", 1), (4, 3, "HTTP 422", 2),
    ]  # fmt: skip
    assert found[0].at - found[1].at == 60_000
    assert spool.dead_letters.counts == {"hook": 3, "other": 1}
    await spool.close()


def test_a_batch_of_letters_is_written_by_few_statements() -> None:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        schema.create(db)
        statements: list[str] = []
        db.set_trace_callback(statements.append)
        made = [record(seq) for seq in range(1, 501)]
        assert dead.add(
            db, sink="hook", records=made, reasons=dict.fromkeys(range(1, 501), "no"), attempts=1, at=0
        ).fresh
        assert sum("INSERT INTO dead" in statement for statement in statements) < 10
        more = [record(seq) for seq in range(400, 1600)]
        reasons = {seq: f"no {seq}" for seq in range(400, 1600)}
        assert dead.add(db, sink="hook", records=more, reasons=reasons, attempts=1, at=0).fresh == 1099
        assert db.execute("SELECT count(*), count(DISTINCT reason) FROM dead").fetchone() == (1599, 1201)


async def test_a_spool_of_the_former_version_gives_up_its_twins(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "spool.db", isolation_level=None)) as db:
        for table in schema.TABLES[: schema.TABLES.index(schema.ONE_LETTER)]:
            db.execute(table.replace(", crc INTEGER", ""))
        db.execute("PRAGMA user_version=1")
        for seq, reason in ((5, "HTTP 400"), (6, "HTTP 400"), (5, "HTTP 422")):
            db.execute(
                "INSERT INTO dead(sink, seq, source, type, severity, recorded, body, reason, attempts, at)"
                " VALUES ('hook', ?, 'gate', 'vehicle.passed', 0, 0, x'7b7d', ?, 1, 0)",
                (seq, reason),
            )

    for _ in range(2):
        spool = await opened(tmp_path)
        assert [(one.id, one.record.seq) for one in await spool.dead_letters.read()] == [(1, 5), (2, 6)]
        assert spool.dead_letters.counts == {"hook": 2}
        assert await spool.dead_letters.add("hook", [record(6)], "HTTP 400", 1) == 0
        await spool.close()


async def test_no_event_gets_the_number_of_a_letter(tmp_path: Path) -> None:
    spool = await opened(tmp_path)
    await spool.dead_letters.add("hook", [record(900)], "HTTP 400", 1)
    await spool.close()
    clock = ManualClock()
    spool = await opened(tmp_path, clock)
    await spool.append(rows(range(1, 2), clock), source="gate")
    assert [one.seq for one in await spool.read(0)] == [901]
    await spool.close()


async def test_where_a_time_begins_is_found(tmp_path: Path) -> None:
    clock = ManualClock()
    spool = await opened(tmp_path, clock)
    base = clock.now_ms()
    for batch in range(20):
        await spool.append(rows(range(batch * 100, batch * 100 + 100), clock), source="gate")
        clock.advance(1)
    for since, at_most in ((base - 1, 0), (base + 1, 100), (base + 5000, 500), (base + 19_000, 1900)):
        found = await spool.before(since)
        assert at_most - 100 < found <= at_most
        records = await spool.read(found, limit=5000, max_bytes=1 << 30)
        wanted = [one for one in await spool.read(0, limit=5000, max_bytes=1 << 30) if one.recorded >= since]
        assert [one for one in records if one.recorded >= since] == wanted
    assert await spool.before(base + 20_000) == 2000
    await spool.close()
