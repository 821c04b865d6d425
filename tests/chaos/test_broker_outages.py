"""Brokers that are killed while traffic flows, and come back: nothing missing, in order, and nobody else disturbed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import nats
import nats.errors
import pytest
from nats.aio.client import Client
from nats.js import JetStreamContext

from pump.core.clock import Clock
from pump.core.errors import Misconfigured, Unavailable
from pump.delivery.cursor import Surroundings
from pump.delivery.delivery import Delivery
from pump.sinks.jsonl.sink import JsonlSettings, JsonlSink
from pump.sinks.nats.sink import NatsSettings, NatsSink
from pump.spool import Spool, SpoolSettings
from pump.telemetry.health import Component
from pump.telemetry.metrics import Metrics
from pump.testing.brokers import Mosquitto, NatsServer, cluster
from pump.testing.records import record, rows
from pump.testing.sink_conformance import Peer
from tests.conformance.test_mqtt_conformance import MosquittoPeer, MqttPeer
from tests.conformance.test_nats_conformance import NatsPeer

_PACE = 0.02
"""Seconds between two groups of events."""
_GROUP = 50


class Site:
    """A spool with traffic and two sinks: one to the broker, and a file that must not notice."""

    def __init__(self, folder: Path, make: Any, settings: Any) -> None:
        self._folder = folder
        self._make = make
        self._settings = settings
        self.stored = 0

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Site]:
        clock, metrics = Clock(), Metrics()
        self.spool = await Spool.open(self._folder / "spool", SpoolSettings(), clock=clock, metrics=metrics)

        async def lost(sink: str, first: int, last: int, count: int) -> None:
            raise AssertionError(f"{sink} lost {count} events, {first} to {last}")

        def delivery(name: str, make: Any, settings: Any) -> Delivery:
            return Delivery(
                Surroundings(self.spool, clock, metrics, "testing", lost),
                make,
                name,
                settings,
                Component(f"sink {name}", clock),
            )

        path = self._folder / "events.jsonl"
        self.file = delivery("file", JsonlSink, JsonlSettings(type="jsonl", path=str(path), fsync="never"))
        self.broker = delivery("broker", self._make, self._settings)
        tasks = [asyncio.create_task(one.run()) for one in (self.file, self.broker)]
        tasks.append(asyncio.create_task(self._traffic()))
        self._traffics = tasks[-1]
        try:
            yield self
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            await self.spool.close()

    async def _traffic(self) -> None:
        while True:
            batch = rows(range(self.stored + 1, self.stored + _GROUP + 1), Clock(), size=1000)
            await asyncio.shield(self.spool.append(batch, source="gate"))
            self.stored += _GROUP
            await asyncio.sleep(_PACE)

    async def more(self, count: int) -> None:
        """Wait until so many more events are stored."""
        goal = self.stored + count
        while self.stored < goal:
            assert not self._traffics.done()
            await asyncio.sleep(_PACE)

    async def finish(self) -> None:
        """End the traffic and wait until both sinks have had all of it."""
        self._traffics.cancel()
        await asyncio.wait({self._traffics})
        await caught_up(self.file, self.spool.head)
        await caught_up(self.broker, self.spool.head)


async def caught_up(delivery: Delivery, head: int) -> None:
    """Wait until it has delivered so far; it waits no longer for a peer than its peer is away.

    Left alone, it would wait as long again as a slow machine made the outage.
    """
    while delivery.position < head:
        delivery.hurry()
        await asyncio.sleep(_PACE)


def memory() -> int:
    """What this process holds now, in KiB."""
    return int(Path("/proc/self/status").read_text().split("VmRSS:")[1].split()[0])


async def outage(peer: Peer, away: int) -> None:
    await peer.start()
    async with Site(peer.folder, peer.make, peer.settings()).running() as site:
        await site.more(400)
        await caught_up(site.broker, 400)
        await peer.stop()
        await site.more(away // 3)  # by now, in the long form, the newest events fill their part of the memory
        before = memory()
        await site.more(away - away // 3)
        after = memory()
        await caught_up(site.file, site.spool.head)  # the file goes on as if nothing were
        assert site.broker.position < site.spool.head
        await peer.start()
        await site.more(400)
        await site.finish()
        received = await peer.received()
        last = site.spool.head
    first_seen = list(dict.fromkeys(received))
    assert first_seen == list(range(1, last + 1))
    assert not peer.exactly_once or received == first_seen
    lines = (peer.folder / "events.jsonl").read_bytes().splitlines()
    assert [json.loads(line)["data"]["raw"]["number"] for line in lines] == first_seen
    print(f"{last} events, {len(received) - last} sent again; {before} KiB before, {after} KiB after the outage")
    assert after - before < 16 << 10, f"{after - before} KiB more while the broker was away"


PEERS: dict[str, type[MqttPeer] | type[NatsPeer]] = {
    "MQTT 3.1.1 on nats-server": MqttPeer,
    "MQTT 5 on mosquitto": MosquittoPeer,
    "JetStream": NatsPeer,
}


async def _play(kind: str, folder: Path, away: int) -> None:
    needed = Mosquitto if "mosquitto" in kind else NatsServer
    if needed.found() is None:
        pytest.skip(f"{needed.program} is not installed")

    peer = PEERS[kind](folder)
    if isinstance(peer, MqttPeer):
        peer.in_order()
    try:
        await outage(peer, away)
    finally:
        await (peer.end() if isinstance(peer, MqttPeer) else peer.server.kill())


@pytest.mark.parametrize("kind", PEERS)
async def test_a_broker_that_was_away_gets_everything(kind: str, tmp_path: Path) -> None:
    await _play(kind, tmp_path, 2000)


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", PEERS)
async def test_a_broker_that_was_away_for_a_minute(kind: str, tmp_path: Path) -> None:
    await _play(kind, tmp_path, round(60 / _PACE) * _GROUP)


@pytest.mark.parametrize("number", [signal.SIGKILL, pytest.param(signal.SIGTERM, marks=pytest.mark.long)])
async def test_a_cluster_that_loses_its_leader(number: int, tmp_path: Path) -> None:
    """SIGTERM hands the stream over to another leader at once, in the middle of what is on its way."""
    if NatsServer.found() is None:
        pytest.skip("nats-server is not installed")

    servers = cluster(tmp_path)
    settings = NatsSettings.model_validate(
        {"type": "nats", "servers": [one.url for one in servers], "replicas": 3, "ack_wait": "1s"}
    )
    try:
        await asyncio.gather(*(server.start() for server in servers))
        async with Site(tmp_path, NatsSink, settings).running() as site:
            while not site.broker.position:
                await asyncio.sleep(_PACE)
            await site.more(400)
            leader = await answered(servers[0], led)
            await next(server for server in servers if server.name == leader).kill(number)
            await site.more(1000)
            await site.finish()
            last = site.spool.head
        left = next(server for server in servers if server.name != leader)
        assert await answered(left, stored) == list(range(1, last + 1))
    finally:
        await asyncio.gather(*(server.kill() for server in servers))


@pytest.mark.long
async def test_a_cluster_without_a_quorum_is_away_and_no_bug(tmp_path: Path) -> None:
    """What asks for the stream then has no answer but the client's time-out."""
    if NatsServer.found() is None:
        pytest.skip("nats-server is not installed")

    servers = cluster(tmp_path)
    one, two, left = servers
    settings = NatsSettings.model_validate({"type": "nats", "servers": left.url, "replicas": 3})

    async def sent(number: int) -> None:
        async with NatsSink("out", settings, state=None, clock=Clock(), site="testing") as out:
            await out.send([record(number)])

    try:
        await asyncio.gather(*(server.start() for server in servers))
        while True:
            with contextlib.suppress(Unavailable, Misconfigured):  # "no suitable peers" while it forms
                await sent(1)
                break
        await asyncio.gather(one.kill(), two.kill())
        with pytest.raises(Unavailable):
            await sent(2)
        await one.start()
        while True:
            with contextlib.suppress(Unavailable):
                await sent(2)
                break
        assert await answered(left, stored) == [1, 2]
    finally:
        await asyncio.gather(*(server.kill() for server in servers))


Answer = TypeVar("Answer")


async def answered(server: NatsServer, question: Callable[[JetStreamContext], Awaitable[Answer | None]]) -> Answer:
    """Ask until there is an answer: a cluster elects in its own time, and a busy machine has its own too."""
    while True:
        with contextlib.suppress(nats.errors.Error, OSError, TimeoutError):
            async with connected(server) as client:
                answer = await question(client.jetstream())
                if answer is not None:
                    return answer
        await asyncio.sleep(_PACE)


async def led(jetstream: JetStreamContext) -> str | None:
    """The server that leads the stream; None while there is none."""
    info = await jetstream.stream_info("pump-testing")
    assert info.cluster is not None
    assert info.config.num_replicas == 3
    return info.cluster.leader


async def stored(jetstream: JetStreamContext) -> list[int]:
    count = (await jetstream.stream_info("pump-testing")).state.messages
    reader = await jetstream.subscribe("pump.testing.>", stream="pump-testing", ordered_consumer=True)
    return [json.loads((await reader.next_msg(timeout=20)).data)["data"]["raw"]["number"] for _ in range(count)]


@contextlib.asynccontextmanager
async def connected(server: NatsServer) -> AsyncIterator[Client]:
    client = await nats.connect(server.url, error_cb=silent)
    try:
        yield client
    finally:
        await client.close()


async def silent(error: Exception) -> None:
    """nats-py would print what `answered` tries again for anyway."""
