"""From a camera's message to events: pure. Sections are those of "ANPR APIs 2.1", "Upstream Interfaces (HTTP)"."""

from __future__ import annotations

import base64
import binascii
import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Final, Literal, NamedTuple

from pump.core.errors import MessageError
from pump.core.event import Event, event_id
from pump.core.groups import BOUNDS, Command, Device, Groups, Medium, Payload, Place, Vehicle, group
from pump.vendors.avaeye import codes
from pump.vendors.avaeye.pictures import Picture
from pump.vendors.common.json_repair import Bounds, JsonReader
from pump.vendors.common.values import text, whole, written

PREFIX: Final = "/api/upark"
VENDOR: Final = "avaeye"
MOST_VALUES: Final = 50_000
_READER: Final = JsonReader(
    "commas", "quotes", bounds=Bounds(deepest=32, largest=4 << 20, values=MOST_VALUES), gbk=True
)
loads: Final = _READER.loads
"""Reads a body; the vendor's own messages have five levels. Raises MessageError."""
strict: Final = _READER.strict
"""The same of a small body that is JSON as it is. Raises ValueError too."""

ALIVE: Final = frozenset(("keepalive", "heartbeat"))
"""Paths that say nothing but that the device is there; the second is known from the field."""
KNOWN: Final = frozenset((
    "basicinfo", "capture", "transchannel", "notifyresult/manualcapture/common", "notifyresult/list",
    "notifyresult/gatecontrol", "notifyresult/ledcontrol", "notifyresult/lamp", "parkalarm", "commonalarm",
    "quickcapture", *ALIVE,
))  # fmt: skip
"""The document's paths, and those that the field knows; what comes over any other is kept within a limit."""

NAMES: Final[dict[str, str]] = {
    "capture": "Vehicle capture",
    "transchannel": "Transparent channel",
    "notifyresult/manualcapture/common": "Manual capture result",
    "notifyresult/list": "List result",
    "notifyresult/gatecontrol": "Gate control result",
    "notifyresult/ledcontrol": "LED display result",
    "notifyresult/lamp": "Lamp result",
    "parkalarm": "Parking alarm",
    "commonalarm": "Alarm",
    "quickcapture": "Quick capture",
}
_NO_PLATE: Final = frozenset(("", "unknown", "none", "null", "noplate", "unlicensed", "-", "无车牌", "未知", "无牌车"))
_DRESS: Final = re.compile(r"[\s{}\[\]()]+")
_HEX: Final = re.compile(r"(?:[0-9A-Fa-f]{2}[\s:-]?)+")
_APART: Final = re.compile(r"[\s:-]")
_CODE: Final = re.compile(r"[A-Za-z]?\d*")
"""The code of a brand in some table of the vendor's that the document does not have: A0, 12."""
_ID: Final = BOUNDS["id"]
_EARLIEST: Final = 2000
"""The year before which a camera's clock was never set."""
_LATEST: Final = 2100


@dataclass(slots=True, frozen=True)
class Camera:
    """A camera as the configuration has it."""

    zone: tzinfo = UTC
    name: str | None = None
    lane: str | int | None = None
    direction: str | None = None
    area: str | None = None


@dataclass(slots=True)
class Message:
    """A message, its envelope read."""

    path: str
    """Behind /api/upark/, in small letters."""
    whole: dict[str, Any]
    """The message without secrets; pictures are taken out of it later."""
    inner: dict[str, Any]
    """`params`, or `data` of a result."""
    park: str | None
    device: str | None
    request: str | None
    body: bytes
    """As it came; empty once it was let go."""
    digest: str = ""
    """Of the body, where it was let go and an identity needs it."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """Facts of the device table about the sender."""
    pictures: list[Picture] | None = None
    """Where they were taken out as it was read."""

    key: str | None = field(init=False)
    """The sender's row in the device table: ids are unique only within their park."""

    def __post_init__(self) -> None:
        self.key = None if self.device is None else f"{self.park or '-'}/{self.device}"


def digest_of(body: bytes) -> str:
    """For identities."""
    return blake2b(body, digest_size=16).hexdigest()


def read(path: str, document: Any, body: bytes) -> Message:
    """The envelope of a message that came over `path` (behind /api/upark/). Raises MessageError."""
    if type(document) is not dict:
        raise MessageError("the body is no object")
    inner = document.get("params")
    if inner is None:
        inner = document.get("data")
    if type(inner) is not dict:
        if inner not in (None, "", []) and path in ("capture", "transchannel"):
            raise MessageError("params is no object")
        inner = {}
    park, device = text(document.get("parkId"), _ID), text(document.get("deviceId"), _ID)
    if path == "capture" and not inner:
        raise MessageError("a capture without params")
    return Message(path, document, inner, park, device, text(document.get("requestId"), _ID), body)


def let_go(message: Message) -> Message:
    """The message without its body, which may be large; the digest is made where its identities need it."""
    if message.path != "capture" or text(message.inner.get("recordId")) is None:
        message.digest = digest_of(message.body)
    message.body = b""
    return message


# --- identities -----------------------------------------------------------------------------------------------------


def record_id(message: Message) -> str:
    """Of a captured vehicle: park, device and recordId; a retry and a manual result of one record are one event."""
    record = text(message.inner.get("recordId"))
    if record is not None:
        return event_id(VENDOR, message.park, message.device, record)
    return content_id(message)


def content_id(message: Message) -> str:
    """Of anything else: path, request and content. The same bytes of a serial port or a gate mean the same again."""
    if message.request is None and message.path in _REPEATABLE:
        return uuid.uuid4().hex
    return event_id(VENDOR, message.path, message.request, message.digest or digest_of(message.body))


_REPEATABLE: Final = frozenset(path for path in KNOWN if path == "transchannel" or path.startswith("notifyresult/"))
"""Messages without a time: without a request's id two equal ones are two, not one that came twice."""


# --- events ---------------------------------------------------------------------------------------------------------


def events(message: Message, camera: Camera, media: list[Medium], identity: str) -> list[Event]:
    """The message's events, in order. `media` are the entries of its pictures, `identity` their record's id.

    The groups share no objects with the message but `raw`.
    """
    make = _MAKERS.get(message.path)
    if make is None:
        make = _result if message.path.startswith("notifyresult/") else _message
    return make(message, camera, media, identity)


def groups(message: Message, camera: Camera) -> Groups:
    """The device and its place."""
    found: Groups = {}
    device: Device = {}
    if message.device is not None:
        device["id"] = message.device
    facts = message.facts
    name = camera.name or facts.get("name")
    if name:
        device["name"] = name
    if serial := facts.get("serial"):
        device["serial"] = serial
    if category := facts.get("category"):
        device["category"] = category
    if device:
        found["device"] = device
    place: Place = {}
    if message.park is not None:
        place["lot"] = message.park
    if camera.area is not None:
        place["area"] = camera.area
    if camera.lane is not None:
        place["lane"] = camera.lane
    if place:
        found["place"] = place
    return found


def _event(kind: str, identity: str, message: Message, data: dict[str, Any], time: datetime | None) -> Event:
    subject = f"camera/{message.key}" if message.device is not None else None
    return Event(kind, identity, data, time, subject, 0, message.path not in KNOWN)


def _data(message: Message, camera: Camera, name: str | None = None, severity: str = "info") -> dict[str, Any]:
    return {
        "vendor": VENDOR,
        "code": message.path or "/",
        "name": name or NAMES.get(message.path) or "Device message",
        "phase": "pulse",
        "severity": severity,
        "late": False,
        "update": False,
        "reconciled": False,
        **groups(message, camera),
    }


def _captured(message: Message, camera: Camera, media: list[Medium], identity: str) -> list[Event]:
    """Vehicle Capture."""
    inner = message.inner
    listed, mode = whole(inner.get("carListType")), whole(inner.get("captureMode"))
    manual = mode == codes.MANUAL or message.path != "capture"
    severity = "warning" if listed == codes.BLOCKLIST else "info"
    data = _data(message, camera, "Manual capture" if manual else None, severity)
    if vehicle := _vehicle(inner, camera):
        data["vehicle"] = vehicle
    if media:
        data["media"] = media
    data["raw"] = message.whole
    kind = "vehicle.captured" if manual else "vehicle.passed"
    return [_event(kind, identity, message, data, moment(inner.get("picTime"), camera.zone))]


def _both(words: Mapping[int, str]) -> dict[int | str, str]:
    """Codes come as numbers and as texts."""
    return {spelled: word for code, word in words.items() for spelled in (code, str(code))}


class _Coded(NamedTuple):
    """A field of a capture that holds a code."""

    name: Literal["plate_color", "plate_type", "color", "type", "list", "trigger", "shot_from"]
    """In `data.vehicle`."""
    key: str
    words: dict[int | str, str]


_VEHICLE: Final = (
    _Coded("plate_color", "plateColor", _both(codes.COLORS)),
    _Coded("plate_type", "plateType", _both(codes.PLATE_TYPES)),
    _Coded("color", "vehicleColor", _both(codes.COLORS)),
    _Coded("type", "vehicleType", _both(codes.VEHICLE_TYPES)),
    _Coded("list", "carListType", _both(codes.LISTS)),
    _Coded("trigger", "captureMode", _both(codes.CAPTURE_MODES)),
    _Coded("shot_from", "shootPosition", _both(codes.POSITIONS)),
)


def _vehicle(inner: Mapping[str, Any], camera: Camera) -> Vehicle:
    found: Vehicle = {}
    if (seen := plate(inner.get("plateNo"))) is not None:
        found["plate"] = seen
    if (sure := written(inner.get("confidence"))) is not None:
        found["confidence"] = sure
    for name, key, words in _VEHICLE:
        value = inner.get(key)
        if value is None or value == "":
            continue
        word = words.get(value) if type(value) is int or type(value) is str else None
        if word is None:
            code = whole(value)  # "01", 1.0
            word = words.get(code) if code is not None else None
        if word is None:
            word = text(value)  # an unknown value stays as it came
        if word is not None:
            found[name] = word
    # The document has no table of logos, so that vehicleLogoType ("A0") names no brand; vehicleBrandType does.
    brand = text(inner.get("vehicleBrandType"))
    if brand is not None and not _CODE.fullmatch(brand) and brand.casefold() not in _NO_PLATE:
        found["brand"] = brand
    if camera.direction is not None:
        found["direction"] = camera.direction
    return found


def _manual_result(message: Message, camera: Camera, media: list[Medium], identity: str) -> list[Event]:
    """Report Manual Capture Results: what was captured, where there is something, and what became of the command."""
    found = _captured(message, camera, media, identity) if message.inner else []
    if found:  # the raw, with its pictures, stands with the capture
        return [*found, *_result(message, camera, [], identity, raw=False)]
    return _result(message, camera, [], identity)


def _result(message: Message, camera: Camera, media: list[Medium], identity: str, *, raw: bool = True) -> list[Event]:
    """Report … Results, of commands that the platform sent over MQTT or in an answer to a keep-alive."""
    code = message.whole.get("code")
    number_ = whole(code)
    status = codes.STATUSES.get(number_) if number_ is not None else None
    data = _data(message, camera, severity="info" if number_ in (codes.SUCCESS, None) else "notice")
    reason = text(message.whole.get("message"))
    if command := group(Command(request_id=message.request, status=status or text(code), reason=reason)):
        data["command"] = command
    if raw:
        data["raw"] = message.whole
    return [_event("command.result", f"{content_id(message)}/result", message, data, None)]


def _transchannel(message: Message, camera: Camera, media: list[Medium], identity: str) -> list[Event]:
    """Upstream Transparent Channel: the bytes that a peripheral sent."""
    data = _data(message, camera)
    sent = message.inner.get("data")
    if type(sent) is int:
        sent = str(sent)  # digits alone lose their quotes on some firmware
    if type(sent) is str and sent:
        content = serial_bytes(sent, whole(message.inner.get("size")))
        payload: Payload = {"hex": content.hex(), "bytes": len(content)}
        if content.isascii() and (printed := content.decode("ascii")).isprintable():
            payload["text"] = printed
        data["payload"] = payload
    data["raw"] = message.whole
    return [_event("device.message", identity, message, data, None)]


def serial_bytes(sent: str, size: int | None) -> bytes:
    """The bytes of a peripheral's `data`: characters, unless only another form of it has `size` bytes.

    "77aa77aa" is eight characters or four bytes, and nothing but the size says which (Upstream Transparent Channel).
    """
    content = sent.encode("utf-8", "replace")
    if size is None or size == len(content):
        return content
    if _HEX.fullmatch(sent) and len(found := bytes.fromhex(_APART.sub("", sent))) == size:
        return found
    try:
        found = base64.b64decode("".join(sent.split()), validate=True)
    except (binascii.Error, ValueError):
        return content
    return found if len(found) == size else content


def _message(message: Message, camera: Camera, media: list[Medium], identity: str) -> list[Event]:
    """Any other path under /api/upark/, kept whole."""
    data = _data(message, camera)
    if media:
        data["media"] = media
    data["raw"] = message.whole
    time = next((message.inner[key] for key in ("picTime", "alarmTime", "time") if key in message.inner), None)
    return [_event("device.message", identity, message, data, moment(time, camera.zone))]


_Maker = Callable[[Message, Camera, list[Medium], str], list[Event]]
_MAKERS: Final[dict[str, _Maker]] = {
    "capture": _captured,
    "notifyresult/manualcapture/common": _manual_result,
    "transchannel": _transchannel,
}


def media_entry(picture: Picture, facts: Medium) -> Medium:
    """A picture's entry in `data.media`; `facts` is what became of it (mime, bytes, sha256, path, state)."""
    entry: Medium = {"id": picture.id, "kind": picture.kind}
    if picture.url is not None:
        entry["url"] = picture.url
    entry.update(facts)
    return entry


# --- values ---------------------------------------------------------------------------------------------------------


def plate(value: Any) -> str | None:
    """A plate without the spaces and braces that some firmware dresses it in; None for "Unknown" and its like."""
    found = text(value)
    if found is None:
        return None
    if not found.isprintable():
        found = "".join(letter for letter in found if letter.isprintable())
    found = _DRESS.sub("", found)
    return None if found.casefold() in _NO_PLATE else found


def moment(value: Any, zone: tzinfo) -> datetime | None:
    """A time as cameras write it, in `zone` where it has no offset; None for what cannot be."""
    if type(value) is str:
        value = value.strip()
        return _written(value, zone) if len(value) <= BOUNDS["time"] else None
    count = written(value)
    if count is None:
        return None
    try:
        found = datetime.fromtimestamp(count / 1000 if abs(count) > 1e11 else count, UTC)
    except (OverflowError, OSError, ValueError):
        return None
    return found if _EARLIEST <= found.year < _LATEST else None


@lru_cache(1024)
def _written(value: str, zone: tzinfo) -> datetime | None:
    """Captures of one second share their time."""
    if value.isdecimal():
        return moment(int(value), zone) if len(value) in (10, 13) else None
    try:
        found = datetime.fromisoformat(value.replace("/", "-"))
    except ValueError:
        return None
    if not _EARLIEST <= found.year < _LATEST:
        return None
    return found if found.tzinfo is not None else found.replace(tzinfo=zone).astimezone(UTC)
