"""How `pump run` ends where it cannot begin, and where it is stopped before it has begun."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ENVIRON = {name: value for name, value in os.environ.items() if name not in {"STATE_DIRECTORY", "JOURNAL_STREAM"}}
SLOW = """
import os
os.write(1, b"x")
os.read(0, 1)
raise SystemExit("it was not stopped while it loaded")
"""
PUSHED = """
[server]
tls_cert = "{folder}/cert.pem"
tls_key = "{folder}/key.pem"
[sources.gate]
type = "avaeye"
allow = ["10.0.0.0/8"]
"""
LACKING = {
    "a certificate": PUSHED,
    "a folder": '[pump]\nstate_dir = "{folder}/pump.toml/state"\n',
    "a secret's file": '[sources.t]\ntype = "kinot"\nregister_callbacks = false\napp_key = "k"\n'
    'app_secret = {{ file = "{folder}/none" }}\n',
    "a table of names": '[sources.gate]\ntype = "avaeye"\nallow = ["10.0.0.0/8"]\nnames = "none.csv"\n',
    "a group": '[pump]\ncontrol_group = "no-such-group"\n',
}


def run(folder: Path, text: str, *, descriptors: int | None = None) -> subprocess.CompletedProcess[str]:
    """`pump run` with this configuration, to its end."""
    (folder / "pump.toml").write_text(text.replace("{folder}", str(folder)).replace("{{", "{").replace("}}", "}"))

    limit = "" if descriptors is None else f"ulimit -n {descriptors} && "
    command = ["sh", "-c", f'{limit}exec "$@"', "sh", sys.executable, "-m", "pump", "run"]
    return subprocess.run(command, cwd=folder, env=ENVIRON, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("what", LACKING)
def test_what_only_the_machine_lacks_ends_with_1_and_is_started_again(tmp_path: Path, what: str) -> None:
    done = run(tmp_path, LACKING[what])
    assert (done.returncode, done.stdout) == (1, ""), done.stderr
    assert "Traceback" not in done.stderr


def test_a_wrong_word_beside_it_ends_with_78(tmp_path: Path) -> None:
    assert run(tmp_path, LACKING["a secret's file"] + "snapshto = 1\n").returncode == 78


def test_without_descriptors_it_ends_with_1(tmp_path: Path) -> None:
    done = run(tmp_path, '[sinks.out]\ntype = "jsonl"\npath = "out.jsonl"\n', descriptors=24)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "pump cannot start: Too many open files; systemd starts it again\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_a_stop_while_it_still_loads_ends_with_0(tmp_path: Path, number: signal.Signals) -> None:
    (tmp_path / "click.py").write_text(SLOW)  # stands for the libraries that take their time
    environ = {**ENVIRON, "PYTHONPATH": f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    command = [sys.executable, "-c", "import sys; sys.argv[1:] = ['run']; from pump.__main__ import main; main()"]
    with subprocess.Popen(command, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.read(1) == b"x"
        process.send_signal(signal.SIGHUP)
        process.send_signal(number)
        assert process.wait() == 0


def test_a_daemon_whose_standard_streams_are_closed_runs_and_keeps_their_numbers_from_its_files(tmp_path: Path) -> None:
    (tmp_path / "pump.toml").write_text(f'[pump]\nstate_dir = "{tmp_path}/state"\n[ops]\nlisten = "127.0.0.1:0"\n')
    command = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", sys.executable, "-m", "pump", "run"]
    environ = {**ENVIRON, "LD_PRELOAD": ""}  # what turns the clock opens a file of its own before anything else
    with subprocess.Popen(command, cwd=tmp_path, env=environ) as process:
        while not (tmp_path / "state" / "control.sock").exists():
            assert process.poll() is None
            time.sleep(0.02)
        streams = [os.readlink(f"/proc/{process.pid}/fd/{number}") for number in range(3)]
        process.send_signal(signal.SIGTERM)
    assert (streams, process.returncode) == (["/dev/null"] * 3, 0)
