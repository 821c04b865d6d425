"""Kinot's dictionaries: device types, the facets of a status with the events they give, command states, fields."""

from __future__ import annotations

from typing import Final, NamedTuple

from pump.core.taxonomy import Phase, Severity

LOCK: Final = 18
SENSOR: Final = 34
REGISTERED: Final = (LOCK, SENSOR)
"""The types whose notification configuration the API knows ("Set notification configuration info")."""


class Category(NamedTuple):
    """A `device_type`."""

    kind: str
    """lock or sensor, as subjects name it."""
    words: str


CATEGORIES: Final[dict[str, Category]] = {
    "17": Category("lock", "arm lock"),
    "18": Category("lock", "parking lock"),
    "26": Category("lock", "flat lock"),
    "33": Category("sensor", "radar"),
    "34": Category("sensor", "parking sensor"),
}
"""By `device_type` (document, "Subscribe"; docs/field.md)."""
EITHER: Final = "38"
"""The `device_type` in the document's samples of locks and of sensors: it says nothing."""
PLAIN: Final = {"lock": "parking lock", "sensor": "parking sensor", "gateway": "gateway"}
"""Kind to words where no known `device_type` says more."""

UNLOCKING: Final = "btmatchcode"
"""A field whose name, without underscores and in small letters, is this opens a lock: it is never kept."""


class Row(NamedTuple):
    """The meaning of one value of a field."""

    value: int
    code: str
    type: str
    name: str
    phase: Phase
    severity: Severity


class Facet(NamedTuple):
    """A field that is 0 or 1, with an event for each ("Response body detail")."""

    field: str
    off: Row
    on: Row
    at_first: bool
    """True where 0 is an event at the first sight of a device: that no fault was raised is none."""
    fault: bool = False

    def row(self, value: int) -> Row:
        """The row of a value."""
        return self.on if value else self.off


class _Named(NamedTuple):
    type: str
    name: str


def _pair(
    field: str,
    off: _Named,
    on: _Named,
    severity: Severity,
    *,
    at_first: bool = False,
    fault: bool = False,
) -> Facet:
    return Facet(
        field,
        Row(0, f"{field}=0", off.type, off.name, "end", "info"),
        Row(1, f"{field}=1", on.type, on.name, "start", severity),
        at_first,
        fault,
    )


def _fault(field: str, what: str) -> Facet:
    cleared = _Named("device.fault.cleared", f"{what} fault cleared")
    return _pair(field, cleared, _Named("device.fault.raised", f"{what} fault"), "warning", fault=True)


FACETS: Final = (
    _pair(
        "car_detected",
        _Named("parking.space.vacated", "Space vacated"),
        _Named("parking.space.occupied", "Space occupied"),
        "info",
        at_first=True,
    ),
    _pair(
        "locked",
        _Named("parking.lock.lowered", "Lock lowered"),
        _Named("parking.lock.raised", "Lock raised"),
        "info",
        at_first=True,
    ),
    _pair(
        "low_battery",
        _Named("device.battery.normal", "Battery normal"),
        _Named("device.battery.low", "Battery low"),
        "warning",
        at_first=True,
    ),
    _fault("coil_fault", "Loop coil"),
    _fault("bar_position_error", "Bar position"),
    _fault("motor_fail", "Motor"),
    _pair(
        "shell_opened",
        _Named("device.tamper", "Cabinet closed"),
        _Named("device.tamper", "Cabinet opened"),
        "warning",
    ),
)
"""In the order in which the events of one status are emitted."""

ACTIVE: Final = Facet(
    "active",
    Row(0, "active=0", "device.deactivated", "Sensor deactivated", "start", "warning"),
    Row(1, "active=1", "device.activated", "Sensor activated", "end", "info"),
    at_first=False,
)
"""A sensor's `active`, which the lists' sample alone shows: a command's 1 activates it, 2 freezes it ("Send command").
A frozen one reports no cars, so that 0 is what begins and ends."""

GATEWAY: Final = Facet(
    "online",
    Row(0, "offline", "device.offline", "Gateway offline", "start", "warning"),
    Row(1, "online", "device.online", "Gateway online", "end", "info"),
    at_first=True,
)
"""A gateway's ("dtu") one facet, sent as "online" or "offline"; being offline is what begins and ends."""
ONLINE: Final = {"online": 1, "offline": 0}


class Quantity(NamedTuple):
    """A value that a device measures, reported hourly and at a change that matters."""

    name: str
    """In the device table."""
    what: str
    unit: str | None
    change: float
    """The difference to the value reported last from which on it is reported at once."""


QUANTITIES: Final = (
    Quantity("volts", "voltage", "V", 0.1),
    Quantity("rssi", "signal", "dBm", 10.0),
    Quantity("coil_frequency", "coil frequency", "kHz", 4.0),
    Quantity("active", "active", None, 1.0),
)
"""A tenth of a volt is weeks of a lithium cell's end; a signal wanders by a few dB; a car shifts a coil's frequency by
a few per cent, a tenth is the coil itself. The document has no unit of signal and frequency: they are those of LoRa and
of loops in the ground."""
HOURLY: Final = 3_600_000
"""Milliseconds from one report of a quantity to the next where it changes by less."""
MILLIVOLTS: Final = 100.0
"""A voltage from here on is in millivolts: the table says so, the samples and the field have volts."""

MEASURE: Final = Row(0, "measure", "device.measure", "Measurement", "pulse", "info")
STATUS: Final = Row(0, "status", "device.status", "Status unchanged", "pulse", "info")
"""With `emit = "all"`: a status that changes nothing."""

UNKNOWN: Final = Row(0, "message", "device.unknown", "Unknown message", "pulse", "notice")


class CommandState(NamedTuple):
    """The meaning of a command's state."""

    name: str
    severity: Severity


COMMAND_STATES: Final[dict[str, CommandState]] = {
    "sending": CommandState("Command being sent", "info"),
    "pending": CommandState("Command pending", "info"),
    "arrived": CommandState("Command arrived at the device", "info"),
    "succeeded": CommandState("Command succeeded", "info"),
    "failed": CommandState("Command failed", "warning"),
}
"""By `commnad_status` ("Command changed"); another state keeps its own word."""
OTHER_STATE: Final = CommandState("Command result", "notice")
