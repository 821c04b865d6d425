"""The deadlines of a sink's calls: one timer for all of them, and each call's own end."""

from __future__ import annotations

import asyncio

import pytest

from pump.delivery.timeouts import CallGuard, CallTimeout, SessionAbandoned

LONG = 3600.0


async def _value(value: int) -> int:
    await asyncio.sleep(0)
    return value


async def test_a_call_is_cancelled_at_its_deadline_whatever_was_allowed_to_those_before_it() -> None:
    guard, never = CallGuard(), asyncio.Event()
    for seconds in (LONG, 0.001, 0.001, LONG):
        assert await guard.within(seconds, "sending", _value(7)) == 7
    for _ in range(2):
        with pytest.raises(CallTimeout, match=r"settling took longer than 0\.01 s"):
            await guard.within(0.01, "settling", never.wait())
    task = asyncio.current_task()
    assert task is not None
    assert not task.cancelling()
    assert not guard.doing
    assert not guard.stuck.done()


async def test_an_earlier_deadline_does_not_end_the_call_after_it() -> None:
    guard = CallGuard()
    assert await guard.within(0.01, "sending", _value(1)) == 1
    await guard.within(LONG, "sending", asyncio.sleep(0.05))  # the first one's deadline passes meanwhile


async def test_a_call_that_does_not_let_go_is_reported_to_the_owner() -> None:
    guard, go_on = CallGuard(grace=0.01), asyncio.Event()

    async def hang() -> None:
        while not go_on.is_set():
            try:
                await go_on.wait()
            except asyncio.CancelledError:
                continue

    task = asyncio.create_task(guard.within(0.01, "sending", hang()))
    assert await guard.stuck == "sending"
    guard.abandoned = True
    go_on.set()
    with pytest.raises(SessionAbandoned):
        await task


async def test_what_the_call_raises_and_others_cancellations_pass() -> None:
    guard, never = CallGuard(), asyncio.Event()

    async def late() -> None:
        raise TimeoutError("the peer's")

    with pytest.raises(TimeoutError, match="the peer's"):
        await guard.within(LONG, "sending", late())
    task = asyncio.create_task(guard.within(LONG, "sending", never.wait()))
    while not guard.doing:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    async def both() -> None:
        try:
            await never.wait()
        except asyncio.CancelledError:
            again.cancel()  # somebody stops the task while the deadline's cancellation is under way
            raise

    again = asyncio.create_task(guard.within(0.01, "sending", both()))
    with pytest.raises(asyncio.CancelledError):
        await again
