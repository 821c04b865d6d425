"""The operators' page: pushes beside 20 viewers against pushes without, and a browser before 1,000 events a second."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp
import orjson

from tests.bench.measure import Row, interleaved, share
from tests.bench.push_load import Server, capture, measured, pump

_SECONDS: Final = 5.0
_VIEWERS: Final = 20
_CONNECTIONS: Final = 64
_RATE: Final = 1000
_WATCHED: Final = 60.0
"""Seconds that the browser looks on."""
_WARM: Final = 15.0
"""Seconds of them after which the list is full, and its memory is that of all the rest."""
_TRACED: Final = 20.0
"""Seconds at the end that are traced."""
_LONGEST: Final = 100.0
"""Milliseconds of one task: a press of a key waits no longer."""
_CHROMIUM: Final = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
_OBSERVE: Final = """
window.longest = 0; window.tasks = 0;
new PerformanceObserver((list) => {
  for (const one of list.getEntries()) { window.tasks += 1; window.longest = Math.max(window.longest, one.duration); }
}).observe({ type: "longtask", buffered: true });
"""


def _pushed(folder: Path, viewers: int) -> Any:
    """Captures pushed as fast as they are answered, while so many look on from a process of their own."""
    with tempfile.TemporaryDirectory(dir=folder) as place, pump(Path(place)) as server, _looking(server, viewers):
        return measured(server, _CONNECTIONS, _SECONDS, capture).figure


@contextmanager
def _looking(server: Server, viewers: int) -> Iterator[None]:
    port = server.ops_port
    if not viewers:
        yield
        return
    command = [sys.executable, "-m", "tests.bench.page", f"http://127.0.0.1:{port}/live", str(viewers)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "looking\n"
        try:
            yield
        finally:
            process.terminate()


async def _look(url: str, viewers: int) -> None:
    """Read so many streams, and do nothing with them."""
    connector, patience = aiohttp.TCPConnector(limit=0), aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(connector=connector, timeout=patience) as session:
        answers = [await session.get(url) for _ in range(viewers)]
        assert {answer.status for answer in answers} == {200}
        print("looking", flush=True)
        await asyncio.gather(*(_drain(answer) for answer in answers))


async def _drain(answer: aiohttp.ClientResponse) -> None:
    async for _ in answer.content.iter_any():
        pass


async def _paced(port: int, seconds: float, rate: int) -> int:
    """Post so many captures a second over 16 connections, each when it is due; the number that was answered."""
    begun, connections, answered = time.perf_counter(), 16, 0

    async def device(connection: int) -> None:
        nonlocal answered
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for number in range(int(seconds * rate / connections)):
            due = begun + (number + connection / connections) * connections / rate
            if (early := due - time.perf_counter()) > 0:
                await asyncio.sleep(early)
            if time.perf_counter() > begun + seconds:
                break
            body = capture(connection, number)
            writer.write(
                b"POST /api/upark/capture HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body
            )
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(int(head.lower().split(b"content-length:")[1].split()[0]))
            answered += head.startswith(b"HTTP/1.1 200")
        writer.close()

    await asyncio.gather(*(device(connection) for connection in range(connections)))
    return answered


@dataclass(slots=True)
class _Seen:
    """What a browser had to do."""

    longest: float
    """Milliseconds of the longest task of its page, by the clock."""
    worked: float
    """Milliseconds of processor time of the longest one: what it would take on a machine that nobody shares."""
    tasks: int
    """Those of over 50 ms by the clock."""
    heaps: tuple[int, int]
    """Bytes of JavaScript's heap, when the list was full and at the end."""
    rows: int
    rate: float
    """Events a second."""


def _longest_work(trace: bytes) -> float:
    """Milliseconds of processor time of the longest task of a page's main thread."""
    events = orjson.loads(trace)["traceEvents"]
    mains = {
        (one["pid"], one["tid"])
        for one in events
        if one["name"] == "thread_name" and one["args"]["name"] == "CrRendererMain"
    }
    tasks = [
        one["tdur"] for one in events
        if one["name"] == "RunTask" and (one["pid"], one["tid"]) in mains and "tdur" in one
    ]  # fmt: skip
    assert tasks, "the browser traced no task"
    return float(max(tasks)) / 1000


async def _watched(server: Server) -> _Seen:
    from playwright.async_api import async_playwright

    url = f"http://127.0.0.1:{server.ops_port}/"
    async with async_playwright() as driver:
        browser = await driver.chromium.launch(
            executable_path=_CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
        )
        page = await browser.new_page(viewport={"width": 1280, "height": 900})
        await page.goto(url)
        await page.locator("#state.on").wait_for()
        await page.evaluate(_OBSERVE)
        inside = await page.context.new_cdp_session(page)

        async def heap() -> int:
            await inside.send("HeapProfiler.collectGarbage")
            return int((await inside.send("Runtime.getHeapUsage"))["usedSize"])

        load = asyncio.create_task(_paced(server.port, _WATCHED, _RATE))
        await asyncio.sleep(_WARM)
        # collecting garbage on demand is a long task of the bench's own
        longest, tasks = await page.evaluate("[window.longest, window.tasks]")
        heaps = [await heap()]
        await page.evaluate("() => new Promise(done => setTimeout(done, 300))")
        await page.evaluate("window.longest = window.tasks = 0")
        await asyncio.sleep(_WATCHED - _WARM - _TRACED)
        await browser.start_tracing(page=page, categories=["disabled-by-default-devtools.timeline"])
        answered = await load
        trace = await browser.stop_tracing()
        more, others = await page.evaluate("[window.longest, window.tasks]")
        heaps.append(await heap())
        rows = await page.locator("#rows > li").count()
        await browser.close()
    rate = answered / _WATCHED
    return _Seen(max(longest, more), _longest_work(trace), tasks + others, (heaps[0], heaps[1]), rows, rate)


def table(folder: Path, repetitions: int) -> Iterator[Row]:
    """The rows."""
    found = interleaved(repetitions, alone=lambda: _pushed(folder, 0), viewed=lambda: _pushed(folder, _VIEWERS))
    yield share(f"pushes beside {_VIEWERS} viewers", found["viewed"], found["alone"], 0.95, "requests/s without")
    if _CHROMIUM is None or importlib.util.find_spec("playwright") is None:
        print("no row of a browser: it wants chromium and playwright (pip install -e '.[browser]')")
        return
    with tempfile.TemporaryDirectory(dir=folder) as place, pump(Path(place)) as server:
        seen = asyncio.run(_watched(server))
    words = f"{seen.rate:,.0f} events/s for {_WATCHED:.0f} s, {seen.rows} rows; by the clock {seen.longest:.0f} ms"
    words += f", {seen.tasks} tasks over 50 ms, at a load of {os.getloadavg()[0]:.1f}"
    yield Row("longest task of a browser, processor time", seen.worked, "<= 100", seen.worked <= _LONGEST, words, " ms")
    full, end = seen.heaps
    words = f"{full / 1e6:.1f} MB after {_WARM:.0f} s, {end / 1e6:.1f} MB after {_WATCHED:.0f} s"
    yield Row("its memory at the end, of when the list was full", end / full, "<= 1.20", end <= 1.2 * full, words)


if __name__ == "__main__":
    asyncio.run(_look(sys.argv[1], int(sys.argv[2])))
