"""Threads by kind of work: each kind has its own, whatever the others wait for."""

from __future__ import annotations

import asyncio
import threading
from contextvars import ContextVar
from pathlib import Path

import pytest

from pump.core.tasks import Alarm, Threads, in_slices
from pump.testing import ManualClock

_PUMP = Path(__file__).parents[3] / "pump"


class _Hang:
    """Work that waits until it is let go."""

    def __init__(self) -> None:
        self._go = threading.Event()
        self._begun: asyncio.Queue[int] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()

    def work(self, number: int = 0) -> int:
        self._loop.call_soon_threadsafe(self._begun.put_nowait, number)
        self._go.wait()
        return number

    async def begun(self) -> int:
        """The number of the next that has begun."""
        async with asyncio.timeout(60):
            return await self._begun.get()

    def none_has_begun(self) -> bool:
        return self._begun.empty()

    def let_go(self) -> None:
        self._go.set()


async def test_a_kind_that_hangs_stops_neither_another_nor_a_name_look_up() -> None:
    hang, disk, other = _Hang(), Threads("disk", 3), Threads("other", 1)
    tasks = [asyncio.create_task(disk.run(hang.work, number)) for number in range(50)]
    try:
        for _ in range(disk.most):
            await hang.begun()
        async with asyncio.timeout(60):
            assert await other.run(sum, [1, 2]) == 3
            assert await asyncio.get_running_loop().getaddrinfo("localhost", 80)
        assert hang.none_has_begun(), "the others wait their turn"
    finally:
        hang.let_go()
    assert await asyncio.gather(*tasks) == [*range(50)]


async def test_who_is_cancelled_leaves_no_more_threads_behind_than_may_be() -> None:
    hang, disk = _Hang(), Threads("disk", 2)
    at_work = [asyncio.create_task(disk.run(hang.work, number)) for number in range(2)]
    for _ in at_work:
        await hang.begun()
    waiting = asyncio.create_task(disk.run(hang.work, 2))
    for task in at_work:
        task.cancel()
    await asyncio.wait(at_work)
    assert await Threads("other", 1).run(int, "1") == 1
    assert hang.none_has_begun(), "the threads of those that were cancelled are still at work"
    waiting.cancel()
    await asyncio.wait([waiting])
    last = asyncio.create_task(disk.run(hang.work, 3))
    hang.let_go()
    assert await last == 3
    assert await hang.begun() == 3, "the one that was cancelled while it waited was never begun"


async def test_where_the_system_gives_no_more_threads_the_work_waits_for_those_there_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """TasksMax of a unit, or a container's limit: nothing fails for it that can be done later."""

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    hang, disk = _Hang(), Threads("disk", 4)
    with monkeypatch.context() as short:
        short.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError, match="new thread"):
            await disk.run(int, "1")  # there is none
    first = asyncio.create_task(disk.run(hang.work))
    await hang.begun()
    with monkeypatch.context() as short:
        short.setattr(threading.Thread, "start", refuse)
        others = [asyncio.create_task(disk.run(int, str(number))) for number in range(3)]
        await asyncio.sleep(0)
    assert not any(each.done() for each in others)
    hang.let_go()
    assert await asyncio.gather(first, *others) == [0, 0, 1, 2]


async def test_what_the_work_raises_is_raised_and_gives_the_turn_back() -> None:
    disk = Threads("disk", 1)
    for _ in range(3):
        with pytest.raises(ValueError, match="invalid literal"):
            await disk.run(int, "x")
    assert await disk.run(int, "1") == 1


async def test_what_no_future_can_hold_is_raised_in_other_words_and_nobody_waits_for_ever() -> None:
    disk = Threads("disk", 1)
    with pytest.raises(RuntimeError, match="StopIteration"):
        await disk.run(next, iter(()))
    assert await disk.run(int, "1") == 1


async def test_the_work_has_its_caller_s_context() -> None:
    word: ContextVar[str] = ContextVar("word")

    word.set("mine")
    assert await Threads("disk", 1).run(word.get) == "mine"


def test_it_serves_one_event_loop_after_another() -> None:
    disk = Threads("disk", 1)

    async def hung() -> None:
        hang = _Hang()
        task = asyncio.create_task(disk.run(hang.work))
        await hang.begun()
        task.cancel()
        hang.let_go()

    async def main() -> None:
        assert await asyncio.gather(*(disk.run(int, "1") for _ in range(3))) == [1, 1, 1]

    asyncio.run(hung())
    asyncio.run(main())


def test_its_threads_end_with_the_event_loop_and_one_that_hangs_does_not_hold_it_up() -> None:
    disk, go = Threads("ending with its loop", 2), threading.Event()

    async def main() -> list[threading.Thread]:
        assert await disk.run(int, "1") == 1
        found = [thread for thread in threading.enumerate() if thread.name.startswith(disk.kind)]
        begun = asyncio.Event()
        loop = asyncio.get_running_loop()

        def hang() -> None:
            loop.call_soon_threadsafe(begun.set)
            go.wait()

        task = asyncio.create_task(disk.run(hang))
        await begun.wait()
        task.cancel()
        return found

    found = asyncio.run(main())
    assert found
    go.set()
    for thread in found:
        thread.join(60)
        assert not thread.is_alive()


async def test_a_thread_that_cannot_begin_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Threads("disk", 1)
    with monkeypatch.context() as without:
        without.setattr(threading.Thread, "start", _none_left)
        with pytest.raises(RuntimeError, match="can't start"):
            await disk.run(int, "1")
    assert await disk.run(int, "1") == 1


def _none_left(thread: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


async def test_the_loop_goes_on_after_each_slice() -> None:
    order: list[object] = []

    async def others() -> None:
        while len(order) < 9:
            order.append("others")
            await asyncio.sleep(0)

    task = asyncio.create_task(others())
    async for item in in_slices(range(5), 2):
        order.append(item)
    await task
    assert order[:7] == [0, 1, "others", 2, 3, "others", 4]


async def test_an_alarm_rings_at_the_earliest_moment_and_one_that_is_put_off_changes_nothing() -> None:
    clock, rung = ManualClock(), list[float]()
    alarm = Alarm(clock, lambda: rung.append(clock.monotonic()))
    alarm.within(9)  # before it runs
    running = asyncio.create_task(alarm.run())
    await clock.run(1)
    alarm.within(3)
    alarm.within(30)
    await clock.run(100)
    assert rung == [4], "who is rung asks again"
    alarm.within(4)
    await clock.run(100)
    assert rung == [4, 105]
    alarm.within(5)
    running.cancel()
    await asyncio.wait([running])
    running = asyncio.create_task(alarm.run())
    await clock.run(100)
    assert rung == [4, 105], "what was asked of a run that has ended is forgotten"
    running.cancel()


@pytest.mark.parametrize("room", ["ingest", "vendors"])
def test_asyncio_s_one_pool_is_left_to_name_look_ups(room: str) -> None:
    users = [path for path in (_PUMP / room).rglob("*.py") if "asyncio.to_thread(" in path.read_text(encoding="utf-8")]
    assert not [path.relative_to(_PUMP) for path in users if "simulator" not in path.parts]
