"""What is fuzzed, as functions of bytes: AssertionError and every exception that is not declared are findings.

Pure, and without atheris: tests/unit/test_fuzz_targets.py runs them on their seeds in the suite.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any, Final
from zoneinfo import ZoneInfo

import orjson

from pump.core.errors import MessageError
from pump.core.event import Event, encode
from pump.core.taxonomy import PHASES, SEVERITIES, TYPES
from pump.ingest.encoding import UNWRITABLE
from pump.ingest.stream.multipart.parts import BodyParser, Limits, Part, Skipped
from pump.ingest.stream.multipart.reader import MultipartReader
from pump.vendors.hik_camera.document import read_document
from pump.vendors.hik_camera.incidents import OpenIncidents
from pump.vendors.hik_camera.parse import Facts
from pump.vendors.hik_camera.parse import parse as parse_camera
from pump.vendors.hik_camera.uploads import Uploads
from pump.vendors.hik_gateway.incidents import Incidents
from pump.vendors.hik_gateway.parse import Context, Device, loads
from pump.vendors.hik_gateway.parse import parse as parse_gateway
from tests.fuzz.shapes import CAMERA_NAMES, CAMERA_VALUES, GATEWAY_NAMES, GATEWAY_VALUES, Shapes

BOUNDARIES: Final = ("boundary", "--boundary", '"<boundary>"', "elsewhere", None, "", "MIME_boundary", "b\u00e9;=")
LIMITS: Final = (Limits(), Limits(header=100, part=60, picture=70), Limits(header=300, part=1000, picture=200_000))
JUDGES: Final[tuple[dict[str, BodyParser], ...]] = (
    {},
    {"application/json": orjson.loads},
    {"application/json": loads, "application/xml": read_document, "*": read_document},
)
STRETCH: Final = 9_000
"""Bytes that one NUL stands for where a stream is stretched, so that large parts are met by short inputs."""
FAULTS: Final = {None, "cut", "does not parse", "no delimiter"}
REASONS: Final = {"garbage", "header malformed", "header over its limit", "part over its limit", "header cut"}
_NOW: Final = datetime(2026, 11, 20, 9, tzinfo=UTC)
_PARIS: Final = ZoneInfo("Europe/Paris")
_FACTS: Final = Facts(serial="DS-1", name="North gate", names={"1": "Gate", "33": "Yard"})
_CONTEXT: Final = Context(zone=_PARIS, devices={"d": Device("Panel", "AX", "S1")}, url="http://gateway.example")


def reader(data: bytes) -> None:
    """One stream in one piece, byte by byte and in random slices: the same parts, within the limits, no exception.

    The first three bytes choose the header's boundary, judges, limits and stretching, and seed the slicing.
    """
    if len(data) < 3:
        return
    how, seed, stream = data[0], data[1] << 8 | data[2], data[3:]
    boundary, judges = BOUNDARIES[how & 7], JUDGES[(how >> 3 & 3) % 3]
    limits, stretched = LIMITS[(how >> 5 & 3) % 3], how >> 7
    if stretched:
        stream = stream[:1000].replace(b"\0", b"\0" * STRETCH, 24)
    chance = random.Random(seed)

    def read(pieces: list[bytes]) -> list[Part | Skipped]:
        reader = MultipartReader(boundary, judges=judges, limits=limits)
        found: list[Part | Skipped] = []
        for piece in pieces:
            found += reader.feed(piece)
            held = max(limits.header, limits.part, limits.picture) + len(piece) + 1024
            assert reader.buffered <= held, "more is held than the limits allow"
            assert reader.skipping >= 0
        found += reader.close()
        assert reader.buffered == 0
        assert not reader.unfinished
        return found

    whole = read([stream])
    _check(whole, len(stream))
    mean = chance.choice((1, 7, 50, 5_000, 20_000, 70_000)) if stretched else chance.choice((2, 9, 60))
    cuts, at = [0], 0
    while at < len(stream):
        at += 1 + int(chance.expovariate(1 / mean))
        cuts.append(min(at, len(stream)))
    if len(cuts) < 5_000:
        sliced = read([stream[begin:end] for begin, end in pairwise(cuts)])
        assert sliced == whole, "another slicing gives other parts"
    if not stretched and (len(stream) < 400 or seed % 16 == 0):
        assert read([stream[place : place + 1] for place in range(len(stream))]) == whole, "byte by byte is different"


def _check(found: list[Part | Skipped], size: int) -> None:
    told = 0
    for item in found:
        if isinstance(item, Part):
            assert item.fault in FAULTS
            told += len(item.body)
        else:
            assert item.reason in REASONS
            assert item.size > 0
            assert len(item.sample) <= 256
            told += item.size
    assert told <= size, "more is told than was fed"


def gateway(data: bytes) -> None:
    """A body of the gateway's, whole way: ValueError from reading it, Unreadable from parsing, nothing else."""
    try:
        message = loads(data)
    except ValueError:
        return
    try:
        found = parse_gateway(message, _CONTEXT)
    except MessageError:
        return
    if found is None:
        return
    state: dict[str, Any] = {}
    Incidents({}).note(found, state)
    _stored(found.event, state)
    again = parse_gateway(loads(data), _CONTEXT)
    assert again is not None
    assert again.event.id == found.event.id, "the same message has another id"


def camera(data: bytes) -> None:
    """A body of a camera's stream, whole way: ValueError from reading and parsing, nothing else."""
    try:
        tree = read_document(data)
    except ValueError:
        return
    _camera([tree])


def camera_shapes(data: bytes) -> None:
    """Messages in a row whose fields have names that the parser looks for, and values that it may not expect."""
    shapes = Shapes(data, CAMERA_NAMES, CAMERA_VALUES)
    _camera([shapes.object() for _ in range(1 + shapes.choice(4))])


def gateway_shapes(data: bytes) -> None:
    """As camera_shapes, of the gateway: incidents over all of them."""
    shapes = Shapes(data, GATEWAY_NAMES, GATEWAY_VALUES)
    incidents = Incidents({})
    for _ in range(1 + shapes.choice(4)):
        try:
            found = parse_gateway({"EventNotificationAlert": shapes.object()}, _CONTEXT)
        except MessageError:
            continue
        if found is not None:
            state: dict[str, Any] = {}
            incidents.note(found, state)
            _stored(found.event, state)


def _camera(trees: list[dict[str, Any]]) -> None:
    """Each message through the parser, the matters and the records, with a restart between them, then silence."""
    kept: dict[str, Any] = {}
    for number, tree in enumerate(trees):
        try:
            alert = parse_camera(tree, _FACTS, _PARIS)
        except ValueError:
            continue
        matters, uploads = OpenIncidents(10.0), Uploads()
        matters.load(kept, float(number))
        uploads.load(kept)
        events, state = list[Event](), dict[str, Any]()
        for one in (alert, *alert.others):
            found, change = matters.take(one, float(number))
            events += found
            state |= change
        if events and alert.record is not None:
            upload = uploads.take(alert)
            events, state = upload.events, state | upload.state
        state |= matters.counts()
        for event in events:
            _stored(event, state)
        merged = kept | orjson.loads(orjson.dumps(state))
        kept = {key: value for key, value in merged.items() if value is not None}
    matters = OpenIncidents(10.0)
    matters.load(kept, 0.0)
    for event in matters.expire(100.0)[0]:
        _stored(event, {})


def _stored(event: Event, state: dict[str, Any]) -> None:
    """As the intake does it: what JSON cannot hold is kept as an unparsed record, state must be JSON."""
    assert event.type in TYPES
    assert event.data["phase"] in PHASES
    assert event.data["severity"] in SEVERITIES
    assert event.id
    orjson.dumps(state)
    with suppress(*UNWRITABLE):
        orjson.loads(encode(event, "/north/arc", _NOW))


TARGETS: Final[dict[str, Callable[[bytes], None]]] = {
    "reader": reader,
    "gateway": gateway,
    "gateway-shapes": gateway_shapes,
    "camera": camera,
    "camera-shapes": camera_shapes,
}
