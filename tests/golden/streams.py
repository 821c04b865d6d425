"""The golden streams: what a source puts for a scripted stream, at first and after a restart."""

from __future__ import annotations

import asyncio
import json
import re
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from tests.golden import subjects
from tests.golden.vendors import DATA, spelled

STREAMS: Final = ("hik_camera", "hik_gateway")
_END: Final = "goldenEnd"
"""The event type of the last message: when its event was put, all before it was."""
_PICTURE: Final = b"\xff\xd8\xff\xe0 a picture \xff\xd9"
_OWN: Final = re.compile(r'"id":"[0-9a-f]{12}-[0-9a-f]{16}"')
"""Ids of the pump's own events, which carry a random name of the spool."""


def lines(vendor: str) -> list[str]:
    """A line for each event that is put, in order, and one for the state, of either run."""
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(_lines(vendor, Path(folder)))


async def _lines(vendor: str, folder: Path) -> list[str]:
    found: list[str] = []
    async with subjects.stored(folder / "spool") as (spool, clock), _vendor(_script(vendor)) as url:
        for run in ("first", "after a restart"):
            intake = subjects.Recording(
                "door", spool=spool, site=subjects.SITE, clock=clock, metrics=subjects.Metrics(),
                health=subjects.Health(clock),
            )  # fmt: skip
            source = subjects.source(vendor, "door", {"url": url, "username": "admin", "password": "Golden-1"}, clock)
            task = asyncio.create_task(source.run(intake))
            while not task.done() and not _ended(intake):
                await asyncio.sleep(0.01)
            ended = _ended(intake)
            task.cancel()
            await asyncio.wait({task})
            assert ended, "the source left before the stream's end"
            put = subjects.merged(intake.puts)
            written = [line.replace(url, "http://vendor.example") for line in spelled("door", put)]
            found += [json.dumps({"run": run}), *(_OWN.sub('"id":"<own>"', line) for line in written)]
    return found


def _ended(intake: subjects.Recording) -> bool:
    events = [event for put in intake.puts for event in put.events if isinstance(event, subjects.Event)]
    return any(_END in str(event.data.get("code")) for event in events)


# --- scripts ----------------------------------------------------------------------------------------------------------


def _script(vendor: str) -> bytes:
    return b"".join(_SCRIPTS[vendor]())


def _part(kind: str, body: bytes) -> bytes:
    head = f"--boundary\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body + b"\r\n"


def _camera() -> Iterator[bytes]:
    bodies = {name: json.loads(text) for name, text in subjects.samples("hik_camera").items()}
    for name, sample in bodies.items():
        if name == "video-loss":
            continue  # it has no time and so a random id, which its incident and its pictures repeat
        body = sample["body"].encode()
        kind = "application/json" if body.startswith(b"{") else "application/xml"
        yield _part(kind, body) + _part("image/jpeg", _PICTURE + name.encode()) * (sample["pictures"] or 0)
    io = bodies["io"]["body"].encode()
    yield _part("application/xml", io) * 3
    yield b"\0\xff garbage between two parts\r\n"
    yield _part("application/xml", io.replace(b">active<", b">inactive<").replace(b"09:00:00", b"09:00:09"))
    yield _part("application/xml", b"<EventNotificationAlert><eventType>IO</even")
    yield _part("image/jpeg", _PICTURE + b"of nobody")
    yield _part("application/json", b'{"eventType": "heartBeat", "eventState": "active"}') * 2
    end = {"eventType": _END, "eventState": "active", "dateTime": "2026-11-20T09:00:30+01:00", "channelID": 1}
    yield _part("application/json", json.dumps(end).encode())
    yield _part("application/json", b'{"eventType": "heartBeat", "eventState": "active"}') * 2


def _gateway() -> Iterator[bytes]:
    granted = {"SubscribeDeviceMgmtRsp": {"id": "7", "FailList": []}}
    yield _part("application/json", json.dumps(granted).encode())
    parts = {name: json.loads(text)["part"] for name, text in subjects.samples("hik_gateway").items()}
    for part in parts.values():
        yield _part("application/json", part.encode())
    yield _part("application/json", parts["cid-alarm-document"].encode()) * 2
    yield b"\0\xff garbage between two parts\r\n"
    yield _part("application/json", parts["cid-alarm-document"].replace('"1103"', '"3103"').encode())
    yield _part("application/json", b"no JSON at all")
    alert = {"eventType": _END, "eventState": "active", "dateTime": "2026-11-20T09:00:30+01:00", "devIndex": "none"}
    yield _part("application/json", json.dumps({"EventNotificationAlert": alert}).encode())


_SCRIPTS: Final = {"hik_camera": _camera, "hik_gateway": _gateway}


@asynccontextmanager
async def _vendor(script: bytes) -> AsyncIterator[str]:
    """A server that has the script as its stream, and nothing else."""
    streams: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        streams.add(task)
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            if b"alertStream" in head or b"/subscribeDeviceMgmt" in head:
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: multipart/mixed; boundary=boundary\r\n\r\n" + script)
                await reader.read()  # until the source goes
            else:
                writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            streams.discard(task)
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in list(streams):
            task.cancel()
        if streams:
            await asyncio.wait(streams)


def read(vendor: str) -> list[str]:
    """What was written."""
    return _file(vendor).read_text(encoding="utf-8").splitlines()


def write(vendor: str) -> None:
    """Write what today's source puts."""
    _file(vendor).write_text("\n".join(lines(vendor)) + "\n", encoding="utf-8")


def _file(vendor: str) -> Path:
    return DATA / f"stream-{vendor}.txt"
