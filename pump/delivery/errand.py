"""Doing a sink's errands: batches beside its own stream (replays, dead letters) that leave the cursor where it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Protocol

from pump.core.errors import Rejected, Unavailable
from pump.core.record import Record, State
from pump.core.timeouts import CallGuard
from pump.delivery.cursor import SETTLE_EVERY, SinkCursor
from pump.delivery.resend_queue import ResendBatch, ResendQueue
from pump.sink import Sink

TRIES: Final = 12
"""Failures in a row, none of the batch delivered, after which an errand is given up: one event that the peer cannot
take must not hold the sink's own stream. The waits between them grow, so that takes minutes."""
PATIENCE: Final = 60
"""Questions to a deferring sink, `SETTLE_EVERY` apart, before something else is done first."""


class Loop(Protocol):
    """The sink's own loop, as far as an errand needs it."""

    resend_queue: ResendQueue
    cursor: SinkCursor

    @property
    def stopping(self) -> bool: ...  # pragma: no cover

    async def shaped(self, records: Sequence[Record]) -> list[Record]: ...  # pragma: no cover

    async def attempt(
        self, guard: CallGuard, sink: Sink[Any], batch: list[Record]
    ) -> State | None: ...  # pragma: no cover

    async def retry(self, guard: CallGuard, sink: Sink[Any], error: Unavailable) -> None: ...  # pragma: no cover

    async def pause(self, seconds: float) -> None: ...  # pragma: no cover

    def worked(self) -> None: ...  # pragma: no cover


async def next_errand(loop: Loop, guard: CallGuard, sink: Sink[Any]) -> bool:
    """Do one; False where it must wait: after it, a deferring sink's word is about other numbers."""
    cursor = loop.cursor
    for _ in range(PATIENCE):
        if not sink.deferring or not cursor.unsettled:
            break
        await cursor.settle(guard, sink, last=True)
        await loop.pause(SETTLE_EVERY if cursor.unsettled else 0.0)
    else:
        return False
    errand = loop.resend_queue.take()
    if errand is None or loop.stopping:
        return True
    try:
        await _run(loop, guard, sink, errand)
    except BaseException:
        errand.fail("the sink failed meanwhile; some may have been delivered")
        raise
    errand.finish()
    return True


async def _run(loop: Loop, guard: CallGuard, sink: Sink[Any], errand: ResendBatch) -> None:
    outcome, batch = errand.outcome, await loop.shaped(errand.left)
    last, state, failures = batch[-1].seq, loop.cursor.state, 0
    while batch:
        if errand.done.done():  # who wanted it has left
            sink.abandoned()
            break
        try:
            state = await loop.attempt(guard, sink, batch)
        except Unavailable as error:
            state = loop.cursor.state
            done = max(0, min(error.sent, len(batch)))
            outcome.sent, batch = outcome.sent + done, batch[done:]
            failures = 0 if done else failures + 1
            if failures >= TRIES:
                sink.abandoned()
                errand.fail(f"given up after {TRIES} tries: {error.reason}")
                break
            if batch:
                await loop.retry(guard, sink, error)
            continue
        except Rejected as error:
            state = loop.cursor.state
            outcome.refused = {
                record.seq: error.reasons[record.seq] for record in batch if record.seq in error.sequence
            }
        outcome.sent += len(batch) - len(outcome.refused)
        loop.worked()
        break
    if sink.deferring:
        state = await _settled(loop, guard, sink, last)
    loop.cursor.state = state
    loop.cursor.store()


async def _settled(loop: Loop, guard: CallGuard, sink: Sink[Any], last: int) -> State | None:
    """Wait until a deferring sink has what it accepted, and take its state; its cursor stays.

    The number may be one that it has settled before: then it says nothing, and there is nothing to wait for.
    """
    state = loop.cursor.state
    for turn in range(PATIENCE):
        found = await guard.within(sink.settings.timeout, "settling", sink.settle())
        if found is not None:
            state = found.state
            if found.seq == last:
                break
        elif turn > 1:
            break
        await loop.pause(SETTLE_EVERY if turn else 0.0)
    return state
