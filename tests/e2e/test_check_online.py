"""`pump check --online` before every simulated vendor and real brokers: each logs in, and changes nothing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nats
import pytest
from click.testing import CliRunner, Result

from pump.cli import group
from pump.demo import Cast, staged, write
from pump.testing.brokers import Mosquitto, NatsServer, Server
from pump.testing.receiver import Receiver

LOGIN, LISTED = "/api/hccgw/platform/v1/token/get", "/api/hccgw/resource/v1/devices/get"


async def checked(file: Path, *more: str) -> Result:
    """The command as an operator gives it, beside what the test's loop plays."""
    return await asyncio.to_thread(CliRunner().invoke, group, ["check", "-c", str(file), "--online", *more])


async def rows(file: Path) -> tuple[int, dict[str, dict[str, Any]]]:
    """The exit status, and the rows by part."""
    result = await checked(file, "--json")
    found = json.loads(result.stdout)
    assert found["ok"] == all(part["ok"] for part in found["parts"])
    return result.exit_code, {part["part"]: part for part in found["parts"]}


def played(cast: Cast, name: str) -> Any:
    """The simulator of a source."""
    return cast.stages[name]._simulator  # type: ignore[attr-defined]


def unchanged(cast: Cast) -> None:
    """Each vendor's own account of what was asked of it: logins and questions, and nothing else."""
    cloud = played(cast, "hik-connect").account
    assert {call.path for call in cloud.calls} <= {LOGIN, LISTED}
    assert not any(queue.subscriptions or queue.batches or queue.handed for queue in cloud.queues.values())
    gateway = played(cast, "hik-gateway").account
    assert {*gateway.requests} <= {
        "POST /ISAPI/ContentMgmt/DeviceMgmt/deviceList", "GET /ISAPI/System/time",
    }  # fmt: skip
    assert (gateway.streams, gateway.orders, gateway.closed, gateway.actions) == (0, [], [], [])
    camera = played(cast, "hik-camera").account
    assert {one.split("?")[0].removeprefix("GET ") for one in camera.requests} <= {"/ISAPI/System/deviceInfo"}
    assert (camera.streams, camera.actions) == ([], [])
    assert {asked.method for asked in played(cast, "kinot").asked} <= {"GET"}
    assert cast.peers["tuya"]._lot.claims == [], "no count was reported"  # type: ignore[attr-defined]


def with_sinks(file: Path, tables: Mapping[str, str]) -> None:
    with file.open("a", encoding="utf-8") as more:
        for name, lines in tables.items():
            more.write(f"\n[sinks.{name}]\n{lines}\n")


async def test_every_vendor_and_broker_is_logged_in_to_and_nothing_is_changed(tmp_path: Path) -> None:
    if NatsServer.found() is None:
        pytest.skip("nats-server is not installed")
    nats_server = NatsServer(tmp_path / "nats", mqtt=True)
    broker: Server = Mosquitto(tmp_path / "mosquitto") if Mosquitto.found() is not None else nats_server
    async with staged() as cast, nats_server, Receiver() as receiver:
        if broker is not nats_server:
            await broker.start()
        try:
            url = broker.url if isinstance(broker, Mosquitto) else nats_server.mqtt_url
            file = write(tmp_path, cast, {"nats": nats_server}, screen=False)
            hook = f'type = "webhook"\nurl = "{receiver.url}"\nallow_private = true'
            with_sinks(file, {"mqtt": f'type = "mqtt"\nurl = "{url}"\nhome_assistant = "ha"', "hook": hook})
            status, found = await rows(file)
        finally:
            if broker is not nats_server:
                await broker.kill()
        client = await nats.connect(nats_server.url)
        try:
            streams = await client.jetstream().streams_info()
        finally:
            await client.close()
        unchanged(cast)
    assert (status, [part for part, row in found.items() if not row["ok"]]) == (0, []), found
    assert {f"source {name}" for name in cast.stages} < found.keys()
    assert [stream.config.name for stream in streams if not (stream.config.name or "").startswith("$MQTT")] == []
    assert receiver.requests == []
    for name in ("hik-connect", "hik-gateway", "kinot"):
        assert abs(found[f"source {name}"]["skew_s"]) < 3600.0
    said = {part: "; ".join(row["found"]) for part, row in found.items()}
    assert "would be subscribed to for" in said["source hik-connect"]
    assert "5 requests a second" in said["source hik-connect"]
    assert "would be asked for" in said["source hik-gateway"]
    assert "the password is accepted" in said["source hik-camera"]
    assert "callbacks of each" in said["source kinot"]
    assert "is not there yet" in said["sink nats"]
    assert "takes the login" in said["sink mqtt"]
    assert found["sink file"]["not_tried"] == ["it calls nobody"]
    assert all(row["not_tried"] for row in found.values()), "each says what it left alone"


async def test_who_is_away_or_refuses_is_a_row_with_the_reason_and_the_others_are_tried(tmp_path: Path) -> None:
    async with staged() as cast:
        file = write(tmp_path, cast, {}, screen=False)
        with_sinks(
            file,
            {
                "stream": 'type = "nats"\nservers = ["nats://127.0.0.1:9"]',
                "broker": 'type = "mqtt"\nurl = "mqtt://127.0.0.1:9"',
                "hook": 'type = "webhook"\nurl = "https://127.0.0.1:9/x"\nallow_private = true',
                "inside": 'type = "webhook"\nurl = "https://127.0.0.1:9/x"',
            },
        )
        lines = file.read_text(encoding="utf-8")
        for key in ("secret_key", "app_secret", "password", "client_secret"):
            lines = "\n".join(
                f'{key} = "planted-0815"' if one.startswith(f"{key} =") else one for one in lines.split("\n")
            )
        file.write_text(lines, encoding="utf-8")
        await played(cast, "hik-camera").go_away()
        result = await checked(file)
        unchanged(cast)
    assert result.exit_code == 1, result.output
    assert "planted-0815" not in result.output
    told = {
        "source hik-connect (hik-connect): FAILED": "secret_key",
        "source hik-gateway (hik-gateway): FAILED": "password",
        "source hik-camera (hik-camera): FAILED": "nothing listens",
        "source kinot (kinot): FAILED": "app_secret",
        "sink tuya (tuya): FAILED": "client_secret",
        "sink stream (nats): FAILED": "127.0.0.1:9",
        "sink broker (mqtt): FAILED": "127.0.0.1:9",
        "sink hook (webhook): FAILED": "cannot be reached",
        "sink inside (webhook): FAILED": "allow_private",
        "sink file (jsonl): nothing to try": "it calls nobody",
        "source avaeye (avaeye): ok": "not tried",
    }
    shown = result.output.split("\n")
    for head, why in told.items():
        rest = shown[shown.index(head) + 1 :]
        end = next(place for place, line in enumerate(rest) if not line.startswith("    "))
        assert why in "\n".join(rest[:end]), (head, rest[:end])
