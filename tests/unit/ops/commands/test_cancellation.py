"""Cancelled at each await of the desk and of each vendor: one action at the most, one end, and nothing left behind."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest

from pump.commands.contract import NOTHING_HAPPENED, Command, CommandResult, NotTaken, Request
from pump.core.clock import Clock
from pump.ops.commands.desk import CommandDesk
from pump.ops.commands.journal import PREFIX
from pump.source import Source
from pump.spool import Spool
from pump.testing import ManualClock
from tests.unit.ops.commands.cuts import CutAt, Way, calm
from tests.unit.ops.commands.site import site
from tests.unit.vendors.avaeye.commanded import TARGET, commanded
from tests.unit.vendors.avaeye.test_carried import carried
from tests.unit.vendors.hik_camera.test_commands import commanding as camera
from tests.unit.vendors.hik_connect.test_commands import desk as cloud
from tests.unit.vendors.hik_gateway.test_commands import PANEL
from tests.unit.vendors.hik_gateway.test_commands import commanding as gateway
from tests.unit.vendors.kinot.test_commands import SENSOR
from tests.unit.vendors.kinot.test_commands import desk as bays

WAYS: Sequence[Way] = ("while it waits", "as it wakes")
LEAST = 9
"""Suspensions at which each source is cut, at least."""


@dataclass
class There:
    """A vendor under a desk."""

    desk: CommandDesk
    source: Source[Any]
    spool: Spool
    target: str
    verb: str
    done: Callable[[], int]
    """The number of actions so far."""
    step: Callable[[], Any] = lambda: asyncio.sleep(0)
    """What lets time go by."""
    leftovers: Callable[[], Any] = lambda: 0
    """What is held for commands under way; falsy when nothing is."""


@asynccontextmanager
async def _avaeye(folder: Path) -> AsyncIterator[There]:
    async with commanded(folder) as there:
        actions, turns = there.camera.account.actions, there.source._commands._turns
        yield There(there.desk, there.source, there.site.spool, TARGET, "gate.open", lambda: len(actions),
                    leftovers=lambda: turns._value != 16)  # fmt: skip


@asynccontextmanager
async def _carried(folder: Path) -> AsyncIterator[There]:
    clock = ManualClock()  # the camera may be left alone for a while after each result
    async with carried(folder, clock=clock) as (there, player):
        actions = player.account.actions

        async def step() -> None:
            clock.advance(1.0)
            await player.alive(waiting=False)

        yield There(there.desk, there.source, there.site.spool, TARGET, "gate.open", lambda: len(actions), step,
                    lambda: there.source._commands.carrier._waiting)  # fmt: skip


@asynccontextmanager
async def _kinot(folder: Path) -> AsyncIterator[There]:
    async with bays(folder) as (there, desk):
        yield There(desk, there.source, there.spool, f"sensor/{SENSOR}", "sensor.freeze",
                    lambda: len(there.kinot.actions), leftovers=lambda: there.source._commands._waiting)  # fmt: skip


@asynccontextmanager
async def _hik_connect(folder: Path) -> AsyncIterator[There]:
    async with cloud(folder) as (vendor, there, desk):
        yield There(desk, there.source, there.spool, "door/d1", "door.open", lambda: len(vendor.doings.actions))


@asynccontextmanager
async def _hik_gateway(folder: Path) -> AsyncIterator[There]:
    async with gateway(folder) as there:
        yield There(there.desk, there.pump.source, there.pump.spool, f"partition/{PANEL}/1", "partition.disarm",
                    lambda: len(there.did))  # fmt: skip


@asynccontextmanager
async def _hik_camera(folder: Path) -> AsyncIterator[There]:
    async with camera(folder) as there:
        yield There(there.desk, there.pump.source, there.pump.spool, "door/door/1", "door.open",
                    lambda: len(there.did))  # fmt: skip


async def _result(there: There, *, expires: float = 60.0) -> tuple[str, CommandResult]:
    ticket = await there.desk.ask(Request(there.target, there.verb, expires=expires), "socket")
    ended = asyncio.ensure_future(ticket.result)
    while not ended.done():
        await there.step()
    return ticket.request_id, ended.result()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("vendor", [_avaeye, _carried, _kinot, _hik_connect, _hik_gateway, _hik_camera])
async def test_a_source_that_is_cut_anywhere(
    tmp_path: Path, vendor: Any, way: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with vendor(tmp_path) as there:
        whole = there.source.command
        cuts: list[CutAt] = []

        async def command(command: Command) -> CommandResult:
            cuts.append(CutAt(whole(command), len(cuts) + 1, way))
            result: CommandResult = await cuts[-1]
            return result

        monkeypatch.setattr(there.source, "command", command)
        statuses: list[str] = []
        while len(cuts) < LEAST or cuts[-1].cut:  # a kept connection makes one shorter than the next
            before = there.done()
            _, result = await _result(there)
            statuses.append(result.status)
            if result.status == "unknown":  # it may be on its way: the next one is held apart from it
                for _ in range(50):
                    await asyncio.sleep(0.001)
            assert there.done() - before <= 1
            if result.status in NOTHING_HAPPENED:
                assert there.done() == before
            assert not there.leftovers()
        assert statuses[-1] == "done", "cut beyond its end it is as if nothing were"
        assert "failed" in statuses or vendor is _carried
        ends = Counter(
            event["data"]["command"]["request_id"]
            for record in await there.spool.read(0, limit=10_000)
            if (event := orjson.loads(record.body))["type"] == "command.result" and event["data"]["vendor"] == "pump"
        )
        assert list(ends.values()) == [1] * len(cuts)


@pytest.mark.parametrize("way", WAYS)
async def test_who_asks_is_cut_anywhere(tmp_path: Path, way: Way) -> None:
    """The control socket's client leaves: what was not taken by then is not sent."""
    async with site(tmp_path, Clock()) as there:
        cut, number = True, 0
        while cut:
            number += 1
            before, tasks = len(there.gates.did), asyncio.all_tasks()
            asking = CutAt(there.desk.ask(Request("gate/obeys", "gate.open", key=f"k{number}"), "socket"), number, way)
            task = asyncio.ensure_future(_awaited(asking))
            await asyncio.wait({task})
            cut = asking.cut
            await calm(tasks)
            assert len(there.gates.did) - before == (0 if cut else 1)
            again = await there.ask(key=f"k{number}")
            assert (await again.result).status == ("expired" if cut else "done"), "its key is that one command"
        assert number > 1
        assert there.intake.state(PREFIX).keys() == {PREFIX + event["data"]["command"]["request_id"]
                                                     for event in await there.events()}  # fmt: skip
        assert not there.desk._under_way
        assert not there.desk._turns.taken


async def _awaited(one: CutAt) -> Any:
    return await one


@pytest.mark.parametrize("gate", ["obeys", "waits", "silent", "stubborn"])
@pytest.mark.parametrize("passes", range(0, 40, 3))
async def test_a_stop_at_any_moment_leaves_one_end(tmp_path: Path, gate: str, passes: int) -> None:
    async with site(tmp_path, Clock()) as there:
        asking = asyncio.create_task(there.ask(f"gate/{gate}"))
        for _ in range(passes):
            await asyncio.sleep(0)
        stopping = asyncio.create_task(there.desk.close())
        try:
            ticket = await asking
        except NotTaken:
            await stopping
            assert there.gates.did == []
            return
        result = await ticket.result
        await stopping
        there.gates.go_on.set()  # who has swallowed its cancellation would go on now
        for _ in range(20):
            await asyncio.sleep(0)
        assert len(there.gates.did) <= 1
        assert result.status in ("done", "unknown") or there.gates.did == []
        while len(await there.events()) < 2:
            await asyncio.sleep(0)
        assert await there.statuses() == ["requested", result.status]
