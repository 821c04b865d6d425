"""`pump gaps`: the ledger as people and programs read it, whether or not a daemon runs."""

from __future__ import annotations

import asyncio
import io
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from pump.cli import group
from pump.cli.shared.commanding import Bar
from pump.core.clock import Clock
from pump.spool import Along, GapChange, GapOpened, Spool, SpoolSettings
from pump.telemetry.metrics import Metrics

SINCE = 1_795_000_000_000
"""2026-11-18T11:06:40Z."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("spool")

    async def main() -> None:
        spool = await Spool.open(folder, SpoolSettings(), clock=Clock(), metrics=Metrics())
        opened = [
            ("teams", "a", GapOpened(SINCE, SINCE + 3_600_000, "the subscription was lost", SINCE + 3_600_500)),
            ("door", "b", GapOpened(SINCE, SINCE + 1000, "cut", SINCE + 1500, 7, unfillable=True, notes="no log")),
        ]
        await spool.append((), source="teams", along=Along(opened=opened))
        await spool.append((), source="teams", along=Along(changes=[GapChange(1, SINCE, notes="asking\x1b[31m")]))
        await spool.close()

    asyncio.run(main())
    return folder


def shown(folder: Path, *arguments: str) -> list[str]:
    done = CliRunner().invoke(group, ["gaps", "--state-dir", str(folder), *arguments])
    assert done.exit_code == 0, done.output
    return done.output.splitlines()


def test_the_list_is_a_table(folder: Path) -> None:
    head, teams, door = shown(folder)
    assert head.split() == ["ID", "SOURCE", "STATE", "FROM", "TO", "FILLED", "WHY", "NOTES"]
    assert teams.split()[:3] == ["1", "teams", "open"]
    assert "2026-11-18 11:06:40  2026-11-18 12:06:40" in teams
    assert "\x1b" not in teams, "a vendor's words reach a terminal"
    assert door.split()[:3] == ["2", "door", "unfillable"]
    assert door.endswith("no log")


def test_json_lines_hold_each_record_whole(folder: Path) -> None:
    [line] = shown(folder, "--json", "--source", "door", "--state", "unfillable")
    assert json.loads(line) == {
        "id": 2, "source": "door", "state": "unfillable", "from": "2026-11-18T11:06:40.000Z",
        "to": "2026-11-18T11:06:41.000Z", "reason": "cut", "count": 7, "filled": 0, "notes": "no log", "event": "b",
        "opened": "2026-11-18T11:06:41.500Z", "changed": "2026-11-18T11:06:41.500Z",
    }  # fmt: skip


def test_none_is_said(folder: Path, tmp_path: Path) -> None:
    assert shown(folder, "--state", "filled") == ["No gap is known."]
    done = CliRunner().invoke(group, ["gaps", "--state-dir", str(tmp_path)])
    assert done.exit_code == 1
    assert "there is no spool" in done.output


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_what_a_vendor_says_steers_no_terminal_while_a_backfill_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = _Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    bar = Bar()
    bar.show({"looked": 1, "of": 2, "filled": 0, "waiting": "refused: \x1b]0;mine\x07\nall is well"})
    bar.close()
    assert terminal.getvalue().endswith("0 filled, refused: \\x1b]0;mine\\x07\\nall is well waiting\n")


def test_progress_says_how_long_the_rest_takes_and_nothing_where_it_is_not_wanted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal = _Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    now = 100.0
    bar = Bar(monotonic=lambda: now)
    bar.show({"looked": 1000, "of": 11000, "sent": 1000})
    now += 2.0
    bar.show({"looked": 2000, "of": 11000, "sent": 2000})
    assert "left" not in terminal.getvalue(), "too soon to say"
    now += 3.0
    bar.show({"looked": 2000, "of": 11000, "sent": 2000})
    bar.show({"looked": 10000, "of": 11000, "sent": 10000})
    bar.close()
    lines = terminal.getvalue().split("\r\x1b[K")
    assert [line.partition("sent")[2].strip() for line in lines[-2:]] == [", 45s left", ", 1s left"]
    quiet = _Terminal()
    monkeypatch.setattr("sys.stderr", quiet)
    none = Bar(quiet=True)
    none.show({"looked": 1, "of": 2})
    none.close()
    monkeypatch.setattr("sys.stderr", io.StringIO())
    Bar().show({"looked": 1, "of": 2})
    assert quiet.getvalue() == ""
