"""`pump query` over an archive that the sink itself has written."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pty
import re
import shutil
import sqlite3
import stat
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import CliRunner

from pump.cli import group
from pump.core.clock import Clock
from pump.sinks.sqlite import SINK, table
from pump.testing.records import record


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two bays, one taken, and a passage that knows nothing of bays."""
    path = tmp_path_factory.mktemp("archive") / "archive.db"
    batch = [record(number) for number in (1, 2, 3)]
    for place, occupied in enumerate((True, False)):
        event = orjson.loads(batch[place].body)
        event["data"]["parking"] = {"occupied": occupied}
        batch[place] = batch[place]._replace(body=orjson.dumps(event))

    async def main() -> None:
        settings = SINK.Settings(type="sqlite", path=str(path))
        async with SINK("archive", settings, state=None, clock=Clock(), site="testing") as sink:
            await sink.send(batch)

    asyncio.run(main())
    return path


@pytest.mark.parametrize(
    ("term", "plates"),
    [
        ("occupied=true", ["P000001"]),
        ("occupied=false", ["P000002"]),
        ("occupied=True", ["P000001"]),
        ("occupied=yes", ["P000001"]),
        ("occupied=1", ["P000001"]),
        ("occupied!=true", ["P000002", "P000003"]),
        ("occupied=true,false", ["P000001", "P000002"]),
        ("plate=true", []),
    ],
)
def test_truth_is_asked_for_in_words(archive: Path, term: str, plates: list[str]) -> None:
    done = CliRunner().invoke(group, ["query", "--file", str(archive), "--format", "json", term])
    assert done.exit_code == 0, done.output
    assert [json.loads(line)["data"]["vehicle"]["plate"] for line in done.output.splitlines()] == plates


def test_an_archive_is_for_its_group_at_the_most(archive: Path) -> None:
    for file in archive.parent.iterdir():
        assert not stat.S_IMODE(file.stat().st_mode) & ~0o640, file


def _terms(archive: Path, *terms: str, form: str = "json") -> list[str]:
    done = CliRunner().invoke(group, ["query", "--file", str(archive), "--format", form, *terms])
    assert done.exit_code == 0, done.output
    return done.output.splitlines()


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three persons, one whose name steers terminals."""
    path = tmp_path_factory.mktemp("people") / "archive.db"
    batch = []
    for number, person in enumerate(("O'Brien", "Ann D'Arcy", "Ev\x1b[2Jil\x9b\u202e\nname")):
        event = orjson.loads(record(number + 1).body)
        event["data"]["access"] = {"person": person}
        batch.append(record(number + 1)._replace(body=orjson.dumps(event)))

    async def main() -> None:
        settings = SINK.Settings(type="sqlite", path=str(path))
        async with SINK("archive", settings, state=None, clock=Clock(), site="testing") as sink:
            await sink.send(batch)

    asyncio.run(main())
    return path


@pytest.mark.parametrize(
    ("terms", "persons"),
    [
        (["person=O'Brien"], ["O'Brien"]),
        (["person=O'Brien since=2000-01-01 person!=D'Arcy"], ["O'Brien"]),
        (["person='Ann D'Arcy'"], ["Ann D'Arcy"]),
        (["person=\"Ann D'Arcy\",O'Brien"], ["O'Brien", "Ann D'Arcy"]),
        (["person=Ann\\ D'Arcy"], ["Ann D'Arcy"]),
        (["'person=Ann D'Arcy'"], ["Ann D'Arcy"]),
        (["person='"], []),
        (["person=''"], []),
        (['person="; DROP TABLE events; --"'], []),
        (["since=99999999999d person=O'*"], ["O'Brien"]),
        (["since=0001-01-01T00:00:00+14:00 until=9999-12-31T23:59:59-14:00 person=O'*"], ["O'Brien"]),
    ],
)
def test_a_quote_in_a_name_is_a_letter(people: Path, terms: list[str], persons: list[str]) -> None:
    assert [json.loads(line)["data"]["access"]["person"] for line in _terms(people, *terms)] == persons


@pytest.mark.parametrize(
    "arguments",
    [
        ["person=\udcff"],
        ["person"],
        ["person=" + ",".join("x" * 40_000)],
        ["--limit", "99999999999999999999"],
        ["--columns", 'type" FROM events; --'],
        ["--columns", "type\udcff"],
    ],
)
def test_what_sqlite_will_not_take_is_a_sentence(people: Path, arguments: list[str]) -> None:
    done = CliRunner().invoke(group, ["query", "--file", str(people), *arguments])
    assert isinstance(done.exception, SystemExit), done.exception
    assert done.exit_code
    assert "Error: " in done.output


def _on_a_terminal(*arguments: str) -> bytes:
    """The output of `pump` with these, on a terminal of its own."""
    ours, theirs = pty.openpty()
    with subprocess.Popen([sys.executable, "-m", "pump", *arguments], stdout=theirs, stdin=theirs) as process:
        os.close(theirs)
        output = b""
        with contextlib.suppress(OSError):  # how a terminal's end is read
            while data := os.read(ours, 1 << 16):
                output += data
    os.close(ours)
    assert process.returncode == 0
    return output


@pytest.mark.parametrize("form", ["table", "csv", "json"])
def test_a_terminal_is_shown_escapes(people: Path, form: str) -> None:
    shown = _on_a_terminal("query", "--file", str(people), "--columns", "person", "--format", form).decode()
    text = re.sub("\x1b\\[[01]m", "", shown)  # the head is bold
    assert all(letter.isprintable() or letter in "\r\n" for letter in text)
    assert "il\\x9b\\u202e\\nname" in text or json.loads(text.splitlines()[-1])["data"]["access"]["person"][2] == "\x1b"


def test_a_file_of_csv_has_the_names_as_they_are(people: Path) -> None:
    assert "\x1b[2Jil\x9b\u202e" in "\n".join(_terms(people, "--columns", "person", form="csv"))


def test_the_archive_is_found_beside_the_configuration_and_in_the_state_directory(
    people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config, state = tmp_path / "etc" / "pump.toml", tmp_path / "state"
    config.parent.mkdir()
    state.mkdir()
    config.write_text(f'[pump]\nstate_dir = "{tmp_path}/none"\n[sinks.a]\ntype = "sqlite"\npath = "archive.db"\n')
    command = ["query", "-c", str(config), "--format", "json", "person=O'Brien"]
    missing = CliRunner().invoke(group, command)
    assert "there is no archive archive.db" in missing.output
    shutil.copy(people, state / "archive.db")
    done = CliRunner().invoke(group, [*command, "--state-dir", str(state)])
    assert done.output.count("O'Brien") == 1
    shutil.copy(people, config.parent / "archive.db")
    assert CliRunner().invoke(group, command).output.count("O'Brien") == 1


_KINDS = ("vehicle.entered", "vehicle.left", "parking.taken", "parking.free", "device.online")


def _long_archive(path: Path, events: int) -> Path:
    """An archive of many events of few types, a second between two."""
    one = table.row(record(1))
    places = {name: place for place, name in enumerate(table.COLUMNS)}
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        for statement in table.create():
            db.execute(statement)
        db.execute("BEGIN")
        for number in range(events):
            row = list(one)
            row[places["id"]], row[places["plate"]] = f"{number:032x}", f"P{number}"
            row[places["time"]] = f"{datetime.fromtimestamp(1_700_000_000 + number, UTC):%Y-%m-%dT%H:%M:%SZ}"
            row[places["type"]] = _KINDS[number * 7 % 5]
            db.execute(table.upsert(1), row)
        db.execute("COMMIT")
    return path


def _found(path: Path, *arguments: str) -> tuple[list[str], int]:
    """The plates that a query shows, and how many thousands of SQLite's steps it took."""
    taken = 0

    def step() -> int:
        nonlocal taken
        taken += 1
        return 0

    def connect(*args: Any, **kinds: Any) -> sqlite3.Connection:
        db: sqlite3.Connection = _CONNECT(*args, **kinds)
        db.set_progress_handler(step, 1000)
        return db

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sqlite3, "connect", connect)
        done = CliRunner().invoke(
            group, ["query", "--file", str(path), "--format", "csv", "--columns", "plate", *arguments]
        )
    assert done.exit_code == 0, done.output
    return done.output.splitlines()[1:], taken


_CONNECT = sqlite3.connect


@pytest.fixture(scope="module")
def long_archives(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A small one, and one ten times as long."""
    folder = tmp_path_factory.mktemp("long")
    return _long_archive(folder / "small.db", 1000), _long_archive(folder / "large.db", 10_000)


@pytest.mark.parametrize(
    "terms",
    [
        ("type=vehicle.*",),
        ("type=vehicle.*,parking.free",),
        ("type!=vehicle.*",),
        ("type=*", "type!=parking.free"),
        ("type=vehicle.*", "plate=*1", "since=2023-11-14T22:20:00Z"),
        ("type>parking", "severity=info"),
        ("type=nothing.*",),
        ("plate=P12*",),
    ],
)
def test_the_newest_of_some_types_are_found_in_steps_that_do_not_grow_with_the_archive(
    long_archives: tuple[Path, Path], terms: tuple[str, ...]
) -> None:
    small, large = long_archives
    for path in (small, large):
        everything, _ = _found(path, "--limit", "0", *terms)
        newest, _ = _found(path, "--limit", "10", *terms)
        assert newest == everything[-10:]
    if terms[0].startswith("type") and "plate=*1" not in terms:
        assert _found(large, "--limit", "10", *terms)[1] <= _found(small, "--limit", "10", *terms)[1] + 2


@pytest.mark.parametrize("limit", [0, 2500, 1000])
def test_who_stops_reading_keeps_the_archive_from_nothing(tmp_path: Path, limit: int) -> None:
    path = tmp_path / "archive.db"
    batch = [record(number) for number in range(1, 3001)]

    async def main() -> None:
        settings = SINK.Settings(type="sqlite", path=str(path))
        async with SINK("archive", settings, state=None, clock=Clock(), site="testing") as sink:
            await sink.send(batch)

    asyncio.run(main())
    asked = [sys.executable, "-m", "pump", "query", "--file", str(path), "--limit", str(limit), "--format", "json"]
    with subprocess.Popen(asked, stdout=subprocess.PIPE) as reader:
        assert reader.stdout is not None
        first = reader.stdout.readline()
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
            db.execute("UPDATE events SET level = level + 1")
            assert db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0, "somebody reads in the file"
        rest = reader.stdout.read()
    assert reader.returncode == 0
    assert [orjson.loads(line) for line in (first + rest).splitlines()] == [
        orjson.loads(one.body) for one in (batch[-limit:] if limit else batch)
    ]
