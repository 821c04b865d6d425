"""Commands find the daemon by a fixed rule, and say where they looked."""

from __future__ import annotations

import grp
import json
import os
import shutil
import signal
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

import click
import pytest
from click.testing import CliRunner

from pump.cli import group
from pump.cli.events import command as events
from pump.cli.shared import finding
from tests.unit.cli.test_cli import fill, pump, started

DAEMON = '[ops]\nlisten = "127.0.0.1:0"\n[sinks.out]\ntype = "jsonl"\npath = "out.jsonl"\n'


@contextmanager
def context(config: Path) -> Iterator[None]:
    with click.Context(events) as ctx:  # `places` asks it whether somebody named the file
        ctx.set_parameter_source("config", click.core.ParameterSource.COMMANDLINE)
        assert config
        yield


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    """Commands in the test's folder that know of no pump which is installed here: one was told to drop its letters."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(finding, "UNIT_STATE", tmp_path / "unit")
    monkeypatch.setattr(finding, "UNIT_RUNTIME", tmp_path / "unit-run")
    for name in ("STATE_DIRECTORY", "RUNTIME_DIRECTORY"):
        monkeypatch.delenv(name, raising=False)
    return CliRunner()


@pytest.mark.parametrize(
    ("written", "environ", "there", "found"),
    [
        # [pump] of the file, $STATE_DIRECTORY, files that are there, the folder that is taken
        ('state_dir = "{0}/named"', "", ["unit/control.sock"], "named"),
        ('state_dir = "{0}/named"', "{0}/given", ["given/spool.db"], "named"),
        ("", "{0}/given", ["unit/control.sock"], "given"),
        ("", "", ["unit/spool.db"], "unit"),
        ("", "", ["unit/control.sock", "pump-state/spool.db"], "unit"),
        ("", "", ["unit/spool.db", "pump-state/spool.db"], "pump-state"),
        ("", "", [], "pump-state"),
        ('state_dir = "beside"', "", ["etc/beside/spool.db"], "etc/beside"),
    ],
)
def test_the_rule(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: str, environ: str, there: list[str], found: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(finding, "UNIT_STATE", tmp_path / "unit")
    monkeypatch.setenv("STATE_DIRECTORY", environ.format(tmp_path))
    for name in there:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    config = tmp_path / "etc" / "pump.toml"
    config.parent.mkdir(exist_ok=True)
    config.write_text(f"[pump]\n{written.format(tmp_path)}\n")
    with context(config):
        assert finding.find(config).folder.absolute() == tmp_path / found
        assert finding.find(config, Path("other")).folder == Path("other")


@pytest.mark.parametrize(
    "arguments",
    [
        ["events"], ["events", "-f"], ["devices"], ["dead", "list"], ["dead", "show", "1"], ["dead", "retry", "--all"],
        ["dead", "drop", "--all"], ["enable", "x"], ["replay", "--sink", "x", "--since", "1h"], ["subscribe", "x"],
        ["status"], ["restart", "x"],
    ],
)  # fmt: skip
def test_every_command_says_where_it_looked(tmp_path: Path, alone: CliRunner, arguments: list[str]) -> None:
    (tmp_path / "pump.toml").write_text(DAEMON)
    done = alone.invoke(group, arguments)
    assert (done.exit_code, done.stdout) == (1, "")
    assert len(done.stderr.splitlines()) == 1
    assert f"looked in pump-state, {tmp_path}/unit" in done.stderr
    done = alone.invoke(group, [*arguments, "--state-dir", "elsewhere"])
    assert done.exit_code == 1
    assert "looked in elsewhere;" in done.stderr


def test_the_unit_s_folders_are_those_of_the_unit() -> None:
    assert str(finding.UNIT_STATE) == "/var/lib/pump"
    assert str(finding.UNIT_RUNTIME) == "/run/pump"


def test_a_group_may_give_commands_and_nobody_reaches_another_daemon() -> None:
    """The daemon gets its folders from systemd; the operator's shell knows neither."""
    try:
        name = grp.getgrgid(os.getgid()).gr_name
    except KeyError:  # in a container
        pytest.skip("this user's group has no name")
    folder = Path(mkdtemp(prefix="pump-"))  # sockets want short paths
    try:
        (folder / "run").mkdir()
        (folder / "pump.toml").write_text(f'[pump]\ncontrol_group = "{name}"\n{DAEMON}')
        environ = {"STATE_DIRECTORY": str(folder / "state"), "RUNTIME_DIRECTORY": str(folder / "run")}
        with started("run", cwd=folder, **environ) as process:
            assert process.stderr is not None
            log = (json.loads(line) for line in process.stderr)
            next(entry for entry in log if entry["event"] == "The pump runs")
            for name, mode in (("state", 0o600), ("run", 0o660)):
                assert stat.S_IMODE((folder / name / "control.sock").stat().st_mode) == mode
            assert pump("status", "--check", cwd=folder, **environ).stdout.startswith("OK: site site: up ")
            (folder / "state" / "control.sock").unlink()  # as for one who may not enter the state directory
            assert pump("status", "--check", cwd=folder, **environ).returncode == 0
            environ["STATE_DIRECTORY"] = str(folder / "other")
            other = pump("status", cwd=folder, **environ)
            assert other.returncode == 1
            assert "another daemon answers here" in other.stderr
            process.send_signal(signal.SIGTERM)
            list(log)
            assert process.wait() == 0
        assert not (folder / "run" / "control.sock").exists()
    finally:
        shutil.rmtree(folder)


def test_events_of_a_spool_that_was_found(tmp_path: Path, alone: CliRunner) -> None:
    fill(tmp_path / "pump-state", "gate", range(2))
    (tmp_path / "pump.toml").write_text(DAEMON)
    assert len(alone.invoke(group, ["events"]).stdout.splitlines()) == 2
