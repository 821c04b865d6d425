"""Reloads while events come: none is lost or twice, and connections of what did not change stay the same sockets.

CI's form is short; PUMP_RELOADS=50 PUMP_RELOAD_RATE=1000 is the long one, with PUMP_FIGURES its figures.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, Final

import aiohttp
import orjson

from pump.core.clock import Clock
from pump.ops.control import ask
from pump.testing.brokers import free_port
from pump.vendors.hik_camera.simulator.server import PULSES, Simulator
from tests.bench.push_load import capture, drive
from tests.environ import BARE

RELOADS: Final = int(os.environ.get("PUMP_RELOADS", "10"))
"""A fifth of them with a file that cannot be used."""
RATE: Final = int(os.environ.get("PUMP_RELOAD_RATE", "150"))
"""Events a second of the source that is reloaded itself; the pushes come beside it."""
DEVICES: Final = 4 if RATE < 1000 else 16
UNCHANGED: Final = ("source gate", "source door", "sink out", "push listener", "commands", "announcer")
"""Parts that no turn changes."""

_WRONG: Final = (
    '[sources.more]\ntype = "numbres"\n',
    "[sinks.more\n",
    '[sinks.more]\ntype = "jsonl"\npath = "{folder}/none/more.jsonl"\n',
    "[pump2]\n",
)
"""Tables that spoil a file."""


def text(folder: Path, port: int, camera: str, turn: int) -> str:
    """The pump.toml of a turn: `out`, `gate` and `door` are the same in each; a turn of five is wrong."""
    copy = f'[sinks.copy]\ntype = "jsonl"\npath = "{folder}/copy.jsonl"\nbatch_size = {50 + turn}\n' if turn % 3 else ""
    wrong = _WRONG[turn // 5 % len(_WRONG)].replace("{folder}", str(folder)) if turn % 5 == 4 else ""
    return f"""
[pump]
site = "chaos"
state_dir = "{folder}/state"
[ops]
listen = "127.0.0.1:0"
[server]
listen = "127.0.0.1:{port}"
device_rate = 0.0
body_timeout = "{60 + turn % 2}s"
[sources.gate]
type = "avaeye"
park_ids = ["10000"]
[sources.side]
type = "avaeye"
park_ids = ["20000"]
time_zone = "{("Europe/Paris", "Asia/Tokyo")[turn % 2]}"
[sources.door]
type = "hik-camera"
url = "{camera}"
password = "Camera-1"
[sources.numbers]
type = "numbers"
interval = "20ms"
batch = {max(1, RATE // 50)}
names = {{ n = {{ name = "turn {turn // 2}" }} }}
[commands]
per_minute = {12 + turn % 4}
[sinks.out]
type = "jsonl"
path = "{folder}/out.jsonl"
{copy}{wrong}
"""


def body(connection: int, number: int, *, over: asyncio.Event) -> bytes | None:
    """A capture of the park 10000, or of 20000 where the connection's number is odd."""
    if over.is_set():
        return None
    made = capture(connection, number, size=700)
    return made.replace(b'"parkId":"10000"', b'"parkId":"20000"') if connection % 2 else made


class Pump:
    """The daemon, a process of its own."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.port = folder, port
        self._log = (folder / "log").open("ab")
        command = [sys.executable, "-m", "pump.testing.standins", "-c", str(folder / "pump.toml")]
        self.process = subprocess.Popen(command, stderr=self._log, env=BARE)

    def end(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(60)
        finally:
            self.process.kill()
            self.process.wait()
            self._log.close()

    async def ask(self, command: str) -> dict[str, Any]:
        return await asyncio.to_thread(ask, self.folder / "state", command, {}, lambda _: None)

    async def up(self) -> None:
        """Wait until devices are answered."""
        async with aiohttp.ClientSession() as session:
            while True:
                assert self.process.poll() is None, (self.folder / "log").read_text()
                try:
                    await session.get(f"http://127.0.0.1:{self.port}/")
                    return
                except aiohttp.ClientError:
                    await asyncio.sleep(0.05)

    async def more(self, count: int) -> None:
        """Wait until so many more events are stored."""
        wanted = (await self.ask("status"))["spool"]["head"] + count
        while (await self.ask("status"))["spool"]["head"] < wanted:
            await asyncio.sleep(0.02)


async def test_reloads_under_load_lose_nothing_and_cut_nobody_off(tmp_path: Path) -> None:
    port, over = free_port(), asyncio.Event()
    refused = 0
    async with Simulator(clock=Clock()) as camera:
        write = partial(text, tmp_path, port, camera.url)
        (tmp_path / "pump.toml").write_text(write(1))
        pump = Pump(tmp_path, port)
        try:
            await pump.up()
            await camera.connected(1)
            pushing = asyncio.create_task(drive(port, DEVICES, 3600.0, partial(body, over=over)), name="devices")
            seen: list[dict[str, Any]] = []
            while not {*UNCHANGED} <= {part["name"] for part in seen if part["state"] == "up"}:
                seen = (await pump.ask("status"))["components"]
            for turn in range(RELOADS):
                await pump.more(RATE // 10)
                (tmp_path / "pump.toml").write_text(write(turn))
                camera.emit(PULSES[0])
                if turn % 7 == 3:
                    pump.process.send_signal(signal.SIGHUP)  # one more, at the same time or before
                result = await pump.ask("reload")
                refused += bool(result["reasons"])
                assert bool(result["reasons"]) == (turn % 5 == 4), result
                assert not result["late"]
            (tmp_path / "pump.toml").write_text(write(1))
            assert (await pump.ask("reload"))["ok"]
            await pump.more(RATE // 10)
            status = await pump.ask("status")
            over.set()
            load = await pushing
            while (await pump.ask("status"))["sources"]["door"]["events"] <= len(camera.account.made):  # and "up"
                await asyncio.sleep(0.02)
        finally:
            code = pump.end()
        assert code == 0
        assert (len(camera.account.streams), load.refused, load.cut) == (1, 0, 0)
    assert refused == RELOADS // 5
    _unchanged(seen, status["components"])
    with closing(sqlite3.connect(tmp_path / "state" / "spool.db")) as spool:
        ((stored,),) = spool.execute("SELECT value FROM state WHERE (source, key) = ('numbers', 'next')").fetchall()
    stored = int(stored)
    for file in ("out.jsonl", "copy.jsonl"):
        lines = [orjson.loads(line) for line in (tmp_path / file).read_bytes().splitlines()]
        ids = [(line["source"], line["id"]) for line in lines]
        assert len(ids) == len({*ids}), file
        passes = [line for line in lines if line["type"] == "vehicle.passed"]
        numbers = [one["data"]["raw"]["number"] for one in passes if one["source"] == "/chaos/numbers"]
        assert numbers == [*range(stored)], file
        pushed = [one for one in passes if one["source"] in ("/chaos/gate", "/chaos/side")]
        assert len({one["source"] for one in pushed}) == 2
        assert {one["data"]["raw"]["params"]["recordId"] for one in pushed} == {*load.answered}, file
        streamed = [one for one in lines if one["source"] == "/chaos/door" and "raw" in one["data"]]
        assert len(streamed) == len(camera.account.made), file
    if os.environ.get("PUMP_FIGURES"):
        print(
            f"\n{RELOADS} reloads, {refused} refused; {len(lines)} events, {len(load.answered)} pushed at "
            f"{load.rate:.0f}/s over {DEVICES} connections, p99 {load.quantile(0.99) * 1000:.0f} ms, longest "
            f"{max(load.seconds) * 1000:.0f} ms"
        )


def _unchanged(before: list[dict[str, Any]], after: list[dict[str, Any]]) -> None:
    """Such parts have never left the state that they had."""
    since = {part["name"]: part["since"] for part in before}
    now = {part["name"]: part["since"] for part in after}
    for name in UNCHANGED:
        assert now[name] == since[name], name
