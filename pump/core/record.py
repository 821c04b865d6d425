"""A stored event on its way from the spool to the sinks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

State = dict[str, Any]
"""A sink's memory beside its cursor: small, JSON."""


class Record(NamedTuple):
    """A stored event on its way to the sinks."""

    seq: int
    """The spool's number: grows, may have gaps, is in no event; the operators' page alone names its rows by it."""
    source: str
    """The source's name in pump.toml, or "pump" for the daemon's own events."""
    type: str
    severity: int
    """0 info, 1 notice, 2 warning, 3 critical."""
    recorded: int
    """When it arrived, milliseconds since 1970."""
    body: bytes
    """The whole CloudEvent as JSON, one line without its end; UTF-8, no CR or LF inside."""


Batch = Sequence[Record]
"""Never empty; in the order of arrival; only what the sink's routing lets through."""
