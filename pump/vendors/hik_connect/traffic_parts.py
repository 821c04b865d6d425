"""The pieces that made-up messages consist of, in each spelling and form that the quirks choose."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from random import Random
from typing import Any, Final, Literal

from pump.clock import Clock
from pump.vendors.hik_connect.simulator_quirks import Quirks

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
_PEOPLE: Final = (("Ada", "Noble"), ("Jean", "Martin"), ("Zoë", "Łukasz"), ("伟", "王"), ("O'Neil", "Mary"))


class Parts:
    """Builds the pieces from one stream of random numbers and one clock."""

    def __init__(self, clock: Clock, quirks: Quirks, random: Random) -> None:
        self.server = "https://isgp.hikcentralconnect.com"
        self._clock = clock
        self._quirks = quirks
        self._random = random
        self._zone = timezone(timedelta(minutes=quirks.utc_offset))
        self._serial = 0

    def source(self, kind: SourceKind) -> Source:
        """One of the site's."""
        return self._random.choice(_SOURCES[kind])

    def id(self) -> str:
        """32 hexadecimal digits, never twice."""
        return f"{self._random.getrandbits(128):032x}"

    def plate(self) -> str:
        """A number plate."""
        return f"{self._random.choice('ABCDEFGH')}{self._random.randrange(10_000, 100_000)}"

    # -- times ---------------------------------------------------------------------------------------------------

    def _moment(self, late: bool) -> datetime:
        """Up to two seconds ago, or an hour more; whole seconds, as the vendor writes them."""
        moment = self._clock.now() - timedelta(seconds=self._random.random() * 2)
        return (moment - _LATE if late else moment).replace(microsecond=0)

    def _utc(self, moment: datetime) -> str:
        return f"{moment:%Y-%m-%dT%H:%M:%SZ}"

    def _local(self, moment: datetime) -> str:
        return moment.astimezone(self._zone).isoformat(timespec="seconds")

    def _alarm_times(self, name: str, moment: datetime) -> dict[str, str]:
        match self._quirks.alarm_time:
            case "twins":
                return {name: self._utc(moment), f"{name}Local": self._local(moment)}
            case "utc":
                return {name: self._utc(moment)}
            case "local":
                return {name: self._local(moment)}
            case "naive":
                return {name: f"{moment.astimezone(self._zone):%Y-%m-%dT%H:%M:%S}"}

    def _rawmsg_time(self, moment: datetime) -> str:
        match self._quirks.rawmsg_time:
            case "offset":
                return self._local(moment)
            case "Z":
                return self._utc(moment)
            case "naive":
                return f"{moment.astimezone(self._zone):%Y-%m-%d %H:%M:%S}"

    # -- pieces --------------------------------------------------------------------------------------------------

    def link(self, source: Source) -> str:
        """A link that dies in 15 minutes; its `sign` is what a redelivery signs afresh."""
        host = "https://isgp.ezvizlife.com" if self._quirks.link_host == "ezvizlife" else self.server
        draw = self._random.getrandbits
        return (
            f"{host}/v3/alarms/pic/get?fileId={draw(56):014x}-{source.serial}-1-10002-2-1&deviceSerialNo={source.serial}"
            f"&cn=1&isEncrypted={self._quirks.encrypted}&isCloudStored=0&ct=32&lc=7&sign={draw(64):016x}&isDevVideo=0"
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
            "encrypted": self._quirks.encrypted,
            "extendInfo": {
                "sourceID": source.id,
                "sourceName": source.name,
                "sourceType": source.type,
                "captureIndex": "1",
            },
        }

    def files(self, files: list[dict[str, Any]], queue: Literal["alarm", "combine"]) -> dict[str, Any]:
        """An AlarmFileInfo (A.3.14)."""
        link = {"document": "URL" if queue == "alarm" else "url"}.get(self._quirks.file_link, self._quirks.file_link)
        listed = [{link if key == "url" else key: value for key, value in file.items()} for file in files]
        return {"fileContent": ",".join(sorted({file["type"] for file in files})), "file": listed}

    def vehicle(self, source: Source) -> dict[str, Any]:
        """A VehicleRelatedInfo (A.3.169): speeds in cm/h, height in cm, the hemispheres apart."""
        quirks, draw = self._quirks, self._random
        fix = quirks.gps_fix == "yes"
        direction = draw.randrange(0, 360) if fix else 0
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
                "ew": draw.choice("EW"),
                quirks.longitude: f"{draw.uniform(2, 9):.6f}" if fix else "0.000000",
                "ns": draw.choice("NS"),
                "lat": f"{draw.uniform(43, 51):.6f}" if fix else "0.000000",
                "direction": direction * 100 + 361 if quirks.gps_direction == "hundredths" and fix else direction,
                "height": draw.randrange(0, 200_000) if fix else 0,
                "speed": draw.randrange(0, 12_000_000) if fix else 0,
            },
            "vehicleInfo": vehicle,
        }

    def left_queue(self) -> dict[str, Any]:
        """A QueueInfo (A.3.130)."""
        wait = self._random.randrange(60, 1200)
        end = self._moment(late=False)
        return {
            "regionID": "123",
            "regionName": "Exit cashier",
            "queueThreshold": 15,
            "peopleTargetId": self._random.randrange(1, 40),
            "waitTime": wait,
            "startTime": self._local(end - timedelta(seconds=wait)),
            "endTime": self._local(end),
        }

    def anpr(self, source: Source, *, block: bool) -> dict[str, Any]:
        """An ANPRInfo (A.3.31)."""
        x, y = ("X", "Y") if self._quirks.plate_rect == "X" else ("x", "y")
        rect = {x: "312", y: "604", "width": "190", "height": "62"}
        return {
            "driveDirection": self._random.randrange(2),
            "licensePlate": self.plate(),
            "pictureInfo": [{"pictureURL": self.link(source), "plateRect": rect}],
            "vehicleListType": "0" if block else "1",
        }

    def calls(self, source: Source) -> list[dict[str, Any]]:
        """The DeviceTalkInfos (A.3.75) of one call: pushed, then answered by others, hung up or cancelled."""
        stamp = self._clock.now_ms()
        call = self.id()
        room = self._random.randrange(1, 40)
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
                "deviceTimeStamp": str(when) if self._quirks.device_time == "text" else when,
            }
            for state, when in ((0, stamp - 20_000), (self._random.choice((1, 2, 3)), stamp))
        ]

    # -- records -------------------------------------------------------------------------------------------------

    def alarm(
        self,
        code: str,
        source: Source,
        *,
        files: list[dict[str, Any]] | None = None,
        late: bool = False,
        pulse: bool = False,
        **extra: Any,
    ) -> dict[str, Any]:
        """An AlarmMsg (A.3.20) that starts, or a pulse."""
        quirks = self._quirks
        level = str(self._random.choice((1, 2, 2, 3, 3, 3)))
        record: dict[str, Any] = {
            "systemId": "",
            "guid": self.id(),
            "dataRetransmission": 0 if late else 1,
            "msgType": "1",
            "alarmState": "1",
            "pulseAlarm": ("true" if pulse else "false") if quirks.pulse == "words" else ("1" if pulse else "0"),
            "alarmMainCategory": source.main,
            "alarmSubCategory": source.sub,
            "timeInfo": self._alarm_times("startTime", self._moment(late)),
            "eventSource": {
                "eventType": int(code) if quirks.event_type == "number" else code,
                quirks.source_id: source.id,
                "sourceName": source.name,
                "sourceType": source.type,
                quirks.area_id: source.area_id,
                "areaName": source.area,
                "deviceInfo": {
                    "devID": source.device,
                    "devName": source.serial,
                    "devCategory": source.device_type,
                    "deviceSerial": source.serial,
                },
            },
            "alarmRule": {quirks.object_id: "1640597519769669632", "name": f"Rule {code}", "description": ""},
            "alarmPriority": {
                quirks.object_id: f"05{level:0>30}",
                "level": level,
                "levelName": level,
                "color": "#F40B0B",
            },
            "markState": "0",
            "affirmedState": "0",
            quirks.linkage: [],
            "linkageConfig": {},
            "vehicleRelatedInfo": {},
        }
        if quirks.data_retransmission == "absent":
            del record["dataRetransmission"]
        if files is not None:
            record["fileInfo"] = self.files(files, "alarm")
        return record | extra

    def again(self, alarm: dict[str, Any], **changes: Any) -> dict[str, Any]:
        """The same guid once more."""
        return alarm | changes

    def moved(self, alarm: dict[str, Any], seconds: int) -> dict[str, Any]:
        """The same alarm, started `seconds` later."""
        return alarm | {"timeInfo": {key: _later(text, seconds) for key, text in alarm["timeInfo"].items()}}

    def ended(self, alarm: dict[str, Any], seconds: int) -> dict[str, Any]:
        """The same alarm with the time of its end, `seconds` after its start."""
        ends = {key.replace("start", "end"): _later(text, seconds) for key, text in alarm["timeInfo"].items()}
        return alarm | {"timeInfo": alarm["timeInfo"] | ends}

    def combine(
        self,
        code: str,
        source: Source,
        *,
        files: list[dict[str, Any]] | None = None,
        vehicle: dict[str, Any] | None = None,
        left_queue: dict[str, Any] | None = None,
        late: bool = False,
        **data: Any,
    ) -> dict[str, Any]:
        """A CombineEvent (A.3.60)."""
        quirks = self._quirks
        resource: dict[str, Any] = {
            "sourceType": source.type,
            quirks.source_id: source.id,
            "sourceName": source.name,
            "areaName": source.area,
            quirks.area_id: source.area_id,
            "deviceInfo": {
                "id": source.device,
                "name": source.serial,
                "category": source.category,
                "deviceSerial": source.serial,
            },
        }
        moment = self._moment(late)
        basic = {
            "systemId": "",
            "occurrenceTime": self._utc(moment) if quirks.combine_time == "Z" else self._local(moment),
            "dataRetransmission": 1 if late else 0,
            quirks.combine_resource: resource,
        }
        if quirks.data_retransmission == "absent":
            del basic["dataRetransmission"]
        if files is not None:
            data["fileInfo"] = self.files(files, "combine")
        if vehicle is not None:
            data[f"vehicle{quirks.combine_related}Info"] = vehicle
        if left_queue is not None:
            data[f"queue{quirks.combine_related}Info"] = {"queueInfo": left_queue}
        return {"eventId": self.id(), "eventType": code, "basicInfo": basic, quirks.combine_data: data}

    def rawmsg(self, msg_type: str, source: Source, data: dict[str, Any], *, late: bool = False) -> dict[str, Any]:
        """An Event(1) (A.3.91), without the on-board messages' uuid, update and files."""
        spaced = self._quirks.msg_type == "Msg 110003" and msg_type.startswith("Msg1100")
        return {
            "basicInfo": {
                "occurrenceTime": self._rawmsg_time(self._moment(late)),
                "systemId": "",
                "msgType": msg_type.replace("Msg", "Msg ") if spaced else msg_type,
                "resource": {
                    "type": source.type,
                    "id": source.id,
                    "name": source.name,
                    self._quirks.area_id: source.area_id,
                    "areaName": source.area,
                },
                "device": {
                    "id": source.device,
                    "name": source.serial,
                    "category": source.device_type,
                    "deviceSerial": source.serial,
                },
            },
            "data": data,
        }

    def access(self, msg_type: str, source: Source, *, late: bool = False) -> dict[str, Any]:
        """An authentication message: an Event(2) (A.3.92) inside an Event(1). Its serialNo never repeats."""
        quirks = self._quirks
        record = self.rawmsg(msg_type, source, {}, late=late)
        self._serial += 1
        inner = int(msg_type.removeprefix("Msg"))
        basic: dict[str, Any] = {
            "eventType": str(inner) if quirks.access_event_type == "text" else inner,
            "elementId": source.id,
            "elementType": 1002,
            "elementName": source.name,
            quirks.area_id.replace("areaID", "areaId"): source.area_id,
            "areaName": source.area,
            "occurTime": record["basicInfo"]["occurrenceTime"],
            "deviceId": source.device,
            "deviceSerial": source.serial,
            "deviceName": source.serial,
            "channelNo": 1,
            "serialNo": self._serial,
            "cardReaderId": f"{source.id[:31]}e",
        }
        if late or quirks.current_event == "1":
            basic["currentEvent"] = 0 if late else 1
        event: dict[str, Any] = {"basicInfo": basic}
        if quirks.access_person != "absent":
            event["intelliInfo"] = self._person(source, granted=inner < 110500)
        record["data"] = {"openDoorInfo": {"event": event}}
        return record

    def _person(self, source: Source, *, granted: bool) -> dict[str, Any]:
        """An IntelliInfo (A.3.106)."""
        card = {"cardNumber": f"{self._random.randrange(10**9, 10**10)}", "authResult": 1 if granted else 0}
        if self._quirks.access_person == "card alone":
            return card
        who = self._random.randrange(len(_PEOPLE))
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


def _later(text: str, seconds: int) -> str:
    moved = datetime.fromisoformat(text) + timedelta(seconds=seconds)
    return moved.isoformat(timespec="seconds").replace("+00:00", "Z" if text.endswith("Z") else "+00:00")
