"""A command from POST /commands to the gate's action, beside events, against a bare aiohttp call to the same gate."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import aiohttp

from pump.vendors.avaeye.lapi import GATE
from pump.vendors.avaeye.simulator.lapi import CameraServer
from tests.bench.measure import Row
from tests.bench.push_load import capture, pump

_COMMANDS = 100
"""Commands of one turn."""
_EVENTS = 500
"""Events a second that cameras push meanwhile."""
_TOKEN = "a-token-of-the-bench"
_SERVER = """
[ops.tokens]
board = "{token}"
[commands]
per_minute = 600
[[commands.grants]]
callers = ["token:board"]
verbs = ["gate.open"]
targets = ["*"]
"""
_SINK = """
[sources.gate.cameras]
{rows}
"""


def table(folder: Path, repetitions: int) -> Iterator[Row]:
    """The rows."""
    found: dict[str, list[float]] = {"bare": [], "calm": [], "busy": []}
    with _process(_gate) as gate:
        url = gate.recv()
        rows = "\n".join(
            f'"10000/{number}" = {{ url = "{url}", username = "admin", password = "camera-secret" }}'
            for number in range(8)
        )
        with pump(folder, server=_SERVER.format(token=_TOKEN), sink=_SINK.format(rows=rows)) as server:
            ops = f"http://127.0.0.1:{server.ops_port}/commands"
            assert server.process.stderr is not None
            threading.Thread(target=server.process.stderr.read, daemon=True).start()  # a full pipe would stop it
            found["calm"] += asyncio.run(_commanded(ops, gate))
            with _process(_push, server.port) as pushing:
                pushing.recv()
                for _ in range(repetitions):
                    found["bare"] += asyncio.run(_bare(url, gate))
                    found["busy"] += asyncio.run(_commanded(ops, gate))
                pushing.send("end")
                pushed = pushing.recv()
        gate.send("end")
    bare, load = _quantiles(found["bare"]), os.getloadavg()[0]
    yield Row("bare call, digest, p50", bare[0], "", True, f"p99 {bare[1]:.1f} ms; load {load:.0f}", " ms")
    calm = _quantiles(found["calm"])
    yield Row("command without events, p50", calm[0], "", True, f"p99 {calm[1]:.1f} ms", " ms")
    p50, p99 = _quantiles(found["busy"])
    words = f"{p50 / bare[0]:.2f} bare calls; beside {pushed:.0f} events/s"
    yield Row("command to the gate's action, p50", p50, "<= 5", p50 <= 5, words, " ms")
    yield Row("the same, p99", p99, "<= 25", p99 <= 25, f"{p99 / bare[1]:.2f} bare calls' p99", " ms")


def _quantiles(seconds: list[float]) -> tuple[float, float]:
    """Median and p99 in milliseconds."""
    found = sorted(seconds)
    return found[len(found) // 2] * 1000, found[int(len(found) * 0.99)] * 1000


async def _commanded(url: str, gate: Connection) -> list[float]:
    """Seconds from the request to the action, one command after another, as an operator's page gives them."""
    begun = []
    headers = {"Authorization": f"Bearer {_TOKEN}"}
    async with aiohttp.ClientSession(headers=headers) as session:
        for number in range(_COMMANDS + 1):
            begun.append(time.monotonic())
            body = {"target": f"camera/10000/{number % 8}", "verb": "gate.open"}
            async with session.post(f"{url}?wait=10s", json=body) as answer:
                said = await answer.json()
                assert said["status"] == "done", said
            await asyncio.sleep(0.02)
    return _actions(gate, begun)


async def _bare(url: str, gate: Connection) -> list[float]:
    """The same without the pump: one session, aiohttp's own digest."""
    begun = []
    digest = aiohttp.DigestAuthMiddleware("admin", "camera-secret")
    async with aiohttp.ClientSession(middlewares=(digest,)) as session:
        for _ in range(_COMMANDS + 1):
            begun.append(time.monotonic())
            async with session.post(f"{url}{GATE}", json={"Command": 0}) as answer:
                assert (await answer.json())["Response"]["StatusCode"] == 0
            await asyncio.sleep(0.02)
    return _actions(gate, begun)


def _actions(gate: Connection, begun: list[float]) -> list[float]:
    """How long after `begun` each action was; without the first, which opens connections."""
    gate.send("actions")
    acted: list[float] = gate.recv()
    assert len(acted) == len(begun)
    return [at - since for at, since in zip(acted, begun, strict=True)][1:]


# --- the processes beside ---------------------------------------------------------------------------------------------


@contextmanager
def _process(work: Callable[..., Any], *args: object) -> Iterator[Connection]:
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_run, args=(work, theirs, *args), daemon=True)
    process.start()
    try:
        yield ours
    finally:
        process.kill()
        process.join()


def _run(work: Callable[..., Any], line: Connection, *args: object) -> None:
    asyncio.run(work(line, *args))


async def _gate(line: Connection) -> None:
    async with CameraServer() as camera:
        line.send(camera.url)
        while await asyncio.to_thread(line.recv) != "end":
            line.send([at for *_, at in camera.account.actions])
            camera.account.actions.clear()


async def _push(line: Connection, port: int) -> None:
    """Captures at an even pace over ten connections; the rate that was reached is sent at the end."""
    done = 0

    async def camera(number: int) -> None:
        nonlocal done
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        begun, sent = time.monotonic(), 0
        while True:
            body = capture(number, sent) or b""
            head = b"POST /api/upark/capture HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body)
            writer.write(head + body)
            answer = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(int(answer.lower().split(b"content-length:")[1].split()[0]))
            sent += 1
            done += 1
            await asyncio.sleep(max(0.0, begun + sent * 10 / _EVENTS - time.monotonic()))

    cameras = [asyncio.create_task(camera(number)) for number in range(10)]
    await asyncio.sleep(1)
    begun, before = time.monotonic(), done
    line.send("goes")
    await asyncio.to_thread(line.recv)
    line.send((done - before) / (time.monotonic() - begun))
    for one in cameras:
        one.cancel()
