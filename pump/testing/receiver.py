"""A receiver of webhooks on a real socket, which a test has answer as it likes, go away and come back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self

import orjson
from aiohttp import web

_LARGEST: Final = 64 << 20


@dataclass(slots=True)
class Received:
    """One request: its headers in lower case, its body, the events in it."""

    headers: Mapping[str, str]
    body: bytes
    events: list[dict[str, Any]] = field(default_factory=list)

    @property
    def numbers(self) -> list[int]:
        """Of events that `pump.testing.records.record` made; others have none."""
        return [event["data"]["raw"]["number"] for event in self.events if "number" in event["data"].get("raw", ())]


Reply = Callable[[Received], web.Response | Awaitable[web.Response | None] | None]
"""The answer to a request; None: 204, and its events count as taken."""


class Receiver:
    """Listens on a free port of 127.0.0.1, the same one again after `stop`; an async context manager.

    `verify` is called with each request and raises where its signature is wrong: that is answered 401, and remembered.
    """

    def __init__(self, verify: Callable[[Received], object] = lambda received: None) -> None:
        self.requests: list[Received] = []
        """All that came, answered well or not."""
        self.taken: list[int] = []
        """The numbers of the events that were answered with 2xx, in the order of the answers."""
        self.reply: Reply = lambda received: None
        self.wrong: list[Exception] = []
        """The exception of `verify`."""
        self.at_once = 0
        """Requests under way now."""
        self.most_at_once = 0
        self.port = 0
        self._verify = verify
        self._open = asyncio.Event()
        self._open.set()
        self._runner: web.AppRunner | None = None
        self._news = asyncio.Condition()

    @property
    def url(self) -> str:
        """The address on which it listens; known after `start`."""
        return f"http://127.0.0.1:{self.port}/hook"

    async def start(self) -> None:
        """Listen."""
        app = web.Application(client_max_size=_LARGEST)
        app.router.add_post("/hook", self._take)
        app.router.add_route("*", "/{other:.*}", self._elsewhere)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True).start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Be gone; connections are closed, new ones refused."""
        if self._runner is not None:
            runner, self._runner = self._runner, None
            await runner.cleanup()

    def stall(self) -> None:
        """Answer nothing until `resume`."""
        self._open.clear()

    def resume(self) -> None:
        """Answer again, also what waits."""
        self._open.set()

    def cut(self) -> None:
        """Break every connection that is open now; new ones are taken."""
        server = self._runner.server if self._runner is not None else None
        for handler in server.connections if server is not None else ():
            if handler.transport is not None:
                handler.transport.abort()

    async def until(self, true: Callable[[], bool]) -> None:
        """Wait until `true()`, which is asked after each request."""
        async with self._news:
            await self._news.wait_for(true)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.resume()
        await self.stop()

    async def _take(self, request: web.Request) -> web.Response:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            return await self._answer(request)
        finally:
            self.at_once -= 1
            async with self._news:
                self._news.notify_all()

    async def _answer(self, request: web.Request) -> web.Response:
        body = await request.read()
        decoded = orjson.loads(body)
        headers = {name.lower(): value for name, value in request.headers.items()}
        received = Received(headers, body, decoded if isinstance(decoded, list) else [decoded])
        self.requests.append(received)
        async with self._news:
            self._news.notify_all()
        await self._open.wait()
        try:
            self._verify(received)
        except Exception as error:  # noqa: BLE001  # whatever the verifying library raises
            self.wrong.append(error)
            return web.Response(status=401)
        response = self.reply(received)
        if not (response is None or isinstance(response, web.Response)):
            response = await response
        response = response or web.Response(status=204)
        if 200 <= response.status < 300:
            self.taken += received.numbers
        return response

    async def _elsewhere(self, request: web.Request) -> web.Response:
        self.requests.append(Received({"path": request.path}, await request.read()))
        return web.Response(status=204)
