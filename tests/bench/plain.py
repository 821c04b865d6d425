"""The least that a script of the same packages does for the same promise, as a share of the targets' limits.

Each script stores before it answers or completes, in a log that is written and fdatasynced for all that wait, and
writes a file of JSON lines behind it. It wraps what it got and knows its ids; it normalises, limits, routes and repairs
nothing: the pump does not come nearer to the limits in one process. Each is run as
`python -m tests.bench.plain WORK ARGUMENT ...`.
"""

from __future__ import annotations

import asyncio
import base64
import gc
import hashlib
import os
import queue
import struct
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Final

import aiohttp
import orjson
from aiohttp import web

from tests.bench.inside import loop_factory

_FRAME: Final = struct.Struct("<II")
_ANSWER: Final = b'{"code":200,"message":"success","data":""}'
_MQ: Final = "/api/hccgw/alarm/v1/mq"


class Log:
    """Bodies that wait are written and fdatasynced together by a thread; another one writes them as lines."""

    def __init__(self, folder: Path) -> None:
        self._file = os.open(folder / "log", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
        self._lines = os.open(folder / "lines.jsonl", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
        self._loop = asyncio.get_running_loop()
        self._groups: queue.SimpleQueue[tuple[list[bytes], list[asyncio.Future[None]]]] = queue.SimpleQueue()
        self._written: queue.SimpleQueue[list[bytes]] = queue.SimpleQueue()
        self._bodies: list[bytes] = []
        self._waiting: list[asyncio.Future[None]] = []
        self._busy = False
        for work in (self._store, self._deliver):
            threading.Thread(target=work, daemon=True).start()

    async def put(self, bodies: list[bytes]) -> None:
        """Return when they are on disk."""
        done = self._loop.create_future()
        self._bodies += bodies
        self._waiting.append(done)
        if not self._busy:
            self._hand_over()
        await done

    def _hand_over(self) -> None:
        self._busy = True
        self._groups.put((self._bodies, self._waiting))
        self._bodies, self._waiting = [], []

    def _store(self) -> None:
        while True:
            bodies, waiting = self._groups.get()
            framed = [part for body in bodies for part in (_FRAME.pack(len(body), zlib.crc32(body)), body)]
            os.write(self._file, b"".join(framed))
            os.fdatasync(self._file)
            self._loop.call_soon_threadsafe(self._stored, waiting)
            self._written.put(bodies)

    def _deliver(self) -> None:
        while True:
            os.write(self._lines, b"\n".join(self._written.get()) + b"\n")

    def _stored(self, waiting: list[asyncio.Future[None]]) -> None:
        self._busy = False
        for done in waiting:
            if not done.done():
                done.set_result(None)
        if self._bodies:
            self._hand_over()


def _event(id_: str, type_: str, time_: object, subject: object, data: dict[str, Any]) -> bytes:
    """A record in an envelope of the pump's size."""
    envelope = {"specversion": "1.0", "id": id_, "source": "//bench/gate", "type": type_, "time": time_}
    return orjson.dumps({**envelope, "subject": subject, "datacontenttype": "application/json", "data": data})


# --- the scripts ------------------------------------------------------------------------------------------------------


async def push(folder: str) -> None:
    """Take captures, with their pictures, and answer once all is on disk."""
    place = Path(folder)
    log, known, pool = Log(place), set[str](), ThreadPoolExecutor(6)
    loop = asyncio.get_running_loop()

    def keep(picture: str) -> str:
        content = base64.b64decode(picture)
        name = hashlib.sha256(content).hexdigest()
        file = os.open(place / name, os.O_CREAT | os.O_WRONLY)
        os.write(file, content)
        os.fsync(file)
        os.close(file)
        return name

    async def handle(request: web.Request) -> web.Response:
        message = orjson.loads(await request.read())
        params = message["params"]
        if (record := params["recordId"]) not in known:
            known.add(record)
            for each in params.get("picInfo", ()):
                each["data"] = await loop.run_in_executor(pool, keep, each["data"])
            data = {"plate": params["plateNo"], "confidence": params["confidence"], "raw": message}
            await log.put([_event(record, "vehicle.passed", params["picTime"], message["deviceId"], data)])
        return web.Response(body=_ANSWER, content_type="application/json")

    app = web.Application(client_max_size=1 << 26)
    app.router.add_post("/api/upark/capture", handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=1024).start()
    print(f"Devices may push 127.0.0.1:{runner.addresses[0][1]}", file=sys.stderr, flush=True)
    await asyncio.Event().wait()


async def pull(folder: str, url: str, total: str) -> None:
    """Take batches of alarms and complete each once it is on disk; prints the rate and the processor's time."""
    log, known = Log(Path(folder)), set[str]()
    headers: dict[str, str] = {}

    async def call(path: str, body: dict[str, Any]) -> Any:
        async with session.post(url + path, data=orjson.dumps(body), headers=headers) as answer:
            return orjson.loads(await answer.read()).get("data")

    headers["Content-Type"] = "application/json"
    async with aiohttp.ClientSession() as session:
        login = await call("/api/hccgw/platform/v1/token/get", {"appKey": "ak", "secretKey": "sk"})
        headers["Token"] = login["accessToken"]
        await call(f"{_MQ}/subscribe", {"subscribeType": 1, "subscribeMode": 0})
        gc.collect()
        gc.freeze()
        begun = cpu = 0.0
        done = 0
        while done < int(total):
            if not done:  # what is waited for until the first records are there does not count
                begun, cpu = time.perf_counter(), time.process_time()
            data = await call(f"{_MQ}/messages", {"maxNumberPerTime": 500})
            if not (records := data.get("alarmMsg")):
                continue
            bodies = []
            for record in records:
                known.add(id_ := f"{record.get('guid')} {record.get('alarmState')}")
                bodies.append(_event(id_, "alarm", record.get("timeInfo"), record.get("eventSource"), {"raw": record}))
            done += len(bodies)
            await log.put(bodies)
            await call(f"{_MQ}/messages/complete", {"batchId": data["batchId"]})
        wall, cpu = time.perf_counter() - begun, time.process_time() - cpu
    print(orjson.dumps({"rate": int(total) / wall, "cpu": 1e6 * cpu / int(total)}).decode(), flush=True)


# --- the table --------------------------------------------------------------------------------------------------------


def table(folder: Path, repetitions: int) -> Iterator[Any]:
    """The rows: a script's share of the limit that the target of the same work is a share of."""
    from tests.bench import targets
    from tests.bench.measure import Figure, Row, in_turns
    from tests.bench.push import _THREADS, _images, _written_pictures
    from tests.bench.push_load import Server, bare, capture, drive, measured
    from tests.bench.vendor import vendor

    images = _images()
    pictures = [capture(0, number, picture=image) for number, image in enumerate(images)]

    def pushed(made: Callable[[int, int], bytes | None], seconds: float) -> Figure:
        with tempfile.TemporaryDirectory(dir=folder) as place:
            running = Server([sys.executable, "-m", "tests.bench.plain", "push", place])
            try:
                asyncio.run(
                    drive(running.port, 64, 0.5, lambda connection, number: capture(connection, number, run="w"))
                )
                return measured(running, 64, seconds, made).figure
            finally:
                running.end(kill=True)

    def pictured() -> Figure:
        left = iter(pictures)
        return pushed(lambda connection, number: next(left, None), 60.0)

    def pulled() -> Figure:
        with vendor(targets._records()) as there, tempfile.TemporaryDirectory(dir=folder) as place:
            command = [sys.executable, "-m", "tests.bench.plain", "pull", place, there.url, "10000"]
            running = subprocess.Popen(command, stdout=subprocess.PIPE)
            asyncio.run(there.offer())
            found = orjson.loads(running.communicate(timeout=120)[0])
            assert there.completed() == 10_000, f"the vendor counts {there.completed()} of 10000 completed"
        return Figure(found["rate"], found["cpu"])

    def plainly() -> Figure:
        with bare() as server:
            return measured(server, 64, 4.0, capture).figure

    runs: dict[str, Callable[[], Figure | float]] = {
        "pull": pulled,
        "decode": partial(targets._decode, folder),
        "push": lambda: pushed(capture, 4.0),
        "bare": plainly,
        "pictures": pictured,
        "files": lambda: _written_pictures(folder, images, _THREADS),
    }
    found = in_turns(repetitions, runs)
    for what, one, limit in (
        ("a script that pulls, of bare decode", "pull", "decode"),
        ("a script that takes pushes, of the bare handler", "push", "bare"),
        ("a script that keeps pictures, of six threads writing", "pictures", "files"),
    ):
        mine, bound = found[one], found[limit]
        detail = f"{mine.rate:,.0f} of {bound.rate:,.0f}/s; CPU {mine.cpu:.1f} of {bound.cpu:.1f} µs each"
        yield Row(what, mine.rate / bound.rate, "", True, detail)


def main() -> None:
    """The script named, on the loop that the pump runs on."""
    sys.setswitchinterval(0.0001)  # as the pump has it: a thread would wait 5 ms for the interpreter
    work = {"push": push, "pull": pull}[sys.argv[1]]
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(work(*sys.argv[2:]))  # type: ignore[operator]  # their arguments differ


if __name__ == "__main__":
    main()
