"""The groups of an event that single kinds of messages fill: plates, doors, temperatures, targets."""

from __future__ import annotations

from typing import Final

from pump.core.groups import Access, Groups, Target, Vehicle, group
from pump.vendors.common.fields import child, children
from pump.vendors.hik_camera.codes import ATTENDANCE, DIRECTIONS, MASKS, NO_PLATE, PLATE_LISTS, UNSAID, Row
from pump.vendors.hik_camera.document import Tree
from pump.vendors.hik_camera.fields import number, text
from pump.vendors.hik_camera.readings import temperatures

_PLATES: Final = (
    "ANPR", "VehicleMatchResult", "vehicleMatchResult", "VehicleRcogResult", "vehicleRcogResult", "PlateInfo",
    "plateInfo",
)  # fmt: skip
"""Objects that hold a plate."""
_PLATES_HERE: Final = frozenset(_PLATES)
_PLATE: Final = ("licensePlate", "plate", "plateNumber", "plateNo", "licensePlateNumber", "originalLicensePlate")
_LISTS: Final = ("listType", "vehicleListName", "matchingResult", "listName")
_TARGETS_IN_ORDER: Final = ("detectionTarget", "recognitionType", "targetType")
_TARGETS: Final = frozenset(_TARGETS_IN_ORDER)
_LIBRARIES: Final = ("FDLibName", "customFaceLibID", "listType", "libName")
_SEPARATORS: Final = str.maketrans("", "", " _-")


def details(row: Row, tree: Tree, event: Tree | None, objects: list[Tree]) -> Groups:
    """The groups that are there, by name. `event`: an access event's own object; `objects`: all of the message."""
    found: Groups = {}
    if plates := _plates(tree):
        if vehicle := _vehicle(plates):
            found["vehicle"] = vehicle
        speeds = (number(child(part, "vehicleInfo", "VehicleInfo"), "speed") for part in plates)
        speed = next((speed for speed in speeds if speed is not None), None)
        if speed is not None and speed > 0:
            found["position"] = {"speed_kmh": speed}
    if event is not None:
        if access := _access(event):
            found["access"] = access
    elif row.type == "access.temperature" and (degrees := temperatures(tree)):
        found["access"] = {"temperature_c": _in_celsius(degrees[0].value, degrees[0].unit)}
    if target := _target(row, objects):
        found["target"] = target
    return found


def _said(tree: Tree | None, *names: str) -> str | None:
    value = text(tree, *names)
    return None if value is None or value.lower() in UNSAID else value


def _plates(tree: Tree) -> list[Tree]:
    """The objects that hold the plate, the outer before the inner."""
    if _PLATES_HERE.isdisjoint(tree):
        return []
    found = children(tree, *_PLATES)[:1]
    for name in ("ANPR", "PlateInfo", "plateInfo"):
        for part in tuple(found):
            found += [one for one in children(part, name)[:1] if one not in found]
    return found


def _first(parts: list[Tree], *names: str) -> str | None:
    for part in parts:
        if (value := text(part, *names)) is not None:
            return value
    return None


def _vehicle(parts: list[Tree]) -> Vehicle | None:
    infos = [info for part in parts if (info := child(part, "vehicleInfo", "VehicleInfo")) is not None]
    plate = _first(parts, *_PLATE) or _first(infos, *_PLATE)
    direction = _known(parts, "direction")
    listed = _known(parts, *_LISTS)
    logo = _known(infos, "vehicleLogoRecog", "vehicleLogo")
    confidences = (number(part, "confidenceLevel", "confidence") for part in parts)
    return group(
        Vehicle(
            plate=None if plate is None or plate.lower() in NO_PLATE else plate,
            confidence=next((confidence for confidence in confidences if confidence is not None), None),
            plate_color=_known(parts, "plateColor"),
            plate_type=_known(parts, "plateType"),
            color=_known(infos, "color"),
            type=_known([*parts, *infos], "vehicleType"),
            brand=None if logo is not None and logo.isdigit() else logo,  # a number is the vendor's code of a logo
            direction=None if direction is None else DIRECTIONS.get(direction.lower(), direction),
            list=None if listed is None else PLATE_LISTS.get(listed.lower().translate(_SEPARATORS), listed),
        )
    )


def _known(parts: list[Tree], *names: str) -> str | None:
    """The first of the fields, in this order, with which any of the objects says something."""
    for name in names:
        for part in parts:
            if name in part and (value := _said(part, name)) is not None:
                return value
    return None


def _access(event: Tree) -> Access | None:
    attendance = _said(event, "attendanceStatus")
    mask = text(event, "mask")
    return group(
        Access(
            person=text(event, "name") or text(event, "employeeNoString", "employeeNo"),
            card=text(event, "cardNo"),
            door=text(event, "doorNo"),
            reader=text(event, "cardReaderNo"),
            attendance=None if attendance is None else ATTENDANCE.get(attendance.lower(), attendance),
            temperature_c=_celsius(event),
            mask=None if mask is None else MASKS.get(mask.lower(), mask),
        )
    )


def _celsius(event: Tree) -> float | None:
    degrees = number(event, "currTemperature")
    if degrees is None or degrees == 0.0:
        return None
    return _in_celsius(degrees, (text(event, "thermometryUnit") or "celsius").lower())


def _in_celsius(degrees: float, unit: str) -> float:
    return round((degrees - 32.0) / 1.8, 2) if unit in ("fahrenheit", "°F") else degrees


def _target(row: Row, objects: list[Tree]) -> Target | None:
    """The thing that was seen, or the person that a face was found to be: of several candidates the most similar."""
    kinds = [_said(one, *_TARGETS_IN_ORDER) for one in objects if not _TARGETS.isdisjoint(one)]
    found = Target(kind=next((kind for kind in kinds if kind is not None), None))
    if not row.type.startswith("video.face."):
        return group(found)
    candidates = [(likeness, one) for one in objects if (likeness := number(one, "similarity")) is not None]
    # A candidate has its pictures' likeness inside it: the outer object is the person.
    best = max(candidates, key=lambda candidate: (candidate[0], "human_data" in candidate[1]), default=None)
    if best is None:
        nearest = (number(one, "maxsimilarity", "maxSimilarity") for one in objects)
        return group(found | Target(similarity=next((one for one in nearest if one is not None), None)))
    likeness, candidate = best
    person = child(candidate, "reserve_field", "reserveField", "PersonInfo", "personInfo")
    name = text(person, "name", "certificateNumber") or text(candidate, "name", "employeeNo", "human_id", "PID")
    return group(found | Target(person=name, similarity=likeness, list=_said(candidate, *_LIBRARIES)))
