"""The documented calls that the simulated vendor takes and does not play: it checks who calls and how (3.1 to 3.3)."""

from __future__ import annotations

import re
from typing import Final

PREFIX: Final = "/api/hccgw/"
GETS: Final = (
    "platform/v1/systemproperties",
    "platform/v1/servicepackage",
    "platform/v1/streamtoken/get",
    "acs/v1/encryptinfo/get",
)
POSTS: Final = (
    "platform/v1/users/get",
    "resource/v1/devices/add",
    "resource/v1/devices/update",
    "resource/v1/devicedetail/get",
    "resource/v1/devices/delete",
    "resource/v1/device/{deviceId}/refresh",
    "resource/v1/areas/add",
    "resource/v1/areadetail/get",
    "resource/v1/areas/resources/add",
    "resource/v1/areas/resources/delete",
    "resource/v1/areas/cameras/get",
    "resource/v1/areas/alarmoutputs/get",
    "resource/v1/areas/alarminputs/get",
    "resource/v1/areas/alarminputs/status/get",
    "resource/v1/areas/alarmoutputs/status/get",
    "resource/v1/areas/cameras/thumbnail/get",
    "resource/v1/areas/doors/get",
    "resource/v1/timezone/get",
    "alarm/v1/alarmrules/add",
    "alarm/v1/alarmrules/get",
    "alarm/v1/alarmrules/update",
    "alarm/v1/alarmpriorities/get",
    "alarm/v1/receivingschedules/get",
    "alarm/v1/alarmlinkage/add",
    "alarm/v1/voltagesetting/set",
    "video/v1/recordsettings/get",
    "video/v1/live/address/get",
    "video/v1/record/element/search",
    "video/v1/video/device/wakeup",
    "vims/v1/build/search",
    "vims/v1/room/search",
    "video/v1/isapi/proxypass",
    "proxy/v1/isapi/proxypass",
    "proxy/v1/areas/alarminputs/status/get",
    "vims/v1/person/search",
    "vims/v1/person/add",
    "vims/v1/person/update",
    "vims/v1/person/delete",
    "vims/v1/tempauth/get",
    "vims/v1/tempauth/list",
    "vims/v1/tempauth/add",
    "vims/v1/tempauth/update",
    "vims/v1/tempauth/delete",
    "acspm/v1/accesslevel/list",
    "acspm/v1/maintain/overview/person/{id}/elementdetail",
    "acspm/v1/accesslevel/person/add",
    "acspm/v1/accesslevel/person/delete",
    "acspm/v1/accesslevel/person/modify",
    "person/v1/groups/search",
    "person/v1/persons/add",
    "person/v1/persons/update",
    "person/v1/persons/photo",
    "person/v1/persons/fingercollect",
    "person/v1/persons/updatefingers",
    "person/v1/persons/cardcollect",
    "person/v1/persons/updatecards",
    "person/v1/persons/updatepincode",
    "person/v1/persons/get",
    "person/v1/persons/delete",
    "person/v1/persons/quick/add",
    "person/v1/persons/list",
    "person/v1/persons/qrcode",
    "resource/v1/areas/vehicles/add",
    "resource/v1/areas/vehicles/{id}/update",
    "resource/v1/areas/vehicles/get",
    "resource/v1/picture/uploadparam/get",
    "resource/v1/accstatus/search",
    "vehicle/v1/driver/batchquery",
    "vehicle/v1/driver/add",
    "vehicle/v1/driver/update",
    "vehicle/v1/driver/batchdel",
    "vehicle/v1/driverGroup/batchquery",
    "vehicle/v1/driverGroup/add",
    "vehicle/v1/driverGroup/update",
    "vehicle/v1/driverGroup/batchdel",
    "vehicle/v1/driverFace/distribution",
    "vehicle/v1/driverFace/status/query",
    "attendance/v1/report/totaltimecard/list",
    "maintain/v1/offline/info/list",
)
"""By path; a word in braces stands for an id."""


def _pattern(paths: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(re.sub(r"\\{\w+\\}", r"[^/]+", re.escape(path)) for path in paths))


_PATTERNS: Final = {"GET": _pattern(GETS), "POST": _pattern(POSTS)}


def methods(path: str) -> list[str]:
    """Those with which the document has this path, of the calls that are not played; empty for none."""
    return [method for method, pattern in _PATTERNS.items() if pattern.fullmatch(path.removeprefix(PREFIX))]
