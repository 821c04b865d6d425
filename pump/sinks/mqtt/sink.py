"""An MQTT broker: each event as a CloudEvent on a topic of its own fields, the present as retained states beside it.

MQTT 5 and 3.1.1 (OASIS standards), structured mode of the CloudEvents MQTT protocol binding 1.0.2.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any, Final, NamedTuple, Self
from urllib.parse import urlsplit

import aiomqtt
import orjson
import structlog
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from pump.core.clock import Clock
from pump.core.errors import Misconfigured, Unavailable
from pump.core.record import Batch, Record, State
from pump.core.routing import Routing
from pump.core.settings import SinkSettings
from pump.core.taxonomy import SEVERITIES
from pump.sink import Sink
from pump.sinks.common.ack_window import Window
from pump.sinks.common.template import MQTT, Template
from pump.sinks.common.tls import client_context
from pump.sinks.mqtt.home_assistant import HomeAssistantDiscovery
from pump.sinks.mqtt.link import FAREWELL, UNSUPPORTED_VERSION, MqttConnection, silenced
from pump.sinks.mqtt.settings import PORTS, MqttSettings
from pump.sinks.mqtt.states import facts, summary

__all__ = ["SINK", "MqttSettings", "MqttSink"]

log = structlog.get_logger()

_NAMES: Final = {rank: name for name, rank in SEVERITIES.items()}
_ROOM: Final = 64
"""Bytes of a PUBLISH beside its topic, payload and user properties, and to spare."""
_REMEMBERED: Final = 20_000
"""Subjects whose last state and entities are remembered; beyond, everything is said once more."""
_CUTS: Final = 3
"""Connections that a record may cost, alone on its way and right after the broker took another message."""
_SHORT: Final = 7
"""Connections in a row that end at their first event: then it is not the event."""
_SMALL: Final = 16 << 10
"""Bytes of an event that no broker finds too large."""


class _Message(NamedTuple):
    topic: str
    payload: bytes
    qos: int
    retain: bool
    event: bool = False


class MqttSink(Sink[MqttSettings]):
    """Publishes with a window of unacknowledged messages; connects again by itself at the next send."""

    Settings = MqttSettings

    def __init__(self, name: str, settings: MqttSettings, *, state: State | None, clock: Clock, site: str) -> None:
        super().__init__(name, settings, state=state, clock=clock, site=site)
        self._topic = Template(settings.topic, MQTT, site)
        self._status = settings.status_topic.replace("{site}", site)
        self._state_topic = Template(settings.state_topic, MQTT, site)
        self._home = (
            None
            if settings.home_assistant is None
            else HomeAssistantDiscovery(settings.home_assistant, site, self._status)
        )
        states = settings.states or (("*",) if self._home is not None else ())
        self._stateful = Routing(SinkSettings(type="mqtt", types=states)) if states else None
        self._version = aiomqtt.ProtocolVersion.V311 if settings.version == "3.1.1" else aiomqtt.ProtocolVersion.V5
        self._link: MqttConnection | None = None
        self._window: Window | None = None
        self._properties: dict[tuple[str, str, int], Properties] = {}
        self._known: set[str] = set()
        """The entities that this connection was told of."""
        self._times: dict[str, str] = {}
        """State topics, with the time of the event that was said last."""
        self._suspect = 0
        self._cuts = 0
        self._short = 0

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
        try:
            if self._status and link.lost is None:
                with silenced():
                    async with asyncio.timeout(FAREWELL):
                        await link.say(self._status, "offline", min(1, link.limits.qos), link.limits.retain)
        finally:
            await link.close()

    async def send(self, batch: Batch) -> None:
        """Publish the batch in order. Raises Unavailable, Rejected, Misconfigured."""
        link = await self._connected()
        window = self._window = Window(batch, self._size(link), self.settings.timeout, waits=link.hasten)
        careful = self._cuts > 0
        try:
            for place, record in enumerate(batch):
                await window.room(1 if careful else None)
                if careful and place:  # the suspect has passed
                    self._cuts, careful = 0, False
                self._post(link, window, place, record)
            await window.finish()
            self._short = 0
        except Unavailable as error:
            condemned, hopeless = self._note_cut(batch, window) if window.error is not None else ({}, None)
            await self._dropped()
            if hopeless is not None:
                raise hopeless from error
            raise Unavailable(
                error.reason, retry_after=error.retry_after, done=window.done, refused=window.refused | condemned
            ) from error
        except BaseException:
            await self._dropped()
            raise
        finally:
            window.close()
            self._window = None

    # --- the connection ---------------------------------------------------------------------------------------------

    async def _connected(self) -> MqttConnection:
        if self._link is not None and self._link.lost is None:
            return self._link
        await self._dropped()
        try:
            link = await self._opened()
        except Misconfigured as error:
            cause = error.__cause__
            refused = isinstance(cause, aiomqtt.MqttCodeError) and getattr(cause.rc, "value", 0) == UNSUPPORTED_VERSION
            if not refused or self.settings.version != "auto" or self._version == aiomqtt.ProtocolVersion.V311:
                raise
            self._version = aiomqtt.ProtocolVersion.V311
            link = await self._opened()
        self._known.clear()
        return link

    async def _opened(self) -> MqttConnection:
        """A link that the broker has taken a message on, the birth. Raises Unavailable, Misconfigured."""
        settings, parts = self.settings, urlsplit(self.settings.url)
        context = None
        if parts.scheme == "mqtts":
            password = settings.key_password.get_secret_value() if settings.key_password is not None else None
            context = await asyncio.to_thread(
                client_context, settings.ca_file, settings.cert_file, settings.key_file, password
            )
        link = MqttConnection(
            parts.hostname or "",
            parts.port or PORTS[parts.scheme],
            username=settings.username,
            password=settings.password.get_secret_value() if settings.password is not None else None,
            identifier=settings.client_id or f"pump-{self.site}-{self.name}",
            protocol=self._version,
            clean_session=None if self._version == aiomqtt.ProtocolVersion.V5 else True,
            clean_start=True if self._version == aiomqtt.ProtocolVersion.V5 else 3,
            will=aiomqtt.Will(self._status, "offline", 1, retain=True) if self._status else None,
            keepalive=round(settings.keepalive),
            tls_context=context,
            timeout=settings.timeout,
            on_acknowledged=self._acknowledged,
            on_lost=self._lost,
        )
        await link.open()
        try:
            if self._status:
                await link.say(self._status, "online", min(1, link.limits.qos), link.limits.retain)
        except BaseException:
            await link.drop()
            raise
        if settings.qos > link.limits.qos:
            log.warning("The broker's highest quality of service is lower", sink=self.name, qos=link.limits.qos)
        if self._stateful is not None and not link.limits.retain:
            log.warning("The broker retains nothing: states are seen as they change only", sink=self.name)
        self._link = link
        return link

    async def _dropped(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            await link.drop()

    def _size(self, link: MqttConnection) -> int:
        # An event may bring a state and an entity for each of its aspects: then fewer events fill the broker's window.
        most = link.limits.receive_maximum
        return max(1, min(self.settings.window, most if self._stateful is None else most // 8))

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

    def _note_cut(self, batch: Batch, window: Window) -> tuple[dict[int, str], Misconfigured | None]:
        """A broker that refuses a message may know no other way than to close the connection (MQTT 3.1.1, 4.8).

        A large event is given up after some attempts: its number and the reason. A small one is not refused for what
        it is: that it is not permitted is what remains. Some brokers acknowledge one event before they close.
        """
        record = batch[min(window.settled, len(batch) - 1)]
        self._cuts = self._cuts + 1 if record.seq == self._suspect else 1
        self._suspect = record.seq
        self._short = self._short + 1 if window.settled <= 1 else 0
        if self._cuts <= _CUTS and self._short < _SHORT:
            return {}, None
        large = len(record.body) >= _SMALL and self._cuts > _CUTS
        self._cuts = self._short = 0
        if large:
            return {record.seq: "the broker closes the connection when it is sent"}, None
        topic = self._topic.fill(record, orjson.loads(record.body) if self._topic.decodes else {})
        advice = "" if self._version == aiomqtt.ProtocolVersion.V5 else '; version = "5", where it can, tells why'
        return {}, Misconfigured(
            f"the broker closes the connection at each event, such as the one to {topic}: it may not authorise this "
            f"client to publish there (or another client has its client_id): look into its log and access list{advice}"
        )

    # --- messages ---------------------------------------------------------------------------------------------------

    def _post(self, link: MqttConnection, window: Window, place: int, record: Record) -> None:
        messages = list(self._messages(record, link))
        properties = self._described(record) if self._version == aiomqtt.ProtocolVersion.V5 else None
        largest = max(len(message.payload) + 4 * len(message.topic) for message in messages)
        if largest + _ROOM + len(record.type) + len(record.source) + len(self.site) + 100 > link.limits.packet_size:
            window.refuse(place, f"it is larger than the {link.limits.packet_size} bytes that the broker takes")
            return
        window.expect(len(messages))
        for topic, payload, qos, retain, event in messages:
            link.post(place, topic, payload, min(qos, link.limits.qos), retain, properties if event else None)

    def _messages(self, record: Record, link: MqttConnection) -> Iterator[_Message]:
        qos = self.settings.qos
        stateful = self._stateful is not None and self._stateful.takes(record)
        event: Mapping[str, Any] = orjson.loads(record.body) if stateful or self._topic.decodes else {}
        if stateful and event.get("subject"):
            yield from self._discovered(record, event, link)
        yield _Message(self._topic.fill(record, event), record.body, qos, False, event=True)
        if stateful and event.get("subject"):
            yield from self._states(record, event, link)

    def _discovered(self, record: Record, event: Mapping[str, Any], link: MqttConnection) -> Iterator[_Message]:
        """What makes Home Assistant know the entities, before they say anything for the first time."""
        home = self._home
        if home is None:
            return
        found = [home.event(event, self._event_topic(event))] if not record.type.startswith("pump.") else []
        for fact in facts(event):
            found.append(home.fact(event, fact.aspect, f"{self._state_topic.fill(record, event)}/{fact.aspect}"))
        for topic, payload in found:
            if topic not in self._known:
                if len(self._known) >= _REMEMBERED:
                    self._known.clear()
                self._known.add(topic)
                yield _Message(topic, payload, 1, link.limits.retain)

    def _states(self, record: Record, event: Mapping[str, Any], link: MqttConnection) -> Iterator[_Message]:
        for aspect, on in facts(event):
            topic = f"{self._state_topic.fill(record, event)}/{aspect}"
            if self._newest(topic, event["time"]):
                yield _Message(topic, summary(event, state=on), max(1, self.settings.qos), link.limits.retain)
        if self._home is not None and not record.type.startswith("pump."):
            yield _Message(self._event_topic(event), summary(event, event_type=record.type), self.settings.qos, False)

    def _event_topic(self, event: Mapping[str, Any]) -> str:
        assert self._home is not None  # asked for with discovery alone
        domain = event["type"].partition(".")[0]
        return f"pump/{self.site}/homeassistant/{self._home.object_id(event['subject'], domain)}"

    def _newest(self, topic: str, time: str) -> bool:
        """Whether no later event has said this state: what a device had stored comes after what it sends live."""
        if time < self._times.get(topic, ""):
            return False
        if len(self._times) >= _REMEMBERED:
            self._times.clear()
        self._times[topic] = time
        return True

    def _described(self, record: Record) -> Properties:
        """The properties of an event's message; the id changes with each event and stands in the payload alone."""
        key = (record.source, record.type, record.severity)
        found = self._properties.get(key)
        if found is None:
            found = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]  # paho's class has no types
            found.ContentType = "application/cloudevents+json; charset=utf-8"
            found.PayloadFormatIndicator = 1
            found.UserProperty = [
                ("specversion", "1.0"),
                ("source", f"/{self.site}/{record.source}"),
                ("type", record.type),
                ("severity", _NAMES[record.severity]),
            ]
            if len(self._properties) >= 4096:
                self._properties.clear()
            self._properties[key] = found
        return found


SINK = MqttSink
