"""Events for tests of what lies behind the parsers: whole and valid, each told from the others by its number."""

from __future__ import annotations

from datetime import UTC, datetime

from pump.core.event import Event, encode, event_id
from pump.core.record import Record
from pump.core.taxonomy import SEVERITIES
from pump.spool import Row

ARRIVED = datetime(2026, 11, 20, 8, 0, tzinfo=UTC)


def record(
    seq: int, *, type_: str = "vehicle.passed", source: str = "gate", severity: str = "info", size: int = 0
) -> Record:
    """The `seq`-th event as a sink gets it, with at least `size` bytes of plate reading in it."""
    event = Event(
        type=type_,
        id=event_id("testing", source, seq),
        data={
            "vendor": "testing",
            "code": "capture",
            "phase": "pulse",
            "severity": severity,
            "vehicle": {"plate": f"P{seq:06}"},
            "raw": {"number": seq, "padding": "x" * size},
        },
        time=ARRIVED,
        subject=f"camera/{seq % 7}",
    )
    body = encode(event, f"/testing/{source}", ARRIVED)
    return Record(seq, source, type_, SEVERITIES[severity], int(ARRIVED.timestamp() * 1000), body)


def rows(numbers: range, *, type_: str = "vehicle.passed", source: str = "gate", size: int = 0) -> list[Row]:
    """The same events as `Spool.append` takes them; a spool numbers them itself."""
    made = (record(number, type_=type_, source=source, size=size) for number in numbers)
    return [
        Row(one.source, one.type, one.severity, one.recorded, 0, event_id("testing", source, one.seq), one.body)
        for one in made
    ]
