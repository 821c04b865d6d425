"""Single values of a message, whatever was sent in their place."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from pump.vendors.common import values
from pump.vendors.common.timestamps import located, moment
from pump.vendors.common.values import text
from pump.vendors.kinot import codes
from pump.vendors.kinot.numbers import plain, without_codes

_EARLIEST: Final = datetime(2015, 1, 1, tzinfo=UTC)
_AHEAD: Final = timedelta(days=1)
"""A time farther ahead of us is impossible, and believed it would make everything after it old."""
_FLAGS: Final = {"0": 0, "1": 1, "0.0": 0, "1.0": 1, "false": 0, "true": 1, "False": 0, "True": 1}
_NOTHING: Final = ("", "null", "none")


def instant(value: object, zone: ZoneInfo, received: datetime) -> datetime | None:
    """`updated_at` as an aware time; None for what is no time, or cannot be one."""
    found = located(moment(text(value)), zone)
    return found if found is not None and _EARLIEST <= found <= received + _AHEAD else None


def clean(value: Any) -> Any:
    """A message as it is kept: numbers as numbers, without what opens a lock."""
    return plain(_drop(value))


def _drop(value: Any) -> Any:
    if isinstance(value, str):
        return without_codes(value) if type(value) is str else value  # a reason may name one
    if isinstance(value, Mapping):
        return {
            name: _drop(inner) for name, inner in value.items() if str(name).replace("_", "").lower() != codes.UNLOCKING
        }
    if isinstance(value, list):
        return [_drop(inner) for inner in value]
    return value


def flag(value: object) -> int | None:
    """0 or 1; None for everything else: a value that no document lists changes nothing, and stays in the raw form."""
    if isinstance(value, str) and value in codes.ONLINE:
        return codes.ONLINE[value]
    return _FLAGS.get(str(value).strip()) if isinstance(value, (str, int, float)) else None


def number(value: object) -> float | None:
    """A finite number, also where it is sent as text."""
    return values.number(plain(value))


def volts(value: object) -> float | None:
    """`voltage` in volts, whichever of its two units it was sent in."""
    found = number(value)
    return found / 1000 if found is not None and found >= codes.MILLIVOLTS else found


def reason(value: object) -> str | None:
    """Why a command failed, without what opens a lock; the platform writes "NULL" for nothing."""
    told = text(value)
    return None if told is None or told.lower() in _NOTHING else without_codes(told)
