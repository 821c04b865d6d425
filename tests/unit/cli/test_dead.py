"""`pump dead list`: what there is, and how much went for want of room."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from click.testing import CliRunner

from pump.cli import group
from pump.core.clock import Clock
from pump.spool import Spool, SpoolSettings
from pump.telemetry.metrics import Metrics
from pump.testing.records import record

AT = 1795161600000
"""2026-11-20T08:00:00Z."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("spool")

    async def main() -> None:
        spool = await Spool.open(folder, SpoolSettings(), clock=Clock(), metrics=Metrics())
        await spool.dead_letters.add("hook", [record(1), record(2)], "HTTP 400", 1)
        state = {"dead-evicted/hook": [7, AT], "dead-evicted/gone\x1b[2J": [1, AT], "dead-evicted/odd": "?"}
        await spool.append([], source="pump", state=state)
        await spool.close()

    asyncio.run(main())
    return folder


@pytest.mark.parametrize("counts", [(), ("--counts",)])
def test_what_went_for_want_of_room_is_said_on_standard_error(folder: Path, counts: tuple[str, ...]) -> None:
    done = CliRunner().invoke(group, ["dead", "list", "--state-dir", str(folder), *counts])
    assert done.exit_code == 0, done.output
    assert done.stderr.splitlines() == [
        "1 older ones of gone\\x1b[2J were removed for want of room, the last at 2026-11-20 08:00:00",
        "7 older ones of hook were removed for want of room, the last at 2026-11-20 08:00:00",
    ]
    assert len(done.stdout.splitlines()) == (2 if counts else 3)


def test_of_one_sink_only_its_own_are_named(folder: Path) -> None:
    done = CliRunner().invoke(group, ["dead", "list", "--state-dir", str(folder), "--sink", "hook"])
    assert len(done.stderr.splitlines()) == 1
    done = CliRunner().invoke(group, ["dead", "list", "--state-dir", str(folder), "--sink", "other"])
    assert done.stderr == ""
