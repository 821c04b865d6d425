"""Hikvision's CID codes (Device Gateway's document, A.3), each with what it says in the pump's words.

One table for every vendor folder whose device speaks them: the gateway's CIDAlarm, a panel's own cidEvent.

A CIDCode of four digits is a qualifier before the code: 1 triggered, 3 restored ("1103" and "3103" are code 103).
The document's prose calls the last digit the status; its table and its examples use the first.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Final, NamedTuple

from pump.core.taxonomy import Phase, Severity


@dataclass(frozen=True, slots=True)
class Code:
    """What a CIDCode says. `preset` holds groups of the event that the code alone settles; it is never changed."""

    type: str
    name: str
    severity: Severity
    phase: Phase = "pulse"
    preset: dict[str, dict[str, Any]] = field(default_factory=dict)


_LOW: Final = {"power": {"low": True}}

# Code, type, severity, name when triggered, name when restored; then, where they differ, type and severity when
# restored. Every row begins something that its second name ends.
_RESTORING: Final[tuple[tuple[Any, ...], ...]] = (
    ("100", "security.medical", "critical", "Medical Alarm", "Medical Alarm Restored"),
    ("103", "security.alarm.instant", "critical", "Instant Alarm", "Instant Alarm Restored"),
    ("110", "security.fire", "critical", "Fire Alarm", "Fire Alarm Restored"),
    ("122", "security.alarm.silent", "critical", "24H Silent Alarm", "24H Silent Alarm Restored"),
    ("123", "security.alarm.audible", "critical", "24H Audible Alarm", "24H Audible Alarm Restored"),
    ("124", "security.alarm.auxiliary", "critical", "24H Aux Alarm", "24H Aux Alarm Restored"),
    ("125", "security.alarm.shock", "critical", "24H Shock Alarm", "24H Shock Alarm Restored"),
    ("126", "security.alarm.overtime", "warning", "Overtime Alarm", "Overtime Alarm Restored"),
    ("129", "security.panic", "critical", "Panic Alarm", "Panic Alarm Restored"),
    ("130", "security.burglary", "critical", "Burglary Alarm", "Burglary Alarm Restored"),
    ("131", "security.perimeter", "critical", "Perimeter Alarm", "Perimeter Alarm Restored"),
    ("132", "security.interior", "critical", "Interior Alarm", "Interior Alarm Restored"),
    ("134", "security.alarm.delayed", "critical", "Delayed Alarm", "Delayed Alarm Restored"),
    ("137", "security.tampering", "critical", "Device Tampered", "Device Tamper Restored"),
    ("141", "device.bus.open", "warning", "BUS Open-circuit Alarm", "BUS Open-circuit Restored"),
    ("142", "device.bus.short", "warning", "BUS Short-circuit Alarm", "BUS Short-circuit Restored"),
    ("148", "security.moved", "critical", "Device Motion Alarm", "Device Motion Alarm Restored"),
    ("151", "security.gas", "critical", "Gas Leakage Alarm", "Gas Leakage Alarm Restored"),
    ("207", "security.prealarm", "warning", "Zone Pre-Alarm", "Zone Pre-Alarm Restored"),
    ("301", "device.power.lost", "warning", "AC Power Down", "AC Power On"),
    ("302", "device.battery.low", "warning", "Low Battery", "Normal Battery"),
    ("333", "device.expander.fault", "warning", "Expander Exception", "Expander Restored"),
    ("336", "device.printer.offline", "notice", "Printer Disconnected", "Printer Connected"),
    ("338", "device.battery.low", "warning", "Expander Low Voltage", "Normal Expander Voltage"),
    ("341", "security.tampering", "critical", "Expander Tampered", "Expander Restored"),
    ("342", "device.power.lost", "warning", "Expander AC Power Down", "Expander AC Power On"),
    ("343", "security.tampering", "critical", "Wireless Repeater Tampered", "Wireless Repeater Restored"),
    ("344", "security.tampering", "critical", "Wireless Siren Tampered", "Wireless Siren Restored"),
    ("345", "device.sounder.offline", "warning", "Wireless Siren Disconnected", "Wireless Siren Connected"),
    ("354", "device.telephone.offline", "warning", "Telephone Line Disconnected", "Telephone Line Connected"),
    ("382", "device.bus.fault", "warning", "BUS Supervision Fault", "BUS Supervision Restored"),
    ("383", "security.tampering", "critical", "Detector Tampered", "Detector Tamper Restored"),
    ("570", "security.bypass.set", "notice", "Bypass", "Bypass Restored", "security.bypass.restored", "info"),
    (
        "574", "security.bypass.set", "notice", "Group Bypass", "Group Bypass Restored",
        "security.bypass.restored", "info",
    ),
    (
        "862", "security.keypad.locked", "warning", "Keypad Locked", "Keypad Unlocked",
        "security.keypad.unlocked", "info",
    ),
    ("910", "device.keypad.offline", "warning", "Keypad Disconnected", "Keypad Connected"),
    ("911", "device.relay.offline", "warning", "KBUS Relay Disconnected", "KBUS Relay Connected"),
    ("912", "device.keypad.offline", "warning", "KBUS GP/K Disconnected", "KBUS GP/K Connected"),
    ("913", "device.keypad.offline", "warning", "KBUS MN/K Disconnected", "KBUS MN/K Connected"),
    ("914", "device.detector.offline", "warning", "Wireless Detector Disconnected", "Wireless Detector Connected"),
    ("915", "device.battery.low", "warning", "Wireless Detector Low Battery", "Normal Wireless Detector Battery"),
    ("916", "device.expander.offline", "warning", "Expander Disconnected", "Expander Connected"),
    ("917", "device.repeater.offline", "warning", "Wireless Repeater Disconnected", "Wireless Repeater Connected"),
    ("918", "device.radar.fault", "warning", "Radar Transmitter Fault", "Radar Transmitter Restored"),
    ("919", "device.battery.low", "warning", "Wireless Siren Low Battery", "Normal Wireless Siren Battery"),
    (
        "920", "device.cellular.offline", "warning", "Cellular Data Network Disconnected",
        "Cellular Data Network Connected",
    ),
    ("921", "device.sim.fault", "warning", "SIM Card Exception", "SIM Card Restored"),
    ("922", "device.wifi.offline", "warning", "Wi-Fi Communication Fault", "Wi-Fi Connected"),
    ("923", "device.radio.fault", "warning", "RF Signal Exception", "Normal RF Signal"),
    ("930", "device.ip.conflict", "warning", "IP Address Conflicted", "Normal IP address"),
    ("931", "device.wired.offline", "warning", "Wired Network Exception", "Normal Wired Network"),
    ("940", "video.motion", "info", "Motion Detection Alarm Started", "Motion Detection Alarm Stopped"),
    ("941", "video.tampering", "warning", "Tampering Alarm Started", "Tampering Alarm Stopped"),
    ("942", "video.lost", "warning", "Video Signal Loss", "Video Signal Restored"),
    (
        "943", "device.video_standard.mismatch", "notice", "Input/Output Format Unmatched",
        "Input/Output Format Restored",
    ),
    ("944", "device.signal.fault", "warning", "Video Input Exception", "Video Input Restored"),
    ("945", "device.disk.full", "warning", "Full HDD", "Free HDD"),
    ("946", "device.disk.error", "warning", "HDD Exception", "HDD Restored"),
    (
        "949", "device.camera.offline", "warning", "Network Camera Disconnected.", "Network Camera Connected.",
        "device.camera.online", "info",
    ),
)  # fmt: skip

# CIDCode, type, severity, name, preset groups: what begins nothing that would end. For the arming codes, outputs,
# peripherals and services 1 and 3 are two different things, not a trigger and its restore.
_PULSES: Final[tuple[tuple[Any, ...], ...]] = (
    ("1121", "security.duress", "critical", "Duress"),
    ("1305", "device.reset", "notice", "Control Panel Reset"),
    ("1386", "security.zone.open", "warning", "Zone Open-circuit Alarm"),
    ("1387", "security.zone.short", "warning", "Zone Short-circuit Alarm"),
    ("1401", "security.disarmed", "info", "Disarming", {"alarm": {"mode": "disarmed"}}),
    ("3401", "security.armed", "info", "Arming", {}),
    ("1403", "security.disarmed", "info", "Auto Disarming", {"alarm": {"mode": "disarmed"}}),
    ("3403", "security.armed", "info", "Auto Arming", {"alarm": {"mode": "schedule"}}),
    ("1406", "security.alarm.cleared", "info", "Alarm Clearing"),
    ("3408", "security.armed", "info", "Instant Arming", {"alarm": {"mode": "instant"}}),
    ("1409", "security.disarmed", "info", "Key Zone Disarming", {"alarm": {"mode": "disarmed"}}),
    ("3409", "security.armed", "info", "Key Zone Arming", {"alarm": {"mode": "key zone"}}),
    ("3441", "security.armed", "info", "Stay Arming", {"alarm": {"mode": "stay"}}),
    ("3442", "security.armed", "notice", "Forced Arming", {"alarm": {"mode": "forced"}}),
    ("1443", "security.output.on", "info", "Turn On Output by Schedule"),
    ("3443", "security.output.off", "info", "Turn Off Output by Schedule"),
    ("1452", "security.disarm.late", "notice", "Late Disarming"),
    ("1455", "security.arm.failed", "warning", "Auto Arming Failed"),
    ("1460", "security.output.on_failed", "warning", "Turning On Output Failed"),
    ("1461", "security.output.off_failed", "warning", "Turning Off Output Failed"),
    ("1462", "security.disarm.failed", "warning", "Auto Disarming Failed"),
    ("1601", "security.test.manual", "info", "Manual Report Test"),
    ("1602", "security.test.periodic", "info", "Periodic Report Test"),
    ("3602", "security.test.heartbeat", "info", "Device Heartbeat Event"),
    ("1617", "security.test.telephone", "info", "Telephone Connection Test"),
    ("1627", "security.programming.entered", "notice", "Enter Programming"),
    ("1628", "security.programming.exited", "info", "Exit Programming"),
    ("1810", "security.panic", "critical", "Virtual Zone Panic Alarm"),
    ("1811", "security.fire", "critical", "Virtual Zone Fire Alarm"),
    ("1812", "security.burglary", "critical", "Virtual Zone Burglary Alarm"),
    ("1847", "security.medical", "critical", "Virtual Zone Medical Alarm"),
    ("1863", "security.absence", "warning", "Absence Alarm"),
    ("1924", "device.cellular.exceeded", "notice", "Network Flow Exceeded"),
    ("1947", "device.upload.failed", "notice", "Upload Picture Failed"),
    ("1948", "device.email.failed", "notice", "Sending Email Failed."),
    ("1960", "security.service.duty_check", "info", "Duty Checking"),
    ("1961", "security.service.post_response", "info", "Post Response"),
    ("1970", "security.service.bus_query", "info", "BUS Query"),
    ("1971", "security.service.bus_registration", "info", "BUS Registration"),
    ("1973", "security.disarmed", "info", "Single-Zone Disarming", {"alarm": {"mode": "disarmed"}}),
    ("3973", "security.armed", "info", "Single-Zone Arming", {"alarm": {"mode": "single zone"}}),
    ("1974", "security.service.zone_cleared", "info", "Single-Zone Alarm Cleared"),
    ("1975", "device.peripheral.deleted", "notice", "Delete Detector"),
    ("3975", "device.peripheral.added", "info", "Add Detector"),
    ("1976", "security.service.consulting", "info", "Business Consulting"),
    ("3976", "security.service.consulted", "info", "Business Consulting Over"),
    ("1977", "device.peripheral.deleted", "notice", "Delete Expander"),
    ("3977", "device.peripheral.added", "info", "Add Expander"),
    ("1978", "device.peripheral.deleted", "notice", "Delete Wireless Repeater"),
    ("3978", "device.peripheral.added", "info", "Add Wireless Repeater"),
    ("1979", "device.peripheral.deleted", "notice", "Delete Wireless Siren"),
    ("3979", "device.peripheral.added", "info", "Add Wireless Siren"),
)


def _table() -> dict[str, Code]:
    table: dict[str, Code] = {}
    for code, type_, severity, triggered, restored, *other in _RESTORING:
        preset = _LOW if type_ == "device.battery.low" else {}
        end_type, end_severity = other or (type_, severity)
        table["1" + code] = Code(type_, triggered, severity, "start", preset)
        table["3" + code] = Code(end_type, restored, end_severity, "end", {"power": {"low": False}} if preset else {})
    for code, type_, severity, name, *more in _PULSES:
        table[code] = Code(type_, name, severity, "pulse", *more)
    return table


UNLISTED: Final = Code("security.unknown", "CID code that no document lists", "notice")
"""What a code without a row says."""

CODES: Final[dict[str, Code]] = _table()
"""By CIDCode, its four digits as sent. The document's row "507" stands for 1570 and 3570."""

_NONE: Final = frozenset(("none", "null"))


def ending(code: str) -> Code | None:
    """The row of an alarm whose eventState is inactive; None where its code says no more than that something was done.

    Arming codes and the like have a second code of their own, and are no matter that goes on.
    """
    row = CODES.get(code, UNLISTED)
    if row.phase == "start":
        return CODES["3" + code[1:]]
    if row.phase == "pulse" and code.startswith("1") and "3" + code[1:] not in CODES:
        return replace(row, phase="end")
    return None


def alarm_uuid(text: str | None) -> str | None:
    """An alarm's UUID; None for those that stand for none: "0", or zeros in a UUID's form."""
    return text if text and text.strip("{}").replace("-", "").strip("0") and text.lower() not in _NONE else None


ZONE_RULE: Final = "zone and code"
DEVICE_RULE: Final = "device and code"
"""`alarm.rule` of a restore that ends an alarm from which it differs: what was gone by."""


class Spot(NamedTuple):
    """The place and the parts that an alarm is about, as CIDParam and zone give them; None where nothing is said."""

    device: str | None
    code: str
    """Without its qualifier."""
    zone: int | str | None
    partition: int | str | None
    keypad: int | str | None
    module: int | str | None
    channel: int | str | None
    disk: int | str | None

    def restored_by(self, other: Spot) -> bool:
        """True where a restore of `other` may mean this: the same zone, or, without one, nothing that differs."""
        if self[:3] != other[:3]:
            return False
        end = len(self) if self.zone is None else 4  # of a zone's alarm the partition alone
        return all(one == two or None in (one, two) for one, two in zip(self[3:end], other[3:end], strict=True))

    def likeness(self, other: Spot) -> int:
        """The number of parts that agree."""
        return sum(one == two for one, two in zip(self, other, strict=True))

    @property
    def rule(self) -> str:
        """The rule that a restore goes by where it differs."""
        return DEVICE_RULE if self.zone is None else ZONE_RULE


def likeliest(spot: Spot, near: Iterable[tuple[str, Spot]]) -> str | None:
    """The one, by its name, that a restore of this place ends though it differs; the likest, of those the first.

    A zone has one alarm of a code, whatever keypad or module says so. Without a zone the parts are what it is about:
    none may differ, and only one alarm may be meant.
    """
    found = [(each.likeness(spot), name) for name, each in near if each.restored_by(spot)]
    if not found or (spot.zone is None and len(found) > 1):
        return None
    return max(found, key=lambda pair: pair[0])[1]
