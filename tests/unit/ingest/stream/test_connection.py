"""One link, cancelled at its awkward points: a stop is a stop, whatever fails at the same moment."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

import orjson
import pytest

from pump.core.errors import Misconfigured
from pump.core.event import Event
from pump.ingest.stream.client import ConnectionLost
from pump.ingest.stream.handler import Batch, RetryAdvice
from pump.ingest.stream.multipart.parts import Part, Skipped
from tests.unit.ingest.stream.test_stream import Keeper, Site, part, site
from tests.unit.ingest.stream.test_stream_attacks import Refusing

TURNS = 24
"""Passes of the event loop after a failure: by then the next link is up, or waited for."""


def event(name: str) -> Event:
    data = {"vendor": "v", "code": "c", "name": name, "phase": "pulse", "severity": "info"}
    return Event("device.unknown", name, data)


async def stored(one: Site) -> list[str]:
    """The names of the events, in order, but for the source's ups and downs."""
    events = [orjson.loads(record.body) for record in await one.spool.read(0)]
    return [one["data"]["name"] for one in events if not one["type"].startswith("pump.source.")]


class Failing(Keeper):
    """Fails beside the reading when it is let, in its upkeep or in its tick; a tick waits at its end as well."""

    def __init__(self) -> None:
        super().__init__()
        self.let = asyncio.Event()
        self.error: Exception = ConnectionLost("the upkeep has had enough")
        self.ticks = False

    async def upkeep(self) -> None:
        self.looked_after.set()
        try:
            await self.let.wait()
            if self.ticks:
                await asyncio.Event().wait()
            raise self.error
        finally:
            self.looked_after.clear()
            await asyncio.sleep(0)

    def due(self) -> float | None:
        return 0.0 if self.ticks and self.let.is_set() else None

    async def tick(self) -> Sequence[Batch]:
        await asyncio.sleep(0)
        raise self.error

    async def received(self, items: Sequence[Part | Skipped]) -> Sequence[Batch]:
        await super().received(items)
        return [Batch([event(item.body.decode()) for item in items if isinstance(item, Part)])]


def _let(one: Site, error: Exception, *, tick: bool = False) -> None:
    listener = one.listener
    assert isinstance(listener, Failing)
    listener.error, listener.ticks = error, tick
    listener.let.set()
    one.send(part(b"a last one"))  # the timer is armed with what is read


FAILURES: dict[str, Callable[[Site], object]] = {
    "silence": lambda one: one.clock.advance(1000.0),
    "renewal": lambda one: one.stream.renew(),
    "the peer's end": lambda one: one.writers[-1].close(),
    "a cut": lambda one: one.writers[-1].transport.abort(),
    "an upkeep that loses the link": lambda one: _let(one, ConnectionLost("enough")),
    "an upkeep with a bug": lambda one: _let(one, RuntimeError("a bug")),
    "a tick with a bug": lambda one: _let(one, RuntimeError("a bug"), tick=True),
    "nothing": lambda one: None,
}


@pytest.mark.parametrize("refusing", [False, True], ids=["", "while the spool refuses"])
@pytest.mark.parametrize("name", FAILURES)
async def test_a_stop_at_the_moment_of_a_failure_is_a_stop(tmp_path: Path, name: str, refusing: bool) -> None:
    before = asyncio.all_tasks()
    async with site(tmp_path, listener=Failing(), intake=Refusing) as one:
        assert isinstance(one.intake, Refusing)
        for turns in range(-1, TURNS):
            one.task.cancel()
            await asyncio.wait({one.task})
            one.intake.refusing = False
            one.listener = Failing()
            one.begin(one.port)
            await one.up()
            await one.until(one.listener.looked_after.is_set)
            one.intake.refusing = refusing
            one.send(part(b"one"))
            if refusing:
                refused = one.intake.refused
                await one.until(lambda refused=refused: one.intake.refused > refused)  # type: ignore[misc]
            if turns < 0:
                one.task.cancel()  # and the failure comes in the same pass
            FAILURES[name](one)
            for _ in range(turns):
                await asyncio.sleep(0)
            if one.task.done() and not one.task.cancelled():
                assert "bug" in str(one.task.exception()), "the failure was there before the stop"
                continue
            one.task.cancel()
            one.intake.refusing = False
            await asyncio.wait({one.task}, timeout=30.0)
            assert one.task.done(), f"after {turns} turns the stream goes on"
            assert one.task.cancelled(), f"after {turns} turns: {one.task.exception()!r}"
            # a link that is cut before its handler was told of it is closed like any other
            assert one.listener.told.count("opened") <= one.listener.told.count("closed")
            assert not one.listener.looked_after.is_set()
            left = {task.get_name() for task in asyncio.all_tasks() - before if "of the stream" in task.get_name()}
            assert not left, f"after {turns} turns"


async def test_what_fails_beside_a_batch_that_is_stored_waits_for_it(tmp_path: Path) -> None:
    async with site(tmp_path, listener=Failing(), intake=Refusing) as one:
        assert isinstance(one.intake, Refusing)
        await one.up()
        await one.until(one.listener.looked_after.is_set)
        one.intake.refusing = True
        one.send(part(b"one") + part(b"two"))
        await one.until(lambda: one.intake.refused)  # type: ignore[attr-defined]
        _let(one, ConnectionLost("enough"))
        await one.clock.run(30.0)
        one.intake.refusing = False
        await one.until(lambda: one.listener.told.count("closed"))
        assert [name for name in await stored(one) if name in ("one", "two")] == ["one", "two"]


async def test_batches_are_stored_in_order_and_the_handler_learns_of_each(tmp_path: Path) -> None:
    class Batching(Keeper):
        seconds: list[float] = []  # noqa: RUF012  # of this test alone

        async def received(self, items: Sequence[Part | Skipped]) -> Sequence[Batch]:
            first = Batch([event("first")], {"key": 1})
            return [first, Batch(), Batch([event("second")], {"key": 2}, ["a piece is missing"])]

        def stored(self, seconds: float) -> None:
            self.told.append(f"stored after {round(seconds)} s")

    async with site(tmp_path, listener=Batching(), intake=Refusing) as one:
        assert isinstance(one.intake, Refusing)
        await one.up()
        one.intake.refusing = True
        one.send(part(b"one"))
        begin = one.clock.monotonic()
        await one.until(lambda: one.clock.monotonic() - begin >= 60.0)
        assert one.listener.told == ["opened"], "nothing is stored yet"
        assert one.stream.connected, "the link stands"
        one.intake.refusing = False
        await one.until(lambda: len(one.listener.told) == 3)
        assert int(one.listener.told[2].split()[2]) < 20, "the clock that is moved by hand runs ahead on a busy machine"
        assert 40 <= int(one.listener.told[1].split()[2]) <= 80
        assert await stored(one) == ["first", "Gap", "second"]
        assert one.intake.state("key") == {"key": 2}


async def test_a_rejected_password_counts_once_whoever_learns_of_it(tmp_path: Path) -> None:
    async with site(tmp_path) as one:
        await one.up()
        one.listener.postponed = RetryAdvice("rejected", rejected=True)
        one.writers[-1].close()
        with pytest.raises(Misconfigured):
            await one.until(lambda: False)
        with pytest.raises(Misconfigured):
            await one.stream.run()
        value = one.intake._metrics.registry.get_sample_value(
            "pump_source_incidents_total", {"source": "s", "what": "rejected"}
        )
        assert value == 1
