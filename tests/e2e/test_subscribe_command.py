"""`pump subscribe` as a shell has it: a daemon as its own process before a simulated gateway, whose account tells."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pump.core.clock import Clock
from pump.vendors.hik_gateway.simulator.messages import identity
from pump.vendors.hik_gateway.simulator.server import Simulator
from tests.environ import ALONE

ENVIRON = {name: value for name, value in os.environ.items() if name not in {"STATE_DIRECTORY", "JOURNAL_STREAM"}}
A, B = (f"2cd6716d-767f-4756-ac55-50276a5e3b{n:02x}" for n in (1, 2))
CONFIG = """
[pump]
site = "north"
state_dir = "state"
[ops]
listen = "127.0.0.1:0"
[sources.arc]
type = "hik-gateway"
url = "{url}"
username = "admin"
password = "secret1"
{more}
[sources.other]
type = "hik-camera"
url = "http://127.0.0.1:9"
password = "x"
[sinks.out]
type = "jsonl"
path = "events.jsonl"
"""


@dataclass
class Done:
    code: int
    out: str
    err: str


async def start(folder: Path, *arguments: str, quiet: bool = False) -> asyncio.subprocess.Process:
    to = asyncio.subprocess.DEVNULL if quiet else asyncio.subprocess.PIPE
    environ = ENVIRON if quiet else {**ENVIRON, **ALONE}  # a daemon, or a command
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "pump", *arguments, cwd=folder, env=environ, stdout=to, stderr=to
    )


async def pump(folder: Path, *arguments: str) -> Done:
    process = await start(folder, *arguments)
    out, err = await process.communicate()
    return Done(process.returncode or 0, out.decode(), err.decode())


@asynccontextmanager
async def running(folder: Path, vendor: Simulator, more: str) -> AsyncIterator[asyncio.subprocess.Process]:
    (folder / "pump.toml").write_text(CONFIG.format(url=vendor.url, more=more), encoding="utf-8")
    process = await start(folder, "run", quiet=True)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        await process.wait()


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(120.0):
        while not condition():
            await asyncio.sleep(0.02)


def stored(folder: Path) -> list[str]:
    path = folder / "events.jsonl"
    lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
    events: list[dict[str, Any]] = [json.loads(line) for line in lines]
    return [identity(event["data"]["raw"]) for event in events if event["data"]["vendor"] == "hik-gateway"]


async def connected(folder: Path) -> None:
    """Until the daemon says that the link stands: the simulator knows earlier."""
    async with asyncio.timeout(120.0):
        while True:
            done = await pump(folder, "subscribe", "arc", "--json")
            if done.code == 0 and json.loads(done.out)["connected"]:
                return


async def test_a_device_s_event_types_are_added_and_dropped_while_the_daemon_runs(tmp_path: Path) -> None:
    more = f'devices = {{ "{A}" = ["CIDAlarm"] }}'
    async with Simulator(clock=Clock()) as vendor, running(tmp_path, vendor, more) as daemon:
        await connected(tmp_path)
        (stream,) = vendor.subscriptions.values()
        done = await pump(tmp_path, "subscribe", "arc", A, "--add", "videoReview", "--drop", "CIDAlarm")
        assert (done.code, done.err) == (0, "")
        assert [line.split() for line in done.out.splitlines()] == [
            ["device", "event", "types"], [A, "videoReview"],
        ]  # fmt: skip
        done = await pump(tmp_path, "subscribe", "arc", B, "--all")
        assert done.code == 0
        assert stream.devices == {A: ["videoReview"], B: None}
        vendor.put(vendor.messages.cid(A))  # dropped
        wanted = vendor.put(vendor.messages.review(A), vendor.messages.cid(B))
        await until(lambda: len(stored(tmp_path)) >= 2)
        done = await pump(tmp_path, "subscribe", "arc", A, "--none")
        assert done.code == 0
        assert stream.devices == {B: None}
        assert stored(tmp_path) == wanted
        assert vendor.account.streams == 1
        changes = [one for one in vendor.account.requests if "/devIndex/" in one]
        assert [one.split()[0] for one in changes if A in one][-1] == "DELETE"
        daemon.send_signal(signal.SIGTERM)
        assert await daemon.wait() == 0
        assert vendor.account.closed == [str(stream.number)]


async def test_for_all_devices_a_change_is_a_new_subscription_and_a_gap(tmp_path: Path) -> None:
    async with Simulator(clock=Clock()) as vendor, running(tmp_path, vendor, ""):
        await connected(tmp_path)
        (number,) = vendor.subscriptions
        done = await pump(tmp_path, "subscribe", "arc", "--types", "CIDAlarm, videoReview")
        assert done.code == 0
        assert done.out.split() == ["device", "event", "types", "all", "CIDAlarm,", "videoReview"]
        assert "made anew" in done.err
        await until(lambda: vendor.account.streams == 2)
        assert vendor.account.closed == [str(number)]
        assert vendor.account.orders == [
            {"eventMode": "all", "defenceMode": "all"},
            {"eventMode": "all", "defenceMode": "part", "eventList": ["CIDAlarm", "videoReview"]},
        ]
        await until(lambda: b"the subscription is made anew" in (tmp_path / "events.jsonl").read_bytes())


async def test_what_cannot_be_done_is_said(tmp_path: Path) -> None:
    async with Simulator(clock=Clock()) as vendor:
        async with running(tmp_path, vendor, ""):
            await connected(tmp_path)
            for arguments, word in (
                (("arc", A, "--types", "CIDAlarm"), 'event_mode "all"'),
                (("other", "--all"), "type hik-camera has no subscription"),
                (("nobody",), "there are: arc, other"),
                (("arc", "--none"), "wants a DEVICE"),
                (("arc", "--all", "--drop", "x"), "stand alone"),
            ):
                done = await pump(tmp_path, "subscribe", *arguments)
                assert done.code != 0
                assert word in done.err
                assert "Traceback" not in done.err
            assert vendor.account.streams == 1
        done = await pump(tmp_path, "subscribe", "arc")
        assert done.code == 1
        assert "start it first" in done.err
