"""The suite of all sinks on the MQTT sink, against each real broker that is at hand."""

from __future__ import annotations

import asyncio
import json
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

import aiomqtt
import pytest

from pump.core.clock import Clock
from pump.core.record import State
from pump.sink import Sink
from pump.sinks.mqtt.sink import MqttSettings, MqttSink
from pump.testing.brokers import Mosquitto, NatsServer
from pump.testing.sink_conformance import CHECKS, Peer, applies

# Killed, nats-server sends what a session had under way again only after `ack_wait`, and behind newer messages. One at
# a time, there are none behind it: a watcher that lags when the server is killed misses nothing, and nothing changes
# places. It takes a turn for each message, so that only tests which kill the server have it so.
_IN_ORDER = 'ack_wait: "2s"\nmax_ack_pending: 1'
_PERSISTENT = "allow_anonymous true\npersistence true\npersistence_location {}/\n"


class Watcher:
    """A subscriber with a session that outlives connections: what the broker has acknowledged reaches it."""

    def __init__(self, port: int, topic: str = "pump/#") -> None:
        self.messages: list[aiomqtt.Message] = []
        self._port = port
        self._topic = topic
        self._here = asyncio.Event()
        self._arrived = asyncio.Event()
        self._marks = 0
        self._heard = 0
        """The newest mark that came."""
        self._task: asyncio.Task[None] | None = None

    async def begin(self) -> None:
        """Wait until the session is there; from then on the broker keeps what comes while the watcher is away."""
        if self._task is None:
            self._task = asyncio.create_task(self._watch(), name="watcher")
        await self._here.wait()

    async def end(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def all(self) -> list[aiomqtt.Message]:
        """Everything that the broker has acknowledged until now; a mark that a restart swallows is said again.

        One that comes later than the next was said will do: a slow machine may never hear its newest in time.
        """
        first = self._marks + 1
        while True:
            self._marks += 1
            with suppress(aiomqtt.MqttError, TimeoutError):
                async with aiomqtt.Client("127.0.0.1", self._port) as client:
                    await client.publish("pump/mark", str(self._marks).encode(), qos=1)
                async with asyncio.timeout(2):
                    while self._heard < first:
                        self._arrived.clear()
                        await self._arrived.wait()
                    return [one for one in self.messages if str(one.topic) != "pump/mark"]
            await asyncio.sleep(0.02)

    async def _watch(self) -> None:
        while True:
            with suppress(aiomqtt.MqttError):
                async with aiomqtt.Client("127.0.0.1", self._port, identifier="watcher", clean_session=False) as client:
                    await client.subscribe(self._topic, qos=1)
                    self._here.set()
                    async for message in client.messages:
                        self.messages.append(message)
                        if str(message.topic) == "pump/mark":
                            self._heard = max(self._heard, int(bytes(message.payload)))
                            self._arrived.set()
            await asyncio.sleep(0.02)


class MqttPeer(Peer):
    can = frozenset({"stop", "stall"})
    more: ClassVar[dict[str, Any]] = {}

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.server, self.port, self.watcher = self.made(folder)

    def made(self, folder: Path) -> tuple[NatsServer | Mosquitto, int, Watcher]:
        server = NatsServer(folder / "broker", mqtt=True)
        return server, server.mqtt_port, Watcher(server.mqtt_port)

    def in_order(self) -> None:
        """Before `start`: have the watcher see messages in their order although the server is killed."""
        if isinstance(self.server, NatsServer):
            self.server.mqtt_extra = _IN_ORDER

    async def start(self) -> None:
        await self.server.start()
        await self.watcher.begin()

    async def stop(self) -> None:
        await self.server.kill()

    async def stall(self) -> None:
        self.server.pause()

    async def resume(self) -> None:
        self.server.resume()

    async def end(self) -> None:
        await self.watcher.end()
        await self.server.kill()

    def settings(self) -> MqttSettings:
        url = f"mqtt://127.0.0.1:{self.port}"
        return MqttSettings.model_validate({"type": "mqtt", "url": url, **self.more})

    def make(self, name: str, settings: Any, *, state: State | None, clock: Clock, site: str) -> Sink[Any]:
        return MqttSink(name, settings, state=state, clock=clock, site=site)

    async def received(self) -> list[int]:
        return [
            json.loads(bytes(message.payload))["data"]["raw"]["number"]
            for message in await self.watcher.all()
            if str(message.topic).startswith("pump/testing/vehicle.passed/camera/")
        ]


class NatsHomePeer(MqttPeer):
    more: ClassVar[dict[str, Any]] = {"version": "3.1.1", "home_assistant": "homeassistant", "window": 20}


class MosquittoPeer(MqttPeer):
    def made(self, folder: Path) -> tuple[NatsServer | Mosquitto, int, Watcher]:
        server = Mosquitto(folder / "broker", extra=_PERSISTENT.format(folder / "broker"))
        return server, server.port, Watcher(server.port)

    async def stop(self) -> None:
        await self.server.kill(signal.SIGTERM)  # it keeps sessions in memory and writes them as it ends


class MosquittoOldPeer(MosquittoPeer):
    more: ClassVar[dict[str, Any]] = {"version": "3.1.1", "qos": 2, "window": 1}


class NatsQos0Peer(MqttPeer):
    # No disturbing: QoS 0 promises nothing of what is on its way then. An orderly end is told by an acknowledged word.
    can = frozenset()
    more: ClassVar[dict[str, Any]] = {"qos": 0}


class MosquittoQos0Peer(MosquittoPeer):
    can = frozenset()
    more: ClassVar[dict[str, Any]] = {"qos": 0}


class MosquittoQos2Peer(MosquittoPeer):
    # Not nats-server: it keeps a message of an earlier connection by its packet identifier (docs/sinks.md).
    more: ClassVar[dict[str, Any]] = {"version": "3.1.1", "qos": 2}


PEERS: dict[str, type[MqttPeer]] = {
    "nats-server": MqttPeer,
    "nats-server, Home Assistant": NatsHomePeer,
    "nats-server, QoS 0": NatsQos0Peer,
    "mosquitto, MQTT 5": MosquittoPeer,
    "mosquitto, QoS 0": MosquittoQos0Peer,
    "mosquitto, QoS 2": MosquittoQos2Peer,
    "mosquitto, MQTT 3.1.1 one by one": MosquittoOldPeer,
}


def _promised(kind: str, check: str) -> bool:
    """QoS 0 promises nothing of what is on its way when a connection is dropped."""
    return applies(check, PEERS[kind]) and not ("QoS 0" in kind and check.startswith("cancelled"))


@pytest.mark.parametrize(
    ("kind", "check"), [(kind, check) for kind in PEERS for check in CHECKS if _promised(kind, check)]
)
async def test_mqtt_sinks(kind: str, check: str, tmp_path: Path) -> None:
    server = Mosquitto if kind.startswith("mosquitto") else NatsServer
    if server.found() is None:
        pytest.skip(f"{server.program} is not installed")

    peer = PEERS[kind](tmp_path)
    if check == "peer_that_comes_and_goes":
        peer.in_order()
    try:
        await peer.start()
        await CHECKS[check](peer)
    finally:
        await peer.end()
