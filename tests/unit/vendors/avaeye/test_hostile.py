"""Hostile and odd requests, each with its answer and with what is stored of it."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pytest

from tests.unit.ingest.push.wire import WIRE, Counts, answers
from tests.unit.vendors.avaeye.site import avaeye_site, capture, request

_C = "/api/upark/capture"
_GOOD = orjson.dumps(capture())
_TEXT = _GOOD.decode()
_PASSED = ("vehicle.passed",)
_RUIN = ("pump.record.unparsed",)
_MESSAGE = ("device.message",)
_RESULT = ("command.result",)


class Odd(NamedTuple):
    """One request: its bytes, the HTTP status, the vendor's code (None: no vendor's answer), the types stored."""

    name: str
    raw: bytes
    status: int
    code: int | None
    types: tuple[str, ...] = ()
    holds: tuple[tuple[str, object], ...] = ()
    """Paths into the last event's data, and what stands there."""
    kept: bool | None = None
    """Whether the connection takes another request; None: it does where the vendor's form was the answer."""


def _post(body: bytes, path: str = _C, method: str = "POST", **headers: str) -> bytes:
    return request(path, body, headers, method)


def _chunked(*chunks: bytes, end: bytes = b"0\r\n\r\n", head: bytes = b"") -> bytes:
    body = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + end
    return b"POST %s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n%s\r\n" % (_C.encode(), head) + body


def _with(**params: Any) -> bytes:
    return orjson.dumps(capture(**params))


def _envelope(**fields: Any) -> bytes:
    return orjson.dumps(capture() | fields)


def _nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


_BOMB = gzip.compress(b'{"a":"' + b"x" * (4 << 20) + b'"}')
_PLATE = (("vehicle.plate", "A12345"),)

ODD = [
    Odd("plain", _post(_GOOD), 200, 200, _PASSED, _PLATE),
    # --- HTTP ---
    Odd("expect 100-continue", _post(_GOOD, Expect="100-continue"), 200, 200, _PASSED),
    Odd("another expectation, body there already", _post(_GOOD, Expect="200-maybe"), 200, 200, _PASSED),
    Odd("content type text", _post(_GOOD, Content_Type="text/plain"), 200, 200, _PASSED),
    Odd("content type of a form", _post(_GOOD, Content_Type="application/x-www-form-urlencoded"), 200, 200, _PASSED),
    Odd("content type that is none", _post(_GOOD, Content_Type=";;="), 200, 200, _PASSED),
    Odd("charset that is a lie", _post(_GOOD, Content_Type="application/json; charset=utf-7"), 200, 200, _PASSED),
    Odd("no content type", _post(_GOOD).replace(b"Content-Type: application/json\r\n", b""), 200, 200, _PASSED),
    Odd("HTTP/1.0", _post(_GOOD).replace(b"HTTP/1.1", b"HTTP/1.0"), 200, 200, _PASSED, kept=False),
    Odd("HTTP/1.0 without Host", _post(_GOOD).replace(b"1.1\r\nHost: pump", b"1.0"), 200, 200, _PASSED, kept=False),
    Odd("HTTP/9.9", _post(_GOOD).replace(b"HTTP/1.1", b"HTTP/9.9"), 400, None),
    Odd("no HTTP at all", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400, None),
    Odd("telnet", b"hello\r\n\r\n", 400, None),
    Odd("bare LF", _post(_GOOD).replace(b"\r\n", b"\n", 5), 400, None),
    Odd("chunked", _chunked(_GOOD[:7], _GOOD[7:]), 200, 200, _PASSED),
    Odd("chunked with an extension", _chunked(_GOOD).replace(b"\r\n{", b";x=y\r\n{"), 200, 200, _PASSED),
    Odd("chunk size that is no number", _chunked(end=b"zz\r\n\r\n"), 400, None),
    Odd("length and chunks", _chunked(_GOOD, head=b"Content-Length: 5\r\n"), 400, None),
    Odd("two lengths", _post(_GOOD, Content_length="3"), 400, None),
    Odd("length that is no number", _post(_GOOD).replace(b"Content-Length: ", b"Content-Length: x"), 400, None),
    Odd("negative length", _post(_GOOD).replace(b"Content-Length: ", b"Content-Length: -"), 400, None),
    Odd("more than may be, by length", _post(b"", Content_Length="2000000"), 413, 301, kept=False),
    Odd("more than may be, by chunks", _chunked(*[b"x" * 65536] * 20), 413, 301, kept=False),
    Odd("header too long", _post(_GOOD, X_Long="x" * 20_000), 431, None),
    Odd("target too long", _post(_GOOD, path=_C + "?" + "x" * 20_000), 431, None),
    Odd("too many headers", _post(_GOOD, **{f"X_{n}": "1" for n in range(300)}), 400, None),
    Odd("header with a NUL", _post(_GOOD, X_Nul="a\0b"), 400, None),
    Odd("header that splits", _post(_GOOD, X="a\r\nEvil : b"), 400, None),
    Odd("method DELETE", _post(_GOOD, method="DELETE"), 405, 301),
    Odd("method OPTIONS", _post(b"", method="OPTIONS"), 405, 301),
    Odd("method PUT", _post(_GOOD, method="PUT"), 200, 200, _PASSED),
    Odd("a path of nobody's", _post(_GOOD, path="/"), 404, None, kept=True),
    Odd("a path that only begins alike", _post(_GOOD, path="/api/uparkx/capture"), 404, None, kept=True),
    Odd("capitals in the path", _post(_GOOD, path="/API/uPark/Capture"), 200, 200, _PASSED),
    Odd("doubled slashes", _post(_GOOD, path="//api//upark//capture/"), 200, 200, _PASSED),
    Odd("escapes in the path", _post(_GOOD, path="/api/upark/%63apture"), 200, 200, _PASSED),
    Odd("absolute target", _post(_GOOD, path="http://x/api/upark/capture"), 200, 200, _PASSED),
    Odd("gzip", _post(gzip.compress(_GOOD), Content_Encoding="gzip"), 200, 200, _PASSED),
    Odd("deflate", _post(zlib.compress(_GOOD), Content_Encoding="deflate"), 200, 200, _PASSED),
    Odd("bare deflate", _post(zlib.compress(_GOOD)[2:-4], Content_Encoding="deflate"), 200, 200, _PASSED),
    Odd("gzip bomb", _post(_BOMB, Content_Encoding="gzip"), 413, 301),
    Odd("gzip cut short", _post(gzip.compress(_GOOD)[:-20], Content_Encoding="gzip"), 400, 301),
    Odd("gzip that is none", _post(_GOOD, Content_Encoding="gzip"), 400, 301),
    Odd("unknown coding", _post(_GOOD, Content_Encoding="br"), 415, 301),
    # --- the body's text ---
    Odd("empty", _post(b""), 400, 301, _RUIN),
    Odd("blank", _post(b" \r\n "), 400, 301, _RUIN),
    Odd("byte order mark", _post(b"\xef\xbb\xbf" + _GOOD), 200, 200, _PASSED),
    Odd("UTF-16", _post(_TEXT.encode("utf-16")), 200, 200, _PASSED, _PLATE),
    Odd("GBK", _post(_TEXT.replace("A12345", "京A12345").encode("gbk")), 200, 200, _PASSED,
        (("vehicle.plate", "京A12345"),)),
    Odd("UTF-8", _post(_TEXT.replace("A12345", "京A12345").encode()), 200, 200, _PASSED,
        (("vehicle.plate", "京A12345"),)),
    Odd("bytes of no encoding", _post(_GOOD.replace(b"A12345", b"A12\xff\xff")), 200, 200, _PASSED),
    Odd("control characters", _post(_GOOD.replace(b"A12345", b"A1\x01\x1f2\t345")), 200, 200, _PASSED, _PLATE),
    Odd("NULs behind the end", _post(_GOOD + b"\0" * 50), 200, 200, _PASSED),
    Odd("trailing commas", _post(_GOOD.replace(b"}}", b",},}")), 200, 200, _PASSED, _PLATE),
    Odd("smart quotes", _post(_TEXT.replace('"', "”").encode()), 200, 200, _PASSED, _PLATE),
    Odd("a key twice", _post(_GOOD.replace(b'"plateNo"', b'"plateNo":"B1","plateNo"')), 200, 200, _PASSED, _PLATE),
    Odd("half a character", _post(_GOOD.replace(b"A12345", rb"A1\ud8002")), 200, 200, _PASSED),
    Odd("cut short", _post(_GOOD[:-5]), 400, 301, _RUIN),
    Odd("two documents", _post(_GOOD + _GOOD), 400, 301, _RUIN),
    Odd("XML", _post(b"<capture/>"), 400, 301, _RUIN),
    Odd("binary", _post(bytes(range(256))), 400, 301, _RUIN),
    Odd("NaN", _post(_GOOD.replace(b"99", b"NaN")), 400, 301, _RUIN),
    Odd("nested too deeply", _post(b'{"params":' + b"[" * 500 + b"]" * 500 + b"}"), 400, 301, _RUIN),
    Odd("nested endlessly", _post(b"[" * 100_000), 400, 301, _RUIN),
    Odd("a number of 5000 digits", _post(b'{"a":"\x01","b":' + b"9" * 5000 + b"}"), 400, 301, _RUIN),
    Odd("UTF-32", _post(_TEXT.encode("utf-32")), 200, 200, _PASSED, _PLATE),
    Odd("two byte order marks", _post(b"\xef\xbb\xbf" * 2 + _GOOD), 200, 200, _PASSED, _PLATE),
    Odd("a comment", _post(_GOOD.replace(b"{", b"{/* x */", 1)), 400, 301, _RUIN),
    Odd("JSON in single quotes", _post(_GOOD.replace(b'"', b"'")), 400, 301, _RUIN),
    Odd("JSONP", _post(b"f(" + _GOOD + b")"), 400, 301, _RUIN),
    Odd("a form", _post(b"parkId=1&deviceId=2&plateNo=A1"), 400, 301, _RUIN),
    Odd("a part of a form", _post(b"--x\r\n\r\n" + _GOOD + b"\r\n--x--"), 400, 301, _RUIN),
    Odd("half a character in a key", _post(_GOOD.replace(b'"params":{', rb'"params":{"\ud800":1,')), 200, 200, _PASSED),
    Odd("an empty key", _post(_with(**{"": 1})), 200, 200, _PASSED),
    Odd("a NUL in a key", _post(_with(**{"a\0b": 1})), 200, 200, _PASSED),
    Odd("a key that replaces the prototype", _post(_with(__proto__={"plateNo": "B1"})), 200, 200, _PASSED, _PLATE),
    Odd("Infinity", _post(_GOOD.replace(b"99", b"-Infinity")), 400, 301, _RUIN),
    Odd("a number beyond all", _post(_GOOD.replace(b"99", b"1e999")), 400, 301, _RUIN),
    Odd("an integer of 350 digits", _post(_GOOD.replace(b"99", b"9" * 350)), 400, 301, _RUIN),
    Odd("an integer of 350 digits to be mended", _post(b'{"a":' + b"9" * 350 + b",}"), 400, 301, _RUIN),
    Odd("an integer of 70 bits", _post(_GOOD.replace(b"99", b"1180591620717411303424")), 200, 200, _PASSED),
    Odd("31 levels more", _post(_with(x=_nested(29))), 200, 200, _PASSED),
    Odd("33 levels", _post(_with(x=_nested(31))), 400, 301, _RUIN),
    Odd("60,000 values", _post(orjson.dumps(capture(x=list(range(60_000))))), 400, 301, _RUIN),
    Odd("60,000 quotes", _post(b'"' * 60_000), 400, 301, _RUIN),
    Odd("backslashes without end", _post(b'{"a":"' + b"\\" * 60_000), 400, 301, _RUIN),
    # --- its meaning ---
    Odd("null", _post(b"null"), 400, 301, _RUIN),
    Odd("a list", _post(b"[]"), 400, 301, _RUIN),
    Odd("a text", _post(b'"x"'), 400, 301, _RUIN),
    Odd("params is a text", _post(_envelope(params="x")), 400, 301, _RUIN),
    Odd("no params", _post(b'{"parkId":"1"}'), 400, 301, _RUIN),
    Odd("ids as numbers", _post(_envelope(parkId=10000, deviceId=1001)), 200, 200, _PASSED, (("place.lot", "10000"),)),
    Odd("ids as objects", _post(_envelope(parkId={}, deviceId=[])), 200, 200, _PASSED),
    Odd("numbers as texts", _post(_with(confidence="99", plateColor="4", vehicleType="9")), 200, 200, _PASSED,
        (("vehicle.confidence", 99), ("vehicle.plate_color", "blue"), ("vehicle.type", "sedan"))),
    Odd("unknown codes", _post(_with(plateColor=77, vehicleType="tank")), 200, 200, _PASSED,
        (("vehicle.plate_color", "77"), ("vehicle.type", "tank"))),
    Odd("plate Unknown", _post(_with(plateNo="Unknown")), 200, 200, _PASSED, (("vehicle.plate", None),)),
    Odd("plate dressed", _post(_with(plateNo="{A 12 345}")), 200, 200, _PASSED, _PLATE),
    Odd("a time that cannot be", _post(_with(picTime="2026-02-31T99:00:00")), 200, 200, _PASSED,
        (("time_source", "received"),)),
    Odd("the year 1970", _post(_with(picTime="1970-01-01T00:00:12")), 200, 200, _PASSED,
        (("time_source", "received"),)),
    Odd("pictures that are none", _post(_with(picInfo="x")), 200, 200, _PASSED),
    Odd("picture of no base64", _post(_with(picInfo=[{"type": 1, "data": "%%%"}])), 200, 200, _PASSED,
        (("media.0.state", "invalid"),)),
    Odd("picture as an object", _post(_with(picInfo={"type": 2, "data": "/9j/4A=="})), 200, 200, _PASSED,
        (("media.0.mime", "image/jpeg"), ("media.0.kind", "plate picture"))),
    Odd("pictures of odd kinds", _post(_with(picInfo=[1, None, [], {}, {"data": 5}, {"url": "http://x/a.jpg"}])),
        200, 200, _PASSED, (("media.0.state", "remote"),)),
    Odd("a path that nobody knows", _post(b'{"x":1}', path="/api/upark/some/thing"), 200, 200, _MESSAGE,
        (("code", "some/thing"), ("raw.x", 1))),
    Odd("the bare prefix", _post(b'{"x":1}', path="/api/upark"), 200, 200, _MESSAGE),
    Odd("GET of an alarm", b"GET /api/upark/parkalarm?parkId=1&deviceId=2&kind=3 HTTP/1.1\r\nHost: x\r\n\r\n", 200, 200,
        _MESSAGE, (("raw.params.kind", "3"), ("device.id", "2"))),
    Odd("GET of a keep-alive", b"GET /api/upark/keepalive?parkId=1&deviceId=2 HTTP/1.1\r\nHost: x\r\n\r\n", 200, 200),
    Odd("keep-alive of nobody", _post(b"{}", path="/api/upark/keepalive"), 200, 200),
    Odd("keep-alive that is broken", _post(b"{", path="/api/upark/keepalive"), 400, 301, _RUIN),
    Odd("result without anything", _post(b"{}", path="/api/upark/notifyresult/lamp"), 200, 200, _RESULT),
    Odd("result with an odd code", _post(b'{"code":"x","data":[]}', path="/api/upark/notifyresult/list"), 200, 200,
        _RESULT, (("command.status", "x"),)),
]  # fmt: skip


def _at(value: Any, path: str) -> Any:
    for part in path.split("."):
        value = value[int(part)] if isinstance(value, list) else value.get(part) if isinstance(value, dict) else None
    return value


def test_the_table_is_long_enough() -> None:
    names = [*(row.name for row in ODD), *(row.name for row in WIRE)]
    assert len(names) >= 200
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: odd.name)
async def test_an_odd_request_has_its_answer(odd: Odd, tmp_path: Path) -> None:
    async with avaeye_site(tmp_path, max_body="1MiB") as site:
        counts = Counts(site.metrics.registry)
        found, _ = await answers(site.port, odd.raw, 1, b"")
        assert [answer.status for answer in found] == [odd.status]
        assert counts.more() == {odd.status: 1}
        if odd.code is not None:
            assert found[0].json["code"] == odd.code
            assert (odd.code == 200) == (odd.status == 200)
        events = await site.events()
        assert tuple(event["type"] for event in events) == odd.types
        for path, wanted in odd.holds:
            assert _at(events[-1]["data"], path) == wanted
        # whatever came, the next one is served
        assert (await site.post("capture", capture("after"))).status == 200
        assert [event["type"] for event in await site.events()] == ["vehicle.passed"]
        _, kept = await answers(site.port, odd.raw, 1, _post(_with(recordId="over the same connection")))
        assert kept == (odd.code is not None if odd.kept is None else odd.kept)
