"""pump call, through the daemon as a process of its own: its sources' and sinks' credentials, and none of them seen."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import pytest

from pump.core.clock import Clock
from pump.sinks.tuya.simulator import Cloud, Lot
from pump.sinks.tuya.simulator.server import CLIENT_ID, DEVICE, SECRET
from pump.testing.brokers import free_port
from pump.vendors.avaeye.simulator.lapi import CameraServer
from tests.environ import ALONE

ENVIRON = {name: value for name, value in os.environ.items() if name not in {"STATE_DIRECTORY", "JOURNAL_STREAM"}}
PASSWORD = "camera-password-81c3"
SYNC = f"/v1.0/parking-control/{DEVICE}/records/sync"


def configured(folder: Path, cloud: Cloud, camera: CameraServer) -> Path:
    file = folder / "pump.toml"
    file.write_text(
        f"""
[pump]
state_dir = "{folder / "state"}"
[ops]
listen = "127.0.0.1:0"
[server]
listen = "127.0.0.1:{free_port()}"
[commands]
raw = true
per_minute = 600
[[commands.grants]]
callers = ["socket"]
verbs = ["call"]
targets = ["call/lot/*", "call/gate:10000/1001/*"]
[sources.gate]
type = "avaeye"
park_ids = ["10000"]
username = "admin"
password = "${{CAMERA_PASSWORD}}"
cameras = {{ "10000/1001" = {{ url = "{camera.url}" }}, "10000/1002" = {{ url = "http://127.0.0.1:9" }} }}
[sinks.lot]
type = "tuya"
host = "{cloud.url}"
client_id = "{CLIENT_ID}"
client_secret = "${{TUYA_SECRET}}"
device_id = "{DEVICE}"
directions = {{ "10000/1001" = "in" }}
""",
        encoding="utf-8",
    )
    return file


async def pump(file: Path, *words: str, stdin: bytes = b"") -> tuple[int, bytes, str]:
    """Exit status, standard output and standard error of a command."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "pump", *words, "-c", str(file), env={**ENVIRON, **ALONE, "TUYA_SECRET": SECRET,
        "CAMERA_PASSWORD": PASSWORD}, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, errors = await process.communicate(stdin)
    assert process.returncode is not None
    return process.returncode, out, errors.decode()


@pytest.mark.parametrize("gone", [False, True])
async def test_calls_are_made_by_the_running_daemon_alone_and_show_no_secret(tmp_path: Path, *, gone: bool) -> None:
    clock = Clock()
    seen = b""
    async with (
        Cloud(clock=clock, lots={DEVICE: Lot(knows=False)}) as cloud,
        CameraServer(clock=clock, password=PASSWORD) as camera,
    ):
        file = configured(tmp_path, cloud, camera)
        info = {"totalCount": 3, "startTime": clock.now_ms() - 3_600_000, "endTime": clock.now_ms(), "passDirection": 0}
        body = tmp_path / "counts.json"
        body.write_text(json.dumps({"dataType": 0, "recordSyncInfos": [info]}), encoding="utf-8")
        status, _, errors = await pump(file, "call", "lot", "POST", SYNC, "--body", f"@{body}")
        assert (status, "no daemon runs" in errors, cloud.calls) == (1, True, 0)
        with (tmp_path / "log").open("ab") as log:
            daemon = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "pump", "run", "-c", str(file), stderr=log,
                env={**ENVIRON, "TUYA_SECRET": SECRET, "CAMERA_PASSWORD": PASSWORD},
            )  # fmt: skip
        try:
            while b"The pump runs" not in (tmp_path / "log").read_bytes():
                await asyncio.sleep(0.02)
            if gone:
                cloud.stalled.clear()
                calling = asyncio.create_task(pump(file, "call", "lot", "POST", SYNC, "--body", f"@{body}"))
                while not cloud.waiting:
                    await asyncio.sleep(0.02)
                daemon.send_signal(signal.SIGKILL)
                status, out, errors = await calling
                assert (status, out, "unknown" in errors) == (75, b"", True)
                return
            live = "/LAPI/V1.0/Channel/0/Media/LivingStream"
            rows: list[tuple[tuple[str, ...], bytes, int, bytes, str]] = [
                (("lot", "POST", SYNC, "--body", f"@{body}"), b"", 0, b'"sn"', "done: HTTP 200"),
                (("lot", "POST", SYNC, "--body", "-"), body.read_bytes(), 0, b'"sn"', "done: HTTP 200"),
                (("lot", "GET", "/v1.0/token?grant_type=1"), b"", 1, b"", "own"),
                (("gate", "GET", live, "--device", "camera/10000/1001"), b"", 0, b"rtsp://", "done: HTTP 200"),
                (("gate", "GET", live, "--device", "camera/10000/1002"), b"", 1, b"", "no grant"),
                (("gate", "GET", "/a", "--body", "@/nowhere"), b"", 1, b"", "No such file"),
            ]
            made = await asyncio.gather(*(pump(file, "call", *words, stdin=stdin) for words, stdin, *_ in rows))
            for (words, _, expected, output, error), (status, out, errors) in zip(rows, made, strict=True):
                assert (status, output in out if output else out == b"", error in errors) == (expected, True, True), (
                    words, status, out, errors,
                )  # fmt: skip
                seen += out + errors.encode()
            assert camera.account.names == ["stream"]
            assert cloud.calls == 2
            _, listed, _ = await pump(file, "events", "--json")
            events = [json.loads(line) for line in listed.splitlines()]
            asked = [event["data"]["command"] for event in events if event["type"] == "command.requested"]
            assert {(one["verb"], one["target"]) for one in asked} == {
                ("call", "call/lot"), ("call", "call/gate:10000/1001"),
            }  # fmt: skip
            assert {event["source"] for event in events if event["type"] == "command.requested"} == {
                "/site/pump", "/site/gate",
            }  # fmt: skip
            seen += listed
        finally:
            if daemon.returncode is None:
                daemon.send_signal(signal.SIGTERM)
            await daemon.wait()
        seen += (tmp_path / "log").read_bytes()
        token = next(iter(cloud._tokens))
        for secret in (SECRET, PASSWORD, token):
            assert secret.encode() not in seen
