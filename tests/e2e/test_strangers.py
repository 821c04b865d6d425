"""A whole daemon under the pushes of devices that nobody knows: known devices lose nothing, and no person is needed."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from pump.config import load
from pump.runtime.daemon import Daemon

KNOWN = "1001"
_NOTE = "x" * 150_000


class Host:
    """A folder with a pump.toml: a small spool, a sink that keeps up and one whose receiver is away."""

    def __init__(self, folder: Path) -> None:
        self.media = folder / "state" / "media"
        self._out = folder / "out.jsonl"
        self._config = folder / "pump.toml"
        self._config.write_text(
            f'[pump]\nsite = "garage"\nstate_dir = "{folder}/state"\n'
            '[ops]\nlisten = "127.0.0.1:0"\n[server]\nlisten = "127.0.0.1:0"\ndevice_rate = 0\n'
            '[spool]\nmax_bytes = "64MiB"\n[media]\nmax_bytes = "4MiB"\n'
            f'[sources.gate]\ntype = "avaeye"\ncameras."10000/{KNOWN}" = {{ name = "Gate" }}\n'
            f'[sinks.out]\ntype = "jsonl"\npath = "{self._out}"\n'
            '[sinks.away]\ntype = "webhook"\nurl = "http://127.0.0.1:9/"\nallow_private = true\nstart = "oldest"\n'
        )

    @asynccontextmanager
    async def life(self) -> AsyncIterator[Site]:
        """One daemon from start to stop."""
        daemon = Daemon(load(self._config))
        running = asyncio.create_task(daemon.run(signals=False))
        ready = asyncio.create_task(daemon.ready.wait(), name="ready")
        await asyncio.wait({running, ready}, return_when=asyncio.FIRST_COMPLETED)
        try:
            async with aiohttp.ClientSession() as http:
                yield Site(daemon, http)
        finally:
            daemon.stop()
            assert await running == 0

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._out.read_bytes().splitlines()] if self._out.exists() else []


class Site:
    """A running daemon, and who pushes to it."""

    def __init__(self, daemon: Daemon, http: aiohttp.ClientSession) -> None:
        self.daemon, self._http = daemon, http

    async def push(self, device: str, number: int, *, note: str = "", picture: bytes = b"") -> int:
        params: dict[str, Any] = {"recordId": f"r{number}", "plateNo": f"P{number}", "note": note}
        if picture:
            params["picInfo"] = [{"type": 1, "data": base64.b64encode(picture).decode()}]
        body = {"version": "1.0", "parkId": "10000", "deviceId": device, "params": params}
        async with self._http.post(f"{self.daemon.push_url}/api/upark/capture", json=body) as answer:
            return answer.status

    async def get(self, path: str) -> dict[str, Any]:
        async with self._http.get(self.daemon.ops_url + path) as answer:
            found: dict[str, Any] = await answer.json()
            return found


def picture(number: int) -> bytes:
    return b"\xff\xd8\xff\xe0" + number.to_bytes(4, "big") * 12_000


async def flood(site: Site, first: int, count: int) -> None:
    """Each push is of another made-up camera, with a picture and a long text."""
    for number in range(first, first + count):
        status = await site.push(f"made-up-{number}", number, note=_NOTE, picture=picture(number))
        assert status in (200, 503), "503 where strangers' own share of what waits is full"


async def test_strangers_take_nothing_from_known_devices(tmp_path: Path) -> None:
    host = Host(tmp_path)
    async with host.life() as site:
        assert [await site.push(KNOWN, n, picture=picture(n)) for n in range(10)] == [200] * 10
        real = {path.name for path in host.media.rglob("*") if path.is_file()}
        assert len(real) == 10
        for turn in range(3):
            await asyncio.gather(*(flood(site, 1000 * (turn + 1) + 100 * lane, 8) for lane in range(3)))
            assert await site.push(KNOWN, 100 + turn) == 200
        status = await site.get("/status")
        assert status["spool"]["strangers"]["bytes"] <= status["spool"]["strangers"]["max_bytes"] + (8 << 20)
        assert status["media"]["strangers"]["bytes"] <= status["media"]["strangers"]["max_bytes"] == 512 << 10
        assert status["media"]["evicted"]["strangers"] > 0
        assert not [reason for reason in (await site.get("/readyz"))["reasons"] if "spool" in reason]
        assert {path.name for path in host.media.rglob("*") if path.is_file()} >= real
    async with host.life() as site:
        spool = site.daemon.spool
        assert 0 < spool.strangers <= (64 << 20) // 8
        await flood(site, 9000, 20)
        assert await site.push(KNOWN, 200, picture=picture(3)) == 200
        assert {path.name for path in host.media.rglob("*") if path.is_file()} >= real
        assert spool.used < 32 << 20
    passed = [each for each in host.events() if each["type"] == "vehicle.passed"]
    numbers = {int(each["data"]["vehicle"]["plate"][1:]) for each in passed}
    assert numbers >= {*range(10), *range(100, 103), 200}
