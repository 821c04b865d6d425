"""Times as devices write them; None for what is none, cannot be one, or comes from a clock never set. Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Final

_WRITTEN: Final = (
    r"(\d{4})[-/.]?(\d{1,2})[-/.]?(\d{1,2})[Tt ]?\s*(\d{1,2}):?(\d{1,2}):?(\d{2})(?:[.,](\d{1,9})\d*)?"
    r"\s*(?:([Zz])|(?:GMT|UTC)?([+-])\s*(\d{1,2}):?(\d{2})?|(\d{2}):?(\d{2}))?"
)
_WHOLE: Final = re.compile(_WRITTEN)
_EPOCH: Final = re.compile(r"\d{10}(?:\d{3})?")
_EPOCH_NAIVE: Final = datetime(1970, 1, 1)  # noqa: DTZ001  # stands beside times without a zone
_EPOCH_UTC: Final = datetime(1970, 1, 1, tzinfo=UTC)
_BEGIN, _END = 2000, 2100
"""Years between which a clock that was ever set can stand."""


def moment(value: object) -> datetime | None:
    """The time that a text or a number (seconds or milliseconds since 1970) stands for, without a zone if it has none.

    Offsets without their sign ("T11:46:3100:00", "... 00:00") lost a plus on their way; "-6:00" is read as it stands.
    """
    if type(value) is str:
        if len(value) > 10 and value[4] == "-":  # nearly always
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
        elif found := _WHOLE.fullmatch(value):
            stamp = _built(*found.groups())
        else:
            return None
    except (ValueError, OverflowError):
        return None
    return stamp if _BEGIN <= stamp.year < _END else None


def _built(
    year: str, month: str, day: str, hour: str, minute: str, second: str, fraction: str | None, utc: str | None,
    sign: str | None, hours: str | None, minutes: str | None, bare_hours: str | None, bare_minutes: str | None,
) -> datetime:  # fmt: skip
    """Raises ValueError and OverflowError."""
    zone = UTC if utc else offset(sign or "+", hours or bare_hours, minutes or bare_minutes)
    micros = int((fraction or "0").ljust(6, "0")[:6])
    return datetime(int(year), int(month), int(day), int(hour), int(minute), int(second), micros, tzinfo=zone)


def offset(sign: str, hours: str | None, minutes: str | None) -> timezone | None:
    """The zone of an offset's parts, None where there is none. Raises ValueError for a day and more."""
    if hours is None:
        return None
    shift = timedelta(hours=int(hours), minutes=int(minutes or 0))
    return timezone(-shift if sign == "-" else shift)


def located(stamp: datetime | None, zone: tzinfo) -> datetime | None:
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
