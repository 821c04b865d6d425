"""A fleet of cameras that push to a pump, with the traffic of a day, and an account of what they were answered.

`pump simulate avaeye --port 8765` asks for the pump's address (POST /_simulator/pump, {"url": ...}), for cameras are
configured with it; the environment's PUMP_URL or http://127.0.0.1:8080 serves until then.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from datetime import UTC, timedelta, tzinfo
from types import TracebackType
from typing import Final, Self

import aiohttp
import orjson
from aiohttp import web

from pump.core.clock import Clock
from pump.simulation.server import WebServer
from pump.vendors.avaeye.simulator.camera import RETRY, TIMEOUT, Camera
from pump.vendors.avaeye.simulator.messages import ENTRY, EXIT

PARK: Final = "10000"
FIRST: Final = 1001
CAMERAS: Final = 8
DEFAULT_PUMP: Final = "http://127.0.0.1:8080"


class Fleet:
    """So many cameras of one park, entrances and exits in turn; `async with`, then `reach` the pump."""

    def __init__(
        self,
        count: int = CAMERAS,
        *,
        clock: Clock | None = None,
        rate: float = 1.0,
        seed: int = 0,
        zone: tzinfo = UTC,
        keepalive: float = 30.0,
        picture: int = 0,
        park: str = PARK,
        retries: Sequence[float] = RETRY,
        persistent: bool = True,
        curves: Sequence[Sequence[int]] = (ENTRY, EXIT),
        ahead: timedelta = timedelta(),
        beside: bool = False,
        introduced: bool = False,
    ) -> None:
        """`rate` is vehicles a second of all cameras together, on the day's average; 0: only what `see` is told.

        `persistent`: connections are kept, else each request has its own. `curves` are the days of lanes, in turn.
        `ahead`, `beside`, `introduced`: see Camera; the first is the clock of the first camera alone.
        """
        self.clock = clock or Clock()
        self.rate = rate
        self.url = ""
        """The pump's address, once known."""
        self.cameras = [
            Camera(
                park, str(FIRST + number), curves[number % len(curves)], clock=self.clock, zone=zone,
                seed=f"{seed}/{number}", keepalive=keepalive, picture=picture, retries=retries,
                ahead=timedelta() if number else ahead, beside=beside, introduced=introduced,
            )
            for number in range(count)
        ]  # fmt: skip
        self._persistent = persistent
        self._session: aiohttp.ClientSession | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        timeout = aiohttp.ClientTimeout(total=TIMEOUT)
        connector = aiohttp.TCPConnector(limit=0, force_close=not self._persistent)
        self._session = aiohttp.ClientSession(timeout=timeout, connector=connector)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stop()
        if self._session is not None:
            await self._session.close()

    async def reach(self, url: str) -> None:
        """Have all cameras push to this pump from now on, anew where they did so before."""
        await self._stop()
        assert self._session is not None
        self.url = url.rstrip("/")
        each = self.rate / max(1, len(self.cameras))
        self._tasks = [
            asyncio.create_task(camera.run(self._session, self.url, each), name=f"camera {camera.device}")
            for camera in self.cameras
        ]

    async def _stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []

    def account(self) -> dict[str, object]:
        """What came of it: recordIds that were answered, how many wait, how many tries were further ones."""
        return {
            "pump": self.url,
            "cameras": len(self.cameras),
            "answered": [record for camera in self.cameras for record in camera.answered],
            "waiting": sum(len(camera.waiting) for camera in self.cameras),
            "retries": sum(camera.retries for camera in self.cameras),
            "actions": [[camera.device, *action] for camera in self.cameras for action in camera.account.actions],
        }


class _Control(WebServer):
    """The place where a fleet is asked for its account and given another pump."""

    def __init__(self, fleet: Fleet, host: str, port: int) -> None:
        super().__init__(host, port)
        self._fleet = fleet

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """As WebServer.answer."""
        if (request.method, request.path) == ("GET", "/_simulator/account"):
            return web.json_response(self._fleet.account())
        if (request.method, request.path) == ("POST", "/_simulator/pump"):
            await self._fleet.reach(str(orjson.loads(await request.read())["url"]))
            return web.json_response({"pump": self._fleet.url})
        return web.Response(status=404, text="404: Not Found")


async def simulate(*, host: str, port: int, rate: float, seed: int, on_ready: Callable[[str], None]) -> None:
    """Run a fleet until cancelled. It listens to be asked (`/_simulator/account`) and told (`/_simulator/pump`)."""
    async with Fleet(rate=rate, seed=seed) as fleet, _Control(fleet, host, port) as control:
        await fleet.reach(os.environ.get("PUMP_URL", DEFAULT_PUMP))
        on_ready(control.url)
        await asyncio.Event().wait()
