"""An MQTT broker: each event as a CloudEvent on a topic of its own fields, the present as retained states beside it.

MQTT 5 and 3.1.1 (OASIS standards), structured mode of the CloudEvents MQTT protocol binding 1.0.2.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, MutableMapping
from types import TracebackType
from typing import Any, ClassVar, Final, Self

import structlog

import pump
from pump.commands.ways import WayIn
from pump.core.clock import Clock
from pump.core.errors import Misconfigured, Rejected, Unavailable, anew
from pump.core.record import Batch, Record, State
from pump.core.tasks import first_of
from pump.sink import Sink
from pump.sinks.common.ack_window import Window
from pump.sinks.mqtt.commands.way import MqttCommands
from pump.sinks.mqtt.connector import Connector
from pump.sinks.mqtt.first_events import FirstEvents
from pump.sinks.mqtt.link import FAREWELL, MqttConnection
from pump.sinks.mqtt.messages import OFFLINE, ONLINE, EventMessages
from pump.sinks.mqtt.protocol import BrokerLost, Connect, Heard, Listener, Message, MqttLink
from pump.sinks.mqtt.retained import Retained
from pump.sinks.mqtt.settings import MqttSettings
from pump.sinks.mqtt.suspects import Suspects, Verdict
from pump.sinks.mqtt.trial import try_out

__all__ = ["SINK", "MqttSettings", "MqttSink"]

log = structlog.get_logger()

_ROOM: Final = 164
"""Bytes of a PUBLISH beside its topic, payload and the values of its user properties, and to spare."""
_AGAIN: Final = 100
"""Retained messages that are said again at once; before a batch no more, so that no event waits for all."""

_FORM: Final = {
    "status_topic", "state_topic", "states", "home_assistant", "picture_url",
    "types", "exclude_types", "sources", "exclude_sources", "sites", "min_severity",
}  # fmt: skip
"""Settings that decide what is retained, where, and what an entity's availability names."""
_VAIN: Final = 3
"""Connections that may end at one lot of them."""


class MqttSink(Sink[MqttSettings]):
    """Publishes with a window of unacknowledged messages; connects again by itself, while idle too."""

    Settings = MqttSettings
    watches = True
    connect: ClassVar[Connect] = MqttConnection
    try_out = try_out

    def __init__(self, name: str, settings: MqttSettings, *, state: State | None, clock: Clock, site: str) -> None:
        super().__init__(name, settings, state=state, clock=clock, site=site)
        self._connector = Connector(name, settings, site, type(self).connect)
        self._retained = Retained(clock)
        self._first_events = FirstEvents(clock, state)
        self._messages = self._spoken()
        self._link: MqttLink | None = None
        self._window: Window | None = None
        self._suspects = Suspects()
        self._asks = True
        """Whether the broker may be asked what it has; one that closes the connection at that is asked no more."""
        self._found: dict[str, bytes] = {}
        """What the broker had retained when this connection asked."""
        self._vain = 0  # connections in a row that ended at messages of no event in hand
        self._news = asyncio.Event()
        """Set where something is to be said although no event has come."""

    @classmethod
    def way_in(cls, name: str, settings: MqttSettings, *, clock: Clock, site: str) -> WayIn | None:
        """Where `command_topic` says so."""
        return MqttCommands.wanted(name, settings, clock, site, cls.connect)

    def recall(self, memory: MutableMapping[str, Any]) -> None:
        """Take up what former openings gave the broker to keep, if they did so by the same settings."""
        settings = self.settings
        if not self._messages.stateful:
            memory.clear()
            return
        self._retained.recall(memory, f"{pump.__version__} {self.site} {settings.model_dump_json(include=_FORM)}")

    async def __aenter__(self) -> Self:
        """Connect. Raises Unavailable, Misconfigured."""
        await self._connected()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Say that the pump has left, where that is quick, and disconnect."""
        link, self._link = self._link, None
        if link is None:
            return
        status = self._messages.status
        try:
            if status and link.lost is None:
                with contextlib.suppress(Unavailable, Misconfigured, TimeoutError):  # the will stands in for it
                    async with asyncio.timeout(FAREWELL):
                        await link.say([Message(status, OFFLINE, 1, retain=True)])
        finally:
            await link.close()

    async def send(self, batch: Batch) -> State | None:
        """Publish the batch in order. Raises Unavailable, Rejected, Misconfigured."""
        link = await self._connected()
        await self._say_waiting(link)
        if self._suspects.asks(batch):
            await self._try_another(link, batch)
        window = self._window = Window(batch, self._size(link), self.settings.timeout, waits=link.hasten)
        careful = self._suspects.careful
        try:
            for place, record in enumerate(batch):
                await window.room(1 if careful else None)
                if careful and place:  # the suspect has passed
                    self._suspects.passed()
                    careful = False
                self._post(link, window, place, record)
            await window.finish()
            self._suspects.through()
            self._retained.acknowledged()
        except (Unavailable, Misconfigured) as error:
            condemned, hopeless = self._note_cut(batch, window, error)
            await self._dropped()
            kind = Misconfigured if isinstance(hopeless or error, Misconfigured) else Unavailable
            raise kind(
                (hopeless or error).reason,
                retry_after=(hopeless or error).retry_after,
                done=window.done,
                refused=window.refused | condemned,
                state=self._first_events.memory(),
            ) from error
        except Rejected as error:
            self._retained.acknowledged()
            raise Rejected(error.reasons, state=self._first_events.memory()) from error
        except BaseException:
            await self._dropped()
            raise
        finally:
            self._suspects.delivered(window)
            window.close()
            self._window = None
        return self._first_events.memory() or None

    async def watch(self) -> State | None:
        """Say what is to be said without an event, and wait for the connection's end. Raises as `send` does."""
        link = self._link
        if link is None or link.lost is not None:
            await self._connected()
            return self._first_events.memory()
        while link.lost is None:
            self._news.clear()
            while self._retained.waiting:
                await self._say_again(link)
            if await self._say_due(link):
                return self._first_events.memory()
            await self._until_news(link)
        raise anew(link.lost)

    # --- the connection ---------------------------------------------------------------------------------------------

    async def _connected(self) -> MqttLink:
        if self._link is not None and self._link.lost is None:
            return self._link
        await self._dropped()
        link = await self._connector.open(Listener(self._acknowledged, self._heard, self._lost))
        if self._connector.spaces != self._messages.spaces:
            self._retained.forget_spaces()
            self._messages = self._spoken()
        try:
            await self._greet(link)
        except BaseException:
            await link.drop()
            raise
        self._link = link
        return link

    async def _greet(self, link: MqttLink) -> None:
        """Say that the pump is there, and see what the broker remembers. Raises Unavailable, Misconfigured."""
        settings, status = self.settings, self._messages.status
        asked = self._asked()
        self._found.clear()
        if status:
            link.listen(asked)
            try:
                refused = (await link.say([Message(status, ONLINE, 1, retain=True)]))[0]
            except BrokerLost:
                self._asks = self._asks and not asked
                raise
            if refused is not None:
                raise Misconfigured(f"the broker refuses a message to {status}, the status_topic: {refused}")
            link.ignore([topic for topic in asked if topic != self._messages.birth])
        self._first_events.begin_again()
        if not self._remembers():
            self._retained.all_again()
            if count := self._retained.waiting:
                log.info("The broker has forgotten what it was given to keep", sink=self.name, messages=count)
        if settings.qos > link.limits.qos:
            log.warning("The broker's highest quality of service is lower", sink=self.name, qos=link.limits.qos)
        if self._messages.stateful and not link.limits.retain:
            log.warning("The broker retains nothing: states are seen as they change only", sink=self.name)

    def _spoken(self) -> EventMessages:
        """The messages in the dialect that is spoken."""
        return EventMessages(
            self.settings, self.site, self._retained, self._first_events, spaces=self._connector.spaces
        )

    async def _dropped(self) -> None:
        self._retained.interrupted()
        link, self._link = self._link, None
        if link is not None:
            await link.drop()

    def _size(self, link: MqttLink) -> int:
        # An event may bring a state and an entity for each of its aspects: then fewer events fill the broker's window.
        most = link.limits.receive_maximum
        return max(1, min(self.settings.window, most // 8 if self._messages.stateful else most))

    def _acknowledged(self, place: int, refusal: str | None) -> None:
        if self._window is None:
            return
        if refusal is None:
            self._window.settle(place)
        else:
            self._window.refuse(place, refusal)

    def _lost(self, error: Exception) -> None:
        if self._window is not None:
            self._window.fail(error)

    # --- what the broker and Home Assistant have --------------------------------------------------------------------

    def _asked(self) -> list[str]:
        """What tells whether the broker remembers us, and where Home Assistant says that it has started."""
        if not self._asks or not self._messages.stateful:
            return []
        marker = self._retained.marker
        birth = [self._messages.birth] if self._messages.birth else []
        return [self._messages.status, *([marker.topic] if marker is not None else []), *birth]

    def _remembers(self) -> bool:
        """Whether the broker had our presence, and the newest of what it was given to keep.

        One that does not say so in time counts as one that has forgotten: it is said all once more.
        """
        marker = self._retained.marker
        return self._messages.status in self._found and (
            marker is None or self._found.get(marker.topic) == marker.payload
        )

    def _heard(self, heard: Heard) -> None:
        if heard.retained:
            self._found[heard.topic] = heard.payload
        elif heard.topic == self._messages.birth and heard.payload == ONLINE:
            log.info("Home Assistant has started: its entities are announced again", sink=self.name)
            self._retained.all_again()
            self._news.set()

    async def _until_news(self, link: MqttLink) -> None:
        """Wait for the link's end, for Home Assistant's start, or until held messages can be heard."""
        waits = [link.until_lost(), self._news.wait()]
        if (seconds := self._first_events.next_in) is not None:
            waits.append(self.clock.sleep(seconds))
        await first_of(*waits)

    async def _say_waiting(self, link: MqttLink) -> None:
        """Say some of what waits, before a batch. Raises as `send` does, with nothing of the batch done."""
        try:
            if self._retained.waiting:
                await self._say_again(link)
            while await self._say_due(link):
                pass
        except BaseException:
            await self._dropped()
            raise

    async def _say_again(self, link: MqttLink) -> None:
        messages = self._retained.next_again(min(_AGAIN, link.limits.receive_maximum))
        await self._say(link, messages, self._retained.stop)
        self._retained.settled(messages)

    async def _say_due(self, link: MqttLink) -> bool:
        """Say what was held and can be heard now; whether there was any."""
        messages = self._first_events.due()[: min(_AGAIN, link.limits.receive_maximum)]
        if messages:
            await self._say(link, messages, lambda: self._first_events.said(messages))
            self._first_events.said(messages)
        return bool(messages)

    async def _say(self, link: MqttLink, messages: list[Message], give_up: Callable[[], None]) -> None:
        """Say messages that belong to no event in hand; where a broker always closes at them events go without."""
        try:
            await link.say(messages)
        except BrokerLost:
            self._vain += 1
            if self._vain >= _VAIN:
                self._vain = 0
                give_up()
                topic = messages[0].topic
                log.warning("The broker closes at messages that are said again", sink=self.name, topic=topic)
            raise
        self._vain = 0

    # --- events -----------------------------------------------------------------------------------------------------

    def _post(self, link: MqttLink, window: Window, place: int, record: Record) -> None:
        messages = list(self._messages.of(record))
        largest = max(len(message.payload) + 4 * len(message.topic) for message in messages)
        if largest + _ROOM + len(record.type) + len(record.source) + len(self.site) > link.limits.packet_size:
            self._retained.interrupted()
            window.refuse(place, f"it is larger than the {link.limits.packet_size} bytes that the broker takes")
            return
        window.expect(len(messages))
        for message in messages:
            link.post(place, message)

    async def _try_another(self, link: MqttLink, batch: Batch) -> None:
        """See whether the broker closes the connection at another event too. Raises Unavailable, Misconfigured."""
        suspect, done = batch[0], set()
        other, passed = self._suspects.other(batch, self._messages.topic), None
        if other is not None:
            messages = [one._replace(qos=max(1, one.qos)) for one in self._messages.of(other)]
            try:
                refusals = await link.say(messages)
            except Unavailable:
                passed = False
            except BaseException:
                await self._dropped()
                raise
            else:
                passed, done = True, set() if any(refusals) else {other.seq}
                self._retained.acknowledged()
        verdict = self._suspects.judge(other_passed=passed)
        if not passed:
            await self._dropped()
        if verdict is Verdict.FORBIDDEN:
            raise self._forbidden(suspect)
        raise Unavailable(
            "the broker closes the connection at an event",
            retry_after=0.0,
            done=done,
            refused={suspect.seq: f"the broker closes the connection at its topic, {self._messages.topic(suspect)}"},
            state=self._first_events.memory(),
        )

    def _note_cut(
        self, batch: Batch, window: Window, error: Unavailable | Misconfigured
    ) -> tuple[dict[int, str], Misconfigured | None]:
        """What follows of a cut: the event that is refused with its reason, or that a person is needed."""
        if window.error is None or isinstance(error, Misconfigured):
            return {}, None
        record, verdict = self._suspects.cut(batch, window.settled)
        if verdict is Verdict.REFUSED:
            return {record.seq: "the broker closes the connection when it is sent"}, None
        return {}, self._forbidden(record) if verdict is Verdict.FORBIDDEN else None

    def _forbidden(self, record: Record) -> Misconfigured:
        advice = "" if self._connector.version == "5" else '; version = "5", where it can, tells why'
        return Misconfigured(
            f"the broker closes the connection at each event, such as the one to {self._messages.topic(record)}: it "
            "may not authorise this client to publish there (or another client has its client_id): look into its log "
            f"and access list{advice}"
        )


SINK = MqttSink
