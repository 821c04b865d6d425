"""The conformance suite of sinks, on Nameless receiver."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiohttp import web

from pump.cli.new.templates.nameless_receiver.settings import NamelessReceiverSettings
from pump.cli.new.templates.nameless_receiver.sink import NamelessReceiverSink
from pump.core.clock import Clock
from pump.core.record import State
from pump.sink import Sink
from pump.testing.sink_conformance import CHECKS, Peer, applies


class NamelessReceiverPeer(Peer):
    """A receiver on a real socket, on the same port again after `stop`."""

    can = frozenset({"stop", "stall", "reject"})

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._numbers: list[int] = []
        self._refused: set[int] = set()
        self._port = 0
        self._runner: web.ServerRunner | None = None
        self._flowing = asyncio.Event()
        self._flowing.set()

    async def start(self) -> None:
        self._runner = web.ServerRunner(web.Server(self._handle, access_log=None), shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port, reuse_address=True).start()
        self._port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        if self._runner is not None:
            runner, self._runner = self._runner, None
            await runner.cleanup()

    async def stall(self) -> None:
        self._flowing.clear()

    async def resume(self) -> None:
        self._flowing.set()

    async def reject(self, numbers: Sequence[int]) -> None:
        self._refused = set(numbers)

    async def _handle(self, request: web.BaseRequest) -> web.Response:
        body = await request.read()
        await self._flowing.wait()
        if request.headers.get("Authorization") != "Bearer key":
            return web.Response(status=401)
        if request.method == "POST":
            number = orjson.loads(body)["data"]["raw"]["number"]
            if number in self._refused:
                return web.Response(status=422)
            self._numbers.append(number)
        return web.json_response({"stored": len(self._numbers)})

    def settings(self) -> NamelessReceiverSettings:
        table = {"type": "nameless-receiver", "url": f"http://127.0.0.1:{self._port}/", "api_key": "key"}
        return NamelessReceiverSettings.model_validate(table)

    def make(self, name: str, settings: Any, *, state: State | None, clock: Clock, site: str) -> Sink[Any]:
        return NamelessReceiverSink(name, settings, state=state, clock=clock, site=site)

    async def received(self) -> list[int]:
        return list(self._numbers)


async def run(check: str, peer: NamelessReceiverPeer) -> None:
    await peer.start()
    try:
        await CHECKS[check](peer)
    finally:
        await peer.resume()
        await peer.stop()


@pytest.mark.parametrize("check", [check for check in CHECKS if applies(check, NamelessReceiverPeer)])
def test_the_sink_keeps_the_contract(check: str, tmp_path: Path) -> None:
    asyncio.run(run(check, NamelessReceiverPeer(tmp_path)))
