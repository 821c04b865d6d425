"""The account's pace: even, fair, and bounded whatever the network does."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from itertools import pairwise

import pytest

from pump.testing import ManualClock
from pump.vendors.hik_connect.limiter import BACKGROUND, CLIPS, INTERVAL, MOST, PATIENCE, Limiter


class Caller:
    """A queue that calls again and again; each call is answered after `latency` seconds."""

    def __init__(self, limiter: Limiter, clock: ManualClock, log: list[tuple[str, float]]) -> None:
        self.limiter = limiter
        self.clock = clock
        self.log = log

    async def run(self, queue: str, latency: float = 0.0) -> None:
        while True:
            async with self.limiter.place(queue):
                self.log.append((queue, self.clock.monotonic()))
                await self.clock.sleep(latency)


async def test_calls_begin_evenly_and_save_nothing_up_for_a_burst() -> None:
    clock, log = ManualClock(), list[tuple[str, float]]()
    limiter = Limiter(clock)
    await clock.run(10.0)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(Caller(limiter, clock, log).run("combine", 0.01))
        await clock.run(5.0)
        task.cancel()
    times = [at for _, at in log]
    assert len(times) == 21
    assert [later - earlier for earlier, later in pairwise(times)] == pytest.approx([INTERVAL] * 20)


async def test_queues_take_turns_however_many_callers_each_has() -> None:
    clock, log = ManualClock(), list[tuple[str, float]]()
    caller = Caller(Limiter(clock), clock, log)
    async with asyncio.TaskGroup() as group:
        greedy = [group.create_task(caller.run("combine")) for _ in range(5)]
        others = [group.create_task(caller.run(queue)) for queue in ("alarm", "rawmsg")]
        await clock.run(9.0)
        for task in greedy + others:
            task.cancel()
    counts = Counter(queue for queue, _ in log)
    assert max(counts.values()) - min(counts.values()) <= 1
    assert {queue for queue, _ in log[:3]} == {"combine", "alarm", "rawmsg"}


async def test_one_queue_never_has_two_calls_in_flight() -> None:
    clock = ManualClock()
    limiter = Limiter(clock)
    flying, most = 0, 0

    async def call() -> None:
        nonlocal flying, most
        async with limiter.place("combine"):
            flying += 1
            most = max(most, flying)
            await clock.sleep(3.0)
            flying -= 1

    async with asyncio.TaskGroup() as group:
        for _ in range(4):
            group.create_task(call())
        await clock.run(20.0)
    assert most == 1


async def test_a_call_that_hangs_holds_up_its_own_queue_alone() -> None:
    clock, log = ManualClock(), list[tuple[str, float]]()
    limiter = Limiter(clock)
    caller = Caller(limiter, clock, log)
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(caller.run("combine", 1e9)),
            group.create_task(caller.run("alarm", 0.01)),
            group.create_task(caller.run("rawmsg", 0.01)),
        ]
        await clock.run(10.0)
        for task in tasks:
            task.cancel()
    counts = Counter(queue for queue, _ in log)
    assert counts["combine"] == 1
    assert counts["alarm"] >= 18
    assert counts["rawmsg"] >= 18


async def test_a_cancelled_wait_frees_its_place_and_a_cancelled_call_too() -> None:
    clock, log = ManualClock(), list[tuple[str, float]]()
    limiter = Limiter(clock)
    caller = Caller(limiter, clock, log)
    async with asyncio.TaskGroup() as group:
        flying = group.create_task(caller.run("combine", 1e9))
        await clock.run(0.01)
        waiting = [group.create_task(caller.run(queue)) for queue in ("alarm", "combine", "login")]
        await clock.run(0.1)
        for task in (waiting[0], waiting[1], flying):
            task.cancel()
        last = group.create_task(caller.run("combine", 1e9))
        await clock.run(1.0)
        assert [queue for queue, _ in log[:3]] == ["combine", "login", "combine"]
        assert [at for _, at in log[:3]] == pytest.approx([0.0, INTERVAL, 2 * INTERVAL]), "nobody waits behind them"
        assert "alarm" not in {queue for queue, _ in log}
        for task in (waiting[2], last):
            task.cancel()


async def test_nobody_begins_while_the_vendor_wants_quiet() -> None:
    clock, log = ManualClock(), list[tuple[str, float]]()
    limiter = Limiter(clock)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(Caller(limiter, clock, log).run("combine"))
        await clock.run(1.0)
        limiter.hold(30.0)
        await clock.run(40.0)
        task.cancel()
    waits = [later - earlier for (_, earlier), (_, later) in pairwise(log)]
    assert max(waits) == pytest.approx(30.0, abs=INTERVAL)


@pytest.mark.parametrize("seed", range(5))
async def test_no_second_sees_more_than_the_limit_though_the_network_bunches(seed: int) -> None:
    """Calls are sent evenly, arrive whenever the network likes and are answered later still."""

    rng, clock = random.Random(seed), ManualClock()
    limiter = Limiter(clock)
    arrivals: list[float] = []

    async def call(queue: str) -> None:
        while True:
            async with limiter.place(queue):
                # The network stands still now and then, and hands over at once what gathered.
                stall = 2.0 - clock.monotonic() % 2.0 if rng.random() < 0.5 else rng.random() * 0.3
                await clock.sleep(stall)
                arrivals.append(clock.monotonic())
                await clock.sleep(rng.random() * 0.2)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(call(queue)) for queue in ("combine", "alarm", "rawmsg", "login", "more", "still")]
        await clock.run(120.0, turns=10)
        for task in tasks:
            task.cancel()
    assert len(arrivals) > 150
    arrivals.sort()
    assert max(sum(begin <= at < begin + 1.0 for at in arrivals) for begin in arrivals) <= MOST


async def test_a_search_takes_what_the_queues_leave_and_never_waits_for_ever() -> None:
    """Beside queues that call without a pause it has a place within its patience, and no more."""
    for queues in (("combine",), ("combine", "alarm", "rawmsg")):
        clock, log = ManualClock(), list[tuple[str, float]]()
        caller = Caller(Limiter(clock), clock, log)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(caller.run(queue)) for queue in queues]
            tasks.append(group.create_task(caller.run(BACKGROUND)))
            await clock.run(20.0)
            for task in tasks:
                task.cancel()
        counts = Counter(queue for queue, _ in log)
        assert 14 <= counts[BACKGROUND] <= 20
        assert min(counts[queue] for queue in queues) >= counts[BACKGROUND] - 1
        times = [at for queue, at in log if queue == BACKGROUND]
        assert max(later - earlier for earlier, later in pairwise(times)) <= PATIENCE + 2 * INTERVAL


async def test_calls_for_clips_go_behind_the_backfill_and_starve_for_nobody() -> None:
    clock, log = ManualClock(), list[tuple[str, float]]()
    caller = Caller(Limiter(clock), clock, log)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(caller.run(name)) for name in (CLIPS, BACKGROUND, "combine", "alarm", "rawmsg")]
        await clock.run(60.0)
        for task in tasks:
            task.cancel()
    counts = Counter(name for name, _ in log)
    assert 60 / 7 < counts[CLIPS] <= 60 / 5 + 1
    assert counts[CLIPS] < counts[BACKGROUND] / 3
    assert min(counts[name] for name in ("combine", "alarm", "rawmsg")) > 50
    busy = [at for name, at in log if name == CLIPS]
    assert all(later - earlier < 7 for earlier, later in pairwise(busy))
