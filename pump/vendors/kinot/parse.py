"""Statuses and command results to events: pure, by comparing with what was last stored of the device.

A status says how a device is, not what happened: what happened is the difference from its stored state. The same
status compared with the same state gives the same events, whether it was pushed or read.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo

from pump.core.errors import MessageError
from pump.core.event import AHEAD, Event, event_id
from pump.core.groups import Command, Device, Groups, Measure, Parking, Power, Radio, group
from pump.vendors.common.values import text
from pump.vendors.kinot import codes
from pump.vendors.kinot import values as read
from pump.vendors.kinot.codes import Facet, Row

Outcome = Literal["first", "changed", "unchanged", "old", "duplicate"]

_LONGEST_SN: Final = 64
_ACCEPTED: Final = 8
"""Pushes of a device that are remembered by their digests; older ones show by their time, which has whole seconds."""
_FACTS: Final = (("address", "host"), ("version", "firmware"))
"""Facts of the device table, and the fields that hold them."""
STATES: Final = ("commnad_status", "command_status", "commnadStatus", "commandStatus")


@dataclass(slots=True, frozen=True)
class Status:
    """One device as one message has it."""

    sn: str
    kind: str
    """lock, sensor or gateway, as the subject says it."""
    category: str | None
    """In words, where the message's `device_type` says it."""
    time: datetime | None
    """`updated_at`, aware; None where it is missing or impossible."""
    values: dict[str, int]
    """Facet to 0 or 1, of those that the message has."""
    facets: Sequence[Facet]
    power: Power | None
    radio: Radio | None
    received: datetime
    """When it came, aware."""
    facts: dict[str, Any]
    """The rest that the device table shows of it."""
    raw: dict[str, Any]
    """The message, without what opens a lock."""

    @property
    def measures(self) -> dict[str, float]:
        """The values that were measured (`codes.QUANTITIES`), by its name in the device table."""
        power, radio = self.power or Power(), self.radio or Radio()
        found = {
            "volts": power.get("volts"),
            "rssi": radio.get("rssi"),
            "coil_frequency": radio.get("coil_frequency"),
            codes.ACTIVE.field: self.values.get(codes.ACTIVE.field),
        }
        return {name: value for name, value in found.items() if value is not None}

    @property
    def stamp(self) -> int | None:
        """`time` in milliseconds since 1970."""
        return None if self.time is None else _ms(self.time)

    def moment(self, ahead: timedelta = AHEAD) -> int:
        """When it was so, milliseconds since 1970, by which statuses are put in order: its `time`, or its arrival
        where there is none, or it is farther than `ahead` after the arrival."""
        time = self.time
        return _ms(self.received if time is None or time > self.received + ahead else time)

    @property
    def key(self) -> str:
        """Under which the spool keeps the device's state."""
        return state_key(self.sn, self.kind)


@dataclass(slots=True, frozen=True)
class Result:
    """The result of a status."""

    outcome: Outcome
    events: list[Event]
    state: dict[str, Any] | None
    """The state that is to be stored with them; None where it stays."""


def state_key(sn: str, kind: str = "") -> str:
    """Under which the spool keeps a device's state: "device/<sn>", or "device/gateway/<sn>"."""
    return f"device/gateway/{sn}" if kind == "gateway" else f"device/{sn}"


def is_command(fields: Mapping[str, Any]) -> bool:
    """True where a callback is a command's result, whichever address it came to."""
    return any(name in fields for name in STATES)


def status(fields: Mapping[str, Any], zone: ZoneInfo, received: datetime, kind: str | None = None) -> Status:
    """Read a lock's or sensor's status: a callback's body, or one of the objects that the lists have.

    `kind` is the list's; `zone` is where times without an offset belong, `received` the aware time of arrival.
    Raises MessageError without a serial number.
    """
    number = text(fields.get("device_type"))
    told = codes.CATEGORIES.get(number or "")
    category = told.words if told else None
    if "locked" in fields:
        # the one mark that every lock has, whatever its type is called
        kind, category = "lock", category if told and told.kind == "lock" else None
    elif kind is None:
        kind = told.kind if told else "sensor"
        if told is None and number != codes.EITHER:
            category = number  # a type that nobody lists stays as it came
    elif told and told.kind != kind:
        category = None
    return _status(fields, zone, received, kind, category, (*codes.FACETS, codes.ACTIVE))


def gateway(fields: Mapping[str, Any], zone: ZoneInfo, received: datetime) -> Status:
    """Read a gateway's ("dtu") status; as `status`."""
    return _status(fields, zone, received, "gateway", None, (codes.GATEWAY,))


def _status(
    fields: Mapping[str, Any],
    zone: ZoneInfo,
    received: datetime,
    kind: str,
    category: str | None,
    facets: Sequence[Facet],
) -> Status:
    sn = text(fields.get("sn"))
    if sn is None or len(sn) > _LONGEST_SN:
        raise MessageError("the message has no sn")
    values = {facet.field: found for facet in facets if (found := read.flag(fields.get(facet.field))) is not None}
    return Status(
        sn=sn,
        kind=kind,
        category=category,
        time=read.instant(fields.get("updated_at"), zone, received),
        values=values,
        facets=facets,
        power=group(Power(volts=read.volts(fields.get("voltage")))),
        radio=group(Radio(rssi=read.number(fields.get("rs_si")), coil_frequency=read.number(fields.get("frequency")))),
        received=received,
        facts={name: told for name, field in _FACTS if (told := text(fields.get(field))) is not None},
        raw=read.clean(fields),
    )


def compare(
    now: Status, state: Mapping[str, Any] | None, *, every: bool = False, reconciled: bool = False,
    ahead: timedelta = AHEAD, digest: str | None = None,
) -> Result:  # fmt: skip
    """The events that lie between a device's stored state and a status.

    `every`: a status that changes nothing is an event too. `reconciled`: it was read, not pushed. `ahead`: see
    `Status.moment`. `digest` stands for the content of what was pushed: the same once more is a duplicate.
    """
    before: Mapping[str, Any] = state or {}
    known: dict[str, int] = dict(before.get("values", {}))
    at: int | None = before.get("at")
    if at is not None and at > _ms(now.received + ahead):
        at = None  # a wrong clock's, the device's or this machine's
    moment = now.moment(ahead)
    arrived = now.time is None or now.time > now.received + ahead
    if at is not None and now.stamp is not None and not arrived:
        # Against an arrival the arrival decides: a time that is right may be some minutes behind it.
        behind = ahead // timedelta(milliseconds=1) if before.get("arrived") else 0
        if moment < at - behind:
            return Result("old", [], None)
    accepted: list[str] = [*before.get("accepted", ())]
    if digest is not None and now.stamp is not None:  # without a time the same status may come as often as it is so
        if digest in accepted:
            return Result("duplicate", [], None)
        accepted = [*accepted, digest][-_ACCEPTED:]
    values = known | now.values
    maker = _Maker(now, before, values, reconciled)
    for facet in now.facets:
        value = now.values.get(facet.field)
        if value is None or value == known.get(facet.field):
            continue
        if facet.field in known or facet.at_first or facet.row(value).phase == "start":
            maker.changed(facet, value)
    measures = now.measures
    if not now.values and not measures:
        return Result("unchanged", [maker.unknown()], None)
    changed = bool(maker.events)
    measured = maker.measured(measures, moment)
    told = bool(maker.events)
    if every and not changed and (now.stamp is not None or not reconciled):
        maker.same()
    # Without `updated_at` a revision stands in for it: it must grow exactly when there are events.
    category = now.category or before.get("facts", {}).get("name") or codes.PLAIN[now.kind]
    seen = moment if now.time is not None or told or state is None else None
    wanted = {
        # as the device table has it (pump/ingest/devices.py), for `pump devices`
        "interval": None,
        "online": bool(values.get(codes.GATEWAY.field, 1)),
        "turns": 0,
        "heard": 0.0,
        "seen": before.get("seen", "") if seen is None else _iso(datetime.fromtimestamp(seen / 1000, UTC)),
        "facts": {**before.get("facts", {}), "serial": now.sn, "kind": now.kind, "name": category, **now.facts}
        | measures,
        # what the next status is compared with
        "at": moment if now.stamp is not None else at,
        **({"arrived": True} if (arrived if now.stamp is not None else before.get("arrived")) else {}),
        "revision": before.get("revision", 0) + told,
        "values": values,
        "incidents": maker.incidents,
        **({"accepted": accepted} if accepted else {}),
        "measured": measured,
    }
    outcome: Outcome = "first" if state is None else "changed" if changed else "unchanged"
    return Result(outcome, maker.events, None if wanted == before else wanted)


def command(
    fields: Mapping[str, Any], zone: ZoneInfo, received: datetime, state: Mapping[str, Any] | None = None
) -> Event:
    """The command.result of a callback. `state` is what is stored of its device: it knows what the type 38 hides.

    Raises MessageError where it has neither a guid nor a serial number.
    """
    guid, sn = text(fields.get("guid")), text(fields.get("sn"))
    if guid is None and sn is None:
        raise MessageError("the message has neither guid nor sn")
    word = next((found for name in STATES if (found := text(fields.get(name))) is not None), None)
    name, severity = codes.COMMAND_STATES.get((word or "").lower(), codes.OTHER_STATE)
    time = read.instant(fields.get("updated_at"), zone, received)
    dedup_time_ms = 0 if time is None else int(time.timestamp() * 1000)
    raw = read.clean(fields)
    told = codes.CATEGORIES.get(text(fields.get("device_type")) or "")
    known: Mapping[str, Any] = (state or {}).get("facts", {})
    kind = told.kind if told else known.get("kind")
    category = told.words if told else known.get("name") or codes.PLAIN.get(kind or "")
    data: dict[str, Any] = {
        "vendor": "kinot",
        "code": word or "command",
        "name": name,
        "phase": "pulse",
        "severity": severity,
        **_MARKS,
    }
    if sn is not None:
        data["device"] = group(Device(id=sn, serial=sn, category=category))
    result = group(Command(request_id=guid, status=word, reason=read.reason(fields.get("reason"))))
    if result:
        data["command"] = result
    data["raw"] = raw
    identity = (
        (guid, word, dedup_time_ms) if guid is not None else (sn, word, dedup_time_ms, sorted(raw.items(), key=str))
    )
    return Event(
        "command.result",
        event_id("kinot", "command", *identity),
        data,
        time,
        None if sn is None else f"{kind or 'device'}/{sn}",
        dedup_time_ms,
    )


_MARKS: Final = {"late": False, "update": False, "reconciled": False}


class _Maker:
    """Makes the events of one status."""

    def __init__(self, now: Status, before: Mapping[str, Any], values: Mapping[str, int], reconciled: bool) -> None:
        self.events: list[Event] = []
        self.incidents: dict[str, str] = dict(before.get("incidents", {}))
        self._now = now
        self._measured: dict[str, list[float]] = dict(before.get("measured", {}))
        self._reconciled = reconciled
        self._moment: object = now.stamp if now.stamp is not None else ("revision", before.get("revision", 0))
        category = now.category or before.get("facts", {}).get("name") or codes.PLAIN[now.kind]
        self._groups: Groups = {"device": {"id": now.sn, "serial": now.sn, "category": category}}
        if parking := _parking(now.facets, values):
            self._groups["parking"] = parking
        low = values.get("low_battery")
        if power := group(Power(**(now.power or Power()), low=None if low is None else bool(low))):
            self._groups["power"] = power
        if now.radio:
            self._groups["radio"] = now.radio

    def changed(self, facet: Facet, value: int) -> None:
        """A facet has another value than before, or is seen for the first time."""
        row = facet.row(value)
        event = self._event(row, event_id("kinot", self._now.sn, self._moment, facet.field, value))
        if row.phase == "start":
            self.incidents[facet.field] = event.id
        incident = self.incidents.get(facet.field) if row.phase == "start" else self.incidents.pop(facet.field, None)
        if incident is not None:
            event.data["incident"] = incident

    def measured(self, measures: Mapping[str, float], at: int) -> dict[str, list[float]]:
        """An event for each quantity that is due; the last report of each, and its time (ms since 1970)."""
        now = self._now
        for quantity in codes.QUANTITIES:
            value = measures.get(quantity.name)
            if value is None:
                continue
            last = self._measured.get(quantity.name)
            steady = last is not None and round(abs(value - last[0]), 6) < quantity.change
            if last is not None and steady and 0 <= at - last[1] < codes.HOURLY:
                continue
            self._measured[quantity.name] = [value, at]
            event = self._event(codes.MEASURE, event_id("kinot", now.sn, self._moment, "measure", quantity.name))
            del event.data["raw"]  # what else the message says is told beside it
            told = bool(value) if quantity.name == codes.ACTIVE.field else value
            event.data |= {"code": quantity.what, "name": f"{quantity.what.capitalize()} measured"}
            event.data["measure"] = group(Measure(what=quantity.what, value=told, unit=quantity.unit))
        return self._measured

    def same(self) -> None:
        """Nothing has another value."""
        known = self._now.stamp is not None
        # a status without time or change has no identity at all: twice beats never
        self._event(
            codes.STATUS,
            event_id("kinot", self._now.sn, self._moment, "status") if known else secrets.token_hex(16),
        )

    def unknown(self) -> Event:
        """The status says nothing that we understand."""
        event = self._event(codes.UNKNOWN, event_id("kinot", self._now.sn, sorted(self._now.raw.items(), key=str)))
        event.quarantined = True
        return event

    def _event(self, row: Row, identity: str) -> Event:
        data: dict[str, Any] = {
            "vendor": "kinot",
            "code": row.code,
            "name": row.name,
            "phase": row.phase,
            "severity": row.severity,
            **_MARKS,
            "reconciled": self._reconciled,
            **self._groups,
            "raw": self._now.raw,
        }
        now = self._now
        event = Event(row.type, identity, data, now.time, f"{now.kind}/{now.sn}", now.stamp or 0)
        event.clocked = now.kind != "gateway"  # those are asked, and do not send
        self.events.append(event)
        return event


def _parking(facets: Sequence[Facet], values: Mapping[str, int]) -> Parking | None:
    faults = [values[facet.field] for facet in facets if facet.fault and facet.field in values]
    occupied, locked = values.get("car_detected"), values.get("locked")
    return group(
        Parking(
            occupied=None if occupied is None else bool(occupied),
            locked=None if locked is None else bool(locked),
            fault=any(faults) if faults else None,
        )
    )


def _ms(time: datetime) -> int:
    return int(time.timestamp() * 1000)


def _iso(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
