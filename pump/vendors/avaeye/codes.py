"""The vendor's dictionaries (ANPR APIs 2.1): codes to words. A code that stands in no table stays as it came."""

from __future__ import annotations

from typing import Final

PLATE_TYPES: Final[dict[int, str]] = {
    0: "large vehicle", 1: "small vehicle", 2: "embassy vehicle", 3: "consulate vehicle", 4: "overseas vehicle",
    5: "foreign vehicle", 6: "common motorcycle (2-wheel, 3-wheel motorcycle plate)", 7: "light motorcycle",
    8: "embassy motorcycle", 9: "consulate motorcycle", 10: "foreign motorcycle", 11: "overseas motorcycle",
    12: "low speed vehicle plate (agricultural products transportation vehicle)", 13: "tractor", 14: "trailer",
    15: "coach vehicle", 16: "coach motorcycle", 17: "temporary entry vehicle", 18: "temporary entry motorcycle",
    19: "temporary vehicle", 20: "police vehicle", 21: "police motorcycle", 22: "agricultural machine vehicle plate",
    23: "border crossing vehicle (Hong Kong)", 24: "border crossing vehicle (Macau)", 25: "WJ plate",
    26: "military plate", 27: "pedestrian", 28: "non-motor vehicle", 29: "large new energy plate vehicle",
    30: "small new energy plate vehicle", 31: "midsize vehicle", 32: "testing vehicle", 33: "testing motorcycle",
    98: "other", 99: "unknown",
}  # fmt: skip
"""Data dictionary, "Plate Type"."""

VEHICLE_TYPES: Final[dict[int, str]] = {
    0: "3-wheel vehicle", 1: "large bus", 2: "midsize vehicle", 3: "small vehicle", 4: "large vehicle",
    5: "2-wheel vehicle", 6: "motorcycle", 7: "tractor", 8: "farm truck", 9: "sedan", 10: "SUV", 11: "minibus",
    12: "minivan", 13: "midsize bus", 14: "large bus", 15: "large truck", 16: "pickup", 17: "MPV", 18: "roadster",
    19: "mini car", 20: "two-box sedan", 21: "three-box sedan", 22: "light bus", 23: "medium duty truck",
    24: "trailer", 25: "tanker", 26: "street sprinkler", 998: "other", 999: "unknown",
}  # fmt: skip
"""Data dictionary, "Vehicle Types"; two codes mean a large bus."""

COLORS: Final[dict[int, str]] = {
    0: "black", 1: "white", 2: "gray", 3: "red", 4: "blue", 5: "yellow", 6: "orange", 7: "brown", 8: "green",
    9: "purple", 10: "cyan", 11: "pink", 12: "transparent", 13: "silver", 14: "dark", 15: "light color",
    16: "no color", 17: "yellow & green", 18: "gradient green", 99: "other", 100: "unknown",
}  # fmt: skip
"""Data dictionary, "Common Colors": plates and bodies."""

SUCCESS: Final = 200
COMMON_ERROR: Final = 101
INVALID: Final = 301
STATUSES: Final[dict[int, str]] = {SUCCESS: "success", COMMON_ERROR: "common error", INVALID: "invalid param"}
"""Data dictionary, "Status Code": the `code` of answers and of command results."""

POSITIONS: Final[dict[int, str]] = {1: "front", 2: "rear", 3: "front and rear"}
"""shootPosition: which side of a vehicle was captured."""
CAPTURE_MODES: Final[dict[int, str]] = {1: "video", 2: "switch signal", 3: "manual"}
"""captureMode: what made the camera capture."""
MANUAL: Final = 3
LISTS: Final[dict[int, str]] = {0: "common", 1: "allowlist", 2: "blocklist"}
"""carListType."""
BLOCKLIST: Final = 2
PHOTOS: Final[dict[int, str]] = {1: "picture", 2: "plate picture"}
"""picInfo's type; a picture is of the vehicle unless it says more."""

DEVICE_TYPES: Final[dict[int, str]] = {
    1: "entrance & exit camera", 2: "parking space detection camera (fixed dome)",
    3: "roadside low-pole parking space detection camera", 4: "roadside high-pole parking space detection camera",
}  # fmt: skip
SCENES: Final[dict[int, str]] = {1: "campus", 2: "road", 3: "line-shaped", 4: "non-character-shaped"}
"""senceType, as the vendor spells it."""
PICTURE_MODES: Final[dict[int, str]] = {0: "not filled", 1: "base64", 2: "on UCS", 3: "on Aliyun OSS"}
"""picFillType: where pictures go."""

CAPABILITIES: Final[dict[str, str]] = {
    "isSupportLamp": "lamp", "isSupportGate": "gate", "isSupprotCoil": "coil", "isSupportCoil": "coil",
    "isSupportRadar": "radar", "isSupportLED": "led", "isSupportStore": "edge storage",
    "isSupportParkDetection": "space detection",
}  # fmt: skip
"""deviceCapability's keys, one of them spelled both ways, to what the device table calls them."""

SECRETS: Final = frozenset((
    "alioss", "aliossparam", "ossparam", "mqttparam", "accesskeyid", "accesskeysecret", "accesskey", "secretkey",
    "pwd", "password", "passwd", "registercode",
))  # fmt: skip
"""Keys, in small letters and without dashes, whose values are never kept anywhere: they open
the customer's storage, broker and cloud."""
