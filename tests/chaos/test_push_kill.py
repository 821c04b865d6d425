"""A daemon that dies while cameras push: what was answered 200 stands in the file, exactly once."""

from __future__ import annotations

import asyncio
import sys
import time
import urllib.request
from collections import Counter
from datetime import datetime
from pathlib import Path

import orjson
import pytest

from tests.bench.push_load import CONFIG, Load, Server, capture, drive, stored
from tests.chaos.site import patient


def _start(folder: Path) -> Server:
    return Server([sys.executable, "-m", "pump", "run", "-c", str(folder / "pump.toml")])


async def _killed_in_the_middle(server: Server, run: str) -> Load:
    """Load from 64 connections until the server dies, some time after the first answers."""
    answered = asyncio.Event()

    def body(connection: int, number: int) -> bytes | None:
        if number:  # the one before it was answered
            answered.set()
        return capture(connection, number, run=run)

    load = asyncio.create_task(drive(server.port, 64, 60.0, body))
    async with asyncio.timeout(60.0):
        await answered.wait()
    await asyncio.sleep(0.3)  # a random point is meant: nothing waits for it
    await asyncio.to_thread(server.end, kill=True)
    return await load


@pytest.mark.parametrize("kills", [2])
def test_every_answered_capture_is_in_the_file_once(tmp_path: Path, kills: int) -> None:
    (tmp_path / "pump.toml").write_text(CONFIG.format(folder=tmp_path, server="", sink=""))
    answered: list[str] = []
    for run in range(kills):
        load = asyncio.run(_killed_in_the_middle(_start(tmp_path), str(run)))
        assert load.answered
        answered += load.answered
    server = _start(tmp_path)

    # the cameras try again what they have no answer to, and all that the last run was answered once more
    async def again() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        for record in answered[-500:]:
            run, connection, number = map(int, record.split("-"))
            body = capture(connection, number, run=str(run))
            writer.write(
                b"POST /api/upark/capture HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body
            )
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200")
            await reader.readexactly(int(head.lower().split(b"content-length:")[1].split()[0]))
        writer.close()

    asyncio.run(again())
    assert server.end() == 0  # a stop drains the sinks
    lines = Counter(stored(tmp_path / "events.jsonl"))
    assert set(answered) <= lines.keys()
    assert set(lines.values()) == {1}


def _device_events(folder: Path) -> list[tuple[str, float]]:
    """(type, when) of the camera's turns, in the file's order."""
    output = folder / "events.jsonl"
    lines = output.read_bytes().split(b"\n")[:-1] if output.exists() else []
    found = [orjson.loads(line) for line in lines]
    return [
        (event["type"], datetime.fromisoformat(event["time"]).timestamp())
        for event in found
        if event["type"].startswith("device.")
    ]


@pytest.mark.parametrize("kill", [True, pytest.param(False, marks=pytest.mark.long)], ids=["killed", "stopped"])
def test_a_silent_camera_is_offline_once_across_a_restart(tmp_path: Path, kill: bool) -> None:
    (tmp_path / "pump.toml").write_text(CONFIG.format(folder=tmp_path, server="", sink=""))
    server = _start(tmp_path)
    body = orjson.dumps({"parkId": "1", "deviceId": "2", "params": {"keepalive": 2}})
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/api/upark/basicinfo", data=body) as answer:
        assert answer.status == 200
    time.sleep(3)  # the time spent listening is what is tested
    server.end(kill=kill)
    stopped = time.time()
    time.sleep(2)
    restarted = time.time()
    server = _start(tmp_path)
    patient(lambda: len(_device_events(tmp_path)) == 2, "the camera's going")
    time.sleep(2)
    assert server.end() == 0
    (online, came), (offline, went) = _device_events(tmp_path)
    assert (online, offline) == ("device.online", "device.offline")
    # later on a slow machine, which starts slowly and looks seldom; sooner never, for nobody listened in between
    assert went - came - (restarted - stopped) >= 5.0
