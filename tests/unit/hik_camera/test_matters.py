"""Whatever a device says, and whenever the process ends: each start has its end, and every repeat is counted."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from pump.event import Event
from pump.vendors.hik_camera.durative import Matters
from pump.vendors.hik_camera.parse import Facts, parse

BEGIN = datetime(2026, 11, 20, 8, 0, tzinfo=UTC)
TIMEOUT = 10.0

_STEPS = st.lists(
    st.tuples(
        st.sampled_from(["active", "active", "active", "inactive", "restart"]),
        st.sampled_from(["VMD", "IO", "fielddetection"]),
        st.sampled_from([None, "1", "2"]),
        st.floats(0.0, 15.0),
    ),
    max_size=40,
)


@settings(max_examples=300, deadline=None)
@given(_STEPS)
def test_starts_and_ends_belong_together(steps: list[tuple[str, str, str | None, float]]) -> None:
    matters, state, events = Matters(TIMEOUT), dict[str, Any](), list[Event]()
    now, active = 0.0, 0

    def put(found: list[Event], change: dict[str, Any]) -> None:
        events.extend(found)
        state.update(change)
        for key in [key for key, value in state.items() if value is None]:
            del state[key]

    for number, (what, code, region, pause) in enumerate(steps):
        now += pause
        due = matters.due()
        if due is not None and due <= now:
            put(*matters.expire(now))
        if what == "restart":
            put([], matters.counts())
            matters = Matters(TIMEOUT)
            matters.load(state, now)
            continue
        active += what == "active"
        tree: dict[str, Any] = {
            "eventType": code, "eventState": what, "channelID": "1", "serialNo": str(number + 1),
            "dateTime": (BEGIN + timedelta(seconds=now)).isoformat(),
        }  # fmt: skip
        if region is not None:
            tree["DetectionRegionList"] = {"DetectionRegionEntry": {"regionID": region}}
        put(*matters.take(parse(tree, Facts(), UTC), now))
    put(*matters.expire(now + TIMEOUT))

    starts = [event for event in events if event.data["phase"] == "start"]
    ends = [event for event in events if event.data["phase"] == "end"]
    assert len(starts) + len(ends) == len(events)
    assert len({event.id for event in events}) == len(events)
    assert sorted(event.data["incident"] for event in starts) == sorted(event.data["incident"] for event in ends)
    assert all(event.id == event.data["incident"] for event in starts)
    assert sum(event.data["count"] for event in ends) == active
    assert not [key for key in state if key.startswith("matter/")]
