from __future__ import annotations

from typing import Any

import pytest

from pump.core.record import Record
from pump.core.routing import Routing
from pump.core.settings import SinkSettings


def record(type_: str = "vehicle.passed", source: str = "gate", severity: int = 0) -> Record:
    return Record(seq=1, source=source, type=type_, severity=severity, recorded=0, body=b"{}")


def routing(**settings: Any) -> Routing:
    return Routing(SinkSettings(type="x", **settings))


@pytest.mark.parametrize(
    ("settings", "type_", "taken"),
    [
        ({}, "vehicle.passed", True),
        ({"types": ["vehicle.*"]}, "vehicle.passed", True),
        ({"types": ["vehicle.*"]}, "vehicle.queue.left", True),
        ({"types": ["vehicle.*"]}, "parking.occupied", False),
        ({"types": ["vehicle.*"]}, "xvehicle.passed", False),
        ({"types": ["vehicle.*", "parking.*"]}, "parking.occupied", True),
        ({"types": ["*.passed"]}, "vehicle.passed", True),
        ({"types": ["vehicle.pass"]}, "vehicle.passed", False),
        ({"types": ["Vehicle.*"]}, "vehicle.passed", False),
        ({"types": []}, "vehicle.passed", False),
        ({"exclude_types": ["pump.*"]}, "pump.gap", False),
        ({"exclude_types": ["pump.*"]}, "vehicle.passed", True),
        ({"types": ["pump.*"], "exclude_types": ["pump.source.*"]}, "pump.source.up", False),
        ({"types": ["pump.*"], "exclude_types": ["pump.source.*"]}, "pump.gap", True),
    ],
)
def test_types_match_whole_and_the_star_crosses_dots(settings: dict[str, Any], type_: str, taken: bool) -> None:
    chosen = routing(**settings)
    assert [chosen.takes(record(type_)) for _ in range(2)] == [taken, taken]  # asked first, and remembered


def test_sources_are_globs_of_names() -> None:
    chosen = routing(sources=["gate*", "teams"])
    assert [chosen.takes(record(source=name)) for name in ("gate", "gate-2", "teams", "teams2", "pump")] == [
        True, True, True, False, False,
    ]  # fmt: skip


def test_severity_is_a_floor() -> None:
    chosen = routing(min_severity="warning")
    assert [chosen.takes(record(severity=severity)) for severity in range(4)] == [False, False, True, True]


def test_select_keeps_the_order() -> None:
    chosen = routing(types=["a.*"])
    records = [record("a.1"), record("b.1"), record("a.2"), record("a.1")]
    assert chosen.select(records) == [records[0], records[2], records[3]]
    assert chosen.select([]) == []


def test_made_up_types_do_not_make_the_answers_grow_for_ever() -> None:
    chosen = routing(types=["a.*"])
    for number in range(10_000):
        assert chosen.takes(record(f"a.{number}"))
        assert not chosen.takes(record(f"b.{number}"))
    assert len(chosen._known) <= 4096
