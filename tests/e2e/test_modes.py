"""Who may read what a daemon leaves on the disk, and what `pump check` says of folders that others may write."""

from __future__ import annotations

import json
import os
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

ENVIRON = {name: value for name, value in os.environ.items() if name not in {"STATE_DIRECTORY", "JOURNAL_STREAM"}}
CONFIG = """
[pump]
state_dir = "state"
[ops]
listen = "127.0.0.1:0"
[sinks.out]
type = "jsonl"
path = "events.jsonl"
[sinks.archive]
type = "sqlite"
path = "archive.db"
"""


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def _ran(folder: Path) -> list[str]:
    """The sentences of the log of a daemon that ran there, and was stopped once it delivered."""
    # A shell's own umask is the widest there is: what is narrower is the pump's doing.
    command = ["sh", "-c", 'umask 0; exec "$@"', "sh", sys.executable, "-m", "pump", "run"]
    said = []
    with subprocess.Popen(command, cwd=folder, env=ENVIRON, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            said.append(json.loads(line)["event"])
            runs = said.count("A sink delivers") == 2 and "The pump runs" in said
            if runs and said[-1] in ("A sink delivers", "The pump runs"):
                process.terminate()
            elif said[-1] == "The pump has stopped":
                process.terminate()  # one that comes while the interpreter ends changes nothing
        assert process.wait() == 0, said
    return said


def test_what_is_the_pump_s_own_is_nobody_else_s_and_what_is_read_by_others_its_group_s(tmp_path: Path) -> None:
    (tmp_path / "pump.toml").write_text(CONFIG)
    assert "Others could read what is the pump's own; now they cannot" not in _ran(tmp_path)
    state = tmp_path / "state"
    assert _mode(state) == 0o700
    assert {path.name: _mode(path) & 0o077 for path in state.iterdir()} == {path.name: 0 for path in state.iterdir()}
    assert {_mode(tmp_path / name) for name in ("events.jsonl", "archive.db")} == {0o640}


def test_what_an_older_pump_left_open_is_closed(tmp_path: Path) -> None:
    (tmp_path / "pump.toml").write_text(CONFIG)
    _ran(tmp_path)
    state = tmp_path / "state"
    (state / "spool.damaged-20260101T000000Z.db").write_bytes(b"set aside")
    (state / "notes.txt").write_text("an operator's")
    for path in state.iterdir():
        path.chmod(0o644)
    state.chmod(0o755)
    (tmp_path / "archive.db").chmod(0o666)
    (tmp_path / "events.jsonl").chmod(0o644)  # as logrotate made it, perhaps
    assert "Others could read what is the pump's own; now they cannot" in _ran(tmp_path)
    assert _mode(state) == 0o700
    wide = {path.name for path in state.iterdir() if _mode(path) & 0o077}
    assert wide == {"notes.txt"}
    assert (_mode(tmp_path / "archive.db"), _mode(tmp_path / "events.jsonl")) == (0o640, 0o644)
    with closing(sqlite3.connect(tmp_path / "archive.db")) as db:
        assert db.execute("SELECT count(*) FROM events").fetchone() != (0,)


@pytest.mark.parametrize(
    ("folder", "mode", "words"),
    [
        (".", 0o777, "everybody may write to {folder} (0777), and so replace"),
        (".", 0o1777, None),  # nobody can move what is there
        ("state", 0o755, "others may look into state (0755): the pump makes it 0700 when it starts"),
        ("state", 0o700, None),
        ("events.jsonl", 0o644, "everybody may read events.jsonl (0644)"),
        ("events.jsonl", 0o640, None),
    ],
)
def test_check_reports_what_others_may_do(tmp_path: Path, folder: str, mode: int, words: str | None) -> None:
    home = tmp_path / "home"
    (home / "state" / "media").mkdir(0o700, parents=True)
    (home / "state").chmod(0o700)
    for name in ("events.jsonl", "archive.db"):
        (home / name).touch(0o640)
    (home / "pump.toml").write_text(CONFIG)
    (home / folder).chmod(mode)
    done = subprocess.run(
        [sys.executable, "-m", "pump", "check"], cwd=home, env=ENVIRON, capture_output=True, text=True, check=True
    )
    if words is None:
        assert "everybody" not in done.stderr
        assert "others" not in done.stderr
    else:
        assert words.format(folder=home) in done.stderr
