"""Devices that post as fast as they are answered, and the servers they post to: for the bench and the chaos tests."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import orjson

from tests.bench.measure import Figure, Meter

CONFIG = """
[pump]
site = "bench"
state_dir = "{folder}/state"
[ops]
listen = "127.0.0.1:0"
[server]
listen = "127.0.0.1:0"
device_rate = 100000
{server}
[sources.gate]
type = "avaeye"
[sinks.out]
type = "jsonl"
path = "{folder}/events.jsonl"
{sink}
"""

_SLOW_FSYNC = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <time.h>
static int (*real_fsync)(int), (*real_fdatasync)(int);
static void wait_5_ms(void) { struct timespec t = {0, 5000000}; nanosleep(&t, 0); }
int fsync(int fd) {
    if (!real_fsync) real_fsync = dlsym(RTLD_NEXT, "fsync");
    wait_5_ms();
    return real_fsync(fd);
}
int fdatasync(int fd) {
    if (!real_fdatasync) real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
    wait_5_ms();
    return real_fdatasync(fd);
}
"""


def slow_fsync(folder: Path) -> Path | None:
    """A library that, preloaded, makes every fsync of a process take 5 ms more; None without a C compiler.

    It stands where the kernel is called, below SQLite and Python alike, so nothing of the pump knows of it.
    """
    compiler = shutil.which("cc")
    if compiler is None:
        return None
    code, library = folder / "slow_fsync.c", folder / "slow_fsync.so"
    code.write_text(_SLOW_FSYNC)
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(code), "-ldl"], check=True)
    return library


class Server:
    """A server as a process of its own, which says its address on standard error."""

    def __init__(self, command: list[str], environ: Mapping[str, str] | None = None) -> None:
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, env={**os.environ, **(environ or {})})
        assert self.process.stderr is not None
        said: list[bytes] = []
        for line in self.process.stderr:
            said.append(line)
            if b"Devices may push" in line:
                break
        else:
            raise AssertionError(b"".join(said).decode())
        self.port = _port(said[-1])

    @property
    def ops_port(self) -> int:
        """Of the ops listener, which the pump reports once all of it runs. Asked once, and not of a bare handler."""
        assert self.process.stderr is not None
        return _port(next(line for line in self.process.stderr if b"The pump runs" in line))

    def end(self, *, kill: bool = False) -> int:
        """Stop it; the exit status."""
        self.process.kill() if kill else self.process.terminate()
        assert self.process.stderr is not None
        self.process.stderr.read()
        self.process.stderr.close()
        return self.process.wait()


def _port(line: bytes) -> int:
    return int(line.split(b"127.0.0.1:")[1].split(b'"')[0].split()[0])


@contextmanager
def pump(
    folder: Path, *, server: str = "", sink: str = "", environ: Mapping[str, str] | None = None
) -> Iterator[Server]:
    """The real daemon with one source and one JSON-lines sink."""
    config = folder / "pump.toml"
    config.write_text(CONFIG.format(folder=folder, server=server, sink=sink))
    running = Server([sys.executable, "-m", "pump", "run", "-c", str(config)], environ)
    try:
        yield running
    finally:
        running.end()


_BARE = """
import asyncio, sys, orjson
from aiohttp import web
async def handle(request):
    orjson.loads(await request.read())
    return web.Response(body=b'{"code":200,"message":"success","data":""}', content_type="application/json")
async def main():
    app = web.Application(client_max_size=1 << 26)
    app.router.add_post("/api/upark/capture", handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=1024).start()
    print("Devices may push 127.0.0.1:%d" % runner.addresses[0][1], file=sys.stderr, flush=True)
    await asyncio.Event().wait()
try:
    from uvloop import new_event_loop  # the pump runs on it where it is installed
except ImportError:
    new_event_loop = None
with asyncio.Runner(loop_factory=new_event_loop) as runner:
    runner.run(main())
"""


@contextmanager
def bare() -> Iterator[Server]:
    """aiohttp's own application, which parses and answers, and stores nothing."""
    running = Server([sys.executable, "-c", _BARE])
    try:
        yield running
    finally:
        running.end()


Body = Callable[[int, int], bytes | None]
"""The body of the connection's n-th request; None: it has sent enough."""


def capture(connection: int, number: int, *, run: str = "0", picture: str = "", size: int = 1500) -> bytes:
    """A capture of about `size` bytes, with a picture's base64 where one is given."""
    params = {
        "recordId": f"{run}-{connection}-{number}", "picTime": "2026-11-20T08:00:00",
        "plateNo": f"A{number % 99999:05}", "confidence": 99,
        "vehicleType": 9, "vehicleColor": 1, "plateType": 1, "plateColor": 4, "shootPosition": 1,
        "captureMode": "1", "carListType": "0", "vehicleLogoType": "A0", "vehicleBrandType": "AODI-A6-2004",
    }  # fmt: skip
    if picture:
        params |= {"picNum": 1, "picInfo": [{"type": 1, "size": len(picture) * 3 // 4, "data": picture}]}
    else:
        params["remark"] = "x" * (size - 460)
    return orjson.dumps({"version": "1.0", "parkId": "10000", "deviceId": str(1001 + connection), "params": params})


@dataclass
class Load:
    """What came of it."""

    answered: list[str] = field(default_factory=list)
    """recordIds that were answered 200."""
    seconds: list[float] = field(default_factory=list)
    refused: int = 0
    cut: int = 0
    """Connections that the server closed."""
    elapsed: float = 0.0
    cpu: float = 0.0
    """Seconds of processor time that the server took, where that was measured."""

    @property
    def figure(self) -> Figure:
        """Requests a second that were answered 200, and what each cost the server."""
        return Figure(self.rate, 1e6 * self.cpu / max(1, len(self.answered)))

    @property
    def rate(self) -> float:
        """Requests a second that were answered 200."""
        return len(self.answered) / self.elapsed

    def quantile(self, part: float) -> float:
        """Of the answers' times, seconds."""
        return sorted(self.seconds)[min(len(self.seconds) - 1, int(len(self.seconds) * part))]


_HEAD = b"POST /api/upark/%b HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"


class _Device(asyncio.Protocol):
    def __init__(
        self, connection: int, body: Body, load: Load, until: float, done: asyncio.Future[None], path: bytes
    ) -> None:
        self._path = path
        self._connection, self._body, self._load, self._until, self._done = connection, body, load, until, done
        self._number = 0
        self._sent = 0.0
        self._rest = b""
        self._record = ""
        self._left = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._send()

    def _send(self) -> None:
        body = self._body(self._connection, self._number)
        if body is None:
            self._leave()
            return
        self._record = body[body.index(b'"recordId":"') + 12 :].split(b'"', 1)[0].decode()
        self._number += 1
        self._sent = time.perf_counter()
        self._transport.writelines((_HEAD % (self._path, len(body)), body))

    def data_received(self, data: bytes) -> None:
        data = self._rest + data
        head, found, body = data.partition(b"\r\n\r\n")
        place = head.lower().find(b"content-length:")
        if not found or len(body) < int(head[place + 15 :].split(b"\r", 1)[0]):
            self._rest = data
            return
        self._rest = b""
        now = time.perf_counter()
        self._load.seconds.append(now - self._sent)
        if data.startswith(b"HTTP/1.1 200"):
            self._load.answered.append(self._record)
        else:
            self._load.refused += 1
        if now < self._until:
            self._send()
        else:
            self._leave()

    def _leave(self) -> None:
        self._left = True
        self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._load.cut += not self._left
        if not self._done.done():
            self._done.set_result(None)


def measured(server: Server, connections: int, seconds: float, body: Body) -> Load:
    """`drive`, and the server's processor time; what was refused makes the run void."""
    meter = Meter(server.process.pid)
    load = asyncio.run(drive(server.port, connections, seconds, body))
    load.cpu = meter.cpu
    assert load.answered, "nothing was answered 200"
    assert not load.refused, f"{load.refused} requests were refused, {len(load.answered)} answered 200"
    return load


async def drive(port: int, connections: int, seconds: float, body: Body, *, path: str = "capture") -> Load:
    """Post over so many keep-alive connections for so long; ends earlier where the server goes away."""
    load, loop = Load(), asyncio.get_running_loop()
    begun = time.perf_counter()
    ends: list[asyncio.Future[None]] = []
    for connection in range(connections):
        done: asyncio.Future[None] = loop.create_future()
        ends.append(done)

        def device(connection: int = connection, done: asyncio.Future[None] = done) -> _Device:
            return _Device(connection, body, load, begun + seconds, done, path.encode())

        await loop.create_connection(device, "127.0.0.1", port)
    await asyncio.gather(*ends)
    load.elapsed = time.perf_counter() - begun
    return load


def stored(path: Path) -> list[str]:
    """The recordIds of the JSON lines' passes, in the file's order; a kill may have torn the last line."""
    if not path.exists():
        return []
    found = []
    for line in path.read_bytes().split(b"\n")[:-1]:
        if b'"type":"vehicle.passed"' in line:
            found.append(line[line.index(b'"recordId":"') + 12 :].split(b'"', 1)[0].decode())
    return found
