"""AccessControllerEvent: major and minor event types of access terminals and controllers.

The codes are those of the vendor's public device network SDK ("Access Control Event Types"). Major 1 is alarm,
2 exception, 3 operation, 5 event; a minor is a number of its own in each.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pump.core.taxonomy import Phase, Severity


@dataclass(slots=True, frozen=True)
class Access:
    """One pair of codes."""

    type: str
    name: str
    severity: Severity = "info"
    phase: Phase = "pulse"
    granted: bool | None = None
    method: str | None = None
    reason: str | None = None


def _let_in(name: str, method: str) -> Access:
    return Access("access.granted", name, "info", "pulse", True, method)


def _refused(name: str, method: str | None, reason: str) -> Access:
    return Access("access.denied", name, "notice", "pulse", False, method, reason)


def _begins(type_: str, name: str, severity: Severity = "warning") -> Access:
    return Access(type_, name, severity, "start")


def _ends(type_: str, name: str) -> Access:
    return Access(type_, name, "info", "end")


_ALARM: Final[dict[int, Access]] = {
    0x400: _begins("security.zone.short", "Zone short circuit"),
    0x401: _begins("security.zone.open", "Zone disconnected"),
    0x402: _begins("security.input.triggered", "Zone exception"),
    0x403: _ends("security.input.restored", "Zone restored"),
    0x404: _begins("security.tampering", "Zone tampering", "critical"),
    0x405: _ends("security.tampering", "Zone tampering restored"),
    0x406: _begins("security.tampering", "Card reader tampering", "critical"),
    0x407: _ends("security.tampering", "Card reader tampering restored"),
    0x408: _begins("security.input.triggered", "Alarm input triggered"),
    0x409: _ends("security.input.restored", "Alarm input restored"),
    0x40A: Access("security.duress", "Duress alarm", "critical"),
    0x40B: Access("device.memory.full", "Memory for offline events nearly full", "warning"),
    0x40C: Access("access.attempts.exceeded", "Too many failed card authentications", "warning"),
    0x40D: Access("device.disk.full", "SD card full", "warning"),
    0x40E: Access("access.captured", "Linked capture", "info"),
    0x40F: _begins("security.tampering", "Secure door control unit tampering", "critical"),
    0x410: _ends("security.tampering", "Secure door control unit tampering restored"),
    0x415: _begins("security.fire", "Fire input short circuit", "critical"),
    0x416: _begins("security.fire", "Fire input open circuit", "critical"),
    0x417: _ends("security.fire", "Fire input restored"),
    0x418: _begins("security.fire", "Fire button triggered", "critical"),
    0x419: _ends("security.fire", "Fire button restored"),
    0x41C: _begins("security.panic", "Panic button triggered", "critical"),
    0x41D: _ends("security.panic", "Panic button restored"),
    0x41E: _begins("security.tampering", "Distributed controller tampering", "critical"),
    0x41F: _ends("security.tampering", "Distributed controller tampering restored"),
    0x422: _begins("security.tampering", "Lane controller tampering", "critical"),
    0x423: _ends("security.tampering", "Lane controller tampering restored"),
    0x424: _begins("security.fire", "Lane controller fire input", "critical"),
    0x440: Access("device.printer.offline", "Printer out of paper", "warning"),
    0x441: Access("access.attempts.exceeded", "Too many failed attempts by password", "warning"),
    0x442: Access("device.memory.full", "No memory for offline events", "warning"),
}

_EXCEPTION: Final[dict[int, Access]] = {
    0x27: _begins("device.wired.offline", "Network disconnected"),
    0x3A: _begins("device.bus.fault", "RS-485 device abnormal"),
    0x3B: _ends("device.bus.fault", "RS-485 device restored"),
    0x400: Access("device.started", "Power on", "info"),
    0x401: Access("device.stopped", "Power off", "warning"),
    0x402: Access("device.reset", "Watchdog restart", "warning"),
    0x403: _begins("device.battery.low", "Battery voltage low"),
    0x404: _ends("device.battery.low", "Battery voltage restored"),
    0x405: _begins("device.power.lost", "AC power disconnected"),
    0x406: _ends("device.power.lost", "AC power restored"),
    0x407: _ends("device.wired.offline", "Network restored"),
    0x408: Access("device.disk.error", "Flash memory exception", "warning"),
    0x409: _begins("device.peripheral.offline", "Card reader offline"),
    0x40A: _ends("device.peripheral.offline", "Card reader online"),
    0x40D: _begins("device.peripheral.offline", "Lane controller offline"),
    0x40E: _ends("device.peripheral.offline", "Lane controller online"),
    0x40F: _begins("device.peripheral.offline", "Secure door control unit offline"),
    0x410: _ends("device.peripheral.offline", "Secure door control unit online"),
    0x411: _begins("device.battery.low", "Battery charge low"),
    0x412: _ends("device.battery.low", "Battery charge restored"),
    0x413: _begins("device.peripheral.offline", "Distributed controller disconnected"),
    0x414: _ends("device.peripheral.offline", "Distributed controller connected"),
    0x415: _begins("device.bus.open", "RS-485 loop of the main controller broken"),
    0x416: _ends("device.bus.open", "RS-485 loop of the main controller restored"),
    0x417: _begins("device.peripheral.offline", "Distributed controller offline"),
    0x418: _ends("device.peripheral.offline", "Distributed controller online"),
    0x419: _begins("device.bus.open", "Downstream RS-485 loop broken"),
    0x41A: _ends("device.bus.open", "Downstream RS-485 loop restored"),
    0x41B: _ends("device.peripheral.offline", "Distributed elevator controller online"),
    0x41C: _begins("device.peripheral.offline", "Distributed elevator controller offline"),
    0x41D: _begins("device.peripheral.offline", "ID card reader disconnected"),
    0x41E: _ends("device.peripheral.offline", "ID card reader connected"),
    0x41F: _begins("device.peripheral.offline", "Fingerprint module disconnected"),
    0x420: _ends("device.peripheral.offline", "Fingerprint module connected"),
    0x421: _begins("device.camera.offline", "Camera disconnected"),
    0x422: _ends("device.camera.offline", "Camera connected"),
    0x423: _begins("device.peripheral.offline", "COM port disconnected"),
    0x424: _ends("device.peripheral.offline", "COM port connected"),
    0x425: Access("device.unauthorized", "Device not authorized", "warning"),
    0x426: _ends("device.peripheral.offline", "ID comparison device online"),
    0x427: _begins("device.peripheral.offline", "ID comparison device offline"),
    0x428: _begins("security.keypad.locked", "Local login locked"),
    0x429: _ends("security.keypad.unlocked", "Local login unlocked"),
}

_OPERATION: Final[dict[int, Access]] = {
    0x5A: Access("device.upgraded", "Upgraded locally", "notice"),
    0x70: Access("device.login", "Remote login", "info"),
    0x71: Access("device.logout", "Remote logout", "info"),
    0x79: Access("security.armed", "Armed remotely", "notice"),
    0x7A: Access("security.disarmed", "Disarmed remotely", "notice"),
    0x7B: Access("device.reset", "Restarted remotely", "notice"),
    0x7E: Access("device.upgraded", "Upgraded remotely", "notice"),
    0x86: Access("device.configuration.exported", "Configuration exported remotely", "notice"),
    0x87: Access("device.configuration.changed", "Configuration imported remotely", "notice"),
    0xD6: Access("security.output.on", "Alarm output opened remotely", "notice"),
    0xD7: Access("security.output.off", "Alarm output closed remotely", "notice"),
    0x400: Access("access.door.unlocked", "Door opened remotely", "info", "pulse", True, "remote"),
    0x401: Access("access.door.locked", "Door closed remotely", "info"),
    0x402: Access("access.door.held_open", "Door remains open, set remotely", "notice"),
    0x403: Access("access.door.held_closed", "Door remains closed, set remotely", "notice"),
    0x404: Access("device.time.set", "Time set", "info"),
    0x405: Access("device.time.set", "Time set by NTP", "info"),
    0x406: Access("device.configuration.changed", "Cards cleared remotely", "warning"),
    0x407: Access("device.configuration.changed", "Configuration restored remotely", "notice"),
    0x408: Access("security.armed", "Zone armed", "notice"),
    0x409: Access("security.disarmed", "Zone disarmed", "notice"),
    0x40A: Access("device.configuration.changed", "Configuration restored locally", "notice"),
    0x40B: Access("access.captured", "Captured remotely", "info"),
    0x40F: Access("access.door.unlocked", "Door opened by unlocking password", "info", "pulse", True, "password"),
    0x412: Access("device.configuration.changed", "Configuration file imported", "notice"),
    0x413: Access("device.configuration.exported", "Configuration file exported", "notice"),
    0x414: Access("device.configuration.changed", "Card permissions imported", "notice"),
    0x415: Access("device.configuration.exported", "Card permissions exported", "notice"),
    0x416: Access("device.upgraded", "Upgraded from a USB drive", "notice"),
}

_EVENT: Final[dict[int, Access]] = {
    0x01: _let_in("Access granted by card", "card"),
    0x02: _let_in("Access granted by card and password", "card, password"),
    0x03: _refused("Access denied by card and password", "card, password", "authentication failed"),
    0x04: _refused("Card and password timed out", "card, password", "timeout"),
    0x05: _refused("Card and password tried too often", "card, password", "too many attempts"),
    0x06: _refused("Card without permission", "card", "no permission"),
    0x07: _refused("Card outside its hours", "card", "outside its hours"),
    0x08: _refused("Card expired", "card", "expired"),
    0x09: _refused("Unknown card", "card", "unknown card"),
    0x0A: _refused("Anti-passback", "card", "anti-passback"),
    0x0B: _refused("Interlocked door not closed", None, "interlock"),
    0x0C: _refused("Card in no multiple authentication group", "card", "no group"),
    0x0D: _refused("Outside the hours of multiple authentication", None, "outside its hours"),
    0x0E: _refused("Super password of multiple authentication wrong", None, "authentication failed"),
    0x0F: _refused("Multiple authentication: no remote permission", None, "no permission"),
    0x10: _let_in("Multiple authentication succeeded", "several persons"),
    0x11: _begins("access.door.held_open", "First card opened the door", "info"),
    0x12: _ends("access.door.held_open", "First card closed the door"),
    0x13: _begins("access.door.held_open", "Door remains open", "info"),
    0x14: _ends("access.door.held_open", "Door no longer remains open"),
    0x15: Access("access.door.unlocked", "Door unlocked"),
    0x16: Access("access.door.locked", "Door locked"),
    0x17: Access("access.exit.requested", "Exit button pressed"),
    0x18: Access("access.exit.released", "Exit button released"),
    0x19: Access("access.door.opened", "Door opened"),
    0x1A: Access("access.door.closed", "Door closed"),
    0x1B: Access("access.door.forced", "Door opened by force", "warning"),
    0x1C: Access("access.door.open_too_long", "Door open too long", "warning"),
    0x1D: Access("security.output.on", "Alarm output on"),
    0x1E: Access("security.output.off", "Alarm output off"),
    0x1F: _begins("access.door.held_closed", "Door remains closed", "info"),
    0x20: _ends("access.door.held_closed", "Door no longer remains closed"),
    0x21: Access("access.confirmation.wanted", "Multiple authentication waits for a remote opening", "notice"),
    0x22: _let_in("Super password of multiple authentication accepted", "password"),
    0x23: _refused("Multiple authentication repeated by one person", None, "repeated"),
    0x24: _refused("Multiple authentication timed out", None, "timeout"),
    0x25: Access("intercom.call.started", "Doorbell rings"),
    0x26: _let_in("Access granted by fingerprint", "fingerprint"),
    0x27: _refused("Fingerprint does not match", "fingerprint", "authentication failed"),
    0x28: _let_in("Access granted by card and fingerprint", "card, fingerprint"),
    0x29: _refused("Access denied by card and fingerprint", "card, fingerprint", "authentication failed"),
    0x2A: _refused("Card and fingerprint timed out", "card, fingerprint", "timeout"),
    0x2B: _let_in("Access granted by card, fingerprint and password", "card, fingerprint, password"),
    0x2C: _refused(
        "Access denied by card, fingerprint and password", "card, fingerprint, password", "authentication failed"
    ),
    0x2D: _refused("Card, fingerprint and password timed out", "card, fingerprint, password", "timeout"),
    0x2E: _let_in("Access granted by fingerprint and password", "fingerprint, password"),
    0x2F: _refused("Access denied by fingerprint and password", "fingerprint, password", "authentication failed"),
    0x30: _refused("Fingerprint and password timed out", "fingerprint, password", "timeout"),
    0x31: _refused("Unknown fingerprint", "fingerprint", "unknown fingerprint"),
    0x32: Access("access.confirmation.wanted", "Card to be checked by the platform", "info"),
    0x33: Access("intercom.call.started", "Call of the center"),
    0x34: _begins("security.fire", "Fire relay holds the doors open", "critical"),
    0x35: _ends("security.fire", "Fire relay lets the doors be as usual"),
    0x36: _let_in("Access granted by face and fingerprint", "face, fingerprint"),
    0x37: _refused("Access denied by face and fingerprint", "face, fingerprint", "authentication failed"),
    0x38: _refused("Face and fingerprint timed out", "face, fingerprint", "timeout"),
    0x39: _let_in("Access granted by face and password", "face, password"),
    0x3A: _refused("Access denied by face and password", "face, password", "authentication failed"),
    0x3B: _refused("Face and password timed out", "face, password", "timeout"),
    0x3C: _let_in("Access granted by face and card", "face, card"),
    0x3D: _refused("Access denied by face and card", "face, card", "authentication failed"),
    0x3E: _refused("Face and card timed out", "face, card", "timeout"),
    0x3F: _let_in("Access granted by face, password and fingerprint", "face, password, fingerprint"),
    0x40: _refused(
        "Access denied by face, password and fingerprint", "face, password, fingerprint", "authentication failed"
    ),
    0x41: _refused("Face, password and fingerprint timed out", "face, password, fingerprint", "timeout"),
    0x42: _let_in("Access granted by face, card and fingerprint", "face, card, fingerprint"),
    0x43: _refused("Access denied by face, card and fingerprint", "face, card, fingerprint", "authentication failed"),
    0x44: _refused("Face, card and fingerprint timed out", "face, card, fingerprint", "timeout"),
    0x45: _let_in("Access granted by person number and fingerprint", "number, fingerprint"),
    0x46: _refused("Access denied by person number and fingerprint", "number, fingerprint", "authentication failed"),
    0x47: _refused("Person number and fingerprint timed out", "number, fingerprint", "timeout"),
    0x48: _let_in("Access granted by person number, fingerprint and password", "number, fingerprint, password"),
    0x49: _refused(
        "Access denied by person number, fingerprint and password",
        "number, fingerprint, password",
        "authentication failed",
    ),
    0x4A: _refused("Person number, fingerprint and password timed out", "number, fingerprint, password", "timeout"),
    0x4B: _let_in("Access granted by face", "face"),
    0x4C: _refused("Face does not match", "face", "authentication failed"),
    0x4D: _let_in("Access granted by person number and face", "number, face"),
    0x4E: _refused("Access denied by person number and face", "number, face", "authentication failed"),
    0x4F: _refused("Person number and face timed out", "number, face", "timeout"),
    0x50: _refused("Face not recognized", "face", "not recognized"),
    0x51: _begins("access.door.held_open", "First card authorization", "info"),
    0x52: _ends("access.door.held_open", "First card authorization over"),
    0x53: Access("device.input.fault", "Door lock input shorted", "warning"),
    0x54: Access("device.input.fault", "Door lock input open", "warning"),
    0x55: Access("device.input.fault", "Door lock input exception", "warning"),
    0x56: Access("device.input.fault", "Door contact input shorted", "warning"),
    0x57: Access("device.input.fault", "Door contact input open", "warning"),
    0x58: Access("device.input.fault", "Door contact input exception", "warning"),
    0x59: Access("device.input.fault", "Exit button input shorted", "warning"),
    0x5A: Access("device.input.fault", "Exit button input open", "warning"),
    0x5B: Access("device.input.fault", "Exit button input exception", "warning"),
    0x5C: Access("access.door.forced", "Door lock opened unexpectedly", "warning"),
    0x5D: Access("access.door.open_too_long", "Door lock open too long", "warning"),
    0x5E: _refused("Opened by first card without authorization", "card", "no permission"),
    0x65: _let_in("Access granted by person number and password", "number, password"),
    0x66: _refused("Access denied by person number and password", "number, password", "authentication failed"),
    0x67: _refused("Person number and password timed out", "number, password", "timeout"),
    0x68: _refused("No living face", "face", "no living face"),
    0x69: _let_in("Person matches the ID card", "face, ID card"),
    0x70: _refused("Person does not match the ID card", "face, ID card", "authentication failed"),
    0x71: _refused("Person on the block list", "ID card", "block list"),
    0x96: _refused("Password wrong", "password", "authentication failed"),
    0x97: _refused("Password does not match", "password", "authentication failed"),
    0x9C: _let_in("Access granted by QR code", "QR code"),
    0x9D: _refused("QR code refused", "QR code", "authentication failed"),
    0xB5: _let_in("Access granted by password", "password"),
    0xC3: _refused("Password expired", "password", "expired"),
}

ACCESS: Final[dict[tuple[int, int], Access]] = {
    (major, minor): row
    for major, rows in ((1, _ALARM), (2, _EXCEPTION), (3, _OPERATION), (5, _EVENT))
    for minor, row in rows.items()
}
"""By major and minor event type."""

UNKNOWN: Final = Access("access.unknown", "Access controller event")

FAMILIES: Final[dict[str, str]] = {
    "security.zone.short": "zone", "security.zone.open": "zone", "security.input.triggered": "zone",
    "security.input.restored": "zone", "security.keypad.locked": "keypad", "security.keypad.unlocked": "keypad",
}  # fmt: skip
"""Types of which one ends what another began, to a word for both."""
