"""Hikvision's CID codes (Device Gateway's document, A.3), each with its meaning in the pump's words.

One table for every vendor folder whose device speaks them: the gateway's CIDAlarm, a panel's own cidEvent.

A CIDCode of four digits is a qualifier before the code: 1 triggered, 3 restored ("1103" and "3103" are code 103).
The document's prose calls the last digit the status; its table and its examples use the first.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from pump.core.groups import Groups, Word
from pump.core.taxonomy import Phase, Severity

_NOTHING: Final[Groups] = {}


class Code(NamedTuple):
    """The meaning of a CIDCode. `preset` holds groups of the event that the code alone settles; it is never changed."""

    type: str
    name: str
    severity: Severity
    phase: Phase = "pulse"
    preset: Groups = _NOTHING


_LOW: Final[Groups] = {"power": {"low": True}}
_NORMAL: Final[Groups] = {"power": {"low": False}}


class _Restoring(NamedTuple):
    """A code that begins something when triggered and ends it when restored: two CIDCodes."""

    code: str
    """Without its qualifier."""
    type: str
    severity: Severity
    triggered: str
    """The name of the one, and then of the other."""
    restored: str
    end_type: str | None = None
    """The type of the restore, where it is another one."""
    end_severity: Severity | None = None


class _Pulse(NamedTuple):
    """A CIDCode that begins nothing that would end."""

    code: str
    """All four digits."""
    type: str
    severity: Severity
    name: str
    mode: str | None = None
    """The way in which the code alone says that a partition is armed."""


_RESTORING: Final = (
    _Restoring("100", "security.medical", "critical", "Medical Alarm", "Medical Alarm Restored"),
    _Restoring("103", "security.alarm.instant", "critical", "Instant Alarm", "Instant Alarm Restored"),
    _Restoring("110", "security.fire", "critical", "Fire Alarm", "Fire Alarm Restored"),
    _Restoring("122", "security.alarm.silent", "critical", "24H Silent Alarm", "24H Silent Alarm Restored"),
    _Restoring("123", "security.alarm.audible", "critical", "24H Audible Alarm", "24H Audible Alarm Restored"),
    _Restoring("124", "security.alarm.auxiliary", "critical", "24H Aux Alarm", "24H Aux Alarm Restored"),
    _Restoring("125", "security.alarm.shock", "critical", "24H Shock Alarm", "24H Shock Alarm Restored"),
    _Restoring("126", "security.alarm.overtime", "warning", "Overtime Alarm", "Overtime Alarm Restored"),
    _Restoring("129", "security.panic", "critical", "Panic Alarm", "Panic Alarm Restored"),
    _Restoring("130", "security.burglary", "critical", "Burglary Alarm", "Burglary Alarm Restored"),
    _Restoring("131", "security.perimeter", "critical", "Perimeter Alarm", "Perimeter Alarm Restored"),
    _Restoring("132", "security.interior", "critical", "Interior Alarm", "Interior Alarm Restored"),
    _Restoring("134", "security.alarm.delayed", "critical", "Delayed Alarm", "Delayed Alarm Restored"),
    _Restoring("137", "security.tampering", "critical", "Device Tampered", "Device Tamper Restored"),
    _Restoring("141", "device.bus.open", "warning", "BUS Open-circuit Alarm", "BUS Open-circuit Restored"),
    _Restoring("142", "device.bus.short", "warning", "BUS Short-circuit Alarm", "BUS Short-circuit Restored"),
    _Restoring("148", "security.moved", "critical", "Device Motion Alarm", "Device Motion Alarm Restored"),
    _Restoring("151", "security.gas", "critical", "Gas Leakage Alarm", "Gas Leakage Alarm Restored"),
    _Restoring("207", "security.prealarm", "warning", "Zone Pre-Alarm", "Zone Pre-Alarm Restored"),
    _Restoring("301", "device.power.lost", "warning", "AC Power Down", "AC Power On"),
    _Restoring("302", "device.battery.low", "warning", "Low Battery", "Normal Battery"),
    _Restoring("333", "device.expander.fault", "warning", "Expander Exception", "Expander Restored"),
    _Restoring("336", "device.printer.offline", "notice", "Printer Disconnected", "Printer Connected"),
    _Restoring("338", "device.battery.low", "warning", "Expander Low Voltage", "Normal Expander Voltage"),
    _Restoring("341", "security.tampering", "critical", "Expander Tampered", "Expander Restored"),
    _Restoring("342", "device.power.lost", "warning", "Expander AC Power Down", "Expander AC Power On"),
    _Restoring("343", "security.tampering", "critical", "Wireless Repeater Tampered", "Wireless Repeater Restored"),
    _Restoring("344", "security.tampering", "critical", "Wireless Siren Tampered", "Wireless Siren Restored"),
    _Restoring("345", "device.sounder.offline", "warning", "Wireless Siren Disconnected", "Wireless Siren Connected"),
    _Restoring("354", "device.telephone.offline", "warning", "Telephone Line Disconnected", "Telephone Line Connected"),
    _Restoring("382", "device.bus.fault", "warning", "BUS Supervision Fault", "BUS Supervision Restored"),
    _Restoring("383", "security.tampering", "critical", "Detector Tampered", "Detector Tamper Restored"),
    _Restoring("570", "security.bypass.set", "notice", "Bypass", "Bypass Restored", "security.bypass.restored", "info"),
    _Restoring(
        "574", "security.bypass.set", "notice", "Group Bypass", "Group Bypass Restored",
        "security.bypass.restored", "info",
    ),
    _Restoring(
        "862", "security.keypad.locked", "warning", "Keypad Locked", "Keypad Unlocked",
        "security.keypad.unlocked", "info",
    ),
    _Restoring("910", "device.keypad.offline", "warning", "Keypad Disconnected", "Keypad Connected"),
    _Restoring("911", "device.relay.offline", "warning", "KBUS Relay Disconnected", "KBUS Relay Connected"),
    _Restoring("912", "device.keypad.offline", "warning", "KBUS GP/K Disconnected", "KBUS GP/K Connected"),
    _Restoring("913", "device.keypad.offline", "warning", "KBUS MN/K Disconnected", "KBUS MN/K Connected"),
    _Restoring(
        "914", "device.detector.offline", "warning", "Wireless Detector Disconnected",
        "Wireless Detector Connected",
    ),
    _Restoring(
        "915", "device.battery.low", "warning", "Wireless Detector Low Battery",
        "Normal Wireless Detector Battery",
    ),
    _Restoring("916", "device.expander.offline", "warning", "Expander Disconnected", "Expander Connected"),
    _Restoring(
        "917", "device.repeater.offline", "warning", "Wireless Repeater Disconnected",
        "Wireless Repeater Connected",
    ),
    _Restoring("918", "device.radar.fault", "warning", "Radar Transmitter Fault", "Radar Transmitter Restored"),
    _Restoring("919", "device.battery.low", "warning", "Wireless Siren Low Battery", "Normal Wireless Siren Battery"),
    _Restoring(
        "920", "device.cellular.offline", "warning", "Cellular Data Network Disconnected",
        "Cellular Data Network Connected",
    ),
    _Restoring("921", "device.sim.fault", "warning", "SIM Card Exception", "SIM Card Restored"),
    _Restoring("922", "device.wifi.offline", "warning", "Wi-Fi Communication Fault", "Wi-Fi Connected"),
    _Restoring("923", "device.radio.fault", "warning", "RF Signal Exception", "Normal RF Signal"),
    _Restoring("930", "device.ip.conflict", "warning", "IP Address Conflicted", "Normal IP address"),
    _Restoring("931", "device.wired.offline", "warning", "Wired Network Exception", "Normal Wired Network"),
    _Restoring("940", "video.motion", "info", "Motion Detection Alarm Started", "Motion Detection Alarm Stopped"),
    _Restoring("941", "video.tampering", "warning", "Tampering Alarm Started", "Tampering Alarm Stopped"),
    _Restoring("942", "video.lost", "warning", "Video Signal Loss", "Video Signal Restored"),
    _Restoring(
        "943", "device.video_standard.mismatch", "notice", "Input/Output Format Unmatched",
        "Input/Output Format Restored",
    ),
    _Restoring("944", "device.signal.fault", "warning", "Video Input Exception", "Video Input Restored"),
    _Restoring("945", "device.disk.full", "warning", "Full HDD", "Free HDD"),
    _Restoring("946", "device.disk.error", "warning", "HDD Exception", "HDD Restored"),
    _Restoring(
        "949", "device.camera.offline", "warning", "Network Camera Disconnected.", "Network Camera Connected.",
        "device.camera.online", "info",
    ),
)  # fmt: skip

# For arming codes, outputs, peripherals and services 1 and 3 are two different things, no trigger and its restore.
_PULSES: Final = (
    _Pulse("1121", "security.duress", "critical", "Duress"),
    _Pulse("1305", "device.reset", "notice", "Control Panel Reset"),
    _Pulse("1386", "security.zone.open", "warning", "Zone Open-circuit Alarm"),
    _Pulse("1387", "security.zone.short", "warning", "Zone Short-circuit Alarm"),
    _Pulse("1401", "security.disarmed", "info", "Disarming", mode="disarmed"),
    _Pulse("3401", "security.armed", "info", "Arming"),
    _Pulse("1403", "security.disarmed", "info", "Auto Disarming", mode="disarmed"),
    _Pulse("3403", "security.armed", "info", "Auto Arming", mode="schedule"),
    _Pulse("1406", "security.alarm.cleared", "info", "Alarm Clearing"),
    _Pulse("3408", "security.armed", "info", "Instant Arming", mode="instant"),
    _Pulse("1409", "security.disarmed", "info", "Key Zone Disarming", mode="disarmed"),
    _Pulse("3409", "security.armed", "info", "Key Zone Arming", mode="key zone"),
    _Pulse("3441", "security.armed", "info", "Stay Arming", mode="stay"),
    _Pulse("3442", "security.armed", "notice", "Forced Arming", mode="forced"),
    _Pulse("1443", "security.output.on", "info", "Turn On Output by Schedule"),
    _Pulse("3443", "security.output.off", "info", "Turn Off Output by Schedule"),
    _Pulse("1452", "security.disarm.late", "notice", "Late Disarming"),
    _Pulse("1455", "security.arm.failed", "warning", "Auto Arming Failed"),
    _Pulse("1460", "security.output.on_failed", "warning", "Turning On Output Failed"),
    _Pulse("1461", "security.output.off_failed", "warning", "Turning Off Output Failed"),
    _Pulse("1462", "security.disarm.failed", "warning", "Auto Disarming Failed"),
    _Pulse("1601", "security.test.manual", "info", "Manual Report Test"),
    _Pulse("1602", "security.test.periodic", "info", "Periodic Report Test"),
    _Pulse("3602", "security.test.heartbeat", "info", "Device Heartbeat Event"),
    _Pulse("1617", "security.test.telephone", "info", "Telephone Connection Test"),
    _Pulse("1627", "security.programming.entered", "notice", "Enter Programming"),
    _Pulse("1628", "security.programming.exited", "info", "Exit Programming"),
    _Pulse("1810", "security.panic", "critical", "Virtual Zone Panic Alarm"),
    _Pulse("1811", "security.fire", "critical", "Virtual Zone Fire Alarm"),
    _Pulse("1812", "security.burglary", "critical", "Virtual Zone Burglary Alarm"),
    _Pulse("1847", "security.medical", "critical", "Virtual Zone Medical Alarm"),
    _Pulse("1863", "security.absence", "warning", "Absence Alarm"),
    _Pulse("1924", "device.cellular.exceeded", "notice", "Network Flow Exceeded"),
    _Pulse("1947", "device.upload.failed", "notice", "Upload Picture Failed"),
    _Pulse("1948", "device.email.failed", "notice", "Sending Email Failed."),
    _Pulse("1960", "security.service.duty_check", "info", "Duty Checking"),
    _Pulse("1961", "security.service.post_response", "info", "Post Response"),
    _Pulse("1970", "security.service.bus_query", "info", "BUS Query"),
    _Pulse("1971", "security.service.bus_registration", "info", "BUS Registration"),
    _Pulse("1973", "security.disarmed", "info", "Single-Zone Disarming", mode="disarmed"),
    _Pulse("3973", "security.armed", "info", "Single-Zone Arming", mode="single zone"),
    _Pulse("1974", "security.service.zone_cleared", "info", "Single-Zone Alarm Cleared"),
    _Pulse("1975", "device.peripheral.deleted", "notice", "Delete Detector"),
    _Pulse("3975", "device.peripheral.added", "info", "Add Detector"),
    _Pulse("1976", "security.service.consulting", "info", "Business Consulting"),
    _Pulse("3976", "security.service.consulted", "info", "Business Consulting Over"),
    _Pulse("1977", "device.peripheral.deleted", "notice", "Delete Expander"),
    _Pulse("3977", "device.peripheral.added", "info", "Add Expander"),
    _Pulse("1978", "device.peripheral.deleted", "notice", "Delete Wireless Repeater"),
    _Pulse("3978", "device.peripheral.added", "info", "Add Wireless Repeater"),
    _Pulse("1979", "device.peripheral.deleted", "notice", "Delete Wireless Siren"),
    _Pulse("3979", "device.peripheral.added", "info", "Add Wireless Siren"),
)


def _table() -> dict[str, Code]:
    table: dict[str, Code] = {}
    for row in _RESTORING:
        low, normal = (_LOW, _NORMAL) if row.type == "device.battery.low" else (_NOTHING, _NOTHING)
        end, severity = row.end_type or row.type, row.end_severity or row.severity
        table["1" + row.code] = Code(row.type, row.triggered, row.severity, "start", low)
        table["3" + row.code] = Code(end, row.restored, severity, "end", normal)
    for one in _PULSES:
        preset: Groups = _NOTHING if one.mode is None else {"alarm": {"mode": one.mode}}
        table[one.code] = Code(one.type, one.name, one.severity, "pulse", preset)
    return table


UNLISTED: Final = Code("security.unknown", "CID code that no document lists", "notice")
"""The meaning of a code without a row."""

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
        return row._replace(phase="end")
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
    zone: Word
    partition: Word
    keypad: Word
    module: Word
    channel: Word
    disk: Word

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
