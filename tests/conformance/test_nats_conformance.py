"""The suite of all sinks on the JetStream sink, against a real server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nats
import pytest
from nats.js.errors import NotFoundError

from pump.core.clock import Clock
from pump.core.record import State
from pump.sink import Sink
from pump.sinks.nats.sink import NatsSettings, NatsSink
from pump.testing.brokers import NatsServer
from pump.testing.sink_conformance import CHECKS, Peer, applies


class NatsPeer(Peer):
    can = frozenset({"stop", "stall"})
    exactly_once = True

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.server = NatsServer(folder / "server")

    async def start(self) -> None:
        await self.server.start()

    async def stop(self) -> None:
        await self.server.kill()

    async def stall(self) -> None:
        self.server.pause()

    async def resume(self) -> None:
        self.server.resume()

    def settings(self) -> NatsSettings:
        return NatsSettings.model_validate({"type": "nats", "servers": self.server.url})

    def make(self, name: str, settings: Any, *, state: State | None, clock: Clock, site: str) -> Sink[Any]:
        return NatsSink(name, settings, state=state, clock=clock, site=site)

    async def received(self) -> list[int]:
        client = await nats.connect(self.server.url)
        try:
            jetstream = client.jetstream()
            count = (await jetstream.stream_info("pump-testing")).state.messages
            reader = await jetstream.subscribe("pump.testing.>", stream="pump-testing", ordered_consumer=True)
            messages = [await reader.next_msg() for _ in range(count)]
            assert {message.subject for message in messages} <= {"pump.testing.vehicle.passed"}
            return [json.loads(message.data)["data"]["raw"]["number"] for message in messages]
        except NotFoundError:
            return []  # the sink has not come to make it
        finally:
            await client.close()


@pytest.mark.parametrize("check", [check for check in CHECKS if applies(check, NatsPeer)])
async def test_nats_sink(check: str, tmp_path: Path) -> None:
    if NatsServer.found() is None:
        pytest.skip("nats-server is not installed")

    peer = NatsPeer(tmp_path)
    try:
        await peer.start()
        await CHECKS[check](peer)
    finally:
        await peer.server.kill()
