from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from pump.core.clock import Clock
from pump.core.errors import Misconfigured, Rejected, Unavailable
from pump.core.record import State
from pump.core.settings import SinkSettings
from pump.delivery.cursor import Surroundings
from pump.delivery.delivery import Delivery, MakeSink
from pump.sink import Settled, Sink
from pump.spool import Spool, SpoolSettings
from pump.telemetry.health import Component
from pump.telemetry.metrics import Metrics
from pump.testing import ManualClock
from pump.testing.records import rows
from pump.testing.sinks import CollectingSinks, HangingSinks, ScriptedSinks, hang


class Stage:
    """A real spool, and deliveries from it that run in tasks."""

    def __init__(self, spool: Spool, clock: Clock, metrics: Metrics) -> None:
        self.spool, self.clock, self.metrics = spool, clock, metrics
        self.lost: list[tuple[str, int, int, int]] = []
        self.stored = 0

    async def put(self, count: int, **fields: Any) -> None:
        made = rows(range(self.stored + 1, self.stored + count + 1), self.clock, **fields)
        await self.spool.append(made, source="gate")
        self.stored += count

    async def _on_lost(self, sink: str, first: int, last: int, count: int) -> None:
        self.lost.append((sink, first, last, count))

    def delivery(self, make: MakeSink, name: str = "out", **settings: Any) -> Delivery:
        return Delivery(
            Surroundings(self.spool, self.clock, self.metrics, "testing", self._on_lost, grace=0.05),
            make,
            name,
            SinkSettings(type="test", **settings),
            Component(f"sink {name}", self.clock),
        )

    def value(self, metric: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(metric, labels) or 0.0

    def cursor(self, name: str = "out") -> tuple[int, State | None] | None:
        cursor = self.spool.cursor(name)
        return None if cursor is None else (cursor.seq, cursor.state)


@asynccontextmanager
async def stage(folder: Path, clock: Clock | None = None) -> AsyncIterator[Stage]:
    clock = clock or Clock()
    metrics = Metrics()
    spool = await Spool.open(folder, SpoolSettings(), clock=clock, metrics=metrics)
    try:
        yield Stage(spool, clock, metrics)
    finally:
        await spool.close()


@asynccontextmanager
async def running(*deliveries: Delivery) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(delivery.run()) for delivery in deliveries]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task


async def run(folder: Path, test: Callable[[Stage], Awaitable[None]], clock: Clock | None = None) -> None:
    async with stage(folder, clock) as on:
        await test(on)


async def test_everything_arrives_in_order_and_the_cursor_follows(tmp_path: Path) -> None:
    async def test(on: Stage) -> None:
        sinks = CollectingSinks()
        await on.put(25)
        delivery = on.delivery(sinks, batch_size=10)
        async with running(delivery):
            await sinks.arrived(25)
            await on.put(5)
            await sinks.arrived(30)
            delivery.stop()
        assert sinks.sequence == list(range(1, 31))
        assert [len(batch) for batch in sinks.batches[:3]] == [10, 10, 5]
        assert on.value("pump_sent_total", sink="out") == 30

    await run(tmp_path, test)


async def test_the_stored_cursor_is_where_the_next_run_begins(tmp_path: Path) -> None:
    sinks = CollectingSinks()

    async def first(on: Stage) -> None:
        await on.put(10)
        delivery = on.delivery(sinks)
        delivery.stop()
        await delivery.run()

    async def second(on: Stage) -> None:
        on.stored = 10
        await on.put(5)
        delivery = on.delivery(sinks)
        delivery.stop()
        await delivery.run()

    await run(tmp_path, first)
    await run(tmp_path, second)
    assert sinks.sequence == list(range(1, 16))
    assert sinks.states == [None, {"received": 10}]


@pytest.mark.parametrize(("start", "expected"), [("oldest", [1, 2, 3, 4]), ("now", [3, 4])])
async def test_where_a_new_sink_begins_is_stored_at_once(tmp_path: Path, start: str, expected: list[int]) -> None:
    sinks = CollectingSinks()

    async def test(on: Stage) -> None:
        await on.put(2)
        async with running(on.delivery(ScriptedSinks(opening=[hang]), start=start)) as _:
            while on.cursor() is None:
                await asyncio.sleep(0)
        assert sinks.sequence == []

    async def later(on: Stage) -> None:
        on.stored = 2
        await on.put(2)
        delivery = on.delivery(sinks, start=start)
        delivery.stop()
        await delivery.run()

    await run(tmp_path, test)
    await run(tmp_path, later)
    assert sinks.sequence == expected


async def test_the_cursor_passes_what_routing_excludes(tmp_path: Path) -> None:
    async def test(on: Stage) -> None:
        sinks = CollectingSinks()
        await on.put(3, type_="parking.occupied")
        await on.put(2)
        await on.put(1000, type_="parking.occupied")
        delivery = on.delivery(sinks, types=("vehicle.*",))
        delivery.stop()
        await delivery.run()
        assert sinks.sequence == [4, 5]
        assert on.cursor() == (1005, {"received": 2})
        assert on.value("pump_excluded_total", sink="out") == 1003

    await run(tmp_path, test)


async def test_an_absent_peer_gets_the_rest_after_a_growing_wait_without_a_new_opening(tmp_path: Path) -> None:
    clock = ManualClock()

    async def test(on: Stage) -> None:
        sinks = ScriptedSinks(
            [Unavailable("away", done=(1, 2, 3)), Unavailable("away", retry_after=7.0), Unavailable("away")]
        )
        await on.put(10)
        delivery = on.delivery(sinks)
        async with running(delivery):
            await sinks.called(1)
            await clock.sleeping()
            assert on.cursor() == (3, None)  # what was sent of the batch is done
            assert delivery._component.state == "down"
            assert delivery._component.reason == "away"
            clock.advance(1.0)
            await sinks.called(2)
            await clock.sleeping()
            assert clock.deadline == clock.monotonic() + 7.0
            clock.advance(7.0)
            await sinks.called(3)
            await clock.sleeping()
            clock.advance(60.0)
            await sinks.arrived(10)
            await on.spool.flush()
            assert delivery._component.reason == ""
        assert sinks.sequence == list(range(1, 11))
        assert len(sinks.states) == 1
        assert on.value("pump_sink_retries_total", sink="out", reason="unavailable") == 3

    await run(tmp_path, test, clock)


@pytest.mark.parametrize(
    "error",
    [
        Rejected([2, 4], "too large", state={"of": "the refusal"}),
        Unavailable("counted, and still away", done=range(1, 6), state={"of": "the refusal"}),
    ],
    ids=["rejected", "all done"],
)
async def test_the_state_that_comes_with_a_refusal_is_stored_with_the_cursor(tmp_path: Path, error: Exception) -> None:
    async def test(on: Stage) -> None:
        await on.put(5)
        delivery = on.delivery(ScriptedSinks([error]))
        delivery.stop()
        await delivery.run()
        assert on.cursor() == (5, {"of": "the refusal"})

    await run(tmp_path, test)


async def test_what_is_refused_becomes_dead_letters_and_the_rest_goes_on(tmp_path: Path) -> None:
    async def test(on: Stage) -> None:
        sinks = ScriptedSinks([Rejected([2, 4], "too large")])
        await on.put(5)
        delivery = on.delivery(sinks)
        delivery.stop()
        await delivery.run()
        assert sinks.sequence == [1, 3, 5]
        assert on.cursor() == (5, None)
        assert on.spool.dead_letters.counts == {"out": 2}
        assert on.value("pump_dead_letters_total", sink="out") == 2

    await run(tmp_path, test)


@pytest.mark.parametrize("kind", [Unavailable, Misconfigured])
async def test_a_stop_while_dead_letters_wait_for_the_spool_sends_nothing_again_that_the_receiver_has(
    tmp_path: Path, kind: type[Unavailable | Misconfigured]
) -> None:
    clock = ManualClock()
    refuse = "CREATE TEMP TRIGGER refuse BEFORE INSERT ON dead BEGIN SELECT RAISE(ABORT, 'no letters today'); END"

    async def test(on: Stage) -> None:
        sinks = ScriptedSinks([kind("away", done=[1, 2, 4], refused={3: "HTTP 400"})])
        await on.put(5)
        await on.spool._writer.run(lambda db: db.execute(refuse).fetchone())
        delivery = on.delivery(sinks)
        running = asyncio.create_task(delivery.run())
        await clock.sleeping()  # the letter was refused, and is tried again later
        delivery.stop()
        await running
        assert on.cursor() == (2, None), "not past the letter, which is nowhere yet"
        await on.spool._writer.run(lambda db: db.execute("DROP TRIGGER refuse").fetchone())
        delivery = on.delivery(sinks)
        delivery.stop()
        await delivery.run()
        assert sinks.batches == [[1, 2, 3, 4, 5], [3, 4, 5]]

    await run(tmp_path, test, clock)


@pytest.mark.parametrize("error", [RuntimeError("a bug"), Misconfigured("the key is wrong", retry_after=20.0)])
async def test_after_any_other_failure_the_sink_is_opened_anew(tmp_path: Path, error: Exception) -> None:
    clock = ManualClock()

    async def test(on: Stage) -> None:
        sinks = ScriptedSinks([None, error])
        await on.put(2)
        delivery = on.delivery(sinks)
        async with running(delivery):
            await sinks.arrived(2)
            await on.put(2)
            await sinks.called(2)
            await clock.sleeping()
            assert sinks.closed == 1
            assert delivery._component.state == "down"
            clock.advance(20.0)
            await sinks.arrived(4)
        assert sinks.sequence == [1, 2, 3, 4]
        assert sinks.states == [None, {"received": 2}]
        assert on.value("pump_restarts_total", part="sink out") == 1

    await run(tmp_path, test, clock)


async def test_misconfigured_waits_ten_minutes(tmp_path: Path) -> None:
    clock = ManualClock()

    async def test(on: Stage) -> None:
        delivery = on.delivery(ScriptedSinks(opening=[Misconfigured("make the folder")]))
        async with running(delivery):
            await clock.sleeping()
            assert clock.deadline == 600.0
            assert delivery._component.reason == "make the folder"
            clock.advance(600.0)
            while delivery._component.state != "up":
                await asyncio.sleep(0)

    await run(tmp_path, test, clock)


async def test_a_send_past_its_deadline_is_cancelled_and_tried_on_a_new_opening(tmp_path: Path) -> None:
    async def test(on: Stage) -> None:
        sinks = ScriptedSinks([hang])
        await on.put(3)
        delivery = on.delivery(sinks, timeout="20ms")
        async with running(delivery):
            await sinks.arrived(3)
        assert len(sinks.states) == 2
        assert on.value("pump_sink_retries_total", sink="out", reason="stalled") == 1
        assert delivery.stuck == []

    await run(tmp_path, test)


async def test_a_hanging_sink_holds_back_nobody(tmp_path: Path) -> None:
    async def test(on: Stage) -> None:
        hanging, collecting = HangingSinks(), CollectingSinks()
        async with running(on.delivery(hanging, "hanging"), on.delivery(collecting, "collecting")):
            for _ in range(50):
                await on.put(10)
            await collecting.arrived(500)
            assert collecting.sequence == list(range(1, 501))
            assert len(hanging.batches) == 1
        assert on.cursor("hanging") == (0, None)

    await run(tmp_path, test)


async def test_a_sink_that_hears_no_cancellation_is_left_behind_and_named(tmp_path: Path) -> None:
    async def test(on: Stage) -> None:
        sinks = HangingSinks(deaf=True)
        await on.put(3)
        delivery = on.delivery(sinks, timeout="10ms")
        async with running(delivery):
            await sinks.until(lambda: len(sinks.states) >= 2)  # another is opened beside it
            assert delivery.stuck[0] == "sending"
            assert on.value("pump_sink_retries_total", sink="out", reason="stuck") >= 1
        assert on.cursor() == (0, None)
        named = len(delivery.stuck)
        assert named >= 1
        sinks.release()
        while delivery.stuck:
            await asyncio.sleep(0)
        # What an opening that was given up still brought about counts no more.
        assert on.cursor() == (0, None)

    await run(tmp_path, test)


async def test_openings_that_hang_do_not_pile_up(tmp_path: Path) -> None:
    clock = ManualClock()

    async def test(on: Stage) -> None:
        sinks = HangingSinks(deaf=True)
        await on.put(1)
        delivery = on.delivery(sinks, timeout="10ms")
        async with running(delivery):
            for _ in range(3):
                await clock.sleeping()
                clock.advance(60.0)
            while "cannot be cancelled" not in delivery._component.reason or len(delivery.stuck) < 3:
                await asyncio.sleep(0)
            assert len(sinks.states) == 3
            sinks.release()
        while delivery.stuck:
            await asyncio.sleep(0)

    await run(tmp_path, test, clock)


async def test_a_sink_that_hangs_while_it_is_closed_does_not_hold_up_stopping(tmp_path: Path) -> None:
    async def test(on: Stage) -> None:
        deaf = HangingSinks(deaf=True)
        sinks = ScriptedSinks(closing=[deaf._deaf])
        await on.put(3)
        delivery = on.delivery(sinks)
        async with running(delivery):
            await sinks.arrived(3)
        assert delivery.stuck == ["closing"]
        deaf.release()
        while delivery.stuck:
            await asyncio.sleep(0)

    await run(tmp_path, test)


async def test_stop_delivers_what_is_there_and_returns(tmp_path: Path) -> None:
    async def test(on: Stage) -> None:
        sinks = ScriptedSinks([None])
        delivery = on.delivery(sinks, batch_size=10)
        task = asyncio.create_task(delivery.run())
        await on.put(1)
        await sinks.arrived(1)
        await on.put(95)
        delivery.stop()
        await task
        assert sinks.sequence == list(range(1, 97))
        assert sinks.closed == 1
        assert on.cursor() == (96, {"received": 96})

    await run(tmp_path, test)


@pytest.mark.parametrize("opening", [True, False])
async def test_stop_waits_for_no_peer_that_is_away(tmp_path: Path, opening: bool) -> None:
    clock = ManualClock()

    async def test(on: Stage) -> None:
        steps = [Unavailable("away", retry_after=50.0)]
        sinks = ScriptedSinks(opening=steps) if opening else ScriptedSinks(steps)
        await on.put(3)
        delivery = on.delivery(sinks)
        task = asyncio.create_task(delivery.run())
        await clock.sleeping()
        delivery.stop()
        await task
        assert on.cursor() == (0, None)

    await run(tmp_path, test, clock)


async def test_cancelled_in_mid_send_it_goes_on_from_the_last_cursor(tmp_path: Path) -> None:
    async def test(on: Stage) -> None:
        sinks = ScriptedSinks([None, hang])
        await on.put(2)
        delivery = on.delivery(sinks)
        async with running(delivery):
            await sinks.arrived(2)
            await on.put(2)
            await sinks.called(2)
        assert sinks.closed == 1
        assert on.cursor() == (2, {"received": 2})
        async with running(delivery):
            await sinks.arrived(4)
        assert sinks.sequence == [1, 2, 3, 4]

    await run(tmp_path, test)


class Deferring(Sink[SinkSettings]):
    """Says how far it is when the test lets it."""

    Settings = SinkSettings
    deferring = True
    made: list[Deferring]

    def __init__(self, name: str, settings: Any, *, state: State | None, clock: Clock, site: str) -> None:
        super().__init__(name, settings, state=state, clock=clock, site=site)
        self.sent: list[int] = []
        self.safe = 0
        self.made.append(self)

    async def send(self, batch: Any) -> State | None:
        self.sent += [record.seq for record in batch]
        return {"never": "stored"}

    async def settle(self) -> Settled | None:
        return Settled(self.safe, {"safe": self.safe}) if self.safe else None


async def test_a_deferring_sinks_cursor_moves_by_what_it_settles(tmp_path: Path) -> None:
    clock = ManualClock()

    async def test(on: Stage) -> None:
        Deferring.made = []
        await on.put(4)
        await on.put(3, type_="parking.occupied")
        delivery = on.delivery(Deferring, types=("vehicle.*",))
        async with running(delivery):
            while delivery.position < 7:
                await asyncio.sleep(0)
            assert on.cursor() == (0, None)
            Deferring.made[0].safe = 2
            clock.advance(0.5)
            while on.cursor() != (2, {"safe": 2}):
                await asyncio.sleep(0.01)
            Deferring.made[0].safe = 4
        assert on.cursor() == (7, {"safe": 4})  # asked once more before it was left; what is excluded is passed too
        await on.put(2)
        async with running(delivery):
            while delivery.position < 9:
                await asyncio.sleep(0)
        assert Deferring.made[1].state == {"safe": 4}
        assert Deferring.made[1].sent == [8, 9]
        assert on.cursor() == (7, {"safe": 4})

    await run(tmp_path, test, clock)


async def test_what_was_removed_before_a_sink_had_it_is_counted_and_told(tmp_path: Path) -> None:
    sinks = CollectingSinks()
    clock = ManualClock()

    async def before(on: Stage) -> None:
        on.spool.set_holders({"out": False})
        await on.put(10)
        on.spool.set_cursor("out", 4, None)
        await on.spool.flush()
        clock.advance(8 * 86400.0)
        while on.spool.floor < 10:
            on.spool.set_cursor("out", 4, None)
            await on.spool.flush()

    async def after(on: Stage) -> None:
        on.stored = 10
        await on.put(2)
        async with running(on.delivery(sinks, hold=False)):
            await sinks.arrived(2)
        assert on.lost == [("out", 5, 10, 6)]
        assert on.value("pump_lost_total", sink="out") == 6

    await run(tmp_path, before, clock)
    await run(tmp_path, after, ManualClock())
    assert sinks.sequence == [11, 12]


async def test_memory_is_bounded_by_one_batch(tmp_path: Path) -> None:
    async def test(on: Stage) -> None:
        sinks = HangingSinks()
        for _ in range(4):
            await on.put(50, size=200_000)
        delivery = on.delivery(sinks, batch_size=500)
        async with running(delivery):
            await sinks.called(1)
            assert sum(200_000 for _ in sinks.batches[0]) <= (4 << 20) + (256 << 10)

    await run(tmp_path, test)
