"""The ops listener's connections, held to limits as devices' are: who opens many and asks nothing, or asks slowly,
takes neither a probe's place nor the process's file descriptors.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

import structlog
from aiohttp import web

from pump.core.clock import Clock
from pump.ingest.push.connections import TOO_LARGE, Connection, Connections, Limits, oversized

log = structlog.get_logger()

CONNECTIONS: Final = 256
"""Open at a time: of a hundred people who look live, and of probes."""
_SECONDS: Final = 30.0
"""For a request's head, for its body, and between two requests."""
_TICK: Final = 1.0
_STOPPING: Final = 1.0
"""Seconds for answers under way when the listener closes."""


class OpsRunner(web.AppRunner):
    """Serves an application over such connections."""

    __slots__ = ("_connections", "_count", "_most")

    def __init__(self, app: web.Application, *, connections: int, count: Callable[[str], None]) -> None:
        """`count` is called for each connection that is closed unasked or refused: "late", "malformed" or "many"."""
        super().__init__(app, access_log=None, shutdown_timeout=_STOPPING)
        self._most = connections
        self._count = count
        self._connections: Connections | None = None

    async def watch(self, clock: Clock) -> None:
        """Close who takes too long over a request's head, for as long as the task lives."""
        while True:
            await clock.sleep(_TICK)
            for _ in range(0 if self._connections is None else self._connections.sweep()):
                self._count("late")

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        found = Connections(
            self._bounded(made.request_handler),
            Limits(self._most, self._most + 1, _SECONDS, _SECONDS),
            malformed=lambda status: self._count("malformed"),
            refused=lambda: self._count("many"),
            overspent=lambda: self._count("malformed"),
        )
        found.request_factory = made.request_factory
        self._connections = found
        return found

    def _bounded(
        self, handler: Callable[[Any], Awaitable[web.StreamResponse]]
    ) -> Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]:
        async def answer(request: web.BaseRequest) -> web.StreamResponse:
            connection = request.protocol
            assert isinstance(connection, Connection)  # for there are no others
            late = None
            if request.can_read_body:
                late = asyncio.get_running_loop().call_later(_SECONDS, self._end_slow, request, connection)
            try:
                if oversized(request):
                    self._count("malformed")
                    raise web.HTTPRequestHeaderFieldsTooLarge(text=TOO_LARGE)
                return await handler(request)
            except (web.HTTPException, TimeoutError):
                raise
            except Exception as error:  # noqa: BLE001  # logged whole, and no more than this answer is lost
                return self._failed(request, connection, error)
            finally:
                connection.handled()
                if late is not None:
                    late.cancel()

        return answer

    def _failed(self, request: web.BaseRequest, connection: Connection, error: Exception) -> web.Response:
        if not isinstance(error, ConnectionError) or connection.transport is not None:
            log.error("A page of the ops listener met a bug", path=request.path, exc_info=error)
        if request.writer.output_size:  # an answer that has begun can be cut off, and nothing else
            connection.force_close()
        return web.Response(status=500, text="500 Internal Server Error")

    def _end_slow(self, request: web.BaseRequest, connection: Connection) -> None:
        if not request.content.is_eof():
            self._count("late")
            connection.turn_away("408 Request Timeout", "the request's body did not come in time")
