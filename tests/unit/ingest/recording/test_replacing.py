"""A recording keeps and replaces by its rule, byte for byte as long, whatever is broken in a message."""

from __future__ import annotations

import base64
import json
import random
import re
import tracemalloc

import pytest

from pump.ingest.recording.bodies import BodyReplacer, borders
from pump.ingest.recording.fields import RecordedFields
from pump.ingest.recording.standins import StandIns
from pump.ingest.recording.streams import StreamReplacer
from pump.simulation.pictures import jpeg

FIELDS = RecordedFields(kept=frozenset(("lane",)), personal=frozenset(("badge",)))
PEOPLE = ("Ada", "Lovelace", "A12345", "419635205", "s3cret", "10.1.2.3", "0151234567", "ada@example.com")


@pytest.fixture
def bodies() -> BodyReplacer:
    return BodyReplacer(FIELDS)


@pytest.mark.parametrize(
    ("name", "value", "kept"),
    [
        ("eventType", "fielddetection", True), ("eventType", "Msg110003", True), ("eventState", "active", True),
        ("anything", "true", True), ("anything", "12", True), ("anything", "-12.345", True), ("x", "0x40000003", True),
        ("x", "2026-11-20T08:00:00+01:00", True), ("x", "11:46:31", True), ("expireTime", "1795165200", True),
        ("x", "inactive", True), ("lane", "Whatever it says", True), ("plateNo", "Unknown", True), ("x", "", True),
        ("uuid", "0", True), ("vehicleListName", "allowList", True), ("vehicleListName", "Friends", False),
        ("reason", "Visitor Ada", False), ("thermometryUnit", "celsius", True),
        ("x", "1795165200", False), ("x", "Ada", False), ("x", "fielddetection", False),
        ("plateNo", "12", False), ("cardNo", "0012", False), ("password", "1", False), ("name", "white", False),
        ("badge", "7", False), ("eventType", "+49 151 2345678", False), ("deviceState", "00:00:5e:00:53:01", False),
        ("bt_match_code", "61518", False), ("ns:licensePlate", "A1", False), ("x", "12345", False),
    ],
)  # fmt: skip
def test_the_rule(name: str, value: str, kept: bool) -> None:
    assert FIELDS.keeps(name, value) is kept


def test_a_vendor_s_own_words_are_kept_wherever_they_stand() -> None:
    from pump.vendors.common import hik_cid

    fields = RecordedFields(tables=(hik_cid,))
    word = next(word for word in fields.words if " " in word)
    assert fields.keeps("x", word.title())
    assert fields.keeps("name", word)
    assert not fields.keeps("password", word)


@pytest.mark.parametrize(
    "body",
    [
        '{"plateNo": "A12345", "n": 1, "name": "Ada Lovelace", "sn": 419635205, "sn": 419635205,}',
        '{"a": {"password": "s3cret", "x": ["Ada", {"ip": "10.1.2.3"}]}, "code": 0x40000003, "t": "Ada}',
        '<a b="Ada"><ns:plate xmlns:ns="urn:x">A12345</ns:plate><empty/><name>Ada &amp; Lovelace</name><!-- Ada --></a',
        "<a><![CDATA[A12345]]></a><phone>0151234567</phone>",
        "plate=A12345&token=s3cret&mail=ada%40example.com&x=%41da",
        "“plateNo”: “A12345”, {“name”: “Ada”}", "{“plateNo”: “A12345”, “name”: “Ada”}",
        '{"data": "{\\"plateNo\\": \\"A12345\\", \\"eventType\\": \\"VMD\\"}", "x": "\\u0041da Lovelace"}',
        '{"link": "http://ada:s3cret@10.1.2.3:8080/A12345/419635205.jpg?sn=419635205&token=s3cret#A12345"}',
        "Ada Lovelace lives at 10.1.2.3, ada@example.com", "{'plateNo': 'A12345'}",
    ],
)  # fmt: skip
def test_nothing_personal_is_left_and_no_byte_moves(bodies: BodyReplacer, body: str) -> None:
    made = bodies.body(body.encode()).decode()
    assert len(made.encode()) == len(body.encode())
    assert not [one for one in PEOPLE if one.lower() in made.lower()]
    syntax = re.compile(r"[{}\[\]<>,:&=\"“”?#/]")
    assert syntax.findall(made) == syntax.findall(body)


def test_what_says_what_happened_is_left(bodies: BodyReplacer) -> None:
    body = b'{"eventType": "somethingNew", "code": 1103, "at": "2026-11-20 08:00:00", "lane": "north", "ok": true}'
    assert bodies.body(body) == body
    inside = b'{"data": "{\\"plateNo\\": \\"A12345\\", \\"eventType\\": \\"VMD\\"}"}'
    assert b'\\"eventType\\": \\"VMD\\"' in bodies.body(inside)


def test_equal_values_have_equal_stand_ins_however_they_are_written(bodies: BodyReplacer) -> None:
    made = json.loads(
        bodies.body(
            b'{"plate": "A12345", "plateNo": "A12 345", "license": "{A12345}", "x": "a12345", "y": "\\u004112345"}'
        )
    )
    plain = made["plate"]
    assert plain != "A12345"
    assert made["plateNo"] == f"{plain[:3]} {plain[3:]}"
    assert made["license"] == f"{{{plain}}}"
    assert made["x"] == plain.lower()
    assert made["y"] == plain
    number = json.loads(bodies.body(b'{"sn": 419635205, "deviceSerial": "419635205"}'))
    assert str(number["sn"]) == number["deviceSerial"] != "419635205"


def test_another_recording_has_other_stand_ins() -> None:
    assert len({StandIns().of("419635205419635205") for _ in range(5)}) == 5


def test_different_values_have_different_stand_ins() -> None:
    stand_ins = StandIns()
    for width in (1, 2, 3, 4):
        values = [str(number) for number in range(10 ** (width - 1), min(10**width, 3000))]
        assert len({stand_ins.of(value) for value in values}) == len(values)
        assert {len(stand_ins.of(value)) for value in values} == {width}


@pytest.mark.parametrize(
    ("value", "like"),
    [
        ("192.168.1.64", r"1\d\d\.1\d\d\.[1-9]\.[1-9]\d"), ("00:00:5e:00:53:01", r"([0-9a-f]{2}:){5}[0-9a-f]{2}"),
        ("2cd6716d-767f-4756-ac55-50276a5e3b4a", r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
        ("沪A12345", r"[\u4e00-\u9fff][A-Z]\d{5}"), ("Straße 5", r"[A-Z][a-z]{3}[à-ü][a-z] \d"),
    ],
)  # fmt: skip
def test_a_stand_in_has_the_shape_of_its_value(value: str, like: str) -> None:
    made = StandIns().of(value)
    assert re.fullmatch(like, made), made
    assert made != value


def test_positions_stay_on_the_globe() -> None:
    for _ in range(200):
        stand_ins = StandIns()
        assert abs(float(stand_ins.coordinate("-89.123456"))) < 90
        assert float(stand_ins.coordinate("179.9")) < 180


@pytest.mark.parametrize("codec", ["utf-8", "gbk", "latin-1"])
def test_other_codes_keep_their_bytes(bodies: BodyReplacer, codec: str) -> None:
    word = "müller" if codec == "latin-1" else "沪A12345"
    body = f'{{"name": "{word}", "type": "ANPR"}}'.encode(codec)
    made = bodies.body(body)
    assert len(made) == len(body)
    assert word.encode(codec) not in made
    assert b'"type": "ANPR"' in made


def test_pictures_are_drawn_anew_in_their_size(bodies: BodyReplacer) -> None:
    for size in (4, 30, 700, 5000, 200_001):
        picture = jpeg("one", size) if size >= 6 else b"\xff\xd8\xff\xe0"
        body = json.dumps({"data": base64.b64encode(picture).decode(), "type": 1}).encode()
        made = bodies.body(picture, "image/jpeg")
        assert len(made) == len(picture)
        assert made != picture or size == 4
        coded = bodies.body(body)
        assert len(coded) == len(body)
        if size > 100:
            assert base64.b64decode(json.loads(coded)["data"])[:3] == b"\xff\xd8\xff"
            assert bodies.body(picture, "image/jpeg") == made


def test_any_bytes_keep_their_number(bodies: BodyReplacer) -> None:
    chance = random.Random(7)
    pool = b'{}[]":,<>/\\=&%;#!-ab1A\xe6\xb2\xaa\xff\x00\r\n u0041'
    for _ in range(3000):
        body = bytes(chance.choices(pool, k=chance.randrange(80)))
        assert len(bodies.body(body)) == len(body)


PART = (
    b'--MIME\r\nContent-Type: application/json\r\nContent-Length: 25\r\n\r\n{"plateNo": "A12345"     }\r\n'
    b'--MIME\r\nContent-Type: image/jpeg\r\nContent-Disposition: form-data; name="a"; filename="A12345.jpg"\r\n\r\n'
)
STREAM = (PART + jpeg("two", 900) + b"\r\n") * 3


@pytest.mark.parametrize("step", [1, 7, 100, 5000])
def test_a_stream_is_cut_as_it_came_though_a_value_lies_across_two_chunks(bodies: BodyReplacer, step: int) -> None:
    stream = StreamReplacer(bodies)
    chunks = [STREAM[place : place + step] for place in range(0, len(STREAM), step)]
    found = [piece for at, chunk in enumerate(chunks) for piece in stream.feed(at, chunk)]
    found += stream.rest()
    made = b"".join(content for _, content in found)
    assert len(made) == len(STREAM)
    assert b"A12345" not in made
    assert made.count(b"--MIME\r\nContent-Type: image/jpeg") == 3
    assert [at for at, _ in found] == sorted(at for at, _ in found)
    sizes = dict.fromkeys(range(len(chunks)), 0)
    for at, content in found:
        sizes[at] += len(content)
    assert [*sizes.values()] == [len(chunk) for chunk in chunks]


def test_a_stream_that_is_joined_in_a_part_or_torn_goes_on_with_the_next_part(bodies: BodyReplacer) -> None:
    stream = StreamReplacer(bodies, joined=True)
    assert stream.feed(0, b'"A12345", "password": "s3cret"}\r\n') == []
    found = stream.feed(1, PART)
    assert b"".join(content for _, content in found).startswith(b"--MIME\r\n")
    found += stream.feed(2, b'12345"}\r\n' + PART, torn=True)
    found += stream.rest()
    made = b"".join(content for _, content in found)
    assert b"12345" not in made
    assert made.count(b"--MIME") >= 3
    assert len(made) < 3 * len(PART)


def test_a_stream_without_borders_comes_out_at_its_end(bodies: BodyReplacer) -> None:
    stream = StreamReplacer(bodies)
    assert stream.feed(0, b"<a><plate>A12") == []
    assert stream.feed(5, b"345</plate></a>") == []
    (one, two) = stream.rest()
    assert (one[0], two[0]) == (0, 5)
    assert b"A12345" not in one[1] + two[1]


_SIZE = 1 << 17


@pytest.mark.parametrize(
    "piece",
    [b"-", b"a--", b"--a\ncontent-", b"1,", b"a=b&", b"<a>", b"b='c' ", b"word ", b"x: y\r\n", b'{"a":', b"<!--"],
)
def test_what_anybody_may_push_costs_a_recording_little_memory_and_keeps_its_length(piece: bytes) -> None:
    """A body of many tiny things, or of one long one; as objects they would take a hundred times their bytes."""
    body = (piece * _SIZE)[:_SIZE]
    replacer = BodyReplacer(RecordedFields())
    for head in (b"", b"[", b"<a ", b"--bb\r\ncontent-type: text/plain\r\n"):
        tracemalloc.start()
        try:
            made = replacer.body(head + body)
            assert tracemalloc.get_traced_memory()[1] < 64 * _SIZE
        finally:
            tracemalloc.stop()
        assert len(made) == len(head + body)


def test_a_delimiter_is_found_wherever_it_begins() -> None:
    """At the first dash from which it can be one, beside the end of what came before, in small letters or large."""
    content = b'x--b 1\r\n\r\n{"a":1}----b\nContent-Type: text/plain\n\nhello' + b"-" * 90 + b"\ncontent-type: a"
    assert [content[begin:end] for begin, end in borders(content)] == [b"--b 1\r\n", b"----b\n", b"-" * 76 + b"\n"]
    assert [*borders(content, 10)] == [*borders(content)][1:]


def test_the_stand_ins_that_are_remembered_have_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pump.ingest.recording.standins._KNOWN", 10)
    stand_ins = StandIns()
    made = {text: stand_ins.of(text) for text in (f"plate{number}" for number in range(50))}
    assert len(stand_ins._known) == 10
    assert all(stand_ins.of(text) == one for text, one in made.items())
