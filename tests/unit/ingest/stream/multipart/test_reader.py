"""The multipart reader: framing as documents and devices have it, any slicing, any damage."""

from __future__ import annotations

import tracemalloc
from collections import Counter
from typing import Any

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pump.ingest.stream.multipart.parts import BodyParser, Limits, Part, Skipped
from pump.ingest.stream.multipart.reader import MultipartReader

JUDGES: dict[str, BodyParser] = {"application/json": orjson.loads}
JPEG = b"\xff\xd8" + bytes(range(256)) * 3 + b"\xff\xd9"


def framed(
    body: bytes, *, boundary: bytes = b"boundary", kind: bytes = b"application/json", off: int = 0,
    end: bytes = b"\r\n",
    glued: bool = False, length: bool = True,
) -> bytes:  # fmt: skip
    """One part, its delimiter before it; `off` is added to its Content-Length."""
    lines = [b"--" + boundary, b"Content-Type: " + kind]
    if length:
        lines.append(b"Content-Length: %d" % (len(body) + off))
    return end.join([*lines, b"", body]) + (b"" if glued else end)


def read(stream: bytes, *, boundary: str | None = "boundary", step: int | None = None, **more: Any) -> list[Any]:
    reader = MultipartReader(boundary, **{"judges": JUDGES} | more)
    out: list[Any] = []
    step = step or max(1, len(stream))
    for begin in range(0, len(stream), step):
        out += reader.feed(stream[begin : begin + step])
    return out + reader.close()


def bodies(out: list[Any]) -> list[bytes]:
    return [item.body for item in out if isinstance(item, Part) and item.fault is None]


ONE, TWO, THREE = b'{"n":1}', b'{"n":2}', b'{"n":3}'


def test_a_complete_part_does_not_wait_for_the_next_delimiter() -> None:
    reader = MultipartReader("boundary", judges=JUDGES)
    stream = framed(ONE, glued=True)
    assert reader.feed(stream[:-1]) == []
    assert reader.unfinished
    (part,) = reader.feed(stream[-1:])
    assert isinstance(part, Part)
    assert part.value == {"n": 1}
    assert not reader.unfinished
    # Nor does a picture, whose length alone decides.
    (picture,) = reader.feed(b"\r\n" + framed(JPEG, kind=b"image/jpeg", glued=True))
    assert isinstance(picture, Part)
    assert picture.body == JPEG


@pytest.mark.parametrize("step", [1, 2, 5, 64, None])
@pytest.mark.parametrize(
    ("header", "body"),
    [
        ("boundary", b"boundary"),
        ('"boundary"', b"boundary"),
        ("--boundary", b"boundary"),  # carries the dashes already
        ("boundary", b"--boundary"),
        ("<boundary>", b"boundary"),
        ("boundary", b"<boundary>"),
        ("boundary", b"MIME_boundary"),  # another one altogether
        (None, b"boundary"),
    ],
)
def test_whatever_the_header_says_the_body_s_delimiter_counts(header: str | None, body: bytes, step: int) -> None:
    stream = b"".join(framed(one, boundary=body) for one in (ONE, TWO, THREE))
    out = read(stream + b"--" + body + b"--\r\n", boundary=header, step=step)
    assert out == [Part(out[0].head, one, orjson.loads(one)) for one in (ONE, TWO, THREE)]


@pytest.mark.parametrize("step", [1, 3, None])
@pytest.mark.parametrize(
    "how",
    [
        {"end": b"\n"},
        {"glued": True},
        {"off": 1},
        {"off": -1},
        {"off": 2},
        {"off": -4},
        {"off": 400},
        {"length": False},
        {"length": False, "end": b"\n"},
        {"length": False, "glued": True},
        {"off": 1, "glued": True},
        {"off": 5, "glued": True},
        {"off": -1, "end": b"\n"},
    ],
)
def test_framing_quirks_lose_nothing(how: dict[str, Any], step: int) -> None:
    stream = b"".join(framed(one, **how) for one in (ONE, TWO, THREE)) + framed(ONE)
    out = read(stream, step=step)
    assert [orjson.loads(body) for body in bodies(out)] == [{"n": 1}, {"n": 2}, {"n": 3}, {"n": 1}]
    assert not [item for item in out if isinstance(item, Skipped)]


@pytest.mark.parametrize("step", [1, 3, None])
def test_a_picture_one_off_costs_no_neighbour(step: int) -> None:
    for off in (-3, -1, 1, 2, 3, 9, 200):
        out = read(framed(ONE) + framed(JPEG, kind=b"image/jpeg", off=off) + framed(TWO) + framed(THREE), step=step)
        values = [item.value for item in out if isinstance(item, Part) and item.value]
        assert values == [{"n": 1}, {"n": 2}, {"n": 3}], off
        assert any(isinstance(item, Part) and item.body.startswith(JPEG[:-3]) for item in out)


@pytest.mark.parametrize("step", [1, 7, None])
def test_a_part_cut_in_its_middle_is_told_as_cut(step: int) -> None:
    whole = framed(TWO)
    for cut in range(1, len(whole) - 2):
        out = read(framed(ONE) + whole[:cut] + b"\r\n" + framed(THREE) + framed(ONE), step=step)
        assert bodies(out)[:1] == [ONE]
        assert bodies(out)[-1:] == [ONE]
        assert THREE in bodies(out) or cut < len(b"--boundary\r\n"), cut


def test_garbage_is_skipped_up_to_the_next_delimiter_and_told() -> None:
    junk = b"HTTP/1.1 200 OK\r\n\r\n" + bytes(range(256)) * 8
    for step in (1, 100, None):
        out = read(framed(ONE) + junk + framed(TWO), step=step)
        assert bodies(out) == [ONE, TWO]
        (skipped,) = [item for item in out if isinstance(item, Skipped)]
        assert (skipped.reason, skipped.size) == ("garbage", len(junk))
        assert skipped.sample == junk[:256]


def test_limits_skip_the_part_and_keep_the_stream() -> None:
    limits = Limits(header=200, part=1000, picture=5000)
    big = b'{"x":"' + b"y" * 2000 + b'"}'
    header = b"--boundary\r\nContent-Type: application/json\r\nX: " + b"x" * 300 + b"\r\n\r\n{}\r\n"
    picture = b"\xff" * 4000
    stream = (
        framed(ONE) + framed(big) + framed(TWO) + framed(big, length=False) + framed(THREE) + header
        + framed(picture, kind=b"image/jpeg") + framed(picture * 2, kind=b"image/jpeg") + framed(ONE)
    )  # fmt: skip
    for step in (1, 333, None):
        out = read(stream, step=step, limits=limits)
        assert bodies(out) == [ONE, TWO, THREE, picture, ONE]
        assert [item.reason for item in out if isinstance(item, Skipped)] == [
            "part over its limit", "part over its limit", "header over its limit", "part over its limit",
        ]  # fmt: skip


def test_memory_is_bounded_by_the_limits() -> None:
    limits = Limits(header=1 << 10, part=8 << 10, picture=32 << 10)
    chunk = 4 << 10
    endless: list[tuple[bytes, bytes]] = [
        (b"", b"x" * chunk),
        (b"--boundary\r\n", b"x" * chunk),
        (b"--boundary\r\nContent-Type: text/xml\r\n\r\n", b"y" * chunk),
        (b"--boundary\r\nContent-Type: image/jpeg\r\nContent-Length: 999999999\r\n\r\n", b"z" * chunk),
        (b"--boundary\r\nContent-Type: image/jpeg\r\nContent-Length: 30000\r\n\r\n", b"--boundar" * 500),
    ]
    for begin, rest in endless:
        reader = MultipartReader("boundary", limits=limits)
        reader.feed(begin)
        for _ in range(200):
            reader.feed(rest)
            assert reader.buffered <= limits.picture + chunk + 1024
        assert reader.skipping > 100 * chunk


def test_a_part_that_never_parses_is_handed_out_whole_with_its_fault() -> None:
    broken = b'{"n":oops}'
    out = read(framed(ONE) + framed(broken) + framed(TWO))
    assert [(item.body, item.fault) for item in out] == [(ONE, None), (broken, "does not parse"), (TWO, None)]
    reader = MultipartReader("boundary", judges=JUDGES)
    assert reader.feed(framed(broken)) == []
    assert reader.unfinished
    (part,) = reader.close()
    assert isinstance(part, Part)
    assert (part.body, part.fault) == (broken, "does not parse")


def test_a_stream_that_ends_hands_out_what_was_on_its_way() -> None:
    for length in (True, False):
        stream = framed(ONE, length=length)
        assert bodies(read(stream)) == [ONE]
        (cut,) = read(stream[:-4])
        assert isinstance(cut, Part)
        assert cut.fault == "cut"
    (unknown,) = read(framed(b"text", kind=b"text/plain", length=False))
    assert unknown.fault == "no delimiter"
    (head,) = read(b"--boundary\r\nContent-Ty")
    assert isinstance(head, Skipped)
    assert head.reason == "header cut"


def test_a_delimiter_that_the_stream_s_end_cuts_short_is_no_part_of_the_body() -> None:
    whole = framed(ONE, length=False, end=b"\n") + b"--boundary\n"
    for end in range(len(framed(ONE, length=False, end=b"\n")) - 1, len(whole)):
        assert bodies(read(whole[:end])) == [ONE], whole[:end]


def test_the_closing_delimiter_is_noticed_and_parts_after_it_are_read() -> None:
    reader = MultipartReader("boundary", judges=JUDGES)
    out = reader.feed(framed(ONE) + b"--boundary--\r\n")
    assert reader.ended
    out += reader.feed(framed(TWO))
    assert bodies(out) == [ONE, TWO]


# --- properties -----------------------------------------------------------------------------------------------------

_json = st.dictionaries(
    st.text(max_size=8), st.integers(-9999, 9999) | st.text(max_size=30) | st.none(), max_size=4
).map(orjson.dumps)
_kinds = st.sampled_from([b"application/json", b"image/jpeg", b'application/json; charset="UTF-8"'])
_part = st.builds(
    framed,
    st.one_of(_json, st.binary(max_size=80)),
    kind=_kinds,
    off=st.sampled_from([0, 0, 0, 1, -1, 3, 40]),
    end=st.sampled_from([b"\r\n", b"\n"]),
    glued=st.booleans(),
    length=st.booleans(),
)
_noise = st.binary(max_size=60) | st.sampled_from(
    [
        b"--",
        b"--boundary",
        b"--boundary--",
        b"--bound",
        b"\r\n\r\n",
        b"--other\r\nContent-Type: x\r\n",
        b"----boundary\r\n",
    ]
)
_streams = st.lists(st.one_of(_part, _part, _part, _noise), max_size=8).map(b"".join)
_headers = st.sampled_from(["boundary", "--boundary", "<boundary>", "elsewhere", None])


@settings(max_examples=400, deadline=None)
@given(_streams, _headers, st.data())
def test_any_slicing_gives_the_same(stream: bytes, header: str | None, data: st.DataObject) -> None:
    limits = Limits(header=100, part=60, picture=70)
    expected = read(stream, boundary=header, limits=limits)
    assert read(stream, boundary=header, limits=limits, step=1) == expected
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    reader = MultipartReader(header, judges=JUDGES, limits=limits)
    out: list[Any] = []
    for begin, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        out += reader.feed(stream[begin:end])
    assert out + reader.close() == expected


@pytest.mark.parametrize("step", [1000, 5000, 70_000, None])
@pytest.mark.parametrize("cuts", [1, 2, 3])
def test_pictures_cut_one_after_the_other_hide_no_part_from_the_stream_s_end(cuts: int, step: int | None) -> None:
    cut = framed(b"\xff\xd8" + bytes(200_000), kind=b"image/jpeg")[:90_000] + b"\r\n"
    out = read(framed(ONE) * 2 + cut * cuts + framed(TWO) + cut[:10_000], step=step)
    assert bodies(out) == [ONE, ONE, TWO]
    assert [item.fault for item in out] == [None, None, *["cut"] * cuts, None, "cut"]


@pytest.mark.parametrize("header", ["boundary", "elsewhere", None])
def test_a_body_made_of_dashes_is_the_same_in_any_slicing(header: str | None) -> None:
    # A delimiter of a name not known yet may have dashes before it; how many must not hang on how the bytes came.
    dashes = framed(b"-" * 3000, kind=b"application/octet-stream", length=False, glued=True)
    stream = dashes + framed(ONE) + dashes + framed(TWO)
    whole = read(stream, boundary=header)
    assert [item.body for item in whole if isinstance(item, Part) and item.value] == [ONE, TWO]
    sizes = [len(item.body) for item in whole if isinstance(item, Part) and not item.value]
    assert sizes == ([3000, 3000] if header == "boundary" else [2994, 2994])  # a promised name is believed at once
    for step in (1, 13, 700, 2999, 3100):
        assert read(stream, boundary=header, step=step) == whole, step


def _numbered(n: int, *, pictures: bool) -> tuple[bytes, list[tuple[int, int]], list[bytes]]:
    """A stream of n parts that are told apart by their number, each part's span (delimiter included), its bodies."""
    stream, spans, wanted = b"", [], []
    for i in range(n):
        picture = pictures and i % 3 == 2
        body = b"\xff\xd8%05d" % i + b"\x00" * 40 + b"\xff\xd9" if picture else b'{"n":%d,"text":"%s"}' % (i, b"x" * i)
        begin = len(stream)
        stream += framed(body, kind=b"image/jpeg" if picture else b"application/json")
        spans.append((begin, len(stream)))
        wanted.append(body)
    return stream, spans, wanted


@settings(max_examples=600, deadline=None)
@given(st.data(), st.booleans(), st.sampled_from([1, 11, None]))
def test_damage_loses_at_most_the_parts_it_touches(data: st.DataObject, pictures: bool, step: int) -> None:
    stream, spans, wanted = _numbered(8, pictures=pictures)
    begin = data.draw(st.integers(0, len(stream) - 1))
    end = data.draw(st.integers(begin, min(len(stream), begin + 40)))
    damage = data.draw(st.binary(max_size=40))
    out = read(stream[:begin] + damage + stream[end:], step=step)
    found = Counter(bodies(out))
    # A part is touched where the damage meets it, its own delimiter and header, or the next one's.
    heads = [first + (stream.index(b"\r\n\r\n", first) - first) + 4 for first, _ in spans]
    for place, ((first, last), body) in enumerate(zip(spans, wanted, strict=True)):
        reach = heads[place + 1] if place + 1 < len(heads) else last
        if end < first or begin >= reach:
            assert found[body] == 1, (body, out)
    assert len(set(found) - set(wanted)) <= 2


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=3000), _headers, st.integers(1, 500))
@example(b"--boundary\r\n\r\n\r\n--boundary--", "boundary", 1)
def test_anything_at_all_raises_nothing_and_every_byte_is_accounted_for(
    noise: bytes, header: str | None, step: int
) -> None:
    out = read(noise, boundary=header, step=step)
    assert sum(len(i.body) if isinstance(i, Part) else i.size for i in out) <= len(noise)


@pytest.mark.parametrize("then", ["more", "end"])
def test_a_large_picture_that_is_cut_gives_up_the_parts_behind_it(then: str) -> None:
    picture = b"\xff\xd8" + bytes(range(256)) * 800 + b"\xff\xd9"
    whole = framed(picture, kind=b"image/jpeg")
    reader = MultipartReader("boundary", judges=JUDGES)
    out = reader.feed(framed(ONE) + whole)
    assert bodies(out) == [ONE, picture]
    out = reader.feed(whole[:100_000] + b"\r\n" + framed(TWO))
    out += reader.feed(framed(THREE)) if then == "more" else reader.close()
    assert bodies(out) == [TWO, THREE][: 2 if then == "more" else 1]
    assert next(item.fault for item in out if isinstance(item, Part)) == "cut"
    for step in (1000, 20_000, 70_000, None):
        assert bodies(read(whole * 3 + framed(ONE), step=step)) == [picture] * 3 + [ONE]


@pytest.mark.parametrize("cut", [100, 30_000, 150_000])
@pytest.mark.parametrize("step", [700, 5000, None])
def test_a_small_part_behind_a_cut_picture_is_handed_out_at_once(cut: int, step: int | None) -> None:
    picture = b"\xff\xd8" + bytes(range(256)) * 800 + b"\xff\xd9"
    reader = MultipartReader("boundary", judges=JUDGES)
    assert bodies(reader.feed(framed(ONE) * 2)) == [ONE, ONE]
    stream = framed(picture, kind=b"image/jpeg")[:cut] + b"\r\n" + framed(TWO)
    out: list[Any] = []
    for begin in range(0, len(stream), step or len(stream)):
        out += reader.feed(stream[begin : begin + (step or len(stream))])
    assert bodies(out) == [TWO]
    assert next(item.fault for item in out if isinstance(item, Part)) == "cut"


@pytest.mark.parametrize("step", [1, 4096, 4097])
def test_a_large_picture_in_small_pieces_costs_no_more_memory_than_its_bytes(step: int) -> None:
    picture = b"\xff\xd8" + bytes(150_000) + b"\xff\xd9"
    stream = framed(picture, kind=b"image/jpeg", glued=True)
    reader = MultipartReader("boundary", judges=JUDGES)
    assert bodies(reader.feed(framed(ONE) * 2)) == [ONE, ONE]
    pieces = [stream[begin : begin + step] for begin in range(0, len(stream), step)]
    tracemalloc.start()
    try:
        for piece in pieces[:-1]:
            assert reader.feed(piece) == []
        used, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert reader.buffered <= len(picture)
    assert used < 2 * len(picture)
    assert bodies(reader.feed(pieces[-1])) == [picture]
