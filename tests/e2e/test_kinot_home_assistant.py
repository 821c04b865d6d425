"""Kinot's bays and locks in Home Assistant: what a real broker retains, evaluated as Home Assistant would.

https://www.home-assistant.io/integrations/binary_sensor.mqtt/ and event.mqtt: a state is `value_template` applied to
what `state_topic` retains, "ON" or "OFF"; an event's payload is JSON whose `event_type` is one of `event_types`.
"""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiomqtt
import jinja2
import pytest

from pump.core.clock import Clock
from pump.testing.brokers import Mosquitto, NatsServer, Server, free_port
from pump.vendors.kinot.simulator.server import Simulator
from tests.e2e.test_kinot_daemon import configured, daemon, until

SINK = """
[sinks.home]
type = "mqtt"
url = "{url}"
version = "{version}"
home_assistant = "homeassistant"
"""


class Home:
    """What Home Assistant does with an integration's messages, as far as these two components go."""

    def __init__(self) -> None:
        self.topics: dict[str, bytes] = {}
        """The last message of each topic."""
        self.events: list[tuple[str, dict[str, Any]]] = []

    async def listen(self, client: aiomqtt.Client) -> None:
        async for message in client.messages:
            topic, payload = str(message.topic), message.payload
            assert isinstance(payload, bytes)
            self.topics[topic] = payload
            if any(topic == config["state_topic"] for config in self.configs("event")):
                self.events.append((topic, json.loads(payload)))

    def configs(self, component: str) -> list[dict[str, Any]]:
        return [
            json.loads(payload)
            for topic, payload in list(self.topics.items())
            if topic.startswith(f"homeassistant/{component}/") and topic.endswith("/config")
        ]

    def states(self) -> dict[tuple[str, str], str]:
        """(Serial number, entity's name) to ON or OFF, of the entities that are available."""
        found = {}
        for config in self.configs("binary_sensor"):
            there = [self.topics.get(where["topic"]) for where in config["availability"]]  # availability_mode: all
            if set(there) != {b"online"} or config["state_topic"] not in self.topics:
                continue
            value = self.topics[config["state_topic"]].decode()
            template = jinja2.Environment(autoescape=False).from_string(config["value_template"])
            key = (config["device"]["serial_number"], config["name"])
            assert key not in found, "two entities of one name in one device"
            found[key] = template.render(value=value, value_json=json.loads(value))
        return found


@asynccontextmanager
async def listening(broker: Server, name: str) -> AsyncIterator[Home]:
    home = Home()
    url = broker.mqtt_url if isinstance(broker, NatsServer) else broker.url
    async with aiomqtt.Client("127.0.0.1", int(url.rpartition(":")[2]), identifier=name) as client:
        await client.subscribe("#", qos=1)
        task = asyncio.create_task(home.listen(client))
        try:
            yield home
        finally:
            task.cancel()
            await asyncio.wait({task})


def wanted(kinot: Simulator) -> dict[tuple[str, str], str]:
    """By the fleet's own flags. Home Assistant's lock is ON where it is open, its battery ON where it is low."""
    found = {}
    for bay in kinot.fleet.bays.values():
        sn, flags = str(bay.sn), bay.flags
        found[sn, "Occupied"] = "ON" if flags["car_detected"] else "OFF"
        found[sn, "Battery"] = "ON" if flags["low_battery"] else "OFF"
        if bay.lock:
            found[sn, "Lock"] = "OFF" if flags["locked"] else "ON"
    return found


@pytest.mark.parametrize("kind", [Mosquitto, NatsServer])
async def test_bays_and_locks_are_on_and_off_as_they_are(tmp_path: Path, kind: type[Mosquitto | NatsServer]) -> None:
    if kind.found() is None:
        pytest.skip(f"{kind.program} is not installed")

    broker: Mosquitto | NatsServer
    broker = NatsServer(tmp_path / "b", mqtt=True) if kind is NatsServer else Mosquitto(tmp_path / "b")
    async with broker, Simulator(clock=Clock(), bays=5, retries=(0.05,) * 400) as kinot:
        file = configured(tmp_path, kinot, free_port())
        nats = isinstance(broker, NatsServer)
        sink = SINK.format(
            url=broker.mqtt_url if isinstance(broker, NatsServer) else broker.url, version="3.1.1" if nats else "5"
        )
        file.write_text(file.read_text() + sink)
        sensor, lock = kinot.fleet.sensors[0].sn, kinot.fleet.locks[0].sn

        def shown(home: Home) -> bool:
            states = home.states()
            return all(states.get(key) == value for key, value in wanted(kinot).items())

        def entities(home: Home) -> set[str]:
            return {config["unique_id"] for config in home.configs("binary_sensor")}

        async with listening(broker, "live") as home, daemon(file) as process:
            await until(lambda: shown(home))
            for changes in (
                {sensor: {"car_detected": 1}, lock: {"locked": 1}},
                {sensor: {"low_battery": 1}, lock: {"car_detected": 1, "locked": 0}},
                {sensor: {"car_detected": 0}, lock: {"motor_fail": 1, "shell_opened": 1}},
            ):
                for sn, flags in changes.items():
                    kinot.change(sn, **flags)
                await until(lambda: shown(home))
            states = home.states()
            assert states[str(sensor), "Occupied"] == "OFF"
            assert states[str(sensor), "Battery"] == "ON"
            assert (states[str(lock), "Occupied"], states[str(lock), "Lock"]) == ("ON", "ON")
            await until(lambda: home.states().get((str(lock), "Tamper")) == "ON")
            assert home.states()[str(lock), "Fault"] == "ON"

            # who comes later sees the present by what is retained alone
            async with listening(broker, "late") as late:
                await until(lambda: shown(late) and entities(late) == entities(home))
                assert late.states()[str(lock), "Fault"] == "ON"

            expected = {
                "parking.space.occupied", "parking.space.vacated", "parking.lock.raised", "parking.lock.lowered",
                "device.battery.low", "device.fault.raised",
            }  # fmt: skip
            # an entity's first events come when Home Assistant has had time to subscribe to them
            await until(lambda: expected <= {payload["event_type"] for _, payload in home.events})
            for config in home.configs("event"):
                told = [payload for topic, payload in home.events if topic == config["state_topic"]]
                assert all(payload["event_type"] in config["event_types"] for payload in told)
            classes = {config["name"]: config.get("device_class") for config in home.configs("binary_sensor")}
            assert classes["Occupied"] == "occupancy"
            assert (classes["Lock"], classes["Battery"], classes["Fault"]) == ("lock", "battery", "problem")

            kinot.change(sensor, low_battery=0)
            kinot.change(lock, motor_fail=0, shell_opened=0, car_detected=0)
            await until(lambda: shown(home) and home.states()[str(lock), "Tamper"] == "OFF")
            left_on = {key for key, state in home.states().items() if state == "ON"}
            assert left_on == {key for key, state in wanted(kinot).items() if state == "ON"}, (
                "what began has ended, under every name"
            )

            process.send_signal(signal.SIGTERM)
            await process.wait()
            await until(lambda: not home.states())  # unavailable, not frozen in its last state
