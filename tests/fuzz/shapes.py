"""Bytes to messages: names that a parser looks for, values that it may not expect."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

_ODD: Final[tuple[Any, ...]] = (
    None, True, False, 0, 1, -1, 7, 33, 2**53, 2**63, 0.5, -0.0, 1e308, float("inf"), float("nan"),
    "", " ", "0", "1", "-1", "9" * 15, "9" * 20, "9" * 5000, "1e999", "nan", "0x1F", "١٢", "²", "true", "NONE",
    "\0", "a/b|c", "2026-11-20T08:00:00Z", "2026-11-20T08:00:01+01:00", "2026-11-20 08:00:00", "1970-01-01T00:00:00Z",
    "2000-01-01T00:00:00+14:00", "2099-12-31T23:59:59-23:59", "9999-12-31T23:59:59Z", "2026-11-20T08:00:00+99:99",
    "2026-02-30T25:61:61Z", "http://192.0.2.1/x", [], {}, [None], [[]], [{}],
)  # fmt: skip
_UNWRITABLE: Final = (2**64, -(2**64), 10**400, "\ud800")
"""What the gateway's JSON may hold and the camera's reader lets nobody see."""
CAMERA_VALUES: Final = (
    *_ODD, "VMD", "IO", "diskfull", "videoloss", "ANPR", "AccessControllerEvent", "cidEvent", "PeopleCounting", "TMA",
    "heartBeat", "other", "active", "inactive", 1103, 3103, 1302, 3302, 1401, 5, 0x404, 0x405, 75, "fahrenheit",
    "duration", "fielddetection", "vehicleMatchResult", "personDensityDetection", "MultiRadarTargetEvent",
    "alarmResult", "regionTargetNumberCounting", "zoneUpdate", "url",
    "http://[::1/a.jpg", "/picture/1.jpg", "u-1", "PDC", "white",
)  # fmt: skip
CAMERA_NAMES: Final = (
    "eventType", "eventState", "dateTime", "channelID", "dynChannelID", "serialNo", "ANPR", "AccessControllerEvent",
    "CIDEvent", "majorEventType", "subEventType", "DetectionRegionList", "DetectionRegionEntry", "regionID", "code",
    "standardCIDcode", "trigger", "upload", "zone", "system", "keypad", "uuid", "recheck", "videoURL", "peopleCounting",
    "enter", "TMA", "currTemperature", "thermometryUnit", "pictureInfoList", "pictureInfo", "picNum", "licensePlate",
    "vehicleInfo", "speed", "direction", "confidenceLevel", "inputIOPortID", "doorNo", "currentEvent", "deviceID",
    "EventNotificationAlert", "eventDescription", "name", "userName", "isDataRetransmission", "alarmDataType", "UUID",
    "hasMoreData", "relationEvent", "DurationList", "bkgUrl", "detectionPictureTransType", "pictureURL", "TargetInfo",
    "faces", "candidate", "similarity", "reserve_field", "isTargetDisappear", "FramesPeopleCounting", "ruleTemperature",
    "framesPeopleCountingNum", "id", "dataSource", "listType", "PlateInfo", "VehicleMatchResult", "ZoneUpdate", "user",
)  # fmt: skip
GATEWAY_VALUES: Final = (
    *_ODD, *_UNWRITABLE, "CIDAlarm", "videoReview", "heartBeat ", "devStatusChanged", "online", "offline", "1103",
    "3103", 1103, 3103, "1302", "1401", "1,2,3,4,5,6,7,a,b", "-1,,,,,,,NONE", 16, 35, 36,
)  # fmt: skip
GATEWAY_NAMES: Final = (
    "eventType", "dateTime", "dataTime", "devIndex", "deviceID", "channelID", "channelName", "status", "CIDAlarm",
    "VideoReview", "HikCIDParams", "CIDCode", "CIDType", "CIDParam", "CIDDescribe", "UUID", "triggerTime", "uploadTime",
    "timeZoneIdx", "zoneNo", "ZoneNo", "subSys", "videoURL", "videoURI", "eventDescription", "activePostCount", "x",
)  # fmt: skip


class Shapes:
    """Choices out of `data`; where it ends each is the first."""

    def __init__(self, data: bytes, names: Sequence[str], values: Sequence[Any]) -> None:
        self._data = data
        self._at = 0
        self._names = names
        self._values = values

    def choice(self, among: int) -> int:
        """A number below `among`."""
        if self._at >= len(self._data):
            return 0
        self._at += 1
        return self._data[self._at - 1] % among

    def object(self, depth: int = 0) -> dict[str, Any]:
        """Fields, a few of them objects or lists of objects."""
        found: dict[str, Any] = {}
        for _ in range(self.choice(12)):
            name = self._names[self.choice(len(self._names))]
            kind = self.choice(8)
            if kind == 0 and depth < 4:
                found[name] = self.object(depth + 1)
            elif kind == 1 and depth < 4:
                found[name] = [self.object(depth + 1) for _ in range(self.choice(3))]
            else:
                found[name] = self._values[self.choice(len(self._values))]
        return found
