"""A source is recorded and played to another pump, which makes the same events of it, and knows nobody's name."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pump import registry
from pump.config import load
from pump.core.clock import Clock
from pump.ingest.recording.lines import Recorded, RecordedFile, read
from pump.ops.control import _short
from pump.runtime.daemon import Daemon
from pump.simulation.playing.pushing import Pusher
from pump.simulation.playing.server import Player
from pump.testing.brokers import free_port
from pump.vendors.avaeye.simulator import Fleet
from pump.vendors.hik_camera.simulator import Simulator as Camera
from pump.vendors.hik_connect.simulator import Simulator as Connect
from pump.vendors.hik_gateway.simulator import Simulator as Gateway
from pump.vendors.kinot.simulator import Simulator as Kinot

CONFIG = """
[pump]
site = "north"
state_dir = "{folder}/state"
[ops]
listen = "127.0.0.1:0"
[server]
listen = "127.0.0.1:{push}"
[media]
fetch = false
[sources.one]
{table}
[sinks.out]
type = "jsonl"
path = "{folder}/events.jsonl"
"""
_UNLIKE = re.compile(
    r"\.incident$|\.updates$|\.media\[\d+\]\.(id|sha256|path)$|\.\$media$|^\.(id|recordedtime)$|\.url$|\.raw\.sign$"
)
"""Made of digests; the events' own ids among them."""


@asynccontextmanager
async def running(folder: Path, table: str, push: int = 0) -> AsyncIterator[Daemon]:
    folder.mkdir(exist_ok=True)
    file = folder / "pump.toml"
    file.write_text(CONFIG.format(folder=folder, table=table, push=push), encoding="utf-8")
    daemon = Daemon(load(file, {}))
    task = asyncio.create_task(daemon.run(signals=False))
    await daemon.ready.wait()
    try:
        yield daemon
    finally:
        daemon.stop()
        assert await task == 0


def stored(folder: Path) -> list[dict[str, Any]]:
    """The vendor's events; not the pump's own, whose times and reasons are its own too."""
    path = folder / "events.jsonl"
    lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
    events = [json.loads(line) for line in lines]
    return [
        one for one in events if one["source"] == "/north/one" and not one["type"].startswith(("pump.", "device.clock"))
    ]


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(110.0):
        while not condition():
            await asyncio.sleep(0.02)


async def ask(folder: Path, command: str, arguments: dict[str, Any], lines: list[bytes], begun: asyncio.Event) -> Any:
    """The control socket's client: lines of a recording as `pump record` writes them."""
    with _short(folder / "state") as name:  # the test's name is long, and the user's may be
        reader, writer = await asyncio.open_unix_connection(name, limit=64 << 20)
    try:
        writer.write(json.dumps({"command": command, "arguments": arguments}).encode() + b"\n")
        while line := await reader.readline():
            answer = json.loads(line)
            if "progress" not in answer:
                return answer.get("result", answer)
            lines += [json.dumps(one).encode() + b"\n" for one in answer["progress"]["lines"]]
            begun.set()
        return None
    finally:
        writer.close()


@dataclass
class Recorder:
    """A recording on its way."""

    folder: Path
    lines: list[bytes] = field(default_factory=list)
    result: Any = None

    @asynccontextmanager
    async def __call__(self) -> AsyncIterator[Recorder]:
        begun = asyncio.Event()
        arguments = {"source": "one", "seconds": 3600, "bytes": 1 << 30}
        asking = asyncio.create_task(ask(self.folder, "record", arguments, self.lines, begun))
        beginning = asyncio.create_task(begun.wait())
        await asyncio.wait({asking, beginning}, return_when=asyncio.FIRST_COMPLETED)
        beginning.cancel()
        assert begun.is_set(), f"no recording began: {asking.result()}"
        yield self
        await ask(self.folder, "record.stop", {"source": "one"}, [], asyncio.Event())
        self.result = await asking

    @property
    def content(self) -> bytes:
        return b"".join(self.lines)


def leaves(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(f"{path}.{key}", inner)
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from leaves(f"{path}[{number}]", inner)
    else:
        yield path, value


def shape(value: Any) -> Any:
    """Letters and digits as such: what a stand-in has in common with what it stands for."""
    if isinstance(value, (bool, float)) or value is None:
        return value if not isinstance(value, float) else "float"
    return re.sub(r"[^\W\d_]", "a", re.sub(r"\d", "0", str(value)))


def same(first: list[dict[str, Any]], second: list[dict[str, Any]]) -> None:
    """As many events, of the same types in the same order, with the same fields, of the same shapes."""
    assert [one["type"] for one in second] == [one["type"] for one in first]
    for one, other in zip(first, second, strict=True):
        old, new = dict(leaves("", one)), dict(leaves("", other))
        assert new.keys() == old.keys()
        unlike = {
            name: (old[name], new[name])
            for name in old
            if not _UNLIKE.search(name) and shape(old[name]) != shape(new[name])
        }
        assert not unlike


def decoded(recording: RecordedFile) -> bytes:
    """Everything that is in the file: lines' fields and bodies, and what is base64 in them."""
    parts = []
    for frame in recording.frames:
        parts += [json.dumps(frame.fields, ensure_ascii=False).encode(), frame.body]
        for coded in re.findall(rb"[A-Za-z0-9+/]{40,}={0,2}", frame.body):
            parts.append(base64.b64decode(coded + b"=" * (-len(coded) % 4)))
    return b"\n".join(parts)


async def play(recording: RecordedFile, folder: Path, table: str, wanted: int, claim: str = "") -> list[dict[str, Any]]:
    """Another pump's events of it."""
    part = registry.simulator(recording.vendor).PLAY
    async with AsyncExitStack() as stack:
        player = Player(recording, part, clock=Clock(), pace=0)
        await stack.enter_async_context(player)
        daemon = await stack.enter_async_context(running(folder, table.replace("{url}", player.url)))
        if any(frame.kind == "push" for frame in recording.frames):
            pusher = Pusher(recording, part, f"{daemon.push_url}{claim}", clock=Clock(), pace=0)

            async def before(_: Recorded) -> None:
                await until(lambda: up(daemon))  # as it was when these were recorded: lists are read

            await pusher.run(before)
            assert (pusher.account.sent, pusher.account.otherwise) == (len(pusher.frames), 0)
        await until(lambda: len(stored(folder)) >= wanted)
    return stored(folder)


def up(daemon: Daemon) -> bool:
    """The source has read what there is to read."""
    return daemon.health.component("source one").state == "up"


def nowhere(recording: RecordedFile, *secrets: str) -> None:
    content = decoded(recording).lower()
    assert not [secret for secret in secrets if secret.lower().encode() in content]


async def test_cameras_that_push(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    table = 'type = "avaeye"'
    async with running(one, table) as daemon, Fleet(2, rate=0, picture=2000) as fleet:
        async with Recorder(one)() as recorder:
            await fleet.reach(daemon.push_url)
            await until(lambda: len(stored(one)) == 2)  # both have introduced themselves
            for _ in range(5):
                for camera in fleet.cameras:  # one after the other: of two at a time either may be stored first
                    camera.see()
                    await until(lambda: not any(each.waiting for each in fleet.cameras))
        await until(lambda: len(stored(one)) >= 12)
    recording = read(recorder.content)
    first = stored(one)
    plates = {event["data"]["vehicle"]["plate"] for event in first if "plate" in event["data"].get("vehicle", {})}
    same(first, await play(recording, two, table, len(first)))
    nowhere(
        recording,
        "oss-key",
        "oss-secret",
        "mqtt-secret",
        "register-secret",
        "192.168.1",
        "HC121@",
        "2102350000",
        *plates,
    )


async def test_a_camera_that_streams(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    table = 'type = "hik-camera"\nurl = "{url}"\nusername = "admin"\npassword = "Camera-1"\nevent_timeout = "1h"'
    async with Camera(clock=Clock()) as camera:
        await camera.go_away()
        async with running(one, table.replace("{url}", camera.url)), Recorder(one)() as recorder:
            await camera.come_back()
            await camera.connected()
            for kind in ("anpr", "access", "line", "panel", "unknown", "anpr"):
                camera.emit(kind)
            await until(lambda: sum(event["type"] == "vehicle.passed" for event in stored(one)) == 2)
    recording = read(recorder.content)
    first = stored(one)
    plates = [event["data"]["vehicle"]["plate"] for event in first if "plate" in event["data"].get("vehicle", {})]
    assert plates
    same(first, await play(recording, two, table, len(first)))
    nowhere(
        recording,
        "Camera-1",
        "Ada Lovelace",
        "North gate",
        "DS-2CD000020260101AAWRTEST00001",
        "00:00:5e:00:53:01",
        "192.0.2.10",
        *plates,
    )


async def test_a_gateway_that_streams(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    table = 'type = "hik-gateway"\nurl = "{url}"\nusername = "admin"\npassword = "secret1"'
    async with Gateway(clock=Clock()) as gateway:
        await gateway.go_away()
        async with running(one, table.replace("{url}", gateway.url)), Recorder(one)() as recorder:
            await gateway.come_back()
            await gateway.subscribed.wait()
            mix = gateway.messages.mix(list(gateway.devices))
            gateway.put(*(next(mix) for _ in range(30)))
            gateway.put(gateway.messages.other(next(iter(gateway.devices)), "lastOfAll"))
            await until(lambda: any("lastOfAll" in json.dumps(event) for event in stored(one)))
    recording = read(recorder.content)
    first = stored(one)
    same(first, await play(recording, two, table, len(first)))
    nowhere(recording, "secret1", "Panel 1", "DS-PWA32-HS2020", *gateway.devices)


async def test_a_cloud_that_is_polled(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    table = 'type = "hik-connect"\nserver = "{url}"\napp_key = "ak"\nsecret_key = "sk"\nqueues = ["combine", "alarm"]'
    async with Connect(clock=Clock(), rate_limit=None) as cloud:
        await cloud.go_away()
        async with running(one, table.replace("{url}", cloud.url)), Recorder(one)() as recorder:
            await cloud.come_back()
            await until(lambda: all(cloud.account.queues[name].wanted for name in ("combine", "alarm")))
            records = [*cloud.make("combine", 20), *cloud.make("alarm", 20)]
            cloud.put("combine", *records[:20])
            cloud.put("alarm", *records[20:])
            await until(lambda: len(stored(one)) >= 40)
        tokens = [*cloud.account.tokens]
    recording = read(recorder.content)
    first = stored(one)
    second = await play(recording, two, table, len(first))
    for queue in ("combine", "alarm"):
        same(
            *(
                [
                    one
                    for one in each
                    if one["data"]["vendor"] == "hik-connect" and ("guid" in one["data"]["raw"]) == (queue == "alarm")
                ]
                for each in (first, second)
            )
        )
    nowhere(recording, *tokens)


async def test_sensors_that_push_and_are_listed(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    port = free_port()
    table = f"""type = "kinot"
server = "{{url}}"
app_key = "ak"
app_secret = "sk"
snapshot = "1h"
callback_base = "http://127.0.0.1:{port}"
"""
    async with Kinot(clock=Clock(), bays=9) as kinot:
        await kinot.go_away()
        async with running(one, table.replace("{url}", kinot.url), port) as daemon, Recorder(one)() as recorder:
            await kinot.come_back()
            await until(lambda: up(daemon))
            for sn in kinot.fleet.bays:
                kinot.change(sn, car_detected=1)
                await until(lambda: not kinot.platform.open)
            await until(lambda: len(stored(one)) >= 18)
    recording = read(recorder.content)
    first = stored(one)
    same(first, await play(recording, two, table, len(first), claim="/kinot/one"))
    nowhere(recording, "61518-59257", *map(str, kinot.fleet.bays))
