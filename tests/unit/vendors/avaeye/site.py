"""A listener with a real source and a real spool, on a free port of the loopback, and devices that speak bytes."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
from jsonschema import Draft202012Validator
from pydantic import TypeAdapter

from pump.config.model import ServerSettings
from pump.core.clock import Clock
from pump.core.schema import event_schema
from pump.ingest.intake import Intake
from pump.ingest.media import Media
from pump.ingest.push.listener import PushListener, Route
from pump.spool import Spool, SpoolSettings
from pump.telemetry.health import Health
from pump.telemetry.metrics import Metrics
from pump.vendors.avaeye.settings import AvaEyeSettings
from pump.vendors.avaeye.source import AvaEye

_SCHEMA = Draft202012Validator(event_schema())


@dataclass
class Answer:
    """What a device reads."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)


@dataclass
class AvaEyeSite:
    """The parts."""

    spool: Spool
    listener: PushListener
    sources: list[AvaEye]
    intakes: list[Intake]
    media: Media
    metrics: Metrics
    seen: int = field(default=0)

    @property
    def port(self) -> int:
        return int(self.listener.url.rpartition(":")[2])

    async def send(self, raw: bytes, *, answers: int = 1, tls: ssl.SSLContext | None = None) -> list[Answer]:
        """The answers to these bytes over one connection; fewer than `answers` where it was closed before."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, ssl=tls)
        try:
            writer.write(raw)
            found = [answer for _ in range(answers) if (answer := await read_answer(reader)) is not None]
        finally:
            writer.close()
        return found

    async def post(self, path: str, body: object, **headers: str) -> Answer:
        """POST a body of bytes, or of JSON, to /api/upark/<path>."""
        content = body if isinstance(body, bytes) else orjson.dumps(body)
        (answer,) = await self.send(request(f"/api/upark/{path}", content, headers))
        return answer

    async def events(self, *, whole: bool = False) -> list[dict[str, Any]]:
        """What was stored since the last call, held against the schema; the pump's own news only with `whole`.

        A device.clock.off is such news: the captures of tests have times of their own.
        """
        found = []
        for record in await self.spool.read(self.seen, limit=100_000, max_bytes=1 << 30):
            self.seen = record.seq
            event = orjson.loads(record.body)
            _SCHEMA.validate(event)
            if whole or event["type"] not in ("pump.source.up", "device.online", "device.clock.off"):
                found.append(event)
        return found


def request(path: str, body: bytes, headers: dict[str, str] | None = None, method: str = "POST") -> bytes:
    """A request with a Content-Length; header names are written with _ for -."""
    lines = {"Host": "pump", "Content-Type": "application/json", "Content-Length": str(len(body))}
    lines |= {name.replace("_", "-"): value for name, value in (headers or {}).items()}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + body


async def read_answer(reader: asyncio.StreamReader) -> Answer | None:
    """One HTTP answer; None where the connection was closed instead."""
    while True:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        first, *rest = head.rstrip("\r\n").split("\r\n")
        status = int(first.split()[1])
        if status == 100:
            continue
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in rest)}
        return Answer(status, headers, await reader.readexactly(int(headers.get("content-length", "0"))))


@asynccontextmanager
async def avaeye_site(
    folder: Path, *tables: dict[str, Any], clock: Clock | None = None, **server: Any
) -> AsyncIterator[AvaEyeSite]:
    """Open one, with a source for each table; `server` are keys of [server]."""
    clock = clock or Clock()
    metrics, health = Metrics(), Health(clock)
    spool = await Spool.open(folder, SpoolSettings(), clock=clock, metrics=metrics)
    media = Media(folder / "media", clock=clock)
    listener = PushListener(
        TypeAdapter(ServerSettings).validate_python({"listen": "127.0.0.1:0", **server}),
        clock=clock,
        registry=metrics.registry,
    )
    sources, intakes = [], []
    for number, table in enumerate(tables or ({},)):
        name = f"gate{number or ''}"
        settings = TypeAdapter(AvaEyeSettings).validate_python({"type": "avaeye", **table})
        sources.append(AvaEye(name, settings, clock))
        intakes.append(Intake(name, spool=spool, site="s", clock=clock, metrics=metrics, health=health, media=media))
    listener.swap([Route(source, intake) for source, intake in zip(sources, intakes, strict=True)])
    await listener.open()
    try:
        yield AvaEyeSite(spool, listener, sources, intakes, media, metrics)
    finally:
        await listener.close()
        await spool.close()


def capture(record: str = "r1", **params: Any) -> dict[str, Any]:
    """A capture as the document shows it, without pictures."""
    return {
        "version": "1.0", "parkId": "10000", "deviceId": "1001",
        "params": {
            "recordId": record, "picTime": "2026-11-20T09:00:00", "plateNo": "A12345", "confidence": 99,
            "vehicleType": 9, "vehicleColor": 1, "plateType": 1, "plateColor": 4, "shootPosition": 1, **params,
        },
    }  # fmt: skip
