"""`pump restart`: a source or a sink that waits is tried again at once, through the daemon's own command."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from pump.core.errors import Gone, Misconfigured, Refusal, Unavailable
from pump.ops.restart import Restart
from pump.runtime.supervisor import Supervisor
from pump.testing import ManualClock
from pump.testing.sinks import ScriptedSinks
from tests.unit.delivery.test_delivery import stage


async def tell(_: dict[str, Any]) -> None:
    return


class Waits:
    """A source that waits over its own restarts."""

    def __init__(self) -> None:
        self.hurried = 0

    def hurry(self) -> None:
        self.hurried += 1


async def again(_: str) -> bool:
    return True


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("gate", "source gate"), ("source gate", "source gate"), ("out", "sink out"), ("source both", "source both"),
        ("both", None), ("gat", None), ("", None), (None, None), (3, None), ("sink gate", None),
        ("commands out", "commands out"), ("commands both", None),
    ],
)  # fmt: skip
async def test_a_part_is_found_by_its_name(name: object, part: str | None) -> None:
    asked: list[str] = []

    async def note(whole: str) -> bool:
        asked.append(whole)
        return True

    sources: Any = {"gate": object(), "both": Waits()}
    sinks: Any = {"out": _Sink(), "both": _Sink()}
    command = Restart(sources, sinks, note, {"commands out"})
    if part is None:
        with pytest.raises(Refusal, match=r"which|there are"):
            await command.restart({"part": name}, tell)
    else:
        assert (await command.restart({"part": name}, tell))["part"] == part
        assert asked == [part]


class _Sink:
    """As much of a delivery as the name needs."""

    class shutoff:
        reason = ""

    @staticmethod
    def hurry() -> bool:
        return False


@pytest.mark.parametrize("away", [Unavailable("away", retry_after=3600.0), Misconfigured("wrong key")])
async def test_a_sink_between_two_tries_is_tried_at_once(tmp_path: Path, away: Exception) -> None:
    clock = ManualClock()
    async with stage(tmp_path, clock) as on:
        sinks = ScriptedSinks([away])
        delivery = on.delivery(sinks)
        supervisor = Supervisor(clock=clock, metrics=on.metrics)
        supervisor.add("sink out", delivery.run, delivery._component)
        await on.put(3)
        await sinks.called(1)
        await clock.run(0)
        command = Restart({}, {"out": delivery}, supervisor.restart)
        begin = clock.monotonic()
        assert await command.restart({"part": "out"}, tell) == {"part": "sink out", "waited": True}
        await sinks.arrived(3)
        assert clock.monotonic() == begin
        assert await _restarted(command, sinks), "and one that is well is opened anew"
        await on.put(2)
        await sinks.arrived(5)
        assert sinks.sequence == [1, 2, 3, 4, 5]
        await supervisor.stop(supervisor.names, 5.0)


async def _restarted(command: Restart, sinks: ScriptedSinks) -> bool:
    openings = len(sinks.states)
    assert (await command.restart({"part": "out"}, tell))["waited"] is False
    await sinks.until(lambda: len(sinks.states) > openings)
    return True


async def test_a_sink_that_is_switched_off_is_to_be_enabled(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        delivery = on.delivery(ScriptedSinks([Gone("410")]))
        task = asyncio.create_task(delivery.run())
        await on.put(1)
        while not delivery.shutoff.reason:
            await asyncio.sleep(0.01)
        with pytest.raises(Refusal, match="pump enable out"):
            await Restart({}, {"out": delivery}, again).restart({"part": "out"}, tell)
        task.cancel()
        await asyncio.wait({task})


async def test_a_source_that_waits_over_its_restarts_is_hurried() -> None:
    source = Waits()
    sources: Any = {"gate": source}
    await Restart(sources, {}, again).restart({"part": "gate"}, tell)
    assert source.hurried == 1
