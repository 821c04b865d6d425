"""The daemon as its own process: it runs, is stopped, killed, refused, and outlives parts that misbehave."""

from __future__ import annotations

import asyncio
import json
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from pump.config import load
from pump.core.clock import Clock
from pump.core.errors import Unavailable
from pump.runtime.daemon import Daemon
from pump.spool import Cursor, Spool, SpoolSettings
from pump.spool.errors import Verdict
from pump.telemetry.metrics import Metrics
from pump.testing.standins import StandIns
from pump.vendors.hik_connect.simulator.messages import identity
from pump.vendors.hik_connect.simulator.server import Simulator
from tests.environ import BARE

Line = dict[str, Any]


class Process:
    """A daemon of its own, with the stand-ins; its log is read as it comes."""

    def __init__(self, config: Path, *command: str, **environ: str) -> None:
        arguments = command or ("-m", "pump.testing.standins")
        self.popen = subprocess.Popen(
            [sys.executable, *arguments, "-c", str(config)],
            stderr=subprocess.PIPE,
            env={**BARE, **environ},
        )
        self.log: list[Line] = []
        self._lines: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, name="log reader")
        self._reader.start()

    def _read(self) -> None:
        assert self.popen.stderr is not None
        for line in self.popen.stderr:
            self._lines.put(line)
        self._lines.put(None)

    def until(self, event: str, **keys: object) -> Line:
        """The first line of the log, from here on, with this sentence and these keys."""
        while (raw := self._lines.get()) is not None:
            line = self._take(raw)
            if line["event"] == event and all(line.get(key) == value for key, value in keys.items()):
                return line
        raise AssertionError(f"the log has ended without: {event}; it was {self.log}")

    def _take(self, raw: bytes) -> Line:
        line: Line = json.loads(raw) if raw.startswith(b"{") else {"event": raw.decode()}
        self.log.append(line)
        return line

    def ready(self) -> str:
        """Wait until it runs; the ops listener's address."""
        return str(self.until("The pump runs")["ops"])

    def signal(self, number: signal.Signals) -> None:
        self.popen.send_signal(number)

    def wait(self, timeout: float | None = None) -> int:
        """Its exit status; the whole log is in `log` then."""
        code = self.popen.wait(timeout)
        while (raw := self._lines.get()) is not None:
            self._take(raw)
        return code

    def close(self) -> None:
        if self.popen.poll() is None:
            self.popen.kill()
        self.popen.wait()
        self._reader.join()
        assert self.popen.stderr is not None
        self.popen.stderr.close()

    def said(self, event: str) -> list[Line]:
        return [line for line in self.log if line["event"] == event]


class Site:
    """A folder with a pump.toml, and what its daemon leaves behind."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.out = folder / "out.jsonl"
        self.config = folder / "pump.toml"
        self.parts()

    def parts(self, text: str = "", *, ops: str = "127.0.0.1:0") -> None:
        """Write pump.toml: a jsonl sink "out", and these tables."""
        self.config.write_text(
            f'[pump]\nsite = "garage"\nstate_dir = "{self.folder}/state"\n[ops]\nlisten = "{ops}"\n'
            f'[sinks.out]\ntype = "jsonl"\npath = "{self.out}"\n{text}'
        )

    @contextmanager
    def process(self, *command: str, **environ: str) -> Iterator[Process]:
        process = Process(self.config, *command, **environ)
        try:
            yield process
        finally:
            process.close()

    def events(self) -> list[Line]:
        """What the sink wrote so far, whole lines only."""
        text = self.out.read_bytes() if self.out.exists() else b""
        return [json.loads(line) for line in text[: text.rfind(b"\n") + 1].splitlines()]

    def of_type(self, type_: str) -> list[Line]:
        return [event["data"] for event in self.events() if event["type"] == type_]

    def numbers(self) -> list[int]:
        return [data["raw"]["number"] for data in self.of_type("vehicle.passed")]

    def has(self, n: int) -> bool:
        """Whether more than `n` numbers are written."""
        return len(self.numbers()) > n

    def cursor(self, sink: str) -> tuple[Cursor | None, int]:
        """Where the sink stands in the closed spool, and the spool's head."""

        async def main() -> tuple[Cursor | None, int]:
            state = self.folder / "state"
            spool = await Spool.open(state, SpoolSettings(), clock=Clock(), metrics=Metrics())
            try:
                return spool.cursor(sink), spool.head
            finally:
                await spool.close()

        return asyncio.run(main())


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


NUMBERS = '[sources.numbers]\ntype = "numbers"\n'
HANGING = '[sinks.{0}]\ntype = "hanging"\nhow = "{0}"\n'


def until(condition: Callable[[], bool]) -> None:
    """Another process's files and answers give no signal: look again and again; pytest's timeout ends it."""
    while not condition():
        time.sleep(0.02)


def get(url: str) -> tuple[int, str, str]:
    """Status, content type and body."""
    try:
        with urllib.request.urlopen(url) as answer:
            return answer.status, answer.headers["Content-Type"], answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers["Content-Type"], error.read().decode()


def states(url: str) -> dict[str, str]:
    return {part["name"]: part["state"] for part in json.loads(get(url + "/status")[2])["components"]}


# --- run and stop -----------------------------------------------------------------------------------------------------


def test_events_flow_and_a_stop_leaves_everything_stored(site: Site) -> None:
    site.parts(NUMBERS)
    for previous in ("none", "clean", "clean"):
        seen = len(site.numbers())
        with site.process() as process:
            process.ready()
            until(partial(site.has, seen + 100))
            process.signal(signal.SIGTERM)
            assert process.wait() == 0
            assert process.log[-1]["event"] == "The pump has stopped"
        assert site.of_type("pump.started")[-1]["previous"] == previous
        assert site.events()[-1]["type"] in ("pump.stopping", "vehicle.passed")
        cursor, head = site.cursor("out")
        assert cursor is not None
        assert cursor.seq == head
    numbers = site.numbers()
    assert numbers == list(range(len(numbers)))
    assert len(site.of_type("pump.stopping")) == 3
    assert len({data["instance"] for data in site.of_type("pump.started")}) == 1


def test_ctrl_c_is_a_stop_too(site: Site) -> None:
    with site.process("-m", "pump", "run") as process:
        process.ready()
        process.signal(signal.SIGINT)
        assert process.wait() == 0
        assert process.said("Stopping")[0]["signal"] == "SIGINT"


def test_after_a_kill_the_next_start_says_so_and_nothing_is_lost_or_doubled(site: Site) -> None:
    site.parts(NUMBERS)
    for _ in range(3):
        seen = len(site.numbers())
        with site.process() as process:
            process.ready()
            until(partial(site.has, seen + 50))
            process.signal(signal.SIGKILL)
            process.wait()
    with site.process() as process:
        process.ready()
        process.signal(signal.SIGTERM)
        assert process.wait() == 0
    assert [data["previous"] for data in site.of_type("pump.started")] == ["none", "unclean", "unclean", "unclean"]
    numbers = site.numbers()
    assert numbers == list(range(len(numbers)))


@pytest.mark.long  # it waits for every deadline of a stop, which test_supervisor.py does by a clock of its own
def test_hung_sinks_and_sources_are_named_and_the_daemon_still_stops_in_time(site: Site) -> None:
    hanging = "".join(HANGING.format(how) for how in ("await", "stubborn", "thread"))
    site.parts(NUMBERS + '[sources.stuck]\ntype = "hanging"\n' + hanging)
    with site.process() as process:
        url = process.ready()
        until(lambda: len(site.numbers()) > 100)
        assert json.loads(get(url + "/status")[2])["sinks"]["stubborn"]["lag"] > 0
        process.signal(signal.SIGTERM)
        assert process.wait(timeout=40) == 0  # the promise itself, hence a limit
        undone = process.said("Sinks have not had everything and go on from there at the next start")[0]["parts"]
        assert sorted(undone) == ["sink await", "sink stubborn", "sink thread"]
        late = {line["part"] for line in process.said("A part has not ended by its deadline")}
        # delivery gives up its sinks itself where its patience ends before the supervisor's
        late |= {"sink " + line["sink"] for line in process.said("A sink cannot be cancelled and is left behind")}
        assert late == {"source stuck", "sink stubborn", "sink thread"}
    assert site.events()[-1]["type"] in ("pump.stopping", "vehicle.passed")
    cursor, head = site.cursor("out")
    assert cursor is not None
    assert cursor.seq == head
    assert site.numbers() == list(range(len(site.numbers())))


def test_a_second_signal_stops_at_once(site: Site) -> None:
    site.parts(NUMBERS + HANGING.format("stubborn"))
    with site.process() as process:
        process.ready()
        until(lambda: len(site.numbers()) > 20)
        process.signal(signal.SIGTERM)
        process.until("Stopping")
        process.signal(signal.SIGTERM)
        process.until("Stopping at once")
        assert process.wait() == 0
        assert not process.said("Sinks have not had everything and go on from there at the next start")
    with site.process() as process:
        process.ready()
        until(lambda: len(site.of_type("pump.started")) == 2)
        assert site.of_type("pump.started")[1]["previous"] == "clean"
    assert site.numbers() == list(range(len(site.numbers())))


async def test_hik_connect_end_to_end(site: Site) -> None:
    async def main() -> None:
        async with Simulator(clock=Clock()) as vendor:
            site.parts(
                f'[sources.teams]\ntype = "hik-connect"\nserver = "{vendor.url}"\napp_key = "ak"\nsecret_key = "sk"\n'
                'poll_interval = "250ms"\n'
            )
            queue = vendor.account.queues["combine"]
            traffic = asyncio.create_task(vendor.traffic(200.0))

            def reached(n: int) -> bool:
                return len(queue.completed) >= n

            for stop in (signal.SIGTERM, signal.SIGKILL, signal.SIGTERM):
                enough = len(queue.completed) + 200
                with site.process("-m", "pump", "run") as process:
                    await asyncio.to_thread(process.ready)
                    await asyncio.to_thread(until, partial(reached, enough))
                    process.signal(stop)
                    code = await asyncio.to_thread(process.wait)
                    assert code == (0 if stop is signal.SIGTERM else -stop)
                    log = "".join(map(str, process.log))
                    assert all(token not in log for token in vendor.account.tokens)
            traffic.cancel()
            await asyncio.wait({traffic})
            assert queue.subscriptions == 1  # a stop does not unsubscribe
            assert queue.lost == []
            written = [identity(data["raw"]) for event in site.events() if (data := event["data"]).get("raw")]
            assert len(written) == len(set(written))
            assert [each for each in written if each in set(queue.completed)] == queue.completed
            assert set(written) <= set(queue.put)

    await main()
    assert [data["previous"] for data in site.of_type("pump.started")] == ["none", "clean", "unclean"]


# --- refusals ---------------------------------------------------------------------------------------------------------


def test_a_second_daemon_is_refused(site: Site) -> None:
    with site.process() as first:
        url = first.ready()
        with site.process() as second:
            assert second.wait() == 1
            told = second.said("Another daemon runs with this state directory")[0]
            assert told["pid"] == first.popen.pid
            assert str(first.popen.pid) in told["reason"]
        assert get(url + "/healthz")[0] == 200


def test_a_taken_ops_port_is_told(site: Site) -> None:
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        site.parts(ops=address)
        with site.process() as process:
            assert process.wait() == 1
            assert process.said("The ops listener cannot listen")[0]["address"] == address


def test_a_wrong_configuration_ends_with_78(site: Site) -> None:
    site.config.write_text('[sinks.out]\ntype = "jsnol"\n')
    with site.process("-m", "pump", "run") as process:
        assert process.wait() == 78


def test_a_state_directory_that_cannot_be_made(site: Site) -> None:
    (site.folder / "state").write_text("a file is in the way")
    with site.process() as process:
        assert process.wait() == 1
        (line,) = process.said("This machine does not give what the configuration names, or not yet")
        assert line["key"] == "pump.state_dir"
        assert line["reason"].endswith("is no folder")


# --- parts that misbehave ---------------------------------------------------------------------------------------------


def test_a_source_that_always_fails_touches_nobody(site: Site) -> None:
    site.parts(NUMBERS + '[sources.broken]\ntype = "broken"\n')
    with site.process() as process:
        url = process.ready()
        told = process.until("A part failed unexpectedly and will be started again", part="source broken")
        assert "broken on purpose" in told["exception"]
        until(lambda: 'pump_restarts_total{part="source broken"} 2.0' in get(url + "/metrics")[2])
        seen = len(site.numbers())
        until(lambda: len(site.numbers()) > seen + 100)
        assert states(url)["source broken"] == "down"
        assert states(url)["source numbers"] == "up"
        code, _, body = get(url + "/readyz")
        assert code == 503
        reasons = json.loads(body)["reasons"]
        assert reasons == ["source broken is down: it failed unexpectedly; the log has it whole"]
        assert get(url + "/healthz")[0] == 200
        until(lambda: len(site.of_type("pump.source.down")) == 1)
        process.signal(signal.SIGTERM)
        assert process.wait() == 0
    assert site.numbers() == list(range(len(site.numbers())))


def test_a_silent_source_is_told(site: Site) -> None:
    site.parts('[sources.stuck]\ntype = "hanging"\nhow = "await"\nexpects = "500ms"\n')
    with site.process() as process:
        url = process.ready()
        process.until("A part has stalled", part="source stuck")
        assert states(url)["source stuck"] == "stalled"
        assert json.loads(get(url + "/readyz")[2])["reasons"] == ["source stuck is stalled: no sign of life for 0.5 s"]
        assert 'pump_component_state{part="source stuck",state="stalled"} 1.0' in get(url + "/metrics")[2]


def test_what_a_sink_that_does_not_hold_has_lost_is_told(site: Site) -> None:
    slow = HANGING.format("await") + 'hold = false\ntimeout = "500ms"\n'
    site.parts(NUMBERS + slow + '[spool]\nretention = "1s"\n')
    with site.process() as process:
        url = process.ready()
        until(lambda: bool(site.of_type("pump.gap")))
        gap = site.of_type("pump.gap")[0]
        assert (gap["sink"], gap["reason"]) == ("await", "removed before the sink had them")
        assert gap["count"] > 0
        assert gap["from"] <= gap["to"]
        assert json.loads(get(url + "/status")[2])["spool"]["floor"] > 0
        process.signal(signal.SIGTERM)
        assert process.wait() == 0
    assert site.numbers() == list(range(len(site.numbers())))


def test_disabled_parts_are_not_built(site: Site) -> None:
    site.parts('[sources.off]\ntype = "broken"\nenabled = false\n[sinks.off]\ntype = "hanging"\nenabled = false\n')
    with site.process() as process:
        url = process.ready()
        assert not {"source off", "sink off"} & states(url).keys()
        assert [*json.loads(get(url + "/status")[2])["sinks"]] == ["out"]


# --- what it tells ----------------------------------------------------------------------------------------------------


def test_the_ops_endpoints(site: Site) -> None:
    site.parts(NUMBERS)
    with site.process() as process:
        url = process.ready()
        until(lambda: len(site.numbers()) > 20)
        assert get(url + "/healthz")[0] == 200
        assert get(url + "/readyz") == (200, "application/json", '{"ok":true,"reasons":[]}\n')
        code, kind, metrics = get(url + "/metrics")
        assert (code, kind.partition(";")[0]) == (200, "text/plain")
        assert 'pump_up{part="source numbers"} 1.0' in metrics
        assert get(url + "/nothing")[0] == 404
        status = json.loads(get(url + "/status")[2])
        assert status.keys() >= {"site", "version", "uptime_s", "spool", "components", "sinks"}
        assert status["spool"].keys() == {"head", "floor", "bytes", "max_bytes", "full", "strangers", "dead", "oldest"}
        assert status["spool"]["oldest"].endswith("Z")
        assert status["sinks"]["out"].keys() == {"position", "lag", "dead"}
        part = next(part for part in status["components"] if part["name"] == "source numbers")
        assert part.keys() == {"name", "state", "reason", "since", "idle_s", "details", "failing"}


def test_systemd_is_told(site: Site) -> None:
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as manager:
        name = str(site.folder / "notify")
        manager.bind(name)
        with site.process(NOTIFY_SOCKET=name, WATCHDOG_USEC="200000") as process:
            told: list[str] = []

            def hear(beginning: str) -> None:
                while not told or not told[-1].startswith(beginning):
                    told.append(manager.recv(4096).decode())

            hear("READY=1")
            process.ready()
            hear("WATCHDOG=1")
            hear("WATCHDOG=1")
            process.signal(signal.SIGHUP)
            hear("RELOADING=1\nMONOTONIC_USEC=")
            hear("READY=1")
            process.until("The configuration was read again")
            process.signal(signal.SIGTERM)
            hear("STOPPING=1")
            assert process.wait() == 0


# --- inside another program -------------------------------------------------------------------------------------------


async def test_embedded(site: Site) -> None:
    site.parts(NUMBERS)
    interval = sys.getswitchinterval()

    daemon = Daemon(load(site.config, kinds=StandIns()), kinds=StandIns())
    with pytest.raises(RuntimeError):
        _ = daemon.spool
    running = asyncio.create_task(daemon.run(signals=False))
    await daemon.ready.wait()
    assert daemon.ops_url.startswith("http://127.0.0.1:")
    await daemon.spool.wait_above(50)
    assert daemon.health.component("source numbers").state == "up"
    daemon.stop()
    assert await running == 0
    assert site.numbers() == list(range(len(site.numbers())))
    assert sys.getswitchinterval() == interval


def test_embedded_and_cancelled_everything_is_closed(site: Site) -> None:
    site.parts(NUMBERS)

    async def main(*, cancel: bool) -> None:
        daemon = Daemon(load(site.config, kinds=StandIns()), kinds=StandIns())
        running = asyncio.create_task(daemon.run(signals=False))
        await daemon.ready.wait()
        await daemon.spool.wait_above(daemon.spool.head + 50)
        if cancel:
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
        else:
            daemon.stop()
            assert await running == 0

    for cancel in (True, True, False):  # the lock is free each time, the spool whole
        asyncio.run(main(cancel=cancel))
    assert [data["previous"] for data in site.of_type("pump.started")] == ["none", "unclean", "unclean"]
    assert site.numbers() == list(range(len(site.numbers())))


@pytest.mark.parametrize("step", [30, pytest.param(4, marks=[pytest.mark.long, pytest.mark.timeout(600)])])
def test_a_stop_at_any_moment_of_the_start_is_a_clean_one(site: Site, step: int) -> None:
    site.parts(NUMBERS)

    async def main(passes: int) -> None:
        daemon = Daemon(load(site.config, kinds=StandIns()), kinds=StandIns())
        running = asyncio.create_task(daemon.run(signals=False))
        for _ in range(passes):
            await asyncio.sleep(0)
        daemon.stop()
        assert await running == 0

    for passes in range(0, 300, step):
        asyncio.run(main(passes))
    assert {data["previous"] for data in site.of_type("pump.started")} <= {"none", "clean"}
    assert site.numbers() == list(range(len(site.numbers())))


async def test_a_failed_spool_ends_the_daemon_with_1(site: Site) -> None:
    site.parts(NUMBERS)

    async def main() -> int:
        daemon = Daemon(load(site.config, kinds=StandIns()), kinds=StandIns())
        running = asyncio.create_task(daemon.run(signals=False))
        await daemon.ready.wait()
        await daemon.spool.wait_above(50)
        # no disk here can be made to fail an fsync: say what the writer would
        daemon.spool._writer.fail(Verdict.FATAL, OSError("fsync"))
        return await running

    assert (await main()) == 1


def test_a_scope_that_is_cancelled_around_the_daemon_still_has_its_spool_closed(site: Site) -> None:
    site.parts(NUMBERS)
    spools: list[Spool] = []

    async def main() -> None:
        daemon = Daemon(load(site.config, kinds=StandIns()), kinds=StandIns())
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as group:
                group.start_soon(_run_alone, daemon)
                await daemon.ready.wait()
                await daemon.spool.wait_above(50)
                spools.append(daemon.spool)
                scope.cancel()

    asyncio.run(main())
    assert spools[0]._loop.done()
    with pytest.raises(Unavailable, match="the spool is closed"):
        asyncio.run(spools[0].append((), source="teams"))


async def _run_alone(daemon: Daemon) -> None:
    await daemon.run(signals=False)
