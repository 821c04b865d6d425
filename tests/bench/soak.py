"""The daemon under steady traffic of every vendor into every kind of sink, for as long as wanted: is its memory flat?

    python -m tests.bench.soak --minutes 60

By hand, not in CI. It prints a line a minute and at the end the slope of each stretch of a quarter of an hour, in MiB
a minute. The bound: what is resident grows by no more than 2 MiB after the first 15 minutes. `--census` adds what
objects there are; `--keep FOLDER` keeps all files there. On a machine that has other work use `--nice -15` (as root):
what the daemon cannot do in time it keeps, which is a backlog and no leak (the links that wait are in each line).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from aiohttp import web

from pump.core.clock import Clock
from pump.testing.brokers import NatsServer, free_port
from pump.vendors.avaeye.simulator import Fleet
from pump.vendors.avaeye.simulator.messages import STEADY
from pump.vendors.hik_camera.simulator import Simulator as Camera
from pump.vendors.hik_connect.simulator import Simulator as Teams
from pump.vendors.hik_gateway.simulator import Simulator as Gateway
from pump.vendors.kinot.simulator import Simulator as Kinot
from tests.bench.measure import Row

SETTLED: Final = 15.0
"""Minutes after which nothing may grow any more."""
GROWTH: Final = 2.0
"""MiB that it may grow by then."""
_STRETCH: Final = 15.0
_SHARES: Final = {"hik-connect": 0.3, "avaeye": 0.25, "hik-gateway": 0.2, "kinot": 0.15, "hik-camera": 0.1}
"""Of the rate, by vendor."""
_MIB: Final = 1 << 20

_CONFIG: Final = """
[pump]
site = "soak"
state_dir = "{folder}/state"
[ops]
listen = "127.0.0.1:{ops}"
[server]
listen = "127.0.0.1:{push}"
[spool]
retention = "{retention}"
[media]
retention = "{retention}"
[sources.teams]
type = "hik-connect"
server = "{teams}"
app_key = "ak"
secret_key = "sk"
queues = ["combine", "alarm"]
[sources.arc]
type = "hik-gateway"
url = "{arc}"
username = "admin"
password = "secret1"
[sources.door]
type = "hik-camera"
url = "{door}"
username = "admin"
password = "Camera-1"
event_timeout = "2s"
[sources.gate]
type = "avaeye"
[sources.bays]
type = "kinot"
server = "{bays}"
app_key = "ak"
app_secret = "sk"
register_callbacks = false
snapshot = "1m"
[sinks.out]
type = "jsonl"
path = "{folder}/events.jsonl"
rotate_bytes = "64MiB"
rotate_keep = 2
[sinks.hook]
type = "webhook"
url = "{hook}"
batch_size = 50
allow_private = true
secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
[sinks.archive]
type = "sqlite"
path = "{folder}/archive.db"
[sinks.broker]
type = "mqtt"
url = "{mqtt}"
states = ["parking.*", "device.*", "vehicle.passed", "security.*", "video.*", "access.door.*"]
home_assistant = "homeassistant"
[sinks.stream]
type = "nats"
servers = "{nats}"
max_bytes = "256MiB"
"""


@dataclass(frozen=True)
class Sample:
    """What the daemon's process held at a moment; MiB where nothing else is said."""

    minute: float
    rss: float
    uss: float
    files: int
    threads: int
    wal: float
    events: int
    links: int

    def __str__(self) -> str:
        return (
            f"{self.minute:7.1f} min  rss {self.rss:7.2f}  uss {self.uss:7.2f}  files {self.files:3}  "
            f"threads {self.threads:2}  wal {self.wal:5.1f}  links {self.links:5}  "
            f"events {self.events}"
        )


def slope(samples: list[tuple[float, float]]) -> float:
    """The least squares' slope of (minute, value); 0 where there are too few."""
    if len(samples) < 2:
        return 0.0
    mean_x = sum(x for x, _ in samples) / len(samples)
    mean_y = sum(y for _, y in samples) / len(samples)
    spread = sum((x - mean_x) ** 2 for x, _ in samples)
    return sum((x - mean_x) * (y - mean_y) for x, y in samples) / spread if spread else 0.0


# --- the world: vendors and a receiver of webhooks, in a process of their own -----------------------------------------


async def _world(rate: float, push: int) -> None:
    """Open everything, print the addresses as a line of JSON, and make traffic until killed."""
    clock = Clock()
    each = {name: rate * share for name, share in _SHARES.items()}
    async with AsyncExitStack() as stack:
        fleet = await stack.enter_async_context(Fleet(12, rate=each["avaeye"], curves=(STEADY,), picture=2000))
        teams = await stack.enter_async_context(Teams(clock=clock, rate_limit=None))
        arc = await stack.enter_async_context(Gateway(clock=clock))
        door = await stack.enter_async_context(Camera(clock=clock))
        bays = await stack.enter_async_context(Kinot(clock=clock, bays=200))
        hook = await _receiver(stack)
        print(json.dumps({"teams": teams.url, "arc": arc.url, "door": door.url, "bays": bays.url, "hook": hook}))
        sys.stdout.flush()
        address = f"http://127.0.0.1:{push}"
        bays.register(f"{address}/kinot/bays")
        await fleet.reach(address)
        await asyncio.gather(
            teams.traffic(each["hik-connect"]),
            arc.traffic(each["hik-gateway"]),
            door.traffic(each["hik-camera"]),
            bays.traffic(each["kinot"], curve=False),
            _forget(fleet, bays),
        )


async def _receiver(stack: AsyncExitStack) -> str:
    async def take(request: web.Request) -> web.Response:
        await request.read()
        return web.Response(status=204)

    app = web.Application(client_max_size=64 << 20)
    app.router.add_post("/hook", take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return f"http://127.0.0.1:{runner.addresses[0][1]}/hook"


async def _forget(fleet: Fleet, bays: Kinot) -> None:
    """Keep the simulators' own books short: they are made for tests of seconds."""
    while True:
        await asyncio.sleep(60)
        for camera in fleet.cameras:
            camera.answered.clear()
        bays.platform.callbacks[:] = [each for each in bays.platform.callbacks if not each.acknowledged]
        bays.asked.clear()


# --- the daemon -------------------------------------------------------------------------------------------------------


def _sample(pid: int, begun: float, folder: Path, ops: int) -> Sample:
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    sizes = {line.split(":")[0]: int(line.split()[1]) / 1024 for line in rollup.splitlines()[1:]}
    wal = folder / "state" / "spool.db-wal"
    with contextlib.closing(urllib.request.urlopen(f"http://127.0.0.1:{ops}/status", timeout=60)) as answer:
        status = json.load(answer)
    return Sample(
        (time.monotonic() - begun) / 60,
        sizes["Rss"],
        sizes["Private_Clean"] + sizes["Private_Dirty"],
        len(os.listdir(f"/proc/{pid}/fd")),
        len(os.listdir(f"/proc/{pid}/task")),
        wal.stat().st_size / _MIB if wal.exists() else 0.0,
        status["spool"]["head"],
        _waiting(ops),
    )


def _waiting(ops: int) -> int:
    """Links to pictures that are still to be fetched."""
    with contextlib.closing(urllib.request.urlopen(f"http://127.0.0.1:{ops}/metrics", timeout=60)) as answer:
        found = re.search(rb"^pump_media_waiting (\S+)$", answer.read(), re.MULTILINE)
    return int(float(found[1])) if found else 0


def _inside(path: Path) -> list[dict[str, Any]]:
    """What the daemon's process has written of itself."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def _shown(found: dict[str, Any]) -> str:
    return "  ".join(
        f"{name} {value:.2f}" if isinstance(value, float) else f"{name} {value}"
        for name, value in found.items()
        if name not in {"at", "census", "garbage"}
    )


@contextlib.contextmanager
def _processes(folder: Path, options: argparse.Namespace) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """The world and the daemon; yields the daemon and the port of its ops listener."""
    push, ops = free_port(), free_port()
    command = [sys.executable, "-m", "tests.bench.soak", "--world", str(push), "--rate", str(options.rate)]
    world = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=(folder / "world.log").open("ab"))
    try:
        assert world.stdout is not None
        said = world.stdout.readline()
        assert said, (folder / "world.log").read_text()
        brokers = NatsServer(folder / "nats", mqtt=True)
        runner = asyncio.Runner()
        runner.run(brokers.start())
        try:
            path = folder / "pump.toml"
            path.write_text(
                _CONFIG.format(
                    folder=folder, push=push, ops=ops, retention=options.retention, nats=brokers.url,
                    mqtt=brokers.mqtt_url, **json.loads(said),
                )
            )  # fmt: skip
            inside = [str(folder / "inside.jsonl"), "30", str(options.census * 60)]
            daemon = subprocess.Popen(
                [sys.executable, "-m", "tests.bench.soak_inside", *inside, "run", "-c", str(path)],
                stderr=(folder / "daemon.log").open("ab"),
            )
            try:
                yield daemon, ops
            finally:
                if daemon.poll() is None:
                    daemon.send_signal(signal.SIGTERM)
                    daemon.wait(60)
        finally:
            runner.run(brokers.kill())
            runner.close()
    finally:
        world.kill()
        world.wait()


def run(folder: Path, options: argparse.Namespace) -> Iterator[Row]:
    """Soak, with a line a minute; then the rows."""
    samples: list[Sample] = []
    with _processes(folder, options) as (daemon, ops):
        begun = time.monotonic()
        with contextlib.suppress(KeyboardInterrupt):  # ended early it has its rows all the same
            time.sleep(15)
            while not samples or samples[-1].minute < options.minutes:
                assert daemon.poll() is None, (folder / "daemon.log").read_text()[-4000:]
                samples.append(_sample(daemon.pid, begun, folder, ops))
                inside = _inside(folder / "inside.jsonl")
                print(samples[-1], _shown(inside[-1]) if inside else "", flush=True)
                time.sleep(60)
    yield from _rows(samples)


def _rows(samples: list[Sample]) -> Iterator[Row]:
    for start in range(0, int(samples[-1].minute) if samples else 0, int(_STRETCH)):
        stretch = [each for each in samples if start <= each.minute < start + _STRETCH]
        if len(stretch) > 2:
            rate = (stretch[-1].events - stretch[0].events) / (stretch[-1].minute - stretch[0].minute) / 60
            rss = slope([(each.minute, each.rss) for each in stretch])
            uss = slope([(each.minute, each.uss) for each in stretch])
            words = f"rss; uss {uss:+.3f}; {rate:.0f} events/s"
            yield Row(f"minutes {start} to {start + _STRETCH:.0f}", rss, "", True, words, " MiB/min")
    settled = [each for each in samples if each.minute >= SETTLED]
    if len(settled) > 2:
        grown = max(each.rss for each in settled) - settled[0].rss
        words = f"over {settled[-1].minute - settled[0].minute:.0f} minutes; the first is {settled[0].rss:.1f} MiB"
        yield Row(f"growth after {SETTLED:.0f} minutes", grown, f"<= {GROWTH:.0f}", grown <= GROWTH, words, " MiB")
        rest = slope([(each.minute, each.rss) for each in settled])
        yield Row(f"slope after {SETTLED:.0f} minutes", rest, "", True, "resident", " MiB/min")
        hour = rest * 60
        yield Row("that slope over an hour", hour, f"<= {GROWTH:.0f}", hour <= GROWTH, "resident", " MiB")


def _hurry(nice: int) -> None:
    """Have this process, and what it starts, run before others. Raises OSError where that is not allowed.

    Where Linux shares the processors among sessions niceness counts within one alone: the session's own is set too.
    """
    os.setpriority(os.PRIO_PROCESS, 0, nice)
    session = Path("/proc/self/autogroup")
    if session.exists():
        session.write_text(str(nice))


def main() -> None:
    """Read the options and run."""
    parser = argparse.ArgumentParser(description="The daemon's memory under steady traffic.")
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--rate", type=float, default=200.0, help="events a second of all vendors together")
    parser.add_argument("--retention", default="10m", help="of the spool and the media")
    parser.add_argument("--census", type=float, default=0.0, help="minutes from one count of objects to the next")
    parser.add_argument("--nice", type=int, default=0, help="for all of its processes, as nice(1)")
    parser.add_argument("--keep", type=Path, help="a folder for all files, made where missing")
    parser.add_argument("--world", type=int, default=0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.world:
        asyncio.run(_world(options.rate, options.world))
        return
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that what was started is ended
    if options.nice:
        _hurry(options.nice)
    with contextlib.ExitStack() as stack:
        folder = options.keep or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pump-soak-")))
        folder.mkdir(parents=True, exist_ok=True)
        for row in run(folder.absolute(), options):
            print(row, flush=True)


if __name__ == "__main__":
    main()
