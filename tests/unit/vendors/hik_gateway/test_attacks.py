"""The gateway's source, attacked: an account that must not be hurried, matters that must not be mixed."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from pump.vendors.hik_gateway.incidents import Incidents
from pump.vendors.hik_gateway.simulator.server import Quirks
from tests.unit.vendors.hik_gateway.site import site
from tests.unit.vendors.hik_gateway.test_parse import alarm, parsed


@pytest.mark.parametrize("mode", ["all", "device"])
async def test_challenges_that_always_expire_are_not_answered_for_ever(tmp_path: Path, mode: str) -> None:
    # So many attempts that the gateway never says that few are left.
    quirks = Quirks(nonce_seconds=-1.0, attempts=1000)

    async with site(tmp_path, quirks=quirks, settings={"event_mode": mode}) as one:
        one.pace = 1.0
        await one.until(lambda: one.clock.monotonic() > 1500.0)
        times = [at for at, _ in one.vendor.digest.logins]
        # Two that are none of the password's fault, then one in ten minutes.
        assert len(times) <= 5
        assert all(later - earlier >= 600.0 for earlier, later in pairwise(times[2:]))
        assert "expired" in one.intake.component.reason


def channel(number: int, code: str, at: str) -> dict[str, Any]:
    """A video loss as a gateway without alarm numbers tells it: only CIDParam says of which channel."""
    return alarm(code, at=at, uuid="0", CIDType=2, zoneNo=-1, CIDParam=f"-1,-1,-1,-1,{number},-1,-1,NONE")


def test_two_channels_that_lose_their_video_in_one_second_are_two_matters() -> None:
    incidents, state = Incidents({}), dict[str, Any]()
    messages = [channel(1, "1942", "2026-01-01 10:00:00"), channel(2, "1942", "2026-01-01 10:00:00")]
    messages += [channel(1, "3942", "2026-01-01 10:01:00"), channel(2, "3942", "2026-01-01 10:02:00")]
    events = []
    for message in messages:
        one = parsed(message)
        incidents.note(one, state)
        events.append(one.event)
    assert len({event.id for event in events}) == 4, "the second would be taken for the first said again"
    first, second, first_end, second_end = (event.data["incident"] for event in events)
    assert (first_end, second_end) == (first, second)
    assert first != second
    assert len(incidents) == 0


def test_two_disks_are_two_matters() -> None:
    incidents, state = Incidents({}), dict[str, Any]()
    events = []
    for code, disk in (("1946", 1), ("1946", 2), ("3946", 1), ("3946", 2)):
        one = parsed(alarm(code, CIDParam=f"-1,-1,-1,-1,-1,{disk},-1,NONE"))
        incidents.note(one, state)
        events.append(one.event.data["incident"])
    assert events[2:] == events[:2]
    assert len(set(events)) == 2
