"""A power cut: of what the kernel was given only what was fsynced is there, and every acknowledged event is in it.

SIGKILL proves nothing of the kind, for the kernel keeps what it was given. So all writes of a daemon are traced, and
the folder is rebuilt as a cut at some moment would have left it.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import orjson
import pytest

from pump.core.clock import Clock
from pump.simulation.pictures import jpeg
from pump.spool import Spool, SpoolSettings
from pump.telemetry.metrics import Metrics
from pump.testing.brokers import free_port
from tests.bench.push_load import capture
from tests.chaos.power_cut import EVERYTHING, Disk, calls, tracer
from tests.chaos.site import patient

_CONFIG = """
[pump]
site = "cut"
state_dir = "{state}"
[ops]
listen = "127.0.0.1:0"
[server]
listen = "127.0.0.1:{port}"
[sources.gate]
type = "avaeye"
[sinks.out]
type = "jsonl"
path = "{folder}/events.jsonl"
"""
_STATE = Path("var", "state")
"""The state directory on the disk, of which the daemon makes both parts."""
_CONNECTIONS = 4
_EACH = 40
"""Captures of each connection; together they fill the WAL more than once."""
_PICTURES = 5
"""Of so many captures one has a picture."""


@dataclass
class Run:
    """A daemon's life under the trace, and the moment of each answer."""

    disk: Disk
    answered: dict[str, float]


async def _camera(port: int, number: int, answered: dict[str, float]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for turn in range(_EACH):
        picture = base64.b64encode(jpeg(f"{number}-{turn}", 2000)).decode() if turn % _PICTURES == 0 else ""
        body = capture(number, turn, picture=picture, size=6000)
        writer.write(b"POST /api/upark/capture HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), head
        await reader.readexactly(int(re.findall(rb"(?i)content-length: *(\d+)", head)[0]))
        answered[f"0-{number}-{turn}"] = time.time()
    writer.close()


async def _cameras(port: int) -> dict[str, float]:
    answered: dict[str, float] = {}
    async with asyncio.TaskGroup() as group:
        for number in range(_CONNECTIONS):
            group.create_task(_camera(port, number, answered))
    return answered


def _traced(folder: Path) -> Run:
    trace, disk, port = folder / "trace", folder / "disk", free_port()
    begin = tracer(trace)
    if begin is None:
        pytest.skip("strace is not installed, or may trace nothing here: no power cut is played")
    disk.mkdir()
    (folder / "pump.toml").write_text(_CONFIG.format(folder=folder, state=disk / _STATE, port=port))
    log = folder / "daemon.log"
    with log.open("wb") as file:
        tracing = subprocess.Popen(
            [*begin, sys.executable, "-m", "pump", "run", "-c", str(folder / "pump.toml")], stderr=file
        )
    try:
        patient(lambda: b"The pump runs" in log.read_bytes(), "the daemon's start")
        answered = asyncio.run(_cameras(port))
        [child] = Path(f"/proc/{tracing.pid}/task/{tracing.pid}/children").read_text().split()
        os.kill(int(child), signal.SIGTERM)
        assert tracing.wait() == 0, log.read_text()
    finally:
        if tracing.poll() is None:
            tracing.kill()
            tracing.wait()
    return Run(Disk(disk, calls(trace)), answered)


async def _kept(state: Path) -> dict[str, str | None]:
    """The recordIds of the events in a spool, each with what is wrong with its picture."""
    spool = await Spool.open(state, SpoolSettings(), clock=Clock(), metrics=Metrics())
    found: dict[str, str | None] = {}
    try:
        assert spool.repaired is None, spool.repaired
        after = 0
        while batch := await spool.read(after):
            after = batch[-1].seq
            for record in batch:
                data = orjson.loads(record.body)["data"]
                if data["code"] == "capture":
                    found[data["raw"]["params"]["recordId"]] = _picture(state, data)
    finally:
        await spool.close()
    return found


def _picture(state: Path, data: dict[str, object]) -> str | None:
    """The first of its pictures that is not as the event says."""
    media = data.get("media")
    for one in media if isinstance(media, list) else ():
        path = state / "media" / one["path"]
        if not path.exists():
            return f"{path} is not there"
        if hashlib.sha256(path.read_bytes()).hexdigest() != one["sha256"]:
            return f"{path} has another content"
        if not (path.parents[1] / "strangers" / path.parent.name / path.name).exists():
            return f"{path} has no mark, and a stranger has sent it"
    return None


def _cuts(run: Run, chance: random.Random) -> list[float]:
    """Moments: right after an answer, and anywhere between the first and the last, a second beyond it too."""
    moments = sorted(run.answered.values())
    return [*chance.sample(moments, 3), *(chance.uniform(moments[0], moments[-1] + 1) for _ in range(3)), moments[-1]]


@pytest.fixture
def quick(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory where there is one: looking at a copy is to cost no fsync."""
    memory = Path("/dev/shm")
    place = Path(tempfile.mkdtemp(prefix="pump-cut-", dir=memory if memory.is_dir() else tmp_path))
    yield place
    shutil.rmtree(place)


def _files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.endswith("-shm")
    }


def test_every_event_that_was_answered_before_a_power_cut_is_there(tmp_path: Path, quick: Path) -> None:
    run = _traced(tmp_path)
    assert len(run.answered) == _CONNECTIONS * _EACH
    run.disk.at(time.time(), quick / "all", EVERYTHING)
    assert _files(quick / "all") == _files(tmp_path / "disk"), "the trace has not seen all that was written"

    chance = random.Random(17)
    for number, cut in enumerate(_cuts(run, chance)):
        due = {record for record, when in run.answered.items() if when <= cut}
        for some in (None, chance):
            run.disk.at(cut, quick / "cut", some)
            kept = asyncio.run(_kept(quick / "cut" / _STATE))
            shutil.rmtree(quick / "cut")
            where = f"cut {number}, at {cut}, {'some' if some else 'nothing'} of the rest"
            assert due <= kept.keys(), f"{where}: {sorted(due - kept.keys())} are lost"
            assert not {record: kept[record] for record in due if kept[record]}, where

    # The test's own: what the cuts leave is what the fsyncs stored, and nothing else.
    run.disk.forget()
    run.disk.at(time.time(), quick / "forgotten")
    assert _files(quick / "forgotten") == {}
