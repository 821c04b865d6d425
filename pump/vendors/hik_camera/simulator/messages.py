"""Made-up messages of a device, in the vendor's shapes. The same seed makes the same messages."""

from __future__ import annotations

import random
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Final, Literal
from xml.sax.saxutils import escape

import orjson

from pump.core.clock import Clock
from pump.simulation.pictures import picture as drawn
from pump.vendors.hik_camera.simulator.quirks import Quirks, dress

Kind = Literal["anpr", "access", "line", "motion", "io", "pir", "temperature", "counting", "disk", "unknown", "panel"]
PULSES: Final[tuple[Kind, ...]] = ("anpr", "access", "counting", "unknown")
BURSTS: Final[tuple[Kind, ...]] = ("line", "motion", "io", "pir", "temperature", "disk")
PAIRS: Final[tuple[Kind, ...]] = ("panel",)
"""What an alarm panel tells: triggered, and restored."""

_TYPES: Final[dict[str, tuple[str, str]]] = {
    "line": ("linedetection", "line crossing alarm"), "motion": ("VMD", "Motion alarm"), "io": ("IO", "IO alarm"),
    "pir": ("PIR", "PIR alarm"), "temperature": ("TMA", "Thermometry alarm"), "disk": ("diskfull", "Disk full"),
    "counting": ("PeopleCounting", "People counting"), "unknown": ("gooseDetection", "Goose detection"),
    "anpr": ("ANPR", "ANPR"),
}  # fmt: skip
_GRANTS: Final = ((5, 75), (5, 1), (5, 38), (5, 76), (5, 9), (5, 21))
_SEEN: Final[tuple[Kind, ...]] = ("line", "motion")
"""What a camera's picture shows."""
_PICTURES: Final = "http://192.0.2.10/picture/"


@dataclass(frozen=True)
class Message:
    """One document and its pictures, as the device sends them."""

    number: int
    """Its running number; `identity` finds it in the event."""
    kind: str
    content_type: str
    body: bytes
    pictures: tuple[bytes, ...] = ()
    state: str = "active"


@dataclass
class Records:
    """The device's side: counts, times and bytes."""

    clock: Clock
    quirks: Quirks
    seed: int = 0
    numbers: int = 0
    pictures_at: str = _PICTURES
    """Begins the addresses of pictures."""
    _rng: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self._rng = random.Random(self.seed)

    def make(self, kind: Kind, *, repeats: int = 1) -> list[Message]:
        """The messages of one matter: of what lasts `repeats` active ones and the inactive one, of a panel's zone the
        alarm, its second report and its end, else a single one."""
        if kind == "panel":
            zone = self._rng.randrange(1, 9)
            alarm = self._next(), self._time()
            first, second = (self._panel(1103, zone, *alarm, again=again) for again in (False, True))
            return [first, second, self._panel(3103, zone)]
        if kind in BURSTS:
            region = self._rng.randrange(1, 4)
            seen = self.quirks.duration and kind in _SEEN
            active = [
                self._duration(kind) if seen and count > 1 else self._alert(kind, "active", count, region)
                for count in range(1, repeats + 1)
            ]
            return [*active, self._alert(kind, "inactive", 0, region)]
        if kind == "anpr" and self.quirks.record != "once":
            return self._twice()
        return [self._access() if kind == "access" else self._alert(kind, "active", 1, 1)]

    def heartbeat(self) -> Message | None:
        """What the device sends while nothing happens."""
        match self.quirks.heartbeat:
            case "none":
                return None
            case "videoloss":
                return self._xml("videoloss", "videoloss alarm", "inactive", 0, "", number=-1)
            case "cidEvent":
                body = {"eventType": "cidEvent", "eventState": "inactive", "dateTime": self._time(), "CIDEvent": {}}
                return self._json(-1, "heartbeat", body, state="inactive")
            case word:
                return self._xml(word, "heartbeat", "active" if word == "heartBeat" else "inactive", 1, "", number=-1)

    def _twice(self) -> list[Message]:
        """One plate's record in two messages, under one UUID."""
        number = self._next()
        plate, rest = self._anpr(number)
        record = f"<UUID>{uuid.UUID(int=number)}</UUID><ANPR>{plate}"
        if self.quirks.record == "again":
            inside = f"{record}{rest}</ANPR><isDataRetransmission>{{}}</isDataRetransmission>"
            both = [(inside.format("false"), True), (inside.format("true"), True)]
        else:
            both = [
                (f"{record}</ANPR><hasMoreData>true</hasMoreData>", False),
                (f"{record}{rest}</ANPR><hasMoreData>false</hasMoreData>", True),
            ]
        pictures = (self._picture(), self._picture())
        return [
            self._xml("ANPR", "ANPR", "active", 1, one, number=number, kind="anpr", pictures=pictures if all_ else ())
            for one, all_ in both
        ]

    def _duration(self, kind: Kind) -> Message:
        """What was seen goes on."""
        number = self._next()
        inside = f"<DurationList><Duration><relationEvent>{_TYPES[kind][0]}</relationEvent></Duration></DurationList>"
        return self._xml("duration", "duration alarm", "active", 1, inside, number=number, kind=kind)

    def _anpr(self, number: int) -> tuple[str, str]:
        """What is in ANPR: the plate, and the rest."""
        names = ("licensePlatePicture.jpg", "detectionPicture.jpg")
        infos = [
            f"<fileName>{name}</fileName>"
            + (f"<pictureURL>{_PICTURES}{number}/{name}</pictureURL>" if self.quirks.pictures_by_address else "")
            for name in names
        ]
        plate = (
            f"<country>7</country><licensePlate>{self._plate()}</licensePlate><line>1</line>"
            f"<direction>forward</direction><confidenceLevel>{self._rng.randrange(60, 100)}</confidenceLevel>"
        )
        return plate, (
            "<plateType>unknown</plateType><plateColor>white</plateColor><vehicleType>SUVMPV</vehicleType>"
            "<vehicleInfo><color>black</color><speed>23</speed></vehicleInfo>"
            "<vehicleListName>allowList</vehicleListName>"
            f"<pictureInfoList>{''.join(f'<pictureInfo>{info}</pictureInfo>' for info in infos)}</pictureInfoList>"
        )

    def _alert(self, kind: Kind, state: str, count: int, region: int) -> Message:
        code, description = _TYPES[kind]
        number = self._next()
        serial = f"<serialNo>{number}</serialNo>" if self.quirks.serial_numbers else ""
        inside = f"{serial}<UUID>{number}</UUID>" if kind not in BURSTS else serial
        pictures: tuple[bytes, ...] = ()
        match kind:
            case "anpr":
                pictures = (self._picture(), self._picture())
                inside += f"<ANPR>{''.join(self._anpr(number))}</ANPR>"
            case "line" | "motion" | "temperature":
                inside += (
                    f"<DetectionRegionList><DetectionRegionEntry><regionID>{region}</regionID>"
                    f"<sensitivityLevel>50</sensitivityLevel></DetectionRegionEntry></DetectionRegionList>"
                )
                if kind == "temperature":
                    inside += (
                        "<TMA><currTemperature>81.5</currTemperature><thermometryUnit>celsius</thermometryUnit></TMA>"
                    )
            case "io":
                inside += f"<inputIOPortID>{region}</inputIOPortID>"
            case "counting":
                inside += (
                    "<peopleCounting><statisticalMethods>realTime</statisticalMethods>"
                    f"<enter>{number}</enter><exit>{number // 2}</exit></peopleCounting>"
                )
            case _:
                pass
        if self.quirks.pictures_by_address and kind in _SEEN and state == "active":
            inside += (
                "<detectionPictureTransType>url</detectionPictureTransType>"
                f"<detectionPicturesNumber>1</detectionPicturesNumber><bkgUrl>{self.pictures_at}{number}.jpg</bkgUrl>"
            )
        return self._xml(code, description, state, count, inside, number=number, kind=kind, pictures=pictures)

    def _xml(
        self, code: str, description: str, state: str, count: int, inside: str, *, number: int, kind: str = "heartbeat",
        pictures: tuple[bytes, ...] = (),
    ) -> Message:  # fmt: skip
        channel = 33 if self.quirks.recorder else 1
        if self.quirks.pictures_by_address:
            pictures = ()
        if self.quirks.marks:
            inside += "<isDataRetransmission>false</isDataRetransmission>"
        xml = (
            "<EventNotificationAlert><ipAddress>192.0.2.10</ipAddress><portNo>80</portNo><protocol>HTTP</protocol>"
            f"<macAddress>00:00:5e:00:53:01</macAddress><channelID>{channel}</channelID>"
            f"<dateTime>{self._time()}</dateTime><activePostCount>{count}</activePostCount>"
            f"<eventType>{code}</eventType><eventState>{state}</eventState>"
            f"<eventDescription>{escape(description)}</eventDescription>{inside}</EventNotificationAlert>"
        )
        body = ('<?xml version="1.0" encoding="UTF-8"?>\r\n' + dress(self.quirks, number, xml)).encode()
        return Message(number, kind, 'application/xml; charset="UTF-8"', body, pictures, state)

    def _access(self) -> Message:
        number = self._next()
        major, minor = self._rng.choice(_GRANTS)
        event: dict[str, Any] = {
            "deviceName": "Door 1", "majorEventType": major, "subEventType": minor, "name": "Ada Lovelace",
            "cardReaderNo": 1, "doorNo": 1, "employeeNoString": "17", "userType": "normal", "UUID": number,
            "currentVerifyMode": "cardOrFaceOrFp", "currentEvent": True, "attendanceStatus": "checkIn", "mask": "no",
            "picturesNumber": 1,
        }  # fmt: skip
        if self.quirks.serial_numbers:
            event["serialNo"] = number
        if self.quirks.pictures_by_address:
            event["pictureURL"] = f"{self.pictures_at}{number}.jpeg@WEB{number:012}"
        body = {
            "ipAddress": "192.0.2.11", "portNo": 80, "protocol": "HTTP", "macAddress": "00:00:5e:00:53:02",
            "channelID": 1, "dateTime": self._time(), "activePostCount": 1, "eventType": "AccessControllerEvent",
            "eventState": "active", "eventDescription": "Access Controller Event", "AccessControllerEvent": event,
        }  # fmt: skip
        return self._json(number, "access", body, (self._picture(),))

    def _json(
        self, number: int, kind: str, body: dict[str, Any], pictures: tuple[bytes, ...] = (), state: str = "active"
    ) -> Message:
        if self.quirks.marks:
            body["isDataRetransmission"] = False
        if self.quirks.pictures_by_address:
            pictures = ()
        return Message(number, kind, "application/json", orjson.dumps(body), pictures, state)

    def _panel(
        self, code: int, zone: int, alarm: int | None = None, at: str | None = None, *, again: bool = False
    ) -> Message:
        """`alarm` and `at` are an alarm's number and time: its second report has the alarm's UUID and time."""
        number = self._next() if alarm is None or again else alarm
        time = at or self._time()
        more = {"uuid": str(uuid.UUID(int=alarm or number)), "recheck": int(again)}
        more |= {"videoURL": f"http://192.0.2.11/clips/{number}.mp4"} if again else {}
        body = {
            "ipAddress": "192.0.2.11", "portNo": 80, "protocol": "HTTP", "macAddress": "00:00:5e:00:53:02",
            "channelID": 1, "dateTime": time, "activePostCount": 1, "eventType": "cidEvent", "eventState": "active",
            "eventDescription": "CID event", **more,
            "CIDEvent": {
                "code": code, "standardCIDcode": code // 1000 * 1000 + 130, "type": "zoneAlarm", "trigger": time,
                "upload": time, "system": 1, "zone": zone, "UUID": number,
            },
        }  # fmt: skip
        return self._json(number, "panel", body)

    def _next(self) -> int:
        self.numbers += 1
        return self.numbers

    def _plate(self) -> str:
        return "".join(self._rng.choices("ABCDEFGHKLMNPRSTUVWXYZ", k=2)) + f"{self._rng.randrange(10_000):04}"

    def _picture(self) -> bytes:
        noise = self._rng.randbytes(self._rng.randrange(500, 2000))
        return drawn(noise[0], bytes(7) + noise)

    def now(self) -> datetime:
        """The device's time: a second more for each message, so that two of one content are never one."""
        return datetime.fromtimestamp(int(self.clock.now().timestamp()) + self.numbers, UTC)

    def _time(self) -> str:
        now = self.now()
        match self.quirks.time:
            case "short offset":
                return now.astimezone(timezone(timedelta(hours=-6))).strftime("%Y-%m-%dT%H:%M:%S-6:00")
            case "no sign":
                return now.strftime("%Y-%m-%dT%H:%M:%S00:00")
            case "local":
                return now.strftime("%Y-%m-%dT%H:%M:%S")
            case "1970":
                return "1970-01-01T00:00:17+00:00"
            case _:
                return now.isoformat()


def identity(raw: Any) -> int | None:
    """The running number that a message carries, read from an event's `data.raw`."""
    for inner in (raw, raw.get("AccessControllerEvent"), raw.get("CIDEvent"), raw.get("EventNotificationAlert")):
        if isinstance(inner, dict):
            for name in ("UUID", "serialNo"):
                if inner.get(name) is not None:
                    text = str(inner[name])
                    return int(text) if text.isdigit() else uuid.UUID(text).int
    return None
