"""`devices.accept`: an operator's word makes devices known, at once and over restarts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest

from pump.core.errors import Refusal
from pump.core.event import Event
from pump.ingest.devices import Devices
from pump.ingest.intake import Intake
from pump.ops.accept import Accept
from pump.spool import Spool, SpoolSettings
from pump.spool.errors import Verdict
from pump.telemetry.health import Health
from pump.telemetry.metrics import Metrics
from pump.testing import ManualClock


async def tell(_: dict[str, Any]) -> None:
    return


@asynccontextmanager
async def _intakes(folder: Path) -> AsyncIterator[dict[str, Intake]]:
    clock, metrics = ManualClock(), Metrics()
    spool = await Spool.open(folder, SpoolSettings(), clock=clock, metrics=metrics)
    try:
        yield {
            name: Intake(name, spool=spool, site="s", clock=clock, metrics=metrics, health=Health(clock))
            for name in ("gate", "yard")
        }
    finally:
        await spool.close()


async def _heard(intake: Intake, *keys: str) -> Devices:
    devices = Devices(intake, intake.clock, vendor="avaeye", kind="camera")
    for key in keys:
        async with devices.heard(key) as sign:
            await intake.put(*sign.events, state=sign.state)
    return devices


async def test_what_was_heard_of_is_found_and_what_was_not_needs_its_source(tmp_path: Path) -> None:
    async with _intakes(tmp_path) as intakes:
        gate, yard = await _heard(intakes["gate"], "1/1", "1/2"), await _heard(intakes["yard"], "1/2", "1/3")
        accept = Accept(intakes).commands()["devices.accept"]
        assert await accept({"keys": ["1/1", "1/3"]}, tell) == {
            "accepted": [{"source": "gate", "device": "1/1"}, {"source": "yard", "device": "1/3"}]
        }
        assert not gate.stranger("1/1")
        assert not yard.stranger("1/3")
        assert gate.stranger("1/3"), "a source's own word is no other's"
        with pytest.raises(Refusal, match="--source gate or --source yard"):
            await accept({"keys": ["1/1", "1/2"]}, tell)
        with pytest.raises(Refusal, match="no source has heard of 1/9"):
            await accept({"keys": ["1/9"]}, tell)
        await accept({"keys": ["1/9", "1/2"], "source": "yard"}, tell)
        assert gate.stranger("1/2")
    async with _intakes(tmp_path) as intakes:
        yard = await _heard(intakes["yard"])
        assert [key for key in ("1/2", "1/3", "1/9", "1/1") if yard.stranger(key)] == ["1/1"]


@pytest.mark.parametrize(
    "arguments",
    [{}, {"keys": []}, {"keys": "1/1"}, {"keys": [""]}, {"keys": [7]}, {"keys": ["1/1"], "source": "gat"},
     {"keys": ["1/1"], "source": ["gate"]}],
)  # fmt: skip
async def test_wrong_use_says_what_is_wanted(tmp_path: Path, arguments: dict[str, Any]) -> None:
    async with _intakes(tmp_path) as intakes:
        with pytest.raises(Refusal, match=r"which\?|there is no source"):
            await Accept(intakes).accept(arguments, tell)


async def test_where_the_spool_refuses_nobody_is_known(tmp_path: Path) -> None:
    async with _intakes(tmp_path) as intakes:
        devices = await _heard(intakes["gate"], "1/1")
        intakes["gate"]._spool._writer.refuse(Verdict.FULL.value)
        with pytest.raises(Refusal, match="cannot be stored now"):
            await Accept(intakes).accept({"keys": ["1/1"]}, tell)
        assert devices.stranger("1/1")


# --- forget -----------------------------------------------------------------------------------------------------------


async def test_what_was_accepted_or_known_for_long_is_a_stranger_again(tmp_path: Path) -> None:
    async with _intakes(tmp_path) as intakes:
        gate = await _heard(intakes["gate"], "1/1", "1/2", "1/3")
        commands = Accept(intakes).commands()
        await commands["devices.accept"]({"keys": ["1/1", "1/2"]}, tell)
        await commands["devices.accept"]({"keys": ["1/9"], "source": "yard"}, tell)
        before = {event.id async for event in _events(intakes["gate"])}
        assert await commands["devices.forget"]({"keys": ["1/1", "1/9"]}, tell) == {
            "forgotten": [{"source": "gate", "device": "1/1"}, {"source": "yard", "device": "1/9"}]
        }
        assert gate.get("1/1") is None
        assert [gate.stranger(key) for key in ("1/1", "1/2", "1/3")] == [True, False, True]
        assert intakes["gate"].accepted == {"1/2"}
        assert intakes["yard"].accepted == set()
        async with gate.heard("1/1") as sign:
            await intakes["gate"].put(*sign.events, state=sign.state)
        assert gate.stranger("1/1")
        assert len({event.id async for event in _events(intakes["gate"])} - before) == 1, "its turns have new ids"
        with pytest.raises(Refusal, match="no source has heard of 1/7"):
            await commands["devices.forget"]({"keys": ["1/7"]}, tell)
    async with _intakes(tmp_path) as intakes:
        gate = await _heard(intakes["gate"])
        assert [gate.stranger(key) for key in ("1/1", "1/2", "1/3")] == [True, False, True]


async def _events(intake: Intake) -> AsyncIterator[Event]:
    for record in await intake._spool.read(0):
        found = orjson.loads(record.body)
        yield Event(found["type"], found["id"], found["data"])


async def test_what_the_configuration_names_cannot_be_forgotten(tmp_path: Path) -> None:
    async with _intakes(tmp_path) as intakes:
        named = {"1/1", "7"}
        gate = Devices(intakes["gate"], intakes["gate"].clock, vendor="avaeye", named=named)
        for key in ("1/1", "2/7", "1/2"):
            async with gate.heard(key) as sign:
                await intakes["gate"].put(*sign.events, state=sign.state)
        for key in ("1/1", "2/7"):
            with pytest.raises(Refusal, match=r"pump\.toml names"):
                await Accept(intakes).forget({"keys": ["1/2", key]}, tell)
        assert gate.get("1/2") is not None, "all or none"


async def test_a_sign_that_was_being_stored_brings_nobody_back(tmp_path: Path) -> None:
    async with _intakes(tmp_path) as intakes:
        gate, commands = await _heard(intakes["gate"], "1/1"), Accept(intakes).commands()
        await commands["devices.accept"]({"keys": ["1/1"]}, tell)
        for again in (False, True):
            async with gate.heard("1/1", interval=30.0) as sign:
                await intakes["gate"].put(*sign.events, state=sign.state)
                await commands["devices.forget"]({"keys": ["1/1"]}, tell)
                if again:
                    async with gate.heard("1/1", interval=30.0) as other:
                        await intakes["gate"].put(*other.events, state=other.state)
            assert gate.stranger("1/1")
            assert (gate.get("1/1") is not None) == again
            assert ("device/1/1" in intakes["gate"].state("device/")) == again
            if not again:
                await _signed(gate, intakes["gate"])
                await commands["devices.accept"]({"keys": ["1/1"]}, tell)
    async with _intakes(tmp_path) as intakes:
        assert (await _heard(intakes["gate"])).stranger("1/1")


async def _signed(devices: Devices, intake: Intake) -> None:
    async with devices.heard("1/1", interval=30.0) as sign:
        await intake.put(*sign.events, state=sign.state)
