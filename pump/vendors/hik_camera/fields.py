"""Readers of single fields of a message: none raises for any value; what cannot be read is None."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta, timezone, tzinfo
from math import isfinite
from typing import Any, Final

from pump.vendors.hik_camera.document import Tree

_TIME: Final = re.compile(
    r"(\d{4})-(\d{1,2})-(\d{1,2})[Tt ]\s*(\d{1,2}):(\d{1,2}):(\d{2})(?:[.,](\d{1,9}))?"
    r"\s*(?:([Zz])|([+-]?)\s*(\d{1,2}):?(\d{2}))?"
)
_FIRST_YEAR: Final = 2000
"""A device whose clock was never set says 1970."""
_EXACT: Final = 2**53
_TRUE: Final = frozenset({"true", "1", "yes"})
_FALSE: Final = frozenset({"false", "0", "no"})
_HISTORY: Final = frozenset({"1", "1.0", "true", "history", "historical", "historydata"})
_LATE: Final[dict[str, frozenset[str]]] = {
    "isdataretransmission": _TRUE, "isretransmission": _TRUE, "dataretransmission": _TRUE, "alarmdatatype": _HISTORY,
    "currentevent": _FALSE | {"2"},
}  # fmt: skip
"""Marks of what the device had stored and sends later, by their name in lower case, with what they then say."""


def text(tree: Tree | None, *names: str) -> str | None:
    """The first of the fields that holds a text or a number, stripped; blank counts as absent."""
    for name in names:
        value = tree.get(name) if tree else None
        if isinstance(value, str) and (stripped := value.strip()):
            return stripped
        if isinstance(value, int | float) and not isinstance(value, bool):
            return str(value)
    return None


def number(tree: Tree | None, *names: str) -> float | None:
    """The first of the fields that holds a finite number, also one written as text."""
    for name in names:
        value = tree.get(name) if tree else None
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            continue
        try:
            found = float(value)
        except (ValueError, OverflowError):
            continue
        if isfinite(found):
            return int(found) if found.is_integer() and abs(found) < _EXACT else found
    return None


def whole(tree: Tree | None, *names: str) -> int | None:
    """As `number`, where it is a whole one."""
    found = number(tree, *names)
    return found if isinstance(found, int) else None


def flag(tree: Tree | None, name: str) -> bool | None:
    """A boolean: true, "true" and 1 are the same."""
    value = tree.get(name) if tree else None
    word = str(value).strip().lower()
    return True if word in _TRUE else False if word in _FALSE else None


def stored(named: Sequence[tuple[str, Any]]) -> bool:
    """Whether a mark among a message's leaves says that the device had stored it and sends it later."""
    return any(
        str(value).strip().lower() in late for name, value in named if (late := _LATE.get(name.lower())) is not None
    )


def entries(tree: Tree) -> list[Tree]:
    """The entries of the message's DetectionRegionList, whether it holds one or several, or they stand alone."""
    listed = [tree, *children(tree, "DetectionRegionList")]
    return [entry for one in listed for entry in children(one, "DetectionRegionEntry")] or [
        one for one in listed[1:] if "regionID" in one
    ]


def child(tree: Tree | None, *names: str) -> Tree | None:
    """The first of the fields that holds an object; of a list of them the first."""
    for name in names:
        value = tree.get(name) if tree else None
        if isinstance(value, list) and value:
            value = value[0]
        if isinstance(value, dict):
            return value
    return None


def children(tree: Tree | None, *names: str) -> list[Tree]:
    """The objects of the first of the fields that has any, whether it holds one or a list."""
    for name in names:
        value = tree.get(name) if tree else None
        found = [item for item in (value if isinstance(value, list) else [value]) if isinstance(item, dict)]
        if found:
            return found
    return []


def moment(value: object, zone: tzinfo) -> datetime | None:
    """An aware time; one without an offset is in `zone`. Impossible ones, and those of unset clocks, are None.

    Offsets without their sign ("T11:46:3100:00", "... 00:00") lost a plus on their way; "-6:00" is read as it stands.
    """
    found = _TIME.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None:
        return None
    year, month, day, hour, minute, second, fraction, utc, sign, hours, minutes = found.groups()
    if not _FIRST_YEAR <= int(year) < 2100:
        return None
    at: tzinfo = zone
    try:
        if utc:
            at = timezone.utc  # noqa: UP017  # its name is wanted as a tzinfo beside others
        elif hours is not None:
            offset = timedelta(hours=int(hours), minutes=int(minutes))
            at = timezone(-offset if sign == "-" else offset)
        micros = int((fraction or "0").ljust(6, "0")[:6])
        stamp = datetime(int(year), int(month), int(day), int(hour), int(minute), int(second), micros, tzinfo=at)
        _ = stamp.utctimetuple()  # the ends of the calendar
    except (ValueError, OverflowError):
        return None
    return stamp


def leaves(value: Any, depth: int = 0) -> Iterator[tuple[str, Any]]:
    """(name, value) of every leaf below, in the document's order."""
    if depth > 64:
        return
    if isinstance(value, dict):
        for name, inner in value.items():
            if isinstance(inner, dict | list):
                yield from leaves(inner, depth + 1)
            else:
                yield str(name), inner
    elif isinstance(value, list):
        for inner in value:
            if isinstance(inner, dict | list):
                yield from leaves(inner, depth + 1)
            else:
                yield "", inner
