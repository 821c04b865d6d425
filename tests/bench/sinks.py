"""Webhook batches against bare aiohttp posts, the archive against the same inserts without the pump."""

from __future__ import annotations

import asyncio
import hmac
import itertools
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

import aiohttp
from aiohttp import web

from pump.core.clock import Clock
from pump.core.record import Record
from pump.core.settings import SinkSettings
from pump.sink import Sink
from pump.sinks.sqlite import table as _table
from pump.sinks.sqlite.sink import _PRAGMAS, SqliteSettings, SqliteSink
from pump.sinks.webhook.sink import WebhookSettings, WebhookSink
from pump.spool import Spool, SpoolSettings
from pump.telemetry.metrics import Metrics
from pump.testing.records import record, rows
from tests.bench.drained import through_the_pump
from tests.bench.measure import Figure, Meter, Row, interleaved, share

_EVENTS: Final = 40_000
_SIZE: Final = 800
"""Bytes of padding: with it an event has 1.2 KB."""
_SECRET: Final = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
_numbers = itertools.count()


async def _with_spool(folder: Path, kind: type[Sink[Any]], settings: SinkSettings) -> Figure:
    metrics = Metrics()
    spool = await Spool.open(folder / "spool", SpoolSettings(), clock=Clock(), metrics=metrics)
    try:
        while spool.head < _EVENTS:
            await spool.append(rows(range(spool.head + 1, spool.head + 501), Clock(), size=_SIZE), source="gate")
        assert spool.floor == 0, "events were removed before they could be sent"
        return await through_the_pump(spool, kind, settings, metrics)
    finally:
        await spool.close()


# --- webhooks ---------------------------------------------------------------------------------------------------------


@contextmanager
def _receiver() -> Iterator[str]:
    """Reads and answers, in a process of its own."""
    process = subprocess.Popen([sys.executable, "-m", "tests.bench.sinks"], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process:
        try:
            yield process.stdout.readline().strip()
        finally:
            process.kill()


def _serve() -> None:
    taken = 0

    async def take(request: web.Request) -> web.Response:
        nonlocal taken
        taken += (await request.read()).count(b'"specversion"')
        return web.Response(status=204)

    async def count(request: web.Request) -> web.Response:
        nonlocal taken
        said, taken = taken, 0
        return web.Response(text=str(said))

    async def main() -> None:
        app = web.Application(client_max_size=16 << 20)
        app.router.add_post("/hook", take)
        app.router.add_get("/hook", count)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        print(f"http://127.0.0.1:{runner.addresses[0][1]}/hook", flush=True)
        await asyncio.Event().wait()

    asyncio.run(main())


def _hook(url: str, size: int, *secrets: str) -> WebhookSettings:
    return WebhookSettings.model_validate(
        {"type": "webhook", "url": url, "secret": secrets, "batch_size": size, "allow_private": True, "start": "oldest"}
    )


async def _all_taken(url: str) -> None:
    """Have the run fail unless the receiver has got each event once since it was asked last."""
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        taken = int(await response.text())
    assert taken == _EVENTS, f"the receiver got {taken} events of {_EVENTS}"


async def _bare_posts(url: str, records: list[Record], size: int, key: bytes = b"") -> Figure:
    meter = Meter()
    async with aiohttp.ClientSession() as session:
        for start in range(0, len(records), size):
            body = b"[" + b",".join([one.body for one in records[start : start + size]]) + b"]"
            headers = {"Content-Type": "application/json"}
            if key:
                headers["X-Signature"] = hmac.digest(key, body, "sha256").hex()
            async with session.post(url, data=body, headers=headers) as response:
                assert response.status == 204
                await response.read()
    figure = meter.figure(len(records))
    await _all_taken(url)
    return figure


async def _sends(settings: WebhookSettings, records: list[Record]) -> Figure:
    meter = Meter()
    async with WebhookSink("hook", settings, state=None, clock=Clock(), site="bench") as sink:
        for start in range(0, len(records), settings.read_limit):
            await sink.send(records[start : start + settings.read_limit])
    figure = meter.figure(len(records))
    await _all_taken(str(settings.url))
    return figure


async def _from_the_file(folder: Path, settings: WebhookSettings) -> Figure:
    figure = await _with_spool(folder, WebhookSink, settings)
    await _all_taken(str(settings.url))
    return figure


def _webhook_rows(folder: Path, repetitions: int, url: str, size: int, records: list[Record]) -> Iterator[Row]:
    plain, signed = _hook(url, size), _hook(url, size, _SECRET)
    found = interleaved(
        repetitions,
        limit=lambda: asyncio.run(_bare_posts(url, records, size)),
        signed_limit=lambda: asyncio.run(_bare_posts(url, records, size, b"k" * 32)),
        plain=lambda: asyncio.run(_sends(plain, records)),
        signed=lambda: asyncio.run(_sends(signed, records)),
        file=lambda: asyncio.run(_from_the_file(folder, signed)),
    )
    words = "events/s bare aiohttp posts, unsigned"
    yield share(f"webhook sink, batches of {size}, unsigned", found["plain"], found["limit"], 0.7, words)
    yield share(
        f"webhook sink, batches of {size}, signed",
        found["signed"],
        found["signed_limit"],
        0.7,
        "bare posts, signed too",
    )
    # for information: a backlog, each event read from the spool's file and checked, by delivery
    yield share("  the same from the spool's file", found["file"], found["limit"], 0.0, words)


# --- the archive ------------------------------------------------------------------------------------------------------


def _bare_inserts(folder: Path, records: list[Record]) -> Figure:
    """The same table, pragmas and statements, in one plain loop."""
    path = folder / f"bare-{next(_numbers)}.db"
    meter = Meter()
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        for pragma in _PRAGMAS:
            db.execute(f"PRAGMA {pragma}")
        for statement in _table.create():
            db.execute(statement)
        for start in range(0, len(records), 512):
            values = [value for one in records[start : start + 512] for value in _table.row(one)]
            db.execute(_table.upsert(len(values) // _table.WIDTH), values)
    figure = meter.figure(len(records))
    path.unlink()
    return figure


def _archive(folder: Path) -> Figure:
    path = folder / f"archive-{next(_numbers)}.db"
    settings = SqliteSettings(type="sqlite", path=str(path), batch_size=512)
    figure = asyncio.run(_with_spool(folder, SqliteSink, settings))
    with closing(sqlite3.connect(path)) as db:
        (there,) = db.execute("SELECT count(*) FROM events").fetchone()
    assert there == _EVENTS, f"the archive has {there} of {_EVENTS} events"
    path.unlink()
    return figure


def table(folder: Path, repetitions: int) -> Iterator[Row]:
    """The rows."""
    records = [record(seq, size=_SIZE) for seq in range(1, _EVENTS + 1)]
    with _receiver() as url:
        for size in (10, 100):
            yield from _webhook_rows(folder, repetitions, url, size, records)
    found = interleaved(repetitions, limit=lambda: _bare_inserts(folder, records), pump=lambda: _archive(folder))
    yield share("SQLite archive, batches of 512", found["pump"], found["limit"], 0.6, "rows/s the same inserts")


if __name__ == "__main__":
    _serve()
