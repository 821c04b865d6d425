"""Large captures, read around their pictures: the same events and files as of one that is read whole."""

from __future__ import annotations

import base64
import random
import re
from pathlib import Path
from typing import Any

import orjson
import pytest

from pump.ingest.push.request import IN_THREAD
from pump.vendors.avaeye import parse, pictures
from pump.vendors.avaeye.parse import loads
from tests.unit.vendors.avaeye.site import avaeye_site, capture

_LARGE = b"\xff\xd8\xff" + random.Random(7).randbytes(IN_THREAD)
_SMALL = b"\xff\xd8\xff" + random.Random(8).randbytes(30)
_DATA, _THUMBNAIL = (base64.b64encode(content).decode() for content in (_LARGE, _SMALL))
_NEITHER = base64.b64encode(b"http" + _LARGE).decode()

_Row = tuple[Any, dict[str, Any], bool]
_ROWS: list[_Row] = [
    ([{"type": 1, "data": _DATA}, {"type": 2, "data": _THUMBNAIL}], {}, True),
    ([{"type": 1, "data": _DATA}, {"type": 2, "data": _DATA}], {"remark": "\\u6caa \"A\""}, True),
    ([_DATA, "http://192.0.2.7/1.jpg"], {}, True),
    ({"Type": "2", "picData": _DATA, "picUrl": "http://192.0.2.7/1.jpg"}, {}, True),
    (base64.b64encode(_DATA.encode()).decode(), {}, True),
    (_NEITHER, {}, True),
    ([{"data": _THUMBNAIL}] * (pictures.MOST - 1) + [{"data": _DATA}], {}, True),
    ([{"data": _THUMBNAIL}] * pictures.MOST + [{"data": _DATA}], {}, False),
    ([{"data": _DATA}], {"remark": _DATA}, False),
    ([{"data": _DATA}], {"password": _DATA}, False),
    ([{"data": _DATA}], {_DATA: 1}, False),
    ([{"data": _DATA, "url": _DATA}], {}, False),
    ([{"data": "x", "url": _DATA}], {}, False),
    (f'x"{_DATA}', {}, False),
    (_DATA.rstrip("="), {}, False),
    (base64.urlsafe_b64encode(_LARGE).decode(), {}, False),
    (base64.encodebytes(_LARGE).decode(), {}, False),
    (f"data:image/jpeg;base64,{_DATA}", {}, False),
    ([{"data": _DATA}], {"recordId": ""}, False),
    ([{"data": _DATA}], {"places": [{}] * 40}, True),
    ([{"data": _DATA}], {"places": [0] * 20_000}, False),
    ([{"data": _DATA}], {"places": ["a"] * 1_000}, False),
]  # fmt: skip
"""picInfo, other params, and whether such a message is read around its pictures."""


async def test_a_large_capture_is_the_same_event_read_around_its_pictures_or_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole: list[bytes] = []

    def watched(body: bytes) -> Any:
        whole.append(body)
        return loads(body)

    monkeypatch.setattr(parse, "loads", watched)
    async with avaeye_site(tmp_path) as site:
        for number, (info, extra, around) in enumerate(_ROWS):
            whole.clear()
            one, other = (
                orjson.dumps(capture(record, **{"picInfo": info, **extra})) for record in (f"a{number}", f"b{number}")
            )
            assert (await site.post("capture", one)).status == 200, number
            assert bool(whole) != around, number
            assert (await site.post("capture", other + b"\x1a")).status == 200, "padding is mended"
            assert whole[-1] == other + b"\x1a", number
        events = [event for event in await site.events() if event["type"].startswith("vehicle.")]
        assert len(events) == 2 * len(_ROWS)
        for number, (around_it, wholly) in enumerate(zip(events[::2], events[1::2], strict=True)):
            assert _said(around_it) == _said(wholly), number
            for entry in around_it["data"]["media"]:
                if entry["state"] == "stored":
                    content = (tmp_path / "media" / entry["path"]).read_bytes()
                    assert content in (_LARGE, _SMALL, b"http" + _LARGE, b'x"' + _DATA.encode()), number


def _said(event: dict[str, Any]) -> Any:
    data = orjson.dumps(event["data"]).replace(event["id"].encode(), b"ID")
    return orjson.loads(re.sub(rb'"recordId":"[ab]', b'"recordId":"', data))


async def test_a_large_capture_that_cannot_be_read_is_kept_as_it_came(tmp_path: Path) -> None:
    right = orjson.dumps(capture("1", picInfo=[{"data": _DATA}]))
    ruins = [
        right[:-1],
        right.replace(b'"picInfo":', b'"picInfo" '),
        right.replace(b'"data":"', b'"data":'),
        right.replace(b'"params":', b'"others":'),
    ]
    async with avaeye_site(tmp_path) as site:
        for ruin in ruins:
            assert (await site.post("capture", ruin)).status == 400
        events = await site.events()
        assert [event["type"] for event in events] == ["pump.record.unparsed"] * len(ruins)
        assert all(_DATA[:1000] in orjson.dumps(event["data"]["raw"]).decode() for event in events)
