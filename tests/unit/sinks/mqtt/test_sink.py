"""What the MQTT sink says to real brokers, beside the suite of all sinks; mosquitto's part where it is installed."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiomqtt
import orjson
import pytest
from pydantic import ValidationError

from pump.core.clock import Clock
from pump.core.errors import Misconfigured, Rejected, Unavailable
from pump.core.record import Record
from pump.delivery.cursor import Surroundings
from pump.delivery.delivery import Delivery
from pump.sinks.mqtt.sink import MqttSettings, MqttSink
from pump.spool import Spool, SpoolSettings
from pump.telemetry.health import Component
from pump.telemetry.metrics import Metrics
from pump.testing import ManualClock
from pump.testing.brokers import Mosquitto, NatsServer
from pump.testing.records import record, rows
from pump.testing.sinks import left_of

mosquitto = pytest.mark.skipif(Mosquitto.found() is None, reason="mosquitto is not installed")
nats_server = pytest.mark.skipif(NatsServer.found() is None, reason="nats-server is not installed")


def sink(url: str, **more: Any) -> MqttSink:
    settings = MqttSettings.model_validate({"type": "mqtt", "url": url, **more})
    return MqttSink("out", settings, state=None, clock=Clock(), site="north")


def event(seq: int, type_: str, subject: str, **data: Any) -> Record:
    body = {
        "specversion": "1.0",
        "id": f"id-{seq}",
        "source": "/north/bays",
        "type": type_,
        "subject": subject,
        "time": f"2026-11-20T08:00:{seq:02}Z",
        "data": {"vendor": "testing", "phase": "pulse", "severity": "info", "raw": {"secret": "x"}, **data},
    }
    return Record(seq, "bays", type_, 0, 0, orjson.dumps(body))


async def retained(port: int, **more: Any) -> dict[str, bytes]:
    """What a client that comes now is told; the sink has published before, so a mark ends it."""
    found: dict[str, bytes] = {}
    async with aiomqtt.Client("127.0.0.1", port, **more) as client:
        await client.publish("mark", b"", qos=1)
        await client.subscribe("#", qos=1)
        await client.publish("mark", b"", qos=1)
        async for message in client.messages:
            if str(message.topic) == "mark":
                return found
            found[str(message.topic)] = bytes(message.payload)
    return found


async def on_mosquitto(folder: Path, body: Callable[[Mosquitto], Awaitable[None]], **more: Any) -> None:
    async with Mosquitto(folder / "broker", **more) as server:
        await body(server)


@mosquitto
async def test_mqtt_5_carries_the_content_type_and_user_properties(tmp_path: Path) -> None:
    async def body(server: Mosquitto) -> None:
        async with aiomqtt.Client("127.0.0.1", server.port, protocol=aiomqtt.ProtocolVersion.V5) as client:
            await client.subscribe("pump/testing/vehicle.passed/#", qos=1)
            async with sink(server.url) as out:
                await out.send([record(1)])
                message = await anext(aiter(client.messages))
        properties: Any = message.properties
        assert properties.ContentType == "application/cloudevents+json; charset=utf-8"
        assert properties.PayloadFormatIndicator == 1
        assert ("type", "vehicle.passed") in properties.UserProperty
        assert orjson.loads(bytes(message.payload))["specversion"] == "1.0"

    await on_mosquitto(tmp_path, body)


@mosquitto
async def test_the_present_is_retained_with_birth_and_farewell(tmp_path: Path) -> None:
    async def body(server: Mosquitto) -> None:
        async with sink(server.url, states=["parking.*", "device.*"]) as out:
            await out.send(
                [
                    event(1, "parking.space.changed", "space/A/1", parking={"occupied": True, "locked": False}),
                    event(3, "device.offline", "camera/1"),
                    event(4, "vehicle.passed", "camera/1"),
                    event(5, "parking.space.changed", "space/A/1", parking={"occupied": False}),
                    event(2, "parking.space.changed", "space/A/1", parking={"occupied": True}),
                ]
            )
            there = await retained(server.port)
            assert there["pump/north/status"] == b"online"
            occupied = orjson.loads(there["pump/north/state/space/A/1/occupied"])
            assert (occupied["state"], occupied["id"]) == (False, "id-5")  # what came late does not undo it
            assert orjson.loads(there["pump/north/state/space/A/1/locked"])["state"] is False
            assert orjson.loads(there["pump/north/state/camera/1/online"])["state"] is False
            assert len(there) == 4
            assert b"secret" not in b"".join(there.values())
        assert (await retained(server.port))["pump/north/status"] == b"offline"

    await on_mosquitto(tmp_path, body)


@mosquitto
async def test_the_will_is_said_for_a_pump_that_dies(tmp_path: Path) -> None:
    async def body(server: Mosquitto) -> None:
        out = sink(server.url)
        async with out:
            assert out._link is not None
            await out._link.drop()  # as the kernel does for a killed process
            while (await retained(server.port))["pump/north/status"] != b"offline":
                await asyncio.sleep(0.01)

    await on_mosquitto(tmp_path, body)


@mosquitto
async def test_home_assistant_discovers_bays_locks_cameras_and_panels(tmp_path: Path) -> None:
    async def body(server: Mosquitto) -> None:
        async with sink(server.url, home_assistant="homeassistant") as out:
            await out.send(
                [
                    event(1, "parking.space.changed", "space/A/1", parking={"occupied": True}, place={"space": "A-1"}),
                    event(2, "parking.lock.changed", "lock/7", parking={"locked": True}),
                    event(3, "video.motion", "camera/1", phase="start", device={"id": "1", "serial": "S1"}),
                    event(4, "security.armed", "panel/9"),
                ]
            )
            there = await retained(server.port)
        configs = {topic: orjson.loads(body) for topic, body in there.items() if topic.endswith("/config")}
        assert {topic.split("/")[1] for topic in configs} == {"binary_sensor", "event"}
        sensors = {one["name"]: one for topic, one in configs.items() if "/binary_sensor/" in topic}
        assert sensors["Occupied"]["device_class"] == "occupancy"
        assert sensors["Occupied"]["device"]["name"] == "A-1"
        assert sensors["Lock"]["value_template"] == "{{ 'OFF' if value_json.state else 'ON' }}"
        assert sensors["Motion"]["device"]["serial_number"] == "S1"
        assert {"Armed", "Motion", "Lock", "Occupied"} == sensors.keys()
        for one in sensors.values():
            assert orjson.loads(there[one["state_topic"]])["state"] is True
            assert [where["topic"] for where in one["availability"]] == ["pump/north/status", "pump/north/status/bays"]
            assert one["availability_mode"] == "all"
        events = [one for topic, one in configs.items() if "/event/" in topic]
        assert any("video.motion" in one["event_types"] for one in events)
        assert len({one["unique_id"] for one in configs.values()}) == len(configs) == 8

    await on_mosquitto(tmp_path, body)


@mosquitto
@pytest.mark.parametrize(("version", "more"), [("5", "max_packet_size 20000"), ("3.1.1", "max_packet_size 20000")])
async def test_what_is_too_large_for_the_broker_is_rejected_alone(tmp_path: Path, version: str, more: str) -> None:
    """By MQTT 5 the broker says its limit; by 3.1.1 it can only close the connection, again and again."""

    async def body(server: Mosquitto) -> None:
        batch = [record(1), record(2, size=50_000), record(3)]
        async with sink(server.url, version=version) as out:
            refused: frozenset[int] = frozenset()
            while batch:
                try:
                    await out.send(batch)
                    batch = []
                except Unavailable as error:
                    batch = left_of(batch, error)
                    refused |= error.refused.keys()
                except Rejected as error:
                    batch, refused = [], refused | error.sequence
            assert refused == {2}
            await out.send([record(4)])

    await on_mosquitto(tmp_path, body, extra=f"allow_anonymous true\n{more}")


@mosquitto
@pytest.mark.parametrize("version", ["auto", "5", "3.1.1"])
async def test_a_wrong_password_waits_for_a_person(tmp_path: Path, version: str) -> None:
    passwords = tmp_path / "passwords"
    program = shutil.which("mosquitto_passwd")
    if program is None:
        pytest.skip("mosquitto_passwd is not installed")
    subprocess.run([program, "-b", "-c", str(passwords), "gate", "right"], check=True)
    passwords.chmod(0o644)

    async def body(server: Mosquitto) -> None:
        with pytest.raises(Misconfigured) as raised:
            await sink(server.url, version=version, username="gate", password="wrong").__aenter__()
        assert "wrong" not in str(raised.value)
        async with sink(server.url, version=version, username="gate", password="right") as out:
            await out.send([record(1)])

    await on_mosquitto(tmp_path, body, extra=f"allow_anonymous false\npassword_file {passwords}")


async def told(out: MqttSink, batch: list[Record]) -> None:
    """Send again and again as delivery does, until a person is asked for."""
    while True:
        try:
            await out.send(batch)
        except Unavailable as error:
            batch = [*left_of(batch, error), record(batch[-1].seq + 1)]


@mosquitto
@pytest.mark.parametrize("allowed", ["pump/north/status", "nothing"])
@pytest.mark.parametrize("qos", [1, 2])
@pytest.mark.parametrize("version", ["5", "3.1.1"])
async def test_who_may_not_publish_waits_for_a_person(tmp_path: Path, version: str, qos: int, allowed: str) -> None:
    """MQTT 5 has a reason for it (0x87); by 3.1.1 mosquitto 2.0 closes the connection at each message."""
    access = tmp_path / "access"
    access.write_text(f"topic write {allowed}\n")
    access.chmod(0o644)

    async def body(server: Mosquitto) -> None:
        with pytest.raises(Misconfigured, match=r"[Aa]uthori[sz]e"):
            async with sink(server.url, version=version, qos=qos) as out:
                await told(out, [record(1), record(2), record(3)])

    await on_mosquitto(tmp_path, body, extra=f"allow_anonymous true\nacl_file {access}")


@mosquitto
async def test_who_may_not_publish_is_told_in_status_and_does_not_hammer(tmp_path: Path) -> None:
    """A real delivery: seen through the component that /status shows, and by the connections that the broker counts."""
    access = tmp_path / "access"
    access.write_text("topic write pump/north/status\n")
    access.chmod(0o644)

    async def body(server: Mosquitto) -> None:
        clock, metrics = ManualClock(), Metrics()
        component = Component("sink out", clock)
        settings = MqttSettings.model_validate({"type": "mqtt", "url": server.url, "version": "3.1.1", "qos": 2})
        settings = settings.model_copy(update={"timeout": 1e6})  # the clock runs ahead of the broker
        spool = await Spool.open(tmp_path / "spool", SpoolSettings(), clock=clock, metrics=metrics)
        await spool.append(rows(range(1, 4), clock), source="gate")

        async def lost(*_: object) -> None:
            raise AssertionError

        out = Delivery(Surroundings(spool, clock, metrics, "north", lost), MqttSink, "out", settings, component)

        def connections() -> int:
            return (server.folder / "log").read_text().count("New client connected")

        running = asyncio.create_task(out.run())
        try:
            while "access list" not in component.reason:
                clock.advance(1)
                await asyncio.sleep(0.01)
            assert "may not authorise" in component.reason
            assert component.state == "down"
            attempts = connections()
            assert attempts <= 4
            waited = 0
            while connections() == attempts:
                clock.advance(10)
                waited += 10
                await asyncio.sleep(0.01)
            assert waited >= 600  # seconds, as the supervisor waits for a person
        finally:
            running.cancel()
            await asyncio.wait({running})
            await spool.close()

    await on_mosquitto(tmp_path, body, extra=f"allow_anonymous true\nacl_file {access}")


@mosquitto
async def test_a_broker_that_closes_at_small_events_condemns_none_of_them(tmp_path: Path) -> None:
    access = tmp_path / "access"
    access.write_text("topic write pump/north/status\n")
    access.chmod(0o644)

    async def body(server: Mosquitto) -> None:
        out = sink(server.url, version="3.1.1", qos=2)
        with pytest.raises(Misconfigured, match=r"pump/testing/vehicle.passed/camera/1.*log.*access list") as raised:
            async with out:
                await told(out, [record(1)])
        assert 'version = "5"' in raised.value.reason
        assert not raised.value.refused

    await on_mosquitto(tmp_path, body, extra=f"allow_anonymous true\nacl_file {access}")


@nats_server
async def test_auto_speaks_3_1_1_where_5_is_refused(tmp_path: Path) -> None:
    async with NatsServer(tmp_path / "server", mqtt=True) as server:
        async with sink(server.mqtt_url) as out:
            await out.send([record(1), record(2)])
            assert out._connector.version == "3.1.1"
        with pytest.raises(Misconfigured, match="version"):
            await sink(server.mqtt_url, version="5").__aenter__()


@pytest.mark.parametrize(
    "wrong",
    [
        {"url": "http://x"},
        {"url": "mqtt://user:pass@host"},
        {"topic": "pump/#/{type}"},
        {"topic": "pump/{nonsense}"},
        {"topic": "pump//x"},
        {"topic": "$SYS/{type}"},
        {"topic": "pump/{type:path}"},
        {"status_topic": "pump/{type}"},
        {"key_file": "key.pem"},
        {"cert_file": "cert.pem"},
        {"password": "alone"},
        {"qos": 3},
        {"window": 0},
    ],
)
def test_settings_that_cannot_work_are_told(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        MqttSettings.model_validate({"type": "mqtt", "url": "mqtt://127.0.0.1", **wrong})
