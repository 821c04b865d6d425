"""Panels' partitions, zones and peripherals, read after each connection (document, 8.4.7 to 8.4.9, 9.15, 9.31, 9.34).

The gateway keeps no event for a client that is away, but each panel knows how it is. What differs from the last
reading, and was not in the stream since the link stood, has happened unseen and becomes an event with
`reconciled: true`. A panel that sends events is read again soon, so that the last reading is never far behind them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from pump.core.event import Event, event_id
from pump.core.taxonomy import Severity
from pump.vendors.common.hik_status import status_number
from pump.vendors.hik_gateway.answers import Away, Rejected, Trouble
from pump.vendors.hik_gateway.client import Client
from pump.vendors.hik_gateway.parse import Context, PanelChange, Parsed, panel_change

PREFIX: Final = "panel/"
"""Of the state's keys: the last reading by devIndex, {part: {field: value}}."""
_PATH: Final = "/ISAPI/SecurityCP/status"
_PAGE: Final = 50
_PAGES: Final = 100
_TRUE: Final = frozenset(("true", "1"))
_FALSE: Final = frozenset(("false", "0"))

Reading = dict[str, dict[str, Any]]
"""By part ("zone/3", "partition/1", "siren/2"): its fields, of those of `_CHANGES`."""


def _pair(type_: str, name: str, severity: Severity, over: str) -> dict[Any, PanelChange]:
    return {True: PanelChange(type_, name, "start", severity), False: PanelChange(type_, over, "end", "info")}


_LOW: Final = _pair("device.battery.low", "Low battery", "warning", "Battery normal")
_TAMPER: Final = _pair("security.tampering", "Tampering", "warning", "Tampering over")
_CHANGES: Final[dict[tuple[str, str], dict[Any, PanelChange]]] = {
    ("partition", "arming"): {
        "disarm": PanelChange("security.disarmed", "Disarmed", "pulse", "info"),
        "stay": PanelChange("security.armed", "Stay armed", "pulse", "info", "stay"),
        "away": PanelChange("security.armed", "Away armed", "pulse", "info", "away"),
    },
    ("zone", "alarm"): {
        True: PanelChange("security.input.triggered", "Zone in alarm", "start", "critical"),
        False: PanelChange("security.input.restored", "Zone alarm over", "end", "info"),
    },
    ("zone", "bypassed"): {
        True: PanelChange("security.bypass.set", "Zone bypassed", "start", "notice"),
        False: PanelChange("security.bypass.restored", "Zone bypass over", "end", "info"),
    },
    ("zone", "offline"): _pair("device.detector.offline", "Detector offline", "warning", "Detector online"),
    ("zone", "fault"): _pair("device.fault.raised", "Detector fault", "warning", "Detector fault over"),
    ("zone", "tamper"): _TAMPER,
    ("zone", "low"): _LOW,
    ("output module", "offline"): _pair("device.expander.offline", "Output offline", "warning", "Output online"),
    ("relay", "offline"): _pair("device.relay.offline", "Relay offline", "warning", "Relay online"),
    ("siren", "offline"): _pair("device.sounder.offline", "Siren offline", "warning", "Siren online"),
    ("repeater", "offline"): _pair("device.repeater.offline", "Repeater offline", "warning", "Repeater online"),
    **{(part, "tamper"): _TAMPER for part in ("output module", "relay", "siren", "repeater")},
    **{(part, "low"): _LOW for part in ("output module", "relay", "siren", "repeater")},
}  # fmt: skip
_PERIPHERALS: Final = (
    ("OutputModList", "OutputMod", "output module"), ("OutputList", "Output", "relay"), ("SirenList", "Siren", "siren"),
    ("RepeaterList", "Repeater", "repeater"),
)  # fmt: skip


class PanelStates:
    """One gateway's panels. They live in the source's state; `load` at each link's beginning."""

    def __init__(self) -> None:
        self._known: dict[str, Reading] = {}
        self._heard: set[tuple[str, str]] = set()
        """Parts of which the stream spoke since the link stood: (devIndex, "zone/3")."""
        self.dirty: set[str] = set()
        """Panels that sent something since they were read."""

    def load(self, stored: Mapping[str, Any]) -> None:
        """Take up the state under `PREFIX`, for a new link."""
        self._known = {key.removeprefix(PREFIX): value for key, value in stored.items() if isinstance(value, dict)}
        self._heard.clear()
        self.dirty.clear()

    def heard(self, parsed: Parsed) -> None:
        """Note that the stream spoke of a panel, and of which of its parts."""
        data = parsed.event.data
        index = data.get("device", {}).get("id")
        if index is None:
            return
        self.dirty.add(index)
        place = data.get("place", {})
        for part in ("zone", "partition"):
            if part in place:
                self._heard.add((index, f"{part}/{place[part]}"))

    def compare(
        self, index: str, reading: Reading, context: Context, moment: str, *, unseen: bool
    ) -> tuple[list[Event], dict[str, Any]]:
        """The events of what nobody reported, where `unseen`, and the state to be stored with them."""
        before = self._known.get(index)
        self.dirty.discard(index)
        if reading == before:
            return [], {}
        events: list[Event] = []
        if unseen and before is not None:
            for part, fields in reading.items():
                if (index, part) not in self._heard and part in before:
                    events += _differences(index, part, before[part], fields, context, moment)
        self._known[index] = reading
        return events, {PREFIX + index: reading}

    def forget(self, present: Sequence[str]) -> dict[str, None]:
        """The state's changes for panels that are there no longer."""
        gone = self._known.keys() - set(present)
        for index in gone:
            del self._known[index]
        return {PREFIX + index: None for index in gone}


def _differences(
    index: str, part: str, before: Mapping[str, Any], now: Mapping[str, Any], context: Context, moment: str
) -> Iterator[Event]:
    kind, _, number = part.partition("/")
    for field, value in now.items():
        change = _CHANGES.get((kind, field), {}).get(value)
        if change is None or field not in before or before[field] == value:
            continue
        matter = event_id("panel", index, part, field)
        event = panel_change(index, kind, number, change, context)
        event.id = event_id(index, "panel", part, field, value, moment)
        if change.phase != "pulse":
            event.data["incident"] = matter
        event.data["raw"] = {"devIndex": index, "part": part, "before": dict(before), "now": dict(now)}
        yield event


async def read(client: Client, index: str) -> Reading:
    """All of a panel's parts. Raises Trouble; what a panel does not know of (8.4.7) is left out."""
    found: Reading = {}
    answer = await client.call("GET", f"{_PATH}/subSystems", what="the partitions", device=index)
    for row in _rows(answer, "SubSysList", "SubSys"):
        found[f"partition/{row['id']}"] = {"arming": str(row.get("arming") or "").strip().lower()}
    for row in await _zones(client, index):
        found[f"zone/{row['id']}"] = _state(row) | {"bypassed": _truth(row.get("bypassed"))}
    try:
        answer = await client.call("GET", f"{_PATH}/exDevStatus", what="the peripherals", device=index)
    except (Away, Rejected):
        raise
    except Trouble:
        return _without_none(found)
    known = answer.get("ExDevStatus") if isinstance(answer, dict) else None
    for name, inner, part in _PERIPHERALS:
        for row in _rows(known, name, inner):
            found[f"{part}/{row['id']}"] = {
                name: value for name, value in _state(row).items() if name not in ("alarm", "fault")
            }
    return _without_none(found)


async def _zones(client: Client, index: str) -> list[dict[str, Any]]:
    """By GET; some panels want a POST of ZoneCond and give their zones in pages (docs/field.md)."""
    try:
        answer = await client.call("GET", f"{_PATH}/zones", what="the zones", device=index)
        return _rows(answer, "ZoneList", "Zone")
    except (Away, Rejected):
        raise
    except Trouble:
        pass
    found: list[dict[str, Any]] = []
    for _ in range(_PAGES):
        order = {"ZoneCond": {"searchID": index, "searchResultPosition": len(found), "maxResults": _PAGE}}
        answer = await client.call("POST", f"{_PATH}/zones", order, what="the zones", device=index)
        holder = answer.get("ZoneSearch") if isinstance(answer, dict) and "ZoneSearch" in answer else answer
        rows = _rows(holder, "ZoneList", "Zone")
        found += rows
        more = str(holder.get("responseStatusStrg") or "") if isinstance(holder, dict) else ""
        if not rows or more.strip().upper() != "MORE":
            break
    return found


def _rows(holder: Any, name: str, inner: str) -> list[dict[str, Any]]:
    listed = holder.get(name) if isinstance(holder, dict) else None
    found = []
    for entry in listed if isinstance(listed, list) else []:
        row = entry.get(inner, entry) if isinstance(entry, dict) else None
        if isinstance(row, dict) and status_number(row.get("id")) is not None:
            found.append(row)
    return found


def _state(row: Mapping[str, Any]) -> dict[str, Any]:
    status = str(row.get("status") or "").strip().lower()
    known = status not in ("", "notrelated")
    return {
        "alarm": True if status == "trigger" else _truth(row.get("alarm")),
        "offline": status == "offline" if known else None,
        "fault": status == "breakdown" if known else None,
        "tamper": _truth(row.get("tamperEvident")),
        "low": {"lowpower": True, "normal": False}.get(str(row.get("charge") or "").strip().lower()),
    }


def _truth(value: Any) -> bool | None:
    """Booleans come as true, "true" and 1 (docs/field.md)."""
    word = str(value).strip().lower()
    return True if word in _TRUE else False if word in _FALSE else None


def _without_none(found: Reading) -> Reading:
    return {
        part: {name: value for name, value in fields.items() if value not in (None, "")}
        for part, fields in found.items()
    }
