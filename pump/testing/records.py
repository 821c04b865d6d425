"""Events for tests of what lies behind the parsers: whole and valid, each known from the others by its number."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from pump.core.clock import Clock
from pump.core.event import Event, encode, event_id
from pump.core.record import Record
from pump.core.taxonomy import SEVERITIES
from pump.spool import Row
from pump.testing.clock import START

ARRIVED: Final = START
"""The arrival of an event that meets no clock but a `ManualClock`, which begins then."""


def record(
    seq: int,
    *,
    type_: str = "vehicle.passed",
    source: str = "gate",
    severity: str = "info",
    size: int = 0,
    at: datetime = ARRIVED,
) -> Record:
    """The `seq`-th event as a sink gets it, with at least `size` bytes of plate reading in it.

    `at` is the aware moment at which it happened and arrived: a sink on the real clock that looks at ages wants a
    recent one.
    """
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
        time=at,
        subject=f"camera/{seq % 7}",
    )
    body = encode(event, f"/testing/{source}", at)
    return Record(seq, source, type_, SEVERITIES[severity], int(at.timestamp() * 1000), body)


def rows(
    numbers: range, clock: Clock, *, type_: str = "vehicle.passed", source: str = "gate", size: int = 0
) -> list[Row]:
    """The same events as `Spool.append` takes them, arrived just now; a spool numbers them itself.

    `clock` is the one that the spool was opened with: by any other they might be older than its `retention`, and gone.
    """
    at = clock.now()
    made = (record(number, type_=type_, source=source, size=size, at=at) for number in numbers)
    return [
        Row(one.source, one.type, one.severity, one.recorded, 0, event_id("testing", source, one.seq), one.body)
        for one in made
    ]
