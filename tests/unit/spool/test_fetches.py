"""Links that wait: with their event on disk, gone with the event that says what became of them."""

from __future__ import annotations

import sqlite3
import tracemalloc
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from pump.core.clock import Clock
from pump.ingest.fetch.schedule import Schedule
from pump.spool import Fetch, Link, Row, Spool, SpoolSettings, schema, statements
from pump.spool.damage.checks import with_checksum
from pump.spool.tables import fetches
from pump.spool.tables.fetches import Changes, FetchQueue, result_id
from pump.telemetry.metrics import Metrics
from tests.unit.spool.conftest import HAPPENED, Opener, rows


def linked(number: int, url: str = "https://a.example/x.jpg", count: int = 1) -> Row:
    """A row with links."""
    (row,) = rows(number, 1)
    links = [Link(f"{row.id}/{n}", url, 1000 + n, {"kind": "picture"}) for n in range(count)]
    return replace(row, links=links)


def result(number: int, medium: int = 0, *, stored: bool = True) -> Row:
    """The row that says what became of a medium of it."""
    name = f"id-{number}/{medium}"
    lead = HAPPENED + number
    return Row("teams", "media.stored", 0, Clock().now_ms(), lead, result_id(name, stored=stored), b"{}", settles=name)


async def test_a_link_waits_over_restarts_until_its_result_is_stored(opened: Opener) -> None:
    async with opened() as spool:
        await spool.append([linked(1, count=2), *rows(2, 1)], source="teams")
        assert [one.medium for one in spool.fetches.take()] == ["id-1/0", "id-1/1"]
        assert spool.fetches.take() == []
    async with opened() as spool:
        first, second = spool.fetches.take()
        assert first == Fetch(
            "teams", "id-1/0", "id-1", HAPPENED + 1, first.recorded, 1000, "https://a.example/x.jpg",
            b'{"kind":"picture"}',
        )  # fmt: skip
        assert spool.fetches.waits("teams", "id-1")
        await spool.append([result(1)], source="teams")
        assert spool.fetches.waits("teams", "id-1")
        await spool.append([result(1, 1, stored=False)], source="teams")
        assert not spool.fetches.waits("teams", "id-1")
        assert not spool.fetches.waits("teams", "id-2")
    async with opened() as spool:
        assert len(spool.fetches) == 0
        assert second.medium == "id-1/1"


async def test_a_link_that_comes_again_takes_the_older_s_place_unless_its_picture_is_there(opened: Opener) -> None:
    async with opened() as spool:
        await spool.append([linked(1)], source="teams")
        receipt = await spool.append([linked(1, "https://a.example/afresh.jpg")], source="teams")
        assert receipt.duplicates == 1
        (one,) = spool.fetches.take()
        assert one.url == "https://a.example/afresh.jpg"
        await spool.append([result(1, stored=False)], source="teams")
        await spool.append([linked(1)], source="teams")  # it was given up: another chance
        assert len(spool.fetches.take()) == 1
        await spool.append([result(1)], source="teams")
        await spool.append([linked(1)], source="teams")
        assert len(spool.fetches) == 0
    async with opened() as spool:
        assert len(spool.fetches) == 0


async def test_of_two_links_of_one_name_the_later_waits_here_and_on_disk(opened: Opener) -> None:
    async with opened() as spool:
        # In one commit, of one event twice; and of an event whose key is no longer known.
        await spool.append([linked(1), linked(1, "https://a.example/2.jpg"), linked(2)], source="teams")
        await spool.append([replace(linked(2, "https://a.example/3.jpg"), dedup_time_ms=7)], source="teams")
        assert [one.url[-5:] for one in spool.fetches.take()] == ["2.jpg", "3.jpg"]
    async with opened() as spool:
        assert sorted(one.url[-5:] for one in spool.fetches.take()) == ["2.jpg", "3.jpg"]


@pytest.mark.parametrize("count", [1, 30, 500])
def test_links_of_new_events_are_stored_without_a_statement_s_own_journal(count: int) -> None:
    """A statement of many rows that may fail in their midst has SQLite copy each page that it is going to change."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        schema.create_empty(with_checksum(db))
        given: list[str] = []
        db.set_trace_callback(given.append)
        made = [linked(number) for number in range(1, count + 1)]
        assert len(statements.commit(db, statements.Group(made), 1)) == count
        inserts = [sql for sql in given if "INTO fetches" in sql]
        assert 1 <= len(inserts) <= 10
        assert all(sql.startswith("INSERT OR IGNORE ") for sql in inserts)
        assert sorted(one.medium for one in fetches.load(db)) == sorted(f"id-{n}/0" for n in range(1, count + 1))


async def test_a_result_that_is_stored_already_settles_its_link_all_the_same(opened: Opener) -> None:
    async with opened() as spool:
        await spool.append([result(1, stored=False)], source="teams")
        await spool.append([linked(1)], source="teams")
        receipt = await spool.append([result(1, stored=False)], source="teams")
        assert (receipt.duplicates, len(spool.fetches)) == (1, 0)


@pytest.mark.parametrize("version", [1, 2])
async def test_a_spool_of_a_former_version_is_sound_and_gets_the_table(tmp_path: Path, version: int) -> None:
    with closing(sqlite3.connect(tmp_path / "spool.db", isolation_level=None)) as db:
        db.execute(f"PRAGMA page_size={16 << 10}")
        tables = schema.TABLES[: schema.TABLES.index(schema.ONE_LETTER) + version - 1]
        for table in tables:
            db.execute(table.replace(", crc INTEGER", ""))
        db.execute(f"PRAGMA user_version={version}")
    for number in range(2):
        spool = await Spool.open(tmp_path, SpoolSettings(), clock=Clock(), metrics=Metrics())
        assert spool.repaired is None
        assert len(spool.fetches.take()) == number
        await spool.append([linked(1)], source="teams")
        await spool.close()


def test_what_a_repair_left_in_ruins_is_passed_over() -> None:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        schema.create(db)
        for values in (("a", b"\xff", "", 1, 1, 1, "", ""), ("a", "b", "c", "no number", 2, 3, "", "")):
            db.execute("INSERT INTO fetches VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)
        db.execute("INSERT INTO fetches VALUES ('a', 'c', 'd', 1, 2, 3, 'u', '{}')")
        assert [one.medium for one in fetches.load(db)] == ["c"]


def test_of_too_many_the_oldest_are_overdue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetches, "MOST", 3)
    waiting = [Fetch("a", f"{n}/0", str(n), 0, n, 0, "u", b"{}") for n in range(5)]
    queue = FetchQueue(waiting)
    assert queue.overdue() == waiting[:2]
    assert FetchQueue(waiting[:3]).overdue() == []


def test_a_link_that_waits_costs_little_more_than_its_texts() -> None:
    """20,000 of them may wait, while the host of a site's pictures is away."""
    count = 2000
    links = [
        Link(f"{n:032x}/0", f"http://192.0.2.7/{n:0150}", 0, {"device": {"name": "n" * 200}}) for n in range(count)
    ]
    made = [Row("teams", "x", 0, HAPPENED, 0, f"{n:032x}", b"", links=[link]) for n, link in enumerate(links)]
    tracemalloc.start()
    try:
        queue, schedule = FetchQueue(), Schedule(per_host=1, at_once=1)
        queue.apply(Changes([link for row in made for link in fetches._links(row)]))
        for one in queue.take():
            schedule.add(one, "192.0.2.7", 1e9, 0.0)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(queue) == count
    assert held < count * 1500
