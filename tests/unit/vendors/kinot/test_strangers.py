"""Devices that unsigned callbacks make up (`accept_unsigned`): a share of their own, and nobody else forgotten."""

from __future__ import annotations

import asyncio
from datetime import UTC
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from pump.ingest.intake import Intake
from pump.ingest.strangers import AGE, DAY, Share
from pump.testing import ManualClock
from pump.vendors.kinot import parse
from pump.vendors.kinot.states import SINCE, States
from tests.unit.ingest.conftest import Site, stored_events


def _status(clock: ManualClock, sn: str, **fields: Any) -> parse.Status:
    return parse.status({"sn": sn, "car_detected": 1, **fields}, ZoneInfo("UTC"), clock.now().astimezone(UTC))


def _states(intake: Intake, clock: ManualClock, *named: str) -> States:
    return States(intake, clock, every=False, named=frozenset(named))


async def test_whom_kinot_signs_for_or_lists_is_known_and_else_a_day_or_a_word_makes_known(tmp_path: Path) -> None:
    site = Site(tmp_path)
    clock = site.clock
    async with site.intake() as (intake, spool):
        states = _states(intake, clock, "named")
        await states.take(_status(clock, "signed"))
        await states.take(_status(clock, "listed"), asked=clock.monotonic())
        for sn in ("named", "lists later", "heard for long", "accepted", "stranger"):
            await states.take(_status(clock, sn), signed=False)
        strangers = {"lists later", "heard for long", "accepted", "stranger"}
        known = {"signed", "listed", "named"}
        assert {sn for sn in strangers | known if states.stranger(sn)} == strangers
        clock.advance(1)
        await states.take(_status(clock, "lists later"), asked=clock.monotonic())
        await intake.accept(["accepted"])
        assert not states.stranger("lists later")
        assert not states.stranger("accepted")
        for _ in range(26):  # no jump of the clock
            clock.advance(DAY / 24)
            clock.ages.look()
        await states.take(_status(clock, "heard for long", car_detected=0), signed=False)
        assert not states.stranger("heard for long")
        events = [event for event in await stored_events(spool) if event["subject"] == "sensor/lists later"]
        assert len(events) == 1, "what is known now has told nothing anew"
    async with site.intake() as (intake, _):
        states = _states(intake, clock)
        found = {sn for sn in strangers | known if states.stranger(sn)}
        assert found <= {"stranger"}, "over a restart"


async def test_whom_an_operator_has_forgotten_is_a_stranger_until_kinot_vouches_anew(tmp_path: Path) -> None:
    site = Site(tmp_path)
    clock = site.clock
    async with site.intake() as (intake, _):
        states = _states(intake, clock, "named")
        for sn in ("gone", "stays"):
            await states.take(_status(clock, sn))
        await intake.accept(["accepted"])
        await states.take(_status(clock, "accepted"), signed=False)
        assert intake.table is states
        assert [states.names(sn) for sn in ("named", "gone")] == [True, False]
        await intake.disown(["gone", "accepted", "never heard of"])
        assert states.of("gone") is None
        assert [states.stranger(sn) for sn in ("gone", "accepted", "stays")] == [True, True, False]
        clock.advance(1)
        await states.take(_status(clock, "accepted"), signed=False)
        assert states.stranger("accepted")
    async with site.intake() as (intake, _):
        states = _states(intake, clock)
        assert [states.stranger(sn) for sn in ("gone", "accepted", "stays")] == [True, True, False]
        await states.take(_status(clock, "gone"))
        assert not states.stranger("gone")


async def test_a_flood_forgets_its_own_and_leaves_nothing_behind(tmp_path: Path) -> None:
    site = Site(tmp_path)
    clock = site.clock
    async with site.intake() as (intake, _):
        states = _states(intake, clock)
        states._share = Share(rows=50)
        await states.take(_status(clock, "real"))
        for begin in range(0, 300, 100):
            takes = (states.take(_status(clock, f"{begin + n}"), signed=False) for n in range(100))
            await asyncio.gather(*takes)
        nothing = parse.status({"sn": "nothing", "x": 1}, ZoneInfo("UTC"), clock.now())
        await states.take(nothing, signed=False)
        assert len(states._known) == 51
        assert not states._locks
        assert len(states._touched) <= 51
        await intake.flush()
        await intake._spool.flush()
        assert len(intake.state("device/")) == 51
        types = [event["type"] for event in await stored_events(intake._spool)]
        assert types.count("pump.devices.full") == 1
        clock.advance(AGE + 1)
        await states.take(_status(clock, "real", car_detected=0))
        assert [*states._known] == ["device/real"]
        assert all(SINCE not in row for row in states._known.values())
    async with site.intake() as (intake, _):
        assert [*intake.state("device/")] == ["device/real"]
