"""The names under which a record is found again: those of guids lie by their time, and need no right time zone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from pump.core.event import Event, Sighting
from pump.vendors.hik_connect.backfill.sightings import ALARM_LOG, looked_for, of_alarm_log, of_queue
from pump.vendors.hik_connect.heads import RecordHead, alarm
from pump.vendors.hik_connect.parse import normalise

GUID = "1a2a681e1207370151bbdda89881ccea"
ZONE = ZoneInfo("UTC")
BEGUN = datetime(2026, 11, 29, 7, 35, 15, tzinfo=UTC)


def record(begun: datetime | None, **more: Any) -> dict[str, Any]:
    """An AlarmMsg (A.3.20)."""
    times = {} if begun is None else {"startTime": begun.isoformat()}
    source = {"eventType": "70203", "sourceID": "47", "sourceType": "alarmDevice"}
    return {"guid": GUID, "msgType": "1", "alarmState": "1", "timeInfo": times, "eventSource": source, **more}


def head(begun: datetime | None, **more: Any) -> RecordHead:
    return alarm(record(begun, **more), ZONE, None)


def names(found: tuple[Sighting, ...]) -> set[tuple[int, str]]:
    return {(one.at, one.key) for one in found}


def searched(found: tuple[Sighting, ...]) -> set[tuple[int, str]]:
    return {(one.at, one.key) for one in looked_for(found)}


@pytest.mark.parametrize("quarters", [*range(-104, 105, 13), -104, -1, 1, 104])
def test_an_alarm_is_found_whatever_zone_either_side_takes_its_time_for(quarters: int) -> None:
    naive = BEGUN.replace(tzinfo=None)
    queue = of_queue("alarm", head(naive))
    log = of_alarm_log(head(naive + timedelta(minutes=15 * quarters)))
    assert names(queue) & searched(log)
    assert names(log) & searched(queue)


def test_an_alarm_without_a_time_is_found() -> None:
    assert names(of_queue("alarm", head(None))) & searched(of_alarm_log(head(BEGUN)))


@pytest.mark.parametrize("more", [{}, {"pulseAlarm": "true"}])
def test_what_earlier_versions_stored_is_found(more: dict[str, Any]) -> None:
    """All names of guids lay at 0."""
    (stored,) = of_queue("alarm", head(BEGUN, **more))
    assert stored.at
    assert (0, stored.key) in searched(of_alarm_log(head(BEGUN, **more)))


def test_a_pulse_is_the_same_in_its_own_second_alone() -> None:
    queue = of_queue("alarm", head(BEGUN, pulseAlarm="true"))
    assert names(queue) & searched(of_alarm_log(head(BEGUN, pulseAlarm="true")))
    again = of_alarm_log(head(BEGUN + timedelta(seconds=1), pulseAlarm="true"))
    assert not names(queue) & searched(again)


def test_alarms_of_one_time_lie_together() -> None:
    """Else each event of a commit writes a page of the table's own."""
    found = normalise("alarm", record(BEGUN), ZONE, BEGUN)
    assert isinstance(found[0], Event)
    (one,) = found[0].sightings
    assert 0 <= BEGUN.timestamp() - one.at < 7200
    assert one.side != ALARM_LOG
