"""Home Assistant's MQTT discovery: bays, locks, doors, cameras, vehicles, panels appear by themselves. Pure.

https://www.home-assistant.io/integrations/mqtt/#mqtt-discovery; components binary_sensor, event, sensor,
image and alarm_control_panel.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

import orjson

import pump
from pump.core.taxonomy import TYPES
from pump.core.text import fitted
from pump.sinks.mqtt.latest import PARTITION, PICTURE, PLATE, Latest

_CLASSES: Final[dict[str, tuple[str, str]]] = {
    "occupied": ("Occupied", "occupancy"),
    "locked": ("Lock", "lock"),
    "door": ("Door", "door"),
    "fault": ("Fault", "problem"),
    "battery_low": ("Battery", "battery"),
    "online": ("Connection", "connectivity"),
    "signal": ("Signal", "connectivity"),
    "ignition": ("Ignition", "power"),
    "armed": ("Armed", ""),
    "bypass": ("Bypass", ""),
    "input": ("Input", "safety"),
    "security_tampering": ("Tampering", "tamper"),
    "video_tampering": ("View", "tamper"),
    "security_fire": ("Fire", "smoke"),
    "video_fire": ("Fire", "smoke"),
    "security_gas": ("Gas", "gas"),
    "video_motion": ("Motion", "motion"),
}
"""Aspect: the entity's name, and the class that Home Assistant draws it by."""
_DOMAIN_CLASSES: Final = {"device": "problem", "security": "safety", "video": "motion"}
"""For the other aspects, which are types; of any other domain: no class."""
_SHOWN: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    PLATE: ("sensor", {"value_template": "{{ value_json.state }}", "icon": "mdi:car"}),
    PICTURE: ("image", {"url_template": "{{ value_json.state }}"}),
    PARTITION: (
        "alarm_control_panel",
        {
            "value_template": "{{ value_json.state }}",
            "supported_features": [],  # the pump gives no commands; the topic of commands must be named all the same
            "code_arm_required": False,
            "code_disarm_required": False,
        },
    ),
}
"""What shows a value that is the latest: the component, and its own settings."""
_INVERTED: Final = frozenset({"locked"})
"""Home Assistant's lock is "on" when it is open."""
_EVENT_TYPES: Final[dict[str, list[str]]] = {}


class Discovery(NamedTuple):
    """One retained message that makes an entity."""

    topic: str
    payload: bytes


class HomeAssistantDiscovery:
    """Makes the messages for one site and one prefix."""

    def __init__(self, prefix: str, site: str, status_topic: str, presence: Callable[[str], str]) -> None:
        """`status_topic` is the pump's, `presence` gives a source's; both say "online" or "offline", "": neither."""
        self._prefix = prefix
        self._site = site
        self._status = status_topic
        self._presence = presence

    def fact(self, event: Mapping[str, Any], source: str, aspect: str, state_topic: str) -> Discovery:
        """A binary sensor for one aspect of the event's subject."""
        domain = aspect.partition("_")[0]
        name, kind = _CLASSES.get(aspect, (aspect.partition("_")[2].replace("_", " ").capitalize() or aspect, None))
        kind = _DOMAIN_CLASSES.get(domain, "") if kind is None else kind
        on, off = ("OFF", "ON") if aspect in _INVERTED else ("ON", "OFF")
        more = {"device_class": kind} if kind else {}
        if kind in ("connectivity", "problem", "battery"):
            more["entity_category"] = "diagnostic"
        return self._entity(
            "binary_sensor",
            event,
            source,
            aspect,
            name=name,
            state_topic=state_topic,
            value_template=f"{{{{ '{on}' if value_json.state else '{off}' }}}}",
            json_attributes_topic=state_topic,
            **more,
        )

    def latest(self, event: Mapping[str, Any], source: str, what: Latest, state_topic: str) -> Discovery:
        """A sensor, an image or an alarm panel for one value of the event's subject."""
        component, more = _SHOWN[what.entity]
        if component == "image":
            return self._entity(
                component, event, source, what.aspect, name=what.name, url_topic=state_topic, **more
            )  # fmt: skip
        if component == "alarm_control_panel":
            more = {**more, "command_topic": f"{state_topic}/set"}
        return self._entity(
            component,
            event,
            source,
            what.aspect,
            name=what.name,
            state_topic=state_topic,
            json_attributes_topic=state_topic,
            **more,
        )

    def event(self, event: Mapping[str, Any], source: str, state_topic: str) -> Discovery:
        """An event entity for what the event's subject reports in the event's domain."""
        domain = event["type"].partition(".")[0]
        if not _EVENT_TYPES:
            for type_ in sorted(TYPES):
                _EVENT_TYPES.setdefault(type_.partition(".")[0], []).append(type_)
        types = _EVENT_TYPES.get(domain, [])
        if event["type"] not in types:
            types = [*types, event["type"]]
        return self._entity(
            "event",
            event,
            source,
            domain,
            name=f"{domain.capitalize()} events",
            state_topic=state_topic,
            event_types=types,
        )

    def object_id(self, subject: str, what: str) -> str:
        """Letters, digits, - and _ alone, and unlike any other subject's."""
        plain = re.sub(r"[^A-Za-z0-9_-]+", "_", f"{subject}_{what}")[:80]
        digest = hashlib.blake2b(f"{self._site}\n{subject}\n{what}".encode(), digest_size=4).hexdigest()
        return f"{plain}_{digest}"

    def _availability(self, source: str) -> dict[str, Any]:
        """Of the pump and of the source: what was on, and cannot end while its source is away, is unavailable."""
        topics = [topic for topic in (self._status, self._presence(source)) if topic]
        if not topics:
            return {}
        return {"availability": [{"topic": topic} for topic in topics], "availability_mode": "all"}

    def _entity(self, component: str, event: Mapping[str, Any], source: str, what: str, **more: Any) -> Discovery:
        subject = event["subject"]
        unique = self.object_id(subject, what)
        config = {
            "unique_id": f"pump_{self._site}_{unique}",
            **more,
            **self._availability(source),
            "qos": 1,
            "device": self._device(event),
            "origin": {"name": "pump", "sw_version": pump.__version__},
        }
        return Discovery(f"{self._prefix}/{component}/pump_{self._site}/{unique}/config", fitted(orjson.dumps(config)))

    def _device(self, event: Mapping[str, Any]) -> dict[str, Any]:
        data, subject = event["data"], event["subject"]
        device, place = data.get("device", {}), data.get("place", {})
        name = place.get("space") or device.get("name") or place.get("channel") or device.get("id") or subject
        found = {
            "identifiers": [f"pump_{self._site}_{subject}"],
            "name": str(name),
            "manufacturer": data.get("vendor"),
            "model": device.get("model") or device.get("category"),
            "serial_number": device.get("serial"),
            "suggested_area": place.get("area") or place.get("lot"),
        }
        return {key: value for key, value in found.items() if value}
