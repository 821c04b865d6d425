"""Topics that a broker does not take: spelled otherwise where that is known, else one event is refused alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiomqtt
import pytest

from pump.core.errors import Misconfigured, Rejected, Unavailable
from pump.core.record import Record
from pump.sinks.mqtt.sink import MqttSink
from pump.testing.brokers import Mosquitto, NatsServer
from pump.testing.records import record
from pump.testing.sinks import left_of
from tests.unit.sinks.mqtt.test_sink import event, mosquitto, nats_server, on_mosquitto, retained, sink


async def refused_of(out: MqttSink, batch: list[Record]) -> dict[int, str]:
    """Send as delivery does until it is through; the numbers that were refused, with the reasons."""
    refused: dict[int, str] = {}
    while batch:
        try:
            await out.send(batch)
        except Unavailable as error:
            batch = left_of(batch, error)
            refused |= error.refused
        except Rejected as error:
            return refused | error.reasons
        else:
            break
    return refused


@nats_server
@pytest.mark.parametrize("version", ["auto", "3.1.1"])
async def test_nats_server_gets_no_spaces(tmp_path: Path, version: str) -> None:
    """It closes the connection at one; the event, its state, its entities and the presence are all told without."""

    async with NatsServer(tmp_path / "server", mqtt=True) as server:
        more = {"version": version, "home_assistant": "homeassistant", "status_topic": "pump status/{site}"}
        async with sink(server.mqtt_url, **more) as out, aiomqtt.Client("127.0.0.1", server.mqtt_port) as client:
            await client.subscribe("pump/#", qos=1)
            parked = event(1, "parking.space.changed", "space/Park 1/A 7", parking={"occupied": True})
            assert not await refused_of(out, [parked, record(2)])
            topics = []
            async for message in client.messages:
                topics.append(str(message.topic))
                if "vehicle.passed" in topics[-1]:
                    break
            assert "pump/north/parking.space.changed/space/Park%201/A%207" in topics
            there = await retained(server.mqtt_port)
            assert there["pump%20status/north"] == b"online"
            assert "pump/north/state/space/Park%201/A%207/occupied" in there


@mosquitto
async def test_mosquitto_keeps_them_by_mqtt_5(tmp_path: Path) -> None:
    async def body(server: Mosquitto) -> None:
        async with sink(server.url, states=["parking.*"]) as out:
            await out.send([event(1, "parking.space.changed", "space/Park 1", parking={"occupied": True})])
            assert "pump/north/state/space/Park 1/occupied" in await retained(server.port)

    await on_mosquitto(tmp_path, body)


def permitting(folder: Path, *topics: str) -> str:
    """mosquitto's configuration by which only these topics may be published to."""
    access = folder / "access"
    access.write_text("".join(f"topic write {topic}\n" for topic in ("pump/north/status", *topics)))
    access.chmod(0o644)
    return f"allow_anonymous true\nacl_file {access}"


@mosquitto
async def test_an_event_that_a_broker_closes_at_is_refused_alone(tmp_path: Path) -> None:
    """By MQTT 3.1.1 it has no other way; another event proves that it is the one."""

    async def body(server: Mosquitto) -> None:
        async with sink(server.url, version="3.1.1", qos=2) as out:
            refused = await refused_of(out, [record(1), record(2, type_="video.motion"), record(3), record(4)])
            assert refused.keys() == {2}
            assert "video.motion" in refused[2]
            await out.send([record(5)])

    await on_mosquitto(tmp_path, body, extra=permitting(tmp_path, "pump/testing/vehicle.passed/#"))


@mosquitto
async def test_one_that_comes_alone_is_refused_where_others_have_passed(tmp_path: Path) -> None:
    """Once: where nothing has passed since, a person is asked."""

    async def body(server: Mosquitto) -> None:
        async with sink(server.url, version="3.1.1", qos=2) as out:
            await out.send([record(1)])
            assert (await refused_of(out, [record(2, type_="video.motion")])).keys() == {2}
            with pytest.raises(Misconfigured, match="access list"):
                await refused_of(out, [record(3, type_="video.motion")])
            await out.send([record(4)])
            assert (await refused_of(out, [record(5, type_="video.motion")])).keys() == {5}

    await on_mosquitto(tmp_path, body, extra=permitting(tmp_path, "pump/testing/vehicle.passed/#"))


Answer = Callable[[str, int], bytes]
"""What a scripted broker answers to a PUBLISH: (topic, packet identifier) to a packet; empty: it closes."""


async def on_scripted(answer: Answer, body: Callable[[str], Any]) -> None:
    """MQTT 5 as far as a publisher needs it, for reasons that no broker at hand gives; packets stay below 128 bytes
    of head."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                kind = (await reader.readexactly(1))[0]
                length = shift = 0
                while (byte := (await reader.readexactly(1))[0]) & 128:
                    length, shift = length | (byte & 127) << shift, shift + 7
                packet = await reader.readexactly(length | byte << shift)
                if kind >> 4 == 1:
                    writer.write(b"\x20\x03\0\0\0")
                elif kind >> 4 == 3:
                    end = 2 + int.from_bytes(packet[:2], "big")
                    said = answer(packet[2:end].decode(), int.from_bytes(packet[end : end + 2], "big"))
                    if not said:
                        return
                    writer.write(said)
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server:
        await body(f"mqtt://127.0.0.1:{server.sockets[0].getsockname()[1]}")


def puback(mid: int, reason: int = 0) -> bytes:
    return b"\x40\x03" + mid.to_bytes(2, "big") + bytes([reason])


def test_a_topic_name_that_is_not_accepted_refuses_that_event(tmp_path: Path) -> None:
    """MQTT 5, 3.4.2.1: 0x90 of a PUBACK."""

    async def body(url: str) -> None:
        async with sink(url) as out:
            refused = await refused_of(out, [record(1), record(2, type_="video.motion"), record(3)])
            assert refused.keys() == {2}
            assert "topic" in refused[2]

    asyncio.run(on_scripted(lambda topic, mid: puback(mid, 0x90 if "video" in topic else 0), body))


def test_a_topic_at_which_a_broker_of_mqtt_5_disconnects_refuses_that_event(tmp_path: Path) -> None:
    """MQTT 5, 3.14.2.1: 0x90 of a DISCONNECT."""

    async def body(url: str) -> None:
        async with sink(url) as out:
            batch = [record(1), record(2, type_="video.motion"), record(3)]
            assert (await refused_of(out, batch)).keys() == {2}

    asyncio.run(on_scripted(lambda topic, mid: b"\xe0\x01\x90" if "video" in topic else puback(mid), body))


def test_a_status_topic_that_is_not_accepted_is_named(tmp_path: Path) -> None:
    async def body(url: str) -> None:
        with pytest.raises(Misconfigured, match="status_topic"):
            await sink(url).__aenter__()

    asyncio.run(on_scripted(lambda _, mid: puback(mid, 0x90), body))


def test_a_broker_that_closes_at_what_is_said_again_still_gets_events(tmp_path: Path) -> None:
    """What is retained belongs to no event in hand: it is given up after some connections."""
    closes = False

    def answer(topic: str, mid: int) -> bytes:
        return b"" if closes and "state" in topic else puback(mid)

    async def body(url: str) -> None:
        nonlocal closes
        async with sink(url, states=["parking.*"]) as out:
            await out.send([event(1, "parking.space.changed", "space/1", parking={"occupied": True})])
            closes = True
            await out._dropped()
            assert not await refused_of(out, [record(2)])

    asyncio.run(on_scripted(answer, body))


async def test_a_broker_that_closes_at_a_subscription_is_asked_no_more(tmp_path: Path) -> None:
    """As some do where the client may only publish: what is retained is said again at each connection then."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                kind, length = await reader.readexactly(2)
                packet = await reader.readexactly(length)
                if kind >> 4 == 1:
                    writer.write(b"\x20\x03\0\0\0")
                elif kind >> 4 == 8:
                    return
                elif kind >> 4 == 3:
                    end = 2 + int.from_bytes(packet[:2], "big")
                    writer.write(puback(int.from_bytes(packet[end : end + 2], "big")))
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server:
        out = sink(f"mqtt://127.0.0.1:{server.sockets[0].getsockname()[1]}", states=["parking.*"])
        with pytest.raises(Unavailable):
            await out.__aenter__()
        async with out:
            assert out._link is not None
