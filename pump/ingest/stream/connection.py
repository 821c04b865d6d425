"""One link of a stream: opened, watched, read and delivered part by part, closed. Made anew for each."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import aiohttp
import anyio
import structlog

from pump.core.clock import Clock
from pump.core.net.outcome import why
from pump.core.tasks import Nap
from pump.ingest.recording.tap import Link
from pump.ingest.stream.client import ConnectionLost, DigestClient, UnexpectedStatus, read_answer
from pump.ingest.stream.handler import Batch, StreamHandler, StreamRefused
from pump.ingest.stream.intake import StreamIntake
from pump.ingest.stream.liveness import DueTimer, ReadTimeout, ReadWatchdog, remaining
from pump.ingest.stream.lockout import KEY, LoginLockout
from pump.ingest.stream.multipart.parts import BodyParser, Limits, Part, Skipped
from pump.ingest.stream.multipart.reader import MultipartReader

log = structlog.get_logger()

T = TypeVar("T")

OPENING: Final = 30.0
"""Seconds at the most that a stream's head is waited for: the time-out may be hours, for devices without heartbeats."""
UNFINISHED: Final = 3
"""Time-outs after which an unfinished part breaks the link."""
_CLOSING: Final = 5.0
"""Seconds that a handler has for its last words."""
_BOUNDARY: Final = re.compile(r"boundary\s*=\s*([^;]*)", re.IGNORECASE)


@dataclass(slots=True, frozen=True)
class StreamOptions:
    """A stream's measures, the same for all its links."""

    heartbeat_timeout: float = 30.0
    """Seconds of silence that break the link."""
    judges: Mapping[str, BodyParser] | None = None
    """As `MultipartReader` takes them."""
    limits: Limits | None = None
    most_skipped: int = 64 << 20
    """Bytes without a part that end the link when there are more."""
    peer: str = "device"
    """The other side's name in sentences."""


class Renewed(ConnectionLost):
    """The handler wants another link."""

    def __init__(self) -> None:
        super().__init__("the subscription is made anew")


LOSSES: Final = (ConnectionLost, UnexpectedStatus, StreamRefused, ReadTimeout)
"""The ends of a link that are no bugs."""


class _EndedError(Exception):
    """The link has failed: `StreamConnection` has the reason."""


class StreamConnection:
    """One link. Reading alone is interrupted by what fails beside it, never what stores: nothing that was read is lost.

    The tasks beside the reading never fail their group: they note why and end the reading, so that a cancellation
    that comes at the same moment is not swallowed.
    """

    def __init__(
        self,
        store: StreamIntake,
        client: DigestClient,
        handler: StreamHandler,
        *,
        clock: Clock,
        lockout: LoginLockout,
        options: StreamOptions,
    ) -> None:
        self.answered = False
        """True once the device has given a stream."""
        self.carried = False
        """True once a whole part has come, a greeting aside."""
        self._store = store
        self._client = client
        self._handler = handler
        self._lockout = lockout
        self._options = options
        self._lock = asyncio.Lock()
        self._nap = Nap(clock)
        self.watchdog = ReadWatchdog(clock, min(options.heartbeat_timeout, OPENING))
        self._timer = DueTimer(clock, lambda: handler.due() if store.connected else None, self._tick)
        self._clock = clock
        self._up = asyncio.Event()
        self._early: list[Part | Skipped] = []
        """What came before the greeting."""
        self._read = 0.0
        """Seconds spent reading."""
        self._part: float | None = None
        """The value of `_read` when the unfinished part began."""
        self._skipped = 0
        """Bytes skipped since the last whole part, as far as they were reported."""
        self._failure: Exception | None = None
        """The reason of the link's end, a bug before a loss."""

    async def run(self) -> None:
        """Read until the link is lost. Raises one of `LOSSES`, nothing where the peer ended it, else a bug's error."""
        async with anyio.create_task_group() as beside:
            beside.start_soon(self._beside, self.watchdog.watch, name="watchdog of the stream")
            beside.start_soon(self._beside, self._renewal, name="renewal of the stream")
            try:
                await self._open()
            except Exception as error:  # noqa: BLE001  # run raises it
                self._fail(error)
            finally:
                self.watchdog.served()
                beside.cancel_scope.cancel()
        if self._failure is not None:
            raise self._failure

    # --- the end --------------------------------------------------------------------------------------------------

    def _fail(self, error: Exception) -> None:
        if isinstance(error, _EndedError):
            return
        if self._failure is None or (isinstance(self._failure, LOSSES) and not isinstance(error, LOSSES)):
            self._failure = error
        self._nap.end()

    def _obey(self) -> None:
        """Raises where the link is to end."""
        if self._failure is not None:
            raise _EndedError

    async def _wait(self, waiting: Awaitable[T]) -> T:
        """Wait for the peer; what fails beside it ends the wait."""
        found: list[T] = []

        async def keep() -> None:
            found.append(await waiting)

        await self._nap.until(keep())
        if not found:
            raise _EndedError
        return found[0]

    async def _beside(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        try:
            await work()
        except Exception as error:  # noqa: BLE001  # run raises it
            self._fail(error)

    async def _renewal(self) -> None:
        await self._handler.renewal.wait()
        raise Renewed

    async def _upkeep(self) -> None:
        await self._up.wait()
        await self._handler.upkeep()

    async def _tick(self) -> None:
        async with self._lock:
            if self._store.connected:
                await self._keep(await self._handler.tick())

    # --- opened, read, closed -------------------------------------------------------------------------------------

    async def _open(self) -> None:
        request = await self._handler.opening()
        self._obey()
        self.watchdog.waiting()
        async with AsyncExitStack() as stack:
            response = await self._wait(
                stack.enter_async_context(
                    self._client.stream(
                        request.method, request.path, body=request.body, content_type=request.content_type
                    )
                )
            )
            if response.content_length is not None and not response.content_type.startswith("multipart/"):
                raise UnexpectedStatus(await self._wait(read_answer(response)))  # what ends is no stream
            self.watchdog.served()
            self.watchdog.timeout = self._options.heartbeat_timeout
            self.answered, stopping = True, True
            link = self._store.intake.tap.open(request.method, request.path, response.headers)
            try:
                await self._serve(response, link, greeting=request.greeting)
                stopping = False
            finally:
                link.close()
                self.watchdog.served()
                await self._close(response, stopping=stopping)

    async def _serve(self, response: aiohttp.ClientResponse, link: Link, *, greeting: bool) -> None:
        """Read, with the timer and the upkeep beside it; both have ended when this returns."""
        async with anyio.create_task_group() as beside:
            beside.start_soon(self._beside, self._timer.run, name="timer of the stream")
            beside.start_soon(self._beside, self._upkeep, name="upkeep of the stream")
            try:
                if not greeting:
                    async with self._lock:
                        await self._opened()
                await self._receive(response, link)
            except Exception as error:  # noqa: BLE001  # run raises it
                self._fail(error)
            finally:
                beside.cancel_scope.cancel()

    async def _receive(self, response: aiohttp.ClientResponse, link: Link) -> None:
        found = _BOUNDARY.search(response.headers.get("Content-Type", ""))
        boundary = found[1].strip() if found else None
        reader = MultipartReader(boundary, judges=self._options.judges, limits=self._options.limits)
        try:
            while data := await self._next(response):
                link.chunk(data)
                connected = self._store.connected  # else the gap is not stored yet, and begins with what was before it
                if connected:
                    self._store.outage.heard(self.watchdog.waited)
                items = reader.feed(data)
                if items or not (reader.unfinished or reader.skipping):
                    self._part = None
                if self._part is None and (reader.unfinished or reader.skipping):
                    self._part = self._read
                await self._deliver(items)
                self._store.outage.stored()
                if connected:
                    self._store.intake.activity()
                self._judge(reader.skipping)
        except (aiohttp.ClientError, OSError) as error:
            self.watchdog.served()
            await self._deliver(reader.feed(_last(response, link)))
            await self._deliver(reader.close(), ended=True)
            raise ConnectionLost(f"the link was cut: {why(error)}") from error
        except _EndedError:
            self.watchdog.served()
            await self._deliver(reader.feed(_last(response, link)))
            # What has no length ends where the silence began.
            await self._deliver([part for part in reader.close() if isinstance(part, Part)], ended=True)
            raise
        await self._deliver(reader.close(), ended=True)

    async def _next(self, response: aiohttp.ClientResponse) -> bytes:
        """The next bytes; b"" where the peer has ended the stream."""
        self._obey()
        self.watchdog.waiting()
        data = await self._wait(response.content.readany())
        self.watchdog.served()
        self._read += self.watchdog.waited
        return data

    def _judge(self, skipping: int) -> None:
        """Raises ConnectionLost for a stream that will not come to itself again."""
        if self._skipped + skipping > self._options.most_skipped:
            raise ConnectionLost("the stream is malformed beyond repair")
        if self._part is not None and self._read - self._part > UNFINISHED * self._options.heartbeat_timeout:
            raise ConnectionLost("a part of the stream did not end")

    async def _deliver(self, items: Sequence[Part | Skipped], *, ended: bool = False) -> None:
        if not items:
            return
        async with self._lock:
            good = sum(isinstance(item, Part) and item.fault is None for item in items)
            self._skipped = 0 if good else self._skipped
            if good < len(items):
                self._skipped += sum(item.size for item in items if isinstance(item, Skipped))
            if not self._store.connected:
                self._early += items
                # What was cut with the link answers nothing.
                first = next((one for one in items if isinstance(one, Part) and not (ended and one.fault)), None)
                if first is None:
                    return
                self._handler.greeted(first)
                await self._opened()
                items, self._early = self._early, []
                good -= first.fault is None  # an answer alone is nothing that was carried
            self.carried = self.carried or good > 0
            await self._keep(await (self._handler.rest(items) if ended else self._handler.received(items)))
            self._timer.rearm()

    async def _keep(self, batches: Sequence[Batch]) -> None:
        """Store what the handler has made; it learns how long that took."""
        for batch in batches:
            if batch:
                begin = self._clock.monotonic()
                await self._store.store(batch)
                self._handler.stored(self._clock.monotonic() - begin)

    async def _opened(self) -> None:
        """The link is up: store the gap, if there was a link before."""
        store = self._store
        store.opened()
        # First of all: a sign of life that is stored before the gap would be where a restart lets the gap begin.
        if (gap := store.outage.over()) is not None:
            await store.gap(*gap)
        store.outage.back()
        store.intake.up()
        if store.intake.state(KEY):
            await store.put(state=self._lockout.forget())
        await self._keep(await self._handler.opened())
        self._timer.rearm()
        self._up.set()

    async def _close(self, response: aiohttp.ClientResponse, *, stopping: bool) -> None:
        opened = self._store.closed()
        leaving = self._failure is None if stopping else isinstance(self._failure, Renewed)
        try:
            # Real time: at a stop nobody moves an injected clock any more. Else the spool is waited for, as ever.
            with anyio.move_on_after(_CLOSING if stopping else None, shield=True) as words:
                async with self._lock:
                    if opened and leaving:
                        with anyio.move_on_after(_CLOSING, shield=True) as goodbye:
                            await self._handler.leaving()
                        if goodbye.cancelled_caught:
                            log.warning("A stream's goodbye took too long", source=self._store.intake.name)
                    response.close()
                    if opened:
                        await self._keep(await self._handler.closed())
            if words.cancelled_caught:
                log.warning("A stream's last words took too long", source=self._store.intake.name)
        except ConnectionLost as error:
            log.info("A stream's last words were lost", source=self._store.intake.name, reason=error.reason)
        if opened and stopping:
            self._store.outage.stopped()


def _last(response: aiohttp.ClientResponse, link: Link) -> bytes:
    """The bytes that had come when the link was cut."""
    data = remaining(response.content)
    link.chunk(data)
    return data
