"""The published schema: it takes every event that the parsers make, and refuses what is no event."""

from __future__ import annotations

import copy
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import orjson
import pytest
from jsonschema import Draft202012Validator

import pump.vendors.hik_connect
from pump.core.event import Event, encode
from pump.core.schema import event_schema
from pump.vendors.hik_connect.parse import normalise
from pump.vendors.hik_connect.uploads import Uploads

VALIDATOR = Draft202012Validator(event_schema(), format_checker=Draft202012Validator.FORMAT_CHECKER)
RECEIVED = datetime(2026, 11, 20, 8, 0, 0, 412_000, tzinfo=UTC)
SAMPLES = sorted((Path(pump.vendors.hik_connect.__file__).parent / "samples").glob("*.json"))


def line(event: Event) -> Any:
    return orjson.loads(encode(event, "/site/teams", RECEIVED))


def parsed(path: Path) -> Any:
    sample, uploads = json.loads(path.read_text()), Uploads()
    for record in [*sample.get("before", []), sample["record"]]:
        [event] = normalise(sample["queue"], record, ZoneInfo("UTC"), RECEIVED, uploads)
    assert isinstance(event, Event)
    return line(event)


def test_it_is_a_schema() -> None:
    Draft202012Validator.check_schema(event_schema())


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_every_samples_event_keeps_to_it(path: Path) -> None:
    VALIDATOR.validate(parsed(path))


def test_the_pumps_own_events_carry_keys_of_their_own() -> None:
    gap = Event("pump.gap", "1", {"phase": "pulse", "severity": "warning", "from": "a", "to": "b", "count": 3})
    VALIDATOR.validate(line(gap))
    del gap.data["phase"]
    assert not VALIDATOR.is_valid(line(gap))


def test_a_type_of_a_later_version_is_an_event_too() -> None:
    event = parsed(SAMPLES[0])
    VALIDATOR.validate({**event, "type": "vehicle.washed"})
    assert not VALIDATOR.is_valid({**event, "type": "weather.rain"})


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("more",), 1),
        (("specversion",), "0.3"),
        (("source",), "teams"),
        (("time",), "yesterday"),
        (("id",), ""),
        (("data", "more"), 1),
        (("data", "phase"), "over"),
        (("data", "severity"), None),
        (("data", "incident"), None),
        (("data", "device"), {}),
        (("data", "device"), {"id": None}),
        (("data", "device"), {"colour": "red"}),
        (("data", "position"), {"latitude": 91}),
        (("data", "media"), [{"id": "1/0"}]),
    ],
)
def test_what_is_no_event_is_refused(path: tuple[str, ...], value: object) -> None:
    [sample] = [path for path in SAMPLES if path.stem == "combine-motion"]
    event = copy.deepcopy(parsed(sample))
    VALIDATOR.validate(event)
    inner = event
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    assert not VALIDATOR.is_valid(event)
