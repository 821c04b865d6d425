"""A simulator's place on the network: it listens while it is open, can go away, and comes back at the same address.

`WebServer` answers request by request through aiohttp; `RawServer` hands out bare connections, for those whose every
byte must be chosen. A simulator is one of the two: it has `answer` or `serve`, and `traffic` for `perform`.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import ssl
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import islice
from types import TracebackType
from typing import Any, Final, Protocol, Self

from aiohttp import web

from pump.core.clock import Clock
from pump.simulation.ports import SHARE, drawn

TICK: Final = 0.02
"""Seconds between two portions of traffic."""


TALLY: Final[Counter[str]] = Counter()
"""What the simulators of this process have done so far, in words, for `pump simulate` to show."""


class Server(ABC):
    """An address of the loopback, or of `host`; an async context manager that listens while it is open.

    `port` 0 takes a free one at first and the same ever after, which is given to nobody meanwhile. With `tls` it speaks
    https.
    """

    def __init__(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> None:
        self._host, self._port, self._tls = host, port, tls
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
        """http(s)://host:port, without a slash at its end; the port is right once it has listened."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http{'s' if self._tls else ''}://{host}:{self._port}"

    async def come_back(self) -> None:
        """Listen, at the same port as before. Raises OSError where the address cannot be had."""
        listener = bound(self._host, self._port) if self._port else _taken(self._host)
        self._port = listener.getsockname()[1]
        await self._listen(listener)

    async def go_away(self) -> None:
        """Listen no more and break off all that is being answered: connecting is refused."""
        for task in [*self._busy]:
            task.cancel()  # a hanging answer would hold the end for its whole time

    @contextlib.contextmanager
    def _working(self) -> Iterator[None]:
        """Count the task that runs as one that `go_away` ends."""
        task = asyncio.current_task()
        assert task is not None  # what serves a peer always runs in a task
        self._busy.add(task)
        try:
            yield
        finally:
            self._busy.discard(task)

    @abstractmethod
    async def _listen(self, listener: socket.socket) -> None: ...


class WebServer(Server):
    """A server of requests and answers."""

    _runner: web.ServerRunner | None = None

    @abstractmethod
    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """The answer to one request, whatever its path and method."""

    async def go_away(self) -> None:
        """As Server.go_away."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await super().go_away()
            await runner.cleanup()

    async def _listen(self, listener: socket.socket) -> None:
        self._runner = web.ServerRunner(web.Server(self._handle, access_log=None))
        await self._runner.setup()
        await web.SockSite(self._runner, listener, ssl_context=self._tls).start()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        TALLY["requests"] += 1
        with self._working():
            return await self.answer(request)


class RawServer(Server):
    """A server of connections, each served in a task of its own."""

    _server: asyncio.Server | None = None

    @abstractmethod
    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection from its beginning to its end; it may be cancelled, and its peer may be gone at any time."""

    async def go_away(self) -> None:
        """As Server.go_away; returns when every connection has ended."""
        if self._server is not None:
            self._server.close()
            self._server = None
        ending = [*self._busy]
        await super().go_away()
        await asyncio.gather(*ending, return_exceptions=True)

    async def _listen(self, listener: socket.socket) -> None:
        self._server = await asyncio.start_server(self._connected, sock=listener, ssl=self._tls)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Whatever ends a connection is its peer's doing or `go_away`'s; asyncio would log either as a failure of ours.
        TALLY["connections"] += 1
        gone = (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, asyncio.CancelledError)
        with self._working():
            try:
                await self.serve(reader, writer)
            except gone:
                pass
            finally:
                writer.close()
                with contextlib.suppress(OSError, asyncio.CancelledError):
                    await writer.wait_closed()


def _taken(host: str) -> socket.socket:
    """A socket that listens at a free port. Raises OSError."""
    for port in islice(drawn(), SHARE):
        try:
            found = bound(host, port)
            found.listen()  # now: until then another may have it too
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
        else:
            return found
    return bound(host, 0)


def bound(host: str, port: int) -> socket.socket:
    """A socket at the address, not listening yet; port 0 takes a free one. Raises OSError."""
    found = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((host, port))
    except OSError:
        found.close()
        raise
    return found


async def portions(clock: Clock, rate: float) -> AsyncIterator[int]:
    """The number of records due since the last portion, every TICK and without end; in all `rate` a second."""
    begun, made = clock.monotonic(), 0
    while True:
        due = int((clock.monotonic() - begun) * rate)
        yield due - made
        made = due
        await clock.sleep(TICK)


class Performer(Protocol):
    """A simulator that makes traffic by itself."""

    @property
    def url(self) -> str:
        """Its address."""

    async def traffic(self, rate: float) -> None:
        """Make `rate` records a second until cancelled."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


async def perform(simulator: Performer, rate: float, on_ready: Callable[[str], object] | None) -> None:
    """Open the simulator, call `on_ready` with its url, and make `rate` records a second until cancelled.

    Nothing is written to standard output. Raises OSError when the address cannot be had.
    """
    async with simulator:
        if on_ready is not None:
            on_ready(simulator.url)
        await simulator.traffic(rate)
