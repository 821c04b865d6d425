"""Parts that fail, return, hang and leak cancellations: each starts again by itself, and stopping has a deadline."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest
from structlog.testing import capture_logs

from pump.core.backoff import Backoff
from pump.core.errors import Misconfigured, Unavailable
from pump.core.failure import diagnose, leaves
from pump.core.tasks import first_of
from pump.runtime.supervisor import Supervisor
from pump.telemetry.health import Component
from pump.telemetry.metrics import Metrics
from pump.testing import ManualClock


class Longest(random.Random):
    """Draws the end of the range: the wait is the limit itself."""

    def uniform(self, a: float, b: float) -> float:
        return b


class Bench:
    """A supervisor under a clock moved by hand, with components as the daemon makes them."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.metrics = Metrics()
        self.supervisor = Supervisor(clock=self.clock, metrics=self.metrics, rng=Longest())

    def component(self, name: str) -> Component:
        return Component(name, self.clock)

    def add(self, name: str, run: Callable[[], Awaitable[None]]) -> Component:
        component = self.component(name)
        self.supervisor.add(name, run, component)
        return component

    def restarts(self, name: str) -> float | None:
        return self.metrics.registry.get_sample_value("pump_restarts_total", {"part": name})

    async def end(self) -> None:
        """Stop all; each ends at once, so no time has to pass."""
        assert await self.supervisor.stop(self.supervisor.names, 5.0) == []


async def bench(test: Callable[[Bench], Coroutine[Any, Any, None]]) -> None:
    await test(Bench())


async def forever() -> None:
    await asyncio.get_running_loop().create_future()


class Fails:
    """Raises what it was given at each start (None: returns); notes when each start was."""

    def __init__(self, clock: ManualClock, error: BaseException | None) -> None:
        self.clock = clock
        self.error = error
        self.starts: list[float] = []

    async def __call__(self) -> None:
        self.starts.append(self.clock.monotonic())
        if self.error is not None:
            raise self.error


@pytest.mark.parametrize(
    "error", [ValueError("broken"), Unavailable("away"), None, ExceptionGroup("two", [ValueError(), Unavailable("x")])]
)
async def test_a_part_that_ends_is_started_again_with_growing_waits(error: BaseException | None) -> None:
    async def test(b: Bench) -> None:
        part = Fails(b.clock, error)
        component = b.add("source bad", part)
        await b.clock.run(200.0)
        assert part.starts == [0.0, 1.0, 3.0, 7.0, 15.0, 31.0, 63.0, 123.0, 183.0]
        assert b.restarts("source bad") == 8.0
        assert component.state == "down"
        await b.end()

    await bench(test)


async def test_one_that_fails_for_ever_touches_nobody() -> None:
    async def test(b: Bench) -> None:
        ticks: list[float] = []

        async def steady() -> None:
            while True:
                await b.clock.sleep(1.0)
                ticks.append(b.clock.monotonic())

        b.add("source bad", Fails(b.clock, RuntimeError("always")))
        good = b.add("source good", steady)
        good.up()
        await b.clock.run(100.0)
        assert ticks == [float(second) for second in range(1, 101)]
        assert b.restarts("source good") is None
        assert good.state == "up"
        await b.end()

    await bench(test)


async def test_what_an_error_asks_for_is_honoured() -> None:
    async def test(b: Bench) -> None:
        away = Fails(b.clock, Unavailable("limit", retry_after=42.0))
        wrong = Fails(b.clock, Misconfigured("the key is wrong"))
        told = Fails(b.clock, Misconfigured("locked", retry_after=1800.0))
        eager = Fails(b.clock, Unavailable("at once", retry_after=0.0))
        for name, part in (("away", away), ("wrong", wrong), ("told", told), ("eager", eager)):
            b.add(name, part)
        await b.clock.run(2000.0, turns=4)
        assert away.starts[:3] == [0.0, 42.0, 84.0]
        assert wrong.starts == [0.0, 600.0, 1200.0, 1800.0]
        assert told.starts == [0.0, 1800.0]
        assert eager.starts[1] == pytest.approx(0.1)
        await b.end()

    await bench(test)


async def test_real_success_resets_the_backoff_and_a_short_one_does_not() -> None:
    async def test(b: Bench) -> None:
        starts: list[float] = []
        component = b.component("source teams")

        def lasts(seconds: float) -> Callable[[], Awaitable[None]]:
            async def run() -> None:
                starts.append(b.clock.monotonic())
                if len(starts) > 3:
                    component.up()
                    await b.clock.sleep(seconds)
                raise Unavailable("away")

            return run

        b.supervisor.add("source teams", lasts(60.0), component)
        await b.clock.run(150.0)
        # 1, 2 and 4 s after the three short runs; the fourth lasted, so 1 s again
        assert starts == [0.0, 1.0, 3.0, 7.0, 68.0, 129.0]
        await b.end()
        starts.clear()
        b.clock.advance(1000.0)
        short = b.component("source teams")
        component = short
        b.supervisor.add("source teams", lasts(59.0), short)
        begin = b.clock.monotonic()
        await b.clock.run(150.0)
        assert [start - begin for start in starts] == [0.0, 1.0, 3.0, 7.0, 74.0, 149.0]
        await b.end()

    await bench(test)


async def test_running_long_without_being_up_is_no_success() -> None:
    async def test(b: Bench) -> None:
        starts: list[float] = []

        async def run() -> None:
            starts.append(b.clock.monotonic())
            await b.clock.sleep(100.0)
            raise Unavailable("never reached it")

        b.add("source teams", run)
        await b.clock.run(310.0)
        assert starts == [0.0, 101.0, 203.0, 307.0]
        await b.end()

    await bench(test)


async def test_a_cancellation_that_nobody_asked_for_is_a_failure() -> None:
    async def test(b: Bench) -> None:
        part = Fails(b.clock, asyncio.CancelledError())
        b.add("source leaky", part)
        with capture_logs() as logs:
            await b.clock.run(5.0)
        assert part.starts == [0.0, 1.0, 3.0]
        assert logs[0]["reason"] == "it failed unexpectedly; the log has it whole"
        await b.end()

    await bench(test)


async def test_what_the_log_says() -> None:
    async def test(b: Bench) -> None:
        secret = ValueError("https://user:hunter2@example.com")
        bug = b.add("bug", Fails(b.clock, secret))
        b.add("away", Fails(b.clock, Unavailable("no route to the cloud")))
        b.add("wrong", Fails(b.clock, Misconfigured("check app_key")))
        with capture_logs() as logs:
            await b.clock.run(0.0)
        lines = {line["part"]: line for line in logs}
        assert lines["bug"]["event"] == "A part failed unexpectedly and will be started again"
        assert lines["bug"]["exc_info"] is secret
        assert "hunter2" not in bug.reason
        assert lines["bug"]["log_level"] == "error"
        assert (lines["away"]["log_level"], lines["away"]["exc_info"]) == ("warning", None)
        assert lines["away"]["reason"] == "no route to the cloud"
        assert lines["wrong"]["event"].startswith("A part needs a person's help")
        assert (lines["wrong"]["reason"], lines["wrong"]["wait_s"]) == ("check app_key", 600.0)
        await b.end()

    await bench(test)


def test_groups_are_unpacked() -> None:
    inner = ExceptionGroup("inner", [Unavailable("b", retry_after=5.0), Unavailable("c", retry_after=9.0)])
    group = ExceptionGroup("outer", [Unavailable("a"), inner])
    assert [str(leaf) for leaf in leaves(group)] == ["a", "b", "c"]
    away = diagnose(group)
    assert (away.reason, away.wait, away.error) == ("a; b; c", 9.0, None)

    mixed = diagnose(ExceptionGroup("outer", [inner, Misconfigured("wrong key")]))
    assert (mixed.reason, mixed.wait, mixed.error) == ("wrong key", 600.0, None)

    bug = KeyError("x")
    assert diagnose(ExceptionGroup("one", [bug])).error is bug
    both = ExceptionGroup("two", [bug, Unavailable("a")])
    assert diagnose(both).error is both

    echo = BaseExceptionGroup("echo", [asyncio.CancelledError(), Unavailable("a")])
    assert diagnose(echo).reason == "a"
    assert diagnose(BaseExceptionGroup("all", [asyncio.CancelledError()])).error is not None


async def test_stop_names_who_remains_and_waits_no_longer_than_its_deadline() -> None:
    async def test(b: Bench) -> None:
        release = asyncio.Event()

        async def stubborn() -> None:
            while not release.is_set():
                try:
                    await release.wait()
                except asyncio.CancelledError:
                    continue

        late = b.add("sink hung", stubborn)
        good = b.add("sink out", forever)
        await b.supervisor.started()
        with capture_logs() as logs:
            stop = asyncio.create_task(b.supervisor.stop(["sink hung", "sink out"], 5.0))
            await b.clock.sleeping()
            await b.clock.run(4.9)
            assert not stop.done()
            await b.clock.run(0.2)
            assert await stop == ["sink hung"]
        assert [(line["event"], line["part"]) for line in logs] == [
            ("A part has not ended by its deadline", "sink hung")
        ]
        assert late.state == "down"
        assert good.state == "stopped"
        assert b.supervisor.names == []
        release.set()

    await bench(test)


async def test_a_part_that_swallows_its_cancellation_is_not_started_again() -> None:
    async def test(b: Bench) -> None:
        starts = 0

        async def polite() -> None:
            nonlocal starts
            starts += 1
            try:
                await forever()
            except asyncio.CancelledError:
                return

        b.add("source polite", polite)
        await b.supervisor.started()
        await b.end()
        await b.clock.run(100.0)
        assert starts == 1

    await bench(test)


async def test_a_failure_while_stopping_is_told() -> None:
    async def test(b: Bench) -> None:
        error = RuntimeError("in the finally")

        async def clumsy() -> None:
            try:
                await forever()
            finally:
                raise error

        b.add("source clumsy", clumsy)
        await b.supervisor.started()
        with capture_logs() as logs:
            await b.end()
        assert [(line["event"], line["exc_info"]) for line in logs] == [
            ("A part failed while it was being stopped", error)
        ]

    await bench(test)


async def test_clean_up_may_await() -> None:
    async def test(b: Bench) -> None:
        cleaned = False

        async def tidy() -> None:
            nonlocal cleaned
            try:
                await forever()
            finally:
                await asyncio.sleep(0)
                cleaned = True

        b.add("sink tidy", tidy)
        await b.supervisor.started()
        await b.end()
        assert cleaned

    await bench(test)


async def test_stopping_interrupts_the_wait_between_two_starts() -> None:
    async def test(b: Bench) -> None:
        part = Fails(b.clock, Misconfigured("wrong"))
        b.add("source wrong", part)
        await b.clock.sleeping()
        await b.end()
        assert part.starts == [0.0]

    await bench(test)


async def test_remove_and_add_touch_one_part_alone() -> None:
    async def test(b: Bench) -> None:
        runs: list[str] = []

        def named(text: str) -> Callable[[], Awaitable[None]]:
            async def run() -> None:
                runs.append(text)
                await forever()

            return run

        b.add("a", named("a1"))
        b.add("b", named("b1"))
        await b.supervisor.started()
        assert await b.supervisor.remove("a")
        b.add("a", named("a2"))
        assert b.supervisor.unstarted == ["a"]
        await b.supervisor.started()
        assert runs == ["a1", "b1", "a2"]
        assert await b.supervisor.remove("b")
        assert b.supervisor.names == ["a"]
        with pytest.raises(KeyError):
            await b.supervisor.remove("b")
        with pytest.raises(ValueError, match="runs already"):
            b.add("a", named("a3"))
        await b.end()

    await bench(test)


async def test_what_takes_the_place_of_one_that_does_not_end_begins_once_it_has() -> None:
    async def test(b: Bench) -> None:
        release, runs = asyncio.Event(), []

        def named(text: str) -> Callable[[], Awaitable[None]]:
            async def run() -> None:
                runs.append(text)
                await forever()

            return run

        async def stubborn() -> None:
            while not release.is_set():
                try:
                    await release.wait()
                except asyncio.CancelledError:
                    continue

        b.add("a", stubborn)
        await b.supervisor.started()
        for text in ("second", "third"):  # the second one, which waits, is removed too
            removing = asyncio.create_task(b.supervisor.remove("a"))
            if text == "second":
                await b.clock.sleeping()
                await b.clock.run(5.0)
            assert await removing is (text == "third")
            b.supervisor.add("a", named(text), b.component("a"))
        b.supervisor.add("b", named("other"), b.component("b"), behind=["a"])
        assert b.supervisor.names == ["a", "b"]
        assert b.supervisor.stuck(4.0) == ["a"]
        assert b.supervisor.stuck(5.0) == []
        assert runs == []
        release.set()
        await b.supervisor.started()
        assert sorted(runs) == ["other", "third"]
        assert b.supervisor.stuck(0.0) == []
        assert b.component("a").state == "starting"
        await b.end()

    await bench(test)


async def test_down_goes_to_the_callback_when_there_is_one() -> None:
    async def test(b: Bench) -> None:
        told: list[str] = []
        component = b.component("source teams")
        b.supervisor.add(
            "source teams", Fails(b.clock, Unavailable("away")), component, down=told.append, backoff=Backoff(5.0)
        )
        await b.clock.sleeping()
        assert told == ["away"]
        assert component.state == "starting"
        await b.end()

    await bench(test)


async def test_parts_may_be_left_to_end_by_themselves() -> None:
    async def test(b: Bench) -> None:
        ending = asyncio.Event()

        async def drains() -> None:
            await ending.wait()

        b.add("sink out", drains)
        b.add("sink slow", forever)
        await b.supervisor.started()
        waiting = asyncio.create_task(b.supervisor.let_end(["sink out", "sink slow"], 10.0))
        await b.clock.sleeping()
        ending.set()
        await b.clock.run(10.0)
        assert await waiting == ["sink slow"]
        assert b.restarts("sink out") is None
        assert await b.supervisor.stop(["sink out", "sink slow"], 5.0) == []

    await bench(test)


async def test_first_of_ends_the_others_and_raises() -> None:
    ended: list[str] = []

    async def other() -> None:
        try:
            await forever()
        finally:
            ended.append("other")

    async def fails() -> None:
        await asyncio.sleep(0)
        raise ValueError("first")

    with pytest.raises(ValueError, match="first"):
        await first_of(other(), fails())
    assert ended == ["other"]


@pytest.mark.parametrize("error", [Misconfigured("wrong key"), Unavailable("away", retry_after=3600.0), ValueError()])
async def test_a_restart_ends_any_wait_at_once(error: Exception) -> None:
    async def test(on: Bench) -> None:
        run = Fails(on.clock, error)
        on.add("part", run)
        await on.clock.run(0)
        assert run.starts == [on.clock.monotonic()]
        for times in (2, 3):
            assert await on.supervisor.restart("part")
            await on.clock.run(0)
            assert run.starts == [run.starts[0]] * times, "no time has passed"
        await on.end()

    await bench(test)


async def test_a_restart_of_what_runs_cancels_it_once_and_a_stop_still_stops() -> None:
    async def test(on: Bench) -> None:
        cancelled: list[int] = []

        async def run() -> None:
            try:
                await forever()
            except asyncio.CancelledError:
                task = asyncio.current_task()
                assert task is not None
                cancelled.append(task.cancelling())
                await asyncio.sleep(0)  # a clean-up may wait
                raise

        on.add("part", run)
        await on.supervisor.started()
        await asyncio.sleep(0)
        for _ in range(3):
            assert await on.supervisor.restart("part")
            await asyncio.sleep(0)
        assert cancelled == [1, 1, 1]
        assert on.supervisor.names == ["part"]
        await on.end()
        assert len(cancelled) == 4

    await bench(test)


async def test_a_restart_of_what_does_not_end_says_so() -> None:
    async def test(on: Bench) -> None:
        release = asyncio.Event()

        async def run() -> None:
            try:
                await forever()
            except asyncio.CancelledError:
                await release.wait()

        on.add("part", run)
        await on.supervisor.started()
        await asyncio.sleep(0)
        restarting = asyncio.create_task(on.supervisor.restart("part", deadline=5.0))
        await on.clock.run(0)
        on.clock.advance(5.0)
        assert await restarting is False
        release.set()
        await on.clock.run(0)
        release.clear()
        release.set()
        await on.end()

    await bench(test)


async def ends(error: BaseException | None) -> None:
    try:
        await forever()
    except asyncio.CancelledError:
        if error is not None:
            raise error from None


@pytest.mark.parametrize("error", [None, OSError("the clean-up failed")])
async def test_a_restart_whose_end_was_no_cancellation_is_one_all_the_same(error: BaseException | None) -> None:
    """It begins anew at once, and what comes later is a failure like any other and no stop that somebody asked for."""

    async def test(on: Bench) -> None:
        starts: list[float] = []

        async def run() -> None:
            starts.append(on.clock.monotonic())
            if len(starts) == 1:
                await ends(error)
            elif len(starts) == 2:
                raise asyncio.CancelledError("leaked out of a library")
            else:
                task = asyncio.current_task()
                assert task is not None
                assert task.cancelling() == 0
                await forever()

        on.add("part", run)
        await on.supervisor.started()
        await asyncio.sleep(0)
        assert await on.supervisor.restart("part")
        await on.clock.run(0)
        assert starts == [0.0, 0.0], "no time has passed"
        await on.clock.run(5.0)
        assert starts == [0.0, 0.0, 1.0]
        assert on.supervisor.lost == []
        await on.end()

    await bench(test)
