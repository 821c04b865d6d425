"""Every kind of entity, held to what Home Assistant's MQTT integration documents, and to the package where it is there.

The package wants other versions of what the pump needs: an interpreter that has it may be named in
HOME_ASSISTANT_PYTHON.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from typing import Any

import orjson
import pytest

from pump.core.clock import Clock
from pump.core.record import Record
from pump.sinks.mqtt.first_events import FirstEvents
from pump.sinks.mqtt.messages import EventMessages
from pump.sinks.mqtt.retained import Retained
from pump.sinks.mqtt.settings import MqttSettings

PYTHON = os.environ.get("HOME_ASSISTANT_PYTHON") or (
    sys.executable if importlib.util.find_spec("homeassistant") else ""
)

_COMMON = {
    "availability", "availability_mode", "device", "icon", "json_attributes_topic", "name", "origin", "qos",
    "unique_id", "entity_category",
}  # fmt: skip
FIELDS = {
    "binary_sensor": {"device_class", "state_topic", "value_template"},
    "event": {"event_types", "state_topic"},
    "sensor": {"state_topic", "value_template"},
    "image": {"url_topic", "url_template"},
    "alarm_control_panel": {
        "state_topic", "command_topic", "value_template", "supported_features", "code_arm_required",
        "code_disarm_required",
    },
}  # fmt: skip
"""Of those that https://www.home-assistant.io/integrations/ documents for each component, the ones that are used."""
WANTED = {
    "binary_sensor": {"state_topic"},
    "event": {"state_topic", "event_types"},
    "sensor": {"state_topic"},
    "image": {"url_topic"},
    "alarm_control_panel": {"state_topic", "command_topic"},
}
ENTITIES = {
    ("alarm_control_panel", "Alarm"), ("alarm_control_panel", "Partition 1"), ("binary_sensor", "Armed"),
    ("binary_sensor", "Battery"), ("binary_sensor", "Connection"), ("binary_sensor", "Door"), ("binary_sensor", "Lock"),
    ("binary_sensor", "Motion"), ("binary_sensor", "Occupied"), ("image", "Last vehicle"), ("sensor", "Last plate"),
}  # fmt: skip
PICTURE = {"id": "a/0", "kind": "picture", "state": "stored", "path": "ab/cd.jpg"}
SCHEMAS = """
import importlib, json, sys
for component, config in json.load(sys.stdin):
    module = importlib.import_module(f"homeassistant.components.mqtt.{component}")
    taken = module.DISCOVERY_SCHEMA({"platform": "mqtt", **config})
    dropped = set(config) - set(taken) - {"origin"}
    assert not dropped, f"{component} knows no {dropped}"
"""


def record(seq: int, type_: str, subject: str, **data: Any) -> Record:
    body = {
        "specversion": "1.0", "id": f"id-{seq}", "source": "/north/yard", "type": type_, "subject": subject,
        "time": f"2026-11-20T08:00:{seq:02}Z",
        "data": {"vendor": "testing", "phase": "pulse", "severity": "info", **data},
    }  # fmt: skip
    return Record(seq, "yard", type_, 0, 0, orjson.dumps(body))


def said(*records: Record) -> dict[str, Any]:
    """Topic to what is retained there."""
    more = {"home_assistant": "homeassistant", "picture_url": "http://192.0.2.7/media"}
    settings = MqttSettings.model_validate({"type": "mqtt", "url": "mqtt://127.0.0.1", **more})
    messages = EventMessages(settings, "north", Retained(Clock()), FirstEvents(Clock(), None), spaces=True)
    found: dict[str, Any] = {}
    for one in records:
        for message in messages.of(one):
            if message.retain:
                text = message.payload.decode()
                found[message.topic] = orjson.loads(text) if text.startswith("{") else text
    return found


EVENTS = (
    record(1, "parking.space.changed", "space/A/1", parking={"occupied": True, "locked": True}, power={"low": False}),
    record(2, "video.motion", "camera/yard/1", phase="start", device={"id": "D1", "serial": "S1"}),
    record(3, "device.online", "device/D1"),
    record(4, "access.door.opened", "door/yard/1"),
    record(5, "access.door.locked", "door/yard/1"),
    record(6, "vehicle.passed", "camera/yard/2", vehicle={"plate": "AB-123"}, media=[PICTURE]),
    record(7, "security.armed", "partition/yard/1", alarm={"partition": 1, "mode": "stay"}),
    record(8, "security.armed", "device/D2", alarm={"partition": 1}),
)


def configs() -> list[tuple[str, dict[str, Any]]]:
    return [(topic.split("/")[1], one) for topic, one in said(*EVENTS).items() if topic.endswith("/config")]


def test_each_entity_has_the_fields_that_its_component_documents() -> None:
    found = configs()
    assert {(component, one["name"]) for component, one in found if component != "event"} == ENTITIES
    assert len({one["unique_id"] for _, one in found}) == len(found)
    for component, one in found:
        assert one.keys() - _COMMON <= FIELDS[component]
        assert WANTED[component] <= one.keys()
        assert [where["topic"] for where in one["availability"]] == ["pump/north/status", "pump/north/status/yard"]


def test_each_entity_has_its_value_where_it_listens() -> None:
    there = said(*EVENTS)
    values = {
        one["name"]: there[one.get("state_topic") or one["url_topic"]]["state"]
        for topic, one in there.items()
        if topic.endswith("/config") and "/event/" not in topic and "/binary_sensor/" not in topic
    }
    assert values == {
        "Last plate": "AB-123", "Last vehicle": "http://192.0.2.7/media/ab/cd.jpg", "Alarm": "armed_home",
        "Partition 1": "armed_away",
    }  # fmt: skip


def test_two_sources_of_one_kind_have_entities_of_their_own() -> None:
    other = [record(number, "video.motion", f"camera/{name}/1", phase="start") for number, name in ((1, "a"), (2, "b"))]
    found = [one for topic, one in said(*other).items() if "/binary_sensor/" in topic]
    assert len({one["unique_id"] for one in found}) == len({one["state_topic"] for one in found}) == 2
    assert len({one["device"]["identifiers"][0] for one in found}) == 2


@pytest.mark.skipif(not PYTHON, reason="homeassistant is not installed, nor an interpreter named that has it")
def test_home_assistant_takes_each_entity() -> None:
    done = subprocess.run(
        [PYTHON, "-c", SCHEMAS], input=orjson.dumps(configs()), capture_output=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr.decode()
