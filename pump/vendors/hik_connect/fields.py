"""Readers of single fields: every spelling, strings for numbers and the reverse, times in all their forms.

None of them raises for any JSON value; what cannot be read is None.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from math import isfinite
from typing import Any, Final
from zoneinfo import ZoneInfo

Group = dict[str, Any]

TRUE: Final = ("1", "true", 1, "True", "TRUE")

_ODD = re.compile(
    r"(\d{4})[-/.]?(\d{1,2})[-/.]?(\d{1,2})[Tt ]?(\d{1,2}):?(\d{2}):?(\d{2})(\.\d+)?"
    r"\s*(?:[Zz]|(?:GMT|UTC)?([+-])(\d{1,2}):?(\d{2})?)?"
)
_EPOCH = re.compile(r"\d{10}(?:\d{3})?")
_EPOCH_NAIVE = datetime(1970, 1, 1)  # noqa: DTZ001  # stands beside times without a zone
_EPOCH_UTC = datetime(1970, 1, 1, tzinfo=UTC)
_BEGIN, _END = 2000, 2100  # years between which a clock that was ever set can stand


def text(group: Group, name: str, *others: str) -> str | None:
    """The first of the fields that holds a text, a number or a boolean, as stripped text; blank counts as absent."""
    value = group.get(name)
    if type(value) is str:  # nearly always, and this is called twenty times an event
        value = value.strip()
        if value:
            return value
    elif value is not None:
        found = _spelled(value)
        if found is not None:
            return found
    return text(group, *others) if others else None


def _spelled(value: object) -> str | None:
    if type(value) is int:
        return str(value)
    if type(value) is float:
        return str(int(value) if value.is_integer() else value)
    return str(value).lower() if type(value) is bool else None


def child(group: Group, name: str, *others: str) -> Group | None:
    """The first of the fields that holds an object that is not empty."""
    value = group.get(name)
    if value and type(value) is dict:
        return value
    return child(group, *others) if others else None


def children(group: Group, *names: str) -> list[Any]:
    """The first of the fields that holds a list that is not empty; an object alone counts as a list of one."""
    for name in names:
        value = group.get(name)
        if value:
            if type(value) is list:
                return value
            if type(value) is dict:
                return [value]
    return []


def number(group: Group, *names: str) -> float | None:
    """The first of the fields that holds a finite number, also one written as text."""
    for name in names:
        value = group.get(name)
        if type(value) is str:
            try:
                value = float(value)
            except ValueError:
                continue
        if (type(value) is int or type(value) is float) and isfinite(value):
            return value
    return None


def word(group: Group, words: Mapping[str, str], *names: str) -> str | float | None:
    """The dictionary's word for the first of the fields that is there; a value it does not know, as it came."""
    for name in names:
        value = group.get(name)
        if type(value) is str:
            found = words.get(value)
            if found is not None:
                return found
            stripped = value.strip()
            if stripped:
                return words.get(stripped, value)
        elif type(value) is int or type(value) is float:
            return words.get(str(value), value)
    return None


def moment(value: object) -> datetime | None:
    """The time that a text or a number (seconds or milliseconds since 1970) stands for, without a zone if it has none.

    Impossible ones, and those of clocks that were never set (1970), are None.
    """
    if type(value) is str:
        if len(value) > 10 and value[4] == "-":
            try:
                stamp = datetime.fromisoformat(value)
            except ValueError:
                return _odd(value)
            return stamp if _BEGIN <= stamp.year < _END else None
        return _odd(value)
    return _odd(str(value)) if type(value) is int else None


def _odd(value: str) -> datetime | None:
    value = value.strip()
    try:
        if _EPOCH.fullmatch(value):
            stamp = datetime.fromtimestamp(int(value[:10]), UTC) + timedelta(milliseconds=int(value[10:] or 0))
        elif found := _ODD.fullmatch(value):
            year, month, day, hour, minute, second, fraction, sign, hours, minutes = found.groups()
            zone = None
            if sign:
                offset = timedelta(hours=int(hours), minutes=int(minutes or 0))
                zone = timezone(-offset if sign == "-" else offset)
            elif value[-1] in "Zz":
                zone = UTC
            micro = int(float(fraction or 0) * 1_000_000)
            stamp = datetime(int(year), int(month), int(day), int(hour), int(minute), int(second), micro, zone)
        else:
            return None
    except (ValueError, OverflowError):
        return None
    return stamp if _BEGIN <= stamp.year < _END else None


def located(stamp: datetime | None, zone: ZoneInfo) -> datetime | None:
    """The time in its own zone, or in the source's where it names none.

    An hour that the clocks skip or repeat is read with the offset before the change.
    """
    if stamp is None or stamp.tzinfo is not None:
        return stamp
    return stamp.replace(tzinfo=zone)


def dedup_time_ms(stamp: datetime | None) -> int:
    """Milliseconds since 1970 of the time as sent: one without a zone counts as UTC, whatever the settings say."""
    if stamp is None:
        return 0
    since = stamp - (_EPOCH_NAIVE if stamp.tzinfo is None else _EPOCH_UTC)
    return since.days * 86_400_000 + since.seconds * 1000 + since.microseconds // 1000
