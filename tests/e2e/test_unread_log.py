"""A daemon whose standard error nobody reads: a pager, Ctrl-S, a container's log driver that is stuck."""

from __future__ import annotations

import fcntl
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import orjson

from pump.testing.brokers import free_port
from tests.environ import BARE

_CAMERAS = 40
_CONFIG = """
[pump]
site = "north"
state_dir = "{folder}/state"
[ops]
listen = "127.0.0.1:{ops}"
[sinks.out]
type = "jsonl"
path = "{folder}/events.jsonl"
"""
_CAMERA = """
[sources.camera{number}]
type = "hik-camera"
url = "http://127.0.0.{number}:{dead}"
username = "admin"
password = "Camera-1"
"""


def test_a_log_that_nobody_reads_stops_nothing_and_is_whole_when_it_is_read(tmp_path: Path) -> None:
    ops, dead = free_port(), free_port()
    cameras = (_CAMERA.format(number=number, dead=dead) for number in range(1, 1 + _CAMERAS))
    config = tmp_path / "pump.toml"
    config.write_text(_CONFIG.format(folder=tmp_path, ops=ops) + "".join(cameras))
    command = [sys.executable, "-m", "pump", "run", "-c", str(config)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, env=BARE) as daemon:
        try:
            assert daemon.stderr is not None
            fcntl.fcntl(daemon.stderr, fcntl.F_SETPIPE_SZ, 4096)
            while lost(ops) < _CAMERAS:  # each has its line in the log, which is many times what the pipe takes
                assert daemon.poll() is None
                time.sleep(0.05)
            assert [lost(ops) for _ in range(3)] == [_CAMERAS] * 3, "it goes on"
            daemon.send_signal(signal.SIGTERM)
            lines = [orjson.loads(line) for line in daemon.stderr]
            assert daemon.wait() == 0
        finally:
            daemon.kill()
    named = {line.get("source") for line in lines if line["event"] == "The source is down"}
    assert named == {f"camera{number}" for number in range(1, 1 + _CAMERAS)}
    assert lines[-1]["event"] == "The pump has stopped"


def lost(ops: int) -> int:
    """The cameras that the pump has missed, by its metrics; 0 while it does not answer yet."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{ops}/metrics", timeout=30) as answer:
            text = answer.read().decode()
    except (urllib.error.URLError, ConnectionError):
        return 0
    assert "\npump_log_lines_lost_total 0.0\n" in text
    return len({line.split('"')[1] for line in text.splitlines() if line.startswith("pump_source_incidents_total{")})
