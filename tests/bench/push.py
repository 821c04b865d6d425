"""Captures pushed and answered after the commit, against a bare handler that parses, answers and stores nothing."""

from __future__ import annotations

import asyncio
import base64
import os
import random
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

from tests.bench.measure import Figure, Meter, Row, interleaved, share
from tests.bench.push_load import Load, bare, capture, drive, measured, pump, slow_fsync, stored

_SECONDS = 4.0
_PICTURE = 200_000
_PICTURES = 512
_CONNECTIONS = 64
_THREADS = 6
"""As many as asyncio gives a process on two cores."""


def _bare(connections: int) -> Load:
    with bare() as server:
        return measured(server, connections, _SECONDS, capture)


def _pump(folder: Path, connections: int, library: Path | None = None) -> tuple[Load, float]:
    """The load, and the share of what was answered that stood in the file when the load ended."""
    environ = {"LD_PRELOAD": str(library)} if library else None
    with tempfile.TemporaryDirectory(dir=folder) as place, pump(Path(place), environ=environ) as server:
        load = measured(server, connections, _SECONDS, capture)
        return load, len(stored(Path(place) / "events.jsonl")) / len(load.answered)


async def _attacked(port: int) -> float:
    """Seconds, p99 of 20 calm devices while 400 connections dribble bodies and others come and go."""
    dribbling = [await asyncio.open_connection("127.0.0.1", port) for _ in range(400)]

    async def dribble() -> None:
        for _, writer in dribbling:
            writer.write(b"POST /api/upark/capture HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n")
        while True:
            for _, writer in dribbling:
                writer.write(b"x")
                await asyncio.sleep(0.001)

    async def flood() -> None:
        while True:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"POST /")
            await asyncio.sleep(0.005)
            writer.close()

    async def calm(device: int, found: list[float]) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for number in range(100):
            body = capture(device, number) or b""
            begun = time.perf_counter()
            writer.write(
                b"POST /api/upark/capture HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body
            )
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(int(head.lower().split(b"content-length:")[1].split()[0]))
            found.append(time.perf_counter() - begun)
            assert head.startswith(b"HTTP/1.1 200")
            await asyncio.sleep(0.03)
        writer.close()

    found: list[float] = []
    attackers = [asyncio.create_task(dribble()), asyncio.create_task(flood())]
    await asyncio.gather(*(calm(device, found) for device in range(20)))
    for task in attackers:
        task.cancel()
    await asyncio.gather(*attackers, return_exceptions=True)
    for _, writer in dribbling:
        writer.close()
    return sorted(found)[int(len(found) * 0.99)]


def _images() -> list[str]:
    """Base64 of pictures that no two are alike of; made once, for making them costs more than sending them."""
    made = random.Random(7)
    return [base64.b64encode(b"\xff\xd8\xff" + made.randbytes(_PICTURE - 3)).decode() for _ in range(_PICTURES)]


def _pushed_pictures(folder: Path, images: list[str]) -> Figure:
    """Captures with a picture each, a second; the first, which makes the store's folders, comes before."""
    bodies = [capture(0, number, picture=image) for number, image in enumerate(images)]
    first = iter([capture(1, 0, picture=base64.b64encode(b"\xff\xd8\xff").decode())])
    left = iter(bodies)
    place = Path(tempfile.mkdtemp(dir=folder))
    with pump(place) as server:
        asyncio.run(drive(server.port, 1, 60.0, lambda connection, number: next(first, None)))
        load = measured(server, _CONNECTIONS, 60.0, lambda connection, number: next(left, None))
        kept = sum(1 for path in place.glob("state/media/*/*") if path.is_file()) - 1  # a folder there is a mark
        assert len(load.answered) == _PICTURES == kept, f"{len(load.answered)} answered, {kept} kept of {_PICTURES}"
        return load.figure


def _written_pictures(folder: Path, images: list[str], threads: int) -> Figure:
    """The same files written with fsync from one process: one after the other, or by several threads.

    Neither this nor the other removes what it wrote before the bench ends: ext4 shuns inodes that were freed within
    the last minutes, and looks for others the longer the more there are.
    """
    contents = [base64.b64decode(image) for image in images]

    def write(path: Path, content: bytes) -> None:
        with path.open("wb", buffering=0) as file:
            file.write(content)
            os.fsync(file.fileno())

    place = Path(tempfile.mkdtemp(dir=folder))
    meter = Meter()
    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(write, (place / str(n) for n in range(_PICTURES)), contents):
            pass
    return meter.figure(_PICTURES)


def middle(loads: Sequence[Load]) -> Figure:
    """The medians."""
    return Figure(median(load.figure.rate for load in loads), median(load.figure.cpu for load in loads))


def table(folder: Path, repetitions: int) -> Iterator[Row]:
    """The rows."""
    bares = [_bare(64)]
    pumps: list[tuple[Load, float]] = []
    for _ in range(repetitions):
        pumps.append(_pump(folder, 64))
        bares.append(_bare(64))
    limit, rate = middle(bares), middle([load for load, _ in pumps])
    yield share("64 connections, 1.5 KB captures", rate, limit, 0.55, "requests/s bare, on the same loop")
    forwarded = median(part for _, part in pumps)
    yield Row("of these in the file when the load ends", forwarded, ">= 0.98", forwarded >= 0.98, "median of runs")
    slow, fast = median(load.quantile(0.99) for load, _ in pumps), median(load.quantile(0.99) for load in bares)
    words = f"{slow * 1000:.1f} ms of {fast * 1000:.1f} ms bare"
    yield Row("p99, in p99s of the bare handler", slow / fast, "<= 4.00", slow <= 4 * fast, words)
    with tempfile.TemporaryDirectory(dir=folder) as place, pump(Path(place)) as server:
        worst = asyncio.run(_attacked(server.port)) * 1000
    words = "20 calm devices beside 400 dribbling connections and 200 new ones a second"
    yield Row("p99 under attack", worst, "<= 100", worst <= 100, words, " ms")
    library = slow_fsync(folder)
    if library is not None:
        many = middle([_bare(256) for _ in range(repetitions)])
        slow_rate = middle([_pump(folder, 256, library)[0] for _ in range(repetitions)])
        yield share("256 connections, every fsync 5 ms slower", slow_rate, many, 0.30, "requests/s bare")
    images = _images()
    found = interleaved(
        repetitions,
        alone=lambda: _written_pictures(folder, images, 1),
        threads=lambda: _written_pictures(folder, images, _THREADS),
        pushed=lambda: _pushed_pictures(folder, images),
    )
    for name, words in (("alone", "written one by one"), ("threads", f"written by {_THREADS} threads")):
        what = f"200 KB pictures, {_CONNECTIONS} connections, of files"
        yield share(what, found["pushed"], found[name], 0.5, f"files/s {words}, with fsync")


def main() -> None:
    """The table alone, with few repetitions."""
    from tests.bench.measure import show

    with tempfile.TemporaryDirectory(prefix="pump-bench-") as folder:
        show("push", table(Path(folder), 3))


if __name__ == "__main__":
    main()
