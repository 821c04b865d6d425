"""`pump devices`: what is stored of devices, their clocks and what they measured, for people and as JSON lines."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from pump.cli import group
from pump.core.clock import Clock
from pump.core.event import Event
from pump.ingest.intake import Intake
from pump.spool import Spool, SpoolSettings
from pump.telemetry.health import Health
from pump.telemetry.metrics import Metrics

ROW = {"interval": 30.0, "turns": 1, "heard": 1.0, "seen": "2026-11-20T08:00:00.000Z"}
STATE: dict[str, dict[str, Any]] = {
    "gate": {
        "device/10000/1001": {**ROW, "online": True, "facts": {"name": "HC121", "version": "V1"}},
        "device/10000/1002": {**ROW, "online": False, "facts": {}},
        "clock/10000/1001": {"offset": 10800.4, "off": True, "turns": 1},
    },
    "bays": {
        "device/7": {
            **ROW, "online": True,
            "facts": {"name": "parking sensor", "volts": 3.654, "rssi": -109.5, "coil_frequency": 38.6, "active": 0},
        },
        "device/8": {**ROW, "online": True, "facts": {"name": "parking lock", "volts": 3.6}},
        "clock/7": {"offset": -2.2, "off": False, "turns": 0},
    },
    "arc": {"clock/DEV": {"offset": -90, "off": True, "turns": 3}, "clock/wrong": "?", "clock/other": {"offset": "?"}},
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("spool")

    async def main() -> None:
        spool = await Spool.open(folder, SpoolSettings(), clock=Clock(), metrics=Metrics())
        for source, state in STATE.items():
            await spool.append([], source=source, state=state)
        await spool.close()

    asyncio.run(main())
    return folder


def shown(folder: Path, *arguments: str) -> str:
    done = CliRunner().invoke(group, ["devices", "--state-dir", str(folder), *arguments])
    assert done.exit_code == 0, done.output
    return done.output


def table(folder: Path, *arguments: str) -> list[dict[str, str]]:
    """The lines as what stands under each head."""
    head, *lines = shown(folder, *arguments).splitlines()
    heads = list(re.finditer(r"\S+( \S+)*", head))
    ends = [*(found.start() for found in heads[1:]), None]
    return [
        {found[0]: line[found.start() : end].strip() for found, end in zip(heads, ends, strict=True)} for line in lines
    ]


def test_clocks_and_measures_are_columns(folder: Path) -> None:
    rows = {(row["source"], row["device"]): row for row in table(folder)}
    assert {key: row["clock"] for key, row in rows.items()} == {
        ("arc", "DEV"): "-90 s off", ("bays", "7"): "-2 s", ("bays", "8"): "-",
        ("gate", "10000/1001"): "+10800 s off", ("gate", "10000/1002"): "-",
    }  # fmt: skip
    assert (rows["arc", "DEV"]["state"], rows["gate", "10000/1002"]["state"]) == ("-", "offline")
    measures = {name: rows["bays", "7"][name] for name in ("voltage", "signal", "frequency", "active")}
    assert measures == {"voltage": "3.65 V", "signal": "-109.5 dBm", "frequency": "38.6 kHz", "active": "no"}
    assert (rows["bays", "8"]["voltage"], rows["bays", "8"]["active"]) == ("3.60 V", "-")
    assert "voltage" not in table(folder, "--source", "gate")[0]
    assert [row["device"] for row in table(folder, "--offline")] == ["10000/1002"]


def test_json_lines_have_them_too(folder: Path) -> None:
    rows = [json.loads(line) for line in shown(folder, "--json").splitlines()]
    (camera,) = (row for row in rows if row["device"] == "10000/1001")
    assert (camera["clock_offset_s"], camera["clock_off"], camera["online"]) == (10800.4, True, True)
    (bay,) = (row for row in rows if row["device"] == "7")
    assert bay["facts"]["volts"] == 3.654
    assert len(rows) == 5


async def test_panels_zones_and_cameras_without_a_table_of_their_own(tmp_path: Path) -> None:
    row = {"name": "Panel", "model": "AX", "serial": "S1", "category": "alarm device"}
    state: dict[str, dict[str, Any]] = {
        "arc": {
            "inventory": {"DEV": row, "NEW": {**row, "name": None}}, "status/DEV": "offline", "status/GONE": "online",
            "clock/DEV": {"offset": 2, "off": False},
        },
        "cam": {"device": {"serial": "S9", "name": "Yard", "names": {"1": "West"}}},
    }  # fmt: skip

    clock, metrics = Clock(), Metrics()
    spool = await Spool.open(tmp_path, SpoolSettings(), clock=clock, metrics=metrics)
    for source, stored in state.items():
        await spool.append([], source=source, state=stored)
    intake = Intake("arc", spool=spool, site="s", clock=clock, metrics=metrics, health=Health(clock))
    data = {"vendor": "v", "code": "1", "name": "Alarm", "severity": "info", "phase": "pulse"}
    data |= {"place": {"zone": "Door"}}  # type: ignore[dict-item]  # a group
    for subject in ("zone/DEV/1", "zone/DEV/1", None):
        await intake.put(Event("security.burglary", str(len(str(subject))), data, clock.now(), subject=subject))
    await spool.close()
    shown = {(row["source"], row["device"]): (row["state"], row["name"], row["clock"]) for row in table(tmp_path)}
    assert shown == {
        ("arc", "DEV"): ("offline", "Panel", "+2 s"), ("arc", "NEW"): ("-", "-", "-"),
        ("arc", "GONE"): ("online", "-", "-"), ("arc", "zone/DEV/1"): ("-", "Door", "-"),
        ("cam", "S9"): ("-", "Yard", "-"), ("cam", "camera/1"): ("-", "West", "-"),
    }  # fmt: skip
    assert [row["device"] for row in table(tmp_path, "--offline")] == ["DEV"]


@pytest.mark.parametrize("left", [True, False])
async def test_whom_a_table_has_forgotten_is_not_listed_for_what_it_once_sent(tmp_path: Path, left: bool) -> None:
    clock, metrics = Clock(), Metrics()
    spool = await Spool.open(tmp_path, SpoolSettings(), clock=clock, metrics=metrics)
    state: dict[str, Any] = {"strangers": 3}
    if left:
        state["device/10000/1001"] = {**ROW, "online": True, "facts": {}, "since": 1.0}
    await spool.append([], source="gate", state=state)
    data = {"vendor": "v", "code": "1", "name": "On", "severity": "info", "phase": "pulse"}
    for source, subjects in {"gate": ("camera/10000/1001", "camera/9/1", "camera/9/2"), "arc": ("zone/DEV/1",)}.items():
        intake = Intake(source, spool=spool, site="s", clock=clock, metrics=metrics, health=Health(clock))
        for subject in subjects:
            await intake.put(Event("device.online", subject, dict(data), clock.now(), subject=subject))
    await spool.close()
    listed = [("arc", "zone/DEV/1"), *([("gate", "10000/1001")] if left else [])]
    assert [(row["source"], row["device"]) for row in table(tmp_path)] == listed
    if left:
        assert [row["device"] for row in table(tmp_path, "--strangers")] == ["10000/1001"]
