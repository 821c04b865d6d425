"""The pump's vocabulary: every event type with what it says, the phases, the severities. One table, no I/O.

Vendors' code tables name these types; a type that stands in no row here is a mistake that a test finds. Types are
`<domain>[.<object>].<what>`; a code that no vendor document lists becomes `<domain>.unknown`.
"""

from __future__ import annotations

from fnmatch import translate
from functools import lru_cache
import re
from typing import Final, Literal

Phase = Literal["start", "end", "pulse", "update"]
PHASES: Final = ("start", "end", "pulse", "update")

SEVERITIES: Final[dict[str, int]] = {"info": 0, "notice": 1, "warning": 2, "critical": 3}
"""Name to rank; the spool keeps the rank."""

DOMAINS: Final = (
    "vehicle", "parking", "security", "video", "access", "driving", "intercom", "device", "command", "media", "pump",
)  # fmt: skip

PUMP: Final[dict[str, str]] = {
    "pump.started": "The daemon started",
    "pump.stopping": "The daemon is stopping, as asked",
    "pump.source.up": "A source reaches its vendor",
    "pump.source.down": "A source does not reach its vendor",
    "pump.gap": "Events of a span of time may be missing: from, to, how many, why",
    "pump.record.unparsed": "A vendor's record that could not be parsed, kept whole",
    "pump.spool.filling": "The spool is four fifths full; the data names who holds it",
    "pump.spool.repaired": "A damaged spool was set aside; the data tells what was carried over and what is lost",
}
