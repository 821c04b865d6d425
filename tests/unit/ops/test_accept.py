"""`devices.accept`: an operator's word makes devices known, at once and over restarts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from pump.core.errors import Refusal
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
