"""A stream's life, attacked: what is read is kept and what is missing is told, whatever ends the link and when."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from pump.core.errors import Unavailable
from pump.core.event import Event, Unparsed
from pump.ingest.intake import Intake
from pump.ingest.stream.handler import Batch
from pump.ingest.stream.lockout import LoginLockout
from pump.ingest.stream.multipart.parts import Part, Skipped
from pump.spool import Receipt
from pump.telemetry.health import Health
from pump.telemetry.metrics import Metrics
from pump.testing import ManualClock
from tests.unit.ingest.stream.test_stream import Keeper, document, part, site


class Refusing(Intake):
    """The real intake; refuses when it is told to."""

    refusing = False
    refused = 0

    async def put(
        self, *items: Event | Unparsed, state: Mapping[str, Any] | None = None, stranger: bool = False
    ) -> Receipt:
        if self.refusing:
            self.refused += 1
            raise Unavailable("the spool is full", retry_after=1.0)
        return await super().put(*items, state=state, stranger=stranger)


class Slow(Keeper):
    """Takes what it gets only when it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.let = asyncio.Event()
        self.asked = 0

    async def received(self, items: Sequence[Part | Skipped]) -> Sequence[Batch]:
        self.asked += 1
        await self.let.wait()
        return await super().received(items)


async def test_a_renewal_drops_nothing_that_was_read(tmp_path: Path) -> None:
    slow = Slow()
    async with site(tmp_path, listener=slow) as one:
        await one.up()
        one.send(part(b"one"))
        await one.until(lambda: slow.asked)
        one.send(part(b"two"))  # it lies in the buffers
        one.stream.renew()
        for _ in range(50):
            await asyncio.sleep(0.001)
        slow.let.set()
        await one.until(lambda: one.listener.told.count("opened") == 2)
        assert one.listener.told == ["opened", "one", "two", "leaving", "closed", "opened"]


async def test_a_stop_while_the_spool_refuses_leaves_the_whole_gap_to_be_told(tmp_path: Path) -> None:
    async with site(tmp_path, intake=Refusing) as one:
        intake = one.intake
        assert isinstance(intake, Refusing)
        await one.up()
        one.send(part(b"one"))
        await one.until(lambda: "one" in one.listener.told)
        cut = one.clock.now()
        one.scripts += [document(503, b"away")] * 1000
        one.writers[-1].close()
        await one.until(lambda: one.clock.now() - cut > timedelta(minutes=10), step=0.5)
        intake.refusing = True
        one.scripts.clear()
        await one.until(lambda: intake.refused)
        one.send(part(b"two"))
        await one.clock.run(30.0)
        one.task.cancel()
        await asyncio.wait({one.task})
        await one.spool.flush()
        health = Health(one.clock)
        after = Intake("s", spool=one.spool, site="n", clock=one.clock, metrics=Metrics(), health=health)
        assert after.last_activity is not None
        assert after.last_activity <= cut


@pytest.mark.parametrize("greeting", [False, True])
async def test_a_stream_of_damaged_parts_alone_is_beyond_repair(tmp_path: Path, greeting: bool) -> None:
    async with site(tmp_path, most_skipped=1000, greeting=greeting) as one:
        await one.until(lambda: one.requests)
        await one.until(lambda: one.writers)
        if not greeting:
            await one.up()
        for _ in range(40):
            one.send(b"--b\r\nno field at all, and that forty bytes long\r\n\r\n\r\n")
            await asyncio.sleep(0.001)
        await one.until(lambda: one.intake.component.state == "down" or len(one.writers) > 1)
        assert one.intake.component.reason == "the stream is malformed beyond repair"


def test_a_clock_that_was_ahead_when_the_password_was_rejected_delays_the_next_login_no_longer_than_said() -> None:
    clock = ManualClock()
    before = LoginLockout(clock, ("u", "p"))
    state = before.note("rejected", 1800.0)
    behind = ManualClock()
    behind.jump(-30 * 86400.0)
    after = LoginLockout(behind, ("u", "p"))
    after.load(state)
    assert 1790.0 <= after.left <= 1800.0


async def test_a_device_that_never_answers_is_asked_again_however_long_the_stream_may_be_silent(tmp_path: Path) -> None:
    async with site(tmp_path, scripts=[b""], heartbeat_timeout=7200.0) as one:
        await one.until(lambda: one.requests)
        await one.until(lambda: one.intake.component.state == "down")
        assert one.clock.monotonic() <= 40.0
        assert one.intake.component.reason == "the device was silent for 30 s"
        await one.up()
        begin = one.clock.monotonic()
        await one.until(lambda: one.clock.monotonic() - begin > 7000.0, step=20.0)
        assert one.intake.component.state == "up"
        await one.until(lambda: one.intake.component.state == "down", step=20.0)
        assert one.intake.component.reason == "the device was silent for 7200 s"
