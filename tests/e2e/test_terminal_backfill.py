"""A terminal's search by `pump backfill`, and the end of the process amid its pages, as its own process."""

from __future__ import annotations

import json
import signal
from pathlib import Path

from pump.core.clock import Clock
from pump.ingest.gaps import BY_HAND
from pump.spool import Spool, SpoolSettings
from pump.telemetry.metrics import Metrics
from pump.vendors.hik_camera.simulator.server import Quirks, Simulator
from tests.e2e.test_subscribe_command import pump, start, until

CONFIG = """
[pump]
site = "north"
state_dir = "state"
[ops]
listen = "127.0.0.1:0"
[sources.door]
type = "hik-camera"
url = "{url}"
password = "Camera-1"
[sinks.out]
type = "jsonl"
path = "events.jsonl"
"""


def serials(folder: Path) -> list[int]:
    path = folder / "events.jsonl"
    lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
    events = [json.loads(line) for line in lines]
    return [event["data"]["raw"]["serialNo"] for event in events if event["data"].get("reconciled")]


async def test_a_kill_amid_the_pages_of_a_search_repeats_and_loses_nothing(tmp_path: Path) -> None:
    async with Simulator(clock=Clock(), quirks=Quirks(search=True)) as device:
        for _ in range(150):
            device.emit("access")
        (tmp_path / "pump.toml").write_text(CONFIG.format(url=device.url), encoding="utf-8")
        daemon = await start(tmp_path, "run", quiet=True)
        try:
            await until(lambda: device.streams)
            asking = await start(tmp_path, "backfill", "door", "--since", "1h", quiet=True)
            await until(lambda: len(device.log.asked) >= 2)
        finally:
            daemon.kill()
            await daemon.wait()
        await asking.wait()
        assert len({one.search for one in device.log.asked}) == 1
        daemon = await start(tmp_path, "run", quiet=True)
        try:
            await until(lambda: len({one.search for one in device.log.asked}) == 2 and len(serials(tmp_path)) >= 150)
        finally:
            daemon.send_signal(signal.SIGTERM)
            await daemon.wait()
    assert sorted(serials(tmp_path)) == list(range(1, 151))
    spool = await Spool.open(tmp_path / "state", SpoolSettings(), clock=Clock(), metrics=Metrics())
    try:
        gaps = await spool.gaps.read(source="door")
    finally:
        await spool.close()
    assert sum(gap.filled for gap in gaps) == 150
    assert BY_HAND in {gap.reason for gap in gaps}


async def test_a_camera_without_a_search_says_so(tmp_path: Path) -> None:
    async with Simulator(clock=Clock()) as device:
        (tmp_path / "pump.toml").write_text(CONFIG.format(url=device.url), encoding="utf-8")
        daemon = await start(tmp_path, "run", quiet=True)
        try:
            await until(lambda: device.streams)
            done = await pump(tmp_path, "backfill", "door", "--since", "1h")
        finally:
            daemon.send_signal(signal.SIGTERM)
            await daemon.wait()
    assert "offers no search for access events" in done.out + done.err
