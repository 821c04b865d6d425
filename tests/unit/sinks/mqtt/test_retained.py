"""What a broker was given to keep, said again to one that has forgotten it."""

from __future__ import annotations

import asyncio
import signal
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiomqtt
import orjson
import pytest

from pump.core.errors import Unavailable
from pump.sinks.mqtt.retained import REMEMBERED, Marker, Retained
from pump.sinks.mqtt.sink import MqttSink
from pump.sinks.mqtt.states import summary
from pump.testing import ManualClock
from pump.testing.brokers import Mosquitto
from pump.testing.records import record
from tests.unit.sinks.mqtt.test_sink import event, mosquitto, on_mosquitto, retained, sink


@asynccontextmanager
async def watched(out: MqttSink) -> AsyncIterator[None]:
    """Delivery's part while there is nothing to send."""

    async def watch() -> None:
        while True:
            try:
                await out.watch()
            except Unavailable:
                await asyncio.sleep(0.02)

    task = asyncio.create_task(watch())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


def bay(seq: int, number: int, *, occupied: bool = True) -> Any:
    return event(seq, "parking.space.changed", f"space/{number}", parking={"occupied": occupied})


@mosquitto
@pytest.mark.parametrize("version", ["5", "3.1.1"])
async def test_a_broker_that_forgot_is_told_all_again(tmp_path: Path, version: str) -> None:
    async def body(server: Mosquitto) -> None:
        async with sink(server.url, home_assistant="homeassistant", version=version) as out:
            await out.send([bay(number, number) for number in range(1, 151)])
            before = await retained(server.port)
            assert len(before) > 400
            await server.kill()
            await server.start()
            async with watched(out):
                while await retained(server.port) != before:
                    await asyncio.sleep(0.02)

    await on_mosquitto(tmp_path, body)


@mosquitto
async def test_events_do_not_wait_until_all_is_said_again(tmp_path: Path) -> None:
    async def body(server: Mosquitto) -> None:
        async with sink(server.url, states=["parking.*"]) as out:
            await out.send([bay(number, number) for number in range(1, 301)])
            await server.kill()
            await server.start()
            assert out._link is not None
            await out._link.until_lost()
            await out.send([bay(400, 400)])
            assert 0 < out._retained.waiting < 300
            for number in range(401, 404):
                await out.send([record(number)])
            assert len(await retained(server.port)) == 302

    await on_mosquitto(tmp_path, body)


@mosquitto
async def test_a_broker_that_remembers_is_not_told_again(tmp_path: Path) -> None:
    async def body(server: Mosquitto) -> None:
        async with sink(server.url, states=["parking.*"]) as out:
            await out.send([bay(1, 1), bay(2, 2)])
            await server.kill(signal.SIGTERM)
            await server.start()
            assert out._link is not None
            await out._link.until_lost()
            await out.watch()
            assert not out._retained.waiting
            assert not out._found.keys() - {"pump/north/status", "pump/north/state/space/2/occupied"}

    folder = tmp_path / "broker"
    extra = f"allow_anonymous true\npersistence true\npersistence_location {folder}/\n"
    await on_mosquitto(tmp_path, body, extra=extra)


@mosquitto
async def test_home_assistant_that_starts_is_told_all_again(tmp_path: Path) -> None:
    async def body(server: Mosquitto) -> None:
        async with sink(server.url, home_assistant="ha") as out:
            await out.send([bay(1, 1), bay(2, 2)])
            expected = {topic for topic in await retained(server.port) if topic != "pump/north/status"}
            async with watched(out), aiomqtt.Client("127.0.0.1", server.port) as client:
                await client.subscribe("#", qos=1, options=None)
                await client.publish("ha/status", b"online", qos=1)
                heard: set[str] = set()
                async for message in client.messages:
                    if not message.retain:
                        heard.add(str(message.topic))
                    if expected <= heard:
                        break

    await on_mosquitto(tmp_path, body)


def test_what_was_on_its_way_is_said_again_and_the_newest_acknowledged_is_the_marker() -> None:
    kept = Retained(ManualClock())
    kept.say("a", b"1")
    kept.say("b", b"1")
    kept.acknowledged()
    assert kept.marker == Marker("b", b"1")
    kept.say("a", b"2")
    kept.interrupted()
    assert [(one.topic, one.payload, one.retain) for one in kept.next_again(9)] == [("a", b"2", True)]
    kept.settled(kept.next_again(9))
    assert not kept.waiting
    kept.all_again()
    assert [one.topic for one in kept.next_again(9)] == ["b", "a"]
    first = kept.next_again(1)
    kept.say("b", b"3")  # said meanwhile
    kept.settled(first)
    assert [one.topic for one in kept.next_again(9)] == ["a"]


def test_the_oldest_are_forgotten() -> None:
    kept = Retained(ManualClock())
    for number in range(REMEMBERED + 2):
        kept.say(f"t/{number}", b"")
    kept.acknowledged()
    kept.all_again()
    assert kept.waiting == REMEMBERED
    assert "t/1" not in kept
    assert "t/2" in kept


@mosquitto
async def test_a_pump_that_was_started_again_tells_a_broker_that_forgot(tmp_path: Path) -> None:
    """As after a power cut: both begin anew. Entities that were announced before are not new: no event waits."""
    memory: dict[str, Any] = {}

    async def body(server: Mosquitto) -> None:
        async with sink(server.url, home_assistant="homeassistant") as out:
            out.recall(memory)
            await out.send([bay(1, 1), bay(2, 2)])
            before = await retained(server.port)
        await server.kill()
        await server.start()
        out = sink(server.url, home_assistant="homeassistant")
        out.recall(memory)
        async with out, watched(out):
            while await retained(server.port) != before:
                await asyncio.sleep(0.02)
        async with sink(server.url, home_assistant="homeassistant") as out:
            out.recall(memory)
            assert await out.send([bay(3, 1), bay(2, 1, occupied=False)]) is None
            assert b'"state":true' in (await retained(server.port))["pump/north/state/space/1/occupied"]

    await on_mosquitto(tmp_path, body)


def test_memory_by_other_settings_is_forgotten() -> None:
    memory: dict[str, Any] = {}
    one = sink("mqtt://127.0.0.1", home_assistant="a")
    one.recall(memory)
    one._retained.say("a/binary_sensor/x/config", b"{}")
    assert len(memory) == 2
    same = sink("mqtt://127.0.0.1", home_assistant="a")
    same.recall(memory)
    assert "a/binary_sensor/x/config" in same._retained
    other = sink("mqtt://127.0.0.1", home_assistant="b")
    other.recall(memory)
    assert len(memory) == 1


def test_what_is_recalled_is_said_in_the_order_that_receivers_need() -> None:
    memory: dict[str, Any] = {}
    kept = Retained(ManualClock())
    kept.recall(memory, "form")
    kept.say("state", b'{"state":true,"time":"2026-11-20T08:00:05Z"}')
    kept.say("x/config", b'{"unique_id":"x"}')
    kept.say("status/bays", b"online")
    again = Retained(ManualClock())
    again.recall(memory, "form")
    again.all_again()
    assert [one.topic for one in again.next_again(9)] == ["status/bays", "x/config", "state"]
    assert not again.newest("state", "2026-11-20T08:00:04Z")
    again.forget_spaces()
    assert len(memory) == 4


def test_a_time_that_is_yet_to_come_holds_up_nothing() -> None:
    clock = ManualClock()
    kept = Retained(clock)
    assert kept.newest("state", "2099-01-01T00:00:00Z"), "as an older pump stored it"
    assert kept.newest("state", "2026-11-20T08:00:01Z")
    assert not kept.newest("state", "2026-11-20T08:00:00Z"), "what was stored in the device comes after what it sent"
    assert kept.newest("state", "2026-11-20T08:09:00Z")
    assert not kept.newest("state", "2026-11-20T08:05:00Z"), "within ten minutes a device's time is believed"
    assert kept.newest("state", "of no clock")
    assert kept.newest("state", "2026-11-20T08:00:00Z")


def test_an_arrival_is_newer_whatever_came_before_and_holds_up_no_clock_that_is_some_minutes_behind() -> None:
    kept = Retained(ManualClock())
    assert kept.newest("state", "2026-11-20T08:00:05Z")
    assert kept.newest("state", "2026-11-20T08:00:00.919Z", arrival=True), (
        "a device was 5 s ahead, and gives no time now"
    )
    assert kept.newest("state", "2026-11-20T08:00:00Z"), "the restore of the same second, in whole seconds"
    assert not kept.newest("state", "2026-11-20T07:59:59Z"), "two times of devices are compared as ever"
    assert kept.newest("state", "2026-11-20T08:00:02.5Z", arrival=True)
    assert kept.newest("state", "2026-11-20T07:51:00Z"), "its clock is nine minutes behind"
    assert kept.newest("state", "2026-11-20T08:00:02.5Z", arrival=True)
    assert not kept.newest("state", "2026-11-20T07:50:00Z"), "it was stored in the device"


def test_within_a_second_times_are_compared_as_times() -> None:
    kept = Retained(ManualClock())
    assert kept.newest("state", "2026-11-20T08:00:00Z")
    assert kept.newest("state", "2026-11-20T08:00:00.5Z")
    assert not kept.newest("state", "2026-11-20T08:00:00Z")
    assert not kept.newest("state", "2026-11-20T08:00:00.499999Z")


def test_that_it_was_an_arrival_is_known_over_restarts() -> None:
    memory: dict[str, Any] = {}
    clock = ManualClock()
    kept = Retained(clock)
    kept.recall(memory, "form")
    for topic, source in (("arrival", {"time_source": "received"}), ("own", {})):
        state = {"state": True, "time": "2026-11-20T08:00:00.919Z", **source}
        kept.say(topic, orjson.dumps(state))
    again = Retained(clock)
    again.recall(memory, "form")
    assert again.newest("arrival", "2026-11-20T08:00:00Z")
    assert not again.newest("own", "2026-11-20T08:00:00Z")


def test_what_is_retained_costs_little_more_than_its_payloads() -> None:
    body = orjson.loads(event(1, "parking.space.changed", "space/1", parking={"occupied": True}, name="n" * 400).body)
    count = 500
    tracemalloc.start()
    try:
        kept = Retained(ManualClock())
        for number in range(count):
            kept.say(f"pump/north/state/space/{number}", summary(body, state=True))
            kept.acknowledged()
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < count * 3500, "the payload, and its text for the memory over restarts"
