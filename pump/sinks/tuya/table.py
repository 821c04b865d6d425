"""The ledger as a person reads it (`pump reconcile`): made of what is stored, without the sink or its settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from pump.sinks.tuya.ledger import FED, FORGOTTEN, FORM, SINCE, read
from pump.sinks.tuya.windows import OF_TYPE, Kind, Window

OPEN: Final = "open"
"""It has not ended, or its lag after the end is not over."""
DUE: Final = "due"
"""It was never accepted."""
CHANGED: Final = "changed"
"""It was accepted; late events have changed it since, and it is reported again."""
ACCEPTED: Final = "accepted"
REFUSED: Final = "refused"
"""The vendor refuses it for what it holds; it is tried again."""


class Line(NamedTuple):
    """One count of one window; times in milliseconds since 1970."""

    start: int
    end: int
    kind: Kind
    ours: int
    sent: int | None
    """The count that was accepted last; None: none was."""
    sn: str | None
    state: str
    refused: str
    """The vendor's words, where it refuses."""


def lines(memory: Mapping[str, Any], begin: int, end: int, now: int) -> Iterator[Line]:
    """The counts of all windows that begin in [`begin`, `end`), in order; all in milliseconds since 1970.

    Windows without an event, which are stored once they are accepted, are among them.
    """
    form = memory.get(FORM)
    if not isinstance(form, dict):
        return
    windows = dict(read(memory))
    lag = int(form["lag"])
    for window in _complete(windows, memory, int(form["window"]), begin, min(end, now)):
        for data_type, kinds in OF_TYPE.items():
            for kind in kinds:
                if _shown(window, kind, memory):
                    yield _line(window, data_type, kind, now - lag)


def _complete(
    windows: Mapping[int, Window], memory: Mapping[str, Any], length: int, begin: int, end: int
) -> Iterator[Window]:
    """The windows that are stored, and the empty ones between them since the first."""
    since = memory.get(SINCE)
    at = end if since is None else max(since, memory.get(FORGOTTEN, since))
    if at < begin:
        at = begin + -begin % length
    for start in sorted(windows):
        while at < min(start, end):
            yield Window(at, min(at + length - at % length, start))
            at += length - at % length
        if begin <= start < end:
            yield windows[start]
        at = max(at, windows[start].end)
    while at < end:
        yield Window(at, at + length - at % length)
        at += length - at % length


def _shown(window: Window, kind: Kind, memory: Mapping[str, Any]) -> bool:
    fed = memory.get(FED, {}).get(kind)
    return kind in window.sent or window.count(kind) > 0 or (fed is not None and fed <= window.start)


def _line(window: Window, data_type: int, kind: Kind, settled: int) -> Line:
    sent, ours = window.sent.get(kind), window.count(kind)
    if sent == ours:
        state = ACCEPTED
    elif window.refused:
        state = REFUSED
    elif sent is not None:
        state = CHANGED
    else:
        state = OPEN if window.end > settled else DUE
    refused = window.refused if state == REFUSED else ""
    return Line(window.start, window.end, kind, ours, sent, window.sn.get(data_type) or None, state, refused)
