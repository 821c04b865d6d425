"""Where the sinks lead: brokers, receivers, files, and the lot of Tuya's cloud; each can fail, and says what it has."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import shutil
import signal
import sqlite3
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import replace
from pathlib import Path
from typing import Final

import nats
import orjson
from aiohttp import web

from pump.sinks.tuya.simulator.server import CLIENT_ID, DEVICE, SECRET, Cloud
from pump.testing.brokers import Mosquitto, NatsServer, free_port
from pump.testing.receiver import Received, Receiver
from tests.certificates import certificate
from tests.chaos.harness.account import Held, Key, Seen, seen, short
from tests.conformance.test_mqtt_conformance import Watcher

_KEY: Final = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo="
_EXPIRED: Final = ("-startdate", "20200101000000Z", "-enddate", "20200201000000Z")
REFUSED: Final = 40
"""One event of so many is one that the second receiver never takes."""

_SINKS = """
[sinks.out]
type = "jsonl"
path = "{folder}/events.jsonl"
[sinks.archive]
type = "sqlite"
path = "{folder}/archive.db"
[sinks.broker]
type = "mqtt"
url = "mqtts://127.0.0.1:{mqtt}"
ca_file = "{folder}/certificates/ca.pem"
qos = 1
topic = "pump/{{site}}/{{type}}"
status_topic = ""
keepalive = "5s"
timeout = "5s"
[sinks.hook]
type = "webhook"
url = "{hook}"
secret = "{secret}"
start = "oldest"
allow_private = true
timeout = "3s"
[sinks.choosy]
type = "webhook"
url = "{choosy}"
secret = "{secret}"
start = "oldest"
allow_private = true
batch_size = 20
timeout = "3s"
[sinks.stream]
type = "nats"
servers = "{nats}"
timeout = "5s"
[sinks.lot]
type = "tuya"
host = "{cloud}"
client_id = "{client}"
client_secret = "{client_secret}"
device_id = "{device}"
window = "10s"
lag = "0s"
directions = {{ gate = "in" }}
"""


def certificates(folder: Path) -> None:
    """An authority, what it signed for the gateway and the broker, and one that expired long ago."""
    folder.mkdir()
    certificate(folder, "ca")
    certificate(folder, "gateway", by="ca")
    certificate(folder, "expired", by="ca", span=_EXPIRED)


def _signed(received: Received) -> None:
    """Raises ValueError for a request that is not signed, whenever it was: the daemon's clock may be off."""
    name, stamp = received.headers["webhook-id"], received.headers["webhook-timestamp"]
    key = base64.b64decode(_KEY.removeprefix("whsec_"))
    digest = hmac.new(key, f"{name}.{stamp}.".encode() + received.body, hashlib.sha256).digest()
    if f"v1,{base64.b64encode(digest).decode()}" not in received.headers["webhook-signature"].split():
        raise ValueError("the signature is wrong")


def disliked(key: Key) -> bool:
    """Is this one of the events that the second receiver never takes?"""
    return int(short(" ".join(key)), 16) % REFUSED == 0 and not key[0].endswith("/pump")


class Hook:
    """A receiver of webhooks that keeps what it answered well."""

    def __init__(self, *, choosy: bool) -> None:
        self.server = Receiver(_signed)
        self.server.reply = self._reply
        self.failing = False
        self.taken: list[bytes] = []
        self._choosy = choosy

    def _reply(self, received: Received) -> web.Response | None:
        if self.failing:
            return web.Response(status=500)
        events = [(event["source"], event["id"]) for event in received.events]
        if self._choosy and any(map(disliked, events)):
            return web.Response(status=422)
        self.taken += map(orjson.dumps, received.events)
        return None


class Peers:
    """All of them, running inside `running`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tls_port = free_port()
        own = folder / "mosquitto"
        self._shown = own / "broker.pem"
        lines = [
            "allow_anonymous true", "persistence true", f"persistence_location {own}/",
            f"listener {self.tls_port} 127.0.0.1", f"certfile {self._shown}", f"keyfile {own / 'broker.key'}",
        ]  # fmt: skip
        self.mosquitto = Mosquitto(own, extra="\n".join(lines))
        self.stream = NatsServer(folder / "nats")
        self.watcher = Watcher(self.mosquitto.port)
        self.hooks = {"hook": Hook(choosy=False), "choosy": Hook(choosy=True)}
        self.cloud = Cloud()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """All of them are there."""
        self.certificate("gateway")
        async with AsyncExitStack() as stack:
            for server in (self.mosquitto, self.stream):
                await stack.enter_async_context(server)
            for hook in self.hooks.values():
                await stack.enter_async_context(hook.server)
            await stack.enter_async_context(self.cloud)
            stack.push_async_callback(self.watcher.end)
            await self.watcher.begin()
            yield

    def sinks(self) -> str:
        """The sinks' part of pump.toml."""
        hook, choosy = (one.server.url.replace("127.0.0.1", "localhost") for one in self.hooks.values())
        return _SINKS.format(
            folder=self.folder, mqtt=self.tls_port, hook=hook, choosy=choosy, secret=_KEY, cloud=self.cloud.url,
            nats=self.stream.url.replace("127.0.0.1", "localhost"), client=CLIENT_ID, client_secret=SECRET,
            device=DEVICE,
        )  # fmt: skip

    # --- what goes wrong ----------------------------------------------------------------------------------------------

    def certificate(self, name: str) -> None:
        """The broker's from its next start on."""
        self._shown.parent.mkdir(parents=True, exist_ok=True)
        for ending in ("pem", "key"):
            shutil.copy(self.folder / "certificates" / f"{name}.{ending}", self._shown.with_suffix(f".{ending}"))

    async def end_broker(self) -> None:
        """As Debian ends it: what it has acknowledged it keeps for its subscribers. Killed, mosquitto would not."""
        self.mosquitto.resume()
        await self.mosquitto.kill(signal.SIGTERM)

    # --- what they have -----------------------------------------------------------------------------------------------

    async def held(self, dead: dict[str, frozenset[Key]]) -> dict[str, Held]:
        """All that each has, by the sink's name."""
        lines = (self.folder / "events.jsonl").read_bytes().splitlines()
        messages = [bytes(one.payload) for one in await self.watcher.all()]
        found = {
            "out": (lines, True), "archive": (await asyncio.to_thread(self._rows), True),
            "stream": (await self._stored(), True), "broker": (messages, False),
            **{name: (hook.taken, False) for name, hook in self.hooks.items()},
        }  # fmt: skip
        none: frozenset[Key] = frozenset()
        held = {name: Held(_all(bodies), once, dead.get(name, none)) for name, (bodies, once) in found.items()}
        return {**held, "choosy": replace(held["choosy"], refuses=disliked)}

    def _rows(self) -> list[bytes]:
        with closing(sqlite3.connect(self.folder / "archive.db")) as db:
            found = db.execute("SELECT json FROM events ORDER BY number").fetchall()
        return [row[0] if isinstance(row[0], bytes) else row[0].encode() for row in found]

    async def _stored(self) -> list[bytes]:
        client = await nats.connect(self.stream.url)
        try:
            jetstream = client.jetstream()
            count = (await jetstream.stream_info("pump-chaos")).state.messages
            reader = await jetstream.subscribe("pump.chaos.>", stream="pump-chaos", ordered_consumer=True)
            return [(await reader.next_msg(timeout=60)).data for _ in range(count)]
        finally:
            await client.close()

    def counted(self) -> int:
        """Vehicles that the lot was given, over all windows."""
        [lot] = self.cloud.lots.values()
        return sum(lot.newest().values())


def _all(bodies: list[bytes]) -> list[Seen]:
    return [seen(body) for body in bodies]
