"""A sink's cursor is lost with a damaged spool: nothing is left out, and what the peer shows is not sent again."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from pump.core.clock import Clock
from pump.delivery.cursor import Surroundings
from pump.delivery.delivery import Delivery
from pump.sink import Damage
from pump.sinks.jsonl.sink import JsonlSettings, JsonlSink
from pump.sinks.sqlite.sink import SqliteSettings, SqliteSink
from pump.telemetry.health import Component
from pump.testing.sinks import CollectingSinks
from tests.unit.delivery.test_delivery import Stage, stage


def jsonl(on: Stage, path: Path, **settings: Any) -> Delivery:
    table = {"type": "jsonl", "path": str(path), "fsync": "never", "raw": True, **settings}
    around = Surroundings(on.spool, on.clock, on.metrics, "testing", on._on_lost)
    return Delivery(around, JsonlSink, "out", JsonlSettings.model_validate(table), Component("sink out", on.clock))


async def delivered(delivery: Delivery) -> None:
    delivery.stop()
    await delivery.run()


def numbers(path: Path) -> list[int]:
    return [json.loads(line)["data"]["raw"]["number"] for line in path.read_bytes().splitlines()]


def damage(folder: Path, *, copies: bool) -> None:
    """Make the cursors' checksums wrong, and those of their copies."""
    with closing(sqlite3.connect(folder / "spool.db", isolation_level=None)) as db:
        db.execute("UPDATE cursors SET seq = seq + 1 WHERE sink <> ''")
        if copies:
            db.execute("UPDATE state SET value = value || ' ' WHERE key LIKE 'cursor/%'")


@pytest.mark.parametrize("copies", [False, True], ids=["cursor", "cursor and copy"])
@pytest.mark.parametrize(
    "settings",
    [{}, {"start": "now"}, {"types": ["vehicle.pa*"]}, {"mask": ["data.vehicle.plate"]}],
    ids=["all", "from now", "filtered", "masked"],
)
async def test_the_file_shows_the_place(tmp_path: Path, settings: dict[str, Any], copies: bool) -> None:
    path, folder = tmp_path / "events.jsonl", tmp_path / "spool"
    async with stage(folder) as on:
        await on.put(10)
        await delivered(jsonl(on, path, **settings))  # whatever it takes of these
        await on.put(20)
        await on.put(5, type_="vehicle.stopped")
        await on.put(15)
        await delivered(jsonl(on, path, **settings))
        before = numbers(path)
    damage(folder, copies=copies)
    async with stage(folder) as on:
        assert on.spool.repaired is not None
        assert on.spool.cursors_lost
        on.stored = 50
        await on.put(10)
        await delivered(jsonl(on, path, **settings))
        assert numbers(path) == [*before, *range(51, 61)]
        cursor = on.spool.cursor("out")
        assert cursor is not None
        assert cursor.seq == on.spool.head


async def test_what_rotation_has_removed_is_not_written_anew(tmp_path: Path) -> None:
    path, folder = tmp_path / "events.jsonl", tmp_path / "spool"
    rotating = {"rotate_bytes": "4KiB", "rotate_keep": 2, "batch_size": 3}
    async with stage(folder) as on:
        await on.put(60)
        await delivered(jsonl(on, path, **rotating))
    damage(folder, copies=True)
    files = [path.with_name("events.jsonl.2"), path.with_name("events.jsonl.1"), path]
    kept = [number for file in files for number in numbers(file)]
    assert kept[0] > 1
    async with stage(folder) as on:
        on.stored = 60
        await on.put(2)
        await delivered(jsonl(on, path, rotate_keep=2))
    assert [number for file in files for number in numbers(file)] == [*kept, 61, 62]


async def test_where_nothing_shows_it_everything_stored_is_delivered_again(tmp_path: Path) -> None:
    sinks = CollectingSinks()
    async with stage(tmp_path) as on:
        await on.put(10)
        await delivered(on.delivery(sinks, start="now"))
        assert sinks.sequence == []
        await on.put(10)
        await delivered(on.delivery(sinks, start="now"))
        assert sinks.sequence == list(range(11, 21))
    damage(tmp_path, copies=True)
    again = CollectingSinks()
    async with stage(tmp_path) as on:
        await delivered(on.delivery(again, start="now"))
        assert again.sequence == list(range(1, 21)), "it may not have had any of these"
        assert again.sequence
    async with stage(tmp_path) as on:
        await delivered(on.delivery(again, start="now"))
        assert len(again.sequence) == 20, "it has a cursor again"


async def test_a_lost_cursor_goes_on_from_its_copy(tmp_path: Path) -> None:
    sinks = CollectingSinks()
    async with stage(tmp_path) as on:
        await on.put(10)
        on.spool.set_cursor("out", 8, {"n": 8})
        await on.spool.flush()
    damage(tmp_path, copies=False)
    async with stage(tmp_path) as on:
        assert on.cursor() == (8, {"n": 8})
        await delivered(on.delivery(sinks))
    assert sinks.sequence == [9, 10]


async def test_a_new_sink_begins_where_its_setting_says_once_nothing_of_before_the_loss_is_left(tmp_path: Path) -> None:
    async with stage(tmp_path, Clock()) as on:
        await on.put(10)
        on.spool.set_cursor("other", 10, None)
        await on.spool.flush()
    damage(tmp_path, copies=True)
    async with stage(tmp_path) as on:
        assert on.spool.cursors_lost
        on.spool._state.removed_through(10)
        assert not on.spool.cursors_lost


async def test_an_archive_that_is_damaged_is_reported_and_gets_what_comes(tmp_path: Path) -> None:
    path, found = tmp_path / "archive.db", list[tuple[str, Damage]]()

    def archive(on: Stage) -> Delivery:
        around = Surroundings(
            on.spool, on.clock, on.metrics, "testing", on._on_lost, lambda *told: found.append(told)
        )  # fmt: skip
        settings = SqliteSettings.model_validate({"type": "sqlite", "path": str(path)})
        return Delivery(around, SqliteSink, "archive", settings, Component("sink archive", on.clock))

    async with stage(tmp_path / "spool") as on:
        await on.put(20)
        await delivered(archive(on))
        assert found == []
        path.write_bytes(b"\0" * 20_000)
        await on.put(5)
        await delivered(archive(on))
        ((name, damage),) = found
        assert (name, damage.lost, damage.carried) == ("archive", 20, 0)
        assert (tmp_path / damage.aside).read_bytes() == b"\0" * 20_000
        with closing(sqlite3.connect(path)) as db:
            assert db.execute("SELECT count(*) FROM events").fetchone() == (5,)
        assert on.spool.cursor("archive") is not None
