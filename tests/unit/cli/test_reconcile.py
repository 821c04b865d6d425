"""`pump reconcile`: a sink's ledger as a table and as JSON lines, from what is stored."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from pump.cli import group
from pump.core.clock import Clock
from pump.delivery.memory import SinkMemory
from pump.sinks.tuya.ledger import Ledger
from pump.sinks.tuya.windows import KINDS
from pump.spool import Spool, SpoolSettings
from pump.telemetry.metrics import Metrics
from pump.testing import ManualClock

BEGIN = (Clock().now() - timedelta(days=2)).replace(hour=8, minute=0, second=0, microsecond=0)
DAY, BEFORE = (str((BEGIN - timedelta(days=days)).date()) for days in (0, 1))
HOUR = 3_600_000


def _count(ledger: Ledger, memory: Any, clock: ManualClock) -> None:
    """Five hours: accepted, empty and accepted, refused, changed, not yet accepted."""
    begin = clock.now_ms()
    for seq, hour in enumerate((0, 2, 2, 3, 4), 1):
        ledger.count("in" if seq != 3 else "out", begin + hour * HOUR + 5, seq, begin + hour * HOUR + 5)
    clock.advance(5 * 3600 + 400)
    for number in range(3):
        report = ledger.next()
        assert report is not None
        if number == 2:
            ledger.set_aside(report, "code 1109: param is illegal", 60.0)
        else:
            ledger.accepted(report, f"13{number}")
    report = ledger.next()
    assert report is not None
    ledger.accepted(report, "135")
    ledger.count("in", begin + 3 * HOUR + 9, 9, clock.now_ms())
    memory["nameless"] = {"10000/9": 4}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("spool")

    async def main() -> None:
        clock = ManualClock(BEGIN)
        spool = await Spool.open(folder, SpoolSettings(), clock=Clock(), metrics=Metrics())
        memory = SinkMemory(spool, "lot")
        ledger = Ledger(memory, window_ms=HOUR, lag_ms=300_000, named={"in", "out"}, clock=clock)
        _count(ledger, memory, clock)
        spool.remember("sink/broker", "shown", {})
        await spool.close()

    asyncio.run(main())
    return folder


def ask(folder: Path, *arguments: str) -> Result:
    return CliRunner().invoke(group, ["reconcile", "--state-dir", str(folder), *arguments])


def test_the_table_has_a_line_for_each_count(folder: Path) -> None:
    done = ask(folder, "lot", "--day", DAY)
    assert done.exit_code == 0, done.output
    head, *rows = done.stdout.splitlines()
    assert head.split() == ["WINDOW", "DIRECTION", "OURS", "SENT", "SN", "STATE"]
    assert [row.split(None, 5)[1:] for row in rows[:10]] == [
        ["08:00:00-09:00:00", "in", "1", "1", "130  accepted"],
        ["08:00:00-09:00:00", "out", "0", "0", "130  accepted"],
        ["09:00:00-10:00:00", "in", "0", "0", "131  accepted"],
        ["09:00:00-10:00:00", "out", "0", "0", "131  accepted"],
        ["10:00:00-11:00:00", "in", "1", "-", "-    refused: code 1109: param is illegal"],
        ["10:00:00-11:00:00", "out", "1", "-", "-    refused: code 1109: param is illegal"],
        ["11:00:00-12:00:00", "in", "2", "1", "135  changed"],
        ["11:00:00-12:00:00", "out", "0", "0", "135  accepted"],
        ["12:00:00-13:00:00", "in", "1", "-", "-    due"],
        ["12:00:00-13:00:00", "out", "0", "-", "-    due"],
    ]
    assert "4 passes of 10000/9" in done.stderr


def test_json_has_a_line_for_each_count(folder: Path) -> None:
    done = ask(folder, "lot", "--day", DAY, "--json")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert lines[0] == {
        "start": f"{DAY}T08:00:00Z", "end": f"{DAY}T09:00:00Z", "direction": "in", "ours": 1, "sent": 1,
        "sn": "130", "state": "accepted",
    }  # fmt: skip
    assert lines[4]["refused"] == "code 1109: param is illegal"
    assert {line["direction"] for line in lines} <= {*KINDS}


def test_another_day_has_none_of_it(folder: Path) -> None:
    done = ask(folder, "lot", "--day", BEFORE)
    assert (done.exit_code, done.stdout) == (0, "")
    assert "Nothing was counted" in done.stderr


def test_an_unknown_sink_names_those_that_count(folder: Path) -> None:
    done = ask(folder, "broker")
    assert done.exit_code == 1
    assert 'no sink "broker" of type tuya has counted anything yet; there are: lot' in done.output


def test_without_a_spool_it_says_where_it_looked(tmp_path: Path) -> None:
    assert "there is no spool" in ask(tmp_path, "lot").output
