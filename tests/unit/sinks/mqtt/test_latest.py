"""Plates, pictures and partitions: the values that Home Assistant shows as the latest."""

from __future__ import annotations

from typing import Any

import pytest

from pump.sinks.mqtt.latest import latest
from pump.sinks.mqtt.states import facts

STORED = {"id": "a/0", "kind": "picture", "state": "stored", "path": "ab/cd e.jpg"}
PLATE_ONLY = {**STORED, "kind": "plate picture", "path": "ab/plate.jpg"}
REMOTE = {"id": "a/1", "kind": "picture", "state": "remote", "url": "https://vendor.example.com/1.jpg?s=2"}
HERE = "http://192.0.2.7/media/"


def event(type_: str, subject: str, **data: Any) -> dict[str, Any]:
    return {"type": type_, "subject": subject, "data": {"phase": "pulse", **data}}


@pytest.mark.parametrize(
    ("media", "url", "picture"),
    [
        ([], HERE, None),
        ([STORED], None, None),
        ([STORED], HERE, "http://192.0.2.7/media/ab/cd%20e.jpg"),
        ([PLATE_ONLY, STORED], HERE, "http://192.0.2.7/media/ab/cd%20e.jpg"),
        ([PLATE_ONLY], HERE, "http://192.0.2.7/media/ab/plate.jpg"),
        ([REMOTE], None, "https://vendor.example.com/1.jpg?s=2"),
        ([{**REMOTE, "encrypted": True}], None, None),
        ([{**REMOTE, "kind": "video"}], None, None),
    ],
)
def test_the_last_vehicle_has_its_plate_and_a_picture_that_can_be_read(
    media: list[dict[str, Any]], url: str | None, picture: str | None
) -> None:
    found = {
        one.aspect: one.value
        for one in latest(event("vehicle.passed", "camera/1", vehicle={"color": "red"}, media=media), url)
    }
    assert found == {"plate": "None"} | ({} if picture is None else {"picture": picture})
    read = latest(event("vehicle.passed", "camera/1", vehicle={"plate": "AB-123"}), url)
    assert [(one.aspect, one.value) for one in read] == [("plate", "AB-123")]


@pytest.mark.parametrize(
    ("type_", "subject", "alarm", "wanted"),
    [
        ("security.armed", "partition/p1", {}, [("partition", "armed_away", "Alarm")]),
        (
            "security.armed",
            "partition/door/2",
            {"partition": 2, "mode": "stay"},
            [("partition", "armed_home", "Alarm")],
        ),
        ("security.disarmed", "partition/p1", {"mode": "disarmed"}, [("partition", "disarmed", "Alarm")]),
        ("security.armed", "device/D", {"partition": 3}, [("partition_3", "armed_away", "Partition 3")]),
        ("security.disarmed", "device/D", {"partition": 3}, [("partition_3", "disarmed", "Partition 3")]),
        ("security.armed", "device/D", {}, []),
        ("security.disarmed", "zone/D/7", {"partition": 3, "mode": "disarmed"}, []),  # one zone is not the partition
        ("security.arm.failed", "device/D", {"partition": 3}, []),
    ],
)
def test_a_partition_is_armed_as_it_was_reported_last(
    type_: str, subject: str, alarm: dict[str, Any], wanted: list[tuple[str, str, str]]
) -> None:
    found = latest(event(type_, subject, alarm=alarm), None)
    assert [(one.aspect, one.value, one.name) for one in found] == wanted


@pytest.mark.parametrize(
    ("type_", "phase", "wanted"),
    [
        ("access.door.opened", "pulse", [("door", True)]),
        ("access.door.closed", "pulse", [("door", False)]),
        ("access.door.forced", "pulse", [("door", True)]),
        ("access.door.open_too_long", "pulse", [("door", True)]),
        ("access.door.open_too_long", "end", [("access_door_open_too_long", False)]),
        ("access.door.locked", "pulse", [("locked", True)]),
        ("access.door.unlocked", "pulse", [("locked", False)]),
        ("access.granted", "pulse", []),
    ],
)
def test_a_door_is_open_or_locked_as_it_was_reported_last(
    type_: str, phase: str, wanted: list[tuple[str, bool]]
) -> None:
    assert [tuple(one) for one in facts(event(type_, "door/1", phase=phase))] == wanted
