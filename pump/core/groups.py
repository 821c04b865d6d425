"""The groups of an event's `data`, as types: the one place that says which fields a group has, and of what kind.

`pump schema event` is made from them, and vendors' parsers build with them, so that mypy finds a field that no group
has. A field is None only until `group` leaves it out: absent groups and null fields are never in an event.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, TypedDict, TypeVar, cast

BOUNDS: Final = {
    "id": 128,
    "name": 256,
    "plate": 64,
    "time": 64,
    "sentence": 1024,
    "link": 4096,
    "payload": 16 << 10,
    "event": 256,
    "subject": 512,
    "key": 512,
    "state key": 1024,
    "facts": 4096,
}
"""Bytes of UTF-8 that a text from outside may have, by its kind; of a longer one the beginning stays, with a digest.

An `event` is an event's or a medium's id; a `key` is that of a row in a table, of a limiter or a cache; a `state key`
that of a piece of a source's state; `facts` are a list or an object that a device says of itself, as JSON.
"""


@dataclass(slots=True, frozen=True)
class Kind:
    """The JSON Schema of a field, beside the type that mypy reads."""

    schema: dict[str, Any]
    most: int | None = None
    """Bytes of its texts."""


def _texts(kind: str, *others: str, **more: Any) -> Kind:
    """Texts of this kind, or values of `others`."""
    most = BOUNDS[kind]
    return Kind({"type": ["string", *others] if others else "string", "minLength": 1, "maxLength": most, **more}, most)


Text = Annotated[str | None, _texts("name")]
"""A text that the pump itself makes, or takes as it is."""
Id = Annotated[str | float | None, _texts("id", "number")]
"""A name that a device or a vendor gives, so that nothing else has it."""
EventId = Annotated[str | None, _texts("event")]
Plate = Annotated[str | float | None, _texts("plate", "number")]
Word = Annotated[str | float | None, _texts("name", "number")]
"""A name, a number that counts nothing, or a word of an enumeration: an unknown value stays as it came."""
Link = Annotated[str | None, _texts("link")]
Bytes = Annotated[str | float | None, _texts("payload", "number")]
Number = Annotated[float | None, Kind({"type": "number"})]
Flag = Annotated[bool | None, Kind({"type": "boolean"})]
Time = Annotated[str | None, Kind({"type": "string", "format": "date-time"}, BOUNDS["time"])]
"""RFC 3339, in UTC."""
Value = Annotated[str | float | bool | None, Kind({"type": ["number", "string", "boolean"]}, BOUNDS["name"])]
"""The value of a measure."""
Object = Annotated[Mapping[str, Any] | None, Kind({"type": "object"})]
Count = Annotated[int | None, Kind({"type": "integer", "minimum": 0})]
Digest = Annotated[str | None, Kind({"type": "string", "pattern": "^[0-9a-f]{64}$"})]
"""SHA-256 in small hexadecimal letters."""
Latitude = Annotated[float | None, Kind({"type": "number", "minimum": -90, "maximum": 90})]
Longitude = Annotated[float | None, Kind({"type": "number", "minimum": -180, "maximum": 180})]
Heading = Annotated[float | None, Kind({"type": "number", "minimum": 0, "maximum": 360})]
Speed = Annotated[float | None, Kind({"type": "number", "minimum": 0})]


class Device(TypedDict, total=False):
    """The device that an event is of."""

    id: Id
    name: Word
    serial: Id
    category: Word
    model: Word


class Place(TypedDict, total=False):
    """The part of a site, or of a device, that an event is about."""

    lot: Word
    area: Word
    area_id: Id
    channel: Word
    zone: Word
    partition: Word
    lane: Word
    space: Word


class Vehicle(TypedDict, total=False):
    """A vehicle, as a camera or an on-board device sees it."""

    plate: Plate
    plate_color: Word
    plate_type: Word
    color: Word
    type: Word
    brand: Word
    direction: Word
    list: Word
    """The list that holds the plate: allowlist, blocklist and others."""
    trigger: Word
    """The cause of the capture."""
    shot_from: Word
    """The side of the vehicle that was captured."""
    driver: Word
    confidence: Number
    speed_limit_kmh: Number


class Parking(TypedDict, total=False):
    """A bay, as its sensor or its lock has it."""

    occupied: Flag
    locked: Flag
    fault: Flag


class Alarm(TypedDict, total=False):
    """An alarm of a panel or of a cloud."""

    zone: Word
    partition: Word
    cid: Word
    """The CIDCode, as sent."""
    user: Word
    rule: Word
    priority: Word
    mode: Word
    """The way in which a partition is armed."""
    kind: Word  # from here on a panel's CID parameters
    user_type: Word
    user_number: Word
    keypad: Word
    channel: Word
    disk: Word
    module: Word
    uuid: Id
    guid: Id
    """A cloud's own name of the alarm."""
    acknowledged: Flag
    marked: Flag
    uploaded: Time


class Access(TypedDict, total=False):
    """Somebody at a door."""

    granted: Flag
    method: Word
    person: Word
    person_id: Id
    card: Id
    door: Word
    reader: Word
    reason: Word
    attendance: Word
    mask: Word
    temperature_status: Word
    temperature_c: Number


class Position(TypedDict, total=False):
    """A position on the globe, and a movement."""

    latitude: Latitude
    longitude: Longitude
    heading_deg: Heading
    altitude_m: Number
    speed_kmh: Speed


class Power(TypedDict, total=False):
    """A battery."""

    volts: Number
    low: Flag


class Radio(TypedDict, total=False):
    """A sensor's radio and its coil."""

    rssi: Number
    coil_frequency: Number


class Queue(TypedDict, total=False):
    """People who queue."""

    region: Word
    threshold: Number
    wait_s: Number


class Measure(TypedDict, total=False):
    """One value that was measured or counted."""

    what: Word
    unit: Word
    method: Word
    value: Value
    threshold: Number


class Target(TypedDict, total=False):
    """A person or thing that a camera saw, or compared with a library."""

    kind: Word
    person: Word
    list: Word
    similarity: Number


class Intercom(TypedDict, total=False):
    """A call of an intercom."""

    call_id: Id
    room: Word
    state: Word
    call_type: Word
    user: Word
    person_id: Id


class Command(TypedDict, total=False):
    """A command to a device, and its result."""

    request_id: Id
    status: Word
    reason: Word
    verb: Word
    target: Word
    caller: Word
    """The way that it was asked on, and by whom: "socket", "token:board", "mqtt:<topic>", "nats:<subject>"."""
    key: Word
    """The caller's own name of it."""
    expires: Time
    arguments: Object
    answer: Object
    """Facts that the device answered."""
    dry_run: Flag


class Payload(TypedDict, total=False):
    """Bytes that a serial port sent."""

    hex: Bytes
    text: Bytes
    bytes: Number


class Medium(TypedDict, total=False):
    """An entry of `data.media`: a picture, a clip or another file. `id`, `kind` and `state` are always there."""

    id: EventId
    kind: Word
    mime: Text
    bytes: Count
    sha256: Digest
    path: Text
    url: Link
    expires: Time
    state: Word
    encrypted: Flag


class Groups(TypedDict, total=False):
    """The groups by their names in `data`; `media`, which is a list, stands beside them."""

    device: Device
    place: Place
    vehicle: Vehicle
    parking: Parking
    alarm: Alarm
    access: Access
    position: Position
    power: Power
    radio: Radio
    queue: Queue
    measure: Measure
    target: Target
    intercom: Intercom
    command: Command
    payload: Payload


_G = TypeVar("_G", bound=Mapping[str, object])


def group(fields: _G) -> _G | None:
    """The fields that are not None, or None where none is: absent groups and null fields are left out."""
    return cast("_G", {name: value for name, value in fields.items() if value is not None}) or None
