"""What a webhook gives up, and when: after `max_age` counted over restarts, and no neighbour of what is poison."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from pump.core.errors import Rejected, Unavailable
from pump.core.record import Record, State
from pump.delivery.cursor import Surroundings
from pump.delivery.delivery import Delivery
from pump.sinks.webhook.sink import WebhookSettings, WebhookSink
from pump.spool import Spool, SpoolSettings
from pump.telemetry.health import Component
from pump.telemetry.metrics import Metrics
from pump.testing import ManualClock
from pump.testing.receiver import Received, Receiver
from pump.testing.records import record, rows
from pump.testing.sinks import left_of

HOUR = 3600.0


def settings(url: str, **keys: Any) -> WebhookSettings:
    return WebhookSettings.model_validate(
        {"type": "webhook", "url": url, "allow_private": True, "max_age": "1h", **keys}
    )


def sink(receiver: Receiver, clock: ManualClock, state: State | None = None, **keys: Any) -> WebhookSink:
    return WebhookSink("hook", settings(receiver.url, **keys), state=state, clock=clock, site="testing")


def events(clock: ManualClock, first: int, last: int) -> list[Record]:
    return [record(seq, at=clock.now()) for seq in range(first, last + 1)]


def poison(*numbers: int, status: int = 500) -> Callable[[Received], web.Response | None]:
    return lambda received: web.Response(status=status) if set(received.numbers) & set(numbers) else None


async def driven(
    hook: WebhookSink, clock: ManualClock, batch: Sequence[Record], *, wait: float = 30.0, until: float = 100 * HOUR
) -> set[int]:
    """Send it as delivery does, waiting `wait` seconds after each failure; what was refused."""
    left, refused = list(batch), set[int]()
    while left and clock.monotonic() < until:
        try:
            await hook.send(left)
            break
        except Unavailable as error:
            left = left_of(left, error)
            refused |= error.refused.keys()
            clock.advance(wait if error.retry_after is None else error.retry_after)
        except Rejected as error:
            return refused | error.sequence
    return refused


@pytest.mark.parametrize(("size", "bad"), [(100, [37]), (100, [1]), (100, [100]), (100, [40, 41, 90]), (1, [3])])
async def test_poison_alone_is_given_up_and_its_neighbours_arrive_in_order(size: int, bad: list[int]) -> None:
    clock = ManualClock()
    async with Receiver() as receiver, sink(receiver, clock, batch_size=size) as hook:
        receiver.reply = poison(*bad)
        assert await driven(hook, clock, events(clock, 1, 100)) == set(bad)
        assert receiver.taken == [number for number in range(1, 101) if number not in bad]
        assert clock.monotonic() >= HOUR


async def test_what_stands_before_the_poison_need_not_wait_for_max_age() -> None:
    clock = ManualClock()
    async with Receiver() as receiver, sink(receiver, clock, batch_size=100) as hook:
        receiver.reply = poison(37)
        batch = events(clock, 1, 100)
        assert await driven(hook, clock, batch, until=HOUR / 2) == set()
        assert receiver.taken == list(range(1, 37)), "and no later one overtakes it"
        first = [request for request in receiver.requests if len(request.events) == 100]
        assert len({request.headers["content-length"] for request in first}) == 1
        assert len(first) == 3, "a retry is the same request at first"


async def test_poison_is_found_where_order_is_not_wanted() -> None:
    clock = ManualClock()
    async with Receiver() as receiver, sink(receiver, clock, batch_size=20, concurrency=4) as hook:
        receiver.reply = poison(7, 77, 177)
        assert await driven(hook, clock, events(clock, 1, 200)) == {7, 77, 177}
        assert sorted(receiver.taken) == [number for number in range(1, 201) if number not in (7, 77, 177)]


async def test_a_connection_cut_by_one_event_is_its_fault_too() -> None:
    clock = ManualClock()
    async with Receiver() as receiver, sink(receiver, clock, batch_size=10) as hook:

        def cut(received: Received) -> web.Response | None:
            if 4 not in received.numbers:
                return None
            receiver.cut()
            return web.Response(status=500)  # which nobody gets

        receiver.reply = cut
        assert await driven(hook, clock, events(clock, 1, 10)) == {4}
        assert receiver.taken == [1, 2, 3, 5, 6, 7, 8, 9, 10]


async def test_a_receiver_that_fails_for_all_is_not_asked_about_each() -> None:
    clock = ManualClock()
    async with Receiver() as receiver, sink(receiver, clock, batch_size=50) as hook:
        receiver.reply = lambda _: web.Response(status=500)
        assert await driven(hook, clock, events(clock, 1, 200), until=HOUR - 60) == set()
        clock.advance(HOUR)
        receiver.requests.clear()
        assert await driven(hook, clock, events(ManualClock(), 1, 200)) == set(range(1, 201))
        # with the first one, which failed alone before, ten different ones are word enough
        assert [request.numbers for request in receiver.requests] == [[number] for number in range(2, 11)]
        receiver.reply = lambda _: None
        assert await driven(hook, clock, events(clock, 201, 300)) == set()
        assert receiver.taken == list(range(201, 301))


@pytest.mark.parametrize("status", [429, 503])
async def test_a_receiver_that_asks_for_less_is_not_sent_more_and_smaller_ones(status: int) -> None:
    clock = ManualClock()
    async with Receiver() as receiver, sink(receiver, clock, batch_size=50) as hook:
        receiver.reply = lambda _: web.Response(status=status, headers={"Retry-After": "60"})
        batch = events(clock, 1, 50)
        for _ in range(5):
            task = asyncio.create_task(hook.send(batch))
            while not task.done():
                await asyncio.sleep(0)
                if clock.sleepers:  # the gap between two requests
                    clock.advance(5)
            with pytest.raises(Unavailable):
                await task
        assert [len(request.events) for request in receiver.requests] == [50, 50, 50, 50, 50]


async def test_an_event_younger_than_max_age_is_tried_at_a_measured_pace() -> None:
    clock = ManualClock()
    async with Receiver() as receiver, sink(receiver, clock) as hook:
        receiver.reply = poison(1, 2)
        assert await driven(hook, clock, events(clock, 1, 1)) == {1}
        [young] = events(clock, 2, 2)
        receiver.requests.clear()
        with pytest.raises(Unavailable) as away:
            await hook.send([young])
        assert away.value.retry_after is None, "delivery's backoff holds"
        assert len(receiver.requests) == 1


async def test_the_time_of_the_first_failure_outlives_the_sink() -> None:
    clock = ManualClock()
    async with Receiver() as receiver:
        receiver.reply = poison(1)
        batch = events(clock, 1, 2)
        state: State | None = None
        for _ in range(4):  # an opening each 20 minutes, as of a sink that is restarted again and again
            async with sink(receiver, clock, state) as hook:
                with pytest.raises(Unavailable) as away:
                    await hook.send(batch)
                assert away.value.state == {"failing_since": 1_795_161_600_000}
                state = away.value.state
            clock.advance(1200)
        async with sink(receiver, clock, state) as hook:
            with pytest.raises(Unavailable):  # at a machine's start its network may come later
                await hook.send(batch)
            clock.advance(60)
            with pytest.raises(Rejected) as refused:
                await hook.send(batch)
            assert refused.value.sequence == {1}
            assert refused.value.state == {}, "the second was taken"
        assert receiver.taken == [2]


async def test_an_answer_of_any_kind_begins_the_time_anew() -> None:
    clock = ManualClock()
    async with Receiver() as receiver, sink(receiver, clock, {"failing_since": 1_795_161_600_000}) as hook:
        receiver.reply = lambda _: web.Response(status=422)
        with pytest.raises(Rejected) as refused:
            await hook.send(events(clock, 1, 1))
        assert refused.value.state == {}


async def test_a_clock_that_was_set_back_gives_up_nothing_early() -> None:
    clock = ManualClock()
    async with Receiver() as receiver:
        receiver.reply = poison(1)
        batch = events(clock, 1, 1)
        async with sink(receiver, clock, {"failing_since": clock.now_ms() + 86_400_000}) as hook:
            assert await driven(hook, clock, batch, until=HOUR - 60) == set()
            assert await driven(hook, clock, batch) == {1}
        assert clock.monotonic() >= HOUR


async def life(
    folder: Path, clock: ManualClock, receiver: Receiver, test: Callable[[Spool], Awaitable[None]], **keys: Any
) -> None:
    """A real spool and a real delivery, from start to stop."""
    spool = await Spool.open(folder, SpoolSettings(), clock=clock, metrics=Metrics())

    async def lost(*_: object) -> None:
        raise AssertionError

    delivery = Delivery(
        Surroundings(spool, clock, Metrics(), "testing", lost),
        WebhookSink,
        "hook",
        settings(receiver.url, **keys),
        Component("sink hook", clock),
    )
    task = asyncio.create_task(delivery.run())
    try:
        await test(spool)
    finally:
        task.cancel()
        await asyncio.wait({task})
        await spool.close()


async def stored(spool: Spool, clock: ManualClock, last: int) -> None:
    await spool.append(rows(range(1, last + 1), clock), source="gate")


async def passing(clock: ManualClock, done: Callable[[], bool]) -> None:
    """Let each wait of the sink's be over at once, until `done`; what is between two is real sockets' time."""
    while not done():
        if (deadline := clock.deadline) is not None:
            clock.advance(deadline - clock.monotonic())
        await asyncio.sleep(0.001)


async def test_max_age_is_counted_over_a_restart_of_the_daemon(tmp_path: Path) -> None:
    """Tried at 0:00, stopped, started after max_age with the receiver still away."""

    clock = ManualClock()
    async with Receiver() as receiver:
        await receiver.stop()

        async def first(spool: Spool) -> None:
            await stored(spool, clock, 2)
            await clock.sleeping()
            assert spool.dead_letters.counts == {}

        async def second(spool: Spool) -> None:
            await clock.sleeping()
            assert spool.dead_letters.counts == {}, "an opening tries for a minute at least"
            await passing(clock, lambda: bool(spool.dead_letters.counts))
            letters = await spool.dead_letters.read()
            assert [letter.record.seq for letter in letters] == [1, 2]
            assert all("not delivered within 1h" in letter.reason for letter in letters)
            assert clock.monotonic() < 2 * HOUR, "it has not waited for another max_age"

        await life(tmp_path, clock, receiver, first)
        clock.advance(HOUR)
        await life(tmp_path, clock, receiver, second)


async def test_of_a_batch_with_poison_one_event_alone_becomes_a_dead_letter(tmp_path: Path) -> None:
    clock = ManualClock()
    async with Receiver() as receiver:
        receiver.reply = poison(37)

        async def test(spool: Spool) -> None:
            await stored(spool, clock, 100)
            await passing(clock, lambda: bool(spool.dead_letters.counts) and len(receiver.taken) == 99)
            [letter] = await spool.dead_letters.read()
            assert letter.record.seq == 37
            assert "not delivered within 1h: 127.0.0.1 answers 500" in letter.reason
            assert receiver.taken == [number for number in range(1, 101) if number != 37]
            assert HOUR <= clock.monotonic() < 1.5 * HOUR

        await life(tmp_path, clock, receiver, test, batch_size=100)
