from __future__ import annotations

import re
from typing import Any

import orjson
import pytest
from pydantic import ValidationError

from pump.core.record import Record
from pump.core.routing import Routing, site_of
from pump.core.settings import SinkSettings
from pump.delivery.masking import Masking
from pump.testing.records import record


def settings(**keys: Any) -> SinkSettings:
    return SinkSettings(type="x", **keys)


def of_site(site: str) -> Record:
    one = record(1)
    return one._replace(body=one.body.replace(b'"/testing/gate"', f'"/{site}/gate"'.encode()))


def test_excluded_sources_are_globs_of_names() -> None:
    chosen = Routing(settings(sources=["gate*"], exclude_sources=["gate-t*"]))
    assert [chosen.takes(record(1, source=name)) for name in ("gate", "gate-2", "gate-test", "door")] == [
        True, True, False, False,
    ]  # fmt: skip


def test_sites_are_globs_of_the_source_in_the_event() -> None:
    chosen = Routing(settings(sites=["north-*"]))
    assert [chosen.takes(of_site(site)) for site in ("north-garage", "south", "north-2")] == [True, False, True]


def test_a_site_is_not_taken_from_inside_a_text() -> None:
    body = orjson.dumps({"specversion": "1.0", "id": 'x"source":"/false/one', "source": "/true/gate"})
    assert site_of(body) == "true"
    assert site_of(b"{}") == ""


@pytest.mark.parametrize(
    ("keys", "wanted"),
    [
        ({}, []),
        ({"types": ["parking.*"]}, ['"vehicle.passed" matches none of types = ["parking.*"]']),
        ({"exclude_types": ["x", "vehicle.*"]}, ['"vehicle.passed" matches "vehicle.*" of exclude_types']),
        ({"sources": ["door"]}, ['"gate" matches none of sources = ["door"]']),
        ({"exclude_sources": ["g*"]}, ['"gate" matches "g*" of exclude_sources']),
        ({"sites": ["south"]}, ['"testing" matches none of sites = ["south"]']),
        ({"min_severity": "warning"}, ['the severity "info" is below min_severity = "warning"']),
    ],
)
def test_why_a_sink_does_not_take_an_event(keys: dict[str, Any], wanted: list[str]) -> None:
    routing = Routing(settings(**keys))
    assert routing.why_not(record(1)) == wanted
    assert routing.takes(record(1)) == (not wanted)


EVENT = {
    "id": "1",
    "source": "/s/gate",
    "subject": "camera/1",
    "data": {
        "vehicle": {"plate": "A12345", "confidence": 99},
        "access": {"person": {"name": "Ada", "number": 7, "staff": True}, "granted": True},
        "media": [{"id": "1/0", "url": "http://x"}, {"id": "1/1"}],
        "raw": {"plate": "A12345"},
    },
}


def shaped(**keys: Any) -> dict[str, Any]:
    shape = Masking(settings(**keys))
    assert shape
    body = orjson.dumps(EVENT)
    found: dict[str, Any] = orjson.loads(shape.body(body))
    assert orjson.loads(body) == EVENT
    return found


def test_off_it_is_nothing() -> None:
    assert not Masking(settings())
    assert not Masking(settings(raw=True))


def test_raw_is_left_out() -> None:
    assert "raw" not in shaped(raw=False)["data"]
    assert "raw" not in shaped(mask=["data.vehicle.plate"])["data"], "it repeats what is masked"
    assert "raw" in shaped(mask=["data.vehicle.plate"], raw=True)["data"]
    assert settings(mask=["data.vehicle.plate"], raw=True).warnings()


@pytest.mark.parametrize(
    ("path", "group", "wanted"),
    [
        ("data.vehicle.plate", "vehicle", {"plate": "***", "confidence": 99}),
        ("data.vehicle.*", "vehicle", {"plate": "***"}),
        ("data.access.person.*", "access", {"person": {"name": "***"}, "granted": True}),
        ("data.access.person", "access", {"person": {"name": "***"}, "granted": True}),
        ("data.media.url", "media", [{"id": "1/0", "url": "***"}, {"id": "1/1"}]),
        ("data.media.*.id", "media", [{"id": "***", "url": "http://x"}, {"id": "***"}]),
        ("data.nothing.here", "vehicle", EVENT["data"]["vehicle"]),  # type: ignore[index]
        ("data.vehicle.plate.*", "vehicle", {"plate": "***", "confidence": 99}),
    ],
)
def test_paths(path: str, group: str, wanted: Any) -> None:
    assert shaped(mask=[path])["data"][group] == wanted


def test_dropped_things_leave_no_name() -> None:
    found = shaped(mask=["data.vehicle.*", "data.access.person", "subject"], mask_with="drop")
    assert found["data"]["vehicle"] == {}
    assert found["data"]["access"] == {"granted": True}
    assert "subject" not in found


def test_a_hash_is_equal_for_equals_and_depends_on_the_key() -> None:
    def plate(key: str) -> str:
        found = shaped(mask=["data.vehicle.plate", "data.access.person"], mask_with="hash", mask_key=key)
        assert set(found["data"]["access"]["person"]) == {"name", "number"}, "a hashed yes or no would be no secret"
        return str(found["data"]["vehicle"]["plate"])

    one = plate("a key")
    assert re.fullmatch("[0-9a-f]{32}", one)
    assert plate("a key") == one
    assert plate("another key, longer than the sixty-four bytes that BLAKE2 takes as a key") != one
    with pytest.raises(ValidationError, match="mask_key"):
        settings(mask=["data.vehicle.plate"], mask_with="hash")


@pytest.mark.parametrize("path", ["id", "source", "data", "data.", "data..x", "*", "type", "data.a b"])
def test_what_makes_an_event_cannot_be_masked(path: str) -> None:
    with pytest.raises(ValidationError):
        settings(mask=[path])


async def test_records_are_replaced_not_changed() -> None:
    records = [record(seq) for seq in range(1, 201)]
    before = [one.body for one in records]
    found = await Masking(settings(raw=False)).apply(records)
    assert [one.body for one in records] == before
    assert [one[:5] for one in found] == [one[:5] for one in records]
    assert all(b'"raw"' not in one.body for one in found)
