"""A local Nameless vendor: its HTTP API, one account, and what can go wrong with it.

Written from the vendor's document: it refuses what the vendor refuses (401 for another key, 404 for another path, 405
for another method, 400 for a malformed request, 409 for a batch that is not out).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Literal, Self

import orjson
from aiohttp import web

from pump.cli.new.templates.nameless_vendor.simulator.account import Account
from pump.cli.new.templates.nameless_vendor.simulator.messages import Devices
from pump.core.clock import Clock

_TICK: Final = 0.05
_METHODS: Final = {"/records": "GET", "/confirm": "POST"}


@dataclass(slots=True, frozen=True)
class Fault:
    """One call's misfortune: an HTTP `status`, perhaps with a Retry-After, `garbage` instead of JSON, or a connection
    that `drop`s."""

    kind: Literal["status", "garbage", "drop"]
    status: int = 503
    retry_after: str = ""


class Simulator:
    """One account behind one address; `async with` listens, and keeps the port when it goes away and comes back."""

    def __init__(
        self, *, clock: Clock, api_key: str = "key", seed: int = 0, host: str = "127.0.0.1", port: int = 0
    ) -> None:
        self.account = Account()
        self.faults: deque[Fault] = deque()
        self._clock = clock
        self._key = api_key
        self._devices = Devices(seed)
        self._host, self._port = host, port
        self._runner: web.ServerRunner | None = None
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._dead: set[asyncio.Transport] = set()
        self._busy: set[asyncio.Task[Any]] = set()

    async def __aenter__(self) -> Self:
        await self.come_back()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.go_away()

    @property
    def url(self) -> str:
        """http://host:port, without a slash at its end."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._port}"

    def produce(self, count: int) -> list[dict[str, Any]]:
        """Let `count` things happen now; their records."""
        made = [self._devices.record(self._clock.now()) for _ in range(count)]
        self.account.add(*made)
        return made

    async def traffic(self, rate: float) -> None:
        """Let `rate` things happen a second, until cancelled."""
        owed = 0.0
        while True:
            owed += rate * _TICK
            self.produce(int(owed))
            owed -= int(owed)
            await self._clock.sleep(_TICK)

    # --- what can be done to it ---------------------------------------------------------------------------------

    async def come_back(self) -> None:
        """Listen, at the same address as before. Raises OSError."""
        self._runner = web.ServerRunner(web.Server(self._handle, access_log=None))
        await self._runner.setup()
        await web.TCPSite(self._runner, self._host, self._port, reuse_address=True).start()
        self._port = self._runner.addresses[0][1]

    async def go_away(self) -> None:
        """Break the connections, refuse new ones."""
        runner, self._runner = self._runner, None
        if runner is not None:
            for task in self._busy:
                task.cancel()
            await runner.cleanup()

    def stall(self) -> None:
        """Answer nothing until `resume`."""
        self._flowing.clear()

    def resume(self) -> None:
        """Answer again, also what waits."""
        self._flowing.set()

    def half_open(self) -> None:
        """The connections that stand are dead, and nothing says so; new ones work."""
        server = self._runner.server if self._runner is not None else None
        for handler in server.connections if server is not None else ():
            if handler.transport is not None:
                self._dead.add(handler.transport)

    # --- a request ----------------------------------------------------------------------------------------------

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        task = asyncio.current_task()
        assert task is not None  # a handler always runs in a task
        self._busy.add(task)
        try:
            body = await request.read()
            while request.transport in self._dead:
                await self._clock.sleep(_TICK)
            await self._flowing.wait()
            if request.transport is None:  # its client has given up: it is handed nothing
                return web.StreamResponse()
            return self._broken(request) or self._answer(request, body)
        finally:
            self._busy.discard(task)

    def _broken(self, request: web.BaseRequest) -> web.StreamResponse | None:
        if not self.faults:
            return None
        fault = self.faults.popleft()
        if fault.kind == "status":
            return web.Response(
                status=fault.status, headers={"Retry-After": fault.retry_after} if fault.retry_after else None
            )
        if fault.kind == "garbage":
            return web.Response(text="<html>hello</html>", content_type="text/html")
        if request.transport is not None:
            request.transport.close()
        return web.StreamResponse()

    def _answer(self, request: web.BaseRequest, body: bytes) -> web.Response:
        if request.headers.get("Authorization") != f"Bearer {self._key}":
            return web.Response(status=401)
        if request.path not in _METHODS:
            return web.Response(status=404)
        if request.method != _METHODS[request.path]:
            return web.Response(status=405)
        return self._records(request) if request.path == "/records" else self._confirm(body)

    def _records(self, request: web.BaseRequest) -> web.Response:
        most = request.query.get("most", "100")
        if not most.isdecimal() or not 1 <= int(most) <= 100:
            return web.Response(status=400)
        number, records = self.account.hand_out(int(most))
        return web.Response(body=orjson.dumps({"batch": number, "records": records}), content_type="application/json")

    def _confirm(self, body: bytes) -> web.Response:
        try:
            asked = orjson.loads(body)
        except ValueError:
            asked = None
        if not isinstance(asked, dict) or "batch" not in asked:
            return web.Response(status=400)
        return web.Response(status=204 if self.account.confirm(asked["batch"]) else 409)


async def simulate(
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    rate: float = 1.0,
    seed: int = 0,
    on_ready: Callable[[str], object] | None = None,
) -> None:
    """A simulator where `rate` things happen a second, until cancelled; `on_ready` gets its url. Raises OSError."""
    async with Simulator(clock=Clock(), seed=seed, host=host, port=port) as simulator:
        if on_ready is not None:
            on_ready(simulator.url)
        await simulator.traffic(rate)
