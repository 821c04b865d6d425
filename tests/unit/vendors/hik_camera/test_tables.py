"""The tables against what the vendor's public lists name: each has a row, or a reason why it has none."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

import pump.vendors.hik_camera
from pump.core.event import Event
from pump.vendors.hik_camera.access import ACCESS
from pump.vendors.hik_camera.codes import CONTINUES, EVENTS, HEARTBEATS
from pump.vendors.hik_camera.document import read_document
from pump.vendors.hik_camera.incidents import OpenIncidents
from pump.vendors.hik_camera.parse import Alert, Facts, parse

DATA = Path(__file__).parents[3] / "data"


def lines(name: str) -> list[str]:
    text = (DATA / name).read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def codes() -> Iterator[tuple[int, int]]:
    for line in lines("hik_camera_access.txt"):
        major, _, rest = line.partition(": ")
        for word in rest.split():
            if ">" not in word:
                first, _, last = word.partition("-")
                yield from ((int(major), minor) for minor in range(int(first, 16), int(last or first, 16) + 1))


PAIRS = [
    (int(line[0]), int(begin, 16), int(end, 16))
    for line in lines("hik_camera_access.txt")
    for begin, end in re.findall(r"(0x\w+)>(0x\w+)", line)
]


def door(major: int, minor: int, number: int = 1, **more: Any) -> Alert:
    event = {"majorEventType": major, "subEventType": minor, "doorNo": 1, "serialNo": number, **more}
    sent = f"2026-11-20T08:{number // 60:02}:{number % 60:02}Z"
    tree = {"eventType": "AccessControllerEvent", "dateTime": sent, "AccessControllerEvent": event}
    return parse(tree, Facts(), UTC)


def take(matters: OpenIncidents, alert: Alert) -> Event:
    ((event,), _) = matters.take(alert, 100.0)
    return event


@pytest.mark.parametrize("word", [word for line in lines("hik_camera_types.txt") for word in line.split()])
def test_every_public_event_type_has_a_row_or_a_reason(word: str) -> None:
    name, _, reason = word.lower().partition(":")
    if reason:
        assert name in {"continues": CONTINUES, "heartbeat": {*HEARTBEATS, "heartbeat"}}[reason]
        assert name not in EVENTS
        return
    assert name in EVENTS
    message = {"eventType": word, "eventState": "active", "dateTime": "2026-11-20T08:00:00Z", "x": 1}
    assert parse(message, Facts(), UTC).event.type != "device.unknown"


def test_every_public_access_code_has_a_row() -> None:
    wanted = set(codes())
    assert len(wanted) > 500
    assert [f"{major}/{minor:#x}" for major, minor in sorted(wanted - set(ACCESS))] == []


@pytest.mark.parametrize(("major", "begin", "end"), PAIRS, ids=lambda one: f"{one:#x}")
def test_a_code_ends_what_its_pair_began(major: int, begin: int, end: int) -> None:
    matters = OpenIncidents(10.0)
    start = take(matters, door(major, begin, 1))
    last = take(matters, door(major, end, 2))
    assert (start.data["phase"], last.data["phase"]) == ("start", "end")
    assert start.data["incident"] == last.data["incident"] == start.id


def test_a_code_ends_nothing_but_what_its_pair_began() -> None:
    for major, begin, end in PAIRS:
        matters = OpenIncidents(10.0)
        take(matters, door(major, begin, 1))
        for number, (other, _, foreign) in enumerate(PAIRS, start=2):
            if (other, foreign) != (major, end):
                assert "incident" not in take(matters, door(other, foreign, number)).data, (
                    f"{major}/{begin:#x} {foreign:#x}"
                )


def test_a_start_in_a_spool_of_an_older_version_ends_too() -> None:
    """Before there were pairs its key was the type's."""
    old = OpenIncidents(10.0)
    start = take(old, door(1, 0x424, 1))
    key, one = next(iter(old.open.items()))
    del old.open[key]
    old.open["matter/security.fire|door/1|"] = one
    assert take(old, door(1, 0x425, 2)).data["incident"] == start.id


def test_a_button_that_is_pressed_again_is_a_matter_of_its_own() -> None:
    matters = OpenIncidents(10.0)
    take(matters, door(5, 0x17, 1))
    second = take(matters, door(5, 0x17, 2))
    assert second.data["incident"] == second.id
    assert take(matters, door(5, 0x18, 3)).data["incident"] == second.id


@pytest.mark.parametrize(
    ("minors", "granted", "type_"),
    [
        ((0x99, 0x9C, 0x9E, 0x9F, 0xB3, 0xB5), True, "access.granted"),
        (
            (0x75, 0x76, 0x77, 0x78, 0x82, 0x84, 0x8B, 0x98, 0x9A, 0x9B, 0x9D, 0xA0, 0xA1, 0xA2, 0xA3, 0xA4, 0xA8,
             0xB4),
            False, "access.denied",
        ),
    ],
)  # fmt: skip
def test_who_is_let_in_and_who_is_not(minors: tuple[int, ...], granted: bool, type_: str) -> None:
    for minor in minors:
        event = door(5, minor).event
        assert (event.type, event.data["access"]["granted"]) == (type_, granted), f"{minor:#x}"
        assert granted or event.data["access"]["reason"]


@pytest.mark.parametrize(
    ("pair", "type_"),
    [
        ((5, 133), "access.passage.tailgating"), ((5, 134), "access.passage.reversed"),
        ((5, 135), "access.passage.forced"), ((5, 136), "access.passage.climbed"),
        ((5, 137), "access.passage.overtime"), ((5, 138), "access.passage.intrusion"), ((5, 139), "access.denied"),
        ((5, 140), "access.barrier.obstructed"), ((5, 141), "access.barrier.obstructed"),
        ((3, 80), "device.login"), ((3, 81), "device.logout"), ((3, 1049), "security.armed"),
        ((3, 1050), "security.disarmed"), ((3, 1051), "access.denied"), ((3, 1052), "access.door.locked"),
        ((3, 1053), "access.door.unlocked"), ((3, 1054), "access.door.held_open"),
        ((1, 1060), "security.fire"), ((1, 1061), "security.fire"), ((5, 0xFFF), "access.unknown"),
    ],
)  # fmt: skip
def test_lanes_and_operations(pair: tuple[int, int], type_: str) -> None:
    alert = door(*pair)
    assert alert.event.type == type_
    assert alert.event.data["code"] == f"{pair[0]}/{pair[1]}"


def test_a_terminals_sign_of_life_is_no_event() -> None:
    assert door(5, 0x83).heartbeat


@pytest.mark.parametrize("line", lines("hik_camera_ids.txt"))
def test_the_ids_of_what_has_no_uuid_never_change(line: str) -> None:
    name, *ids = line.split()
    sample = json.loads((Path(pump.vendors.hik_camera.__file__).parent / "samples" / f"{name}.json").read_text("utf-8"))
    alert = parse(read_document(sample["body"].encode()), Facts(serial="S"), ZoneInfo("Europe/Paris"))
    assert [event.id for event in alert.events] == ids
