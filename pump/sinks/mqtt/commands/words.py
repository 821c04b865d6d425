"""The topics of commands, and the words that Home Assistant's entities say on theirs. Pure; a table with its readers.

`<command_topic>/<target>` takes JSON; `<command_topic>/<target>/<entity>` takes a word such as OPEN. A payload that
begins with "{" is JSON, so that no target can be taken for another's entity.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pump.commands.ways import Order
from pump.sinks.common.template import MQTT, read_back, written
from pump.sinks.mqtt.latest import PARTITION
from pump.sinks.mqtt.messages import spelled
from pump.sinks.mqtt.settings import MqttSettings


@dataclass(slots=True, frozen=True)
class Entity:
    """One entity of Home Assistant's for targets that take its verbs."""

    name: str
    component: str
    words: Mapping[str, Order]
    needs: tuple[str, ...] = ()
    """Words without which there is no such entity; of the others one is enough."""
    aspect: str = ""
    """The aspect of the target's states that shows whether it is on, locked or armed; "": none does."""
    says: tuple[str, str] = ("ON", "OFF")
    """The component's words for a state that is so, and that is not."""
    types: tuple[str, ...] = ()
    """Types of the events that say the state."""
    more: Mapping[str, Any] = field(default_factory=dict)
    """Further settings of its discovery."""


_ARM: Final = {
    "ARM_AWAY": Order("partition.arm", {"mode": "away"}),
    "ARM_HOME": Order("partition.arm", {"mode": "stay"}),
    "ARM_NIGHT": Order("partition.arm", {"mode": "night"}),
    "DISARM": Order("partition.disarm"),
}
_SWITCH: Final = ("ON", "OFF")

ENTITIES: Final[dict[str, Entity]] = {
    "gate": Entity(
        "Gate", "cover",
        {"OPEN": Order("gate.open"), "CLOSE": Order("gate.close"), "STOP": Order("gate.release")},
        ("OPEN",), more={"device_class": "gate"},
    ),
    "hold": Entity(
        "Held open", "switch", {"ON": Order("gate.hold-open"), "OFF": Order("gate.release")}, _SWITCH,
        more={"icon": "mdi:gate-open"},
    ),
    "lock": Entity(
        "Lock control", "lock", {"LOCK": Order("lock.raise"), "UNLOCK": Order("lock.lower")}, ("LOCK", "UNLOCK"),
        "locked", ("LOCKED", "UNLOCKED"), ("parking.lock.raised", "parking.lock.lowered"),
    ),
    "door": Entity(
        "Door control", "lock",
        {"LOCK": Order("door.release"), "UNLOCK": Order("door.hold-open"), "OPEN": Order("door.open")},
        ("LOCK", "UNLOCK"), "locked", ("LOCKED", "UNLOCKED"), ("access.door.locked", "access.door.unlocked"),
    ),
    "open": Entity("Open door", "button", {"PRESS": Order("door.open")}, more={"icon": "mdi:door-open"}),
    "alarm": Entity(
        "Alarm", "alarm_control_panel", _ARM, aspect=PARTITION,
        types=("security.armed", "security.disarmed"),
        more={"code_arm_required": False, "code_disarm_required": False},
    ),
    "clear": Entity("Clear alarm", "button", {"PRESS": Order("alarm.clear")}, more={"icon": "mdi:bell-off"}),
    "bypass": Entity(
        "Bypass control", "switch", {"ON": Order("zone.bypass"), "OFF": Order("zone.restore")}, _SWITCH,
        "bypass", _SWITCH, ("security.bypass.set", "security.bypass.restored"),
    ),
    "output": Entity("Output", "switch", {"ON": Order("output.on"), "OFF": Order("output.off")}, _SWITCH),
    "capture": Entity("Take a picture", "button", {"PRESS": Order("camera.capture")}, more={"icon": "mdi:camera"}),
    "reboot": Entity(
        "Restart", "button", {"PRESS": Order("camera.reboot")},
        more={"device_class": "restart", "entity_category": "config"},
    ),
}  # fmt: skip
"""By the level that is added to the target's topic."""


class CommandTopics:
    """The topics of one sink's settings, in the dialect of one broker."""

    def __init__(self, settings: MqttSettings, site: str, *, spaces: bool) -> None:
        """`spaces`: whether the broker takes spaces in topics."""
        self._spaces = spaces
        self.prefixes = tuple(spelled(one, spaces=spaces) for one in settings.command_prefixes(site))

    @property
    def filters(self) -> tuple[str, ...]:
        """The topics to subscribe to."""
        return tuple(f"{prefix}/#" for prefix in self.prefixes)

    def of(self, target: str, entity: str) -> str | None:
        """The topic of a target's entity, under the first prefix; None where the target is too long to be read back."""
        text = written(target, MQTT)
        topic = f"{self.prefixes[0]}/{spelled(text, spaces=self._spaces)}/{entity}"
        return topic if read_back(text, MQTT) == target else None

    def read(self, topic: str) -> str | None:
        """The target that the topic names, with its entity; None where it is nobody's.

        One form alone is read: %2F for a level's end would pass by an access list that goes by levels.
        """
        for prefix in self.prefixes:
            if topic.startswith(f"{prefix}/"):
                text = topic.removeprefix(f"{prefix}/")
                return read_back(text if self._spaces else text.replace("%20", " "), MQTT)
        return None


def word_of(named: str, payload: bytes) -> tuple[str, Order] | None:
    """The target and the order of a word, where `named` is a target with its entity."""
    target, _, entity = named.rpartition("/")
    known = ENTITIES.get(entity)
    order = None if known is None else known.words.get(payload.decode(errors="replace"))
    return None if order is None or not target else (target, order)
