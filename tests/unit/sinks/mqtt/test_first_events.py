"""Events of entities that Home Assistant has only just been told of."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import aiomqtt
import orjson

from pump.core.record import State
from pump.sinks.mqtt.first_events import HEARD_AFTER, FirstEvents
from pump.sinks.mqtt.protocol import Message
from pump.sinks.mqtt.sink import MqttSettings, MqttSink
from pump.testing import ManualClock
from pump.testing.brokers import Mosquitto
from tests.unit.sinks.mqtt.test_sink import event, mosquitto, on_mosquitto

ENTITY = "pump/north/homeassistant/"


def made(url: str, clock: ManualClock, state: State | None = None) -> MqttSink:
    settings = MqttSettings.model_validate({"type": "mqtt", "url": url, "home_assistant": "homeassistant"})
    return MqttSink("out", settings, state=state, clock=clock, site="north")


async def heard(client: aiomqtt.Client) -> list[str]:
    """The topics of all that has come; for entities the ids of their events."""
    await client.publish("mark", b"", qos=1)
    found: list[str] = []
    async for message in client.messages:
        if str(message.topic) == "mark":
            return found
        topic, payload = str(message.topic), bytes(message.payload)
        found.append(f"entity {orjson.loads(payload)['id']}" if topic.startswith(ENTITY) else topic)
    raise AssertionError


@mosquitto
async def test_only_the_new_entity_s_own_messages_wait(tmp_path: Path) -> None:
    async def body(server: Mosquitto) -> None:
        clock = ManualClock()
        async with aiomqtt.Client("127.0.0.1", server.port) as client, made(server.url, clock) as out:
            await client.subscribe("#", qos=1)
            state = await out.send(
                [event(number, "video.motion", "camera/1", phase="start") for number in (1, 2)]
                + [event(3, "vehicle.passed", "camera/2")]
            )
            first = await heard(client)
            assert sum(topic.endswith("/config") for topic in first) == 3
            assert first.count("pump/north/video.motion/camera/1") == 2
            assert "pump/north/state/camera/1/video_motion" in first
            assert not [topic for topic in first if topic.startswith("entity")]
            assert state is not None  # a crash now loses none of them
            assert [orjson.loads(payload)["id"] for _, payload, _ in state["held"]] == ["id-1", "id-2", "id-3"]
            watching = asyncio.create_task(out.watch())
            await clock.sleeping()
            clock.advance(HEARD_AFTER - 0.1)
            await asyncio.sleep(0)
            assert not watching.done()
            clock.advance(0.2)
            assert await watching == {}
            assert await heard(client) == ["entity id-1", "entity id-2", "entity id-3"]
            assert await out.send([event(4, "video.motion", "camera/1", phase="end")]) is None
            assert "entity id-4" in await heard(client)

    await on_mosquitto(tmp_path, body)


@mosquitto
async def test_what_was_held_when_the_pump_ended_is_said_by_the_next(tmp_path: Path) -> None:
    async def body(server: Mosquitto) -> None:
        clock = ManualClock()
        async with made(server.url, clock) as out:
            state = await out.send([event(1, "vehicle.passed", "camera/2")])
        async with aiomqtt.Client("127.0.0.1", server.port) as client, made(server.url, clock, state) as out:
            await client.subscribe("pump/#", qos=1)
            await client.subscribe("mark", qos=1)
            clock.advance(HEARD_AFTER + 0.1)
            assert await out.send([event(2, "vehicle.passed", "camera/2")]) is not None
            found = await heard(client)
            assert [one for one in found if one.startswith("entity")] == ["entity id-1"]

    await on_mosquitto(tmp_path, body)


def message(topic: str, number: int, **more: Any) -> Message:
    return Message(topic, str(number).encode(), 1, **more)


def test_an_entity_s_messages_stay_in_order() -> None:
    clock = ManualClock()
    first = FirstEvents(clock, None)
    assert not first.holds(message("known", 1))
    first.announced("new")
    assert first.holds(message("new", 1))
    clock.advance(HEARD_AFTER)
    assert first.holds(message("new", 2)), "behind the one that has not gone yet"
    due = first.due()
    assert [one.payload for one in due] == [b"1", b"2"]
    first.said(due)
    assert not first.holds(message("new", 3))
    assert first.memory() == {}


def test_a_new_connection_begins_the_wait_anew_and_a_repeated_message_is_held_once() -> None:
    clock = ManualClock()
    first = FirstEvents(clock, None)
    first.announced("new")
    assert first.holds(message("new", 1))
    clock.advance(HEARD_AFTER - 0.5)
    first.begin_again()
    assert first.next_in == HEARD_AFTER
    assert first.holds(message("new", 1))
    clock.advance(HEARD_AFTER)
    assert [one.payload for one in first.due()] == [b"1"]
    again = FirstEvents(clock, first.memory())
    assert again.memory() == first.memory()
    assert again.next_in == HEARD_AFTER


def test_a_flood_of_old_events_is_not_held_without_end() -> None:
    first = FirstEvents(ManualClock(), None)
    first.announced("new")
    held = [number for number in range(5_000) if first.holds(message("new", number))]
    assert held == list(range(2_000))
    assert len(first.memory()["held"]) == 2_000
    first.said(first.due() or [message("new", 0)])
    assert first.holds(message("new", 5_000))
