"""Pictures behind links, through the whole pump: the simulated vendor, the daemon, the file, /media."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest

from pump.config import load
from pump.core.clock import Clock
from pump.ops.control import ask
from pump.runtime.daemon import Daemon
from pump.simulation.pictures import jpeg
from pump.vendors.hik_connect.clips import asking
from pump.vendors.hik_connect.simulator.clips import clip
from pump.vendors.hik_connect.simulator.server import Quirks, Simulator

CONFIG = """
[pump]
site = "e2e"
[ops]
listen = "127.0.0.1:0"
[sources.teams]
type = "hik-connect"
server = "{url}"
app_key = "ak"
secret_key = "sk"
queues = ["alarm"]
verification_codes = {{ D12345678 = "ABCDEF" }}
[sinks.out]
type = "jsonl"
path = "events.jsonl"
wait_media = "60s"
"""


def _events(path: Path) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in path.read_bytes().splitlines()] if path.exists() else []


async def test_an_encrypted_picture_is_fetched_shown_and_waited_for(tmp_path: Path) -> None:
    async with Simulator(clock=Clock(), quirks=Quirks(encrypted="1"), rate_limit=None) as vendor:
        vendor.pictures.failing = 1
        (tmp_path / "pump.toml").write_text(
            CONFIG.format(url=vendor.url).replace('"events.jsonl"', f'"{tmp_path / "events.jsonl"}"')
        )
        daemon = Daemon(load(tmp_path / "pump.toml", environ={"STATE_DIRECTORY": str(tmp_path / "state")}))
        running = asyncio.create_task(daemon.run(signals=False))
        try:
            async with asyncio.timeout(100):
                await daemon.ready.wait()
                while not vendor.account.queues["alarm"].subscribed:
                    await asyncio.sleep(0.01)
                vendor.put("alarm", *vendor.make("alarm", 1, "camera"))
                found: list[dict[str, Any]] = []
                while not (stored := [event for event in found if event["type"] == "media.stored"]):
                    await asyncio.sleep(0.02)
                    found = _events(tmp_path / "events.jsonl")
            (medium,) = stored[0]["data"]["media"]
            alarm = next(event for event in found if event["id"] == stored[0]["data"]["updates"])
            assert found.index(alarm) < found.index(stored[0])
            linked = alarm["data"]["media"][0]
            assert (linked["id"], linked["encrypted"]) == (medium["id"], True)
            file = linked["url"].partition("fileId=")[2].partition("-")[0]
            assert medium["sha256"] == sha256(jpeg(file)).hexdigest()
            async with aiohttp.ClientSession() as session, session.get(f"{daemon.ops_url}/media/{medium['id']}") as got:
                assert (got.status, await got.read()) == (200, jpeg(file))
            status = daemon.status.body()
            (part,) = [one for one in status["components"] if one["name"] == "media fetcher"]
            assert (part["state"], part["details"]["waiting"]) == ("up", 0)
            retried = {"source": "teams", "reason": "status"}
            assert daemon.metrics.registry.get_sample_value("pump_media_retries_total", retried) == 1
        finally:
            daemon.stop()
            with suppress(asyncio.CancelledError):
                assert await running == 0


async def test_a_clip_that_a_rule_asks_for_becomes_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOOK", "SETTLE", "UPLOAD"):
        monkeypatch.setattr(asking, name, 0.05)
    monkeypatch.setattr("pump.vendors.hik_connect.simulator.clips.UPLOAD", 0.1)
    async with Simulator(clock=Clock(), rate_limit=None) as vendor:
        written = CONFIG.format(url=vendor.url).replace('"events.jsonl"', f'"{tmp_path / "events.jsonl"}"')
        rule = 'queues = ["alarm"]\nclips = ["*"]\nclip_after = "10ms"'
        (tmp_path / "pump.toml").write_text(written.replace('queues = ["alarm"]', rule))
        daemon = Daemon(load(tmp_path / "pump.toml", environ={"STATE_DIRECTORY": str(tmp_path / "state")}))
        running = asyncio.create_task(daemon.run(signals=False))
        try:
            async with asyncio.timeout(100):
                await daemon.ready.wait()
                while not vendor.account.queues["alarm"].subscribed:
                    await asyncio.sleep(0.01)
                vendor.put("alarm", *vendor.make("alarm", 1, "camera"))
                stored: list[dict[str, Any]] = []
                while not stored:
                    await asyncio.sleep(0.02)
                    found = _events(tmp_path / "events.jsonl")
                    media = [event for event in found if event["type"] == "media.stored"]
                    stored = [event for event in media if event["data"]["media"][0]["kind"] == "video"]
            (medium,) = stored[0]["data"]["media"]
            upload = next(event for event in found if event["id"] == stored[0]["data"]["updates"])
            alarm = next(event for event in found if event["id"] == upload["data"]["updates"])
            assert (upload["type"], upload["data"]["update"]) == (alarm["type"], True)
            (task,) = vendor.clips.tasks
            assert medium["sha256"] == sha256(clip(task)).hexdigest()
            assert (tmp_path / "state" / "media" / medium["path"]).read_bytes() == clip(task)
        finally:
            daemon.stop()
            with suppress(asyncio.CancelledError):
                assert await running == 0


async def test_a_picture_that_was_taken_by_command_becomes_media(tmp_path: Path) -> None:
    async with Simulator(clock=Clock(), rate_limit=None) as vendor:
        written = CONFIG.format(url=vendor.url).replace('"events.jsonl"', f'"{tmp_path / "events.jsonl"}"')
        grant = '[[commands.grants]]\ncallers = ["socket"]\nverbs = ["camera.capture"]\ntargets = ["camera/*"]\n'
        (tmp_path / "pump.toml").write_text(written + grant)
        daemon = Daemon(load(tmp_path / "pump.toml", environ={"STATE_DIRECTORY": str(tmp_path / "state")}))
        running = asyncio.create_task(daemon.run(signals=False))
        try:
            async with asyncio.timeout(100):
                await daemon.ready.wait()
                while not vendor.account.queues["alarm"].subscribed:
                    await asyncio.sleep(0.01)
                vendor.put("alarm", *vendor.make("alarm", 1, "camera"))
                asked: list[dict[str, Any]] = []
                while not asked:
                    await asyncio.sleep(0.02)
                    listed = await asyncio.to_thread(ask, tmp_path / "state", "command.list", {}, print)
                    asked = [one for one in listed["targets"] if "camera.capture" in one["verbs"]]
                order = {
                    "target": asked[0]["target"], "verb": "camera.capture", "arguments": {"channel": 1}, "wait": 60,
                    "expires": 60,
                }  # fmt: skip
                result = await asyncio.to_thread(ask, tmp_path / "state", "command.ask", order, print)
                assert (result["status"], "url" in result["answer"]) == ("done", False)
                stored: list[dict[str, Any]] = []
                while not stored:
                    await asyncio.sleep(0.02)
                    found = _events(tmp_path / "events.jsonl")
                    stored = [
                        event
                        for event in found
                        if event["type"] == "media.stored" and event["data"]["media"][0]["id"] == result["answer"]["id"]
                    ]
            ended = next(event for event in found if event["type"] == "command.result")
            (medium,) = stored[0]["data"]["media"]
            assert ended["data"]["media"][0]["id"] == medium["id"]
            assert (stored[0]["subject"], stored[0]["data"]["updates"]) == (ended["subject"], ended["id"])
            path = ended["data"]["media"][0]["url"].removeprefix(vendor.url).partition("?")[0]
            assert medium["sha256"] == sha256(jpeg(path)).hexdigest()
            assert len(vendor.doings.actions) == 1
            async with aiohttp.ClientSession() as session, session.get(f"{daemon.ops_url}/media/{medium['id']}") as got:
                assert (got.status, await got.read()) == (200, jpeg(path))
        finally:
            daemon.stop()
            with suppress(asyncio.CancelledError):
                assert await running == 0
