"""The work that users wait for, by this build and by an older one, in turns: `python -m tests.bench --against REV`.

Each row prints this build, the older one, the limit where there is one, and the ratios. Everything goes over what both
builds have in common (`builds`). A row whose work was not all done fails, and the others go on.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import os
import random
import resource
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Final

import orjson

from pump.core.clock import Clock
from pump.sinks.sqlite import table as archive
from pump.testing.records import record
from pump.vendors.hik_connect.simulator.server import Simulator
from tests.bench.builds import PRESENT, Build, Daemon, result
from tests.bench.measure import Figure, Meter, Row, in_turns, written_by
from tests.bench.push import _THREADS, _images, _written_pictures
from tests.bench.push_load import Body, Load, bare, capture, drive, measured
from tests.bench.spool import framed
from tests.bench.vendor import Records, vendor

Run = Callable[[Build, Path], Figure]
_numbers: Final = itertools.count(1)
_HEAD: Final = """
[pump]
site = "bench"
state_dir = "{folder}/state"
[ops]
listen = "127.0.0.1:0"
[server]
listen = "127.0.0.1:0"
device_rate = 100000
max_connections_per_address = 4096
"""
_GATE: Final = '[sources.gate]\ntype = "avaeye"\n'
_KNOWN: Final = f"devices = {[str(1001 + n) for n in range(256)]}\n"
"""Those that `capture` speaks for: a site's own devices are no strangers, whose events cost more."""
_OUT: Final = '[sinks.{name}]\ntype = "jsonl"\npath = "{folder}/{name}.jsonl"\n'


@dataclass(frozen=True)
class Target:
    """A row: what is measured, how well it is to do, of what."""

    name: str
    what: str
    run: Run
    limit: Callable[[Path], Figure] | None = None
    share: float = 0.0
    """At least this part of the limit."""
    times: float = 0.0
    """At least so many times as well as the older build."""
    most: float | None = None
    """The figure is a cost, and this the most it may be."""
    unit: str = "/s"
    repetitions: int | None = None

    def row(self, found: dict[str, Figure]) -> str:
        """The line of the table."""
        mine, before, limit = found["this"], found.get("older"), found.get("limit")
        text = f"{self.what:<58} {_shown(mine, self.unit):>22}"
        met = mine.rate <= self.most if self.most is not None else limit is not None or mine.rate >= self.share
        if before is not None:
            better = before.rate / mine.rate if self.most is not None else mine.rate / before.rate
            text += f"  older {_shown(before, self.unit):>22}  × {better:5.2f}"
            if mine.cpu and before.cpu:
                text += f" (CPU × {before.cpu / mine.cpu:4.2f})"
            met = met and better >= self.times
        if limit is not None:
            part = mine.rate / limit.rate
            text += f"  limit {_shown(limit, self.unit):>22}  {part:5.2f}"
            text += f" (before {before.rate / limit.rate:4.2f})" if before is not None else ""
            met = met and part >= self.share
        wanted = f"<= {self.most:g}{self.unit}" if self.most is not None else f">= {self.share:.2f}"
        return f"{text}  {wanted:>10}  {'ok' if met else 'MISS'}"

    def alone(self, found: dict[str, Figure]) -> Row:
        """The row of this build beside its limit, without an older one."""
        mine, limit = found["this"], found.get("limit")
        unit = "" if limit is not None else self.unit
        value = mine.rate / limit.rate if limit is not None else mine.rate
        goal = f"<= {self.most:g}" if self.most is not None else f">= {self.share:.2f}"
        met = value <= self.most if self.most is not None else value >= self.share
        detail = f"{_shown(mine, self.unit)} of {_shown(limit, self.unit)}" if limit is not None else _cost(mine)
        return Row(self.what, value, goal, met, detail, unit)


def _cost(figure: Figure) -> str:
    return f"CPU {figure.cpu:,.1f} µs" if figure.cpu else ""


def _shown(figure: Figure, unit: str) -> str:
    text = f"{figure.rate:,.2f}" if figure.rate < 100 else f"{figure.rate:,.0f}"
    return text + unit + (f" {figure.cpu:.1f} µs" if figure.cpu else "")


def _fresh(folder: Path) -> Path:
    place = folder / f"run-{next(_numbers)}"
    place.mkdir()
    return place


# --- appends and pulls, inside the builds' own Pythons ----------------------------------------------------------------


def _append(batch: int, batches: int, busy: bool, build: Build, folder: Path) -> Figure:
    found = result(build.inside("append", folder=str(folder), batch=batch, batches=batches, busy=busy))
    return Figure(found["rate"], found["cpu"])


@cache
def _records() -> Records:
    return {"alarm": list(Simulator(clock=Clock()).make("alarm", 10_000))}


def _pulled(build: Build, folder: Path) -> tuple[Figure, float]:
    records = _records()
    with vendor(records) as there:
        running = build.inside("pull", folder=str(folder), url=there.url, queues=list(records), total=10_000)
        asyncio.run(there.offer())
        found = result(running)
        assert there.completed() == 10_000, f"the vendor counts {there.completed()} of 10000 completed"
    return Figure(found["rate"], found["cpu"]), found["stand"]


def _pull(build: Build, folder: Path) -> Figure:
    return _pulled(build, folder)[0]


def _pull_stand(build: Build, folder: Path) -> Figure:
    return Figure(_pulled(build, folder)[1] * 1000)


def _decode(folder: Path) -> Figure:
    records = _records()["alarm"]
    bodies = [orjson.dumps({"data": {"alarmMsg": records[n : n + 500]}}) for n in range(0, len(records), 500)]
    meter = Meter()
    for body in bodies:
        orjson.loads(body)
    return meter.figure(len(records))


# --- pushes, over the wire --------------------------------------------------------------------------------------------


@contextmanager
def _gate(build: Build, folder: Path, more: str = _KNOWN, *, sinks: int = 1, memory: str = "") -> Iterator[Daemon]:
    """A daemon that devices push to, with so many files of JSON lines."""
    place = _fresh(folder)
    outs = "".join(_OUT.format(name=f"out{n}", folder=place) for n in range(sinks))
    with build.daemon(place, _HEAD.format(folder=place) + memory + _GATE + more + outs) as running:
        yield running
    shutil.rmtree(place)


def _drive(running: Daemon, connections: int, seconds: float, body: Body) -> Load:
    meter = Meter(running.process.pid)
    load = asyncio.run(drive(running.push_port, connections, seconds, body))
    load.cpu = meter.cpu
    assert load.answered, "nothing was answered 200"
    assert not load.refused, f"{load.refused} requests were refused, {len(load.answered)} answered 200"
    return load


def _push(build: Build, folder: Path, *, sinks: int = 1) -> Figure:
    with _gate(build, folder, sinks=sinks) as running:
        load = _drive(running, 64, 4.0, capture)
        _delivered(running, len(load.answered) * sinks)
        return load.figure


def _delivered(running: Daemon, events: int) -> None:
    """Wait until the sinks have had so many; none is lost, and each line is a capture or the pump's own."""
    end = time.monotonic() + 60
    while running.metric("pump_sent_total") < events:
        assert time.monotonic() < end, f"{running.metric('pump_sent_total'):.0f} of {events} were delivered"
        time.sleep(0.2)
    assert running.metric("pump_lost_total") == 0, "events were lost before a sink had them"


def _bare_push(folder: Path) -> Figure:
    with bare() as server:
        return measured(server, 64, 4.0, capture).figure


def _sinks_kept(build: Build, folder: Path) -> Figure:
    """The part of the push rate that is left with 32 sinks, and the processor's time for each event and sink."""
    one, many = _push(build, folder), _push(build, folder, sinks=32)
    return Figure(many.rate / one.rate, (many.cpu - one.cpu) / 31)


def _pictures(build: Build, folder: Path) -> Figure:
    bodies = iter([capture(0, number, picture=image) for number, image in enumerate(_pictures_made())])
    first = iter([capture(1, 0, picture=base64.b64encode(b"\xff\xd8\xff").decode())])
    with _gate(build, folder, memory='max_body = "16MiB"\n') as running:
        _drive(running, 1, 60.0, lambda connection, number: next(first, None))
        load = _drive(running, 64, 60.0, lambda connection, number: next(bodies, None))
        assert len(load.answered) == len(_pictures_made())
        return load.figure


@cache
def _pictures_made() -> list[str]:
    return _images()


# --- signs of life ----------------------------------------------------------------------------------------------------


def _keep_alives(build: Build, folder: Path, *, devices: int = 10_000, rounds: int = 3) -> Load:
    """Every device introduces itself and then sends `rounds` keep-alives, 30 s apart, evenly; bytes in `refused`."""

    def body(connection: int, number: int) -> bytes | None:
        device = connection + 64 * number
        if device >= devices:
            return None
        params = {"deviceName": f"d{device}", "ipAddress": "192.0.2.1", "version": "V1", "keepAliveTime": 30}
        message = {"version": "1.0", "parkId": "10000", "deviceId": str(device), "params": params}
        return orjson.dumps({**message, "x": {"recordId": ""}})

    async def signs(port: int) -> int:
        answered, begun = 0, time.monotonic()
        turn = itertools.count()

        async def line() -> None:
            nonlocal answered
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            while (n := next(turn)) < devices * rounds:
                await asyncio.sleep(begun + n * 30 / devices - time.monotonic())
                message = orjson.dumps({"version": "1.0", "parkId": "10000", "deviceId": str(n % devices)})
                head = b"POST /api/upark/keepalive HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(message)
                writer.write(head + message)
                answer = await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(int(answer.lower().split(b"content-length:")[1].split()[0]))
                answered += answer.startswith(b"HTTP/1.1 200")
            writer.close()

        await asyncio.gather(*(line() for _ in range(32)))
        return answered

    names = ", ".join(f'"{device}"' for device in range(devices))
    with _gate(build, folder, f"devices = [{names}]\n") as running:
        asyncio.run(drive(running.push_port, 64, 600.0, body, path="basicinfo"))
        pid = running.process.pid
        meter, before = Meter(pid), written_by(pid)
        answered = asyncio.run(signs(running.push_port))
        assert answered == devices * rounds, f"{answered} of {devices * rounds} keep-alives were answered 200"
        return Load(refused=written_by(pid) - before, elapsed=meter.seconds, cpu=meter.cpu)


def _keep_alive_bytes(build: Build, folder: Path) -> Figure:
    load = _keep_alives(build, folder)
    return Figure(load.refused / 30_000 / 1024, 1e6 * load.cpu / 30_000)


_CAMERA: Final = """
import asyncio, sys
count, part = int(sys.argv[1]), sys.argv[2].encode()
done = asyncio.Event()
async def handle(reader, writer):
    head = await reader.readuntil(b"\\r\\n\\r\\n")
    if b"alertStream" not in head or done.is_set():
        writer.write(b"HTTP/1.1 404 Not Found\\r\\nContent-Length: 0\\r\\nConnection: close\\r\\n\\r\\n")
        await writer.drain()
        return writer.close()
    writer.write(b"HTTP/1.1 200 OK\\r\\nContent-Type: multipart/mixed; boundary=boundary\\r\\n"
                 b"Connection: close\\r\\n\\r\\n")
    print("stream", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.buffer.raw.readinto, bytearray(1))
    for number in range(count):
        body = part.replace(b"@@", b"%09d" % number)
        writer.write(b"--boundary\\r\\nContent-Type: application/xml; charset=UTF-8\\r\\n"
                     b"Content-Length: %d\\r\\n\\r\\n" % len(body) + body + b"\\r\\n")
        if number % 64 == 0:
            await writer.drain()
    await writer.drain()
    done.set()
    await asyncio.Event().wait()
async def main():
    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()
asyncio.run(main())
"""
_HEARTBEATS: Final = 'pump_source_incidents_total{source="door",what="heartbeat"}'
_ALERT: Final = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<EventNotificationAlert version="2.0" '
    'xmlns="http://www.hikvision.com/ver20/XMLSchema">\n<ipAddress>192.0.2.10</ipAddress>\n<portNo>80</portNo>\n'
    "<protocol>HTTP</protocol>\n<macAddress>00:00:5e:00:53:01</macAddress>\n<channelID>1</channelID>\n"
    "<dateTime>{time}</dateTime>\n<activePostCount>{count}</activePostCount>\n<eventType>{kind}</eventType>\n"
    "<eventState>{state}</eventState>\n<eventDescription>{kind} alarm</eventDescription>\n{more}"
    "</EventNotificationAlert>"
)


def _camera(kind: str, counted: str, build: Build, folder: Path, *, count: int = 20_000) -> Figure:
    """Parts on a camera's stream, as fast as they are read."""
    now = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime())
    if kind == "videoloss":
        part = _ALERT.format(time=now, count=0, kind=kind, state="inactive", more="")
    else:
        part = _ALERT.format(time=now, count=1, kind=kind, state="active", more="<UUID>@@</UUID>\n")
    place = _fresh(folder)
    with camera(part, count) as there:
        source = '[sources.door]\ntype = "hik-camera"\nusername = "a"\npassword = "b"\n'
        source += f'url = "http://127.0.0.1:{there.port}"\n'
        with build.daemon(
            place, _HEAD.format(folder=place) + source + _OUT.format(name="out", folder=place)
        ) as running:
            assert there.wanted()
            before, meter = _counted(running, counted), Meter(running.process.pid)
            there.begin()
            end = time.monotonic() + 120
            while _counted(running, counted) < before + count:
                assert time.monotonic() < end, f"{_counted(running, counted) - before:.0f} of {count} parts were taken"
                time.sleep(0.25)
            cpu = meter.cpu
    return Figure(1e6 * cpu / count)


class Camera:
    """A camera's stream in a process of its own, which waits for `begin`."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._in, self._out = process.stdin, process.stdout
        self.port = int(self._out.readline())

    def wanted(self) -> bool:
        """Wait until somebody has asked for the stream."""
        return self._out.readline() == b"stream\n"

    def begin(self) -> None:
        """Send the parts, as fast as they are read."""
        self._in.write(b"x")


@contextmanager
def camera(part: str, count: int) -> Iterator[Camera]:
    """A camera that sends the part so often; "@@" in it becomes the part's number."""
    process = subprocess.Popen(
        [sys.executable, "-c", _CAMERA, str(count), part], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
    )
    try:
        yield Camera(process)
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


def _counted(running: Daemon, line: str) -> float:
    text = running.get("/metrics").decode()
    return sum(float(each.rpartition(" ")[2]) for each in text.splitlines() if each.startswith(line))


# --- history ----------------------------------------------------------------------------------------------------------


def _cold_start(events: int, build: Build, folder: Path) -> Figure:
    """Seconds that a start takes beyond that on an empty spool, with nothing of either in the page cache."""
    place, empty = _filled(build, folder, events), _fresh(folder)
    found = []
    for each in (empty, place):
        _out_of_the_cache(each / "state")
        text = _HEAD.format(folder=each) + _GATE + _OUT.format(name="out", folder=each) + 'start = "now"\n'
        with build.daemon(each, text) as running:
            found.append(running.ready_s)
    return Figure(max(0.001, found[1] - found[0]))


def _out_of_the_cache(folder: Path) -> None:
    """Have the kernel read these files from the disk again."""
    for path in folder.glob("*") if folder.exists() else ():
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


_spools: dict[tuple[str, int], Path] = {}


def _filled(build: Build, folder: Path, events: int) -> Path:
    """A folder whose spool holds so many events of 300 bytes, made by that build; once for each."""
    if (build.name, events) not in _spools:
        place = _fresh(folder)
        (place / "state").mkdir(mode=0o700)
        result(build.inside("fill", folder=str(place / "state"), events=events, size=300))
        _spools[build.name, events] = place
    return _spools[build.name, events]


def _since(events: int, build: Build, folder: Path) -> Figure:
    """Seconds of `pump events --since 10m` beside so many events of yesterday."""
    place = _filled(build, folder, events)
    config = place / "pump.toml"
    config.write_text(_HEAD.format(folder=place) + _GATE)
    return _command(build, place, "events", "-c", str(config), "--since", "10m")[0]


def _command(build: Build, folder: Path, *arguments: str) -> tuple[Figure, bytes]:
    """Seconds of a command, its processor time in µs, and what it printed; starting Python and imports are in it."""
    before, begun = _children(), time.perf_counter()
    said = subprocess.run(
        build.command(*arguments), check=True, stdout=subprocess.PIPE, env=build.environ, cwd=folder
    ).stdout
    return Figure(time.perf_counter() - begun, 1e6 * (_children() - before)), said


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


_archives: dict[int, Path] = {}


def _archive(folder: Path, events: int) -> Path:
    """An archive of so many events of 40 types, one every second; both builds have the same table."""
    if events not in _archives:
        path = folder / f"archive-{events}.db"
        kinds = [f"{domain}.{n}" for domain in ("vehicle", "parking", "security", "device") for n in range(10)]
        with closing(sqlite3.connect(path, isolation_level=None)) as db:
            db.execute("PRAGMA synchronous=OFF")
            db.execute("PRAGMA journal_mode=OFF")
            for statement in archive.create():
                db.execute(statement)
            db.execute("BEGIN")
            one, rng = archive.row(record(1, size=800)), random.Random(1)
            places = {name: place for place, name in enumerate(archive.COLUMNS)}
            for first in range(0, events, 1000):
                rows = []
                for number in range(first, min(first + 1000, events)):
                    row, at = list(one), time.gmtime(1.7e9 + number)
                    row[places["id"]] = f"{number:032x}"
                    row[places["time"]] = row[places["recorded"]] = time.strftime("%Y-%m-%dT%H:%M:%SZ", at)
                    row[places["type"]] = rng.choice(kinds)
                    rows.append(row)
                db.execute(archive.upsert(len(rows)), [value for row in rows for value in row])
            db.execute("COMMIT")
        _archives[events] = path
    return _archives[events]


def _query(build: Build, folder: Path) -> Figure:
    path = _archive(folder, 1_000_000)
    figure, said = _command(build, folder, "query", "--file", str(path), "type=vehicle.*", "--limit", "10")
    assert len(said.splitlines()) >= 10
    return figure


# --- many sources -----------------------------------------------------------------------------------------------------


def _metrics_stand(sources: int, build: Build, folder: Path) -> Figure:
    """The longest that /healthz waits while /metrics is made, in milliseconds; its own time as `cpu`, in ms too."""
    place = _fresh(folder)
    gates = "".join(f'[sources.g{n}]\ntype = "avaeye"\ndevices = ["{n}"]\n' for n in range(sources))
    with build.daemon(place, _HEAD.format(folder=place) + gates + _OUT.format(name="out", folder=place)) as running:
        time.sleep(1)
        waited: list[float] = []
        stop = threading.Event()

        def probe() -> None:
            while not stop.is_set():
                begun = time.perf_counter()
                running.get("/healthz")
                waited.append(time.perf_counter() - begun)

        calm = threading.Thread(target=probe)
        calm.start()
        time.sleep(0.5)
        usual, took = sorted(waited)[len(waited) // 2], []
        waited.clear()
        for _ in range(5):
            begun = time.perf_counter()
            body = urllib.request.urlopen(running.ops_url + "/metrics", timeout=60).read()
            took.append(time.perf_counter() - begun)
            assert body.count(b"pump_up{") >= sources
        stop.set()
        calm.join()
        return Figure(1000 * max(0.0001, max(waited) - usual), 1000 * sorted(took)[2])


TARGETS: Final[Sequence[Target]] = (
    Target("pull", "pull of 500-event batches to durable, of bare decode", _pull, _decode, share=0.16, times=2.0),
    Target("stand", "  the loop's longest stand-still meanwhile", _pull_stand, most=10, unit=" ms"),
    Target("push", "push, 64 connections of 1.5 KB, of the bare handler", _push, _bare_push, share=0.55),
    *(
        Target(
            "append", f"append, batch {batch}, of a framed append with fdatasync",
            partial(_append, batch, batches, False), partial(framed, batch=batch), share=share,
        )
        for batch, batches, share in ((500, 40, 0.35), (30, 200, 0.60), (1, 400, 0.40))
    ),
    Target(
        "append", "append, batch 1, loop busy", partial(_append, 1, 100, True), partial(framed, batch=1), share=0.15
    ),
    Target(
        "pictures", "200 KB pictures pushed, of six threads writing with fsync", _pictures,
        lambda folder: _written_pictures(folder, _pictures_made(), _THREADS), share=0.45,
    ),
    Target(
        "camera", "a heartbeat on a camera's stream, CPU",
        partial(_camera, "videoloss", _HEARTBEATS), most=30, unit=" µs",
    ),
    Target(
        "camera", "an event on a camera's stream, CPU", partial(_camera, "ANPR", "pump_sent_total"), most=70, unit=" µs"
    ),
    Target(
        "keepalive", "10,000 devices' keep-alives, written each", _keep_alive_bytes, most=0.5, unit=" KiB",
        repetitions=1,
    ),
    Target(
        "start", "spool of 5 million events, cold start beyond an empty one", partial(_cold_start, 5_000_000), most=0.5,
        unit=" s",
    ),
    Target("sinks", "1 → 32 sinks, part of the push rate kept; CPU an event", _sinks_kept, share=0.6, unit=""),
    Target("query", "pump query type='vehicle.*' --limit 10 in 1 M", _query, most=0.2, unit=" s"),
    Target("since", "pump events --since 10m in 1 M", partial(_since, 1_000_000), most=0.3, unit=" s"),
    Target(
        "metrics", "/metrics of 2,000 sources: /healthz waits; ms it takes", partial(_metrics_stand, 2000), most=20,
        unit=" ms",
    ),
)  # fmt: skip


def rows(folder: Path, repetitions: int) -> Iterator[Row]:
    """All of them for this build alone, as the other parts' tables have theirs."""
    for target in TARGETS:
        runs: dict[str, Callable[[], Figure | float]] = {"this": partial(target.run, PRESENT, folder)}
        if target.limit is not None:
            runs["limit"] = partial(target.limit, folder)
        yield target.alone(in_turns(target.repetitions or repetitions, runs))


def compare(builds: Sequence[Build], names: Sequence[str], repetitions: int) -> bool:
    """Print the rows of these names, all where none is; False where one could not be measured."""
    whole = True
    for target in TARGETS:
        if names and target.name not in names:
            continue
        with tempfile.TemporaryDirectory(prefix="pump-bench-") as place:
            _spools.clear()
            _archives.clear()
            folder = Path(place)
            runs: dict[str, Callable[[], Figure | float]] = {}
            for word, build in zip(("this", "older"), builds, strict=False):
                runs[word] = partial(target.run, build, folder)
            if target.limit is not None:
                runs["limit"] = partial(target.limit, folder)
            try:
                print(target.row(in_turns(target.repetitions or repetitions, runs)), flush=True)
            except Exception as error:  # noqa: BLE001  # the other rows are measured all the same
                print(f"{target.what:<58} FAILED  {type(error).__name__}: {error}", flush=True)
                whole = False
    print(f"load of the machine: {' '.join(f'{each:.1f}' for each in os.getloadavg())} of {os.cpu_count()} cores")
    return whole
