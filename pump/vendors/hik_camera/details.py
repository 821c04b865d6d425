"""The groups of an event that single kinds of messages fill: plates, doors, temperatures, counts."""

from __future__ import annotations

from typing import Any, Final

from pump.core.event import group
from pump.vendors.hik_camera.codes import ATTENDANCE, DIRECTIONS, MASKS, NO_PLATE, PLATE_LISTS, UNSAID, Row
from pump.vendors.hik_camera.document import Tree
from pump.vendors.hik_camera.fields import child, children, number, text, whole

PICTURES: Final = 32
"""The most pictures that a message is believed to bring."""

_TEMPERATURES: Final = ("TMA", "TMPA", "TMDA", "Thermometry", "ThermometryAlarm")
_UNITS: Final = {"celsius": "°C", "fahrenheit": "°F", "kelvin": "K"}


def details(row: Row, tree: Tree) -> dict[str, Any]:
    """The groups that are there, by name."""
    found: dict[str, Any] = {}
    if (anpr := child(tree, "ANPR")) is not None:
        found["vehicle"] = _vehicle(anpr)
        speed = number(child(anpr, "vehicleInfo"), "speed")
        if speed is not None and speed > 0:
            found["position"] = {"speed_kmh": speed}
    if (access := child(tree, "AccessControllerEvent", "AcsEventInfo")) is not None:
        found["access"] = _access(access)
    if row.type.startswith("video.temperature"):
        found["measure"] = _temperature(tree)
    return {name: value for name, value in found.items() if value}


def counts(tree: Tree) -> list[tuple[str, float]]:
    """What was counted: (entered, exited, passed or present; how many)."""
    found = []
    for part in children(tree, "peopleCounting", "PeopleCounting", "FramesPeopleCounting", "framesPeopleCounting"):
        for name, what in (("enter", "entered"), ("exit", "exited"), ("pass", "passed"), ("peopleNum", "present")):
            if (value := number(part, name)) is not None:
                found.append((what, value))
    return found


def listed_pictures(tree: Tree) -> int | None:
    """How many pictures the message says will follow it, None where it does not say."""
    anpr = child(tree, "ANPR")
    access = child(tree, "AccessControllerEvent", "AcsEventInfo")
    count = whole(tree, "detectionPicturesNumber", "picturesNumber", "picNum")
    for part in (anpr, access):
        if count is None:
            count = whole(part, "picNum", "picturesNumber", "detectionPicturesNumber")
    if count is None and (listed := child(anpr, "pictureInfoList") or child(tree, "pictureInfoList")) is not None:
        count = sum(1 for info in children(listed, "pictureInfo") if text(info, "pictureURL", "url") is None)
    return None if count is None else max(0, min(PICTURES, count))


def _said(tree: Tree | None, *names: str) -> str | None:
    value = text(tree, *names)
    return None if value is None or value.lower() in UNSAID else value


def _vehicle(anpr: Tree) -> dict[str, Any] | None:
    info = child(anpr, "vehicleInfo")
    plate = text(anpr, "licensePlate", "originalLicensePlate")
    direction = _said(anpr, "direction")
    listed = _said(anpr, "vehicleListName")
    confidence = number(anpr, "confidenceLevel", "confidence")
    return group(
        plate=None if plate is None or plate.lower() in NO_PLATE else plate,
        confidence=confidence,
        plate_color=_said(anpr, "plateColor"),
        plate_type=_said(anpr, "plateType"),
        color=_said(info, "color"),
        type=_said(anpr, "vehicleType") or _said(info, "vehicleType"),
        brand=_said(info, "vehicleLogoRecog", "vehicleLogo"),
        direction=None if direction is None else DIRECTIONS.get(direction.lower(), direction),
        list=None if listed is None else PLATE_LISTS.get(listed.lower(), listed),
    )


def _access(event: Tree) -> dict[str, Any] | None:
    attendance = _said(event, "attendanceStatus")
    mask = text(event, "mask")
    return group(
        person=text(event, "name") or text(event, "employeeNoString", "employeeNo"),
        card=text(event, "cardNo"),
        door=text(event, "doorNo"),
        reader=text(event, "cardReaderNo"),
        attendance=None if attendance is None else ATTENDANCE.get(attendance.lower(), attendance),
        temperature_c=_celsius(event),
        mask=None if mask is None else MASKS.get(mask.lower(), mask),
    )


def _celsius(event: Tree) -> float | None:
    degrees = number(event, "currTemperature")
    if degrees is None or degrees == 0.0:
        return None
    if (text(event, "thermometryUnit") or "celsius").lower() == "fahrenheit":
        return round((degrees - 32.0) / 1.8, 2)
    return degrees


def _temperature(tree: Tree) -> dict[str, Any] | None:
    part = child(tree, *_TEMPERATURES) or tree
    value = number(part, "currTemperature", "curTemperature", "temperatureDiff", "temperature")
    if value is None:
        return None
    unit = (text(part, "thermometryUnit", "temperatureUnit") or text(tree, "thermometryUnit") or "celsius").lower()
    return {"what": "temperature", "value": value, "unit": _UNITS.get(unit, unit)}
