"""Messages of the vendor to events. No I/O: bytes and values in, events out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

import orjson

from pump.cli.new.templates.nameless_vendor import codes
from pump.core.errors import MessageError
from pump.core.event import Event, event_id
from pump.core.groups import Device, group

_LONGEST: Final = 200
"""Characters of a text that names something."""
_EARLIEST: Final = datetime(2015, 1, 1, tzinfo=UTC)
_AHEAD: Final = timedelta(days=1)
"""A time farther ahead of us is impossible."""


class Batch(NamedTuple):
    """One answer of `/records`."""

    number: int | None
    """The batch's number, for `/confirm`; None: there is nothing new."""
    records: list[Any]


def batch(body: bytes) -> Batch:
    """Read an answer of `/records`. Raises MessageError for what is none."""
    try:
        decoded = orjson.loads(body)
    except ValueError:
        raise MessageError("the answer is not JSON") from None
    if not isinstance(decoded, dict) or not isinstance(decoded.get("records"), list):
        raise MessageError("the answer has no list of records")
    number = decoded.get("batch")
    if not isinstance(number, int | None):
        raise MessageError("the batch's number is no number")
    return Batch(number, decoded["records"])


def record(fields: object, zone: ZoneInfo, received: datetime) -> Event:
    """The event of one record. `zone` is where times without an offset belong, `received` the aware time of arrival.

    Raises MessageError for a record without an id: nothing distinguishes it from another.
    """
    if not isinstance(fields, dict):
        raise MessageError("the record is not an object")
    own = _text(fields.get("id"))
    if own is None:
        raise MessageError("the record has no id")
    code = _text(fields.get("kind")) or "none"
    row = codes.CODES.get(code, codes.UNKNOWN)
    time = _instant(fields.get("at"), zone, received)
    stamp = 0 if time is None else int(time.timestamp() * 1000)
    data: dict[str, Any] = {
        "vendor": "nameless-vendor",
        "code": code,
        "name": row.name,
        "phase": row.phase,
        "severity": row.severity,
    }
    device = fields.get("device")
    named = device if isinstance(device, dict) else {}
    sender = _text(named.get("id"))
    if found := group(Device(id=sender, name=_text(named.get("name")))):
        data["device"] = found
    data["raw"] = fields
    return Event(
        row.type,
        event_id("nameless-vendor", own, stamp),
        data,
        time,
        None if sender is None else f"device/{sender}",
        dedup_time_ms=stamp,
        quarantined=row is codes.UNKNOWN,
    )


def _text(value: object) -> str | None:
    """Text or a number's text; None for everything else, for empty text and for endless text."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    return value.strip() if isinstance(value, str) and 0 < len(value.strip()) <= _LONGEST else None


def _instant(value: object, zone: ZoneInfo, received: datetime) -> datetime | None:
    """An ISO time as an aware one; None for what is no time, or cannot be one."""
    try:
        found = datetime.fromisoformat(value) if isinstance(value, str) else None
        if found is None:
            return None
        found = found if found.tzinfo is not None else found.replace(tzinfo=zone)
        return found if _EARLIEST <= found <= received + _AHEAD else None
    except (ValueError, OverflowError):
        return None
