"""The streams: our multipart reader against a bare read and aiohttp's reader, and 200 gateways in one process.

`python -m tests.bench streams` prints the table. Ratios are against limits measured in the same run, medians of
interleaved repetitions; absolute figures are this machine's, at this hour.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import orjson
from aiohttp import ClientSession, ClientTimeout, MultipartReader

from pump.core.clock import Clock
from pump.ingest.intake import Intake
from pump.ingest.stream.multipart import reader as multipart
from pump.spool import Spool, SpoolSettings
from pump.telemetry.health import Health
from pump.telemetry.metrics import Metrics
from pump.vendors.hik_gateway import SOURCE
from pump.vendors.hik_gateway.simulator.server import Quirks, Simulator
from tests.bench.measure import Row, share

Reading = Callable[[ClientSession, str], Awaitable[int]]


def framed(body: bytes, kind: str) -> bytes:
    head = f"--boundary\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body + b"\r\n"


def small() -> bytes:
    """A part of 600 B, JSON."""
    return orjson.dumps({"EventNotificationAlert": {"eventType": "CIDAlarm", "text": "x" * 540, "n": 1}})


def large() -> bytes:
    """A part of 200 KB."""
    return b"\xff\xd8" + os.urandom(200_000) + b"\xff\xd9"


async def serve(part: bytes, count: int) -> AsyncIterator[str]:
    """A server in a process of its own that answers each GET with `count` parts, unchunked; yields its address."""
    code = (
        "import asyncio, sys\n"
        "part = sys.stdin.buffer.read()\n"
        f"block = part * max(1, (1 << 18) // len(part)); rounds = {count} * len(part) // len(block)\n"
        "async def handle(reader, writer):\n"
        "    await reader.readuntil(b'\\r\\n\\r\\n')\n"
        "    writer.write(b'HTTP/1.1 200 OK\\r\\nContent-Type: multipart/mixed; boundary=boundary\\r\\n'\n"
        "                 b'Connection: close\\r\\n\\r\\n')\n"
        "    for _ in range(rounds):\n"
        "        writer.write(block)\n"
        "        await writer.drain()\n"
        "    writer.write(b'--boundary--\\r\\n')\n"
        "    await writer.drain()\n"
        "    writer.close()\n"
        "async def main():\n"
        "    server = await asyncio.start_server(handle, '127.0.0.1', 0)\n"
        "    print(server.sockets[0].getsockname()[1], flush=True)\n"
        "    await server.serve_forever()\n"
        "asyncio.run(main())\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(part)
        process.stdin.close()
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/"
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


async def bare(session: ClientSession, url: str) -> int:
    """The limit: the same bytes, read and thrown away."""
    size = 0
    async with session.get(url) as response:
        while data := await response.content.readany():
            size += len(data)
    return size


def ours(decode: bool) -> Reading:
    judges = {"application/json": orjson.loads} if decode else None

    async def read(session: ClientSession, url: str) -> int:
        reader, parts = multipart.MultipartReader("boundary", judges=judges), 0
        async with session.get(url) as response:
            while data := await response.content.readany():
                parts += len(reader.feed(data))
        return parts

    return read


def theirs(decode: bool) -> Reading:
    async def read(session: ClientSession, url: str) -> int:
        parts = 0
        async with session.get(url) as response:
            reader = MultipartReader.from_response(response)
            while (part := await reader.next()) is not None:
                body = await part.read()  # type: ignore[union-attr]
                if decode:
                    orjson.loads(body)
                parts += 1
        return parts

    return read


async def compare(part: bytes, count: int, ways: dict[str, Reading], rounds: int) -> dict[str, float]:
    """Parts a second of each way: medians of interleaved repetitions."""
    found: dict[str, list[float]] = {name: [] for name in ways}
    async for url in serve(part, count):
        async with ClientSession(timeout=ClientTimeout(total=None)) as session:
            for _ in range(rounds):
                for name, way in ways.items():
                    begin = time.perf_counter()
                    await way(session, url)
                    found[name].append(count / (time.perf_counter() - begin))
    return {name: statistics.median(values) for name, values in found.items()}


async def delay(rounds: int) -> float:
    """Median milliseconds from the write of a part's last byte to the part in hand, the delimiter 300 ms away."""
    part = framed(small(), "application/json").rstrip()
    written: list[float] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: multipart/mixed; boundary=boundary\r\nConnection: close\r\n\r\n"
        )
        for _ in range(rounds):
            writer.write(part[:-1])
            await writer.drain()
            await asyncio.sleep(0.05)
            written.append(time.perf_counter())
            writer.write(part[-1:])
            await writer.drain()
            await asyncio.sleep(0.3)
            writer.write(b"\r\n")
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    seen: list[float] = []
    reader = multipart.MultipartReader("boundary", judges={"application/json": orjson.loads})
    async with ClientSession() as session, session.get(f"http://127.0.0.1:{port}/") as response:
        while data := await response.content.readany():
            seen += [time.perf_counter()] * len(reader.feed(data))
    server.close()
    await server.wait_closed()
    return statistics.median(1000 * (got - sent) for got, sent in zip(seen, written, strict=True))


async def many(streams: int, seconds: float) -> tuple[float, int]:
    """Share of a core that `streams` gateways at one event a second each cost us; the gateways run elsewhere."""
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.streams", "--gateways", str(streams)], stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    urls = child.stdout.readline().decode().split()
    clock, metrics = Clock(), Metrics()
    with tempfile.TemporaryDirectory() as folder:
        spool = await Spool.open(Path(folder), SpoolSettings(), clock=clock, metrics=metrics)
        tasks = []
        for n, url in enumerate(urls):
            name = f"g{n}"
            intake = Intake(name, spool=spool, site="bench", clock=clock, metrics=metrics, health=Health(clock))
            made = {"type": "hik-gateway", "url": url, "username": "admin", "password": "secret1"}
            tasks.append(asyncio.create_task(SOURCE(name, SOURCE.Settings.model_validate(made), clock).run(intake)))
            await asyncio.sleep(0.01)
        await asyncio.sleep(3.0)
        before, used, begin = spool.head, _cpu(), time.perf_counter()
        await asyncio.sleep(seconds)
        share = (_cpu() - used) / (time.perf_counter() - begin)
        events = spool.head - before
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await spool.close()
    child.kill()
    child.wait()
    child.stdout.close()
    return share, events


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def gateways(count: int) -> None:
    """That many simulated gateways, an event a second each, until killed; their addresses go to standard output."""
    clock = Clock()
    simulators = [Simulator(clock=clock, quirks=Quirks(nonce_seconds=60.0), seed=n) for n in range(count)]
    for simulator in simulators:
        await simulator.come_back()
    print(*(simulator.url for simulator in simulators), flush=True)

    async def traffic(simulator: Simulator, begin: float) -> None:
        await clock.sleep(begin)
        mix = simulator.messages.mix(list(simulator.devices))
        while True:
            simulator.put(next(mix))
            await clock.sleep(1.0)

    await asyncio.gather(*(traffic(simulator, n / count) for n, simulator in enumerate(simulators)))


async def measured(rounds: int, streams: int, seconds: float) -> list[Row]:
    json_part, picture = framed(small(), "application/json"), framed(large(), "image/jpeg")
    ways = {
        "bare": bare,
        "ours": ours(False),
        "theirs": theirs(False),
        "ours, JSON": ours(True),
        "theirs, JSON": theirs(True),
    }
    found = await compare(json_part, 60_000, ways, rounds)
    rows = [
        _times("600 B parts against aiohttp's reader", found["ours"], found["theirs"], 8.0),
        _times("600 B parts, JSON decoded on both sides", found["ours, JSON"], found["theirs, JSON"], 4.0),
    ]
    found = await compare(picture, 1_000, {"bare": bare, "ours": ours(False), "theirs": theirs(False)}, rounds)
    rows.append(share("200 KB parts, of a bare read", found["ours"], found["bare"], 0.75, "parts/s"))
    rows.append(_times("200 KB parts against aiohttp's reader", found["ours"], found["theirs"], 1.0))
    late = await delay(15)
    rows.append(Row("delay of a complete part", late, "<= 5 ms", late <= 5.0, "the delimiter 300 ms away", " ms"))
    if streams:
        core, events = await many(streams, seconds)
        detail = f"{events / seconds:.0f} events/s stored"
        rows.append(Row(f"{streams} streams, share of a core", core, "<= 0.30", core <= 0.30, detail))
    return rows


def _times(what: str, rate: float, limit: float, goal: float) -> Row:
    return Row(
        what, rate / limit, f">= {goal:g} x", rate >= goal * limit, f"{rate:,.0f} and {limit:,.0f} parts/s", " x"
    )


def table(folder: Path, repetitions: int) -> Iterator[Row]:
    """For `python -m tests.bench streams`."""
    yield from asyncio.run(measured(repetitions, 200, 15.0))


if __name__ == "__main__":
    options = argparse.ArgumentParser(description="simulated gateways for `many`, in a process of their own")
    options.add_argument("--gateways", type=int, required=True)
    asyncio.run(gateways(options.parse_args().gateways))
