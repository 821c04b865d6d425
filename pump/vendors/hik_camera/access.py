"""AccessControllerEvent: major and minor event types of access terminals and controllers.

The codes are those of the vendor's public device network SDK ("Access Control Event Types") and of its later terminals.
Major 1 is alarm, 2 exception, 3 operation, 5 event; a minor is a number of its own in each.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from pump.core.taxonomy import Phase, Severity


class Access(NamedTuple):
    """One pair of codes."""

    type: str
    name: str
    severity: Severity = "info"
    phase: Phase = "pulse"
    granted: bool | None = None
    method: str | None = None
    reason: str | None = None
    pair: str = ""
    """The word that a start shares with its end, where the type does not say it: two tampers are two matters."""
    anew: bool = False
    """A second start is another matter: devices do not always report the end of the first."""

    @property
    def matter(self) -> str:
        """The word under which its start waits for its end."""
        return self.pair or FAMILIES.get(self.type, self.type)

    @property
    def family(self) -> str:
        """The same word in spools of versions that knew no pairs; none where it is another matter's today."""
        word = FAMILIES.get(self.type, self.type)
        return "" if word in _MATTERS else word


def _let_in(name: str, method: str) -> Access:
    return Access("access.granted", name, "info", "pulse", True, method)


def _refused(name: str, method: str | None, reason: str) -> Access:
    return Access("access.denied", name, "notice", "pulse", False, method, reason)


def _begins(type_: str, name: str, severity: Severity = "warning", pair: str = "", *, anew: bool = False) -> Access:
    return Access(type_, name, severity, "start", pair=pair, anew=anew)


def _ends(type_: str, name: str, pair: str = "") -> Access:
    return Access(type_, name, "info", "end", pair=pair)


def _configured(name: str) -> Access:
    return Access("device.configuration.changed", name, "notice")


def _failed(name: str, severity: Severity = "warning") -> Access:
    return Access("device.fault.raised", name, severity)


def _custom(what: str, first: int) -> dict[int, Access]:
    return {first + n: Access("device.message", f"Custom {what} {n + 1}") for n in range(64)}


_ALARM: Final[dict[int, Access]] = {
    0x400: _begins("security.zone.short", "Zone short circuit"),
    0x401: _begins("security.zone.open", "Zone disconnected"),
    0x402: _begins("security.input.triggered", "Zone exception"),
    0x403: _ends("security.input.restored", "Zone restored"),
    0x404: _begins("security.tampering", "Zone tampering", "critical", pair="host tamper"),
    0x405: _ends("security.tampering", "Zone tampering restored", pair="host tamper"),
    0x406: _begins("security.tampering", "Card reader tampering", "critical", pair="reader tamper"),
    0x407: _ends("security.tampering", "Card reader tampering restored", pair="reader tamper"),
    0x408: _begins("security.input.triggered", "Alarm input triggered", pair="alarm input"),
    0x409: _ends("security.input.restored", "Alarm input restored", pair="alarm input"),
    0x40A: Access("security.duress", "Duress alarm", "critical"),
    0x40B: Access("device.memory.full", "Memory for offline events nearly full", "warning"),
    0x40C: Access("access.attempts.exceeded", "Too many failed card authentications", "warning"),
    0x40D: Access("device.disk.full", "SD card full", "warning"),
    0x40E: Access("access.captured", "Linked capture", "info"),
    0x40F: _begins("security.tampering", "Secure door control unit tampering", "critical", pair="door unit tamper"),
    0x410: _ends("security.tampering", "Secure door control unit tampering restored", pair="door unit tamper"),
    0x411: _begins(
        "device.transaction", "Transaction of a cash register begun", "info", pair="cash register", anew=True
    ),
    0x412: _ends("device.transaction", "Transaction of a cash register ended", pair="cash register"),
    0x413: Access("access.captured", "Picture of a face too bad to be used", "notice"),
    0x414: Access("access.captured", "Picture of a fingerprint too bad to be used", "notice"),
    0x415: _begins("security.fire", "Fire input short circuit", "critical", pair="fire input"),
    0x416: _begins("security.fire", "Fire input open circuit", "critical", pair="fire input"),
    0x417: _ends("security.fire", "Fire input restored", pair="fire input"),
    0x418: _begins("security.fire", "Fire button triggered", "critical", pair="fire button"),
    0x419: _ends("security.fire", "Fire button restored", pair="fire button"),
    0x41A: _begins("device.maintenance.requested", "Maintenance button pressed", pair="maintenance button"),
    0x41B: _ends("device.maintenance.requested", "Maintenance button released", pair="maintenance button"),
    0x41C: _begins("security.panic", "Panic button triggered", "critical", pair="panic button"),
    0x41D: _ends("security.panic", "Panic button restored", pair="panic button"),
    0x41E: _begins("security.tampering", "Distributed controller tampering", "critical", pair="distributed tamper"),
    0x41F: _ends("security.tampering", "Distributed controller tampering restored", pair="distributed tamper"),
    0x422: _begins("security.tampering", "Lane controller tampering", "critical", pair="lane tamper"),
    0x423: _ends("security.tampering", "Lane controller tampering restored", pair="lane tamper"),
    0x424: _begins("security.fire", "Lane controller fire input", "critical", pair="lane fire"),
    0x425: _ends("security.fire", "Lane controller fire input restored", pair="lane fire"),
    0x440: Access("device.printer.offline", "Printer out of paper", "warning"),
    0x441: Access("access.attempts.exceeded", "Too many failed attempts by password", "warning"),
    0x442: Access("device.memory.full", "No memory for offline events", "warning"),
    0x95D: Access("security.duress", "Lock reports a person under threat", "critical"),
    **_custom("alarm", 0x900),
}

_EXCEPTION: Final[dict[int, Access]] = {
    0x27: _begins("device.wired.offline", "Network disconnected"),
    0x3A: _begins("device.bus.fault", "RS-485 device abnormal", pair="bus"),
    0x3B: _ends("device.bus.fault", "RS-485 device restored", pair="bus"),
    0x400: Access("device.started", "Power on", "info"),
    0x401: Access("device.stopped", "Power off", "warning"),
    0x402: Access("device.reset", "Watchdog restart", "warning"),
    0x403: _begins("device.battery.low", "Battery voltage low", pair="battery voltage"),
    0x404: _ends("device.battery.low", "Battery voltage restored", pair="battery voltage"),
    0x405: _begins("device.power.lost", "AC power disconnected"),
    0x406: _ends("device.power.lost", "AC power restored"),
    0x407: _ends("device.wired.offline", "Network restored"),
    0x408: Access("device.disk.error", "Flash memory exception", "warning"),
    0x409: _begins("device.peripheral.offline", "Card reader offline", pair="reader"),
    0x40A: _ends("device.peripheral.offline", "Card reader online", pair="reader"),
    0x40B: _begins("device.part.fault", "Indicator light off", pair="indicator light"),
    0x40C: _ends("device.part.fault", "Indicator light on again", pair="indicator light"),
    0x40D: _begins("device.peripheral.offline", "Lane controller offline", pair="lane"),
    0x40E: _ends("device.peripheral.offline", "Lane controller online", pair="lane"),
    0x40F: _begins("device.peripheral.offline", "Secure door control unit offline", pair="door unit"),
    0x410: _ends("device.peripheral.offline", "Secure door control unit online", pair="door unit"),
    0x411: _begins("device.battery.low", "Battery charge low", pair="battery charge"),
    0x412: _ends("device.battery.low", "Battery charge restored", pair="battery charge"),
    0x413: _begins("device.peripheral.offline", "Distributed controller disconnected", pair="distributed network"),
    0x414: _ends("device.peripheral.offline", "Distributed controller connected", pair="distributed network"),
    0x415: _begins("device.bus.open", "RS-485 loop of the main controller broken", pair="main loop"),
    0x416: _ends("device.bus.open", "RS-485 loop of the main controller restored", pair="main loop"),
    0x417: _begins("device.peripheral.offline", "Distributed controller offline", pair="distributed"),
    0x418: _ends("device.peripheral.offline", "Distributed controller online", pair="distributed"),
    0x419: _begins("device.bus.open", "Downstream RS-485 loop broken", pair="downstream loop"),
    0x41A: _ends("device.bus.open", "Downstream RS-485 loop restored", pair="downstream loop"),
    0x41B: _ends("device.peripheral.offline", "Distributed elevator controller online", pair="elevator"),
    0x41C: _begins("device.peripheral.offline", "Distributed elevator controller offline", pair="elevator"),
    0x41D: _begins("device.peripheral.offline", "ID card reader disconnected", pair="identity reader"),
    0x41E: _ends("device.peripheral.offline", "ID card reader connected", pair="identity reader"),
    0x41F: _begins("device.peripheral.offline", "Fingerprint module disconnected", pair="fingerprint module"),
    0x420: _ends("device.peripheral.offline", "Fingerprint module connected", pair="fingerprint module"),
    0x421: _begins("device.camera.offline", "Camera disconnected", pair="camera"),
    0x422: _ends("device.camera.offline", "Camera connected", pair="camera"),
    0x423: _begins("device.peripheral.offline", "COM port disconnected", pair="serial port"),
    0x424: _ends("device.peripheral.offline", "COM port connected", pair="serial port"),
    0x425: Access("device.unauthorized", "Device not authorized", "warning"),
    0x426: _ends("device.peripheral.offline", "ID comparison device online", pair="comparison device"),
    0x427: _begins("device.peripheral.offline", "ID comparison device offline", pair="comparison device"),
    0x428: _begins("security.keypad.locked", "Local login locked"),
    0x429: _ends("security.keypad.unlocked", "Local login unlocked"),
    0x42A: _begins("device.part.fault", "Anti-passback server not reachable", pair="anti-passback server"),
    0x42B: _ends("device.part.fault", "Anti-passback server reachable again", pair="anti-passback server"),
    0x42C: _failed("Motor or its sensor out of order"),
    0x42D: _begins("device.bus.fault", "CAN bus exception", pair="CAN bus"),
    0x42E: _ends("device.bus.fault", "CAN bus restored", pair="CAN bus"),
    0x42F: Access("device.hot", "Pedestal of a lane too hot", "warning"),
    0x430: _begins("device.part.fault", "Infrared barrier out of order", pair="infrared barrier"),
    0x431: _ends("device.part.fault", "Infrared barrier restored", pair="infrared barrier"),
    0x432: _begins("device.part.fault", "Light board not reachable", pair="light board"),
    0x433: _ends("device.part.fault", "Light board reachable again", pair="light board"),
    0x434: _begins("device.part.fault", "Infrared adapter not reachable", pair="infrared adapter"),
    0x435: _ends("device.part.fault", "Infrared adapter reachable again", pair="infrared adapter"),
    0x436: _ends("device.printer.offline", "Printer online"),
    0x437: _begins("device.printer.offline", "Printer offline"),
    0x438: _ends("device.cellular.offline", "4G module online"),
    0x439: _begins("device.cellular.offline", "4G module offline"),
    0x43C: _begins("device.peripheral.offline", "Auxiliary board disconnected", pair="auxiliary board"),
    0x43D: _ends("device.peripheral.offline", "Auxiliary board connected", pair="auxiliary board"),
    0x43E: _begins("device.part.fault", "Security unit for ID cards out of order", pair="identity unit"),
    0x43F: _ends("device.part.fault", "Security unit for ID cards restored", pair="identity unit"),
    0x440: _begins("device.part.fault", "Fingerprint collector out of order", pair="fingerprint collector"),
    0x441: _ends("device.part.fault", "Fingerprint collector restored", pair="fingerprint collector"),
    0x44D: _ends("device.expander.offline", "Extension module online"),
    0x44E: _begins("device.expander.offline", "Extension module offline"),
    **_custom("exception", 0x900),
}

_OPERATION: Final[dict[int, Access]] = {
    0x50: Access("device.login", "Local login", "info"),
    0x51: Access("device.logout", "Local logout", "info"),
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
    0x40C: _configured("Parameters of the network center changed"),
    0x40D: _configured("Parameters of the GPRS center changed"),
    0x40E: _configured("Parameters of a center group changed"),
    0x40F: Access("access.door.unlocked", "Door opened by unlocking password", "info", "pulse", True, "password"),
    0x410: _configured("Numbered anew"),
    0x411: _configured("Missing numbers filled in"),
    0x412: Access("device.configuration.changed", "Configuration file imported", "notice"),
    0x413: Access("device.configuration.exported", "Configuration file exported", "notice"),
    0x414: Access("device.configuration.changed", "Card permissions imported", "notice"),
    0x415: Access("device.configuration.exported", "Card permissions exported", "notice"),
    0x416: Access("device.upgraded", "Upgraded from a USB drive", "notice"),
    0x417: Access("access.elevator.called", "Elevator called by a visitor"),
    0x418: Access("access.elevator.called", "Elevator called by a resident"),
    0x419: Access("security.armed", "Armed remotely in real time", "notice"),
    0x41A: Access("security.disarmed", "Disarmed remotely in real time", "notice"),
    0x41B: _refused("Remote control not paired", "remote control", "not paired"),
    0x41C: Access("access.door.locked", "Door closed by remote control"),
    0x41D: Access("access.door.unlocked", "Door opened by remote control", "info", "pulse", True, "remote control"),
    0x41E: Access("access.door.held_open", "Door remains open, set by remote control", "notice"),
    0x41F: _configured("Encryption of M1 cards is checked"),
    0x420: _configured("Encryption of M1 cards is no longer checked"),
    0x421: _configured("NFC cards open doors"),
    0x422: _configured("NFC cards no longer open doors"),
    0x423: Access("device.configuration.exported", "Data collected offline exported", "notice"),
    0x42D: Access("device.login", "SSH session begun", "notice"),
    0x42E: Access("device.logout", "SSH session ended", "notice"),
    **_custom("operation", 0x900),
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
    0x11: _begins("access.door.held_open", "First card opened the door", "info", pair="first card"),
    0x12: _ends("access.door.held_open", "First card closed the door", pair="first card"),
    0x13: _begins("access.door.held_open", "Door remains open", "info", pair="remain open"),
    0x14: _ends("access.door.held_open", "Door no longer remains open", pair="remain open"),
    0x15: Access("access.door.unlocked", "Door unlocked"),
    0x16: Access("access.door.locked", "Door locked"),
    0x17: _begins("access.exit.requested", "Exit button pressed", "info", pair="exit button", anew=True),
    0x18: _ends("access.exit.released", "Exit button released", pair="exit button"),
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
    0x34: _begins("security.fire", "Fire relay holds the doors open", "critical", pair="fire relay"),
    0x35: _ends("security.fire", "Fire relay lets the doors be as usual", pair="fire relay"),
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
    0x51: _begins("access.door.held_open", "First card authorization", "info", pair="first card authorization"),
    0x52: _ends("access.door.held_open", "First card authorization over", pair="first card authorization"),
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
    0x5F: Access("security.output.off", "Relay that calls the elevator open"),
    0x60: Access("security.output.on", "Relay that calls the elevator closed"),
    0x61: Access("security.output.off", "Relay of the automatic button open"),
    0x62: Access("security.output.on", "Relay of the automatic button closed"),
    0x63: Access("security.output.off", "Relay of a floor's button open"),
    0x64: Access("security.output.on", "Relay of a floor's button closed"),
    0x65: _let_in("Access granted by person number and password", "number, password"),
    0x66: _refused("Access denied by person number and password", "number, password", "authentication failed"),
    0x67: _refused("Person number and password timed out", "number, password", "timeout"),
    0x68: _refused("No living face", "face", "no living face"),
    0x69: _let_in("Person matches the ID card", "face, ID card"),
    0x70: _refused("Person does not match the ID card", "face, ID card", "authentication failed"),
    0x71: _refused("Person on the block list", "ID card", "block list"),
    0x72: Access("device.message", "Text message accepted"),
    0x73: Access("device.message", "Text message refused", "notice"),
    0x74: Access("device.message", "Device in range (MAC address)"),
    0x75: _refused("Door closed for everybody, or asleep", None, "door held closed"),
    0x76: _refused("Authentication asleep by schedule", None, "outside its hours"),
    0x77: _refused("Card's encryption is wrong", "card", "wrong encryption"),
    0x78: _refused("No answer of the anti-passback server", None, "anti-passback"),
    0x82: _refused("Exit button while the door is held closed, or asleep", "exit button", "door held closed"),
    0x83: Access("device.status", "Sign of life"),
    0x84: _refused("Linked opening while the door is held closed, or asleep", "linkage", "door held closed"),
    0x85: Access("access.passage.tailgating", "Tailgating", "warning"),
    0x86: Access("access.passage.reversed", "Passing in the wrong direction", "warning"),
    0x87: Access("access.passage.forced", "Barrier of a lane forced", "warning"),
    0x88: Access("access.passage.climbed", "Climbing over a barrier", "warning"),
    0x89: Access("access.passage.overtime", "Passing took too long", "notice"),
    0x8A: Access("access.passage.intrusion", "Intrusion into a lane", "warning"),
    0x8B: _refused("Passing a free lane without authentication", None, "authentication failed"),
    0x8C: _begins("access.barrier.obstructed", "Barrier obstructed"),
    0x8D: _ends("access.barrier.obstructed", "Barrier free again"),
    0x8E: _failed("Face could not be modelled after an upgrade", "notice"),
    0x8F: Access("access.passage.staying", "Somebody stays in a lane", "notice"),
    0x94: Access("access.attempts.exceeded", "Too many wrong passwords", "warning"),
    0x96: _refused("Password wrong", "password", "authentication failed"),
    0x97: _refused("Password does not match", "password", "authentication failed"),
    0x98: _refused("Unknown person number", "number", "unknown number"),
    0x99: _let_in("Access granted by several methods", "combined"),
    0x9A: _refused("Combined authentication timed out", "combined", "timeout"),
    0x9B: _refused("Another method of authentication is wanted", None, "wrong method"),
    0x9C: _let_in("Access granted by QR code", "QR code"),
    0x9D: _refused("QR code refused", "QR code", "authentication failed"),
    0x9E: _let_in("Access granted by a resident", "resident"),
    0x9F: _let_in("Access granted by Bluetooth", "Bluetooth"),
    0xA0: _refused("Bluetooth refused", "Bluetooth", "authentication failed"),
    0xA1: _refused("Passport refused", "passport", "authentication failed"),
    0xA2: _refused("Card is no genuine M1 card", "card", "not genuine"),
    0xA3: _refused("Encryption of a CPU card is wrong", "card", "wrong encryption"),
    0xA4: _refused("NFC is turned off", "NFC", "not enabled"),
    0xA5: _ends("device.peripheral.offline", "LoRa module online", pair="LoRa module"),
    0xA6: _begins("device.peripheral.offline", "LoRa module offline", pair="LoRa module"),
    0xA7: Access("device.status", "Connection to an MQTT broker"),
    0xA8: _refused("EM cards are not enabled", "card", "not enabled"),
    0xA9: _refused("M1 cards are not enabled", "card", "not enabled"),
    0xAA: _refused("CPU cards are not enabled", "card", "not enabled"),
    0xAB: _refused("ID cards are not enabled", "ID card", "not enabled"),
    0xAC: _failed("Key could not be written to a card"),
    0xAD: _failed("Local upgrade failed"),
    0xAE: _failed("Remote upgrade failed"),
    0xAF: Access("device.upgraded", "Extension module upgraded remotely", "notice"),
    0xB0: _failed("Remote upgrade of an extension module failed"),
    0xB1: Access("device.upgraded", "Fingerprint module upgraded remotely", "notice"),
    0xB2: _failed("Remote upgrade of a fingerprint module failed"),
    0xB3: _let_in("Access granted by dynamic code", "dynamic code"),
    0xB4: _refused("Dynamic code refused", "dynamic code", "authentication failed"),
    0xB5: _let_in("Access granted by password", "password"),
    0xB6: Access("access.payment.failed", "Payment timed out", "notice"),
    0xB7: Access("access.payment.failed", "Correction of a payment timed out", "notice"),
    0xB8: Access("access.payment.failed", "Amount of a payment too high", "notice"),
    0xB9: Access("access.payment.failed", "Number of payments used up", "notice"),
    0xBA: Access("access.payment.failed", "Confirmation of a payment timed out", "notice"),
    0xC1: Access("access.occupancy.high", "Nine tenths of the people allowed are inside", "notice"),
    0xC3: _refused("Password expired", "password", "expired"),
    **_custom("event", 0x500),
}

ACCESS: Final[dict[tuple[int, int], Access]] = {
    (major, minor): row
    for major, rows in ((1, _ALARM), (2, _EXCEPTION), (3, _OPERATION), (5, _EVENT))
    for minor, row in rows.items()
}
"""By major and minor event type."""

SIGN_OF_LIFE: Final = ACCESS[5, 0x83]
"""Says nothing but that the device lives."""

UNKNOWN: Final = Access("access.unknown", "Access controller event")

FAMILIES: Final[dict[str, str]] = {
    "security.zone.short": "zone", "security.zone.open": "zone", "security.input.triggered": "zone",
    "security.input.restored": "zone", "security.keypad.locked": "keypad", "security.keypad.unlocked": "keypad",
}  # fmt: skip
"""Types of which one ends what another began, to a word for both."""

_MATTERS: Final = frozenset(row.matter for row in ACCESS.values())
