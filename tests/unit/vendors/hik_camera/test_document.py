from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pump.core.clock import Clock
from pump.core.event import encode
from pump.vendors.hik_camera import document
from pump.vendors.hik_camera.document import Weight, _read_any, _read_ordinary, read_document, read_xml
from pump.vendors.hik_camera.fields import moment
from pump.vendors.hik_camera.incidents import OpenIncidents
from pump.vendors.hik_camera.parse import Facts, parse
from pump.vendors.hik_camera.simulator.messages import Records
from pump.vendors.hik_camera.simulator.server import BURSTS, ODDITIES, PULSES

PARIS = ZoneInfo("Europe/Paris")


def test_xml_is_read_by_local_names() -> None:
    body = (
        b'\xef\xbb\xbf<?xml version="1.0" encoding="utf-8"?>\r\n<a:Alert version="2.0" xmlns:a="urn:x">'
        b"<a:eventType> VMD </a:eventType><activePostCount/><list><entry>1</entry><entry>2</entry></list>"
        b'<with kind="x">text</with><b>AT&T &amp; more &lt; &#65;&#0;</b></a:Alert>'
    )
    assert read_document(body) == {
        "": "Alert", "eventType": "VMD", "activePostCount": None, "list": {"entry": ["1", "2"]},
        "with": {"@kind": "x", "#text": "text"}, "b": "AT&T & more < A",
    }  # fmt: skip


@pytest.mark.parametrize(
    "body",
    [
        b'<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>',
        b'<!DOCTYPE a SYSTEM "http://192.0.2.1/x.dtd"><a/>',
        b'<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY lol "lol"><!ENTITY l2 "&lol;&lol;">]><lolz>&l2;</lolz>',
        b"<a>" * 40 + b"</a>" * 40,
        b"<a>" + b"<b/>" * 30_000 + b"</a>",
        b"<a><b></a>",
        b"<a/><b/>",
        b"",
        b"plain text",
        b"{",
        b"[1]",
    ],
)
def test_what_is_dangerous_or_broken_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_document(body)


@pytest.mark.parametrize(
    ("body", "quickly"),
    [
        (b'<?xml version="1.0" encoding="utf-8"?>\r\n<a xmlns="urn:x"> <b> x </b>\r\n<c/><b>y</b> </a>\r\n', True),
        (b'<p:a xmlns:p="urn:x" version="2"><p:b k="v">x</p:b>y<?pi z?>y<b/></p:a>', True),
        (b'<a k="v"/>', True),
        (b"<a><b><c> </c></b>x</a>", True),
        ("<a>\u4eac\x7f\u2028 A1</a>".encode(), True),
        ("<a>\u4eac</a>".encode("gbk"), False),
        (b"<a>AT&amp;T & more</a>", False),
        (b"<a><!-- <b/> --><![CDATA[<b>]]></a>", False),
        (b"<p:a><p:b>1</p:b></p:a>", False),
        (b'<a xmlns:xsi="urn:y" xsi:type="t" xml:lang="en">1</a>', False),
        (b"<a>\x011\x00</a>", False),
        (b"<a>\xef\xbf\xbf1</a>", False),
        (b"<?xml nonsense?><a>1</a>", False),
        (b"<a>" * 32 + b"1" + b"</a>" * 32, True),
    ],
)
def test_what_is_ordinary_is_read_quickly_and_no_otherwise(body: bytes, quickly: bool) -> None:
    found = _read_ordinary(body)
    assert (found is not None) == quickly
    assert read_xml(body) == _read_any(body)
    assert list(read_xml(body)) == list(_read_any(body))


def test_an_entity_that_nobody_declared_stays_text() -> None:
    assert read_xml(b"<a>&xxe; &nbsp;</a>") == {"": "a", "#text": "&xxe; &nbsp;"}


@pytest.mark.parametrize("rest", ['\\"', '"', "\\", "/*", ", ", ": ", "0x", "[{", "\\\\"])
def test_what_never_ends_takes_no_more_than_its_own_length(rest: str) -> None:
    # In proportion to the square of it this would take hours: the suite's time-out would tell.
    body = b'{"eventType": "' + rest.encode() * 300_000
    with pytest.raises(ValueError, match=r"."):
        read_document(body)


def test_other_encodings_are_read() -> None:
    text = '<?xml version="1.0" encoding="GB2312"?><a><n>京A12345</n></a>'
    assert read_document(text.encode("gb2312"))["n"] == "京A12345"
    assert read_document(text.encode("utf-8"))["n"] == "京A12345"


def test_json_is_mended() -> None:
    body = b'{"EventNotificationAlert": {"eventType": "x", "errorCode": 0x40000003, "a": [1, 2,], "s": "0x1,}\t",}, }'
    assert read_document(body) == {
        "": "EventNotificationAlert", "eventType": "x", "errorCode": 0x40000003, "a": [1, 2], "s": "0x1,}\t",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("sent", "meant"),
    [
        ("2026-11-20T08:00:00+01:00", datetime(2026, 11, 20, 7, 0, tzinfo=UTC)),
        ("2026-11-20T08:00:00Z", datetime(2026, 11, 20, 8, 0, tzinfo=UTC)),
        ("2026-11-20T08:00:00-6:00", datetime(2026, 11, 20, 14, 0, tzinfo=UTC)),
        ("2026-11-20T11:46:3100:00", datetime(2026, 11, 20, 11, 46, 31, tzinfo=UTC)),
        ("2026-11-20T11:46:31 02:00", datetime(2026, 11, 20, 9, 46, 31, tzinfo=UTC)),
        ("2026-11-20T08:00:00.25+0000", datetime(2026, 11, 20, 8, 0, 0, 250_000, tzinfo=UTC)),
        ("2026-11-20 08:00:00", datetime(2026, 11, 20, 7, 0, tzinfo=UTC)),
        ("1970-01-01T00:00:17+00:00", None),
        ("2026-02-30T08:00:00Z", None),
        ("2026-11-20T08:00:00+99:00", None),
        ("yesterday", None),
        (None, None),
        (17, None),
    ],
)
def test_times_with_the_faults_of_the_field(sent: object, meant: datetime | None) -> None:
    assert moment(sent, PARIS) == meant


_BODIES = [
    message.body
    for quirks in ODDITIES.values()
    for kind in (*PULSES, *BURSTS)
    for message in Records(Clock(), quirks, 1).make(kind, repeats=2)
]


def _whole_way(body: bytes) -> None:
    """Bytes to an event's JSON; ValueError is all that the reading may raise."""
    if (quickly := _read_ordinary(body)) is not None:
        assert quickly == _read_any(body)
    try:
        tree = read_document(body)
    except ValueError:
        return
    _to_event(tree)


def _to_event(tree: dict[str, Any]) -> None:
    try:
        alert = parse(tree, Facts(serial="s", names={"1": "Gate"}), PARIS)
    except ValueError:
        return
    matters = OpenIncidents(10.0)
    events, state = matters.take(alert, 0.0)
    restarted = OpenIncidents(10.0)
    restarted.load(orjson.loads(orjson.dumps(state)), 0.0)
    assert len(restarted.open) == len(matters.open)
    for event in events + restarted.expire(20.0)[0]:
        try:
            orjson.loads(encode(event, "/a/b", datetime.now(UTC)))
        except TypeError:
            assert not event.type.startswith("pump."), "the intake keeps what JSON cannot hold"


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300))
@example(b"<a/>")
@example(b'{"eventType":1}')
@example(b"<EventNotificationAlert><eventType>ANPR</eventType><ANPR/></EventNotificationAlert>")
def test_no_bytes_break_the_reading(body: bytes) -> None:
    _whole_way(body)
    _whole_way(b"<" + body)
    _whole_way(b"{" + body)


@settings(max_examples=400, deadline=None)
@given(
    st.sampled_from(_BODIES), st.lists(st.tuples(st.floats(0, 1), st.integers(0, 3), st.binary(max_size=6)), max_size=6)
)
def test_no_corruption_of_a_message_breaks_the_reading(body: bytes, changes: list[tuple[float, int, bytes]]) -> None:
    for where, removed, put in changes:
        at = int(where * len(body))
        body = body[:at] + put + body[at + removed :]
    _whole_way(body)


_NAMES = st.sampled_from(
    [
        "eventType", "eventState", "dateTime", "channelID", "ANPR", "AccessControllerEvent", "vehicleInfo", "serialNo",
        "majorEventType", "subEventType", "DetectionRegionList", "DetectionRegionEntry", "regionID", "peopleCounting",
        "enter", "TMA", "currTemperature", "pictureInfoList", "picNum", "licensePlate", "EventNotificationAlert", "x",
        "currentEvent", "inputIOPortID", "direction", "CIDEvent", "code", "standardCIDcode", "zone", "trigger",
        "recheck",
    ]
)  # fmt: skip
_LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**53), 2**53), st.floats(), st.text(max_size=8),
    st.sampled_from(["VMD", "ANPR", "AccessControllerEvent", "PeopleCounting", "TMA", "cidEvent", "1103", "3103"]),
    st.sampled_from(["active", "inactive", "1e999", "nan", "IO", "9" * 20]),
)  # fmt: skip
_TREES = st.dictionaries(
    _NAMES,
    st.recursive(
        _LEAVES,
        lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(_NAMES, inner, max_size=4)),
        max_leaves=12,
    ),
    max_size=8,
)


@settings(max_examples=500, deadline=None)
@given(_TREES)
def test_no_shape_of_a_message_breaks_the_parser(tree: dict[str, Any]) -> None:
    _to_event(tree)


def test_names_that_somebody_makes_up_are_kept_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: dict[str, document.Name] = {}
    monkeypatch.setattr(document, "_NAMES", kept)
    made_up = [*(f"x{n}" for n in range(1500)), "y" * 65]
    found = document.walked(dict.fromkeys(made_up, "1") | {"picNum": "1", "bkgUrl": "1"}).leaves
    assert [name.text for name, _, _ in found] == [*made_up, "picNum", "bkgUrl"]
    assert [name.weight for name, _, _ in found[-3:]] == [Weight.CONTENT, Weight.SENDING, Weight.PASSING]
    assert len(kept) == 1024
    assert max(map(len, kept)) < 65


def test_depth_is_no_danger() -> None:
    deep = b'{"eventType":"x","a":' + b"[" * 240 + b"]" * 240 + b"}"
    assert sys.getrecursionlimit() > 500
    _whole_way(deep)
