"""The values that a message measured, region by region: temperatures, counts, queues.

One message may speak of several regions, as a list or one below the other, in XML and in JSON; each reading keeps the
region it is of.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from pump.core.groups import Measure, group
from pump.vendors.hik_camera.document import Tree
from pump.vendors.hik_camera.fields import number, text

MOST: Final = 512
"""The most readings that a message is believed to bring."""

_DEPTH: Final = 16
_UNITS: Final = {"celsius": "°C", "fahrenheit": "°F", "kelvin": "K", "celcius": "°C"}
_DEGREES: Final = ("currTemperature", "curTemperature", "currentTemperature", "temperatureDiff", "temperature")
_SEVERAL_DEGREES: Final = {
    "maxTemperature": "highest temperature", "highestTemperature": "highest temperature",
    "minTemperature": "lowest temperature", "lowestTemperature": "lowest temperature",
    "averageTemperature": "average temperature", "aveTemperature": "average temperature",
}  # fmt: skip
"""Read where no single temperature is given."""
_LIMITS: Final = ("ruleTemperature", "alarmTemperature", "alertTemperature", "threshold")
_RULES: Final = ("ruleType", "alarmRule", "rule", "ruleCalibType", "ruleName")
_REGIONS: Final = ("regionID", "regionsID", "regionId", "ruleID", "ruleId", "areaID", "lineID")
_REGION_NAMES: Final = ("regionName", "ruleName", "areaName", "lineName")


class _Counted(NamedTuple):
    """The meaning of a count's name."""

    what: str
    """The deed or the state that is counted."""
    unit: str
    """The kind of those that are counted."""


_COUNTED: Final[dict[str, _Counted]] = {
    "enter": _Counted("entered", "people"),
    "exit": _Counted("exited", "people"),
    "pass": _Counted("passed", "people"),
    "enternum": _Counted("entered", "people"),
    "exitnum": _Counted("exited", "people"),
    "passnum": _Counted("passed", "people"),
    "leave": _Counted("exited", "people"),
    "leavenum": _Counted("exited", "people"),
    "passing": _Counted("passed", "people"),
    "peoplenum": _Counted("present", "people"),
    "framespeoplecountingnum": _Counted("present", "people"),
    "framespeoplecounting_number": _Counted("present", "people"),
    "peoplenumber": _Counted("present", "people"),
    "personnum": _Counted("present", "people"),
    "personcnt": _Counted("present", "people"),
    "personcount": _Counted("present", "people"),
    "alarmcount": _Counted("present", "people"),
    "queuenum": _Counted("present", "people"),
    "duplicatepeople": _Counted("counted twice", "people"),
    "repeatnum": _Counted("counted twice", "people"),
    "childenter": _Counted("entered", "children"),
    "childexit": _Counted("exited", "children"),
    "childpass": _Counted("passed", "children"),
    "adultenter": _Counted("entered", "adults"),
    "adultexit": _Counted("exited", "adults"),
    "adultpass": _Counted("passed", "adults"),
    "vehicleenter": _Counted("entered", "vehicles"),
    "vehicleexit": _Counted("exited", "vehicles"),
    "vehiclepass": _Counted("passed", "vehicles"),
    "bicycleenter": _Counted("entered", "bicycles"),
    "bicycleexit": _Counted("exited", "bicycles"),
    "bicyclepass": _Counted("passed", "bicycles"),
    "nonmotorenter": _Counted("entered", "bicycles"),
    "nonmotorexit": _Counted("exited", "bicycles"),
    "humancount": _Counted("counted", "people"),
    "humannum": _Counted("counted", "people"),
    "vehiclecount": _Counted("counted", "vehicles"),
    "vehiclenum": _Counted("counted", "vehicles"),
    "nonmotorcount": _Counted("counted", "bicycles"),
    "nonmotornum": _Counted("counted", "bicycles"),
}
"""Names of counts in lower case."""
_COUNTS: Final = frozenset(
    ("num", "number", "count", "cnt", "enter", "exit", "pass", "people", "person", "persons", "total", "amount")
)
"""Words of which one is in the names of numbers of the message itself that count something."""
_NO_COUNT: Final = frozenset(
    (
        "id", "no", "port", "channel", "post", "time", "picture", "pictures", "pic", "image", "serial", "rule",
        "region", "index", "version", "phone", "card", "page", "package", "x", "y", "width", "height", "size", "level",
        "sensitivity", "ratio", "rate", "percent", "interval", "year", "month", "day", "hour", "minute", "second",
        "duration", "angle", "confidence", "position", "resolution", "score", "speed", "distance", "threshold",
        "similarity", "type", "status", "state", "enabled", "longitude", "latitude", "temperature",
    )
)  # fmt: skip
"""Words in the names of numbers that count nothing of the scene."""
_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_ENVELOPE: Final = frozenset(
    (
        "channelID", "dynChannelID", "portNo", "activePostCount", "serialNo", "picNum", "picturesNumber",
        "detectionPicturesNumber", "UUID", "uuid", "alarmDataType", "relatedChannelList",
    )
)  # fmt: skip
_DIRECTIONS: Final = ("statisticalDirection", "direction")
_WAYS: Final = {"back": "backward", "reverse": "backward", "bothway": "both ways", "bothways": "both ways"}
_PERIODIC: Final = frozenset({"pdc", "timing"})
"""Sources of a density that is reported by the clock, and is no alarm."""


@dataclass(slots=True, frozen=True)
class Reading:
    """One number, and what it is of."""

    what: str
    value: float
    unit: str
    region: str | None = None
    region_name: str | None = None
    threshold: float | None = None
    rule: str | None = None
    method: str | None = None

    def measure(self) -> Measure:
        """The event's group of that name."""
        found: Measure = {"what": self.what, "value": self.value, "unit": self.unit}
        return found | (group(Measure(threshold=self.threshold, method=self.method)) or Measure())

    @property
    def word(self) -> str:
        """The difference of the event from the others of its message, beside the region."""
        words = self.what if self.unit in ("people", "1") else f"{self.what} {self.unit}"
        return words.replace(" ", "_")


@dataclass(slots=True, frozen=True)
class _Place:
    """The facts about a number that the objects around it hold."""

    region: str | None = None
    name: str | None = None
    unit: str | None = None
    direction: str | None = None
    method: str | None = None

    def inside(self, tree: Tree, *, top: bool = False) -> _Place:
        """The same, with what this object says."""
        region = text(tree, *_REGIONS) or (None if top or not _countable(tree) else text(tree, "id", "ID"))
        name = text(tree, *_REGION_NAMES) or (text(tree, "name") if region is not None and not top else None)
        return _Place(
            region or self.region,
            name or (self.name if region is None else None),
            text(tree, "thermometryUnit", "temperatureUnit") or self.unit,
            text(tree, *_DIRECTIONS) or self.direction,
            text(tree, "statisticalMethods", "statisticalMethod", "dataSource") or self.method,
        )


def temperatures(tree: Tree) -> list[Reading]:
    """The temperatures of the message, in its order: one a region, or rule."""
    found: list[Reading] = []
    for part, place in _objects(tree, _Place().inside(tree, top=True), 0):
        unit = (place.unit or "celsius").lower()
        values = [("temperature", value)] if (value := number(part, *_DEGREES)) is not None else []
        if not values:
            values = [
                (what, value) for name, what in _SEVERAL_DEGREES.items() if (value := number(part, name)) is not None
            ]
        for what, degrees in values[: MOST - len(found)]:
            found.append(
                Reading(
                    what, degrees, _UNITS.get(unit, unit), place.region, place.name,
                    number(part, *_LIMITS), text(part, *_RULES),
                )
            )  # fmt: skip
    return found


def counts(tree: Tree) -> list[Reading]:
    """Every number that a counting message carries, in its order, each of its region."""
    found: list[Reading] = []
    for part, place in _objects(tree, _Place().inside(tree, top=True), 0):
        for name in part:
            value = number(part, name)
            kind = None if value is None or name in _ENVELOPE else _kind(name, top=part is tree)
            if value is None or kind is None:
                continue
            what, unit = kind
            if what == "counted":
                way = place.direction or what
                what = _WAYS.get(way.lower(), way)
            if len(found) < MOST:
                found.append(Reading(what, value, unit, place.region, place.name, method=place.method))
    return _once(found)


def waited(tree: Tree) -> float | None:
    """The seconds that somebody has waited in a queue, or stays in a region."""
    for part, _ in _objects(tree, _Place(), 0):
        if (seconds := number(part, "waitTime", "waitingTime", "alarmTime", "dwellTime")) is not None:
            return seconds
    return None


def limit(tree: Tree) -> float | None:
    """The threshold of a queue or a density."""
    for part, _ in _objects(tree, _Place(), 0):
        if (value := number(part, "threshold", "alarmThreshold", "peopleNumThreshold")) is not None:
            return value
    return None


def periodic(tree: Tree) -> bool:
    """True where a density message is a count by the clock."""
    return any((text(part, "dataSource") or "").lower() in _PERIODIC for part, _ in _objects(tree, _Place(), 0))


def _objects(value: Any, place: _Place, depth: int) -> Iterator[tuple[Tree, _Place]]:
    """Every object of the message, the outer before the inner, with what stands around it."""
    if depth > _DEPTH:
        return
    if isinstance(value, dict):
        yield value, place
        for inner in value.values():
            if isinstance(inner, dict):
                yield from _objects(inner, place.inside(inner), depth + 1)
            elif isinstance(inner, list):
                yield from _objects(inner, place, depth + 1)
    elif isinstance(value, list):
        for inner in value:
            if isinstance(inner, dict):
                yield from _objects(inner, place.inside(inner), depth + 1)
            elif isinstance(inner, list):
                yield from _objects(inner, place, depth + 1)


def _kind(name: str, *, top: bool = False) -> _Counted | None:
    """The meaning of a number of this name; None where it counts nothing.

    `top`: it stands in the message itself, among much that counts nothing.
    """
    if (known := _COUNTED.get(name.lower())) is not None:
        return known
    words = [word.lower() for word in _WORD.findall(name)]
    if not words or not _NO_COUNT.isdisjoint(words) or (top and _COUNTS.isdisjoint(words)):
        return None
    return _Counted(" ".join(words), "1")


def _countable(tree: Tree) -> bool:
    return any(number(tree, name) is not None and _kind(name) is not None for name in tree)


def _once(readings: list[Reading]) -> list[Reading]:
    """Without what is said again in other words: the same number of the same thing in the same region."""
    return list(dict.fromkeys(readings))
