"""The vendor's smaller dictionaries: sources, categories, priorities, states. Key: the enumeration's value as text."""

from __future__ import annotations

from typing import Final, Literal

from pump.core.taxonomy import Severity

TRUE: Final = ("1", "true", 1, "True", "TRUE")
"""Every spelling of a flag that is set, true itself among them."""

CATEGORY_DOMAINS: Final = {
    "alarmCategoryAlarmDetection": "security",
    "alarmCategoryMaintenance": "device",
    "alarmCategoryVideo": "video",
    "alarmCategoryDriving": "driving",
}
"""Alarm main category (A.1.1) to the domain of a code that has no row."""

SOURCE_DOMAINS: Final = {
    "alarmInput": "security", "alarmOutput": "security", "alarmDevice": "security", "subSystem": "security",
    "camera": "video", "vehicle": "driving", "mobileDevice": "driving", "door": "access", "encodingDevice": "device",
    "accessControllerDevice": "access", "videoIntercomDevice": "intercom",
}  # fmt: skip
"""Source or resource type (A.1.2, A.1.3, A.1.6) to the domain of a code that has no row."""

SOURCE_SUBJECTS: Final = {
    "alarmInput": "input", "alarmOutput": "output", "subSystem": "partition", "alarmDevice": "device",
    "encodingDevice": "device", "mobileDevice": "device", "accessControllerDevice": "device",
    "videoIntercomDevice": "device",
}  # fmt: skip
"""Source type to the first part of the event's subject, where that is not the type itself."""

SOURCE_PLACES: Final[dict[str, Literal["channel", "zone", "partition"]]] = {
    "camera": "channel",
    "alarmInput": "zone",
    "subSystem": "partition",
}
"""Source type to the field of `place` that takes its name; devices, doors and vehicles have theirs elsewhere."""

DEVICE_SOURCES: Final = frozenset(
    ("alarmDevice", "encodingDevice", "mobileDevice", "accessControllerDevice", "videoIntercomDevice")
)
"""Source types that are devices: their name is the device's."""

ELEMENTS: Final = {
    "1001": "camera", "1002": "door", "1003": "alarmInput", "2002": "accessControllerDevice",
    "2008": "videoIntercomDevice",
}  # fmt: skip
"""Element type of an access event (A.3.43) to the source type."""

DEVICE_CATEGORIES: Final = {
    "alarmDevice": "alarm device", "2005": "alarm device",
    "encodingDevice": "encoding device", "2001": "encoding device",
    "mobileDevice": "on-board device", "2021": "on-board device",
    "accessControllerDevice": "access control device", "2002": "access control device",
    "videoIntercomDevice": "video intercom device", "2008": "video intercom device",
    "2010": "data communication device", "2020": "broadcast", "2031": "cloud storage box",
}  # fmt: skip
"""Device category, by name (A.1.3) or number (A.3.73)."""

PRIORITIES: Final[dict[str, Severity]] = {"1": "critical", "2": "warning", "3": "notice"}
"""Alarm priority level (A.3.25)."""

FILE_KINDS: Final = {"1": "picture", "2": "video"}
FILE_STATES: Final = {
    "0": "remote", "1": "to be uploaded", "2": "saving", "3": "saving failed", "4": "capturing",
    "5": "capturing failed",
}  # fmt: skip
"""An alarm file's type and saveState (A.3.12)."""

DRIVE_DIRECTIONS: Final = {"0": "backward", "1": "forward"}
VEHICLE_LISTS: Final = {"0": "blocklist", "1": "allowlist"}
"""ANPRInfo (A.3.31)."""

ATTENDANCE: Final = {
    "0": "undefined", "1": "on work", "2": "off work", "3": "break starts", "4": "break ends", "5": "overtime starts",
    "6": "overtime ends",
}  # fmt: skip
TEMPERATURES: Final = {"1": "normal", "2": "exception", "3": "unknown"}
MASKS: Final = {"1": "unknown", "2": "no mask", "3": "wearing mask"}
"""IntelliInfo's attendance status (A.3.106), temperatureStatus (A.3.156), masks status (A.3.134)."""

CALL_TYPES: Final = {"0": "to room", "1": "to call management center"}
"""DeviceTalkInfo's callType (A.3.75)."""
