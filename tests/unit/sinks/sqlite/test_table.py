"""An event's row in the archive: each column from its place, and whatever stands there instead of what should."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from pump.core.record import Record
from pump.sinks.sqlite import table


def _row(event: dict[str, Any]) -> dict[str, Any]:
    """The row by column, of what is not NULL."""
    record = Record(1, "gate", "vehicle.passed", 0, 0, orjson.dumps(event))
    values = table.row(record)
    assert len(values) == table.WIDTH
    assert values[-1] == record.body.decode()
    return {name: value for name, value in zip(table.COLUMNS, values, strict=True) if value is not None}


def test_each_column_has_what_stands_at_its_place() -> None:
    event: dict[str, Any] = {"source": "/north/gate"}
    wanted: dict[str, Any] = {"event_source": "/north/gate", "site": "north", "source": "gate"}
    for name, (_, path) in table.COLUMNS.items():
        if not path or name == "event_source":
            continue
        holder = event
        for step in path[:-1]:
            holder = holder.setdefault(step, {})
        holder[path[-1]] = wanted[name] = f"the {name}"
    event["data"]["severity"] = wanted["severity"] = "critical"
    wanted["level"] = 3
    row = _row(event)
    del row["json"]
    assert row == wanted


@pytest.mark.parametrize(
    ("data", "wanted"),
    [
        ({"access": {"granted": True}, "parking": {"occupied": False}}, {"granted": 1, "occupied": 0}),
        ({"device": "no object", "place": None, "vehicle": ["AB"]}, {}),
        ({"code": 7, "name": ["a", {"b": 1}]}, {"code": 7, "name": '["a",{"b":1}]'}),
        ({"vehicle": {"plate": {}}}, {"plate": "{}"}),
        ({"severity": ["info"]}, {"severity": '["info"]'}),
        ("no object", {}),
        (None, {}),
    ],
)  # fmt: skip
def test_other_values_are_numbers_or_their_json(data: object, wanted: dict[str, Any]) -> None:
    row = _row({"data": data})
    assert (row.pop("site"), row.pop("source")) == ("", "")
    del row["json"]
    assert row == wanted
