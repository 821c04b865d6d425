"""The pieces that made-up messages consist of, in each spelling and form that the quirks choose."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from random import Random
from typing import Any, Final, Literal

from pump.core.clock import Clock
from pump.vendors.hik_connect.simulator.quirks import Quirks

SourceKind = Literal["camera", "door", "vehicle", "panel", "intercom"]

_LATE = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Source:
    """Where a record comes from: a resource and its device. `type` as in A.1.6, `device_type` as in A.1.3."""

    id: str
    name: str
    type: str
    area: str
    area_id: str
    device: str
    serial: str
    category: str
    device_type: str
    main: str
    sub: str


def _sources(prefix: str, n: int, type_: str, category: str, device_type: str, main: str, sub: str) -> list[Source]:
    return [
        Source(
            id=f"{ord(prefix[0]):02x}{i:030x}",
            name=f"{prefix}{5218 + i} {type_} {i:02d}",
            type=type_,
            area=f"Level {i % 3}",
            area_id=f"a0{i % 3:030x}",
            device=f"d0{ord(prefix[0]):02x}{i:028x}",
            serial=f"{prefix}{57210000 + i}",
            category=category,
            device_type=device_type,
            main=main,
            sub=sub,
        )
        for i in range(1, n + 1)
    ]


_SOURCES: Final[dict[SourceKind, list[Source]]] = {
    "camera": _sources("G", 6, "camera", "2001", "encodingDevice", "alarmCategoryVideo", "alarmSubCategoryCamera"),
    "door": _sources("F", 4, "door", "2002", "accessControllerDevice", "", ""),
    "vehicle": _sources("K", 4, "vehicle", "2021", "mobileDevice", "alarmCategoryDriving", "alarmSubCategoryVehicle"),
    "panel": _sources(
        "Q", 2, "alarmDevice", "2003", "alarmDevice", "alarmCategoryAlarmDetection", "alarmSubCategoryAlarmDevice"
    ),
    "intercom": _sources("A", 2, "", "2008", "videoIntercomDevice", "", ""),
}
SITE: Final = tuple(source for sources in _SOURCES.values() for source in sources)
"""All that the site has."""
_PEOPLE: Final = (("Ada", "Noble"), ("Jean", "Martin"), ("Zoë", "Łukasz"), ("伟", "王"), ("O'Neil", "Mary"))

_SIGNED: Final = 100_000
"""Links that are remembered."""


class Parts:
    """Builds the pieces from one stream of random numbers and one clock. `server` is the host that links name when
    the quirks want the server's own."""

    def __init__(self, clock: Clock, quirks: Quirks, random: Random) -> None:
        self.server = "https://isgp.hikcentralconnect.com"
        self.signed: dict[str, float] = {}
        """When the newest links were made, by the file's number."""
        self.clock = clock
        self.quirks = quirks
        self.random = random
        self.zone = timezone(timedelta(minutes=quirks.utc_offset))

    def source(self, kind: SourceKind) -> Source:
        """One of the site's."""
        return self.random.choice(_SOURCES[kind])

    def id(self) -> str:
        """32 hexadecimal digits, never twice."""
        return f"{self.random.getrandbits(128):032x}"

    def plate(self) -> str:
        """A number plate."""
        return f"{self.random.choice('ABCDEFGH')}{self.random.randrange(10_000, 100_000)}"

    # -- times ---------------------------------------------------------------------------------------------------

    def moment(self, late: bool) -> datetime:
        """Up to two seconds ago, or an hour more; whole seconds, as the vendor writes them."""
        moment = self.clock.now() - timedelta(seconds=self.random.random() * 2)
        return (moment - _LATE if late else moment).replace(microsecond=0)

    def utc(self, moment: datetime) -> str:
        return f"{moment:%Y-%m-%dT%H:%M:%SZ}"

    def local(self, moment: datetime) -> str:
        return moment.astimezone(self.zone).isoformat(timespec="seconds")

    def alarm_times(self, name: str, moment: datetime) -> dict[str, str]:
        match self.quirks.alarm_time:
            case "twins":
                return {name: self.utc(moment), f"{name}Local": self.local(moment)}
            case "utc":
                return {name: self.utc(moment)}
            case "local":
                return {name: self.local(moment)}
            case "naive":
                return {name: f"{moment.astimezone(self.zone):%Y-%m-%dT%H:%M:%S}"}

    def rawmsg_time(self, moment: datetime) -> str:
        match self.quirks.rawmsg_time:
            case "offset":
                return self.local(moment)
            case "Z":
                return self.utc(moment)
            case "naive":
                return f"{moment.astimezone(self.zone):%Y-%m-%d %H:%M:%S}"

    # -- pieces --------------------------------------------------------------------------------------------------

    def link(self, source: Source) -> str:
        """A link that dies in 15 minutes; its `sign` is what a redelivery signs afresh."""
        host = "https://isgp.ezvizlife.com" if self.quirks.link_host == "ezvizlife" else self.server
        draw = self.random.getrandbits
        file = f"{draw(56):014x}"
        self.signed[file] = self.clock.monotonic()
        if len(self.signed) > _SIGNED:
            del self.signed[next(iter(self.signed))]
        return (
            f"{host}/v3/alarms/pic/get?fileId={file}-{source.serial}-1-10002-2-1&deviceSerialNo={source.serial}"
            f"&cn=1&isEncrypted={self.quirks.encrypted}&isCloudStored=0&ct=32&lc=7&sign={draw(64):016x}&isDevVideo=0"
        )

    def picture(self, source: Source, *, saved: bool = True) -> dict[str, Any]:
        """An AlarmFile (A.3.12) that holds a picture, or announces one."""
        return self._file(source, "1", ".jpg", saved)

    def video(self, source: Source) -> dict[str, Any]:
        """An AlarmFile that holds a video."""
        return self._file(source, "2", ".mp4", True)

    def _file(self, source: Source, type_: str, suffix: str, saved: bool) -> dict[str, Any]:
        return {
            "type": type_,
            "suffixName": suffix,
            "url": self.link(source) if saved else "",
            "saveState": "0" if saved else "1",
            "generationMode": "1",
            "encrypted": self.quirks.encrypted,
            "extendInfo": {
                "sourceID": source.id,
                "sourceName": source.name,
                "sourceType": source.type,
                "captureIndex": "1",
            },
        }

    def files(self, files: list[dict[str, Any]], queue: Literal["alarm", "combine"]) -> dict[str, Any]:
        """An AlarmFileInfo (A.3.14)."""
        link = {"document": "URL" if queue == "alarm" else "url"}.get(self.quirks.file_link, self.quirks.file_link)
        listed = [{link if key == "url" else key: value for key, value in file.items()} for file in files]
        return {"fileContent": ",".join(sorted({file["type"] for file in files})), "file": listed}

    def vehicle(self, source: Source) -> dict[str, Any]:
        """A VehicleRelatedInfo (A.3.169): speeds in cm/h, height in cm, the hemispheres apart."""
        quirks, draw = self.quirks, self.random
        east, north, longitude, latitude = (
            draw.choice("EW"),
            draw.choice("NS"),
            draw.uniform(2, 9),
            draw.uniform(43, 51),
        )
        direction, height, speed = draw.randrange(0, 360), draw.randrange(0, 200_000), draw.randrange(0, 12_000_000)
        if quirks.gps_direction == "hundredths":
            direction = direction * 100 + 361
        if quirks.gps_fix == "none":
            longitude = latitude = direction = height = speed = 0
        face = {"driverFacePic": self.link(source)}
        driver = {"driverName": " ".join(draw.choice(_PEOPLE)), "driverPhone": ""}
        licence = {"licenseNo": "D1234567", "invalidTime": "2031-01-01", "imageUrl": self.link(source)}
        vehicle: dict[str, Any] = {quirks.plate: self.plate(), "id": source.id, "speedLimit": 8_200_000}
        if quirks.driver == "inline":
            vehicle |= driver
        else:
            vehicle["driverInfos"] = [driver | face | {"licenseInfo": licence}]
        return {
            "gpsInfo": {
                "ew": east,
                quirks.longitude: f"{longitude:.6f}",
                "ns": north,
                "lat": f"{latitude:.6f}",
                "direction": direction,
                "height": height,
                "speed": speed,
            },
            "vehicleInfo": vehicle,
        }

    def left_queue(self) -> dict[str, Any]:
        """A QueueInfo (A.3.130)."""
        wait = self.random.randrange(60, 1200)
        end = self.moment(late=False)
        return {
            "regionID": "123",
            "regionName": "Exit cashier",
            "queueThreshold": 15,
            "peopleTargetId": self.random.randrange(1, 40),
            "waitTime": wait,
            "startTime": self.local(end - timedelta(seconds=wait)),
            "endTime": self.local(end),
        }

    def anpr(self, source: Source, *, block: bool) -> dict[str, Any]:
        """An ANPRInfo (A.3.31)."""
        x, y = ("X", "Y") if self.quirks.plate_rect == "X" else ("x", "y")
        rect = {x: "312", y: "604", "width": "190", "height": "62"}
        return {
            "driveDirection": self.random.randrange(2),
            "licensePlate": self.plate(),
            "pictureInfo": [{"pictureURL": self.link(source), "plateRect": rect}],
            "vehicleListType": "0" if block else "1",
        }

    def calls(self, source: Source) -> list[dict[str, Any]]:
        """The DeviceTalkInfos (A.3.75) of one call: pushed, then answered by others, hung up or cancelled."""
        stamp = self.clock.now_ms()
        call = self.id()
        room = self.random.randrange(1, 40)
        return [
            {
                "roomNumber": room,
                "deviceSerial": source.serial,
                "deviceName": source.serial,
                "deviceId": source.device,
                "msgId": call,
                "msgType": state,
                "callType": 0,
                "doorInfos": [{"doorId": f"{source.id[:31]}d", "doorName": f"{source.serial}-Door 1"}],
                "deviceTimeStamp": str(when) if self.quirks.device_time == "text" else when,
            }
            for state, when in ((0, stamp - 20_000), (self.random.choice((1, 2, 3)), stamp))
        ]

    def person(self, source: Source, *, granted: bool) -> dict[str, Any]:
        """An IntelliInfo (A.3.106)."""
        card = {"cardNumber": f"{self.random.randrange(10**9, 10**10)}", "authResult": 1 if granted else 0}
        if self.quirks.access_person == "card alone":
            return card
        who = self.random.randrange(len(_PEOPLE))
        first, last = _PEOPLE[who]
        return card | {
            "personId": f"9{who:018d}",
            "firstName": first,
            "lastName": last,
            "fullPath": "All Departments/Staff",
            "phoneNum": "",
            "personPicUrl": self.link(source),
            "groupId": "1",
            "attendanceStatus": 0,
        }
