from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from pump.core.clock import Clock
from pump.core.errors import Misconfigured, Unavailable
from pump.core.event import Event, encode
from pump.core.record import Record
from pump.sinks.sqlite.sink import SqliteSettings, SqliteSink
from pump.testing import ManualClock
from pump.testing.records import ARRIVED, record


def sink(path: Path, clock: Clock | None = None, **keys: Any) -> SqliteSink:
    settings = SqliteSettings.model_validate({"type": "sqlite", "path": str(path), **keys})
    return SqliteSink("archive", settings, state=None, clock=clock or Clock(), site="testing")


def select(path: Path, what: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as db:
        return db.execute(what).fetchall()


async def store(path: Path, batch: Sequence[Record], clock: Clock | None = None, **keys: Any) -> None:
    async with sink(path, clock, **keys) as out:
        await out.send(batch)


def of(**data: Any) -> Record:
    event = Event("vehicle.passed", "one", {"phase": "pulse", "severity": "warning", **data}, ARRIVED, "camera/1")
    return Record(1, "gate", "vehicle.passed", 2, 0, encode(event, "/north/gate", ARRIVED))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "archive.db"


def test_columns_have_their_types_and_the_json_is_whole(path: Path) -> None:
    one = of(
        vendor="avaeye", code="capture", name="Vehicle capture", incident="i1",
        device={"id": "1001", "name": "North"}, place={"lot": "10000", "lane": 1, "space": "A-1"},
        vehicle={"plate": "A12345", "list": "white", "direction": "in"}, parking={"occupied": True},
        access={"person": {"name": "Ada"}, "granted": False},
    )  # fmt: skip
    asyncio.run(store(path, [one]))
    [row] = select(
        path,
        "SELECT event_source, id, time, type, site, source, subject, severity, level, device, lot, lane, space, plate,"
        " list, direction, occupied, person, granted, incident FROM events",
    )
    assert row == (
        "/north/gate", "one", "2026-11-20T08:00:00Z", "vehicle.passed", "north", "gate", "camera/1", "warning", 2,
        "1001", "10000", "1", "A-1", "A12345", "white", "in", 1, '{"name":"Ada"}', 0, "i1",
    )  # fmt: skip
    [(body, extracted)] = select(path, "SELECT json, json ->> '$.data.vehicle.plate' FROM events")
    assert body.encode() == one.body
    assert extracted == "A12345"


async def test_what_comes_again_is_there_once_and_as_it_came_last(path: Path) -> None:
    await store(path, [record(seq) for seq in range(1, 701)])
    await store(path, [record(seq) for seq in range(600, 801)] + [record(1)])
    other = of(vehicle={"plate": "OLD"})
    await store(path, [other, of(vehicle={"plate": "NEW"})])
    assert select(path, "SELECT count(*) FROM events") == [(801,)]
    assert select(path, "SELECT plate FROM events WHERE source = 'gate' AND site = 'north'") == [("NEW",)]
    assert select(path, "PRAGMA integrity_check") == [("ok",)]
    assert select(path, "PRAGMA journal_mode") == [("wal",)]


def test_the_usual_questions_use_an_index(path: Path) -> None:
    asyncio.run(store(path, [record(1)]))
    for where, index in (
        ("plate = 'A' AND time > '2026'", "by_plate"),
        ("type = 'A' AND time > '2026'", "by_type"),
        ("device = 'A'", "by_device"),
        ("space = 'A'", "by_space"),
        ("time > '2026' ORDER BY time", "by_time"),
        ("event_source = 'a' AND id = 'b'", "by_identity"),
    ):
        plan = " ".join(row[3] for row in select(path, f"EXPLAIN QUERY PLAN SELECT json FROM events WHERE {where}"))
        assert index in plan, where


async def test_keep_removes_what_is_older_a_slice_at_a_time(path: Path) -> None:
    clock = ManualClock()
    async with sink(path, clock, keep="1d") as out:
        await out.send([record(seq) for seq in range(1, 1201)])
        clock.advance(86400)
        await out.send([record(1201, at=clock.now())])
        assert select(path, "SELECT count(*) FROM events") == [(1201,)], "not a second before"
        clock.advance(61)
        for seq, left in ((1202, 702), (1203, 203), (1204, 4), (1205, 5)):
            await out.send([record(seq, at=clock.now())])
            assert select(path, "SELECT count(*) FROM events") == [(left,)]


def test_files_that_are_something_else_are_left_alone(path: Path) -> None:
    async def opened() -> None:
        with pytest.raises(Misconfigured):
            async with sink(path):
                raise AssertionError("it was opened")

    path.write_bytes(b"no database at all" * 1000)
    asyncio.run(opened())
    assert path.read_bytes().startswith(b"no database")
    path.unlink()
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE mine(x)")
    asyncio.run(opened())
    assert select(path, "SELECT name FROM sqlite_schema") == [("mine",)]
    path.unlink()
    asyncio.run(store(path, [record(1)]))
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 99")
    asyncio.run(opened())


async def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="archive"):
        async with sink(tmp_path / "none" / "archive.db"):
            raise AssertionError("it was opened")


async def test_a_pipe_is_no_archive(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "archive.db")
    with pytest.raises(Misconfigured, match="no regular file"):
        async with sink(tmp_path / "archive.db"):
            raise AssertionError("it was opened")


async def test_an_archive_that_somebody_locks_is_waited_for(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pump.sinks.sqlite.sink._PRAGMAS", ("journal_mode=WAL", "busy_timeout=50"))

    async with sink(path) as out:
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(Unavailable, match="locked") as away:
                await out.send([record(1)])
            assert not away.value.done
            other.execute("COMMIT")
        await out.send([record(1)])
    assert select(path, "SELECT count(*) FROM events") == [(1,)]


def test_two_sinks_of_one_file_are_twins(tmp_path: Path) -> None:
    one, other = sink(tmp_path / "a.db").settings, sink(tmp_path / "x" / ".." / "a.db").settings
    assert one.identity() == other.identity()
