"""Home Assistant's discovery of what can be commanded, where a grant lets its topics do so. Pure.

https://www.home-assistant.io/integrations/mqtt/#mqtt-discovery; components cover, lock, switch, button and
alarm_control_panel. Their states are those that the sink retains, where it does; else Home Assistant assumes them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any, Final

import orjson

import pump
from pump.commands.contract import Target
from pump.core.record import Record
from pump.core.routing import Routing
from pump.core.settings import SinkSettings
from pump.sinks.common.template import MQTT, Template
from pump.sinks.mqtt.commands.words import ENTITIES, CommandTopics, Entity
from pump.sinks.mqtt.home_assistant import HomeAssistantDiscovery
from pump.sinks.mqtt.latest import PARTITION
from pump.sinks.mqtt.messages import spelled
from pump.sinks.mqtt.settings import MqttSettings

MOST: Final = 5_000
"""Entities at the most."""
_FEATURES: Final = {"ARM_HOME": "arm_home", "ARM_AWAY": "arm_away"}
"""Of the panel; ARM_NIGHT is taken, and not offered: few panels have it."""
_PANELS: Final = f"{PARTITION}/"
"""Subjects that have the panel's state under their own; that of a device is of its partitions, one by one."""
_PANEL: Final = "alarm_control_panel"

Allows = Callable[[str, str, str], bool]


class CommandDiscovery:
    """Makes the messages for one sink, in the dialect of one broker."""

    def __init__(self, name: str, settings: MqttSettings, site: str, topics: CommandTopics, *, spaces: bool) -> None:
        assert settings.home_assistant is not None  # asked for with discovery alone
        self._settings = settings
        self._site = site
        self._topics = topics
        self._spaces = spaces
        self._prefix = spelled(settings.home_assistant, spaces=spaces)
        self._status = spelled(settings.status_topic.replace("{site}", site), spaces=spaces)
        self._ids = HomeAssistantDiscovery(self._prefix, site, self._status, lambda _: "")
        self._state_topic = Template(settings.state_topic, MQTT, site)
        self._states = Routing(SinkSettings(type="mqtt", types=settings.states or ("*",)))
        self._routing = Routing(settings)
        digest = hashlib.blake2b(f"{site}\n{name}".encode(), digest_size=4).hexdigest()
        self._node = f"pump_commands_{digest}"
        self.birth = f"{self._prefix}/status"
        """Where Home Assistant says that it has started."""
        self.filter = f"{self._prefix}/+/{self._node}/+/config"
        """All that these have for themselves, as a subscription."""
        self._panels = f"{self._prefix}/{_PANEL}/pump_{site}/"
        self.panels = f"{self._panels}+/config"
        """The panels of partitions, which the sink makes too, for their states: one entity, whoever says it first."""
        self._known: dict[tuple[str, Target], dict[str, bytes]] = {}

    def owns(self, topic: str) -> bool:
        """True for a topic of these."""
        return topic.startswith(f"{self._prefix}/") and topic.split("/")[-3:-2] == [self._node]

    def shares(self, topic: str) -> bool:
        """True for the topic of a panel that the sink makes too."""
        return topic.startswith(self._panels)

    def released(self, payload: bytes) -> bytes | None:
        """A shared panel that cannot be commanded any more, as the sink makes it; None where it could not be before."""
        try:
            found = orjson.loads(payload)
        except ValueError:
            return None
        here = tuple(f"{prefix}/" for prefix in self._topics.prefixes)
        if not isinstance(found, dict) or not str(found.get("command_topic", "")).startswith(here):
            return None
        return orjson.dumps({**found, "command_topic": f"{found.get('state_topic')}/set", "supported_features": []})

    def configs(self, targets: Iterable[tuple[str, Target]], allows: Allows) -> dict[str, bytes]:
        """What is to be retained, by topic."""
        known: dict[tuple[str, Target], dict[str, bytes]] = {}
        found: dict[str, bytes] = {}
        for source, target in targets:
            key = (source, Target(target.subject, tuple(sorted(target.verbs)), target.name))
            made = self._known.get(key)
            known[key] = made = dict(self._of(*key, allows)) if made is None else made
            if len(found) + len(made) > MOST:
                break
            found |= made
        self._known = known
        return found

    def _of(self, source: str, target: Target, allows: Allows) -> Iterator[tuple[str, bytes]]:
        for key, entity in ENTITIES.items():
            topic = self._topics.of(target.subject, key)
            if topic is None:
                continue
            words = {
                word
                for word, order in entity.words.items()
                if order.verb in target.verbs and allows(f"mqtt:{topic}", order.verb, target.subject)
            }
            if not words or not words.issuperset(entity.needs):
                continue
            shared = entity.component == _PANEL and target.subject.startswith(_PANELS)
            unique = self._ids.object_id(target.subject, entity.aspect if shared else f"command_{key}")
            config = {
                "unique_id": f"pump_{self._site}_{unique}",
                "name": entity.name,
                "command_topic": topic,
                "qos": 0,  # with 1 a word may come twice, and it has no name of its own to be known by
                "retain": False,
                **entity.more,
                **self._form(entity, words),
                **self._shown(source, target.subject, entity),
                **({"availability": [{"topic": self._status}]} if self._status else {}),
                "device": {
                    "identifiers": [f"pump_{self._site}_{target.subject}"],
                    "name": target.name or target.subject,
                },
                "origin": {"name": "pump", "sw_version": pump.__version__},
            }
            where = self._panels if shared else f"{self._prefix}/{entity.component}/{self._node}/"
            yield f"{where}{unique}/config", orjson.dumps(config)

    @staticmethod
    def _form(entity: Entity, words: Collection[str]) -> dict[str, Any]:
        """What the component is to offer."""
        match entity.component:
            case "cover":
                return {f"payload_{one.lower()}": one if one in words else None for one in entity.words}
            case "lock":
                return {"payload_open": "OPEN"} if "OPEN" in words else {}
            case "alarm_control_panel":
                return {"supported_features": [one for word, one in _FEATURES.items() if word in words]}
        return {}

    def _shown(self, source: str, subject: str, entity: Entity) -> dict[str, Any]:
        """Where its state is read, and how; or that it is assumed."""
        if entity.component == "button":
            return {}
        panel = entity.component == _PANEL
        topic = self._state_of(source, subject, entity)
        if panel:  # it must have a topic: that of a device says nothing, and the panel's state is not known
            return {"state_topic": topic, "json_attributes_topic": topic, "value_template": "{{ value_json.state }}"}
        if not topic:
            return {"optimistic": True}
        on, off = entity.says
        return {"state_topic": topic, "value_template": f"{{{{ '{on}' if value_json.state else '{off}' }}}}"}

    def _state_of(self, source: str, subject: str, entity: Entity) -> str:
        """The topic on which the sink retains the state; "" where it retains none of it."""
        panel = entity.component == _PANEL
        body = orjson.dumps({"source": f"/{self._site}/{source}"})
        news = [Record(0, source, type_, 0, 0, body) for type_ in entity.types]
        kept = bool(news) and all(self._states.takes(one) and self._routing.takes(one) for one in news)
        if not panel and not kept:
            return ""
        record = Record(0, source, "", 0, 0, body)
        topic = self._state_topic.fill(record, {"subject": subject})
        aspect = entity.aspect if not panel or subject.startswith(_PANELS) else "partitions"
        return f"{spelled(topic, spaces=self._spaces)}/{aspect}"
