"""Pictures behind links: 64 of 200 KB at once through the whole fetcher, against a bare download that keeps them.

`python -m tests.bench fetch` prints the table. The limit is aiohttp alone: it downloads the same pictures from the same
host at once, writes each to a file and fsyncs it. The fetcher does that and hashes, checks, names and syncs the folder,
and stores an event for each.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import aiohttp

from pump.core.clock import Clock
from pump.core.event import Event
from pump.core.tasks import Threads
from pump.ingest.fetch.access import PictureAccess
from pump.ingest.fetch.fetcher import Fetcher, FetchLimits
from pump.ingest.intake import Intake
from pump.ingest.media import THREADS, Media
from pump.spool import Spool, SpoolSettings
from pump.telemetry.health import Health
from pump.telemetry.metrics import Metrics
from tests.bench.measure import Row, interleaved, share

PICTURES = 64
BYTES = 200_000
ROUNDS = 4
"""Times 64 pictures in one measurement: a single round is 0.1 s, and one slow fsync half of it."""

_HOST = f"""
import asyncio, os
async def serve(reader, writer):
    try:
        while True:
            head = await reader.readuntil(b"\\r\\n\\r\\n")
            name = head.split(b" ", 2)[1]
            body = b"\\xff\\xd8\\xff\\xe0" + name.rjust(64, b"-") + noise
            writer.write(b"HTTP/1.1 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n" % len(body) + body)
            await writer.drain()
    except (asyncio.IncompleteReadError, OSError):
        writer.close()
noise = os.urandom({BYTES} - 68)
async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=512)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()
asyncio.run(main())
"""


@contextmanager
def host() -> Iterator[str]:
    """A host of pictures in a process of its own: each name has another picture."""
    process = subprocess.Popen([sys.executable, "-c", _HOST], stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


def _links(url: str) -> list[str]:
    return [f"{url}/{uuid.uuid4().hex}.jpg" for _ in range(PICTURES)]


async def bare(url: str, folder: Path) -> float:
    """Pictures a second of aiohttp alone, each written and fsynced in a thread."""
    folder.mkdir()
    threads = Threads("bare", THREADS)

    def write(path: Path, content: bytes) -> None:
        with path.open("wb") as file:
            file.write(content)
            os.fsync(file.fileno())

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=PICTURES)) as session:

        async def one(link: str) -> None:
            async with session.get(link) as response:
                content = await response.read()
            await threads.run(write, folder / link.rpartition("/")[2], content)

        taken = 0.0
        for _ in range(ROUNDS):
            begun = time.perf_counter()
            await asyncio.gather(*map(one, _links(url)))
            taken += time.perf_counter() - begun
    return PICTURES * ROUNDS / taken


async def fetched(url: str, folder: Path, limits: FetchLimits) -> float:
    """Pictures a second of the fetcher, from the put of the events to the last result on disk."""
    clock, metrics = Clock(), Metrics()
    health = Health(clock)
    spool = await Spool.open(folder, SpoolSettings(), clock=clock, metrics=metrics)
    media = Media(folder / "media", clock=clock)
    intake = Intake("a", spool=spool, site="x", clock=clock, metrics=metrics, health=health, media=media)
    fetcher = Fetcher(
        spool, media, lambda name: intake, {"a": PictureAccess(own=url)},
        limits=limits, clock=clock, metrics=metrics,
        component=health.component("fetcher"),
    )  # fmt: skip
    running = asyncio.create_task(fetcher.run())
    taken = 0.0
    try:
        await media.store(b"the store's folders are made at its first file")
        for turn in range(ROUNDS):
            links = _links(url)
            begun = time.perf_counter()
            await intake.put(_event(turn, links))
            while len(spool.fetches):
                await spool.fetches.settled()
            taken += time.perf_counter() - begun
        await fetcher.quiet()
        assert metrics.registry.get_sample_value("pump_media_fetched_total", {"source": "a"}) == PICTURES * ROUNDS
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        await spool.close()
    return PICTURES * ROUNDS / taken


def _event(turn: int, links: list[str]) -> Event:
    identity = f"event-{turn}"
    media = [
        {"id": f"{identity}/{n}", "kind": "picture", "url": link, "state": "remote"} for n, link in enumerate(links)
    ]
    data = {"vendor": "bench", "code": "1", "name": "Pass", "phase": "pulse", "severity": "info", "media": media}
    return Event("vehicle.passed", identity, data)


def table(folder: Path, repetitions: int) -> Iterator[Row]:
    """The rows, one after another."""
    with host() as url:

        def fresh() -> Path:
            return folder / uuid.uuid4().hex

        rates = interleaved(
            repetitions,
            bare=lambda: asyncio.run(bare(url, fresh())),
            fetched=lambda: asyncio.run(fetched(url, fresh(), FetchLimits(per_host=PICTURES, at_once=PICTURES))),
            usual=lambda: asyncio.run(fetched(url, fresh(), FetchLimits())),
        )
    words = "pictures/s"
    yield share("64 pictures of 200 KB at once", rates["fetched"], rates["bare"], 0.7, words)
    yield share("the same, as by default: four of a host at a time", rates["usual"], rates["bare"], 0.0, words)
