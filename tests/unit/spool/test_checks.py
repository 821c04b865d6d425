"""Rows that are no events: what is damaged is set aside, reported, and its part begins from its default."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from pump.core.clock import Clock
from pump.core.errors import Unavailable
from pump.core.event import Sighting
from pump.spool import Cursor, Spool, SpoolSettings
from pump.spool.damage.checks import SEALED, row_crc, sealing, with_checksum
from pump.spool.damage.repair import sift
from pump.spool.errors import Verdict, verdict
from pump.spool.gaps import sightings
from pump.spool.statements import FIRST_KEY, SLICE, prune_keys
from pump.telemetry.metrics import Metrics
from tests.unit.spool.conftest import rows


async def opened(folder: Path) -> Spool:
    return await Spool.open(folder, SpoolSettings(), clock=Clock(), metrics=Metrics())


async def filled(folder: Path) -> None:
    spool = await opened(folder)
    made = rows(0, 30)
    made[7].quarantined = made[9].quarantined = True
    state = {f"device/{number}": {"name": f"Gate {number}"} for number in range(5)}
    await spool.append(made, source="teams", state=state)
    for sink in ("a", "b", "c"):
        spool.set_cursor(sink, 20, {"offset": 7})
        await spool.dead_letters.add(sink, await spool.read(3, limit=2), "HTTP 400", 1)
    await spool.close()


def change(folder: Path, *statements: str) -> None:
    with closing(sqlite3.connect(folder / "spool.db", isolation_level=None)) as db:
        for statement in statements:
            db.execute(statement)


@pytest.mark.parametrize(
    ("statement", "what"),
    [
        ("UPDATE cursors SET sink = CAST(x'62ff' AS TEXT) WHERE sink = 'b'", "1 of cursors"),
        ("UPDATE cursors SET state = CAST(x'7bff7d' AS TEXT) WHERE sink = 'c'", "1 of cursors"),
        ("UPDATE cursors SET seq = 19 WHERE sink = 'b'", "1 of cursors"),
        ("UPDATE cursors SET sink = CAST(sink AS BLOB) WHERE sink = 'b'", "1 of cursors"),
        ("UPDATE cursors SET crc = NULL WHERE sink = 'b'", "1 of cursors"),
        ("UPDATE state SET key = CAST(x'64ff' AS TEXT) WHERE key = 'device/3'", "1 of state"),
        ("UPDATE state SET value = CAST(x'22ff22' AS TEXT) WHERE key = 'device/4'", "1 of state"),
        ("UPDATE state SET source = 'teans' WHERE key = 'device/4'", "1 of state"),
        ("UPDATE state SET value = 7 WHERE key = 'device/4'", "1 of state"),
        ("UPDATE limited SET source = CAST(x'ff' AS TEXT) WHERE seq = 8", "1 of limited"),
        ("UPDATE limited SET bytes = 1.5 WHERE seq = 10", "1 of limited"),
        ("UPDATE dead SET reason = CAST(x'ff' AS TEXT) WHERE id = 3", "1 of dead"),
        ("UPDATE dead SET sink = CAST(x'ff' AS TEXT) WHERE id = 3", "1 of dead"),
        ("UPDATE dead SET seq = 'x' WHERE id = 4", "1 of dead"),
        ("UPDATE dead SET body = CAST(body AS TEXT) WHERE id = 4", "1 of dead"),
        ("UPDATE blocks SET recorded = recorded + 9999999999", "numbers of 1 blocks"),
        ("UPDATE blocks SET first = -5", "numbers of 1 blocks"),
        ("UPDATE blocks SET first = 'x'", "numbers of 1 blocks"),
        ("UPDATE blocks SET last = 4000000000", "numbers of 1 blocks"),
    ],
)
async def test_a_damaged_row_is_set_aside_and_everything_else_is_there(
    tmp_path: Path, statement: str, what: str
) -> None:
    await filled(tmp_path)
    change(tmp_path, statement)
    spool = await opened(tmp_path)
    assert spool.repaired is not None
    assert what in spool.repaired.reason
    assert spool.repaired.lost == 0
    assert len(await spool.read(0)) == 30
    assert {sink: spool.cursor(sink) for sink in "abc"} == {sink: Cursor(20, {"offset": 7}) for sink in "abc"}, "copies"
    assert len(spool.state("teams")) == (4 if " of state" in what else 5)
    assert spool.quarantined("teams") == (200 if "limited" in what else 400)
    assert (
        len(await spool.dead_letters.read()) == sum(spool.dead_letters.counts.values()) == (5 if "dead" in what else 6)
    )
    if " of " in what and "blocks" not in what:
        assert spool.repaired.aside is not None
        (line,) = (tmp_path / spool.repaired.aside).read_text().splitlines()
        assert json.loads(line)["table"] == what.split()[2]
    assert (await spool.append(rows(30, 1), source="teams", state={"device/4": {}})).stored == 1
    assert spool.head == 31
    assert await spool.dead_letters.add("b", await spool.read(3, limit=2), "again", 1) in (0, 1)
    spool.repair_told()
    await spool.close()
    spool = await opened(tmp_path)
    assert spool.repaired is None
    await spool.close()


@pytest.mark.parametrize("step", [7, pytest.param(1, marks=pytest.mark.long)])
async def test_every_byte_of_the_header_may_be_flipped(tmp_path: Path, step: int) -> None:
    folder = tmp_path / "spool"
    await filled(folder)
    files = {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "spool.reserve"}
    whole = files["spool.db"]
    for place in range(4, 100, step):
        for path in folder.iterdir():
            if path.name != "spool.reserve":
                path.unlink()
        for name, content in files.items():
            (folder / name).write_bytes(content)
        (folder / "spool.db").write_bytes(whole[:place] + bytes([whole[place] ^ (1 << place % 8)]) + whole[place + 1 :])
        spool = await opened(folder)
        try:
            assert len(await spool.read(0)) == 30, place
            assert spool.cursor("b") == Cursor(20, {"offset": 7}), place
            assert len(spool.state("teams")) == 5, place
            assert (await spool.append(rows(30, 1), source="teams")).stored == 1, place
        finally:
            await spool.close()


@pytest.mark.parametrize("key", ["CAST(x'ff' AS TEXT)", "NULL", "7"])
async def test_a_key_that_is_none_has_the_next_start_salvage_the_spool(tmp_path: Path, key: str) -> None:
    """Nobody looks for such ones: the sweep that meets one would not know where to go on."""
    await filled(tmp_path)
    change(tmp_path, "DROP TABLE keys", "CREATE TABLE keys(lead, source, id, seq)")
    rows_ = ", ".join(f"({n}, 'teams', {key}, {n})" for n in range(SLICE + 1))
    with closing(sqlite3.connect(tmp_path / "spool.db")) as db:
        db.execute(f"INSERT INTO keys VALUES {rows_}")
        with pytest.raises(sqlite3.DatabaseError) as raised:
            prune_keys(db, above=FIRST_KEY, through=1)
        assert verdict(raised.value) is Verdict.DAMAGED


async def test_an_absurd_count_of_numbers_given_is_not_believed(tmp_path: Path) -> None:
    await filled(tmp_path)
    change(
        tmp_path,
        f"UPDATE sqlite_sequence SET seq = {(1 << 63) - 1} WHERE name = 'blocks'",
        f"UPDATE sqlite_sequence SET seq = {(1 << 63) - 1} WHERE name = 'dead'",
    )
    spool = await opened(tmp_path)
    assert spool.head == 30
    assert (await spool.append(rows(30, 1), source="teams")).stored == 1
    assert await spool.dead_letters.add("d", await spool.read(3, limit=2), "refused", 1) == 2
    await spool.close()


def test_the_checksum_is_the_same_in_sql_and_here() -> None:
    with closing(with_checksum(sqlite3.connect(":memory:"))) as db:
        for table, columns in SEALED.items():
            db.execute(f"CREATE TABLE {table}({', '.join(columns)})")
            row = [None if place == 2 else ("Ω", 7, b"\xff\0")[place % 3] for place in range(len(columns))]
            db.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(row))})", row)
            assert db.execute(f"SELECT {sealing(table)} FROM {table}").fetchone() == (row_crc(*row),)


async def test_a_spool_of_version_2_gets_its_checksums_and_a_text_that_is_none_in_it_stops_no_start(
    tmp_path: Path,
) -> None:
    await filled(tmp_path)
    change(
        tmp_path,
        *(f"ALTER TABLE {table} DROP COLUMN crc" for table in SEALED),
        "PRAGMA user_version=2",
        "UPDATE state SET value = CAST(x'ff' AS TEXT) WHERE key = 'device/4'",
    )
    (tmp_path / "spool.schema").unlink()
    spool = await opened(tmp_path)
    assert spool.repaired is not None
    assert len(spool.state("teams")) == 4
    assert spool.cursor("b") == Cursor(20, {"offset": 7})
    await spool.close()


async def sighted(folder: Path, *statements: str) -> None:
    """A spool with thirty sightings, changed by these statements."""
    spool = await opened(folder)
    made = rows(0, 30)
    for place, row in enumerate(made):
        row.sightings = (Sighting(place, "key", "combine"),)
    await spool.append(made, source="teams")
    await spool.close()
    change(folder, *statements)


_NO_TEXT = "UPDATE sightings SET id = CAST(x'ff' AS TEXT) WHERE at = 7"


async def test_a_start_on_a_large_spool_reads_no_sighting_however_many_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Five million of them would take half a minute."""
    await sighted(tmp_path)
    monkeypatch.setattr("pump.spool.damage.repair.CHECKED", 0)
    asked: list[str] = []
    with closing(sqlite3.connect(tmp_path / "spool.db", isolation_level=None)) as db:
        db.set_trace_callback(asked.append)
        assert not sift(db, tmp_path / "spool.db", "20261129T000000Z")
    assert any("FROM state" in sql for sql in asked)
    assert not any("sightings" in sql or "FROM dead" in sql or "FROM blocks" in sql for sql in asked)


async def test_a_damaged_sighting_of_a_small_spool_is_set_aside_and_the_others_are_there(tmp_path: Path) -> None:
    await sighted(tmp_path, _NO_TEXT)
    spool = await opened(tmp_path)
    assert spool.repaired is not None
    assert "1 of sightings" in spool.repaired.reason
    wanted = [Sighting(place, "key", "combine") for place in range(30)]
    assert len(await spool.gaps.seen("teams", wanted)) == 29
    await spool.close()


async def test_a_damaged_sighting_of_a_large_spool_stops_no_start_and_has_the_spool_salvaged_once_it_is_met(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await sighted(tmp_path, _NO_TEXT)
    monkeypatch.setattr("pump.spool.damage.repair.CHECKED", 0)
    spool = await opened(tmp_path)
    assert spool.repaired is None
    assert len(await spool.gaps.seen("teams", [Sighting(8, "key", "combine")])) == 1
    with pytest.raises(Unavailable):
        await spool.gaps.seen("teams", [Sighting(7, "key", "combine")])
    assert spool.failed.is_set()
    await spool.close()
    spool = await opened(tmp_path)
    assert spool.repaired is not None
    assert "1 of sightings" in spool.repaired.reason
    assert (len(await spool.read(0)), spool.repaired.lost) == (30, 0)
    wanted = [Sighting(place, "key", "combine") for place in range(30)]
    assert len(await spool.gaps.seen("teams", wanted)) == 29
    await spool.close()


@pytest.mark.parametrize("key", ["CAST(x'ff' AS TEXT)", "NULL", "7"])
async def test_a_sweep_of_the_sightings_does_not_go_round_for_ever(tmp_path: Path, key: str) -> None:
    await filled(tmp_path)
    change(tmp_path, "DROP TABLE sightings", "CREATE TABLE sightings(at, source, key, side, id, twin, seq)")
    rows_ = ", ".join(f"({n}, 'teams', {key}, 'q', 'i', '', {n})" for n in range(SLICE + 1))
    with closing(sqlite3.connect(tmp_path / "spool.db")) as db:
        db.execute(f"INSERT INTO sightings VALUES {rows_}")
        with pytest.raises(sqlite3.DatabaseError) as raised:
            sightings.prune(db, above=sightings.FIRST_PLACE, through=1)
        assert verdict(raised.value) is Verdict.DAMAGED
