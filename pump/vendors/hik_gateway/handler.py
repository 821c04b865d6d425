"""The gateway's stream to events: the subscription's answer, alarms, heartbeats (document, 6.1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import orjson
import structlog

from pump.core.errors import MessageError
from pump.core.event import Event, Unparsed
from pump.ingest.intake import Intake
from pump.ingest.stream.client import Answer, ConnectionLost
from pump.ingest.stream.handler import Batch, RetryAdvice, StreamHandler, StreamRefused, StreamRequest
from pump.ingest.stream.multipart.parts import Part, Skipped
from pump.vendors.hik_gateway.answers import Away, Trouble, Waits, failed, said, trouble
from pump.vendors.hik_gateway.client import address
from pump.vendors.hik_gateway.parse import parse
from pump.vendors.hik_gateway.subscriber import Subscriber
from pump.vendors.hik_gateway.subscription import PATH, Granted, granted

log = structlog.get_logger()

_WHAT: Final = "the subscription"


class GatewayHandler(StreamHandler):
    """One gateway's stream. `keeper` has what is wanted, and the devices; `intake` counts."""

    def __init__(self, intake: Intake, keeper: Subscriber) -> None:
        super().__init__(keeper.renewal)
        self._intake = intake
        self._keeper = keeper
        self._waits = Waits()
        self._greeting: Part | None = None
        """The link's first part, until it was received."""
        self._granted = Granted(None, {})
        self._answered = False
        """The link's first part was the gateway's word on the subscription, and no event."""

    async def opening(self) -> StreamRequest:
        """The subscription. With eventMode device it names devices, which may have to be asked for first."""
        self._keeper.begin()
        try:
            await self._keeper.prepare()
        except Away as away:
            raise ConnectionLost(away.reason, refused=away.refused) from away
        except Trouble as problem:
            raise StreamRefused(self._waits.retry(problem)) from problem
        path = address(f"{PATH}/subscribeDeviceMgmt")
        return StreamRequest("POST", path, orjson.dumps(self._keeper.wanted.body()), greeting=True)

    def refused(self, answer: Answer) -> RetryAdvice:
        """The gateway's refusal in words, with a wait of its own."""
        return self._waits.retry(trouble(answer, _WHAT))

    def greeted(self, part: Part) -> None:
        """The gateway's answer, though some gateways go right on to events; a refusal may come as 200 too."""
        answered = granted(part.value)
        answer = Answer(200, part.head.content_type, part.body)
        if answered is None and failed(answer):
            raise StreamRefused(self.refused(answer))
        self._greeting, self._granted = part, answered or Granted(None, {})
        self._answered = answered is not None or bool(said(part.body))
        self._keeper.number = self._granted.id

    async def opened(self) -> Sequence[Batch]:
        """Report what could not be subscribed."""
        await self._keeper.granted(self._granted)
        return ()

    async def upkeep(self) -> None:
        """Keep the device list and the devices' subscriptions."""
        await self._keeper.run()

    async def leaving(self) -> None:
        """Give the gateway its place back."""
        await self._keeper.leave()

    async def closed(self) -> Sequence[Batch]:
        """The subscription has gone with its connection."""
        self._keeper.number = None
        return ()

    async def rest(self, items: Sequence[Part | Skipped]) -> Sequence[Batch]:
        """What was cut is in the gap: the gateway may well send it again, whole."""
        return await self.received([item for item in items if isinstance(item, Part) and item.fault != "cut"])

    async def received(self, items: Sequence[Part | Skipped]) -> Sequence[Batch]:
        """What the parts bring; skipped bytes are a gap in its place between them."""
        batches = [Batch()]
        for item in items:
            if isinstance(item, Skipped):
                batches.append(Batch(gaps=[self._skipped(item)]))
            elif item is self._greeting and self._answered:
                pass  # it has been heard
            else:
                if item is not self._greeting:
                    self._waits.reset()
                if (event := self._read(item, batches[-1])) is not None:
                    batches[-1].events.append(event)
        self._greeting = None
        return batches

    def _read(self, part: Part, batch: Batch) -> Event | Unparsed | None:
        try:
            if part.fault is not None:
                raise MessageError(f"the part is damaged: {part.fault}")
            parsed = parse(part.value, self._keeper.context)
        except MessageError as error:
            return Unparsed(part.body, str(error))
        if parsed is None:
            return None
        if not self._keeper.incidents.note(parsed, batch.state):
            self._intake.count("repeat")
            return None
        self._keeper.presence.heard(parsed, batch.state)
        self._keeper.panels.heard(parsed)
        if parsed.event.data.get("device", {}).get("id") not in self._keeper.context.devices:
            self._keeper.strange.set()
        return parsed.event

    def _skipped(self, skipped: Skipped) -> str:
        """Count and log them; the reason of their gap."""
        self._intake.count("skipped")
        log.warning(
            "Bytes of the stream were skipped", source=self._intake.name, reason=skipped.reason, bytes=skipped.size
        )  # fmt: skip
        return f"{skipped.size} bytes of the stream were skipped: {skipped.reason}"
