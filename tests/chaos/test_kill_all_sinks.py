"""A daemon with every sink at work, killed with SIGKILL at random moments: what each peer has in the end.

Nothing is missing anywhere. JSON lines, archive and JetStream have each event once; MQTT and webhooks may have one
again, with the same id and the same content.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
import sqlite3
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import nats
import orjson
import pytest
from nats.js.errors import NotFoundError

from pump.testing.brokers import Mosquitto, NatsServer
from pump.testing.receiver import Received, Receiver
from tests.chaos.site import Site, site
from tests.conformance.test_mqtt_conformance import Watcher
from tests.conformance.test_webhook_conformance import SECRET, verify

_SINKS = """
[sinks.archive]
type = "sqlite"
path = "{folder}/archive.db"
[sinks.broker]
type = "mqtt"
url = "{mqtt}"
qos = 1
topic = "pump/mqtt/{{site}}/{{type}}/{{subject:levels}}"  # to nats-server "pump/chaos" is the stream's "pump.chaos"
status_topic = ""
[sinks.hook]
type = "webhook"
url = "{hook}"
secret = "{secret}"
start = "oldest"
allow_private = true
[sinks.batches]
type = "webhook"
url = "{batches}"
secret = "{secret}"
start = "oldest"
allow_private = true
batch_size = 20
[sinks.stream]
type = "nats"
servers = "{nats}"
"""
_BATCH = 500
"""Records of one pull: five pulls a second are allowed, and the slower sinks are to have a backlog."""
_ROUND = 1000
"""Records that arrive for each kill."""

Identity = tuple[str, str]
"""An event's source and id."""


class Peers:
    """What the sinks lead to, all of it alive while the daemon dies."""

    def __init__(self, folder: Path, *, mosquitto: bool) -> None:
        self._folder = folder
        self.stream = NatsServer(folder / "nats", mqtt=not mosquitto)
        self._mosquitto = Mosquitto(folder / "mosquitto") if mosquitto else None
        self.mqtt = self._mosquitto or self.stream
        port = self._mosquitto.port if self._mosquitto else self.stream.mqtt_port
        self.mqtt_url = f"mqtt://127.0.0.1:{port}"
        self.watcher = Watcher(port)
        self.hook, self.batches = Receiver(verify), Receiver(verify)
        self._read = 0
        self._lines = 0

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Peers]:
        async with contextlib.AsyncExitStack() as stack:
            await stack.enter_async_context(self.stream)
            if self._mosquitto is not None:
                await stack.enter_async_context(self._mosquitto)
            await stack.enter_async_context(self.hook)
            await stack.enter_async_context(self.batches)
            stack.push_async_callback(self.watcher.end)
            await self.watcher.begin()
            yield self

    def sinks(self) -> str:
        """The sinks' part of pump.toml."""
        return _SINKS.format(
            folder=self._folder,
            mqtt=self.mqtt_url,
            hook=self.hook.url,
            batches=self.batches.url,
            nats=self.stream.url,
            secret=SECRET,
        )

    async def progress(self) -> dict[str, int]:
        """How many events each peer has, repeated ones repeated."""
        return {
            "out": await asyncio.to_thread(self._count_lines),
            "archive": await asyncio.to_thread(self._count_rows),
            "broker": len(self.watcher.messages),
            "hook": len(self.hook.requests),
            "batches": sum(len(one.events) for one in self.batches.requests),
            "stream": await self._count_stream(),
        }

    def _count_lines(self) -> int:
        path = self._folder / "events.jsonl"
        if path.exists():
            with path.open("rb") as file:
                file.seek(self._read)
                block = file.read()
            self._read += len(block)
            self._lines += block.count(b"\n")
        return self._lines

    def _count_rows(self) -> int:
        path = self._folder / "archive.db"
        if not path.exists():
            return 0
        with closing(sqlite3.connect(path)) as db:
            try:
                return int(db.execute("SELECT count(*) FROM events").fetchone()[0])
            except sqlite3.OperationalError:  # the table is yet to be made, or the daemon makes it now
                return 0

    async def _count_stream(self) -> int:
        client = await nats.connect(self.stream.url)
        try:
            return int((await client.jetstream().stream_info("pump-chaos")).state.messages)
        except NotFoundError:
            return 0
        finally:
            await client.close()

    async def have(self, mark: bytes) -> bool:
        """Whether an event with `mark` is among the newest everywhere."""
        with (self._folder / "events.jsonl").open("rb") as file:
            file.seek(max(0, file.seek(0, 2) - (256 << 10)))
            newest = [
                [file.read()],
                await asyncio.to_thread(self.rows, " ORDER BY rowid DESC LIMIT 100"),
                [bytes(one.payload) for one in self.watcher.messages[-100:]],
                *([one.body for one in receiver.requests[-100:]] for receiver in (self.hook, self.batches)),
            ]
        counts = await self.progress()
        return all(any(mark in body for body in bodies) for bodies in newest) and counts["stream"] >= counts["out"]

    # --- what they have in the end, in order, repeated ones repeated ------------------------------------------------

    def lines(self) -> list[bytes]:
        return (self._folder / "events.jsonl").read_bytes().splitlines()

    def rows(self, more: str = "") -> list[bytes]:
        with closing(sqlite3.connect(self._folder / "archive.db")) as db:
            found = db.execute(f"SELECT json FROM events{more}").fetchall()
        return [row[0] if isinstance(row[0], bytes) else row[0].encode() for row in found]

    async def messages(self) -> list[bytes]:
        told = await self.watcher.all()
        return [bytes(one.payload) for one in told]

    async def stored(self) -> list[tuple[str, bytes]]:
        """Nats-Msg-Id and content."""
        client = await nats.connect(self.stream.url)
        try:
            jetstream = client.jetstream()
            count = (await jetstream.stream_info("pump-chaos")).state.messages
            reader = await jetstream.subscribe("pump.chaos.>", stream="pump-chaos", ordered_consumer=True)
            found = [await reader.next_msg(timeout=30) for _ in range(count)]
            return [((one.headers or {})["Nats-Msg-Id"], one.data) for one in found]
        finally:
            await client.close()


def _identity(event: Mapping[str, Any]) -> Identity:
    return event["source"], event["id"]


def _identities(bodies: Iterable[bytes]) -> list[Identity]:
    return [_identity(orjson.loads(body)) for body in bodies]


async def _until(condition: Callable[[], Awaitable[bool]]) -> None:
    while not await condition():
        await asyncio.sleep(0.01)


async def _kills(here: Site, peers: Peers, kills: int, chance: random.Random) -> tuple[list[str], int]:
    """All the records that arrived, and how often a kill came while a peer had not everything."""
    made: list[str] = []
    amidst = 0
    for kill in range(kills):
        before = await peers.progress()
        here.start()
        if not kill:  # what arrives before the first subscription is nobody's
            await _until(lambda: asyncio.to_thread(lambda: bool(here.vendor.queue()["subscribed"])))
        made += await asyncio.to_thread(here.vendor.make, _ROUND)
        if chance.random() < 0.2:  # in the middle of its start, or soon after
            await asyncio.sleep(chance.uniform(0.0, 2.0))
        else:
            aim = chance.choice(list(before))
            goal = before[aim] + chance.randint(1, _ROUND)

            async def reached(aim: str = aim, goal: int = goal) -> bool:
                return (await peers.progress())[aim] >= goal

            await _until(reached)
        await asyncio.to_thread(here.end, signal.SIGKILL)
        amidst += min((await peers.progress()).values()) < len(made)
    return made, amidst


def _systems(bodies: Iterable[bytes]) -> list[str]:
    """The vendor's identities of its records."""
    found = (orjson.loads(body)["data"] for body in bodies)
    return [data["raw"]["basicInfo"]["systemId"] for data in found if data["vendor"] == "hik-connect"]


def _at_least_once(name: str, seen: list[tuple[Identity, bytes]], wanted: dict[Identity, bytes]) -> int:
    """Each event in its place at first sight, and the same again where it is repeated; how many are."""
    assert list(dict.fromkeys(identity for identity, _ in seen)) == list(wanted), f"{name}: missing, or out of order"
    for identity, body in seen:
        assert body == wanted[identity], f"{name}: one id, two contents"
    return len(seen) - len(wanted)


async def _play(folder: Path, kills: int, *, mosquitto: bool) -> None:
    begun = time.monotonic()
    async with Peers(folder, mosquitto=mosquitto).running() as peers:
        with site(folder, sinks=peers.sinks(), batch_size=_BATCH) as here:
            made, amidst = await _kills(here, peers, kills, random.Random(kills))
            here.start()

            await _until(lambda: peers.have(made[-1].encode()))
            assert await asyncio.to_thread(here.end, signal.SIGTERM) == 0, here.log()
        assert amidst > kills // 3, "the kills came when there was nothing to do"

        lines = peers.lines()
        assert _systems(lines) == made, "JSON lines: missing, twice, or out of order"
        wanted = dict(zip(_identities(lines), lines, strict=True))
        assert len(wanted) == len(lines)

        rows = peers.rows()
        assert dict(zip(_identities(rows), rows, strict=True)) == wanted
        assert len(rows) == len(wanted), "the archive has an event twice"

        stored = await peers.stored()
        assert max(Counter(known for known, _ in stored).values()) == 1
        assert [body for _, body in stored] == lines, "JetStream: missing, twice, or out of order"

        again = {}
        messages = await peers.messages()
        again["broker"] = _at_least_once("MQTT", list(zip(_identities(messages), messages, strict=True)), wanted)
        for name, receiver in (("hook", peers.hook), ("batches", peers.batches)):
            assert not receiver.wrong
            seen = [(_identity(event), orjson.dumps(event)) for one in receiver.requests for event in one.events]
            again[name] = _at_least_once(name, seen, wanted)
        _same_ids(peers.hook.requests)
    print(
        f"{len(lines)} events, {kills} kills, {amidst} of them while a sink was behind; sent again: "
        + ", ".join(f"{name} {count}" for name, count in again.items())
        + f"; {time.monotonic() - begun:.0f} s"
    )


def _same_ids(requests: list[Received]) -> None:
    """A webhook-id stands for one event, an event has one webhook-id."""
    named: dict[str, Identity] = {}
    names: dict[Identity, str] = {}
    for one in requests:
        [event] = one.events
        known, identity = one.headers["webhook-id"], _identity(event)
        assert named.setdefault(known, identity) == identity
        assert names.setdefault(identity, known) == known


@pytest.mark.skipif(NatsServer.found() is None, reason="nats-server is not installed")
@pytest.mark.parametrize(
    ("broker", "kills"),
    [
        pytest.param("nats-server", 3, id="short"),
        pytest.param("nats-server", 20, id="long", marks=[pytest.mark.long, pytest.mark.timeout(1200)]),
        pytest.param("mosquitto", 20, id="long, MQTT 5", marks=[pytest.mark.long, pytest.mark.timeout(1200)]),
    ],
)
def test_killed_with_all_sinks_at_work_each_has_everything(tmp_path: Path, broker: str, kills: int) -> None:
    if broker == "mosquitto" and Mosquitto.found() is None:
        pytest.skip("mosquitto is not installed")
    asyncio.run(_play(tmp_path, kills, mosquitto=broker == "mosquitto"))
