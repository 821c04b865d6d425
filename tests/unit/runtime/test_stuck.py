"""A source whose progress stands still is cancelled and begins anew; one that waits by right is left in peace."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable

import pytest
from structlog.testing import capture_logs

from pump.core.errors import Misconfigured, Unavailable
from pump.core.failure import MISCONFIGURED_WAIT
from pump.runtime.supervisor import LONGEST_WAIT, STUCK, Supervisor
from pump.runtime.systemd.progress import Progress
from pump.telemetry.health import Component, Health
from pump.telemetry.metrics import Metrics
from pump.testing import ManualClock
from pump.vendors.common.api import LONGEST_RETRY_AFTER

EXPECTS = 10.0
LONG = round(STUCK * EXPECTS)
Live = Callable[["Bench"], Awaitable[None]]


class Bench:
    """One source under the supervisor, looked at each second as the daemon's watch does."""

    def __init__(self, live: Live) -> None:
        self.clock, self.metrics = ManualClock(), Metrics()
        self.health = Health(self.clock)
        self.supervisor = Supervisor(clock=self.clock, metrics=self.metrics)
        self.progress = Progress(
            health=self.health, supervisor=self.supervisor, sinks={}, watchdog_interval=2 * EXPECTS
        )
        self.spool = self.health.component("spool")
        self.spool.up()
        self.starts: list[float] = []
        self.ends: list[float] = []
        self._live = live
        self.supervisor.add("source teams", self._run, self.component)

    @property
    def component(self) -> Component:
        return self.health.component("source teams")

    async def _run(self) -> None:
        self.starts.append(self.clock.monotonic())
        self.component.expects = EXPECTS
        try:
            await self._live(self)
        finally:
            self.ends.append(self.clock.monotonic())

    async def pass_(self, seconds: float) -> None:
        for _ in range(round(seconds)):
            await self.clock.run(1.0, turns=3)
            self.spool.activity()
            if self.health.check(1.0):
                self.progress.revive(1.0)

    @property
    def revived(self) -> float:
        return self.metrics.registry.get_sample_value("pump_stuck_total", {"part": "source teams"}) or 0.0

    async def end(self) -> None:
        assert await self.supervisor.stop(self.supervisor.names, 5.0) == []


async def forever() -> None:
    await asyncio.get_running_loop().create_future()


async def outer() -> None:
    await forever()


async def hangs(bench: Bench) -> None:
    bench.component.up()
    async with asyncio.TaskGroup() as group:
        group.create_task(outer(), name="source teams queue")


async def hangs_at_once(bench: Bench) -> None:
    await forever()


async def test_a_source_that_stands_still_is_cancelled_and_begins_anew() -> None:
    bench = Bench(hangs)
    await bench.pass_(LONG - 1)
    assert (bench.starts, bench.component.state) == ([0.0], "stalled")
    with capture_logs() as logs:
        await bench.pass_(5)
    assert len(bench.starts) == 2
    assert bench.ends == [bench.starts[1]], "it had ended before it began"
    assert bench.revived == 1.0
    (line,) = (line for line in logs if line["log_level"] == "error")
    assert line["event"].startswith("A part makes no progress: it is cancelled and begins anew from where it was.")
    assert (line["part"], line["state"]) == ("source teams", "stalled")
    assert LONG <= line["silent_s"] <= LONG + 2
    assert set(line["waits_at"]) == {"source teams", "source teams queue"}
    assert re.search(r"test_stuck\.py:\d+ hangs > ", line["waits_at"]["source teams"])
    queue = line["waits_at"]["source teams queue"]
    assert re.fullmatch(r"test_stuck\.py:\d+ outer > test_stuck\.py:\d+ forever", queue)
    assert bench.component.state == "up", "as its own run says"
    await bench.pass_(5 * LONG)
    assert bench.revived == pytest.approx(6.0, abs=1), "as often as it hangs"
    await bench.end()


async def test_while_it_has_said_nothing_since_it_shows_why() -> None:
    async def live(bench: Bench) -> None:
        if len(bench.starts) == 1:
            bench.component.up()
        await forever()

    bench = Bench(live)
    await bench.pass_(LONG + 5)
    assert bench.component.state == "down"
    assert bench.component.reason.endswith(" s, was cancelled and begins anew")
    await bench.pass_(LONG + 5)
    assert bench.revived == 2.0, "and hangs in its start"
    await bench.end()


async def test_one_that_hangs_before_it_was_ever_up_begins_anew() -> None:
    bench = Bench(hangs_at_once)
    await bench.pass_(LONG + 5)
    assert (len(bench.starts), bench.revived) == (2, 1.0)
    await bench.end()


async def test_one_that_hangs_in_its_start_after_a_failure_begins_anew() -> None:
    async def live(bench: Bench) -> None:
        if len(bench.starts) == 1:
            raise Unavailable("away")
        await forever()

    bench = Bench(live)
    await bench.pass_(LONG + 5)
    assert (len(bench.starts), bench.revived) == (3, 1.0)
    await bench.end()


async def test_one_that_was_down_and_says_nothing_more_begins_anew_after_the_longest_wait() -> None:
    async def live(bench: Bench) -> None:
        bench.component.up()
        await bench.clock.sleep(1.0)
        bench.component.down("no route")
        await forever()

    bench = Bench(live)
    await bench.pass_(LONGEST_WAIT + LONG - 5)
    assert bench.revived == 0.0
    await bench.pass_(10)
    assert bench.revived == 1.0
    await bench.end()


async def test_one_that_swallows_its_cancellation_is_named_and_the_watchdog_has_the_rest() -> None:
    async def live(bench: Bench) -> None:
        bench.component.up()
        while len(bench.starts) == 1 and not may.is_set():
            try:
                await may.wait()
            except asyncio.CancelledError:
                cancelled.append(bench.clock.monotonic())
        if len(bench.starts) > 1:
            await forever()

    may, cancelled = asyncio.Event(), list[float]()
    bench = Bench(live)
    await bench.pass_(LONG + 5)
    assert bench.progress.stuck() == []
    await bench.pass_(bench.progress.limit)
    bench.progress.stuck()
    assert bench.progress.stuck() == ["source teams was cancelled and does not end"]
    assert len(cancelled) == 1, "once: a clean-up may await"
    may.set()
    await bench.pass_(3)
    assert bench.progress.stuck() == []
    assert len(bench.starts) == 2
    await bench.end()


def test_the_longest_wait_is_no_shorter_than_any_that_is_waited() -> None:
    assert max(LONGEST_RETRY_AFTER, MISCONFIGURED_WAIT) <= LONGEST_WAIT


# --- who waits by right -------------------------------------------------------------------------------------------


async def polls_long(bench: Bench) -> None:
    """A long poll: a sign of life just within the time, or shortly after it."""
    while True:
        bench.component.up()
        await bench.clock.sleep(1.5 * EXPECTS)


async def backs_off(bench: Bench) -> None:
    """Waits as the vendor asked, down as it says itself."""
    bench.component.up()
    while True:
        bench.component.down("the vendor asks for an hour")
        await bench.clock.sleep(LONGEST_WAIT)


async def waits_for_a_person(bench: Bench) -> None:
    """The supervisor waits, 600 s, and the source does not run."""
    bench.component.up()
    await bench.clock.sleep(1.0)
    raise Misconfigured("the password is wrong")


async def puts_into_a_full_spool(bench: Bench) -> None:
    """As a stream does: each try is said."""
    bench.component.up()
    while True:
        bench.component.down("the spool refuses")
        await bench.clock.sleep(5.0)


async def owes_nothing(bench: Bench) -> None:
    """A source that is pushed to."""
    bench.component.expects = None
    bench.component.up()
    await forever()


@pytest.mark.parametrize("live", [polls_long, backs_off, waits_for_a_person, puts_into_a_full_spool, owes_nothing])
async def test_who_waits_by_right_is_left_in_peace(live: Live) -> None:
    bench = Bench(live)
    await bench.pass_(LONGEST_WAIT + 3 * LONG)
    assert bench.revived == 0.0
    assert bench.progress.stuck() == []
    assert len(bench.ends) == (0 if live is not waits_for_a_person else len(bench.starts))
    await bench.end()


async def test_a_process_that_was_suspended_blames_nobody() -> None:
    bench = Bench(polls_long)
    await bench.pass_(5)
    for _ in range(3):  # SIGSTOP, SIGCONT
        bench.clock.advance(100 * EXPECTS)
        bench.health.check(1.0)
        await bench.pass_(EXPECTS)
    assert bench.revived == 0.0
    await bench.end()


@pytest.mark.parametrize("state", ["down", "stalled"])
async def test_while_the_spool_takes_nothing_nobody_is_to_blame(state: str) -> None:
    """A put into a disk that hangs, or is full, waits by right; what was read would be lost with it."""

    async def live(bench: Bench) -> None:
        bench.component.up()
        await stored.wait()
        bench.component.up()
        await forever()

    stored = asyncio.Event()
    bench = Bench(live)
    bench.spool.expects = 1.0
    for _ in range(10 * LONG):
        await bench.clock.run(1.0, turns=3)
        bench.spool.down("the disk is full") if state == "down" else None
        assert bench.health.check(1.0)
        bench.progress.revive(1.0)
    assert (bench.spool.state, bench.revived) == (state, 0.0)
    bench.spool.up()
    await bench.pass_(EXPECTS)
    stored.set()  # late, and not too late: its time began anew
    await bench.pass_(EXPECTS)
    assert (bench.component.state, bench.revived) == ("up", 0.0)
    await bench.pass_(LONG)
    assert bench.revived == 1.0
    await bench.end()


async def test_loops_that_hang_are_not_hidden_by_others() -> None:
    async def live(bench: Bench) -> None:
        bench.component.expect(EXPECTS, "alarm", "combine")
        while True:
            bench.component.activity("alarm")
            bench.component.up()
            await bench.clock.sleep(1.0)

    bench = Bench(live)
    await bench.pass_(LONG + 5)
    assert bench.revived == 1.0
    await bench.end()
