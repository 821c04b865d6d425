"""The bounds of texts from outside: what is long is cut and named, what is short stays byte for byte."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from jsonschema import Draft202012Validator

from pump.core.event import Event, event_id
from pump.core.groups import BOUNDS
from pump.core.schema import GROUPS, event_schema
from pump.core.text import bounded, was_cut
from pump.ingest import bounds
from pump.ingest.bounds import bound
from pump.ingest.encoding import LARGEST
from pump.ingest.intake import Intake
from pump.ingest.push.admission import Admission
from pump.spool import Spool
from pump.testing import ManualClock
from pump.vendors.common import fields, values
from tests.unit.ingest.conftest import Site

SCHEMA = Draft202012Validator(event_schema())
LONG = 1 << 20


def event(**more: Any) -> Event:
    head = {"vendor": "v", "code": "1", "name": "N", "phase": "pulse", "severity": "info"}
    return Event("vehicle.passed", event_id(1), {**head, **more}, ManualClock().now(), "camera/10/7")


@pytest.mark.parametrize("text", ["", "7", "北门" * 10, "x" * 64, "é" * 32, "\ud800" * 21])
def test_a_text_that_fits_is_the_same_object(text: str) -> None:
    assert bounded(text, 64) is text
    assert not was_cut(text)


@pytest.mark.parametrize("sign", ["x", "é", "北", "🚗", "\ud800"])
def test_a_longer_one_keeps_its_beginning_and_a_digest_of_the_whole(sign: str) -> None:
    one, other = bounded("gate" + sign * 200, 128), bounded("gate" + sign * 201, 128)
    assert len(one.encode("utf-8", "surrogatepass")) <= 128
    assert one != other
    assert one.startswith("gate")
    assert was_cut(one)
    assert bounded(one, 128) is one, "what was cut is not cut again"


def test_an_event_whose_texts_fit_is_left_alone() -> None:
    one = event(device={"id": "x" * 128, "name": "y" * 256}, vehicle={"plate": "粤B12345"}, raw="z" * LONG)
    before, device = copy.deepcopy(one.data), one.data["device"]
    bound(one)
    assert one.data == before
    assert one.data["device"] is device


def _long(schema: dict[str, Any]) -> Any:
    kinds = schema.get("type", ())
    return "x" * LONG if "string" in kinds and not {"pattern", "format"} & schema.keys() else None


def test_every_text_of_every_group_has_a_bound_that_the_schema_says_too() -> None:
    for name, group in GROUPS.items():
        said = {field: text for field, schema in group.items() if (text := _long(schema)) is not None}
        if not said:
            continue
        one = event(**{name: said})
        bound(one)
        assert set(one.data["cut"]) == {f"data.{name}.{field}" for field in said}
        for field, text in one.data[name].items():
            assert len(text) <= group[field].get("maxLength", BOUNDS["name"])
        SCHEMA.validate(orjson.loads(orjson.dumps(_whole(one))))


def _whole(one: Event) -> dict[str, Any]:
    time = "2026-11-20T08:00:00Z"
    head = {"specversion": "1.0", "id": one.id, "source": "/s/gate", "type": one.type, "time": time}
    tail = {"recordedtime": time, "datacontenttype": "application/json", "data": one.data}
    return head | ({"subject": one.subject} if one.subject else {}) | tail


async def test_the_whole_line_obeys_the_limit_whatever_is_long_in_it(site: Site) -> None:
    async with site.intake() as (intake, spool):
        lines = await _stored(intake, spool)
    assert len(lines) == len([*_longest()])
    for line in lines:
        assert len(line) <= LARGEST
        told = orjson.loads(line)
        SCHEMA.validate(told)
        assert told["data"].get("cut") or told["data"]["raw"].keys() == {"$media"}


async def _stored(intake: Intake, spool: Spool) -> list[bytes]:
    for number, long in enumerate(_longest()):
        one = event(**long.pop("data", {}))
        one.id = event_id(number)
        for name, value in long.items():
            setattr(one, name, value)
        assert (await intake.put(one)).stored == 1
    return await _read(spool)


async def _read(spool: Spool) -> list[bytes]:
    found: list[bytes] = []
    after = 0
    while batch := await spool.read(after):
        found += [record.body for record in batch]
        after = batch[-1].seq
    return found


def _longest() -> Iterator[dict[str, Any]]:
    long = "x" * LONG
    yield {"id": long}
    yield {"subject": f"camera/{long}"}
    yield {"data": {"code": long}}
    yield {"data": {"name": long, "incident": long, "updates": long}}
    yield {"data": {"device": {"id": long, "name": long, "serial": long, "category": long, "model": long}}}
    yield {"data": {"media": [{"id": long, "kind": long, "state": "remote", "url": long} for _ in range(8)]}}
    yield {"data": {"payload": {"hex": long, "text": long}}}
    yield {"data": {"media": [{"id": f"{n}", "kind": "k", "state": "s", "url": "u" * 4096} for n in range(500)]}}
    yield {"data": {"raw": {"x": long}}}
    yield {"id": f"other {long}", "data": {"raw": {"x": long}}}
    yield {"subject": f"camera/{long}", "data": {"raw": {"x": long}, "device": {"id": long}}}


async def test_keys_of_state_are_bounded(site: Site) -> None:
    async with site.intake() as (intake, _):
        await intake.put(state={"short": 1, "matter/" + "x" * LONG: 2})
        assert intake.state("short") == {"short": 1}
        ((key, value),) = intake.state("matter/").items()
        assert (len(key), value) == (BOUNDS["state key"], 2)


def test_a_limiter_keeps_no_long_keys() -> None:
    admission = Admission(ManualClock(), device_rate=1.0)
    for number in range(10):
        admission.admit(("gate", "x" * LONG + str(number)))
    buckets: Any = admission._rates._buckets
    kept = [part for key in buckets for part in key]
    assert len(buckets) == 10
    assert max(len(part) for part in kept) <= BOUNDS["key"]


def test_readers_of_fields_bound_what_they_read_but_addresses() -> None:
    long = "https://" + "x" * 2000
    assert len(values.text(long) or "") == BOUNDS["name"]
    assert len(fields.text({"a": long}, "a") or "") == BOUNDS["name"]
    assert len(str(fields.word({"a": long}, {}, "a"))) == BOUNDS["name"]
    assert values.link(f" {long} ") == long
    assert fields.link({"b": long}, "a", "b") == long
    assert len(values.link("x" * LONG) or "") == BOUNDS["link"]


def test_no_bound_is_smaller_than_what_is_let_through_unseen() -> None:
    kinds = [BOUNDS["event"], BOUNDS["subject"], *bounds._SAID.values(), bounds._NAME, *bounds._MEDIUM.values()]
    kinds += [most for texts in bounds._GROUPS.values() for most in texts.values()]
    assert min(kinds) >= 4 * bounds._SHORT
    assert was_cut(bounded("x" * 1000, 64))
    assert not bounds._fits(bounded("x" * 1000, 64), 64)


@pytest.mark.parametrize("most", [64, 256])
def test_what_fits_is_neither_cut_nor_was_it(most: int) -> None:
    for size in range(most + 2):
        for text in ("x" * size, "ü" * size, "x" * (size - 33) + "~" + "0" * min(32, size)):
            if bounds._fits(text, most):
                assert bounded(text, most) is text
                assert not was_cut(text)
    assert bounds._fits("x" * most, most)
