"""The life of an endless multipart response: open, watch, read, lose, tell the gap, open again.

A vendor gives a `StreamHandler` and a `DigestClient`; `Stream.run` does the rest:

- each connection has a digest login with a fresh challenge; a rejected password waits 10 minutes, also over a restart
  of the process, unless it was changed meanwhile;
- any bytes are a sign of life. Silence for `heartbeat_timeout`, or a part that is unfinished after three of them,
  breaks the link. Only time spent reading counts: while `put` waits for a spool that refuses, nothing is read, the
  link stands, and the vendor is held back by TCP;
- a link that carried something is opened again within a second, a refused connection or a silent device is tried
  every 2 s, all else backs off to 60 s, or waits as long as the listener's `RetryAdvice` says;
- time without a link, the process's own downtime included, becomes one `pump.gap` when the link is back.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Final

import aiohttp
import structlog

from pump.core.backoff import Backoff
from pump.core.clock import Clock
from pump.core.errors import Misconfigured
from pump.ingest.intake import Intake
from pump.ingest.stream.client import Answer, ConnectionLost, DigestClient, UnexpectedStatus, read_answer
from pump.ingest.stream.gap import OutageTracker
from pump.ingest.stream.handler import RetryAdvice, StreamHandler, StreamRefused
from pump.ingest.stream.intake import StreamIntake
from pump.ingest.stream.liveness import DueTimer, ReadTimeout, ReadWatchdog, remaining
from pump.ingest.stream.lockout import KEY, LoginLockout
from pump.ingest.stream.multipart.parts import BodyParser, Limits, Part, Skipped
from pump.ingest.stream.multipart.reader import MultipartReader

log = structlog.get_logger()

CUT: Final = (0.8, 60.0)
"""The first and the longest wait, in seconds, after a cut and after what has no wait of its own."""
ABSENT: Final = (1.0, 1.8)
"""The same after a refused connection and after silence."""
OPENING: Final = 30.0
"""Seconds at the most that a stream's head is waited for: the time-out may be hours, for devices without heartbeats."""
_UNFINISHED: Final = 3
"""Time-outs after which an unfinished part breaks the link."""
_SKIPPING: Final = 64 << 20
_CLOSING: Final = 5.0
"""Seconds that a listener has for its last words."""
STALE: Final = 2
"""Expired challenges in a row that are no rejection: they too may count as failed logins."""
_BOUNDARY: Final = re.compile(r"boundary\s*=\s*([^;]*)", re.IGNORECASE)


class _Renewed(ConnectionLost):
    """The listener wants another link."""


class Stream(StreamIntake):
    """One stream's life. Make it once a source, outside `run`: it remembers over runs when the link was lost."""

    def __init__(
        self,
        link: DigestClient,
        listener: StreamHandler,
        *,
        clock: Clock,
        heartbeat_timeout: float = 30.0,
        judges: Mapping[str, BodyParser] | None = None,
        limits: Limits | None = None,
        most_skipped: int = _SKIPPING,
        credentials: tuple[str, ...] = (),
        peer: str = "device",
    ) -> None:
        """`peer` is what sentences call the other side; more than `most_skipped` bytes without a part end the link.

        `credentials` tell whether a rejected password is still the same after a restart; kept as a salted hash.
        """
        super().__init__(clock)
        self.link = link
        self.lapse = OutageTracker(clock)
        self.rejection = LoginLockout(clock, credentials)
        self._listener = listener
        self._timeout = heartbeat_timeout
        self._judges = judges
        self._limits = limits
        self._most_skipped = most_skipped
        self._peer = peer
        self._lock = asyncio.Lock()
        self._timer = DueTimer(clock, lambda: listener.due() if self.connected else None, self._tick)
        self._watchdog = ReadWatchdog(clock, heartbeat_timeout)
        self._renewal = asyncio.Event()
        self._group: asyncio.TaskGroup | None = None
        self._beside: list[asyncio.Task[None]] = []
        """What runs beside the reading; it may be cancelled at any time."""
        self._early: list[Part | Skipped] = []
        """What came before the greeting."""
        self._read = 0.0
        """Seconds spent reading on this connection."""
        self._part: float | None = None
        """The value of `_read` when the unfinished part began."""
        self._skipped = 0
        """Bytes skipped since the last whole part, as far as they were told."""
        self._carried = False
        self._failing: BaseException | None = None
        """What has failed beside the reading; the group cancels the reading for it."""
        self._told = ""
        """Why the link was lost or could not be had, as the log last said."""
        self._stale = 0
        self._cut = Backoff(*CUT)
        self._absent = Backoff(*ABSENT)

    async def run(self, intake: Intake) -> None:
        """For ever. Raises `Misconfigured` for a rejected password, and what the listener raises."""
        self._intake = intake
        self.lapse.alive = self.lapse.alive or intake.last_activity
        intake.component.expects = _UNFINISHED * self._timeout + 90.0
        self.rejection.load(intake.state(KEY))
        while True:
            self.rejection.check()
            wait = await self._once()
            intake.count("reconnect")
            await self._clock.sleep(wait)

    def renew(self) -> None:
        """Break the link and open it again at once: what is asked for has changed. Called from anywhere."""
        self._renewal.set()

    async def rejected(self, retry: RetryAdvice) -> None:
        """A call beside the stream was refused for its password: no login until it may be tried again.

        The stream itself is left alone: it has its login behind it. Told twice, it counts once.
        """
        if self.rejection.left > 0:
            return
        self.intake.count("rejected")
        await self.put(state=self.rejection.note(retry.reason, retry.wait))

    # --- one connection -------------------------------------------------------------------------------------------

    async def _once(self) -> float:
        """Connect and read until the link is lost; the seconds to wait before the next."""
        self._carried, self._failing, self._read, self._part, self._early = False, None, 0.0, None, []
        self._skipped = 0
        self._watchdog.timeout = min(self._timeout, OPENING)
        self._renewal.clear()
        failure: BaseException | None = None
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                self._accompany(self._watchdog.watch, "watchdog of the stream")
                self._accompany(self._timer.run, "timer of the stream")
                self._accompany(self._renewed, "renewal of the stream")
                try:
                    await self._connect()
                finally:
                    self._alone()
        except* (ConnectionLost, UnexpectedStatus, StreamRefused, ReadTimeout) as group_failure:
            failure = _first(group_failure)
        finally:
            self._watchdog.served()
        if (own := asyncio.current_task()) is not None and own.cancelling():
            # A group that is failing already swallows a cancellation that comes then (before Python 3.13).
            raise asyncio.CancelledError
        if isinstance(failure, UnexpectedStatus):
            return await self._refused(failure.answer)
        if isinstance(failure, StreamRefused):
            return await self._postponed(failure.retry, None)
        return self._lost(failure)

    def _lost(self, failure: BaseException | None) -> float:
        reason = f"the {self._peer} ended the stream"
        if isinstance(failure, ReadTimeout):
            reason = f"the {self._peer} was silent for {self._watchdog.timeout:g} s"
        elif isinstance(failure, ConnectionLost):
            reason = failure.reason
        # Silence has taken its time already: an attempt that hangs is answered as soon as the device is back.
        soon = isinstance(failure, ReadTimeout) or (isinstance(failure, ConnectionLost) and failure.refused)
        self.lapse.lost(reason)
        if self._carried or reason != self._told:  # a device that stays away is tried every 2 s: once is enough
            log.info("the stream's link is lost", source=self.intake.name, reason=reason)
        self._told = reason
        if self._carried:
            self._cut.reset()
        if isinstance(failure, _Renewed):
            return 0.0
        self.intake.down(reason)
        return self._absent.next() if soon else self._cut.next()

    async def _connect(self) -> None:
        opening = await self._listener.opening()
        self._obey()
        self._watchdog.waiting()
        async with self.link.stream(
            opening.method, opening.path, body=opening.body, content_type=opening.content_type
        ) as response:
            if response.content_length is not None and not response.content_type.startswith("multipart/"):
                raise UnexpectedStatus(await read_answer(response))  # what ends is no stream
            self._watchdog.served()
            self._watchdog.timeout = self._timeout
            self._stale = 0
            cancelled = False
            try:
                if not opening.greeting:
                    async with self._lock:
                        await self._up()
                await self._receive(response)
            except asyncio.CancelledError:
                cancelled = True
                raise
            finally:
                self._watchdog.served()
                self._alone()
                await self._close(response, stopping=cancelled and self._failing is None)

    async def _receive(self, response: aiohttp.ClientResponse) -> None:
        found = _BOUNDARY.search(response.headers.get("Content-Type", ""))
        reader = MultipartReader(found[1].strip() if found else None, judges=self._judges, limits=self._limits)
        items: list[Part | Skipped] = []
        try:
            while True:
                self._obey()
                self._watchdog.waiting()
                data = await response.content.readany()
                self._watchdog.served()
                self._read += self._watchdog.waited
                if not data:
                    break
                if self.connected:  # else the gap is still to be told, and begins with the sign of life before it
                    self.intake.activity()
                    self.lapse.heard(self._watchdog.waited)
                items = reader.feed(data)
                if self._failing is not None:
                    await asyncio.Event().wait()  # for the cancellation: what is half received could not be repeated
                if items or not (reader.unfinished or reader.skipping):
                    self._part = None
                if self._part is None and (reader.unfinished or reader.skipping):
                    self._part = self._read
                batch, items = items, []
                await self._deliver(batch)
                if self._skipped + reader.skipping > self._most_skipped:
                    raise ConnectionLost("the stream is malformed beyond repair")
                if self._part is not None and self._read - self._part > _UNFINISHED * self._timeout:
                    raise ConnectionLost("a part of the stream did not end")
        except (aiohttp.ClientError, OSError) as error:
            self._watchdog.served()
            await self._deliver(reader.feed(remaining(response.content)))
            await self._deliver(reader.close(), ended=True)
            raise ConnectionLost(f"the link was cut: {error or type(error).__name__}") from error
        except (asyncio.CancelledError, _Renewed):
            if self._failing is not None:
                self._watchdog.served()
                await self._deliver([*items, *reader.feed(remaining(response.content))])
                # What has no length ends where the silence began.
                await self._deliver([part for part in reader.close() if isinstance(part, Part)], ended=True)
            raise
        await self._deliver(reader.close(), ended=True)

    async def _deliver(self, items: Sequence[Part | Skipped], *, ended: bool = False) -> None:
        if not items:
            return
        async with self._lock:
            good = sum(isinstance(item, Part) and item.fault is None for item in items)
            self._skipped = 0 if good else self._skipped
            if good < len(items):
                self._skipped += sum(item.size for item in items if isinstance(item, Skipped))
            if not self.connected:
                self._early += items
                # What was cut with the link answers nothing.
                first = next((one for one in items if isinstance(one, Part) and not (ended and one.fault)), None)
                if first is None:
                    return
                self._listener.greeted(first)
                await self._up()
                items, self._early = self._early, []
                good -= first.fault is None  # an answer alone is nothing that was carried
            if good and not self._carried:
                self._carried = True
                self._absent.reset()
            await (self._listener.rest(items) if ended else self._listener.received(items))
            self._timer.rearm()

    async def _up(self) -> None:
        """The link is up: tell the gap, if there was a link before."""
        self.connected = True
        # First of all: a sign of life that is stored before the gap would be where a restart lets the gap begin.
        if (gap := self.lapse.over()) is not None:
            await self.gap(*gap)
        self.lapse.back()
        self.intake.up()
        if self.intake.state(KEY):
            await self.put(state=self.rejection.forget())
        await self._listener.opened()
        self._timer.rearm()
        self._accompany(self._listener.upkeep, "upkeep of the stream")

    async def _close(self, response: aiohttp.ClientResponse, *, stopping: bool) -> None:
        opened, self.connected = self.connected, False
        try:
            # Real time: at a stop nobody moves an injected clock any more. Else the spool is waited for, as ever.
            async with asyncio.timeout(_CLOSING if stopping else None), self._lock:
                if opened and (stopping or isinstance(self._failing, _Renewed)):
                    async with asyncio.timeout(_CLOSING):
                        await self._listener.leaving()
                response.close()
                if opened:
                    await self._listener.closed()
        except TimeoutError:
            log.warning("a stream's last words took too long", source=self.intake.name)
        except ConnectionLost as error:
            log.info("a stream's last words were lost", source=self.intake.name, reason=error.reason)
        if opened and stopping:
            self.lapse.stopped()

    # --- what an answer means -------------------------------------------------------------------------------------

    async def _refused(self, answer: Answer) -> float:
        retry = self._listener.refused(answer)
        if retry.rejected is None:
            rejected = answer.status == 401 and not (answer.stale and self._stale < STALE)
            retry = RetryAdvice(retry.reason, retry.wait, rejected)
        self._stale = self._stale + 1 if answer.stale else 0
        return await self._postponed(retry, answer.status)

    async def _postponed(self, retry: RetryAdvice, status: int | None) -> float:
        if retry.rejected:
            self.lapse.lost("the password was rejected")
            await self.rejected(retry)
            raise Misconfigured(retry.reason, retry_after=self.rejection.left)
        self.lapse.lost(f"the {self._peer} {'has no stream to give' if status is None else f'answered HTTP {status}'}")
        self.intake.down(retry.reason)
        log.warning("the stream is refused", source=self.intake.name, status=status, advice=retry.reason)
        return self._cut.next() if retry.wait is None else retry.wait

    # --- beside the reading ---------------------------------------------------------------------------------------

    def _accompany(self, work: Callable[[], Coroutine[Any, Any, None]], name: str) -> None:
        if self._failing is not None:
            return  # the group is ending

        async def guarded() -> None:
            try:
                await work()
            except Exception as error:
                self._failing = self._failing or error
                raise

        assert self._group is not None  # made by _once
        self._beside.append(self._group.create_task(guarded(), name=name))

    def _alone(self) -> None:
        for task in self._beside:
            task.cancel()
        self._beside = []

    async def _renewed(self) -> None:
        await self._renewal.wait()
        if self._watchdog.waits:  # else the reader obeys when it has stored what it has read
            raise _Renewed("the subscription is made anew")

    def _obey(self) -> None:
        """Raises where another link is wanted."""
        if self._renewal.is_set():
            self._failing = _Renewed("the subscription is made anew")
            raise self._failing

    async def _tick(self) -> None:
        async with self._lock:
            if self.connected:
                await self._listener.tick()


def _first(group: BaseExceptionGroup[Any]) -> BaseException:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
