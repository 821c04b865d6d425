"""The vendor's codes as tables: alarm types (A.1.4, A.1.5), message types (A.1.7), the states of a call (A.3.75).

`CODES` has a row for every code of the document, under its digits: alarm type "80001" and message type "Msg110003" are
"80001" and "110003". The on-board message types whose values the document's scan lost stand here as the field knows
them (docs/field.md).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Final

from pump.core.taxonomy import Phase, Severity


@dataclass(frozen=True, slots=True)
class Code:
    """What a code says.

    `phase` and `pair` are set where another code restores what this one began: both carry the same `pair`.
    `preset` holds groups of the event that the code alone settles, as {group: {field: value}}; it is never changed.
    """

    type: str
    name: str
    severity: Severity
    phase: Phase = "pulse"
    pair: str | None = None
    preset: dict[str, dict[str, Any]] = field(default_factory=dict)


PAIRS: Final = (
    ("50101", "50120"),    # device offline, reconnected
    ("10057", "10056"),    # camera offline, online
    ("11017", "11016"),    # on-board device offline, online
    ("50000", "20008"),    # alarm input triggered, restored
    ("100302", "100303"),  # bypass, restored
    ("70118", "70119"),    # keypad locked, unlocked
    ("300002", "300001"),  # signal exception, normal
    ("330407", "330408"),  # ignition on, off
)  # fmt: skip
"""Start and end. The combine and message queues have no state field: phases come from these pairs alone."""

_LOW: Final = {"power": {"low": True}}

# Code, type, name, severity, and the preset groups.
_ALARMS: Final[tuple[tuple[Any, ...], ...]] = (
    # Video security
    ("10001", "video.tampering", "Video Tampering", "warning"),
    ("10002", "video.motion", "Motion Detection", "info"),
    ("10016", "video.face.captured", "Face Capture", "info"),
    ("10019", "video.people.density", "People Density Detection", "notice"),
    ("10032", "video.fire", "Fire and Smoke Detection", "critical"),
    ("10033", "video.temperature.alarm", "Temperature Alarm", "warning"),
    ("10034", "video.temperature.difference", "Temperature Difference Alarm", "warning"),
    ("10035", "video.target.detected", "Multi-Target-Type Detection", "info"),
    ("10036", "video.temperature.prealarm", "Temperature Pre-Alarm", "notice"),
    ("10100", "video.line.crossed", "Line Crossing", "notice"),
    ("10101", "video.region.entered", "Region Entrance", "notice"),
    ("10102", "video.region.exited", "Region Exiting", "notice"),
    ("10103", "video.intrusion", "Intrusion", "warning"),
    ("10106", "video.fast_movement", "Fast Moving", "notice"),
    ("10500", "vehicle.passed", "License Plate BlockList", "warning", {"vehicle": {"list": "blocklist"}}),
    ("10501", "vehicle.passed", "License Plate Allowlist", "info", {"vehicle": {"list": "allowlist"}}),
    ("10610", "video.queue.time", "Queuing Time Alarm", "notice"),
    ("10611", "video.queue.length", "Number of Queuing People Detection", "notice"),
    ("10621", "video.people.abnormal", "Abnormal Number of People", "notice"),
    ("10630", "video.people.absent", "Police Absence", "warning"),
    ("10635", "video.mask.missing", "Not Wearing Mask", "notice"),
    ("10636", "video.distance.alarm", "Distance Measurement Alarm", "notice"),
    ("50000", "security.input.triggered", "Triggered by Alarm Input", "warning"),
    ("100105", "video.people.density", "People Density", "notice"),
    ("100657", "video.queue.left", "Leaving Queue Detection", "info"),
    ("100375", "driving.driver.match", "Person and Vehicle Match", "info"),
    ("100376", "driving.driver.mismatch", "Person and Vehicle Mismatch", "warning"),
    ("50101", "device.offline", "Device Offline", "warning"),
    ("50120", "device.online", "Device Reconnected", "info"),
    ("50102", "device.disk.full", "Encoding Device HDD Full", "warning"),
    ("50110", "security.login.illegal", "Invalid Access of Encoding Device", "warning"),
    ("50103", "device.disk.error", "Encoding Device HDD R/W Error", "warning"),
    # Alarm detection
    ("20008", "security.input.restored", "Restore Alarm Input", "info"),
    ("70001", "security.disarmed", "Disarm", "info", {"alarm": {"mode": "disarmed"}}),
    ("70002", "security.armed", "Arming", "info"),
    ("70003", "security.armed", "Instant Arming", "info", {"alarm": {"mode": "instant"}}),
    ("70004", "security.armed", "Stay Arming", "info", {"alarm": {"mode": "stay"}}),
    ("70006", "security.alarm.cleared", "Alarm Clearing", "info"),
    ("100302", "security.bypass.set", "Bypass", "notice"),
    ("100303", "security.bypass.restored", "Bypass Restored", "info"),
    # Maintenance
    ("10000", "video.lost", "Video Loss", "warning"),
    ("10056", "device.camera.online", "Camera Online", "info"),
    ("10057", "device.camera.offline", "Camera Offline", "warning"),
    ("11016", "device.online", "On-Board Device Online", "info"),
    ("11017", "device.offline", "On-Board Device Offline", "notice"),
    ("20002", "device.disk.bad_sector", "HDD Bad Sector", "warning"),
    ("20003", "device.disk.hot", "HDD High Temperature", "warning"),
    ("20005", "device.disk.impact", "HDD Impact Detection Event", "warning"),
    ("20006", "device.disk.failing", "HDD Severe Failure", "warning"),
    ("50002", "video.recording.failed", "Camera Recording Exception", "warning"),
    ("70007", "security.disarm.late", "Late to Disarm", "notice"),
    ("70113", "security.duress", "Duress Alarm Report", "critical"),
    ("70118", "security.keypad.locked", "Keypad Locked", "warning"),
    ("70119", "security.keypad.unlocked", "Keypad Unlocked", "info"),
    ("70200", "security.tampering", "Device Tampering Alarm", "critical"),
    ("70203", "device.power.lost", "Mains Power Lost", "warning"),
    ("70204", "device.battery.low", "Low Battery Voltage", "warning", _LOW),
    ("70205", "device.reset", "Host Machine Reset", "notice"),
    ("70213", "security.arm.failed", "Auto Arming Failed", "warning"),
    ("70221", "device.expander.offline", "Expander Disconnected", "warning"),
    ("70223", "device.cellular.offline", "Cellular Network Disconnected", "warning"),
    ("70224", "device.wired.offline", "Wired Network Disconnected", "warning"),
    ("70250", "device.detector.offline", "Wireless Detector Disconnected", "warning"),
    ("70253", "device.battery.low", "Wireless Detector Low Battery", "warning", _LOW),
    ("70255", "device.camera.offline", "Network Camera Disconnected", "warning"),
    ("70302", "device.ip.conflict", "IP Conflicted", "warning"),
    ("70307", "device.wifi.offline", "Wi-Fi Disconnected", "warning"),
    ("70308", "device.radio.fault", "RF Exception", "warning"),
    ("70309", "device.cellular.exceeded", "Cellular Network Data Exceeded", "notice"),
    ("70310", "device.battery.low", "Wireless Sounder Low Battery", "warning", _LOW),
    ("70311", "device.battery.fault", "Battery Fault", "warning"),
    ("70402", "device.repeater.offline", "Wireless Repeater Disconnected", "warning"),
    ("70451", "device.battery.low", "Wireless Peripheral Undervoltage", "warning", _LOW),
    ("70452", "device.peripheral.offline", "Wireless Peripheral Disconnected", "warning"),
    ("70453", "device.peripheral.deleted", "Wireless Peripheral Deleted", "notice"),
    ("70454", "device.peripheral.added", "Wireless Peripheral Added", "info"),
    ("70502", "device.sounder.offline", "Wireless Sounder Disconnected", "warning"),
    # Maintenance, on-board devices; 50101 and 50120 stand above
    ("50109", "device.disk.full", "HDD Full", "warning"),
    ("50112", "device.disk.error", "Read/Write Hard Disk Error", "warning"),
    ("50104", "device.video_standard.mismatch", "Standard Mismatched", "notice"),
    ("50111", "security.login.illegal", "Illegal Login", "warning"),
    ("300001", "device.signal.restored", "Normal Signal", "info"),
    ("300002", "device.signal.fault", "Signal Exception", "warning"),
    ("300003", "device.gps.fault", "GPS Module Error", "warning"),
    # Video intercom (V2) and GPS (V2); the calls' states have rows of their own below
    ("140001", "intercom.unknown", "Video Intercom Event", "info"),
    ("330001", "driving.position", "GPS Data Report", "info"),
)

# Alarm type, message type, type, name, severity. The two queues' codes for one thing stand side by side.
_DRIVING: Final[tuple[tuple[str, str, str, str, Severity], ...]] = (
    ("11009", "330405", "driving.speeding", "Speeding", "warning"),
    ("11010", "330404", "driving.rollover", "Rollover", "critical"),
    ("11011", "330406", "driving.collision", "Collision", "critical"),
    ("11012", "330401", "driving.sharp_turn", "Sharp Turn", "notice"),
    ("11013", "330402", "driving.sudden_brake", "Sudden Brake", "notice"),
    ("11014", "330403", "driving.sudden_acceleration", "Sudden Acceleration", "notice"),
    ("100351", "", "driving.fence.entered", "Fence for Entry Detection", "notice"),
    ("100352", "", "driving.route.deviated", "Deviation", "warning"),
    ("100359", "330501", "driving.driver.smoking", "Smoking", "notice"),
    ("100360", "330502", "driving.driver.phone", "Using Mobile Phone", "warning"),
    ("100361", "330503", "driving.driver.fatigued", "Fatigue Driving", "warning"),
    ("100362", "330504", "driving.driver.distracted", "Distraction", "warning"),
    ("100363", "330505", "driving.driver.seatbelt", "Seatbelt Unbuckled", "warning"),
    ("100364", "330201", "driving.warning.forward_collision", "Forward Collision Warning", "warning"),
    ("100365", "330202", "driving.warning.headway", "Headway Monitoring Warning", "notice"),
    ("100366", "330203", "driving.warning.lane_departure", "Lane Deviation Warning", "notice"),
    ("100367", "330204", "driving.warning.pedestrian", "Pedestrian Collision Warning", "warning"),
    ("100368", "330205", "driving.warning.speed_limit", "Speed Limit Warning", "notice"),
    ("100369", "330301", "driving.warning.blind_spot", "Blind Spot Warning", "notice"),
    ("100370", "", "security.panic", "Emergency Alarm", "critical"),
    ("", "330101", "security.panic", "Alarm Triggered by Panic Button", "critical"),
    ("100371", "330102", "security.input.triggered", "Alarm Input", "warning"),
    ("100372", "330507", "driving.driver.yawning", "Yawning", "notice"),
    ("100373", "330508", "driving.driver.sunglasses", "Wearing IR Interrupted Sunglasses", "notice"),
    ("100374", "330509", "driving.driver.absent", "Absence", "notice"),
    ("100377", "", "driving.driver.license_expired", "Driving License Expired", "warning"),
    ("100396", "330506", "video.tampering", "Video Tampering", "warning"),
    ("100398", "", "driving.route.entered", "Entering Route", "info"),
    ("330407", "", "driving.ignition.on", "ACC ON", "info"),
    ("330408", "", "driving.ignition.off", "ACC OFF", "info"),
    ("330510", "", "driving.passenger.detected", "Front Passenger Detection", "info"),
    ("", "335000", "driving.driver.match", "Person and Vehicle Match", "info"),
    ("", "335001", "driving.driver.mismatch", "Person and Vehicle Mismatch", "warning"),
)

# Alarm type, message type, name, method: doors that opened.
_GRANTED: Final[tuple[tuple[str, str, str, str], ...]] = (
    ("80025", "110001", "Access Granted by Card and Fingerprint", "card and fingerprint"),
    ("80021", "110002", "Access Granted by Card, Fingerprint, and PIN", "card, fingerprint and PIN"),
    ("80001", "110003", "Access Granted by Card", "card"),
    ("80002", "110004", "Access Granted by Card and PIN", "card and PIN"),
    ("80032", "110005", "Access Granted by Fingerprint", "fingerprint"),
    ("80034", "110006", "Access Granted by Fingerprint and PIN", "fingerprint and PIN"),
    ("80072", "110008", "Access Granted by Face and Fingerprint", "face and fingerprint"),
    ("80075", "110009", "Access Granted by Face and PIN", "face and PIN"),
    ("80078", "110010", "Access Granted by Face and Card", "face and card"),
    ("80081", "110011", "Access Granted by Face, PIN, and Fingerprint", "face, PIN and fingerprint"),
    ("80084", "110012", "Access Granted by Face, Card, and Fingerprint", "face, card and fingerprint"),
    ("80093", "110013", "Access Granted by Face", "face"),
    ("80147", "110018", "Access Granted via Combined Authentication Modes", "combined modes"),
    ("100344", "110020", "Password Authenticated", "password"),
    ("100620", "110022", "Access Granted by Bluetooth", "Bluetooth"),
    ("100571", "110023", "Access Granted via QR Code", "QR code"),
    ("80273", "110024", "Access Granted via Keyfob", "keyfob"),
)

# Alarm type, message type, name, method, reason: doors that stayed shut.
_DENIED: Final[tuple[tuple[str, str, str, str | None, str], ...]] = (
    ("80008", "", "Verifying Card Encryption Information Failed", "card", "card encryption"),
    ("", "110501", "Verifying Card Encryption Failed", "card", "card encryption"),
    ("80009", "110502", "Max. Card Access Failed Attempts", "card", "too many attempts"),
    ("80016", "110505", "Card No. Expired", "card", "expired"),
    ("80017", "110506", "Access Timed Out by Card and PIN", "card and PIN", "timed out"),
    ("80018", "110507", "Access Denied (Door Remained Locked or Inactive)", None, "door locked or inactive"),
    ("80020", "110509", "Access Denied by Card and PIN", "card and PIN", "rejected"),
    ("80022", "110510", "Access Timed Out by Card, Fingerprint, and PIN", "card, fingerprint and PIN", "timed out"),
    ("80023", "110511", "Access Denied by Card, Fingerprint, and PIN", "card, fingerprint and PIN", "rejected"),
    ("80024", "110512", "Access Denied by Card and Fingerprint", "card and fingerprint", "rejected"),
    ("80026", "110513", "Access Timed Out by Card and Fingerprint", "card and fingerprint", "timed out"),
    ("80027", "110514", "No Access Level Assigned", None, "no access level"),
    ("80028", "110515", "Card No. Does Not Exist", "card", "unknown card"),
    ("80029", "110516", "Invalid Time Period", None, "outside the time period"),
    ("80030", "110517", "Fingerprint Does Not Exist", "fingerprint", "unknown fingerprint"),
    ("80031", "110518", "Access Denied by Fingerprint", "fingerprint", "rejected"),
    ("80033", "110519", "Access Denied by Fingerprint and PIN", "fingerprint and PIN", "rejected"),
    ("80035", "110520", "Access Timed Out by Fingerprint and PIN", "fingerprint and PIN", "timed out"),
    ("80073", "110521", "Access Denied by Face and Fingerprint", "face and fingerprint", "rejected"),
    ("80074", "110522", "Access Timed Out by Face and Fingerprint", "face and fingerprint", "timed out"),
    ("80076", "110523", "Access Denied by Face and PIN", "face and PIN", "rejected"),
    ("80077", "110524", "Access Timed Out by Face and PIN", "face and PIN", "timed out"),
    ("80079", "110525", "Access Denied by Face and Card", "face and card", "rejected"),
    ("80080", "110526", "Access Timed Out by Face and Card", "face and card", "timed out"),
    ("80082", "110527", "Access Denied by Face, PIN, and Fingerprint", "face, PIN and fingerprint", "rejected"),
    ("80083", "110528", "Access Timed Out by Face, PIN, and Fingerprint", "face, PIN and fingerprint", "timed out"),
    ("80085", "110529", "Access Denied by Face, Card, and Fingerprint", "face, card and fingerprint", "rejected"),
    ("80086", "110530", "Access Timed Out by Face, Card, and Fingerprint", "face, card and fingerprint", "timed out"),
    ("80094", "110531", "Access Denied by Face", "face", "rejected"),
    ("80099", "110533", "Live Facial Detection Failed", "face", "not a living face"),
    ("80148", "110545", "Combined Authentication Timed Out", "combined modes", "timed out"),
    ("80152", "110546", "Access Denied by Invalid M1 Card", "card", "invalid card"),
    ("80153", "110547", "Verifying CPU Card Encryption Failed", "card", "card encryption"),
    ("80154", "110548", "Access Denied (NFC Card Reading Disabled)", "card", "card type disabled"),
    ("80155", "110549", "EM Card Reading Not Enabled", "card", "card type disabled"),
    ("80156", "110550", "M1 Card Reading Not Enabled", "card", "card type disabled"),
    ("80157", "110551", "CPU Card Reading Disabled", "card", "card type disabled"),
    ("80173", "110552", "Authentication Mode Mismatch", None, "authentication mode mismatch"),
    ("", "110554", "Max. Card and Password Authentication Times", "card and password", "too many attempts"),
    ("80263", "110555", "Password Mismatches", "password", "wrong password"),
    ("80264", "110556", "Employee ID Does Not Exist", None, "unknown person"),
    ("", "110557", "Access Denied: Scheduled Sleep Mode", None, "sleep mode"),
    ("100345", "110559", "Verifying Desfire Card Encryption Failed", "card", "card encryption"),
    ("100348", "110561", "Authentication Failed Due to Abnormal Features "
     "(e.g., Not Wearing Mask, Abnormal Skin-Surface Temperature)", None, "abnormal features"),
    ("100621", "110564", "Access Denied by Bluetooth", "Bluetooth", "rejected"),
    ("100572", "110565", "Access Denied by QR Code", "QR code", "rejected"),
    ("100574", "110566", "Verifying QR Code Secret Key Failed", "QR code", "QR code key"),
    ("80274", "110567", "Access Denied via Keyfob", "keyfob", "rejected"),
)  # fmt: skip

# Alarm type, message type, type, name, severity: at doors, neither granted nor denied by their code.
_DOOR: Final[tuple[tuple[str, str, str, str, Severity], ...]] = (
    ("80036", "110007", "security.duress", "Duress Alarm", "critical"),
    ("", "110019", "access.temperature", "Skin-Surface Temperature Measured", "info"),
    ("100346", "110560", "access.absence", "Absence", "info"),
)


def _table() -> dict[str, Code]:
    rows = [
        (code, Code(kind, name, severity, preset=groups[0] if groups else {}))
        for code, kind, name, severity, *groups in _ALARMS
    ]
    for alarm, message, kind, name, severity in (*_DRIVING, *_DOOR):
        rows += [(code, Code(kind, name, severity)) for code in (alarm, message) if code]
    for alarm, message, name, method in _GRANTED:
        yes = Code("access.granted", name, "info", preset={"access": {"granted": True, "method": method}})
        rows += [(alarm, yes), (message, yes)]
    for alarm, message, name, by, reason in _DENIED:
        access: dict[str, Any] = {"granted": False, "method": by, "reason": reason}
        if by is None:
            del access["method"]
        no = Code("access.denied", name, "notice", preset={"access": access})
        rows += [(code, no) for code in (alarm, message) if code]
    table = dict(rows)
    if len(table) != len(rows):
        raise AssertionError("a code stands in two rows")
    for start, end in PAIRS:
        table[start] = replace(table[start], phase="start", pair=start)
        table[end] = replace(table[end], phase="end", pair=start)
    return table


CODES: Final[dict[str, Code]] = _table()

TWINS: Final[tuple[tuple[str, str], ...]] = tuple(
    (row[0], row[1]) for table in (_DRIVING, _GRANTED, _DENIED, _DOOR) for row in table
)
"""Alarm type and message type of one thing; empty where the document lists it in one of the two alone."""

_BOTH: Final = ("330407", "330408", "330510")  # listed among the alarm types and among the message types
_SECOND: Final = ("140001", "330001")  # message types, and what A.1.5 has beyond A.1.4
_MESSAGES: Final = frozenset(message for _, message in TWINS if message) | {*_BOTH, *_SECOND}
_TYPES: Final = frozenset(CODES) - _MESSAGES | {*_BOTH}
LISTED: Final[dict[str, frozenset[str]]] = {
    "alarm": _TYPES, "combine": _TYPES | {*_SECOND}, "rawmsg": _MESSAGES
}  # fmt: skip
"""The codes that each queue has by the document (A.1.4, A.1.5, A.1.7)."""

CALLS: Final[dict[str, tuple[Code, str]]] = {
    "0": (Code("intercom.call.started", "Call Pushed", "notice", "start"), "pushed"),
    "1": (Code("intercom.call.answered", "Call Answered by Others", "info", "update"), "answered by others"),
    "2": (Code("intercom.call.ended", "Call Hung Up by the Device", "info", "end"), "hung up by the device"),
    "3": (Code("intercom.call.missed", "Call Canceled, No One Answers", "notice", "end"), "canceled, no one answers"),
}
"""DeviceTalkInfo's msgType (A.3.75): the row that stands for it, and the state's words."""
