"""Home Assistant's discovery of what can be commanded: where grants allow it, with the states that there are."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Collection
from pathlib import Path
from typing import Any

import aiomqtt
import orjson
import pytest

from pump.commands.contract import Target
from pump.sinks.mqtt.commands.discovery import CommandDiscovery
from pump.sinks.mqtt.commands.way import EVERY, VANISHED
from pump.sinks.mqtt.commands.words import ENTITIES, CommandTopics, word_of
from pump.sinks.mqtt.settings import MqttSettings
from pump.sinks.mqtt.sink import MqttSink
from pump.testing import ManualClock
from pump.testing.brokers import Mosquitto
from tests.unit.ops.commands.ways import granted, let_go, way
from tests.unit.sinks.mqtt.test_home_assistant import PYTHON, SCHEMAS, record

TARGETS = (
    Target("camera/10000/1001", ("gate.open", "gate.close", "gate.release", "gate.hold-open", "camera.capture",
                                 "camera.reboot"), "North gate"),
    Target("camera/10000/1002", ("gate.open",)),
    Target("sensor/419635205", ("lock.raise", "lock.lower", "lock.reset-code")),
    Target("door/yard/1", ("door.open", "door.hold-open", "door.hold-closed", "door.release")),
    Target("partition/P1/1", ("partition.arm", "partition.disarm", "alarm.clear"), "House"),
    Target("device/P1", ("partition.arm", "partition.disarm", "alarm.clear", "camera.reboot")),
    Target("zone/P1/3", ("zone.bypass", "zone.restore"), "Back door"),
    Target("output/P1/1", ("output.on", "output.off")),
    Target("screen/1", ("display.show",)),
)  # fmt: skip


def configs(allowed: Collection[str] = ("*",), **more: Any) -> list[tuple[str, dict[str, Any]]]:
    """Component and configuration of each entity; `allowed` are verbs."""
    home = {"home_assistant": "homeassistant", "command_topic": "pump/{site}/command"}
    settings = MqttSettings.model_validate({"type": "mqtt", "url": "mqtt://127.0.0.1", **home, **more})
    topics = CommandTopics(settings, "north", spaces=True)
    discovery = CommandDiscovery("home", settings, "north", topics, spaces=True)
    found = discovery.configs(
        (("yard", one) for one in TARGETS), lambda _, verb, __: "*" in allowed or verb in allowed
    )  # fmt: skip
    assert [topic for topic in found if not discovery.owns(topic)] == [
        topic for topic in found if discovery.shares(topic)
    ]
    return [(topic.split("/")[1], orjson.loads(payload)) for topic, payload in found.items()]


def test_each_target_has_its_entities() -> None:
    found = configs()
    shown = [(one["device"]["identifiers"][0].removeprefix("pump_north_"), kind, one["name"]) for kind, one in found]
    assert sorted(shown) == [
        ("camera/10000/1001", "button", "Restart"), ("camera/10000/1001", "button", "Take a picture"),
        ("camera/10000/1001", "cover", "Gate"), ("camera/10000/1001", "switch", "Held open"),
        ("camera/10000/1002", "cover", "Gate"), ("device/P1", "alarm_control_panel", "Alarm"),
        ("device/P1", "button", "Clear alarm"), ("device/P1", "button", "Restart"),
        ("door/yard/1", "button", "Open door"), ("door/yard/1", "lock", "Door control"),
        ("output/P1/1", "switch", "Output"), ("partition/P1/1", "alarm_control_panel", "Alarm"),
        ("partition/P1/1", "button", "Clear alarm"), ("sensor/419635205", "lock", "Lock control"),
        ("zone/P1/3", "switch", "Bypass control"),
    ]  # fmt: skip
    assert len({one["unique_id"] for _, one in found}) == len(found)
    for _, one in found:
        assert one["qos"] == 0
        assert one["retain"] is False
        assert one["availability"] == [{"topic": "pump/north/status"}]


def test_each_word_that_an_entity_may_say_is_a_command_of_its_target() -> None:
    topics = CommandTopics(MqttSettings(type="mqtt", url="mqtt://a", command_topic=("c/{site}",)), "north", spaces=True)
    for target in TARGETS:
        for key, entity in ENTITIES.items():
            topic = topics.of(target.subject, key)
            assert topic is not None
            for word, order in entity.words.items():
                assert word_of(topics.read(topic) or "", word.encode()) == (target.subject, order)


@pytest.mark.parametrize(
    ("subject", "spaces"),
    [("door/a b/1", True), ("door/a b/1", False), ("door/ä+#/%2F", True), ("device/" + "x" * 120, True)],
)
def test_a_subject_is_read_back_from_its_topic(subject: str, spaces: bool) -> None:
    settings = MqttSettings(type="mqtt", url="mqtt://a", command_topic=("c",))
    topics = CommandTopics(settings, "north", spaces=spaces)
    topic = topics.of(subject, "open")
    assert topic is not None
    assert spaces or " " not in topic
    assert topics.read(topic) == f"{subject}/open"


def test_a_subject_too_long_for_a_topic_has_no_entity() -> None:
    topics = CommandTopics(MqttSettings(type="mqtt", url="mqtt://a", command_topic=("c",)), "north", spaces=True)
    assert topics.of("device/" + "x" * 150, "open") is None


@pytest.mark.parametrize(
    ("allowed", "entities"),
    [
        ((), set()), (("gate.close",), set()), (("gate.open",), {"Gate"}), (("lock.raise",), set()),
        (("lock.raise", "lock.lower"), {"Lock control"}), (("door.open",), {"Open door"}),
        (("partition.disarm",), {"Alarm"}), (("output.on",), set()), (("camera.reboot",), {"Restart"}),
    ],
)  # fmt: skip
def test_there_is_none_that_no_grant_allows(allowed: tuple[str, ...], entities: set[str]) -> None:
    assert {one["name"] for _, one in configs(allowed)} == entities


def test_what_is_offered_is_what_is_allowed() -> None:
    gates = [one for kind, one in configs(("gate.open", "gate.close")) if kind == "cover"]
    assert [(one["payload_open"], one["payload_close"], one["payload_stop"]) for one in gates] == [
        ("OPEN", "CLOSE", None), ("OPEN", None, None),
    ]  # fmt: skip
    panels = [one for kind, one in configs(("partition.disarm",)) if kind == "alarm_control_panel"]
    assert [one["supported_features"] for one in panels] == [[], []]


def test_states_are_those_that_the_sink_retains_and_else_assumed() -> None:
    there = {one["name"]: one for _, one in configs()}
    assert there["Lock control"]["state_topic"] == "pump/north/state/sensor/419635205/locked"
    assert there["Bypass control"]["state_topic"] == "pump/north/state/zone/P1/3/bypass"
    panels = {one["state_topic"] for kind, one in configs() if kind == "alarm_control_panel"}
    assert panels == {"pump/north/state/partition/P1/1/partition", "pump/north/state/device/P1/partitions"}
    assert all(there[name]["optimistic"] for name in ("Gate", "Held open", "Output"))
    without = {one["name"]: one for _, one in configs(states=["device.*"])}
    assert without["Lock control"]["optimistic"]
    assert "state_topic" not in without["Lock control"]
    left_out = {one["name"]: one for _, one in configs(exclude_types=["parking.*"])}
    assert left_out["Lock control"]["optimistic"]


@pytest.mark.skipif(not PYTHON, reason="homeassistant is not installed, nor an interpreter named that has it")
def test_home_assistant_takes_each_entity() -> None:
    found = [*configs(), *configs(states=["device.*"]), *configs(("gate.open", "partition.disarm"), status_topic="")]
    done = subprocess.run(
        [PYTHON, "-c", SCHEMAS], input=orjson.dumps(found), capture_output=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr.decode()


async def retained(port: int, topic: str = "ha/#") -> dict[str, Any]:
    """Everything that the broker keeps below; a message of our own is the last that comes."""
    found: dict[str, Any] = {}
    async with aiomqtt.Client("127.0.0.1", port) as client:
        await client.subscribe([(topic, 1), ("end", 1)])
        await client.publish("end", b"", qos=1)
        async for message in client.messages:
            if str(message.topic) == "end":
                break
            assert isinstance(message.payload, bytes)
            found[str(message.topic)] = orjson.loads(message.payload)
    await let_go()
    return found


@pytest.mark.skipif(Mosquitto.found() is None, reason="mosquitto is not installed")
async def test_a_partition_has_one_panel_of_events_and_commands(tmp_path: Path) -> None:
    clock, home = ManualClock(), {"home_assistant": "ha", "command_topic": "c"}
    armed = record(1, "security.armed", "partition/obeys", alarm={"partition": 1})

    async def panels(port: int) -> list[tuple[str, list[str]]]:
        found = await retained(port, "ha/alarm_control_panel/#")
        return [(one["command_topic"], one["supported_features"]) for one in found.values()]

    async def settled(port: int, wanted: list[tuple[str, list[str]]]) -> None:
        async with asyncio.timeout(60):
            while await panels(port) != wanted:
                await clock.run(EVERY)

    shown: list[tuple[str, list[str]]] = [("pump/north/state/partition/obeys/partition/set", [])]
    commanded = [("c/partition/obeys/alarm", ["arm_home", "arm_away"])]
    async with Mosquitto(tmp_path / "broker") as broker:
        settings = MqttSettings.model_validate({"type": "mqtt", "url": broker.url, **home})
        out = MqttSink("home", settings, state=None, clock=clock, site="north")

        def make(_: Any) -> Any:
            return MqttSink.way_in("home", settings, clock=clock, site="north")

        async with out:
            await out.send([armed])
            assert await panels(broker.port) == shown
            async with way(tmp_path / "first", make, granted("mqtt"), clock) as pump:
                pump.site.gates.targets = lambda: [Target("partition/obeys", ("partition.arm", "partition.disarm"))]  # type: ignore[method-assign]
                await settled(broker.port, commanded)
                out._retained.all_again()  # as after a connection to a broker that has forgotten
                await out.send([record(2, "security.disarmed", "partition/obeys", alarm={"partition": 1})])
                await settled(broker.port, commanded)
                pump.site.gates.targets = list  # type: ignore[method-assign]
                await settled(broker.port, shown)
            async with way(tmp_path / "second", make, granted("socket"), clock):
                await settled(broker.port, shown)


@pytest.mark.skipif(Mosquitto.found() is None, reason="mosquitto is not installed")
async def test_entities_come_and_go_with_their_targets_over_restarts_too(tmp_path: Path) -> None:
    settings = MqttSettings.model_validate(
        {"type": "mqtt", "url": "mqtt://127.0.0.1", "home_assistant": "ha", "command_topic": "c"}
    )
    clock = ManualClock()

    async def names(port: int) -> set[str]:
        return {one["command_topic"] for one in (await retained(port)).values()}

    async def settled(port: int, wanted: set[str], seconds: float = EVERY) -> None:
        async with asyncio.timeout(60):
            while await names(port) != wanted:
                await clock.run(seconds / 10)

    async with Mosquitto(tmp_path / "broker") as broker:
        here = settings.model_copy(update={"url": broker.url})

        def make(_: Any) -> Any:
            return MqttSink.way_in("home", here, clock=clock, site="north")

        async with way(tmp_path / "first", make, granted("mqtt:c/gate/[ow]*/gate"), clock) as pump:
            await settled(broker.port, {"c/gate/obeys/gate", "c/gate/waits/gate"})
            pump.site.gates.gates = ("obeys", "opens")
            await settled(broker.port, {"c/gate/obeys/gate", "c/gate/waits/gate", "c/gate/opens/gate"})
            await settled(broker.port, {"c/gate/obeys/gate", "c/gate/opens/gate"}, VANISHED)
        async with way(tmp_path / "second", make, granted("mqtt:c/gate/[ow]*/gate"), clock) as pump:
            pump.site.gates.gates = ("obeys",)
            await settled(broker.port, {"c/gate/obeys/gate"}, VANISHED)
            # a Home Assistant that starts is told again, by a broker that has forgotten too
            async with aiomqtt.Client("127.0.0.1", broker.port) as client:
                (topic,) = await retained(broker.port)
                await client.publish(topic, b"", qos=1, retain=True)
                await client.publish("ha/status", b"online", qos=1)
            await let_go()
            await settled(broker.port, {"c/gate/obeys/gate"}, 0.0)
