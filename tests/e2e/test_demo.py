"""What a newcomer sees: events as JSON lines, faults told, a table at the end, nothing left behind."""

from __future__ import annotations

import fcntl
import select
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import jsonschema
import orjson

from pump.core.schema import event_schema
from tests.environ import BARE


def _demo(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "pump", "demo", *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**BARE, "TMPDIR": str(folder)},
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
    assert "the vendor cancels a subscription" in err
    said, _, told = err.partition("\n\n")
    assert said.startswith("-- simulated here: ")
    told, _, after = told.partition("\n\n")
    assert after.startswith("next: ")
    head, *rows = [line.split() for line in told.splitlines()]
    assert [rows[-2][0], rows[-1][0]] == ["lost", "pictures"]
    assert int(rows[-1][1]) > 5
    assert "windows" in [row[0] for row in rows if row]
    assert "camera 1008 forgets a vehicle before it has reported it" in err
    fetched = [event for event in events if event["type"] == "media.stored"]
    assert {event["source"] for event in fetched} >= {"/demo/hik-connect"}
    assert {event["data"]["updates"] for event in fetched} <= {event["id"] for event in events}
    assert not [event for event in events if event["type"] == "media.failed"]
    assert " ".join(rows[-1]).endswith(f"{len(fetched)} of them fetched from links")
    assert "the host of pictures fails" in err
    assert "filled with" in " ".join(rows[-2])
    assert " ".join(head) == "source events duplicates dropped redeliveries latency p50 p99"
    row = next(row for row in rows if row[0] == "hik-connect")
    assert int(row[1]) > 20
    assert int(row[2]) >= int(row[3]) > 0  # each redelivered batch, of one record or more, was dropped as duplicates
    _devices_pushed(events, err, {row[0]: row for row in rows})
    assert list(tmp_path.iterdir()) == []


def _devices_pushed(events: list[dict[str, Any]], err: str, rows: dict[str, list[str]]) -> None:
    """Cameras and bays were there too, with their faults, and what they sent again was told once."""
    passes = [event for event in events if event["source"] == "/demo/avaeye" and event["type"].startswith("vehicle.")]
    assert len(passes) > 5
    assert len({event["data"]["raw"]["params"]["recordId"] for event in passes}) == len(passes)
    assert {entry["state"] for event in passes for entry in event["data"]["media"]} == {"stored"}
    assert sum(event["source"] == "/demo/avaeye" and event["type"] == "device.online" for event in events) == 8
    assert "gets lost; the camera sends it again" in err
    assert int(rows["avaeye"][1]) >= len(passes) + 8
    assert int(rows["avaeye"][3]) >= int(rows["avaeye"][2]) > 0, "the repeated capture was dropped"
    bays = [event for event in events if event["source"] == "/demo/kinot"]
    spaces = [event for event in bays if event["type"].startswith("parking.space.")]
    assert len({event["subject"] for event in spaces}) == 24, "the snapshot tells every bay"
    pushed = [event for event in spaces if not event["data"]["reconciled"]]
    assert len(pushed) > 5
    assert any(event["type"] == "device.online" and event["subject"].startswith("gateway/") for event in bays)
    assert "a sensor's callback is lost on its way" in err
    assert "the platform sends a callback twice" in err
    assert int(rows["kinot"][1]) == len(bays)
    assert int(rows["kinot"][3]) > 0
    assert not [event for event in bays if "61518-59257" in str(event)], "what opens a lock is never told"


def test_ctrl_c_ends_the_demo_with_its_table(tmp_path: Path) -> None:
    with _demo(tmp_path, "--json") as demo:
        assert demo.stdout is not None
        demo.stdout.readline()
        demo.send_signal(signal.SIGINT)
        _, err = demo.communicate(timeout=60)
    assert demo.returncode == 0, err
    assert "redeliveries" in err
    assert list(tmp_path.iterdir()) == []


def test_the_demo_says_where_its_page_is_which_comes_though_nobody_reads_the_events(tmp_path: Path) -> None:
    with _demo(tmp_path, "--open", "--json") as demo:
        try:
            assert demo.stderr is not None
            assert demo.stdout is not None
            fcntl.fcntl(demo.stdout, fcntl.F_SETPIPE_SZ, 4096)
            said: list[str] = []
            while not any("sign in as demo" in line for line in said):
                line = demo.stderr.readline()
                assert line, said
                said.append(line)
            url = next(line for line in said if "operators' page: " in line).split("page: ")[1].strip()
            select.select([demo.stdout], [], [])  # more than it takes has come
            with urllib.request.urlopen(url, timeout=100) as answer:
                assert "What happens" in answer.read().decode()
        finally:
            demo.send_signal(signal.SIGINT)
            demo.communicate(timeout=100)
    assert demo.returncode == 0
