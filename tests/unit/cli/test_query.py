"""`pump query` over an archive that the sink itself has written."""

from __future__ import annotations

import asyncio
import json
import stat
from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner

from pump.cli import group
from pump.core.clock import Clock
from pump.sinks.sqlite import SINK
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
