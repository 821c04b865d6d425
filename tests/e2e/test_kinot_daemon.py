"""The daemon as a process of its own between the simulated Kinot and a file: killed in the middle, asked for a test."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from pump.core.clock import Clock
from pump.testing.brokers import free_port
from pump.vendors.kinot.simulator.server import Simulator

ENVIRON = {name: value for name, value in os.environ.items() if name not in {"STATE_DIRECTORY", "JOURNAL_STREAM"}}


def configured(folder: Path, kinot: Simulator, port: int) -> Path:
    file = folder / "pump.toml"
    file.write_text(
        f"""
[pump]
site = "north"
state_dir = "{folder / "state"}"
[ops]
listen = "127.0.0.1:0"
[server]
listen = "127.0.0.1:{port}"
[sources.bays]
type = "kinot"
server = "{kinot.url}"
app_key = "ak"
app_secret = "${{KINOT_SECRET}}"
callback_base = "http://127.0.0.1:{port}"
snapshot = "1s"
[sinks.out]
type = "jsonl"
path = "{folder / "events.jsonl"}"
""",
        encoding="utf-8",
    )
    return file


@asynccontextmanager
async def daemon(file: Path) -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "pump", "run", "-c", str(file),
        env={**ENVIRON, "KINOT_SECRET": "sk"}, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
            await process.wait()


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(60.0):
        while not condition():
            await asyncio.sleep(0.02)


def told(folder: Path) -> list[dict[str, Any]]:
    path = folder / "events.jsonl"
    lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
    return [event for event in map(json.loads, lines) if event["source"] == "/north/bays"]


def states(events: list[dict[str, Any]]) -> dict[str, bool]:
    found: dict[str, bool] = {}
    for event in events:
        if event["type"].startswith("parking.space"):
            occupied = event["type"] == "parking.space.occupied"
            assert found.get(event["subject"]) != occupied, "no change is told twice"
            found[event["subject"]] = occupied
    return found


async def test_a_kill_in_the_middle_loses_no_change_and_tells_none_twice(tmp_path: Path) -> None:
    async with Simulator(clock=Clock(), bays=40, retries=(0.05,) * 400) as kinot:
        file = configured(tmp_path, kinot, free_port())
        platform = kinot.platform

        def acknowledged() -> int:
            return sum(callback.acknowledged for callback in platform.callbacks)

        async with daemon(file) as process:
            await until(lambda: len(states(told(tmp_path))) == 40)
            traffic = asyncio.create_task(kinot.traffic(150, curve=False))
            await until(lambda: acknowledged() > 200)
            process.kill()
            await process.wait()
        done = [callback for callback in platform.callbacks if callback.acknowledged]
        async with daemon(file):
            before = acknowledged()
            await until(lambda: acknowledged() > before + 200)
            traffic.cancel()
            await asyncio.wait({traffic})
            await until(lambda: not platform.open)
            bays = {
                f"{'lock' if bay.lock else 'sensor'}/{bay.sn}": bool(bay.flags["car_detected"])
                for bay in kinot.fleet.bays.values()
            }

            def missing() -> list[Any]:
                """What was answered with code 0 before the kill, and neither it nor what came later is in the file.

                One that came before the one that it follows may have changed nothing: then the file has its state.
                """
                latest: dict[str, tuple[str, bool]] = {}
                for event in told(tmp_path):
                    if event["type"].startswith("parking.space") and "updated_at" in event["data"].get("raw", {}):
                        raw, occupied = event["data"]["raw"], event["type"] == "parking.space.occupied"
                        latest[str(raw["sn"])] = max(
                            (raw["updated_at"], occupied), latest.get(str(raw["sn"]), ("", False))
                        )
                answered = [json.loads(callback.body) for callback in done]
                return [
                    body
                    for body in answered
                    if (found := latest.get(str(body["sn"]), ("", False)))[0] < body["updated_at"]
                    and found[1] != (str(body["car_detected"]) == "1")
                ]

            # a bay may be as it ends before it was so for the last time: the file has the rest a moment later
            await until(lambda: states(told(tmp_path)) == bays and not missing())
        found = told(tmp_path)
        assert len(found) == len({event["id"] for event in found})


async def pump(*arguments: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "pump", *arguments,
        env={**ENVIRON, "KINOT_SECRET": "sk"}, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def test_a_test_callback_comes_to_the_running_daemon(tmp_path: Path) -> None:
    async with Simulator(clock=Clock(), bays=3, retries=()) as kinot:
        port = free_port()
        file = configured(tmp_path, kinot, port)
        sensor = kinot.fleet.sensors[0].sn
        code, out, _ = await pump("test-callback", "bays", "-c", str(file), "--sn", str(sensor))
        assert (code, out) == (1, f"device {sensor}, no address: no callback url\n")
        async with daemon(file):
            await until(lambda: len(states(told(tmp_path))) == 3)
            code, out, _ = await pump("test-callback", "bays", "-c", str(file), "--callback", "command")
            assert code == 0
            assert f"http://127.0.0.1:{port}/kinot/bays/command: sent" in out
            await until(lambda: [event for event in told(tmp_path) if event["type"] == "command.result"])
            code, out, _ = await pump("test-callback", "bays", "-c", str(file), "--json")
            assert (code, json.loads(out)["error_detail"]) == (0, "sent")
            await until(lambda: not kinot.platform.open)
            assert [callback.acknowledged for callback in kinot.platform.callbacks] == [True, True]
        kinot.take_over()
        code, out, err = await pump("test-callback", "bays", "-c", str(file), "--sn", str(sensor))
        assert (code, out) == (1, f"device {sensor}, http://127.0.0.1:9/other/status: sent\n")
        assert f"not the address of this source, http://127.0.0.1:{port}/kinot/bays/status: another client" in err
        for arguments, words in (
            (("nobody",), "has no source nobody"),
            (("bays", "--sn", "5"), "Kinot has no such record"),
        ):
            code, _, err = await pump("test-callback", *arguments, "-c", str(file))
            assert code == 1
            assert words in err


async def test_bays_are_named_from_a_csv_and_a_broken_one_is_told_by_check(tmp_path: Path) -> None:
    async with Simulator(clock=Clock(), bays=3, retries=()) as kinot:
        file = configured(tmp_path, kinot, free_port())
        text = file.read_text().replace('snapshot = "1s"', 'snapshot = "1s"\nbays = "bays.csv"')
        file.write_text(text, encoding="utf-8")
        names = {str(sn): f"B{number}" for number, sn in enumerate(kinot.fleet.bays)}
        rows = [f"{sn},{space},P1,north" for sn, space in names.items()]
        (tmp_path / "bays.csv").write_text("\n".join(["sn,space,area,lot", *rows[:2], "7", *rows[2:]]))
        code, _, err = await pump("check", "-c", str(file))
        assert code == 78
        assert "pump.toml:16: sources.bays.bays: the CSV file bays.csv has mistakes: line 4: 1 cells" in err
        (tmp_path / "bays.csv").write_text("\n".join(["sn,space,area,lot", *rows]))
        code, _, _ = await pump("check", "-c", str(file))
        assert code == 0
        async with daemon(file):
            await until(lambda: len(states(told(tmp_path))) == 3)
        for event in told(tmp_path):
            if event["type"].startswith("parking."):
                place = {"space": names[event["data"]["device"]["id"]], "area": "P1", "lot": "north"}
                assert event["data"]["place"] == place
