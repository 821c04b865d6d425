"""One link's life: subscribe, read the stream, store what it brings, keep the subscription in order (document, 6.1)."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Coroutine
from datetime import datetime
from functools import partial
from typing import Any, Final

import structlog
from aiohttp import ClientError, ClientResponse

from pump.clock import Clock
from pump.errors import Unavailable
from pump.event import Event, Unparsed
from pump.http.multipart import MultipartReader, Part, Skipped
from pump.http.stream import Silent, Watchdog, remaining
from pump.intake import Intake
from pump.vendors.hik_gateway.answers import Rejected, Trouble, answer, status_fields
from pump.vendors.hik_gateway.client import Client
from pump.vendors.hik_gateway.incidents import Incidents
from pump.vendors.hik_gateway.lenient import loads
from pump.vendors.hik_gateway.parse import Context, Unreadable, parse
from pump.vendors.hik_gateway.subscription import PATH, Granted, Wanted, broken, granted

log = structlog.get_logger()

_UNFINISHED: Final = 3
"""Time-outs that a part may take to be finished while bytes keep coming."""
_GARBAGE: Final = 1 << 20
"""Bytes without a part after which the stream is not believed to come to itself again."""
_BOUNDARY: Final = re.compile(r"boundary=\s*([^;]+)", re.IGNORECASE)


class Renew(Trouble):
    """The subscription is to be made anew, as asked; nothing is wrong."""


class Link:
    """One connection to the gateway, from the subscription on. `live` is called once.

    `on_up` is awaited when the gateway has answered the subscription, before anything of the stream is stored;
    `upkeep` runs beside the reading from then on.
    """

    def __init__(
        self,
        client: Client,
        intake: Intake,
        clock: Clock,
        *,
        wanted: Wanted,
        context: Context,
        incidents: Incidents,
        timeout: float,
        on_up: Callable[[Granted], Awaitable[None]],
        upkeep: Callable[[], Coroutine[Any, Any, None]],
    ) -> None:
        self._client = client
        self._intake = intake
        self._clock = clock
        self._wanted = wanted
        self._context = context
        self._incidents = incidents
        self._dog = Watchdog(clock, timeout)
        self._on_up = on_up
        self._upkeep = upkeep
        self._renew = asyncio.Event()
        self._stuck = 0.0
        self._response: ClientResponse | None = None
        self.alive: datetime | None = None
        """When its last bytes came."""
        self.strange = asyncio.Event()
        """An event named a device that the inventory does not know."""
        self.up = False
        self.carried = False
        """Whether a part came after the gateway's answer: the link is worth something."""
        self.subscription: str | None = None
        """Its number at the gateway, which closing and changing it needs."""

    def renew(self) -> None:
        """Make `live` raise Renew soon."""
        self._renew.set()

    async def live(self) -> None:
        """Reads until something ends it. Raises Trouble (Rejected, Renew) always, or what is a bug."""
        group: asyncio.TaskGroup
        try:
            async with asyncio.TaskGroup() as group:
                beside = [
                    group.create_task(self._dog.watch(), name=f"source {self._intake.name} watchdog"),
                    group.create_task(self._wait_renewal(), name=f"source {self._intake.name} renewal"),
                ]
                try:
                    await self._stream(group, beside)
                finally:
                    for task in beside:
                        task.cancel()
        except BaseExceptionGroup as failures:
            if (own := asyncio.current_task()) is not None and own.cancelling():
                # A task group that is failing already swallows a cancellation that comes then (before Python 3.13).
                raise asyncio.CancelledError from None
            raise _first(failures, self._dog.timeout) from None

    def shut(self) -> None:
        """Close the connection; `close` comes before it where there is time, for it takes the link's number."""
        if self._response is not None:
            self._response.close()
            self._response = None

    async def close(self) -> None:
        """Give the gateway its place back. Raises Trouble."""
        if self.subscription is not None:
            number, self.subscription = self.subscription, None
            await self._client.call("DELETE", f"{PATH}/unSubscribeDeviceMgmt/{number}", what="closing the subscription")

    async def add(self, index: str) -> None:
        """Subscribe to one more device, or change what it sends; only with eventMode device. Raises Trouble."""
        path = f"{PATH}/subscribeDeviceMgmt/{self.subscription}/devIndex/{index}"
        order = {"SubscribeDevEvent": self._wanted.device(index)}
        await self._client.call("POST", path, order, what=f"subscribing to the device {index}")

    async def drop(self, index: str) -> None:
        """End one device's subscription; only with eventMode device. Raises Trouble."""
        path = f"{PATH}/unSubscribeDeviceMgmt/{self.subscription}/devIndex/{index}"
        await self._client.call("DELETE", path, what=f"unsubscribing from the device {index}")

    async def broken(self) -> dict[str, str]:
        """The devices whose subscription does not stand, each with why; only with eventMode device. Raises Trouble."""
        path = f"{PATH}/subscribeDeviceMgmt/{self.subscription}/queryStatus"
        return broken(await self._client.call("GET", path, what="the subscription's status"))

    async def store(self, put: Callable[[], Awaitable[Any]]) -> None:
        """Await `put`, again and again while the spool refuses: the reading pauses, the link stands."""
        while True:
            try:
                await put()
            except Unavailable as refusal:
                self._intake.count("refused")
                await self._clock.sleep(refusal.retry_after or 1.0)
            else:
                return

    # --- the stream -----------------------------------------------------------------------------------------------

    async def _wait_renewal(self) -> None:
        await self._renew.wait()
        raise Renew("the subscription is made anew")

    async def _stream(self, group: asyncio.TaskGroup, beside: list[asyncio.Task[None]]) -> None:
        self._dog.waiting()
        path = f"{PATH}/subscribeDeviceMgmt"
        response = await self._client.open(path, self._wanted.body(), what="the subscription")
        self._response = response
        await self._read(response, group, beside)

    async def _read(
        self, response: ClientResponse, group: asyncio.TaskGroup, beside: list[asyncio.Task[None]]
    ) -> None:  # fmt: skip
        kind = response.headers.get("Content-Type", "")
        boundary = _BOUNDARY.search(kind)
        reader = MultipartReader(boundary[1] if boundary else None, judges={"*": loads})
        if boundary is None and response.content_length is not None:
            raise answer(200, await response.content.read(_GARBAGE), "the subscription")
        self._dog.served()
        ended = ""
        while not ended:
            self._dog.waiting()
            try:
                data = await response.content.readany()
                ended = "" if data else "the gateway ended the stream"
            except (ClientError, OSError) as error:
                data = remaining(response.content)
                ended = f"the stream broke: {type(error).__name__}"
            self._dog.served()
            if not data and not ended:
                continue
            items: list[Part | Skipped] = []
            before = self.alive
            if data:
                self._intake.activity()
                self.alive = self._clock.now()
                items = reader.feed(data)
            if ended:
                # What was cut is the gap's to tell: the gateway may well send it again, whole.
                items += [item for item in reader.close() if isinstance(item, Part) and item.fault != "cut"]
            await self._take(items, before, group, beside)
            self._judge(reader, bool(items))
        raise Trouble(ended)

    def _judge(self, reader: MultipartReader, progress: bool) -> None:
        """Raises Trouble where the stream brings bytes and no parts."""
        if reader.skipping > _GARBAGE:
            raise Trouble(f"the stream is malformed beyond repair: {reader.skipping} bytes without a part")
        if progress or not (reader.unfinished or reader.skipping):
            self._stuck = 0.0
            return
        self._stuck += self._dog.waited
        if self._stuck > _UNFINISHED * self._dog.timeout:
            raise Trouble(f"a part was not finished in {self._stuck:.0f} s")

    async def _take(
        self, items: list[Part | Skipped], before: datetime | None, group: asyncio.TaskGroup,
        beside: list[asyncio.Task[None]],
    ) -> None:  # fmt: skip
        found: list[Event | Unparsed] = []
        changes: dict[str, Any] = {}
        for item in items:
            if isinstance(item, Skipped):
                await self._put(found, changes)
                found, changes = [], {}
                await self._tell_skipped(item, before)
                continue
            if not self.up:
                await self._greet(item)
                beside.append(group.create_task(self._upkeep(), name=f"source {self._intake.name} upkeep"))
                if granted(item.value) is not None:
                    continue
            elif not self.carried:
                self.carried = True
            try:
                if item.fault is not None:
                    raise Unreadable(f"the part is damaged: {item.fault}")
                parsed = parse(item.value, self._context)
            except Unreadable as error:
                found.append(Unparsed(item.body, str(error)))
                continue
            if parsed is not None:
                self._incidents.note(parsed, changes)
                found.append(parsed.event)
                if parsed.event.data.get("device", {}).get("id") not in self._context.devices:
                    self.strange.set()
        await self._put(found, changes)

    async def _put(self, found: list[Event | Unparsed], changes: dict[str, Any]) -> None:
        if found:
            await self.store(partial(self._intake.put, *found, state=changes or None))

    async def _tell_skipped(self, item: Skipped, before: datetime | None) -> None:
        self._intake.count("skipped")
        log.warning(
            "Bytes of the stream were skipped",
            source=self._intake.name,
            reason=item.reason,
            bytes=item.size,
        )
        now = self._clock.now()
        reason = f"{item.size} bytes of the stream were skipped: {item.reason}"
        await self.store(partial(self._intake.gap, before or now, now, reason))

    async def _greet(self, part: Part) -> None:
        """The stream's first part: the gateway's answer, though some gateways go right on to events."""
        answered = granted(part.value)
        if answered is None and status_fields(part.body).get("statusCode") is not None:
            raise answer(200, part.body, "the subscription")
        self.up = True
        self.subscription = answered.id if answered else None
        await self._on_up(answered or Granted(None, {}))


def _first(failures: BaseExceptionGroup[BaseException], timeout: float) -> BaseException:
    """The one that counts: a bug before a rejection, before any other trouble, before silence."""
    leaves: list[BaseException] = []

    def gather(error: BaseException) -> None:
        if isinstance(error, BaseExceptionGroup):
            for inner in error.exceptions:
                gather(inner)
        else:
            leaves.append(error)

    gather(failures)
    for error in leaves:
        if not isinstance(error, Trouble | Silent):
            return error
    for kind in (Rejected, Trouble):
        for error in leaves:
            if isinstance(error, kind):
                return error
    return Trouble(f"the gateway was silent for {timeout:g} s")
