"""Devices whose clock is off, found by their events: what a device calls now, less when that arrives. No I/O.

A source's intake keeps one `DeviceClocks` and shows it each event that was stored. Ten live events of a device make a
verdict: their median offset beyond a minute is a clock that is off, and one within it a clock that is right again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from pump.core.event import Event, event_id
from pump.core.groups import BOUNDS
from pump.core.text import bounded

PREFIX: Final = "clock/"
"""Of the keys under which the spool has each device's verdict."""
LIVE: Final = 10
"""Events that make a verdict: all that is remembered of a device beside its last one."""
OFF: Final = 60.0
"""Seconds beyond which a clock is off."""
MOST: Final = 20_000
"""Devices of one source; the clocks of more are not watched. Who keeps a table of devices says who is forgotten."""
SPENT: Final = "clocks"
"""The piece of state with the number of turns that are spent: a device that was forgotten begins above it."""
_STORE: Final = 5.0
"""Seconds, and the share of the offset, by which it must differ from what is stored to be stored anew."""
_SHARE: Final = 0.1
_ALIKE: Final = 10.0
"""Seconds by which offsets differ that are alike all the same."""


@dataclass(slots=True, frozen=True)
class Verdict:
    """All that is known of a device's clock."""

    offset: float
    """Seconds it is ahead; below 0 it is behind."""
    off: bool = False
    turns: int = 0
    """The number of times that it went off or was right again: it makes each turn's event id."""

    def json(self) -> dict[str, Any]:
        """As it is stored."""
        return {"offset": round(self.offset, 3), "off": self.off, "turns": self.turns}

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> Verdict:
        """As `json` gave it."""
        return cls(float(stored.get("offset", 0.0)), bool(stored.get("off")), int(stored.get("turns", 0)))


@dataclass(slots=True, frozen=True)
class Finding:
    """The state to be stored of a device's clock, and then `noted`."""

    device: str
    verdict: Verdict
    event: Event | None = None
    """The event of a clock that went off or is right again; None where its offset alone is another."""


class _Heard:
    """The last live events of one device: how far each was ahead, and when it arrived, seconds."""

    __slots__ = ("arrivals", "offsets")

    def __init__(self) -> None:
        self.offsets: deque[float] = deque(maxlen=LIVE)
        self.arrivals: deque[float] = deque(maxlen=LIVE)

    def delayed(self, offset: float) -> bool:
        """True where they are a backlog's: it comes quicker than it happened, so that its offsets shrink.

        Those of a clock are alike, however long the events took. Nobody sends what is yet to happen.
        """
        if offset > 0:
            return False
        kept = sorted(zip(self.offsets, self.arrivals, strict=True))[2:-2]  # stragglers apart
        times = [each + arrived for each, arrived in kept]
        spread = kept[-1][0] - kept[0][0]
        return spread > _ALIKE and spread > (max(times) - min(times)) / 2


class DeviceClocks:
    """The clocks of one source's devices. `source` is what a device is called whose events name none."""

    def __init__(self, source: str, stored: Mapping[str, Any], spent: int = 0) -> None:
        """`stored`: what the spool has under PREFIX, `spent` what it has as SPENT."""
        self._source = source
        self.spent = spent
        """Turns that forgotten devices may have had: their ids are taken."""
        self._heard: dict[str, _Heard] = {}
        self._known = {
            key.removeprefix(PREFIX): Verdict.of(row) for key, row in stored.items() if isinstance(row, Mapping)
        }
        """As it is stored."""
        self._largest: str | None = None
        self._find_largest()

    @property
    def largest(self) -> float | None:
        """The offset farthest from 0, with its sign, seconds; None where no device has a verdict."""
        return None if self._largest is None else self._known[self._largest].offset

    def hear(self, event: Event, arrived: datetime) -> Finding | None:
        """Take in an event that was stored; `arrived` is aware. None where it changes nothing that is worth storing."""
        time = event.claimed or event.time
        if time is None or not event.clocked or not _live(event):
            return None
        device = self._device(event)
        heard = self._heard.get(device)
        if heard is None:
            if len(self._heard) >= MOST:
                return None
            heard = self._heard[device] = _Heard()
        heard.offsets.append((time - arrived).total_seconds())
        heard.arrivals.append(arrived.timestamp())
        if len(heard.offsets) < LIVE:
            return None
        ordered = sorted(heard.offsets)
        offset = (ordered[LIVE // 2 - 1] + ordered[LIVE // 2]) / 2  # the median
        off, known = abs(offset) > OFF, self._known.get(device)
        if known is not None and off == known.off and abs(offset - known.offset) <= max(_STORE, _SHARE * abs(offset)):
            return None  # the path of nearly all
        if off and heard.delayed(offset):
            return None
        turns = self.spent if known is None else known.turns
        if off == (known is not None and known.off):
            return Finding(device, Verdict(offset, off, turns))
        verdict = Verdict(offset, off, turns + 1)
        return Finding(device, verdict, self._event(device, verdict, event, arrived))

    def noted(self, finding: Finding) -> None:
        """The finding was stored; the clock's next turn takes as many live events again."""
        device, verdict = finding.device, finding.verdict
        known = self._known.get(device)
        if known is not None and verdict.turns < known.turns + (finding.event is not None):
            return  # two puts at a time found the same turn
        if finding.event is not None:
            self._heard[device] = _Heard()
        self._known[device] = verdict
        if self._largest is None or abs(verdict.offset) >= abs(self._known[self._largest].offset):
            self._largest = device
        elif device == self._largest:
            self._find_largest()

    def forget(self, device: str) -> bool:
        """The device is not remembered any more; was anything of its clock stored?"""
        self._heard.pop(device, None)
        verdict = self._known.pop(device, None)
        if verdict is None:
            return False
        self.spent = max(self.spent, verdict.turns)
        if device == self._largest:
            self._find_largest()
        return True

    def _find_largest(self) -> None:
        self._largest = max(self._known, key=lambda device: abs(self._known[device].offset), default=None)

    def _device(self, event: Event) -> str:
        """The device table's name of it where there is one: a camera's number is unique only within its park."""
        return bounded(self._named(event), BOUNDS["key"])

    def _named(self, event: Event) -> str:
        device = event.data.get("device")
        if not isinstance(device, dict):
            return self._source
        id_ = device.get("id") or device.get("serial")
        if id_ is None:
            return self._source
        kind, _, rest = (event.subject or "").partition("/")
        # The source's name in a subject makes it unique in the site, and is no part of the device's name.
        lot = (event.data.get("place") or {}).get("lot")
        known = rest.endswith(f"/{id_}") and (rest != f"{self._source}/{id_}" or lot == self._source)
        return rest if kind != "zone" and known else str(id_)

    def _event(self, device: str, verdict: Verdict, by: Event, arrived: datetime) -> Event:
        turned = verdict.turns if verdict.off else verdict.turns - 1
        data: dict[str, Any] = {
            "vendor": by.data.get("vendor", "pump"),
            "code": "clock.off" if verdict.off else "clock.right",
            "name": "Device clock off" if verdict.off else "Device clock right again",
            "phase": "start" if verdict.off else "end",
            "severity": "warning" if verdict.off else "info",
            "incident": event_id("clock off", device, turned),
            "late": False,
            "update": False,
            "reconciled": False,
        }
        data |= {name: by.data[name] for name in ("device", "place") if name in by.data}
        data["measure"] = {"what": "clock offset", "value": round(verdict.offset, 1), "unit": "s"}
        own = by.subject is not None and by.subject.endswith(f"/{device}")
        subject = by.subject if own else f"device/{device}"
        identity = event_id("clock turn", device, verdict.turns)
        return Event("device.clock.off", identity, data, arrived, subject, clocked=False)


def _live(event: Event) -> bool:
    """True where the event came when it happened: no late one, no second upload, no difference that a query found."""
    data = event.data
    if data.get("late") or data.get("update") or data.get("reconciled"):
        return False
    dated = event.claimed is not None or data.get("time_source") != "received"
    return dated and data.get("phase") != "update"
