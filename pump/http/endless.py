"""The life of an endless multipart response: open, watch, read, lose, tell the gap, open again.

For sources whose stream needs nothing but its own request (hik-camera). A vendor gives a `Listener` and a `Link`;
`Stream.run` does the rest:

- each connection has a digest login with a fresh challenge; a rejected password waits 10 minutes, also over a restart
  of the process, unless it was changed meanwhile;
- any bytes are a sign of life. Silence for `heartbeat_timeout`, or a part that is unfinished after three of them,
  breaks the link. Only time spent reading counts: while `put` waits for a spool that refuses, nothing is read, the
  link stands, and the vendor is held back by TCP;
- a link that carried something is opened again within a second, a refused connection or a silent device is tried
  every 2 s, all else backs off to 60 s, or waits as long as `Listener.refused` says;
- time without a link, the process's own downtime included, becomes one `pump.gap` when the link is back.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import os
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import aiohttp
import structlog

from pump.backoff import Backoff
from pump.clock import Clock
from pump.errors import Misconfigured, Unavailable
from pump.event import Event, Unparsed
from pump.http.link import Answer, Link, Lost, Refused
from pump.http.multipart import Judge, Limits, MultipartReader, Part, Skipped
from pump.http.stream import Silent, Watchdog, remaining
from pump.intake import Intake
from pump.media import Stored
from pump.spool import Receipt

__all__ = ["Link", "Listener", "Lost", "Opening", "Refused", "Retry", "Stream"]

log = structlog.get_logger()

REJECTED_WAIT: Final = 600.0
"""Seconds after a rejected password: accounts lock after a few."""
_REJECTED: Final = "stream/rejected"
_UNFINISHED: Final = 3
"""Time-outs after which an unfinished part breaks the link."""
_SKIPPING: Final = 64 << 20
"""Bytes skipped at a stretch after which the stream is lost."""
_CLOSING: Final = 5.0
"""Seconds that a listener has for its last words."""
_FRESH: Final = 0.005
"""Seconds of waiting that tell bytes which have just come from those in a buffer."""
_BOUNDARY: Final = re.compile(r"boundary\s*=\s*([^;]*)", re.IGNORECASE)


@dataclass(slots=True, frozen=True)
class Opening:
    """The request that opens the stream."""

    method: str
    path: str
    body: bytes | None = None
    content_type: str = "application/json"


@dataclass(slots=True, frozen=True)
class Retry:
    """What an answer other than 200 means: `reason` says what to do, for the log and /status."""

    reason: str
    wait: float | None = None
    """Seconds; None: backoff to 60 s. For a rejected password it is 10 minutes at the least."""


class Listener(ABC):
    """The vendor's side of a stream. No two of its methods run at the same time."""

    @abstractmethod
    def opening(self) -> Opening:
        """The request; asked before each connection."""

    @abstractmethod
    async def received(self, items: Sequence[Part | Skipped]) -> None:
        """Parts in the stream's order, faulty ones and skipped bytes among them. Reading waits until it returns.

        Store with `Stream.put`, which waits for a spool that refuses. What it raises ends `Stream.run`, except
        `Lost`, which breaks the link.
        """

    async def opened(self) -> None:  # noqa: B027  # optional to have
        """The request was answered 200 and the gap is stored; nothing is read before this returns."""

    async def closed(self, *, stopping: bool) -> None:  # noqa: B027  # optional to have
        """The link that `opened` told of is closed. At a stop it has 5 s; what it raises then is logged."""

    def refused(self, answer: Answer) -> Retry:
        """The request was answered with another status than 200, 401 included."""
        return Retry(f"the device answered HTTP {answer.status}")

    def due(self) -> float | None:
        """Monotonic seconds at which `tick` wants to be called, None: not. Asked after each of these methods."""
        return None

    async def tick(self) -> None:  # noqa: B027  # optional to have
        """`due` has come. Called while the link stands only."""


class Stream:
    """One stream's life. Make it once a source, outside `run`: it remembers over runs when the link was lost."""

    def __init__(
        self,
        link: Link,
        listener: Listener,
        *,
        clock: Clock,
        heartbeat_timeout: float = 30.0,
        judges: Mapping[str, Judge] | None = None,
        limits: Limits | None = None,
        credentials: tuple[str, ...] = (),
    ) -> None:
        """`credentials` tell whether a rejected password is still the same after a restart; kept as a salted hash."""
        self.link = link
        self.connected = False
        self._listener = listener
        self._clock = clock
        self._timeout = heartbeat_timeout
        self._judges = judges
        self._limits = limits
        self._credentials = "\0".join(credentials).encode()
        self._intake: Intake | None = None
        self._lock = asyncio.Lock()
        self._changed = asyncio.Event()
        self._next_tick: float | None = None
        self._alive: datetime | None = None
        """When the link last gave a sign of life, wall time: bytes that had to be waited for.

        Others may have lain in buffers while nothing was read, and the device may have been gone for long.
        """
        self._loss = "the pump was not running"
        self._watchdog = Watchdog(clock, heartbeat_timeout)
        self._read = 0.0
        """Seconds spent reading on this connection."""
        self._part: float | None = None
        """The value of `_read` when the unfinished part began."""
        self._carried = False
        self._failing = False
        """The watchdog or the timer has failed, and their group cancels the reading for it."""
        self._stale = 0
        self._cut = Backoff(0.8, 60.0)
        self._absent = Backoff(1.0, 1.8)

    @property
    def intake(self) -> Intake:
        """Where this run puts its events."""
        assert self._intake is not None  # set by run
        return self._intake

    async def put(self, *items: Event | Unparsed, state: Mapping[str, Any] | None = None) -> Receipt:
        """Store; where the spool refuses wait, reading nothing, until it takes them. The link stands meanwhile."""
        backoff, paused = Backoff(0.5, 5.0), False
        while True:
            try:
                receipt = await self.intake.put(*items, state=state)
            except Unavailable as error:
                if not paused:
                    self.intake.count("pause")
                    self.intake.down(f"the spool refuses ({error.reason}); reading pauses until it takes events again")
                paused = True
                await self._clock.sleep(max(0.05, error.retry_after or backoff.next()))
                continue
            if paused and self.connected:
                self.intake.up()
            return receipt

    async def keep(self, content: bytes) -> Stored:
        """Store a binary; where the disk refuses wait, reading nothing, as `put` does."""
        backoff, paused = Backoff(0.5, 5.0), False
        while True:
            try:
                stored = await self.intake.media.store(content)
            except OSError as error:
                self.intake.count("pause")
                self.intake.down(f"the media store refuses ({error.strerror}); reading pauses meanwhile")
                paused = True
                await self._clock.sleep(max(0.05, backoff.next()))
                continue
            if paused and self.connected:
                self.intake.up()
            return stored

    async def run(self, intake: Intake) -> None:
        """For ever. Raises `Misconfigured` for a rejected password, and what the listener raises."""
        self._intake = intake
        self._alive = self._alive or intake.last_activity
        intake.component.expects = _UNFINISHED * self._timeout + 90.0
        self._mind_rejection()
        while True:
            wait = await self._once()
            intake.count("reconnect")
            await self._clock.sleep(wait)

    def break_off(self) -> None:
        """Break the link and open it again: the subscription has changed. Called from the listener's methods."""
        raise Lost("the subscription is made anew")

    # --- one connection -------------------------------------------------------------------------------------------

    async def _once(self) -> float:
        """Connect and read until the link is lost; the seconds to wait before the next."""
        self._carried, self._failing, self._read, self._part = False, False, 0.0, None
        failure: BaseException | None = None
        try:
            async with asyncio.TaskGroup() as group:
                watch = group.create_task(self._watch(), name="watchdog of the stream")
                tick = group.create_task(self._tick(), name="timer of the stream")
                try:
                    await self._connect()
                finally:
                    watch.cancel()
                    tick.cancel()
        except* (Lost, Refused, Silent) as group_failure:
            failure = _first(group_failure)
        finally:
            self._watchdog.served()
        if isinstance(failure, Refused):
            return await self._refused(failure.answer)
        reason = "the device ended the stream"
        if isinstance(failure, Silent):
            reason = f"the device was silent for {self._timeout:g} s"
        elif isinstance(failure, Lost):
            reason = failure.reason
        # Silence has taken its time already: an attempt that hangs is answered as soon as the device is back.
        soon = isinstance(failure, Silent) or (isinstance(failure, Lost) and failure.refused)
        if self._loss == "":
            self._loss = reason.partition(": ")[0]  # it labels a counter: the library's own words stay out
        self.intake.down(reason)
        log.info("the stream's link is lost", source=self.intake.name, reason=reason)
        if self._carried:
            self._cut.reset()
        return self._absent.next() if soon else self._cut.next()

    async def _connect(self) -> None:
        opening = self._listener.opening()
        self._watchdog.waiting()
        async with self.link.open(
            opening.method, opening.path, body=opening.body, content_type=opening.content_type
        ) as response:
            self._watchdog.served()
            self._stale = 0
            stopping = False
            try:
                async with self._lock:
                    await self._back()
                    await self._listener.opened()
                    self._rearm()
                await self._receive(response)
            except asyncio.CancelledError:
                stopping = not self._failing  # else it is the watchdog that cancels
                raise
            finally:
                self.connected = False
                response.close()
                await self._close(stopping=stopping)

    async def _receive(self, response: aiohttp.ClientResponse) -> None:
        found = _BOUNDARY.search(response.headers.get("Content-Type", ""))
        reader = MultipartReader(found[1].strip() if found else None, judges=self._judges, limits=self._limits)
        try:
            while True:
                self._watchdog.waiting()
                data = await response.content.readany()
                self._watchdog.served()
                self._read += self._watchdog.waited
                if not data:
                    break
                self.intake.activity()
                if self._watchdog.waited >= _FRESH:
                    self._alive = self._clock.now()
                items = reader.feed(data)
                if items or not (reader.unfinished or reader.skipping):
                    self._part = None
                if self._part is None and (reader.unfinished or reader.skipping):
                    self._part = self._read
                await self._deliver(items)
                if reader.skipping > _SKIPPING:
                    raise Lost("the stream is malformed beyond repair")
                if self._part is not None and self._read - self._part > _UNFINISHED * self._timeout:
                    raise Lost("a part of the stream did not end")
        except (aiohttp.ClientError, OSError) as error:
            self._watchdog.served()
            await self._deliver(reader.feed(remaining(response.content)))
            await self._deliver(reader.close())
            raise Lost(f"the link was cut: {error or type(error).__name__}") from error
        except asyncio.CancelledError:
            if self._failing:
                # What has no length ends where the silence began.
                await self._deliver([part for part in reader.close() if isinstance(part, Part)])
            raise
        await self._deliver(reader.close())

    async def _deliver(self, items: Sequence[Part | Skipped]) -> None:
        if not items:
            return
        if not self._carried and any(isinstance(item, Part) and item.fault is None for item in items):
            self._carried = True
            self._absent.reset()
        async with self._lock:
            await self._listener.received(items)
            self._rearm()

    async def _back(self) -> None:
        """The link is back: tell the gap, if there was a link before."""
        self.connected = True
        now, begin, reason = self._clock.now(), self._alive, self._loss or "the link was cut"
        self.intake.up()
        if begin is not None:
            while True:
                try:
                    await self.intake.gap(min(begin, now), now, reason)
                    break
                except Unavailable as error:
                    self.intake.down(f"the spool refuses ({error.reason})")
                    await self._clock.sleep(error.retry_after or 1.0)
            self.intake.up()
        self._loss = ""
        self._alive = self._clock.now()
        self.intake.activity()

    async def _close(self, *, stopping: bool) -> None:
        try:
            # Real time: at a stop nobody moves an injected clock any more.
            async with asyncio.timeout(_CLOSING), self._lock:
                await self._listener.closed(stopping=stopping)
        except TimeoutError:
            log.warning("a stream's last words took too long", source=self.intake.name)
        except Lost as error:
            log.info("a stream's last words were lost", source=self.intake.name, reason=error.reason)
        if stopping:
            self._loss = "the pump was not running"

    # --- what an answer means -------------------------------------------------------------------------------------

    async def _refused(self, answer: Answer) -> float:
        retry = self._listener.refused(answer)
        if answer.status == 401 and not (answer.stale and self._stale < 2):
            wait = max(REJECTED_WAIT, retry.wait or 0.0)
            self._loss = self._loss or "the password was rejected"
            salt = os.urandom(16)
            until = self._clock.now() + timedelta(seconds=wait)
            kept = {"salt": salt.hex(), "hash": self._hash(salt), "until": until.isoformat(), "reason": retry.reason}
            await self.put(state={_REJECTED: kept})
            raise Misconfigured(retry.reason, retry_after=wait)
        self._stale = self._stale + 1 if answer.stale else 0
        self._loss = self._loss or f"the device answered HTTP {answer.status}"
        self.intake.down(retry.reason)
        log.warning("the stream is refused", source=self.intake.name, status=answer.status, advice=retry.reason)
        return self._cut.next() if retry.wait is None else retry.wait

    def _mind_rejection(self) -> None:
        """Raise where this very password was rejected less than its wait ago, by the process before, perhaps."""
        kept = self.intake.state(_REJECTED).get(_REJECTED)
        if not isinstance(kept, dict):
            return
        left = (datetime.fromisoformat(kept["until"]) - self._clock.now()).total_seconds()
        same = hmac.compare_digest(kept["hash"], self._hash(bytes.fromhex(kept["salt"])))
        if same and left > 0.5:
            raise Misconfigured(kept["reason"], retry_after=min(left, REJECTED_WAIT))

    def _hash(self, salt: bytes) -> str:
        return hashlib.scrypt(self._credentials, salt=salt, n=1 << 12, r=8, p=1).hex()

    # --- watchdog and timer ---------------------------------------------------------------------------------------

    async def _watch(self) -> None:
        try:
            await self._watchdog.watch()
        except Silent:
            self._failing = True
            raise

    def _rearm(self) -> None:
        due = self._listener.due()
        if due is not None and (self._next_tick is None or due < self._next_tick):
            self._changed.set()

    async def _tick(self) -> None:
        """One sleeper at a time: a deadline that comes nearer than the one slept for wakes it."""
        while True:
            self._changed.clear()
            due = self._next_tick = self._listener.due() if self.connected else None
            if due is None:
                await self._changed.wait()
                continue
            if (wait := due - self._clock.monotonic()) > 0:
                await self._sleep_or_change(wait)
                continue
            async with self._lock:
                if not self.connected:
                    continue
                try:
                    await self._listener.tick()
                except Exception:
                    self._failing = True
                    raise

    async def _sleep_or_change(self, seconds: float) -> None:
        sleeper = asyncio.ensure_future(self._clock.sleep(seconds))
        changer = asyncio.ensure_future(self._changed.wait())
        try:
            await asyncio.wait({sleeper, changer}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (sleeper, changer):
                task.cancel()
            await asyncio.wait({sleeper, changer})


def _first(group: BaseExceptionGroup[Any]) -> BaseException:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
