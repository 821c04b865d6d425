"""Presence of the pump and of its sources, on real brokers."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import orjson
import pytest

from pump.core.errors import Unavailable
from pump.core.record import Record
from pump.testing.brokers import Mosquitto
from pump.testing.records import record
from tests.unit.sinks.mqtt.test_sink import event, mosquitto, on_mosquitto, retained, sink

_PERSISTENT = "allow_anonymous true\npersistence true\npersistence_location {}/\nautosave_interval 1\n"


def about_source(seq: int, type_: str, source: str = "bays") -> Record:
    """The daemon's own event about a source, which bears that source's name."""
    body = orjson.loads(event(seq, type_, "").body)
    del body["subject"]
    return Record(seq, source, type_, 0, 0, orjson.dumps(body))


@mosquitto
async def test_a_broker_that_cuts_an_idle_link_hears_that_the_pump_is_there(tmp_path: Path) -> None:
    """It has said the will, and retains that."""

    async def body(server: Mosquitto) -> None:
        async with sink(server.url) as out:
            watching = asyncio.create_task(out.watch())
            await server.kill()
            with pytest.raises(Unavailable):
                await watching
            with pytest.raises(Unavailable):
                await out.watch()
            await server.start()
            await out.watch()
            assert (await retained(server.port))["pump/north/status"] == b"online"

    await on_mosquitto(tmp_path, body)


@mosquitto
@pytest.mark.parametrize("limit", ["retain_available false", "max_qos 0"])
async def test_a_broker_that_takes_no_will_is_used_without(
    tmp_path: Path, limit: str, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    """MQTT 5: 0x9A and 0x9B at CONNECT; the log names the setting."""

    async def body(server: Mosquitto) -> None:
        async with sink(server.url, home_assistant="homeassistant") as out:
            await out.send([record(1), event(2, "parking.space.occupied", "space/1", parking={"occupied": True})])
            await out._dropped()
            await out.send([record(3)])

    await on_mosquitto(tmp_path, body, extra=f"allow_anonymous true\n{limit}")
    said = caplog.text + capsys.readouterr().out
    assert said.count("status_topic") >= 1


@mosquitto
async def test_a_source_that_is_down_is_seen_by_its_entities(tmp_path: Path) -> None:
    async def body(server: Mosquitto) -> None:
        async with sink(server.url, home_assistant="homeassistant") as out:
            await out.send([event(1, "video.motion", "camera/1", phase="start"), record(2, source="gate")])
            there = await retained(server.port)
            configs = [orjson.loads(body) for topic, body in there.items() if topic.endswith("/config")]
            for one in configs:
                topics = [where["topic"] for where in one["availability"]]
                assert topics[0] == "pump/north/status"
                assert one["availability_mode"] == "all"
                assert all(there[topic] == b"online" for topic in topics)
            assert {one["availability"][1]["topic"] for one in configs} == {
                "pump/north/status/bays",
                "pump/north/status/gate",
            }
            await out.send([about_source(9, "pump.source.down"), about_source(8, "pump.source.up")])
            there = await retained(server.port)
            assert there["pump/north/status/bays"] == b"offline", "what came late does not undo it"
            assert there["pump/north/status/gate"] == b"online"
            await out.send([event(10, "video.motion", "camera/2", phase="start")])
            assert (await retained(server.port))["pump/north/status/bays"] == b"offline"
            await out.send([about_source(11, "pump.source.up")])
            assert (await retained(server.port))["pump/north/status/bays"] == b"online"

    await on_mosquitto(tmp_path, body)


@mosquitto
async def test_without_a_status_topic_nothing_is_said_of_availability(tmp_path: Path) -> None:
    async def body(server: Mosquitto) -> None:
        async with sink(server.url, home_assistant="homeassistant", status_topic="") as out:
            await out.send([event(1, "video.motion", "camera/1", phase="start"), about_source(2, "pump.source.down")])
            there = await retained(server.port)
            assert not any("availability" in orjson.loads(body) for topic, body in there.items() if "config" in topic)
            assert not any("status" in topic for topic in there)

    await on_mosquitto(tmp_path, body)


@mosquitto
@pytest.mark.parametrize("more", [{"types": ["video.*"]}, {"min_severity": "warning"}, {"exclude_types": ["pump.*"]}])
async def test_a_sink_that_does_not_hear_of_its_sources_says_nothing_of_their_presence(
    tmp_path: Path, more: dict[str, Any]
) -> None:
    """Else a source would be there for ever, or never again."""

    async def body(server: Mosquitto) -> None:
        async with sink(server.url, home_assistant="homeassistant", **more) as out:
            await out.send([about_source(1, "pump.source.down"), event(2, "video.motion", "camera/1", phase="start")])
            there = await retained(server.port)
            configs = [orjson.loads(body) for topic, body in there.items() if topic.endswith("/config")]
            assert [one["availability"] for one in configs] == [[{"topic": "pump/north/status"}]] * 2
            assert "pump/north/status/bays" not in there

    await on_mosquitto(tmp_path, body)
