"""Commands through a whole daemon and real brokers: a simulated panel is armed, and a stop answers who waits."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiomqtt
import nats
import nats.errors
import pytest
from nats.aio.client import Client
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from pump.config import load
from pump.core.clock import Clock
from pump.core.settings import SourceSettings
from pump.registry import DEFAULT, Registry
from pump.runtime.daemon import Daemon
from pump.testing.brokers import Mosquitto, NatsServer
from pump.testing.standins import StandIns
from pump.vendors.hik_gateway.simulator.server import Simulator
from tests.e2e.test_subscribe_command import A
from tests.unit.ops.commands.site import Gates
from tests.unit.ops.commands.ways import until

pytestmark = pytest.mark.skipif(
    Mosquitto.found() is None or NatsServer.found() is None, reason="mosquitto or nats-server is not installed"
)

HUSH = "a-password-of-the-broker"
PANEL = """
[pump]
site = "north"
state_dir = "{folder}/state"
[ops]
listen = "127.0.0.1:0"
[sources.arc]
type = "hik-gateway"
url = "{url}"
username = "admin"
password = "secret1"
names = {{ "{panel}/partition/1" = {{ name = "House" }} }}
[sinks.home]
type = "mqtt"
url = "{mqtt}"
username = "pump"
password = "{hush}"
home_assistant = "homeassistant"
command_topic = "pump/{{site}}/command"
[sinks.stream]
type = "nats"
servers = "{nats}"
command_subject = "pump.{{site}}.command"
[sinks.out]
type = "jsonl"
path = "{folder}/events.jsonl"
[commands]
per_minute = 600
[[commands.grants]]
callers = ["mqtt:pump/north/command/*"]
verbs = ["partition.*"]
targets = ["partition/*"]
[[commands.grants]]
callers = ["nats:pump.north.command.partition.*"]
verbs = ["partition.disarm"]
targets = ["partition/*"]
"""


class Broker:
    """What a client of the broker sees."""

    def __init__(self, client: aiomqtt.Client) -> None:
        self.client = client
        self.topics: dict[str, Any] = {}
        self.answers: list[tuple[bytes, dict[str, Any]]] = []

    async def listen(self) -> None:
        async for message in self.client.messages:
            assert isinstance(message.payload, bytes)
            if str(message.topic) == "board/answers":
                correlation = getattr(message.properties, "CorrelationData", b"")
                self.answers.append((correlation, json.loads(message.payload)))
            elif message.payload.startswith(b"{"):
                self.topics[str(message.topic)] = json.loads(message.payload)

    def panel(self) -> dict[str, Any] | None:
        """The entity that commands the partition."""
        found = [
            one
            for topic, one in self.topics.items()
            if "/alarm_control_panel/" in topic and one["command_topic"].startswith("pump/north/command/partition/")
        ]
        return found[0] if found else None


async def first(peer: Client, subject: str, payload: bytes) -> dict[str, Any]:
    """The reply of a pump that may not be connected yet: until then the server says at once that nobody hears it."""
    while True:
        try:
            found = json.loads((await peer.request(subject, payload, timeout=60)).data)
        except nats.errors.NoRespondersError:
            await asyncio.sleep(0.05)
            continue
        assert isinstance(found, dict)
        return found


async def test_a_panel_is_armed_through_the_brokers_and_the_answers_come_back(tmp_path: Path) -> None:
    target, file = f"partition/{A}/1", tmp_path / "pump.toml"
    actions: list[tuple[str, ...]] = []
    async with (
        Mosquitto(tmp_path / "mosquitto") as mosquitto,
        NatsServer(tmp_path / "nats") as server,
        Simulator(clock=Clock()) as vendor,
    ):
        text = PANEL.format(
            folder=tmp_path, url=vendor.url, panel=A, mqtt=mosquitto.url, nats=server.url, hush=HUSH
        )  # fmt: skip
        file.write_text(text, encoding="utf-8")
        async with (
            running(file) as daemon,
            aiomqtt.Client("127.0.0.1", mosquitto.port, protocol=aiomqtt.ProtocolVersion.V5) as client,
        ):
            await client.subscribe("#", qos=1)
            seen = Broker(client)
            listening = asyncio.create_task(seen.listen())
            try:
                await until(seen.panel)  # with the gateway's list of devices comes what can be commanded
                panel = seen.panel()
                assert panel is not None
                assert panel["command_topic"] == f"pump/north/command/{target}/alarm"
                assert panel["supported_features"] == ["arm_home", "arm_away"]

                async def ask(topic: str, payload: bytes, correlation: bytes) -> list[dict[str, Any]]:
                    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]  # no types
                    properties.ResponseTopic, properties.CorrelationData = "board/answers", correlation
                    await client.publish(topic, payload, qos=1, properties=properties)
                    await until(lambda: any(one["status"] != "under way" for one in answers(correlation)))
                    return answers(correlation)

                def answers(correlation: bytes) -> list[dict[str, Any]]:
                    return [one for known, one in seen.answers if known == correlation]

                arm = b'{"verb": "partition.arm", "arguments": {"mode": "stay"}}'
                taken, done = await ask(f"pump/north/command/{target}", arm, b"\x01")
                assert (taken["status"], done["status"]) == ("under way", "done")
                assert taken["request_id"] == done["request_id"]
                actions.append((A, "arm", "1", "stay"))

                await client.publish(panel["command_topic"], panel.get("payload_arm_away", "ARM_AWAY"), qos=1)
                actions.append((A, "arm", "1", "away"))
                await until(lambda: len(vendor.account.actions) == 2)

                (refused,) = await ask(f"pump/north/command/{target}", b'{"verb": "alarm.clear"}', b"\x02")
                assert (refused["status"], len(refused["request_id"])) == ("refused", 32)

                peer = await nats.connect(server.url)
                try:
                    subject = f"pump.north.command.partition.{A}.1"
                    assert (await first(peer, subject, b'{"verb": "partition.disarm"}'))["status"] == "done"
                    actions.append((A, "disarm", "1", ""))
                    reply = await peer.request(subject, arm, timeout=60)
                    assert json.loads(reply.data)["status"] == "refused"
                finally:
                    await peer.close()

                assert [one[1:] for one in vendor.account.actions] == actions
                await until((tmp_path / "events.jsonl").exists)
                status = json.dumps(daemon.status.body(), default=str)
                for said in (status, json.dumps(seen.topics), (tmp_path / "events.jsonl").read_text()):
                    assert HUSH not in said
                assert all(daemon.health.component(f"commands {one}").state == "up" for one in ("home", "stream"))
            finally:
                listening.cancel()
                await asyncio.wait({listening})


@asynccontextmanager
async def running(file: Path, kinds: Registry = DEFAULT) -> AsyncIterator[Daemon]:
    """A daemon that is ready; it is stopped in order at the end, if it was not before."""
    daemon = Daemon(load(file, {}, kinds=kinds), kinds=kinds)
    task = asyncio.create_task(daemon.run(signals=False))
    await daemon.ready.wait()
    try:
        yield daemon
    finally:
        daemon.stop()
        assert await task == 0


class Held(Gates):
    """The gates, as a source of the daemon's."""

    Settings = SourceSettings

    def __init__(self, name: str, settings: SourceSettings, clock: Clock) -> None:
        super().__init__(name, clock)
        self.settings = settings


STOPPED = """
[pump]
site = "north"
state_dir = "{folder}/state"
[ops]
listen = "127.0.0.1:0"
[sources.gates]
type = "gates"
[sinks.home]
type = "mqtt"
url = "{mqtt}"
command_topic = "c"
[sinks.stream]
type = "nats"
servers = "{nats}"
command_subject = "c"
[[commands.grants]]
callers = ["mqtt", "nats"]
verbs = ["*"]
targets = ["*"]
"""


async def test_who_waits_when_the_pump_stops_hears_that_nobody_knows_the_end(tmp_path: Path) -> None:
    """Answers go before the connections do, by either way; a broker that is away holds up no stop."""
    kinds = StandIns(own_sources={"gates": Held})
    file = tmp_path / "pump.toml"
    async with Mosquitto(tmp_path / "mosquitto") as mosquitto, NatsServer(tmp_path / "nats") as server:
        file.write_text(STOPPED.format(folder=tmp_path, mqtt=mosquitto.url, nats=server.url), encoding="utf-8")
        peer = await nats.connect(server.url)
        async with aiomqtt.Client("127.0.0.1", mosquitto.port, protocol=aiomqtt.ProtocolVersion.V5) as client:
            await client.subscribe("board/answers", qos=1)
            seen = Broker(client)
            listening = asyncio.create_task(seen.listen())
            async with running(file, kinds) as daemon:
                parts = [daemon.health.component(f"commands {name}") for name in ("home", "stream")]
                await until(lambda: all(part.state == "up" for part in parts))
                properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]  # no types
                properties.ResponseTopic, properties.CorrelationData = "board/answers", b"1"
                payload = b'{"verb": "gate.open", "expires": 300}'
                await client.publish("c/gate/silent", payload, qos=1, properties=properties)
                await until(lambda: seen.answers)
                reply = asyncio.create_task(peer.request("c.gate.waits", payload, timeout=60))
                labels = {"sink": "stream", "outcome": "taken"}
                counted = daemon.metrics.registry.get_sample_value
                await until(lambda: counted("pump_command_messages_total", labels))
            assert json.loads((await reply).data)["status"] == "expired"
            await until(lambda: len(seen.answers) == 2)
            listening.cancel()
            await asyncio.wait({listening})
        assert [answer["status"] for _, answer in seen.answers] == ["under way", "unknown"]
        await peer.close()
