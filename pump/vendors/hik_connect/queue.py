"""One queue of the account: subscribe, then messages, store, complete (document, 4.2, 4.4, 5.3.1, 5.3.2, 5.4.1)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

import structlog
from orjson import Fragment

from pump.core.backoff import Backoff
from pump.core.clock import Clock
from pump.core.errors import Misconfigured, Unavailable
from pump.core.event import Event, Unparsed
from pump.core.failure import MISCONFIGURED_WAIT
from pump.ingest.intake import Intake
from pump.telemetry.health import Failing
from pump.vendors.common.api import Action, CallFailed
from pump.vendors.common.values import member, whole
from pump.vendors.hik_connect import answers
from pump.vendors.hik_connect.answers import batch_id, find_batch_id
from pump.vendors.hik_connect.backfill.inventory import Inventory
from pump.vendors.hik_connect.backfill.matching import Matcher
from pump.vendors.hik_connect.client import Client, Decode
from pump.vendors.hik_connect.clips.asking import Clips
from pump.vendors.hik_connect.commands.sender import Commands
from pump.vendors.hik_connect.marks import PREFIX as MARKS
from pump.vendors.hik_connect.marks import Marks, is_mark
from pump.vendors.hik_connect.parse import Queue, normalise, records
from pump.vendors.hik_connect.settings import HikConnectSettings
from pump.vendors.hik_connect.subscription import CALLS, SubscriptionState
from pump.vendors.hik_connect.uploads import PREFIX as UPLOADS
from pump.vendors.hik_connect.uploads import Uploads

log = structlog.get_logger()

_STRETCH: Final = 0.002
"""Seconds for which records are normalised at a stretch; the loop serves everybody else between two of them."""
_COMPLETE_ATTEMPTS: Final = 4
_UNKNOWN_BATCHES: Final = 3
"""So many unknown batches in a row are no accident."""
_LASTING: Final = (3, 10.0)
"""A failure lasts when it came so often in a row, or when so many seconds passed since the last success, or are to be
waited now: the vendor may ask for an hour, and who says so is not taken for stuck."""
_SHORT: Final = (30.0, 1.5)
"""So many seconds after the last success no wait is longer than the second, where no server answered: such a try costs
the vendor less than a poll, and a short outage ends when it is over."""
_LONG: Final = 600.0
"""Seconds of failures after which it is looked whether the queue has brought all of that time."""
_REMEMBER: Final = 10.0
"""Seconds between two notes of the last success while a queue is idle: how wide of the mark a gap's beginning is."""
_UNSIZED_FULL: Final = 100
"""A batch of rawmsg this long may have more behind it; its size cannot be asked for, and it may tell no remainder."""


class MultiPartHealth:
    """The health of a source of several parts: up when no part is ill."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self._ill: dict[str, str] = {}
        self._failing: dict[str, Failing] = {}

    def healthy(self, part: str) -> None:
        """The part works."""
        self._ill.pop(part, None)
        self._failing.pop(part, None)
        if not self._ill:
            self._intake.up()
            self._intake.component.failing = next(iter(self._failing.values()), None)

    def failing(self, part: str, reason: str, wait: float) -> None:
        """A call of the part has failed and is repeated after `wait` seconds: seen at once, and not an outage yet."""
        now = self._intake.clock.now()
        known = self._failing.get(part)
        since = now if known is None else known.since
        self._failing[part] = failing = Failing(since, f"{part}: {reason}", now + timedelta(seconds=wait))
        if not self._ill:
            self._intake.component.failing = failing

    def unhealthy(self, part: str, reason: str) -> None:
        """The part has not worked for a while."""
        self._ill[part] = reason
        self._intake.down("; ".join(f"{name}: {why}" for name, why in self._ill.items()))


@dataclass(slots=True, frozen=True)
class Beside:
    """What all queues of a source share."""

    health: MultiPartHealth
    matcher: Matcher
    inventory: Inventory
    check: Callable[[datetime, datetime], None]
    """Have it looked whether the queues brought all of a time in which calls failed."""
    commands: Commands
    """Learns from what is about to be stored who can be commanded."""
    clips: Clips


class Puller:
    """Pulls one queue for as long as its task lives.

    A batch is completed only after `put` returned, that is after its events are on disk. What goes wrong in between
    brings the batch again, and its events are dropped as duplicates.
    """

    def __init__(
        self,
        queue: Queue,
        settings: HikConnectSettings,
        *,
        account: str,
        client: Client,
        intake: Intake,
        clock: Clock,
        beside: Beside,
    ) -> None:
        """`account` is the digest that begins the state keys of all its memories."""
        self.queue = queue
        self._calls = CALLS[queue]
        self._client = client
        self._intake = intake
        self._log = log.bind(source=intake.name, queue=queue)
        self._clock = clock
        self._health = beside.health
        self._beside = beside
        self._wanted = settings.types(queue)
        self._size = settings.batch_size
        self._interval = settings.poll_interval
        self._zone = settings.time_zone or ZoneInfo("UTC")
        self._account = account
        self._uploads = self._load()
        self._key = f"queue/{queue}"
        self._memory = SubscriptionState.load(intake.state(self._key).get(self._key), account)
        self._remembered = clock.monotonic()
        self._well = clock.monotonic()
        self._failures = 0
        self._unknown = 0
        self._uncompleted = 0
        self._garbage: str | None = None
        self._backoff = Backoff()
        self._short = Backoff(cap=_SHORT[1])
        self._refused = Backoff(cap=10.0)

    def _load(self) -> Uploads:
        """What came before, as far as it is stored: what a refused put took along must be forgotten."""
        uploads, marks = (f"{prefix}{self._account}/{self.queue}/" for prefix in (UPLOADS, MARKS))
        found = Uploads.load(self._intake.state(uploads), uploads)
        found.marks = Marks.load(self._intake.state(marks), marks)
        return found

    async def run(self) -> None:
        """Never returns. Raises Misconfigured where the whole account is concerned."""
        while True:
            try:
                pause = await self._round()
            except CallFailed as failure:
                pause = self._after(failure)
            except Unavailable as refusal:
                # The vendor is well, the spool is not: nothing was completed, so the batch comes again.
                self._intake.count("refused")
                pause = max(self._refused.next(), refusal.retry_after or 0.0)
            await self._clock.sleep(pause)

    async def _round(self) -> float:
        """One batch from the vendor to the disk and back; the seconds to wait before the next."""
        memory = self._memory
        # A start does not subscribe where a subscription stood at the last success: if it was lost while we were
        # away, only the refusal of messages tells so, and subscribing first would hide the gap.
        if memory.types is None:
            await self._subscribe()
        if memory.lost is not None:
            await self._tell_gap(memory.lost, memory.regained or self._clock.now())
        asked = self._clock.now()
        try:
            wanted = {"maxNumberPerTime": self._size} if self._calls.sized else {}
            data = await self._call("messages", wanted, answers.sliced)
        except CallFailed as failure:
            if not self._broken_again(failure):
                raise
            return await self._set_aside(failure.body)
        self._garbage = None
        self._intake.activity(self.queue)
        if self._uncompleted == 0:
            self._health.healthy(self.queue)
        items, number = await self._read(data)
        async with self._beside.matcher.among_queues():
            await self._store(items, asked)
        batch = batch_id(member(data, "batchId"))
        if number and batch is None:
            self._intake.count("batch without id")
        completed = batch is not None and await self._complete(batch)
        if memory.types != self._wanted:
            await self._subscribe()
        self._succeeded()
        return 0.0 if completed and self._more(data, number) else self._interval

    async def _call(self, name: str, body: dict[str, Any], decode: Decode = answers.decode) -> Any:
        return await self._client.call(self.queue, f"{self._calls.path}/{name}", body, decode=decode)

    async def _subscribe(self) -> None:
        """Stands to be repeated: the vendor only prolongs what stands already, and keeps what waits in the queue."""
        memory = self._memory
        if memory.types is None and memory.lost is not None:
            # The refusals end with this call, and they alone tell of the loss: it must be on disk before.
            await self._put()
        await self._call("subscribe", self._calls.subscription(self._wanted))
        self._intake.count("subscribe")
        now = self._clock.now()
        memory.types = self._wanted
        memory.regained = now if memory.lost is not None else None
        if memory.last is None:
            memory.last = now
        self._log.info("Subscribed", types=self._wanted or "all")
        await self._put()

    async def _tell_gap(self, begin: datetime, end: datetime) -> None:
        # If the daemon dies between the two, the gap is told twice rather than never.
        await self._intake.gap(begin, end, f"the subscription of the {self.queue} queue was lost")
        self._memory.lost = self._memory.regained = None
        self._memory.last = end
        self._well = self._clock.monotonic()  # the record of the gap has the time before
        await self._put()

    async def _store(self, items: list[Event | Unparsed], asked: datetime) -> None:
        memory = self._memory
        before, memory.last = memory.last, asked
        if not items and self._clock.monotonic() - self._remembered < _REMEMBER:
            return
        try:
            items = await self._beside.matcher.unknown(items, self._uploads)
            self._beside.inventory.name(items)
            self._beside.commands.seen(items)
            things, clips = self._beside.commands.state(), self._beside.clips.wanted(items)
            await self._put(*items, state=self._uploads.state(asked) | self._uploads.marks.state() | clips | things)
            self._beside.clips.take(clips)
            self._beside.commands.kept(things)
        except Unavailable:
            # What was seen and not stored is no success: if the vendor loses it now, the gap must reach back to it.
            memory.last = before
            self._uploads = self._load()
            raise
        self._refused.reset()

    async def _put(self, *items: Event | Unparsed, state: Mapping[str, Any] | None = None) -> None:
        await self._intake.put(*items, state={self._key: self._memory.state(), **(state or {})})
        self._remembered = self._clock.monotonic()

    async def _read(self, data: object) -> tuple[list[Event | Unparsed], int]:
        """The batch's events in their order, and how many records they came from.

        Data that is no object, or a list that is none, is a record that nobody can read: kept, and completed where
        the answer has an id.
        """
        found = records(self.queue, data)
        received, marked = self._clock.now(), False
        if found:
            await asyncio.sleep(0)  # finding each record in the answer took a while
        items: list[Event | Unparsed] = []
        end = time.perf_counter() + _STRETCH
        for each in found:
            record = answers.read(each)
            if not marked and is_mark(record):
                # By all that is in the batch they are numbered; most batches have none, and are not looked through.
                marked = True
                await asyncio.sleep(0)
                self._uploads.marks.begin(batch_id(member(data, "batchId")), answers.said(found), received)
                await asyncio.sleep(0)
            items += map(_lightened, normalise(self.queue, record, self._zone, received, self._uploads))
            if time.perf_counter() >= end:
                await asyncio.sleep(0)
                end = time.perf_counter() + _STRETCH
        if found and not marked:
            self._uploads.marks.begin(None, (), received)
        if found:
            await asyncio.sleep(0)
        return items, len(found)

    async def _complete(self, batch: str) -> bool:
        """Whether the vendor knows that we have it. Raises CallFailed after the last attempt."""
        backoff = Backoff(first=0.5, cap=5.0)
        for attempt in range(1, _COMPLETE_ATTEMPTS + 1):
            self._uncompleted += attempt == 1
            try:
                await self._call("messages/complete", {"batchId": batch})
            except CallFailed as failure:
                if failure.answer.action is Action.POLL:
                    # Unknown after an attempt whose answer was lost: that attempt took effect.
                    if attempt > 1:
                        break
                    self._uncompleted = 0
                    self._told_unknown(failure)
                    return False
                if failure.answer.action is not Action.RETRY or attempt == _COMPLETE_ATTEMPTS:
                    raise
                self._intake.count("retry")
                self._log.warning("Completing a batch failed and is repeated", code=failure.code)
                wait = max(backoff.next(), failure.retry_after or 0.0)
                if wait >= _LASTING[1]:
                    self._health.unhealthy(f"{self.queue} batches", str(failure))
                await self._clock.sleep(wait)
            else:
                break
        self._uncompleted = self._unknown = 0
        self._intake.activity(self.queue)
        self._health.healthy(f"{self.queue} batches")
        return True

    def _told_unknown(self, failure: CallFailed) -> None:
        self._intake.count("lost batch")
        self._unknown += 1
        self._log.warning("The vendor does not know a batch that it gave us", times=self._unknown)
        if self._unknown >= _UNKNOWN_BATCHES:
            self._health.unhealthy(f"{self.queue} batches", str(failure))

    def _broken_again(self, failure: CallFailed) -> bool:
        """True for a batch whose JSON was broken the time before too: it will be for ever."""
        before, self._garbage = self._garbage, find_batch_id(failure.body)
        return self._garbage is not None and self._garbage == before

    async def _set_aside(self, body: bytes) -> float:
        """Keep the bytes of a batch that cannot be read, complete it, go on."""
        batch = self._garbage
        assert batch is not None  # it was broken again
        self._log.error("A batch is no JSON; keeping its bytes and going on behind it")
        self._intake.count("unreadable batch")
        await self._put(Unparsed(body, "the batch is no JSON", ("batch", batch)))
        self._succeeded()
        return 0.0 if await self._complete(batch) else self._interval

    def _succeeded(self) -> None:
        failing = self._clock.monotonic() - self._well
        if self._failures and failing >= _LONG and self._memory.lost is None:
            now = self._clock.now()
            self._beside.check(now - timedelta(seconds=failing), now)
        self._failures = 0
        self._backoff.reset()
        self._short.reset()
        self._well = self._clock.monotonic()
        self._health.healthy(self.queue)

    def _after(self, failure: CallFailed) -> float:
        """What to do after a failed call; the seconds to wait before the next."""
        answer = failure.answer
        if answer.action is Action.MISCONFIGURED:
            if answer.account:
                raise Misconfigured(str(failure), retry_after=MISCONFIGURED_WAIT) from None
            self._health.unhealthy(self.queue, str(failure))
            self._log.error("A queue needs a person's help", reason=str(failure), wait_s=MISCONFIGURED_WAIT)
            return MISCONFIGURED_WAIT
        self._failures += 1
        if answer.action is Action.SUBSCRIBE:
            self._lost()
            if self._failures == 1:
                return 0.0
        self._intake.count("retry")
        failing = self._clock.monotonic() - self._well
        backoff = self._backoff if failure.answered or failing >= _SHORT[0] else self._short
        wait = max(backoff.next(), failure.retry_after or 0.0)
        times, seconds = _LASTING
        if self._failures >= times or max(failing, wait) >= seconds:
            self._health.unhealthy(self.queue, str(failure))
        else:
            self._health.failing(self.queue, str(failure), wait)
        self._log.warning("A call failed and will be repeated", reason=str(failure), wait_s=round(wait, 3))
        return wait

    def _lost(self) -> None:
        memory = self._memory
        self._intake.count("lost subscription")
        self._log.warning("The queue's subscription was lost; subscribing again", since=str(memory.last))
        memory.types = memory.regained = None
        if memory.lost is None:
            memory.lost = memory.last

    def _more(self, data: object, number: int) -> bool:
        """Whether more waits at the vendor; also noted for /status."""
        remaining = whole(member(data, "remainingNumber"))
        self._intake.component.details[self.queue] = {"backlog": remaining, "batch": number}
        if remaining is not None:
            return remaining > 0
        return number >= (self._size if self._calls.sized else _UNSIZED_FULL)


def _lightened(item: Event | Unparsed) -> Event | Unparsed:
    """The item, of its record no more than the JSON that will be stored: kept as it was read until the commit, the
    records of a batch would be thrown away from cold memory, which takes as long as reading them."""
    if isinstance(item, Event) and item.raw_json is not None:
        item.data["raw"] = Fragment(item.raw_json)
    return item
