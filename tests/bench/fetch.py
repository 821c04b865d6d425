"""Pictures behind links: 64 of 200 KB at once through the whole fetcher, against a bare download that keeps them.

`python -m tests.bench fetch` prints the table. The limit is aiohttp alone: it downloads the same pictures from the same
host at once, writes each to a file and fsyncs it, in as many threads as the fetcher. The fetcher does that and hashes,
checks, names and syncs the folder, and stores an event for each; the last row is of a download that hashes, names and
syncs too, and shows what of the difference that alone is. A share is the median of the shares of each turn, for the
disk's speed wanders by far more than what is measured; beside it the processor's time that a picture takes.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import aiohttp

from pump.core.clock import Clock
from pump.core.event import Event
from pump.ingest.fetch.access import PictureAccess
from pump.ingest.fetch.fetcher import Fetcher, FetchLimits
from pump.ingest.intake import Intake
from pump.ingest.media import THREADS, Media
from pump.spool import Spool, SpoolSettings
from pump.spool.folder import sync
from pump.telemetry.health import Health
from pump.telemetry.metrics import Metrics
from tests.bench.measure import Row, turns

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


@dataclass(slots=True)
class Pace:
    """Seconds that so many pictures took, by the wall and of the processor."""

    pictures: int = 0
    wall: float = 0.0
    cpu: float = 0.0

    @property
    def rate(self) -> float:
        """Pictures a second."""
        return self.pictures / self.wall

    @contextmanager
    def round(self) -> Iterator[None]:
        """Measure one round."""
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        self.pictures += PICTURES
        self.wall += time.perf_counter() - wall
        self.cpu += time.process_time() - cpu


async def bare(url: str, folder: Path, *, named: bool = False) -> Pace:
    """The pace of aiohttp alone, each picture written and fsynced in a thread; `named`: by its content, in one of 256
    folders, which is fsynced too."""
    folder.mkdir()
    for number in range(256 if named else 0):
        (folder / f"{number:02x}").mkdir()
    threads, run = ThreadPoolExecutor(THREADS), asyncio.get_running_loop().run_in_executor

    def write(path: Path, content: bytes) -> None:
        with path.open("wb") as file:
            file.write(content)
            os.fsync(file.fileno())

    def write_named(path: Path, content: bytes) -> None:
        digest = hashlib.sha256(content).hexdigest()
        there = path.parent / digest[:2] / digest
        part = there.with_suffix(".part")
        with part.open("wb") as file:
            file.write(content)
            part.rename(there)
            os.fsync(file.fileno())
        sync(there.parent)

    keep = write_named if named else write
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=PICTURES)) as session:

        async def one(link: str) -> None:
            async with session.get(link) as response:
                content = await response.read()
            await run(threads, keep, folder / link.rpartition("/")[2], content)

        pace = Pace()
        for _ in range(ROUNDS):
            with pace.round():
                await asyncio.gather(*map(one, _links(url)))
    threads.shutdown()
    return pace


async def fetched(url: str, folder: Path, limits: FetchLimits) -> Pace:
    """The pace of the fetcher, from the put of the events to the last result on disk."""
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
    pace = Pace()
    try:
        await media.store(b"the store's folders are made at its first file")
        for turn in range(ROUNDS):
            links = _links(url)
            with pace.round():
                await intake.put(_event(turn, links))
                while len(spool.fetches):
                    await spool.fetches.settled()
        await fetcher.quiet()
        assert metrics.registry.get_sample_value("pump_media_fetched_total", {"source": "a"}) == PICTURES * ROUNDS
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        await spool.close()
    return pace


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

        paces = turns(
            repetitions,
            bare=lambda: asyncio.run(bare(url, fresh())),
            fetched=lambda: asyncio.run(fetched(url, fresh(), FetchLimits(per_host=PICTURES, at_once=PICTURES))),
            usual=lambda: asyncio.run(fetched(url, fresh(), FetchLimits())),
            named=lambda: asyncio.run(bare(url, fresh(), named=True)),
        )
    yield _row("64 pictures of 200 KB at once", paces["fetched"], paces["bare"], 0.7)
    yield _row("the same, as by default: four of a host at a time", paces["usual"], paces["bare"], 0.0)
    yield _row("64 at once, of a download that hashes and names too", paces["fetched"], paces["named"], 0.0)


def _row(what: str, paces: Sequence[Pace], limits: Sequence[Pace], goal: float) -> Row:
    value = median(pace.rate / limit.rate for pace, limit in zip(paces, limits, strict=True))
    rate, limit = (median(pace.rate for pace in many) for many in (paces, limits))
    cpu, least = (1e3 * median(pace.cpu / pace.pictures for pace in many) for many in (paces, limits))
    detail = f"{rate:,.0f} of {limit:,.0f} pictures/s, {cpu:.2f} against {least:.2f} ms of the processor for one"
    return Row(what, value, f">= {goal:.2f}", value >= goal, detail)
