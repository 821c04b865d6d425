"""The daemon as a process of its own between cameras that push and the simulated parking lot: killed, and asked."""

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
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp

from pump.core.clock import Clock
from pump.sinks.tuya.simulator import Cloud, Lot, Own
from pump.sinks.tuya.simulator.server import CLIENT_ID, DEVICE, SECRET
from pump.testing.brokers import free_port

ENVIRON = {name: value for name, value in os.environ.items() if name not in {"STATE_DIRECTORY", "JOURNAL_STREAM"}}
WINDOW_MS = 10_000


def configured(folder: Path, cloud: Cloud, port: int) -> Path:
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
[sources.gate]
type = "avaeye"
park_ids = ["10000"]
[sinks.lot]
type = "tuya"
host = "{cloud.url}"
client_id = "{CLIENT_ID}"
client_secret = "${{TUYA_SECRET}}"
device_id = "{DEVICE}"
directions = {{ "10000/1001" = "in", "10000/1002" = "out" }}
window = "10s"
lag = "500ms"
""",
        encoding="utf-8",
    )
    return file


@asynccontextmanager
async def daemon(file: Path, log: Path) -> AsyncIterator[Process]:
    with log.open("ab") as errors:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "pump", "run", "-c", str(file), env={**ENVIRON, "TUYA_SECRET": SECRET}, stderr=errors
        )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
            await process.wait()


async def until(condition: Callable[[], object]) -> None:
    while not condition():
        await asyncio.sleep(0.02)


class Road:
    """Vehicles that a lot counts, and cameras that report them to the pump until they are answered."""

    def __init__(self, lot: Lot, port: int, session: aiohttp.ClientSession) -> None:
        self.lot, self.session = lot, session
        self.url = f"http://127.0.0.1:{port}/api/upark/capture"
        self.again: list[asyncio.Task[None]] = []

    async def vehicle(self, number: int, at: int, *, forgotten: bool = False) -> None:
        """One passes in (even numbers) or out; the capture of a forgotten one is only reported when it is asked for."""
        params = {
            "recordId": f"r{number}", "picTime": datetime.fromtimestamp(at / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S"),
            "plateNo": f"A{number:05}", "captureMode": "1",
        }  # fmt: skip
        message = {"version": "1.0", "parkId": "10000", "deviceId": str(1001 + number % 2), "params": params}
        asked = lambda: self.again.append(asyncio.create_task(self._report(message)))  # noqa: E731
        self.lot.saw(Own(at, f"r{number}", asked), direction=number % 2)
        if not forgotten:
            await self._report(message)

    async def _report(self, message: dict[str, Any]) -> None:
        while True:
            try:
                async with self.session.post(self.url, json=message) as answer:
                    if answer.status == 200:
                        return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.05)


async def test_a_lot_and_a_pump_that_is_killed_agree_in_the_end_and_a_person_can_see_it(tmp_path: Path) -> None:
    lot, port, log = Lot(), free_port(), tmp_path / "daemon.log"
    begin = Clock().now_ms() - 60_000
    begin -= begin % WINDOW_MS
    async with Cloud(lots={DEVICE: lot}) as cloud, aiohttp.ClientSession() as session:
        road = Road(lot, port, session)
        file = configured(tmp_path, cloud, port)
        async with daemon(file, log) as process:
            for number in range(20):
                await road.vehicle(number, begin + number % 3 * WINDOW_MS + 1000, forgotten=number == 7)
            process.kill()
            await process.wait()
        async with daemon(file, log):
            for number in range(20, 30):
                await road.vehicle(number, begin + number % 3 * WINDOW_MS + 2000)

            def agreed() -> bool:
                starts = {key[2] for key in lot.newest()}
                return {begin + place * WINDOW_MS for place in range(4)} <= starts and not lot.disagreements()

            await until(agreed)
            assert lot.rereported > 0, "the forgotten one was found"
            await until(lambda: _reconciled(file, begin))
        for task in road.again:
            task.cancel()
        await asyncio.gather(*road.again, return_exceptions=True)
        tokens = list(cloud._tokens)
    text = log.read_text()
    assert SECRET not in text
    assert not any(token in text for token in tokens)
    assert not cloud.refusals


def _reconciled(file: Path, begin: int) -> bool:
    """`pump reconcile` shows the first three windows as accepted; what is stored is a second old at the most."""
    first = datetime.fromtimestamp(begin / 1000, UTC)
    done = subprocess.run(
        [sys.executable, "-m", "pump", "reconcile", "lot", "-c", str(file), "--day", f"{first:%Y-%m-%d}", "--json"],
        capture_output=True, text=True, env=ENVIRON, check=True,
    )  # fmt: skip
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    window = [line for line in lines if datetime.fromisoformat(line["start"]) == first]
    return [line["state"] for line in window] == ["accepted", "accepted"]
