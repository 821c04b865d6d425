"""Whatever a device says, and whenever the process ends: each start has its end, and every repeat is counted."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from pump.core.event import Event
from pump.vendors.hik_camera.incidents import OpenIncidents
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
    matters, state, events = OpenIncidents(TIMEOUT), dict[str, Any](), list[Event]()
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
            matters = OpenIncidents(TIMEOUT)
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


_SENT = st.lists(
    st.one_of(
        st.tuples(
            st.sampled_from(["active", "active", "inactive"]),
            st.sampled_from(["VMD", "IO", "fielddetection"]),
            st.sampled_from([None, "1", "2"]),
        ),
        st.tuples(st.just("cid"), st.sampled_from(["1103", "3103", "1401"]), st.sampled_from(["1", "2"])),
        st.tuples(st.just("door"), st.sampled_from(["1028", "1029", "1024"]), st.just("1")),
        st.tuples(st.just("silence"), st.just(""), st.none()),
        st.tuples(st.just("reconnect"), st.just(""), st.none()),
    ),
    max_size=30,
)


def _message(what: str, code: str, place: str | None, number: int, *, numbered: bool) -> dict[str, Any]:
    sent = (BEGIN + timedelta(seconds=number)).isoformat()
    if what == "cid":
        return {"eventType": "cidEvent", "dateTime": sent, "CIDEvent": {"code": code, "zone": place, "trigger": sent}}
    tree: dict[str, Any] = {"eventType": code, "eventState": what, "channelID": "1", "dateTime": sent}
    if what == "door":
        event = {"majorEventType": "1", "subEventType": code, "doorNo": place}
        tree |= {"eventType": "AccessControllerEvent", "eventState": "active", "AccessControllerEvent": event}
    elif place is not None:
        tree["DetectionRegionList"] = {"DetectionRegionEntry": {"regionID": place}}
    return tree | ({"serialNo": str(number)} if numbered else {})


@settings(max_examples=400, deadline=None)
@given(_SENT, st.booleans(), st.data())
def test_whatever_a_device_repeats_after_a_reconnect_is_nothing_new(
    steps: list[tuple[str, str, str | None]], numbered: bool, data: st.DataObject
) -> None:
    matters, state, ids = OpenIncidents(TIMEOUT), dict[str, Any](), set[str]()
    now, sent = 0.0, list[dict[str, Any]]()

    def take(message: dict[str, Any]) -> list[Event]:
        events, change = matters.take(parse(dict(message), Facts(), UTC), now)
        for key, value in change.items():
            state[key] = value
            if value is None:
                del state[key]
        return events

    for number, (what, code, place) in enumerate(steps, start=1):
        now += 1.0
        if what == "silence":
            now += 2 * TIMEOUT
            events, change = matters.expire(now)
            ids |= {event.id for event in events}
            state |= change
            state = {key: value for key, value in state.items() if value is not None}
        elif what == "reconnect":
            state |= matters.counts()
            matters = OpenIncidents(TIMEOUT)
            matters.load(state, now)
            before = {key: one.matter.id for key, one in matters.open.items()}
            again = data.draw(st.integers(0, len(sent)))
            for message in sent[len(sent) - again :]:
                assert {event.id for event in take(message)} <= ids
            assert {key: one.matter.id for key, one in matters.open.items()} == before
        else:
            sent.append(_message(what, code, place, number, numbered=numbered))
            found = {event.id for event in take(sent[-1])}
            assert not found & ids
            ids |= found


def test_the_repeated_end_of_one_region_does_not_end_what_names_none() -> None:
    matters, state = OpenIncidents(TIMEOUT), dict[str, Any]()
    sent = [("active", None), ("active", "2"), ("inactive", "2")]
    alerts = [_message(what, "fielddetection", place, n, numbered=False) for n, (what, place) in enumerate(sent)]
    for message in alerts:
        _, change = matters.take(parse(dict(message), Facts(), UTC), 0.0)
        state = {key: value for key, value in (state | change).items() if value is not None}
    again = OpenIncidents(TIMEOUT)
    again.load(state, 1.0)
    assert again.take(parse(dict(alerts[-1]), Facts(), UTC), 1.0) == ([], {})
    assert len(again.open) == 1
