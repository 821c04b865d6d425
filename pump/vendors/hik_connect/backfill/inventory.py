"""The account's devices (document, 5.2.1, 5.11.2): they name what events call by id, and say who is there.

The last known state of each stands in the spool as the device table's rows do, so that `pump devices` lists it. Who
came or went unseen is found by asking, after a lapse.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final

import structlog

from pump.core.clock import Clock
from pump.core.event import Event, Unparsed, event_id
from pump.ingest.devices import PREFIX, Device
from pump.ingest.intake import Intake
from pump.vendors.common.fields import Group, child, children, text
from pump.vendors.common.values import member
from pump.vendors.hik_connect.backfill.reader import LogReader
from pump.vendors.hik_connect.words import DEVICE_CATEGORIES

log = structlog.get_logger()

FIRST: Final = 300.0
"""Seconds after a start until the inventory is read for the first time; a gap that is filled reads it at once."""
_ENCODING: Final = 2001
"""The only category of 5.11.2."""
_PAGE: Final = 100
_MOST_PAGES: Final = 1000
_ONLINE: Final = {"0": False, "1": True}
_NAMED: Final = ("name", "serial", "category")


class Inventory:
    """One source's. `every` is the time from one reading to the next, in seconds; 0: only after a lapse."""

    def __init__(self, intake: Intake, reader: LogReader, clock: Clock, every: float) -> None:
        self._intake = intake
        self._reader = reader
        self._clock = clock
        self._every = every
        self._due: float | None = clock.monotonic() + FIRST if every else None
        self._known: dict[str, Device] = {
            key.removeprefix(PREFIX): Device.of(key.removeprefix(PREFIX), row)
            for key, row in intake.state(PREFIX).items()
            if isinstance(row, dict)
        }

    def name(self, items: Iterable[Event | Unparsed]) -> None:
        """Name the devices of events that call them by id alone."""
        if not self._known:
            return
        for item in items:
            if not isinstance(item, Event) or (group := item.data.get("device")) is None:
                continue
            if (device := self._known.get(group.get("id"))) is None:
                continue
            for field in _NAMED:
                if field not in group and (value := device.facts.get(field)) is not None:
                    group[field] = value

    def ask(self) -> None:
        """It is due now: somebody may have come or gone unseen."""
        self._due = self._clock.monotonic()

    async def refresh(self) -> None:
        """Read it where it is due. Raises CallFailed, Unavailable.

        Who came or went unseen becomes an event with `data.reconciled`.
        """
        if self._due is None or self._clock.monotonic() < self._due:
            return
        # Put off first: where it fails, gaps must not wait for it.
        self._due = self._clock.monotonic() + self._every if self._every else None
        listed = await self._reader.listed("/api/hccgw/resource/v1/devices/get", {}, "device")
        states = await self._states()
        events: list[Event] = []
        state: dict[str, Any] = {}
        fresh: dict[str, Device] = {}
        for row in listed:
            key = text(row, "id")
            if key is None:
                continue
            online = _ONLINE.get(states.get(key, text(row, "onlineStatus")) or "")
            device = self._row(key, row, online)
            before = self._known.get(key)
            if before is not None and online is not None and before.online is not online and before.seen:
                device.turns += 1
                events.append(self._turn(device, before))
            fresh[key] = device
            state[PREFIX + key] = device.json()
        state |= {PREFIX + key: None for key in self._known.keys() - fresh.keys()}
        await self._intake.put(*events, state=state)
        self._known = fresh

    async def _states(self) -> dict[str, str]:
        """By device, as the maintenance service knows them; it wants an area, and has encoding devices alone."""
        found: dict[str, str] = {}
        for area in await self._reader.areas():
            for page in range(1, _MOST_PAGES):
                body = {
                    "page": page, "pageSize": _PAGE, "areaId": text(area, "id", "areaID") or "-1",
                    "includeSubArea": "0", "deviceCategory": _ENCODING,
                }  # fmt: skip
                data = await self._reader.call("/api/hccgw/maintenance/v1/list/device/detail", body)
                rows = children(data, "devices", "rows") if isinstance(data, dict) else []
                for row in rows:
                    base = child(row, "baseStatus") or row
                    if (key := text(base, "id")) is not None and (status := text(base, "status")) is not None:
                        found[key] = status
                if not rows or member(data, "hasNext") not in (True, "true", 1):
                    break
        return found

    def _row(self, key: str, row: Group, online: bool | None) -> Device:
        before = self._known.get(key)
        category = text(row, "category")
        facts = {
            "name": text(row, "name"), "serial": text(row, "serialNo"), "model": text(row, "type"),
            "version": text(row, "version"), "category": DEVICE_CATEGORIES.get(category or "", category),
        }  # fmt: skip
        known = before is not None and before.online
        seen = _stamp(self._clock.now()) if online else (before.seen if before is not None else "")
        return Device(
            key, None, known if online is None else online, before.turns if before is not None else 0, 0.0, seen,
            {name: value for name, value in facts.items() if value is not None},
        )  # fmt: skip

    def _turn(self, device: Device, before: Device) -> Event:
        come = device.online
        data: dict[str, Any] = {
            "vendor": "hik-connect",
            "code": "online" if come else "offline",
            "name": "Device online" if come else "Device offline",
            "phase": "end" if come else "start",
            "severity": "info" if come else "warning",
            "incident": event_id("offline", "hik-connect", device.key, device.turns if not come else before.turns),
            "late": False,
            "update": False,
            "reconciled": True,
            "device": {"id": device.key, **{name: device.facts[name] for name in _NAMED if name in device.facts}},
        }
        kind = "device.online" if come else "device.offline"
        # The same change found twice, for the first answer was lost, is one event: the turn is stored with it.
        identity = event_id("turn", "hik-connect", device.key, device.turns)
        return Event(kind, identity, data, self._clock.now(), f"device/{device.key}", clocked=False)


def _stamp(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
