"""The groups of `data`: what the schema says of them is what the types say, and nulls never get into an event."""

from __future__ import annotations

from collections.abc import Mapping
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import pytest

from pump.core import groups
from pump.core.groups import Device, Groups, Kind, Medium, Place, group
from pump.core.schema import GROUPS, event_schema

TYPES: dict[str, type] = {**get_type_hints(Groups), "media": Medium}
FIELDS = [(name, field) for name, kind in TYPES.items() for field in kind.__annotations__]
JSON: dict[type, str] = {str: "string", float: "number", bool: "boolean", int: "integer", Mapping: "object"}


def properties(name: str) -> dict[str, Any]:
    data = event_schema()["else"]["properties"]["data"]["properties"][name]
    found: dict[str, Any] = (data["items"] if name == "media" else data)["properties"]
    return found


def test_the_schema_has_each_group_with_the_types_fields_in_their_order() -> None:
    assert list(GROUPS) == [name for name in TYPES if name != "media"]
    for name, kind in TYPES.items():
        assert list(properties(name)) == list(kind.__annotations__)
        assert kind.__total__ is False, name  # type: ignore[attr-defined]  # a TypedDict's


@pytest.mark.parametrize(("name", "field"), FIELDS)
def test_a_field_is_of_the_same_kind_for_mypy_and_for_the_schema(name: str, field: str) -> None:
    hint = get_type_hints(TYPES[name], include_extras=True)[field]
    alternatives, kind = get_args(hint)
    assert isinstance(kind, Kind)
    assert get_origin(alternatives) in (Union, UnionType)
    python = set(get_args(alternatives))
    assert NoneType in python
    sent = properties(name)[field]["type"]
    assert {JSON[get_origin(one) or one] for one in python - {NoneType}} == (
        {sent} if isinstance(sent, str) else set(sent)
    )


def test_every_group_stands_in_groups() -> None:
    made = {each for each in vars(groups).values() if isinstance(each, type) and hasattr(each, "__total__")}
    assert made - {Groups} == set(TYPES.values())


def test_nulls_are_left_out_and_so_is_a_group_of_nothing_else() -> None:
    assert group(Device(id="7", name=None, serial=0)) == {"id": "7", "serial": 0}
    assert group(Place(zone=None)) is None
    assert group(Place()) is None
