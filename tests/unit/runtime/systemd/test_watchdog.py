"""Pings of the watchdog: only while the event loop, the spool's writer and the sinks' loops make progress."""

from __future__ import annotations

import asyncio
import gc
import json
import signal
import sys
import weakref
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import aiohttp
import pytest

import pump.runtime.parts
from pump.core.record import Batch, State
from pump.delivery.cursor import Surroundings
from pump.ingest.intake import Intake
from pump.runtime.systemd import progress, watchdog
from pump.testing.standins import HangingSink, Numbers, StandIns
from tests.environ import BARE
from tests.unit.runtime.site import GATE, NUMBERS, OUT, Site, until
from tests.unit.runtime.systemd.manager import Manager

PING, STUCK = "WATCHDOG=1", "STATUS=stuck: "


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    manager = Manager(tmp_path)
    yield manager
    manager.close()


@asynccontextmanager
async def process(
    site: Site, manager: Manager, *, watchdog: float, cleanly: bool = True
) -> AsyncIterator[asyncio.subprocess.Process]:
    """The daemon, a process of its own, once it is ready; it ends cleanly, or is killed."""
    environ = {**BARE, "NOTIFY_SOCKET": manager.name, "WATCHDOG_USEC": str(round(watchdog * 1e6))}
    with (site.folder / "log").open("wb") as log:
        arguments = ("-m", "pump.testing.standins", "-c", str(site.config))
        running = await asyncio.create_subprocess_exec(sys.executable, *arguments, stderr=log, env=environ)
    try:
        await manager.until("READY=1")
        yield running
        if cleanly:
            running.send_signal(signal.SIGTERM)
            await manager.until("STOPPING=1")
            assert await running.wait() == 0
    finally:
        if running.returncode is None:
            running.kill()
            await running.wait()


def stuck(site: Site, what: str) -> tuple[str, Path, Path]:
    """A source that keeps it while the first file is there, and says so by the second."""
    file = site.folder / "keep"
    table = f'[sources.stuck]\ntype = "stuck"\nwhat = "{what}"\nwhile_there = "{file}"\n'
    return table, file, file.with_name("keep.stuck")


def log(site: Site, event: str) -> list[dict[str, object]]:
    lines = (json.loads(line) for line in (site.folder / "log").read_text().splitlines() if line.startswith("{"))
    return [line for line in lines if line["event"] == event]


async def test_a_blocked_loop_stops_the_pings(site: Site, manager: Manager) -> None:
    table, file, begun = stuck(site, "loop")
    site.write(table, OUT)
    async with process(site, manager, watchdog=0.2):
        await manager.until(PING)
        file.touch()
        await until(begun.exists)
        manager.drain()
        await asyncio.sleep(0.5)  # nothing can come in it, however long it is
        assert manager.drain() == []
        file.unlink()
        await manager.until(PING)


async def test_a_stuck_writer_stops_the_pings(site: Site, manager: Manager) -> None:
    table, file, begun = stuck(site, "writer")
    site.write(table, NUMBERS, OUT)
    async with process(site, manager, watchdog=4.0):
        await manager.until(PING)
        file.touch()
        await until(begun.exists)
        manager.drain()
        while "the spool's writer makes no progress" not in (reason := await manager.until(STUCK)):
            pass  # a slow machine's disk may have held up something before
        reason = await manager.until(STUCK, after=PING)
        url = str(log(site, "The pump runs")[0]["ops"])
        async with aiohttp.ClientSession() as session, session.get(url + "/healthz") as answer:
            assert answer.status == 503
            assert "the spool's writer makes no progress" in (await answer.json())["reasons"][0]
        assert "the spool's writer" in reason
        assert log(site, "The process is to be ended and started again, for a part of it is stuck: systemd does so, "
                         "others go by /healthz")  # fmt: skip
        file.unlink()  # a disk that comes back in time
        await manager.until(PING)


async def test_a_part_that_cannot_be_cancelled_stops_the_pings(site: Site, manager: Manager) -> None:
    site.write('[sources.deaf]\ntype = "hanging"\n', NUMBERS, OUT)
    async with process(site, manager, watchdog=2.0, cleanly=False):
        await manager.until(PING)
        _, writer = await asyncio.open_unix_connection(site.folder / "state" / "control.sock")
        writer.write(b'{"command": "restart", "arguments": {"part": "deaf"}}\n')
        while "source deaf was cancelled and does not end" not in await manager.until(STUCK):
            pass  # as above
        await manager.until(STUCK, after=PING)
        writer.close()


async def test_a_stuck_sink_is_cancelled_and_opened_again_and_nothing_else_happens(
    site: Site, manager: Manager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", manager.name)
    monkeypatch.setenv("WATCHDOG_USEC", "60000000")
    site.write('[sinks.hung]\ntype = "hanging"\nhow = "await"\ntimeout = "50ms"\n', NUMBERS, OUT)
    async with site.running() as daemon:
        retries = daemon.metrics.sink_retries.labels(sink="hung", reason="stalled")
        await until(lambda: daemon.health.component("sink out").state == "up")
        since = {name: daemon.health.component(name).since for name in ("source numbers", "sink out")}
        before = retries._value.get()
        await until(lambda: retries._value.get() >= before + 2)
        for _ in range(2):
            await manager.until(PING, after=STUCK)
        assert {name: daemon.health.component(name).since for name in since} == since
        assert daemon.status.sick() == []
        assert daemon.sinks["hung"].standing() < 30
    assert site.numbers() == list(range(len(site.numbers())))


class Halting(Numbers):
    """Puts some numbers at each start, the last of them while it is cancelled, and then stands still."""

    async def run(self, intake: Intake) -> None:
        intake.component.expects = None  # a put takes as long as the disk does
        intake.up()
        first = intake.state().get("next", 0)
        for number in range(first, first + 3):
            await intake.put(self._event(number), state={"next": number + 1})
        intake.component.expects = 0.1
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            await intake.put(self._event(first + 3), state={"next": first + 4})


async def test_a_stuck_source_is_cancelled_and_begins_anew_where_it_was_and_nothing_else_happens(
    site: Site, manager: Manager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", manager.name)
    monkeypatch.setenv("WATCHDOG_USEC", "100000")  # so it looks each 50 ms
    monkeypatch.setattr(progress, "SHORTEST", 30.0)  # and takes no slow machine for stuck
    site.write('[sources.halting]\ntype = "halting"\n', GATE, OUT)
    async with site.running(StandIns(own_sources={"halting": Halting})) as daemon:
        stuck = daemon.metrics.stuck.labels(part="source halting")
        await until(lambda: daemon.health.component("sink out").state == "up")
        others = {name: site.task(name) for name in ("source gate", "sink out", "watch", "spool probe")}
        since = {name: daemon.health.component(name).since for name in ("source gate", "sink out")}
        for times in (1, 2):
            await until(lambda: stuck._value.get() >= times)  # noqa: B023  # waited for here
            await manager.until(PING, after=STUCK)
        assert {name: site.task(name) for name in others} == others
        assert {name: daemon.health.component(name).since for name in since} == since
        assert daemon.status.sick() == []
    numbers = site.numbers()
    assert numbers == list(range(len(numbers)))
    assert len(numbers) >= 7
    kinds = [one["type"] for one in site.events() if one["type"].startswith("pump.source.")]
    assert kinds.count("pump.source.down") >= 2
    down = next(one for one in site.events() if one["type"] == "pump.source.down")
    assert down["data"]["reason"].endswith("was cancelled and begins anew")


class Deaf(HangingSink):
    """Swallows every cancellation until it may end."""

    may = asyncio.Event()

    async def send(self, batch: Batch) -> State | None:
        while not self.may.is_set():
            try:
                await self.may.wait()
            except asyncio.CancelledError:
                continue
        return None


async def test_a_sink_that_hangs_again_and_again_and_cannot_be_cancelled_stops_the_pings(
    site: Site, manager: Manager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", manager.name)
    monkeypatch.setenv("WATCHDOG_USEC", "60000000")
    monkeypatch.setattr(pump.runtime.parts, "Surroundings", partial(Surroundings, grace=0.02))
    Deaf.may = asyncio.Event()
    site.write('[sinks.hung]\ntype = "deaf"\ntimeout = "20ms"\n', NUMBERS, OUT)
    async with site.running(StandIns(own_sinks={"deaf": Deaf})) as daemon:
        assert "the sink hung hangs" in await manager.until(STUCK)
        assert "the sink hung hangs" in daemon.status.sick()[0]
        await manager.until("STATUS=stuck", after=PING)
        Deaf.may.set()
        await manager.until(PING)


async def test_the_status_line_says_what_counts(site: Site, manager: Manager, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", manager.name)
    monkeypatch.setenv("WATCHDOG_USEC", "2000000")
    site.write('[sources.bad]\ntype = "broken"\n', NUMBERS, OUT)
    async with site.running() as daemon:
        await until(lambda: daemon.health.component("source bad").state == "down")
        while not (line := await manager.until("STATUS=")).endswith("down: source bad"):
            pass
        rate, lag, _ = line.removeprefix("STATUS=").split(", ")
        assert float(rate.removesuffix(" events/s")) >= 0.0
        assert lag.startswith("worst lag ")


async def test_what_only_the_collector_frees_goes_with_the_time(
    site: Site, manager: Manager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", manager.name)
    monkeypatch.setenv("WATCHDOG_USEC", "600000")
    monkeypatch.setattr(watchdog, "GIVING", 0.0)
    site.write(NUMBERS, OUT)
    async with site.running():
        gc.disable()
        try:
            ring = Site(site.folder)
            ring.__dict__["ring"] = ring
            gone = weakref.ref(ring)
            del ring
            await until(lambda: gone() is None)
        finally:
            gc.enable()


async def test_a_loop_that_moves_on_or_waits_is_not_standing(site: Site) -> None:
    site.write(NUMBERS, OUT)
    async with site.running() as daemon:
        sink = daemon.sinks["out"]
        sink.standing()
        for _ in range(3):
            await daemon.spool.wait_above(daemon.spool.head + 10)
            await until(lambda: sink.position > 0)
            assert sink.standing() == 0.0
        await daemon.supervisor.stop(["source numbers"], 5.0)
        await until(lambda: sink.lag == 0)
        assert sink.standing() == 0.0
    assert sink.standing() == 0.0
