"""Retained states after an event of a wrong clock: a real daemon, a camera, a real broker, and who subscribes later."""

from __future__ import annotations

import asyncio
import json
import re
import signal
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import aiomqtt
import pytest

from pump.core.clock import Clock
from pump.testing.brokers import Mosquitto
from pump.vendors.hik_camera.simulator.server import Simulator
from tests.e2e.test_kinot_daemon import daemon

_DATE = re.compile(rb"(?<=<dateTime>)[^<]+")
_YEAR = re.compile(rb"(?<=<dateTime>)\d{4}")
CONFIG = """
[pump]
site = "north"
state_dir = "{folder}/state"
[ops]
listen = "127.0.0.1:0"
[sources.door]
type = "hik-camera"
url = "{camera}"
username = "admin"
password = "Camera-1"
event_timeout = "1h"
[sinks.home]
type = "mqtt"
url = "{broker}"
home_assistant = "homeassistant"
states = ["*"]
"""


async def retained(port: int) -> dict[str, Any]:
    """The states that a client which comes now is given, by topic."""
    found: dict[str, Any] = {}
    async with aiomqtt.Client("127.0.0.1", port) as client:
        await client.publish("mark", b"", qos=1)
        await client.subscribe("#", qos=1)
        await client.publish("mark", b"", qos=1)
        async for message in client.messages:
            if str(message.topic) == "mark":
                return found
            payload = message.payload
            if isinstance(payload, bytes) and payload[:1] == b"{" and not str(message.topic).endswith("/config"):
                found[str(message.topic)] = json.loads(payload)
    return found


async def until(port: int, motion: bool) -> dict[str, Any]:
    """The retained state of motion, once it is so."""
    async with asyncio.timeout(60):
        while True:
            for topic, state in (await retained(port)).items():
                if topic.endswith("/video_motion") and state["state"] is motion:
                    return dict(state)
            await asyncio.sleep(0.02)


@pytest.mark.skipif(Mosquitto.found() is None, reason="mosquitto is not installed")
@pytest.mark.parametrize("killed", [False, True])
async def test_after_an_event_dated_far_ahead_its_restore_of_today_is_the_state(tmp_path: Path, killed: bool) -> None:
    async with Mosquitto(tmp_path / "broker") as broker, Simulator(clock=Clock()) as camera:
        file = tmp_path / "pump.toml"
        file.write_text(CONFIG.format(folder=tmp_path, camera=camera.url, broker=broker.url))
        start, late_end = camera.records.make("motion")
        ahead = replace(start, body=_YEAR.sub(b"2096", start.body))  # has a 29 February
        assert ahead != start
        async with daemon(file) as process:
            await camera.connected()
            camera.send(ahead)
            state = await until(broker.port, True)
            assert state["time"] < "2096"
            # The camera's clock was put right meanwhile, but for some seconds.
            behind = datetime.fromisoformat(state["time"]) - timedelta(seconds=20)
            end = replace(late_end, body=_DATE.sub(behind.isoformat(timespec="seconds").encode(), late_end.body))
            if killed:
                process.send_signal(signal.SIGKILL)
                await process.wait()
            else:
                camera.send(end)
                await until(broker.port, False)
        if killed:
            async with daemon(file):
                await camera.connected(2)
                camera.send(end)
                await until(broker.port, False)
