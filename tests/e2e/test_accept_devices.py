"""`pump devices accept` as an operator gives it: the running daemon, the command, and the next start."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path

from tests.bench.push_load import pump
from tests.environ import ALONE


def _command(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pump", "devices", *arguments, "-c", str(folder / "pump.toml")]
    return subprocess.run(command, env={**os.environ, **ALONE}, capture_output=True, text=True, check=False)


def _keepalive(port: int, device: str) -> None:
    body = json.dumps({"parkId": "10000", "deviceId": device, "params": {}}).encode()
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/upark/keepalive", data=body, timeout=60) as answer:
        assert answer.status == 200


def _strangers(folder: Path) -> list[str]:
    lines = _command(folder, "--strangers", "--json").stdout.splitlines()
    return [json.loads(line)["device"] for line in lines]


def test_a_device_is_taken_in_by_a_persons_word_over_restarts(tmp_path: Path) -> None:
    with pump(tmp_path) as server:
        for device in ("1001", "1002"):
            _keepalive(server.port, device)
        assert _strangers(tmp_path) == ["10000/1001", "10000/1002"]
        accepted = _command(tmp_path, "accept", "10000/1001")
        assert (accepted.returncode, accepted.stdout) == (0, "10000/1001 of gate is known\n")
        assert _strangers(tmp_path) == ["10000/1002"]
        head, *lines = _command(tmp_path).stdout.splitlines()
        told = {line.split()[1]: line.split()[-1] for line in lines}
        assert (head.split()[-1], told) == ("stranger", {"10000/1001": "-", "10000/1002": "yes"})
        unheard = _command(tmp_path, "accept", "10000/1003")
        assert unheard.returncode == 1
        assert "--source" in unheard.stderr
    with pump(tmp_path) as server:
        for device in ("1001", "1002"):
            _keepalive(server.port, device)
        assert _strangers(tmp_path) == ["10000/1002"]
        forgotten = _command(tmp_path, "forget", "10000/1001")
        assert (forgotten.returncode, forgotten.stdout) == (0, "10000/1001 of gate is forgotten\n")
        listed = _command(tmp_path, "--json").stdout.splitlines()
        assert [json.loads(line)["device"] for line in listed] == ["10000/1002"]
        _keepalive(server.port, "1001")
        assert _strangers(tmp_path) == ["10000/1001", "10000/1002"]
    without = _command(tmp_path, "accept", "10000/1002")
    assert without.returncode == 1
    assert "no daemon runs" in without.stderr
