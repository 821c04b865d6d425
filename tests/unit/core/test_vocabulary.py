"""Names that a person writes are held against schema and taxonomy; what can match nothing has a nearest name."""

from __future__ import annotations

import pytest

from pump.core.schema import GROUPS
from pump.core.taxonomy import TYPES
from pump.core.vocabulary import leads_somewhere, matches_a_type, misspelled, nearest_path, nearest_type


@pytest.mark.parametrize(
    ("path", "meant"),
    [
        # a path that some event has
        ("subject", None), ("data.vehicle.plate", None), ("data.vehicle", None), ("data.*.plate", None),
        ("data.*", None),
        ("data.vehicle.*", None), ("data.access.person.*", None), ("data.raw.anything.at.all", None),
        ("data.media.url", None), ("data.media.*.url", None), ("data.reason", None), ("data.raw", None),
        ("data.severity", None), ("data.error", None), ("data.*.*.url", None),
        # one that none has, and what was meant
        ("data.vehicel.plate", "data.vehicle.plate"), ("data.plate", "data.vehicle.plate"),
        ("data.vehicle.plates", "data.vehicle.plate"), ("data.vehicle.plate.text", "data.vehicle.plate"),
        ("data.media.0.url", "data.media.url"), ("data.Vehicle.plate", "data.vehicle.plate"),
        ("data.acess.person_id", "data.access.person_id"), ("data.*.plte", "data.vehicle.plate"),
    ],
)  # fmt: skip
def test_a_path_leads_somewhere_or_has_a_nearest(path: str, meant: str | None) -> None:
    assert leads_somewhere(path) is (meant is None)
    if meant is not None:
        assert nearest_path(path) == meant


def test_every_field_of_the_schema_may_be_named() -> None:
    for group, fields in GROUPS.items():
        assert all(leads_somewhere(f"data.{group}.{field}") for field in fields)


@pytest.mark.parametrize(
    ("glob", "meant"),
    [
        ("*", None), ("vehicle.*", None), ("*.unknown", None), ("parking.space.[ov]*", None), ("pump.gap", None),
        ("vehicel.*", "vehicle.*"), ("vehicle.pased", "vehicle.passed"), ("parking.spaces.*", "parking.space.*"),
        ("Vehicle.*", "vehicle.*"), ("vehicle.*.passed", "vehicle.passed"), ("acces.denied", "access.denied"),
        ("zzz", ""),
    ],
)  # fmt: skip
def test_a_glob_matches_a_type_or_has_a_nearest(glob: str, meant: str | None) -> None:
    assert matches_a_type(glob) is (meant is None)
    if meant is not None:
        assert (nearest_type(glob) or "") == meant


def test_every_type_matches_itself() -> None:
    assert all(matches_a_type(name) for name in TYPES)


def test_a_vendors_open_list_gives_sentences() -> None:
    known = ["CIDAlarm", "videoReview"]
    assert list(misspelled(["cidalarm", "videoReview"], known, "is unknown")) == []
    assert list(misspelled(["CIDAlarms", "xyz"], known, "is unknown")) == [
        '"CIDAlarms" is unknown; did you mean "CIDAlarm"?',
        '"xyz" is unknown',
    ]
