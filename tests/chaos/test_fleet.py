"""Many cameras in one process, each a source of its own: one is added by a line, and one that fails fails alone.

CI's form is small; PUMP_FLEET=500 is the large one, with PUMP_FIGURES its memory and its processor.
"""

from __future__ import annotations

import asyncio
import os
import resource
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

import orjson

from pump.core.clock import Clock
from pump.runtime.descriptors import raise_limit
from pump.testing.brokers import free_port
from pump.vendors.hik_camera.simulator.server import PULSES, Simulator
from tests.chaos.test_reload_under_load import Pump

CAMERAS: Final = int(os.environ.get("PUMP_FLEET", "20"))
EVENTS: Final = 10
"""Of each camera, one after the other."""


def write(folder: Path, port: int, cameras: list[Simulator], *, wrong: int | None = None) -> None:
    """A pump.toml whose one table names them all, in a CSV file; `wrong` has another's password."""
    rows = ["device,address,password,area"]
    rows += [
        f"c{number},{camera.url.removeprefix('http://')},{'' if number != wrong else 'not-its-own'},P{number % 7}"
        for number, camera in enumerate(cameras)
    ]
    (folder / "cameras.csv").write_text("\n".join(rows) + "\n")
    (folder / "pump.toml").write_text(
        f'[pump]\nsite = "chaos"\nstate_dir = "{folder}/state"\n[ops]\nlisten = "127.0.0.1:0"\n'
        f'[server]\nlisten = "127.0.0.1:{port}"\n[sources.gate]\ntype = "avaeye"\nallow = ["127.0.0.0/8"]\n'
        '[sources.yard]\ntype = "hik-camera"\npassword = "Camera-1"\ndevices = "cameras.csv"\n'
        f'[sinks.out]\ntype = "jsonl"\npath = "{folder}/out.jsonl"\n'
    )


async def states(pump: Pump) -> dict[str, dict[str, Any]]:
    parts = (await pump.ask("status"))["components"]
    return {part["name"]: part for part in parts if part["name"].startswith("source yard-")}


def used(pid: int) -> tuple[float, int]:
    """(seconds of the processor, bytes in memory) of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    resident = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"), resident


async def test_a_fleet_of_cameras(tmp_path: Path) -> None:
    raise_limit()
    async with AsyncExitStack() as stack:
        cameras = [await stack.enter_async_context(Simulator(clock=Clock())) for _ in range(CAMERAS + 1)]
        *fleet, late = cameras
        port = free_port()
        write(tmp_path, port, fleet, wrong=3)
        pump = Pump(tmp_path, port)
        try:
            await pump.up()
            await asyncio.gather(*(camera.connected(1) for number, camera in enumerate(fleet) if number != 3))
            while (now := await states(pump))["source yard-c3"]["state"] != "down":
                await asyncio.sleep(0.05)
            assert [name for name, part in now.items() if part["state"] == "down"] == ["source yard-c3"]

            write(tmp_path, port, cameras)  # one line more, and the right password
            result = await pump.ask("reload")
            assert result["changed"] == {"sources_added": [f"yard-c{CAMERAS}"], "sources_changed": ["yard-c3"]}
            await asyncio.gather(late.connected(1), fleet[3].connected(1))
            assert [len(camera.account.streams) for camera in cameras] == [1] * (CAMERAS + 1)

            before, begun = used(pump.process.pid), asyncio.get_running_loop().time()
            for _ in range(EVENTS):
                for camera in cameras:
                    camera.emit(PULSES[0])
                await asyncio.gather(*(camera.drained() for camera in cameras))
            made = {f"yard-c{number}": len(camera.account.made) for number, camera in enumerate(cameras)}
            while (counts := (await pump.ask("status"))["sources"]) and any(
                counts[name]["events"] <= count
                for name, count in made.items()  # "up" is one too
            ):
                await asyncio.sleep(0.1)
            took = asyncio.get_running_loop().time() - begun
            after = used(pump.process.pid)
            if os.environ.get("PUMP_FIGURES"):
                await asyncio.sleep(10.0)
                idle = used(pump.process.pid)
                print(
                    f"\n{CAMERAS + 1} cameras: {idle[1] >> 20} MiB; idle {(idle[0] - after[0]) * 10:.1f} % of a core "
                    f"(heartbeats alone); {sum(made.values())} events in {took:.1f} s, "
                    f"{1000 * (after[0] - before[0]) / sum(made.values()):.2f} ms of the processor each"
                )
        finally:
            code = pump.end()
        assert code == 0
    lines = [orjson.loads(line) for line in (tmp_path / "out.jsonl").read_bytes().splitlines()]
    events = [line for line in lines if "raw" in line["data"]]
    for number in range(CAMERAS + 1):
        own = [line for line in events if line["source"] == f"/chaos/yard-c{number}"]
        assert len(own) == made[f"yard-c{number}"]
        assert {line["data"]["place"]["area"] for line in own} == {f"P{number % 7}"}
