"""Commands by a real broker: heard, answered by correlation data, once, and never late."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import aiomqtt
import orjson
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from pump.commands.ways import LONGEST
from pump.sinks.mqtt.sink import MqttSettings, MqttSink
from pump.testing.brokers import Mosquitto, NatsServer
from tests.unit.ops.commands.ways import Way, granted, let_go, until, way

pytestmark = pytest.mark.skipif(Mosquitto.found() is None, reason="mosquitto is not installed")

OPEN = b'{"verb": "gate.open"}'
PREFIX = "pump/north/command"


def properties(**more: Any) -> Properties:
    found = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]  # paho's class has no types
    for name, value in more.items():
        setattr(found, name, value)
    return found


class Peer:
    """Somebody at the broker, with a topic for answers."""

    def __init__(self, client: aiomqtt.Client) -> None:
        self.client = client
        self.answers: list[tuple[bytes, dict[str, Any]]] = []
        """Correlation data and content."""

    async def listen(self) -> None:
        async for message in self.client.messages:
            assert not message.retain
            assert isinstance(message.payload, bytes)
            said = message.properties
            assert getattr(said, "ContentType", "application/json") == "application/json"
            self.answers.append((getattr(said, "CorrelationData", b""), orjson.loads(message.payload)))

    async def ask(
        self, target: str = "gate/obeys", payload: bytes = OPEN, *, correlation: bytes = b"", prefix: str = PREFIX,
        retain: bool = False, response: str = "answers/me", **more: Any,
    ) -> None:  # fmt: skip
        data = {"ResponseTopic": response} | ({"CorrelationData": correlation} if correlation else {}) | more
        await self.client.publish(f"{prefix}/{target}", payload, qos=1, retain=retain, properties=properties(**data))

    async def said(self, number: int) -> list[tuple[bytes, str]]:
        await until(lambda: len(self.answers) >= number)
        return [(correlation, answer["status"]) for correlation, answer in self.answers]


@asynccontextmanager
async def peer(port: int) -> AsyncIterator[Peer]:
    async with aiomqtt.Client("127.0.0.1", port, protocol=aiomqtt.ProtocolVersion.V5) as client:
        await client.subscribe("answers/me", qos=1)
        found = Peer(client)
        task = asyncio.create_task(found.listen())
        try:
            yield found
        finally:
            task.cancel()
            await asyncio.wait({task})
    await let_go()


@asynccontextmanager
async def commanded(folder: Path, url: str, *callers: str, **more: Any) -> AsyncIterator[Way]:
    settings = MqttSettings.model_validate(
        {"type": "mqtt", "url": url, "command_topic": "pump/{site}/command", **more}
    )  # fmt: skip
    grants = granted(*(callers or ("mqtt",)))
    async with way(
        folder, lambda clock: _made(MqttSink.way_in("out", settings, clock=clock, site="north")), grants
    ) as one:
        yield one


def _made(way_in: Any) -> Any:
    assert way_in is not None
    return way_in


@asynccontextmanager
async def both(folder: Path, *callers: str, **more: Any) -> AsyncIterator[tuple[Mosquitto, Way, Peer]]:
    async with (
        Mosquitto(folder / "broker") as broker,
        commanded(folder / "spool", broker.url, *callers, **more) as pump,
        peer(broker.port) as one,
    ):
        yield broker, pump, one


def test_nothing_is_heard_unless_the_settings_say_so() -> None:
    settings = MqttSettings.model_validate({"type": "mqtt", "url": "mqtt://127.0.0.1"})
    assert MqttSink.way_in("out", settings, clock=None, site="north") is None  # type: ignore[arg-type]


async def test_a_command_is_answered_twice_under_its_correlation_data(tmp_path: Path) -> None:
    async with both(tmp_path) as (_, pump, one):
        await one.ask(correlation=b"\x00\xff7", payload=b'{"verb": "display.show", "arguments": {"text": "Hi"}}')
        assert await one.said(2) == [(b"\x00\xff7", "under way"), (b"\x00\xff7", "done")]
        assert len({answer["request_id"] for _, answer in one.answers}) == 1
        assert pump.site.gates.did == [("gate/obeys", "display.show", {"text": "Hi"})]
        (asked, _) = await pump.site.events()
        assert asked["data"]["command"]["caller"] == "mqtt:pump/north/command/gate/obeys"


async def test_who_names_no_topic_for_answers_is_not_answered_and_its_command_is_done(tmp_path: Path) -> None:
    async with both(tmp_path) as (_, pump, one):
        await one.client.publish(f"{PREFIX}/gate/obeys", OPEN, qos=1)
        await until(lambda: pump.did)
        await one.ask("gate/refuses", correlation=b"2")
        assert await one.said(2) == [(b"2", "under way"), (b"2", "refused")]


@pytest.mark.parametrize(
    ("payload", "verb"), [(b"OPEN", "gate.open"), (b"CLOSE", "gate.close"), (b"STOP", ""), (b"open", ""), (b"", "")]
)
async def test_home_assistants_words_are_commands(tmp_path: Path, payload: bytes, verb: str) -> None:
    async with both(tmp_path) as (_, pump, one):
        await one.ask("gate/obeys/gate", payload, correlation=b"1")
        if verb:
            assert await one.said(2) == [(b"1", "under way"), (b"1", "done")]
        else:
            assert await one.said(1) == [(b"1", "refused")]
        assert pump.did == ([("gate/obeys", verb)] if verb else [])


async def test_a_message_that_comes_twice_is_one_command(tmp_path: Path) -> None:
    async with both(tmp_path) as (_, pump, one):
        for _ in range(3):
            await one.ask(correlation=b"first")
        await one.ask(correlation=b"second")
        for _ in range(2):
            await one.ask(payload=b'{"verb": "gate.open", "id": "third"}')
        await one.said(12)
        assert len(pump.did) == 3
        assert len({answer["request_id"] for _, answer in one.answers}) == 3


async def test_what_is_retained_is_refused_now_and_at_the_next_start(tmp_path: Path) -> None:
    async with Mosquitto(tmp_path / "broker") as broker, peer(broker.port) as one:
        async with commanded(tmp_path / "first", broker.url) as pump:
            await one.ask(correlation=b"1", retain=True)
            assert await one.said(1) == [(b"1", "refused")]
            assert "retained" in one.answers[0][1]["reason"]
            assert pump.did == []
        async with commanded(tmp_path / "second", broker.url) as pump:
            await one.said(2)
            assert pump.counted("stale") == 1
            assert await pump.site.statuses() == ["refused"]
            assert pump.did == []


async def test_what_came_while_the_pump_was_away_is_not_heard(tmp_path: Path) -> None:
    async with Mosquitto(tmp_path / "broker") as broker, peer(broker.port) as one:
        async with commanded(tmp_path / "first", broker.url):
            pass
        await one.ask(correlation=b"late")
        async with commanded(tmp_path / "second", broker.url) as pump:
            await one.ask(correlation=b"now")
            assert await one.said(2) == [(b"now", "under way"), (b"now", "done")]
            assert len(pump.did) == 1


async def test_a_messages_expiry_is_the_commands(tmp_path: Path) -> None:
    async with both(tmp_path) as (_, pump, one):
        await one.ask(correlation=b"1", payload=b'{"verb": "gate.open", "expires": 300}', MessageExpiryInterval=120)
        await one.said(2)
        asked, _ = await pump.site.events()
        begin, end = (datetime.fromisoformat(text) for text in (asked["time"], asked["data"]["command"]["expires"]))
        assert (end - begin).total_seconds() < 125


async def test_a_message_that_was_sent_long_ago_is_refused(tmp_path: Path) -> None:
    async with both(tmp_path) as (_, pump, one):
        await one.ask(payload=b'{"verb": "gate.open", "time": "2020-01-01T00:00:00Z"}', correlation=b"2")
        assert await one.said(1) == [(b"2", "refused")]
        assert pump.counted("stale") == 1
        assert pump.did == []


@pytest.mark.parametrize(
    ("target", "payload"),
    [
        ("gate/obeys", b"OPEN"), ("gate/obeys/gate", b"LOCK"), ("gate/obeys/gates", b"OPEN"), ("gate", b"{}"),
        ("gate/obeys", b"{" * 4000), ("gate/obeys", b'{"verb": "gate.open"}' + b" " * LONGEST), ("gate%2Fobeys", OPEN),
        ("gate//obeys", OPEN), ("%67ate/obeys", OPEN), ("gate/obeys/", OPEN), ("gate/obe%C3", OPEN), ("x" * 2000, OPEN),
    ],
)  # fmt: skip
async def test_what_is_no_command_is_refused_counted_and_answered(tmp_path: Path, target: str, payload: bytes) -> None:
    async with both(tmp_path) as (_, pump, one):
        await one.ask(target, payload, correlation=b"1")
        assert await one.said(1) == [(b"1", "refused")]
        assert pump.counted("malformed") == 1
        assert pump.did == []


async def test_a_packet_that_is_too_large_does_not_even_come(tmp_path: Path) -> None:
    async with both(tmp_path) as (_, pump, one):
        await one.ask(payload=OPEN + b" " * 100_000)
        await one.ask(correlation=b"2")
        assert await one.said(2) == [(b"2", "under way"), (b"2", "done")]
        assert len(pump.did) == 1


@pytest.mark.parametrize(
    ("callers", "prefix", "status"),
    [
        (["mqtt"], "pump/north/command", "done"), (["mqtt:pump/north/board/*"], "pump/north/board", "done"),
        (["mqtt:pump/north/board/*"], "pump/north/command", "refused"), (["socket"], "pump/north/command", "refused"),
        (["mqtt:pump/north/board"], "pump/north/board", "refused"), (["nats"], "pump/north/board", "refused"),
        (["mqtt:pump/north/board/gate/refuses"], "pump/north/board", "refused"), (["token:*"], PREFIX, "refused"),
        (["mqtt:pump/south/*"], PREFIX, "refused"), (["nats:*"], PREFIX, "refused"),
        (["mqtt:PUMP*"], PREFIX, "refused"),
    ],
)  # fmt: skip
async def test_a_users_topic_is_who_asks(tmp_path: Path, callers: list[str], prefix: str, status: str) -> None:
    topics = ["pump/{site}/command", "pump/{site}/board"]
    async with both(tmp_path, *callers, command_topic=topics) as (_, pump, one):
        await one.ask(correlation=b"1", prefix=prefix)
        assert (await one.said(2 if status == "done" else 1))[-1] == (b"1", status)
        assert len(pump.did) == (status == "done")
        if status == "refused":
            assert await pump.site.statuses() == ["refused"]
            assert pump.counted("forbidden") == 1


async def test_a_broker_that_goes_away_is_found_again_and_the_answer_waits_for_it(tmp_path: Path) -> None:
    async with Mosquitto(tmp_path / "broker") as broker, commanded(tmp_path / "spool", broker.url) as pump:
        async with peer(broker.port) as one:
            await one.ask("gate/waits", correlation=b"1", payload=b'{"verb": "gate.open", "expires": 300}')
            await one.said(1)
        await broker.kill()
        await until(lambda: not pump.up.is_set())
        await broker.start()
        await asyncio.wait_for(pump.up.wait(), 60)
        async with peer(broker.port) as one:
            pump.site.gates.go_on.set()
            assert await one.said(1) == [(b"1", "done")]
            await one.ask(correlation=b"2")
            assert (await one.said(3))[1:] == [(b"2", "under way"), (b"2", "done")]


@pytest.mark.parametrize(
    "response", ["pump/north/command/gate/obeys", "pump/north/status", "pump/north/state/x", "ha/lock/a/config"]
)
async def test_no_answer_goes_where_it_would_be_taken_for_the_pumps_own_word(tmp_path: Path, response: str) -> None:
    async with both(tmp_path, home_assistant="ha") as (_, pump, one):
        await one.client.subscribe(response)
        await one.ask(response=response)
        await until(lambda: pump.lost == 2)
        assert [answer for _, answer in one.answers if "status" in answer] == []  # it hears its own request
        assert len(pump.did) == 1


@pytest.mark.parametrize("response", ["a/" * 300, "a/#", "a/+/b", "x" * 600])
async def test_no_response_topic_ends_the_connection_for_all(tmp_path: Path, response: str) -> None:
    async with both(tmp_path) as (_, pump, one):
        await one.ask(response=response)
        await until(lambda: pump.lost == 2)
        await one.ask(correlation=b"2")
        assert (await one.said(2))[-1] == (b"2", "done")
        assert pump.reasons == []


async def test_an_answer_that_the_broker_refuses_is_counted(tmp_path: Path) -> None:
    acl = tmp_path / "acl"
    acl.write_text("topic readwrite pump/#\ntopic read answers/#\n")
    async with (
        Mosquitto(tmp_path / "b", extra=f"allow_anonymous true\nacl_file {acl}") as broker,
        commanded(tmp_path / "spool", broker.url) as pump,
        peer(broker.port) as one,
    ):
        await one.ask(correlation=b"1")
        await until(lambda: pump.lost == 2)
        assert len(pump.did) == 1


async def test_events_on_topics_that_begin_alike_ask_for_nothing(tmp_path: Path) -> None:
    async with both(tmp_path) as (_, pump, one):
        await one.ask(payload=b'{"specversion": "1.0"}', ContentType="application/cloudevents+json; charset=utf-8")
        await one.ask(correlation=b"2")
        await one.said(2)
        assert pump.counted("malformed") == 0


@pytest.mark.skipif(NatsServer.found() is None, reason="nats-server is not installed")
async def test_mqtt_3_1_1_has_no_answers_and_its_commands_are_done(tmp_path: Path) -> None:
    async with (
        NatsServer(tmp_path / "server", mqtt=True) as server,
        commanded(tmp_path / "spool", server.mqtt_url, "mqtt", version="auto") as pump,
        aiomqtt.Client("127.0.0.1", server.mqtt_port, protocol=aiomqtt.ProtocolVersion.V311) as client,
    ):
        await client.publish(f"{PREFIX}/gate/obeys/gate", b"OPEN", qos=1)
        await until(lambda: pump.did == [("gate/obeys", "gate.open")])
