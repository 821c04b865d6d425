"""Made-up messages of the three queues, as the vendor's document shapes them (A.3.20, A.3.60, A.3.91, A.1.5).

`Traffic.make` builds them deterministically from a seed. Every record carries a running number of its queue in its
`systemId`: one letter for the queue, 7 hexadecimal digits of the seed, 24 decimal digits. The real one names the
tenant and says nothing else, so no reader may need it, and it stands in the raw record wherever that is kept.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from random import Random
from typing import Any, Final, Literal

import orjson

from pump.core.clock import Clock
from pump.vendors.hik_connect.simulator.account import QueueName
from pump.vendors.hik_connect.simulator.message_parts import Parts, Source
from pump.vendors.hik_connect.simulator.message_records import Records
from pump.vendors.hik_connect.simulator.quirks import Quirks

Record = Any  # a JSON value, or bytes that hold one
Kind = Literal[
    "mix",
    "camera",  # an alarm of a camera with its picture
    "anpr",  # a plate of the block or allow list
    "access",  # a person at a door
    "gps",  # a vehicle's position
    "driving",  # an on-board alarm with position and driver
    "leaving queue",  # somebody left a queue after waiting
    "intercom",  # a door station calls, is answered or hung up
    "matter",  # start, confirmation, mark and end of one alarm; in combine a pair of codes
    "pulse",  # one guid several times, each a pulse
    "second upload",  # a record, and the same again with its files
    "plate picture later",  # a plate, and the same again with its picture
    "link later",  # a file without its link, and the same again with it
    "attachment later",  # a person at a door, and the same again marked as an update, with a picture
    "snapshot later",  # a person at a door, and the same again with a snapshot, marked as nothing
    "marks",  # an alarm or a pulse, its confirmation, and marked, unmarked, marked again
    "late",  # kept by the device while it was offline
    "maintenance",  # a device's own trouble
]

_LETTERS: Final[dict[str, str]] = {"alarm": "a", "combine": "c", "rawmsg": "r"}
_CAMERA_CODES: Final = ("10002", "10100", "10101", "10102", "10103", "10019", "10635", "10001")
_DRIVING_CODES: Final = ("11009", "11012", "11013", "11014", "100359", "100361", "100364", "100368")
_DRIVING_MESSAGES: Final = ("Msg330502", "Msg330201", "Msg330301", "Msg330501", "Msg330506", "Msg335000")
_ACCESS_CODES: Final = ("80001", "80093", "80032", "80027", "80029", "80036")
_ACCESS_MESSAGES: Final = ("Msg110003", "Msg110013", "Msg110005", "Msg110514", "Msg110515", "Msg110007")
_PAIRS: Final = (("50101", "50120"), ("10057", "10056"), ("50000", "20008"), ("100302", "100303"))
_TROUBLES: Final = ("70204", "70203", "20003", "50002", "70302", "70200")


class Traffic:
    """A source of records. `server` is the host that links name when the quirks want the server's own."""

    def __init__(self, clock: Clock, quirks: Quirks, seed: int = 0) -> None:
        self.seed = seed
        self._random = Random()
        self._parts = Records(clock, quirks, self._random)
        self._text_numbers = quirks.numbers == "text"
        self._occasions: Counter[str] = Counter()
        self._numbers: Counter[str] = Counter()
        self._left: defaultdict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)

    @property
    def parts(self) -> Parts:
        """The maker of links, among others."""
        return self._parts

    @property
    def server(self) -> str:
        """scheme://host of the server."""
        return self._parts.server

    @server.setter
    def server(self, url: str) -> None:
        self._parts.server = url

    def make(self, queue: QueueName, n: int, kind: Kind = "mix") -> list[dict[str, Any]]:
        """`n` records. Some kinds make several of one matter; what is over is the beginning of the next call's.

        Raises KeyError for a kind that the queue does not have (`KINDS`).
        """
        builders = KINDS[queue]
        if kind != "mix":
            builders[kind]
        made = self._left[queue, kind]
        while len(made) < n:
            # Each occasion has its own seed, so that quirks change the spelling of a record and nothing else.
            self._occasions[queue] += 1
            self._random.seed(self.seed << 64 | ord(_LETTERS[queue]) << 48 | self._occasions[queue])
            name = self._random.choices(*MIXES[queue])[0] if kind == "mix" else kind
            made.extend(builders[name](self))
        self._left[queue, kind] = made[n:]
        numbered = [self._number(queue, record) for record in made[:n]]
        return [_texts(record) for record in numbered] if self._text_numbers else numbered

    def _number(self, queue: QueueName, record: dict[str, Any]) -> dict[str, Any]:
        """Numbers are given on the way out, so that they run in the order of the queue."""
        self._numbers[queue] += 1
        holder = record if queue == "alarm" else record["basicInfo"]
        holder["systemId"] = f"{_LETTERS[queue]}{self.seed & 0xFFFFFFF:07x}{self._numbers[queue]:024d}"
        return record

    # -- alarm queue ---------------------------------------------------------------------------------------------

    def _alarm_camera(self) -> list[dict[str, Any]]:
        parts, source = self._parts, self._parts.source("camera")
        return [parts.alarm(self._random.choice(_CAMERA_CODES), source, files=[parts.picture(source)])]

    def _alarm_anpr(self) -> list[dict[str, Any]]:
        parts, source = self._parts, self._parts.source("camera")
        block = self._random.random() < 0.5
        anpr = parts.anpr(source, block=block)
        return [parts.alarm("10500" if block else "10501", source, anprinfo=anpr, files=[parts.picture(source)])]

    def _alarm_leaving(self) -> list[dict[str, Any]]:
        parts = self._parts
        return [parts.alarm("100657", parts.source("camera"), queueRelatedInfo={"queueInfo": parts.left_queue()})]

    def _alarm_driving(self) -> list[dict[str, Any]]:
        parts, source = self._parts, self._parts.source("vehicle")
        code = self._random.choice(_DRIVING_CODES)
        return [parts.alarm(code, source, vehicleRelatedInfo=parts.vehicle(source), pulse=True)]

    def _alarm_matter(self) -> list[dict[str, Any]]:
        parts, source = self._parts, self._parts.source("camera")
        start = parts.alarm("10103", source, files=[parts.picture(source)])
        seconds = self._random.randint(5, 120)
        return [
            start,
            parts.again(start, msgType="2", affirmedState="1"),
            parts.again(start, msgType="3", affirmedState="1", markState="1"),
            parts.ended(parts.again(start, msgType="0", alarmState="0", affirmedState="1", markState="1"), seconds),
        ]

    def _alarm_pulse(self) -> list[dict[str, Any]]:
        parts, source = self._parts, self._parts.source("panel")
        first = parts.alarm("70204", source, pulse=True)
        return [first, *(parts.moved(parts.again(first), 10 * turn) for turn in (1, 2))]

    def _alarm_second_upload(self) -> list[dict[str, Any]]:
        parts, source = self._parts, self._parts.source("camera")
        first = parts.alarm("10002", source, files=[parts.picture(source, saved=False)])
        return [first, parts.again(first, fileInfo=parts.files([parts.picture(source), parts.video(source)], "alarm"))]

    def _alarm_plate(self) -> list[dict[str, Any]]:
        parts, source = self._parts, self._parts.source("camera")
        anpr = parts.anpr(source, block=True)
        first = parts.alarm("10500", source, anprinfo=anpr | {"pictureInfo": []}, files=[parts.picture(source)])
        return [first, parts.again(first, anprinfo=anpr)]

    def _alarm_link(self) -> list[dict[str, Any]]:
        parts, source = self._parts, self._parts.source("camera")
        file = parts.picture(source)
        first = parts.alarm("10103", source, files=[file | {"url": ""}])
        return [first, parts.again(first, fileInfo=parts.files([file], "alarm"))]

    def _alarm_marks(self) -> list[dict[str, Any]]:
        parts, source = self._parts, self._parts.source("camera")
        first = parts.alarm("10103", source, files=[parts.picture(source)], pulse=self._random.random() < 0.5)
        confirmed = parts.again(first, msgType="2", affirmedState="1")
        return [first, confirmed, *(parts.again(confirmed, msgType="3", markState=state) for state in "101")]

    def _alarm_late(self) -> list[dict[str, Any]]:
        parts, source = self._parts, self._parts.source("camera")
        return [parts.alarm("10002", source, files=[parts.picture(source)], late=True)]

    def _alarm_maintenance(self) -> list[dict[str, Any]]:
        parts = self._parts
        return [parts.alarm(self._random.choice(_TROUBLES), parts.source("panel"))]

    # -- combine queue -------------------------------------------------------------------------------------------

    def _combine_camera(self) -> list[dict[str, Any]]:
        parts, source = self._parts, self._parts.source("camera")
        return [parts.combine(self._random.choice(_CAMERA_CODES), source, files=[parts.picture(source)])]

    def _combine_anpr(self) -> list[dict[str, Any]]:
        parts, source = self._parts, self._parts.source("camera")
        block = self._random.random() < 0.5
        anpr = parts.anpr(source, block=block)
        return [parts.combine("10500" if block else "10501", source, anprinfo=anpr, files=[parts.picture(source)])]

    def _combine_access(self) -> list[dict[str, Any]]:
        parts, source = self._parts, self._parts.source("door")
        return [parts.combine(self._random.choice(_ACCESS_CODES), source, files=[parts.picture(source)])]

    def _combine_gps(self) -> list[dict[str, Any]]:
        parts, source = self._parts, self._parts.source("vehicle")
        return [parts.combine("330001", source, vehicle=parts.vehicle(source))]

    def _combine_driving(self) -> list[dict[str, Any]]:
        parts, source = self._parts, self._parts.source("vehicle")
        code = self._random.choice(_DRIVING_CODES)
        return [parts.combine(code, source, vehicle=parts.vehicle(source), files=[])]

    def _combine_leaving(self) -> list[dict[str, Any]]:
        parts = self._parts
        return [parts.combine("100657", parts.source("camera"), left_queue=parts.left_queue())]

    def _combine_intercom(self) -> list[dict[str, Any]]:
        parts, source = self._parts, self._parts.source("intercom")
        return [parts.combine("140001", source, deviceTalkInfo=call) for call in parts.calls(source)]

    def _combine_pair(self) -> list[dict[str, Any]]:
        parts, source = self._parts, self._parts.source("panel")
        return [parts.combine(code, source) for code in self._random.choice(_PAIRS)]

    def _combine_second_upload(self) -> list[dict[str, Any]]:
        parts, source = self._parts, self._parts.source("camera")
        first = parts.combine("10002", source, files=[parts.picture(source, saved=False)])
        second = parts.combine("10002", source, files=[parts.picture(source), parts.video(source)])
        second["eventId"] = first["eventId"]
        second["basicInfo"] = first["basicInfo"] | {}
        return [first, second]

    def _combine_plate(self) -> list[dict[str, Any]]:
        parts, source = self._parts, self._parts.source("camera")
        anpr = parts.anpr(source, block=True)
        first = parts.combine("10500", source, anprinfo=anpr | {"pictureInfo": []}, files=[parts.picture(source)])
        return [first, self._with(first, anprinfo=anpr)]

    def _combine_link(self) -> list[dict[str, Any]]:
        parts, source = self._parts, self._parts.source("camera")
        file = parts.picture(source)
        first = parts.combine("10103", source, files=[file | {"url": ""}])
        return [first, self._with(first, fileInfo=parts.files([file], "combine"))]

    def _with(self, event: dict[str, Any], **data: Any) -> dict[str, Any]:
        """A CombineEvent again, with other data."""
        name = self._parts.quirks.combine_data
        return event | {"basicInfo": event["basicInfo"] | {}, name: event[name] | data}

    def _combine_late(self) -> list[dict[str, Any]]:
        parts, source = self._parts, self._parts.source("camera")
        return [parts.combine("10002", source, files=[parts.picture(source)], late=True)]

    def _combine_maintenance(self) -> list[dict[str, Any]]:
        parts = self._parts
        return [parts.combine(self._random.choice(_TROUBLES), parts.source("panel"))]

    # -- rawmsg queue --------------------------------------------------------------------------------------------

    def _rawmsg_gps(self) -> list[dict[str, Any]]:
        parts, source = self._parts, self._parts.source("vehicle")
        return [parts.rawmsg("Msg330001", source, {"vehicleRelatedInfo": parts.vehicle(source)})]

    def _on_board(self, source: Source) -> dict[str, Any]:
        parts = self._parts
        record = parts.rawmsg(
            self._random.choice(_DRIVING_MESSAGES), source, {"vehicleRelatedInfo": parts.vehicle(source)}
        )
        return record | {"picture": [], "video": [], "uuid": parts.id(), "update": False}

    def _rawmsg_driving(self) -> list[dict[str, Any]]:
        return [self._on_board(self._parts.source("vehicle"))]

    def _rawmsg_second_upload(self) -> list[dict[str, Any]]:
        parts, source = self._parts, self._parts.source("vehicle")
        first = self._on_board(source)
        files = {"picture": [{"url": parts.link(source)}], "video": [{"url": parts.link(source)}]}
        return [first, first | files | {"basicInfo": first["basicInfo"] | {}, "update": True}]

    def _rawmsg_access(self) -> list[dict[str, Any]]:
        return [self._parts.access(self._random.choice(_ACCESS_MESSAGES), self._parts.source("door"))]

    def _rawmsg_attachment(self) -> list[dict[str, Any]]:
        parts, source = self._parts, self._parts.source("door")
        first = parts.access(self._random.choice(_ACCESS_MESSAGES), source)
        later = {"picture": [{"url": parts.link(source)}], "update": True}
        return [first, first | later | {"basicInfo": first["basicInfo"] | {}}]

    def _rawmsg_snapshot(self) -> list[dict[str, Any]]:
        parts, source = self._parts, self._parts.source("door")
        first = parts.access(self._random.choice(_ACCESS_MESSAGES), source)
        event = first["data"]["openDoorInfo"]["event"]
        snapshots = {"acsSnapPicList": [{"snapPicUrl": parts.link(source), "snapPicType": 0}]}
        later = event | {"intelliInfo": event.get("intelliInfo", {}) | snapshots}
        return [first, {"basicInfo": first["basicInfo"] | {}, "data": {"openDoorInfo": {"event": later}}}]

    def _rawmsg_late(self) -> list[dict[str, Any]]:
        return [self._parts.access("Msg110003", self._parts.source("door"), late=True)]

    def _rawmsg_intercom(self) -> list[dict[str, Any]]:
        parts, source = self._parts, self._parts.source("intercom")
        return [parts.rawmsg("Msg140001", source, {"deviceTalkInfo": call}) for call in parts.calls(source)]


KINDS: Final = {
    "alarm": {
        "camera": Traffic._alarm_camera,
        "anpr": Traffic._alarm_anpr,
        "leaving queue": Traffic._alarm_leaving,
        "driving": Traffic._alarm_driving,
        "matter": Traffic._alarm_matter,
        "pulse": Traffic._alarm_pulse,
        "second upload": Traffic._alarm_second_upload,
        "plate picture later": Traffic._alarm_plate,
        "link later": Traffic._alarm_link,
        "marks": Traffic._alarm_marks,
        "late": Traffic._alarm_late,
        "maintenance": Traffic._alarm_maintenance,
    },
    "combine": {
        "camera": Traffic._combine_camera,
        "anpr": Traffic._combine_anpr,
        "access": Traffic._combine_access,
        "gps": Traffic._combine_gps,
        "driving": Traffic._combine_driving,
        "leaving queue": Traffic._combine_leaving,
        "intercom": Traffic._combine_intercom,
        "matter": Traffic._combine_pair,
        "second upload": Traffic._combine_second_upload,
        "plate picture later": Traffic._combine_plate,
        "link later": Traffic._combine_link,
        "late": Traffic._combine_late,
        "maintenance": Traffic._combine_maintenance,
    },
    "rawmsg": {
        "access": Traffic._rawmsg_access,
        "gps": Traffic._rawmsg_gps,
        "driving": Traffic._rawmsg_driving,
        "intercom": Traffic._rawmsg_intercom,
        "second upload": Traffic._rawmsg_second_upload,
        "attachment later": Traffic._rawmsg_attachment,
        "snapshot later": Traffic._rawmsg_snapshot,
        "late": Traffic._rawmsg_late,
    },
}

# How often each kind occurs on a site with cameras, doors and a few vehicles.
_WEIGHTS: Final = {"camera": 30, "anpr": 20, "access": 20, "gps": 15, "driving": 5}
MIXES: Final = {queue: (list(kinds), [_WEIGHTS.get(kind, 2) for kind in kinds]) for queue, kinds in KINDS.items()}


def identity(record: Record) -> str:
    """The record's `systemId`, under which the account lists it; where it has none, its content's digest."""
    if isinstance(record, dict):
        basic = record.get("basicInfo")
        found = record.get("systemId") or (basic.get("systemId") if isinstance(basic, dict) else None)
        if isinstance(found, str) and found:
            return found
    body = record if isinstance(record, bytes) else orjson.dumps(record)
    return "x" + hashlib.blake2b(body, digest_size=15).hexdigest() + "x"


def number(identity: str) -> int:
    """The running number within its queue, from 1. Raises ValueError for an identity that has none."""
    if len(identity) != 32 or identity[0] not in "acr":
        raise ValueError(f"not a made-up record's identity: {identity}")
    return int(identity[8:])


def matter(queue: QueueName, record: Record) -> tuple[str, str] | None:
    """The identity of the matter that a record speaks of, and "upload", or "mark" for a confirmation or a mark.

    Two uploads of one matter are a first and a second one. None for a record that no other can belong to.
    """
    if not isinstance(record, dict):
        return None
    if queue == "alarm":
        guid, kind, times = record.get("guid"), str(record.get("msgType")), record.get("timeInfo")
        if not isinstance(guid, str) or not isinstance(times, dict):
            return None
        alarm = f"{guid} {times.get('startTime') or times.get('startTimeLocal')}"
        return (alarm, "mark") if kind in ("2", "3") else (f"{alarm} {kind}", "upload")
    own = record.get("eventId" if queue == "combine" else "uuid")
    if own is None and queue == "rawmsg":
        try:
            basic = record["data"]["openDoorInfo"]["event"]["basicInfo"]
            own = f"{basic['deviceSerial']} {basic['serialNo']} {basic['occurTime']}"
        except (KeyError, TypeError):
            return None
    return (str(own), "upload") if own is not None else None


def code(queue: QueueName, record: Record) -> str | None:
    """The type by which the queue's subscription selects: an alarm's or event's eventType, a message's msgType."""
    if not isinstance(record, dict):
        return None
    holder = {"alarm": record.get("eventSource"), "combine": record, "rawmsg": record.get("basicInfo")}[queue]
    if not isinstance(holder, dict):
        return None
    found = holder.get("msgType" if queue == "rawmsg" else "eventType")
    return None if found is None else str(found).replace(" ", "")


def _texts(value: Any) -> Any:
    match value:
        case dict():
            return {key: _texts(one) for key, one in value.items()}
        case list():
            return [_texts(one) for one in value]
        case bool():
            return value
        case int() | float():
            return str(value)
        case _:
            return value
