"""The daemon's command `record`: it ends at its time, its size, when asked, and when its client leaves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from pump.core.errors import Refusal
from pump.ingest.recording.fields import RecordedFields
from pump.ingest.recording.tap import Tap
from pump.ops.record import Recorder
from pump.testing import ManualClock


class Client:
    """Who asked: the lines, and a stop that lets it read no more."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []
        self.begun = asyncio.Event()
        self.reads = asyncio.Event()
        self.reads.set()

    async def tell(self, progress: dict[str, Any]) -> None:
        await self.reads.wait()
        self.lines += progress["lines"]
        self.begun.set()

    @property
    def kinds(self) -> list[str]:
        return [line.get("kind", "header") for line in self.lines]


class Stage:
    """A source "gate" with a tap."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.tap = Tap(self.clock)
        self.counted: list[tuple[str, int]] = []
        self.again: list[str] = []
        source: Any = SimpleNamespace(settings=SimpleNamespace(type="avaeye"), recorded=RecordedFields())
        intake: Any = SimpleNamespace(tap=self.tap, count=lambda what, n: self.counted.append((what, n)))
        self.record = Recorder({"gate": source}, {"gate": intake}, self.restart, self.clock)
        self.ends = True

    async def restart(self, part: str) -> bool:
        self.again.append(part)
        if self.ends:
            self.tap.begun()
        return self.ends

    def push(self, body: bytes = b"{}") -> None:
        self.tap.push({"method": "POST", "path": "/a", "headers": {}, "status": 200}, body)

    @asynccontextmanager
    async def recorded(self, client: Client, **more: Any) -> AsyncIterator[asyncio.Task[dict[str, Any]]]:
        arguments = {"source": "gate", "seconds": 60.0, "bytes": 1 << 20, **more}
        task = asyncio.create_task(self.record.record(arguments, client.tell))
        await client.begun.wait()
        yield task
        task.cancel()
        await asyncio.wait({task})


async def test_it_ends_at_its_time_with_all_that_came() -> None:
    stage, client = Stage(), Client()
    async with stage.recorded(client) as task:
        stage.push()
        stage.clock.advance(59)
        stage.push()
        stage.clock.advance(2)
        assert await task == {"frames": 2, "left_out": 0, "why": "its time was over"}
    assert client.kinds == ["header", "push", "push", "end"]
    assert stage.tap.recording is None


async def test_it_ends_at_its_size_and_when_it_is_asked_to() -> None:
    stage, client = Stage(), Client()
    async with stage.recorded(client, bytes=1000) as task:
        stage.push(b"x" * 2000)
        assert (await task)["why"] == "it had the bytes that it may have"
    async with stage.recorded(Client()) as task:
        stage.push()
        assert await stage.record.stop({"source": "gate"}, client.tell) == {"stopped": True}
        assert (await task)["frames"] == 1
    assert await stage.record.stop({"source": "gate"}, client.tell) == {"stopped": False}


async def test_one_at_a_time_and_only_of_a_source_that_is_there() -> None:
    stage, client = Stage(), Client()
    async with stage.recorded(client):
        with pytest.raises(Refusal, match="being recorded already"):
            await stage.record.record({"source": "gate", "seconds": 1, "bytes": 1}, client.tell)
    for arguments in (
        {"source": "nobody", "seconds": 1, "bytes": 1}, {"source": "gate", "seconds": 0, "bytes": 1},
        {"source": "gate", "seconds": True, "bytes": 1}, {"source": "gate", "seconds": 1}, {},
        {"source": "gate", "seconds": float("nan"), "bytes": 1}, {"source": ["gate"], "seconds": 1, "bytes": 1},
    ):  # fmt: skip
        with pytest.raises(Refusal):
            await stage.record.record(arguments, client.tell)
    assert stage.tap.recording is None


async def test_a_client_that_leaves_ends_it_and_another_may_begin() -> None:
    stage, client = Stage(), Client()
    async with stage.recorded(client) as task:
        task.cancel()
        await asyncio.wait({task})
        assert stage.tap.recording is None
    stage.push()
    other = Client()
    async with stage.recorded(other):
        assert other.kinds == ["header"]


async def test_a_client_that_does_not_read_holds_up_nothing_but_its_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pump.ingest.recording.tap.WAITING", 20_000)
    stage, client = Stage(), Client()
    async with stage.recorded(client) as task:
        client.reads.clear()
        for _ in range(100):
            stage.push(b"x" * 1000)  # returns at once, each
        stage.clock.advance(61)
        client.reads.set()
        result = await task
    assert result["frames"] + result["left_out"] == 100
    assert result["left_out"] > 0
    assert stage.counted == [("not recorded", result["left_out"])]
    assert client.lines[-1]["left_out"] == result["left_out"]


async def test_anew_it_has_the_source_s_beginning() -> None:
    stage, client = Stage(), Client()
    async with stage.recorded(client, anew=True) as task:
        while not stage.again:
            await asyncio.sleep(0)
        stage.push()
        stage.tap.begun()
        assert await task == {"frames": 1, "left_out": 0, "why": "the source began anew"}
    assert stage.again == ["source gate"]
    stage.ends = False
    async with stage.recorded(client, anew=True) as task:
        with pytest.raises(Refusal, match="does not end"):
            await task
    assert stage.tap.recording is None
