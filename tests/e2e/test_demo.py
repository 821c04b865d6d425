"""What a newcomer sees: events as JSON lines, faults told, a table at the end, nothing left behind."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import jsonschema
import orjson

from pump.schema import event_schema


def _demo(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "pump", "demo", *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={"PATH": "/usr/bin:/bin", "TMPDIR": str(folder)},
    )  # fmt: skip


def test_the_demo_streams_valid_events_makes_faults_and_ends_with_a_table(tmp_path: Path) -> None:
    with _demo(tmp_path, "--duration", "10s", "--json") as demo:
        out, err = demo.communicate(timeout=100)
    assert demo.returncode == 0, err
    events = [orjson.loads(line) for line in out.splitlines()]
    validator = jsonschema.Draft202012Validator(event_schema())
    for event in events:
        validator.validate(event)
    assert len({(event["source"], event["id"]) for event in events}) == len(events)
    assert sum(event["source"] == "/demo/hik-connect" for event in events) > 20
    assert "the vendor let the token die" in err
    assert "handed a completed batch out again" in err
    head, *rows = [line.split() for line in err.splitlines() if line and not line.startswith("--")]
    assert " ".join(head) == "source events duplicates dropped redeliveries latency p50 p99"
    row = next(row for row in rows if row[0] == "hik-connect")
    assert int(row[1]) > 20
    assert int(row[2]) == int(row[3]) > 0  # each redelivery was dropped as a duplicate
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_ends_the_demo_with_its_table(tmp_path: Path) -> None:
    with _demo(tmp_path, "--json") as demo:
        assert demo.stdout is not None
        demo.stdout.readline()
        demo.send_signal(signal.SIGINT)
        _, err = demo.communicate(timeout=60)
    assert demo.returncode == 0, err
    assert "redeliveries" in err
    assert list(tmp_path.iterdir()) == []
