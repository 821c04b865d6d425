"""Gaps filled from the simulator's logs, over a real socket, into a real spool; the clock is moved by hand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from pump.spool import Gap
from pump.testing import ManualClock
from pump.vendors.hik_connect.simulator.logs import Logged
from pump.vendors.hik_connect.simulator.messages import identity
from pump.vendors.hik_connect.simulator.quirks import LogQuirks, Quirks
from pump.vendors.hik_connect.simulator.server import Fault, Simulator
from tests.unit.vendors.hik_connect.test_source import APP_KEY, SECRET_KEY, Site, site

HOUR = 3600.0
DAY = 24 * HOUR
PACE = 0.2
"""Seconds of the clock between two looks: the vendor is given minutes before a time is searched."""


def vendor(clock: ManualClock, quirks: Quirks | None = None, logs: LogQuirks | None = None) -> Simulator:
    return Simulator(clock=clock, quirks=quirks, log_quirks=logs, app_key=APP_KEY, secret_key=SECRET_KEY)


async def ledger(pump: Site) -> list[Gap]:
    return await pump.spool.gaps.read()


async def filled(pump: Site, count: int = 1) -> list[Gap]:
    """The ledger, once it has so many records and none is open."""

    def done() -> bool:
        states = pump.spool.gaps.counts.get("teams", {})
        return sum(states.values()) >= count and not states.get("open")

    await pump.until(done)
    return await ledger(pump)


def at_fault(vendor: Simulator) -> None:
    assert vendor.account.busiest_second() <= 5
    assert not {code for code in vendor.account.refusals if code not in ("OPEN000016", "OPEN000010")}


def keys(rows: Iterable[Logged]) -> dict[str, str]:
    """Which row a record's identity became."""
    return {identity: row.row.get("guid") or row.row["recordGuid"] for row in rows for identity in row.identities}


class Happened:
    """What the simulated vendor's devices did, by row of the logs; each row may be met in a queue too."""

    def __init__(self, simulator: Simulator) -> None:
        simulator.logs._absorb()
        self.rows = {**keys(simulator.logs.alarms.values()), **keys(simulator.logs.access.values())}
        self.guids = Counter(self.rows.values())

    def of(self, event: dict[str, Any]) -> str:
        """The row that a stored event is of."""
        raw = event["data"]["raw"]
        if event["data"]["reconciled"]:
            return str(raw.get("guid") or raw["recordGuid"])
        return self.rows.get(identity(raw), identity(raw))


async def stored(pump: Site) -> list[dict[str, Any]]:
    """The vendor's records; not what the pump itself noticed of devices."""
    return [event for event in await pump.events() if event["data"]["vendor"] != "pump" and "raw" in event["data"]]


@pytest.mark.parametrize("fate", ["keeps", "empties"])
async def test_four_days_away_are_filled_each_event_once(tmp_path: Path, fate: Any) -> None:
    """The subscription dies on the second day, messages after three; all that a log has is there in the end."""
    clock = ManualClock()
    async with vendor(clock, Quirks(lost_subscription=fate)) as hik:
        async with site(hik, tmp_path, clock) as pump:
            hik.put("combine", *hik.make("combine", 20))
            await pump.completed()
        for _ in range(96):
            clock.advance(HOUR)
            hik.put("combine", *hik.make("combine", 8, "camera"), *hik.make("combine", 3, "access"))
        async with site(hik, tmp_path, clock, verify="0s") as pump:
            pump.pace = PACE
            await pump.completed()
            live = hik.put("combine", *hik.make("combine", 5, "anpr"))
            [gap] = await filled(pump)
            events = await stored(pump)
            happened = Happened(hik)
            times = Counter(happened.of(event) for event in events)
            assert {key: count for key, count in times.items() if count != 1} == {}
            assert set(happened.guids) <= set(times), "nothing is missing that a log has"
            assert gap.state == "filled"
            assert gap.filled == sum(event["data"]["reconciled"] for event in events)
            assert gap.filled > 500
            assert set(live) <= {identity(event["data"]["raw"]) for event in events}
            assert pump.spool.state("teams", "backfill/gap/") == {}
            at_fault(hik)
