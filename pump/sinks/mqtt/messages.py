"""An event as MQTT messages: itself, what is so from now on, and what makes Home Assistant know of both."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import orjson

from pump.core.record import Record
from pump.core.routing import Routing
from pump.core.settings import SinkSettings
from pump.core.taxonomy import SEVERITIES
from pump.sinks.common.template import MQTT, Template
from pump.sinks.mqtt.first_events import FirstEvents
from pump.sinks.mqtt.home_assistant import HomeAssistantDiscovery
from pump.sinks.mqtt.latest import latest
from pump.sinks.mqtt.protocol import Message
from pump.sinks.mqtt.retained import Retained
from pump.sinks.mqtt.settings import MqttSettings
from pump.sinks.mqtt.states import facts, summary

ONLINE: Final = b"online"
OFFLINE: Final = b"offline"
"""Of the pump as a whole, and of a source of it."""
_NAMES: Final = {rank: name for name, rank in SEVERITIES.items()}
_PRESENCE: Final = {"pump.source.up": ONLINE, "pump.source.down": OFFLINE}
_NEWS: Final = {"pump.source.up": SEVERITIES["info"], "pump.source.down": SEVERITIES["warning"]}
"""The severities that these come with."""
_DAEMON: Final = "pump"
"""The source of the daemon's own events, which is there as long as the daemon is."""
_DESCRIPTIONS: Final = 4096


def spelled(topic: str, *, spaces: bool) -> str:
    """The topic as a broker takes it: MQTT allows spaces (4.7.3), nats-server closes the connection at one."""
    return topic if spaces else topic.replace(" ", "%20")


class EventMessages:
    """Makes an event's messages in the dialect of one broker, and notes what is retained and what is held."""

    def __init__(
        self, settings: MqttSettings, site: str, retained: Retained, first_events: FirstEvents, *, spaces: bool
    ) -> None:
        """`spaces`: whether the broker takes spaces in topics; else they are percent-encoded, as the rest is."""
        self._site = site
        self._qos = settings.qos
        self.spaces = spaces
        self._retained = retained
        self._first_events = first_events
        self.status = self._spelled(settings.status_topic.replace("{site}", site))
        """The pump's presence; "": none."""
        self._topic = Template(settings.topic, MQTT, site)
        self._state_topic = Template(settings.state_topic, MQTT, site)
        self._picture_url = settings.picture_url
        prefix = settings.home_assistant
        self._home = (
            None if prefix is None else HomeAssistantDiscovery(self._spelled(prefix), site, self.status, self._presence)
        )
        self.birth = "" if prefix is None else f"{self._spelled(prefix)}/status"
        """Where Home Assistant says that it has started; "": nobody asks."""
        states = settings.states or (("*",) if self._home is not None else ())
        self._stateful = Routing(SinkSettings(type="mqtt", types=states)) if states else None
        self._routing = Routing(settings)
        self._presences: dict[str, str] = {}
        self._described: dict[tuple[str, str, int], tuple[tuple[str, str], ...]] = {}

    @property
    def stateful(self) -> bool:
        """Whether an event may bring more messages than its own."""
        return self._stateful is not None

    def topic(self, record: Record) -> str:
        """The event's own topic."""
        return self._spelled(self._topic.fill(record, orjson.loads(record.body) if self._topic.decodes else {}))

    def of(self, record: Record) -> Iterator[Message]:
        """The event's messages, in order."""
        stateful = self._stateful is not None and self._stateful.takes(record)
        event: Mapping[str, Any] = orjson.loads(record.body) if stateful or self._topic.decodes else {}
        known = stateful and bool(event.get("subject"))
        if self._stateful is not None:
            yield from self._sources(record, known=known)
        if known:
            yield from self._discovered(record, event)
        yield Message(
            self._spelled(self._topic.fill(record, event)), record.body, self._qos, described=self._properties(record)
        )
        if known:
            yield from self._states(record, event)

    def _sources(self, record: Record, *, known: bool) -> Iterator[Message]:
        """Presence of the event's source: as it says, and by the first event of its own."""
        topic = self._presence(record.source)
        if not topic:
            return
        said = _PRESENCE.get(record.type)
        if said is not None:
            if self._retained.newest(topic, orjson.loads(record.body)["time"]):
                yield self._retained.say(topic, said)
        elif self._home is not None and known and topic not in self._retained:
            yield self._retained.say(topic, ONLINE)

    def _discovered(self, record: Record, event: Mapping[str, Any]) -> Iterator[Message]:
        """What makes Home Assistant know the entities, before they say anything for the first time."""
        home = self._home
        if home is None:
            return
        found = []
        if not record.type.startswith("pump."):
            found.append((home.event(event, record.source, self._event_topic(event)), self._event_topic(event)))
        for fact in facts(event):
            found.append((home.fact(event, record.source, fact.aspect, self._aspect(record, event, fact.aspect)), ""))
        for one in latest(event, self._picture_url):
            found.append((home.latest(event, record.source, one, self._aspect(record, event, one.aspect)), ""))
        for (topic, payload), heard_at in found:
            if topic not in self._retained:
                if heard_at:
                    self._first_events.announced(heard_at)
                yield self._retained.say(topic, payload)

    def _states(self, record: Record, event: Mapping[str, Any]) -> Iterator[Message]:
        arrival = event["data"].get("time_source") == "received"
        for aspect, on in facts(event):
            topic = self._aspect(record, event, aspect)
            if self._retained.newest(topic, event["time"], arrival=arrival):
                yield self._retained.say(topic, summary(event, state=on), self._qos)
        for one in latest(event, self._picture_url):
            topic = self._aspect(record, event, one.aspect)
            if self._retained.newest(topic, event["time"], arrival=arrival):
                yield self._retained.say(topic, summary(event, state=one.value), self._qos)
        if self._home is not None and not record.type.startswith("pump."):
            message = Message(self._event_topic(event), summary(event, event_type=record.type), self._qos)
            if not self._first_events.holds(message):
                yield message

    def _aspect(self, record: Record, event: Mapping[str, Any], aspect: str) -> str:
        return f"{self._spelled(self._state_topic.fill(record, event))}/{aspect}"

    def _event_topic(self, event: Mapping[str, Any]) -> str:
        assert self._home is not None  # asked for with discovery alone
        domain = event["type"].partition(".")[0]
        return self._spelled(f"pump/{self._site}/homeassistant/{self._home.object_id(event['subject'], domain)}")

    def _presence(self, source: str) -> str:
        """The topic of a source's presence; "" where the sink does not hear of both its ups and downs."""
        if source not in self._presences:
            body = orjson.dumps({"source": f"/{self._site}/{source}"})
            news = (Record(0, source, type_, rank, 0, body) for type_, rank in _NEWS.items())
            follows = self.status and source != _DAEMON and all(self._routing.takes(one) for one in news)
            self._presences[source] = f"{self.status}/{self._spelled(source)}" if follows else ""
        return self._presences[source]

    def _spelled(self, topic: str) -> str:
        return spelled(topic, spaces=self.spaces)

    def _properties(self, record: Record) -> tuple[tuple[str, str], ...]:
        """The user properties of an event's message; the id changes with each event and stands in the payload alone."""
        key = (record.source, record.type, record.severity)
        found = self._described.get(key)
        if found is None:
            found = (
                ("specversion", "1.0"),
                ("source", f"/{self._site}/{record.source}"),
                ("type", record.type),
                ("severity", _NAMES[record.severity]),
            )
            if len(self._described) >= _DESCRIPTIONS:
                self._described.clear()
            self._described[key] = found
        return found
