"""The vendor's codes as tables: alarm types (A.1.4, A.1.5), message types (A.1.7), the states of a call (A.3.75).

`CODES` has a row for every code of the document, under its digits: alarm type "80001" and message type "Msg110003" are
"80001" and "110003". The on-board message types whose values the document's scan lost stand here as the field knows
them (docs/field.md).
"""

from __future__ import annotations

from typing import Final, NamedTuple

from pump.core.groups import Access, Groups, group
from pump.core.taxonomy import Phase, Severity

_NOTHING: Final[Groups] = {}


class Code(NamedTuple):
    """The meaning of a code.

    `phase` and `pair` are set where another code restores what this one began: both carry the same `pair`.
    `preset` holds groups of the event that the code alone settles, as {group: {field: value}}; it is never changed.
    """

    type: str
    name: str
    severity: Severity
    phase: Phase = "pulse"
    pair: str | None = None
    preset: Groups = _NOTHING


class Pair(NamedTuple):
    """Two codes of which one ends what the other begins."""

    start: str
    end: str


class Call(NamedTuple):
    """A state of a call."""

    code: Code
    state: str
    """In words, for `data.intercom`."""


class _Alarm(NamedTuple):
    """An alarm type that the message queue has no code of its own for."""

    code: str
    type: str
    name: str
    severity: Severity
    preset: Groups = _NOTHING


class Twin(NamedTuple):
    """Alarm type and message type of one thing; "" where the document lists it in one of the two alone."""

    alarm: str
    message: str


class _Both(NamedTuple):
    """A row of both queues' codes of one thing; "" as in `Twin`."""

    alarm: str
    message: str
    type: str
    name: str
    severity: Severity


class _Granted(NamedTuple):
    """Both queues' codes of a door that opened."""

    alarm: str
    message: str
    name: str
    method: str


class _Denied(NamedTuple):
    """Both queues' codes of a door that stayed shut; "" as in `Twin`."""

    alarm: str
    message: str
    name: str
    method: str | None
    reason: str


PAIRS: Final = (
    Pair("50101", "50120"),    # device offline, reconnected
    Pair("10057", "10056"),    # camera offline, online
    Pair("11017", "11016"),    # on-board device offline, online
    Pair("50000", "20008"),    # alarm input triggered, restored
    Pair("100302", "100303"),  # bypass, restored
    Pair("70118", "70119"),    # keypad locked, unlocked
    Pair("300002", "300001"),  # signal exception, normal
    Pair("330407", "330408"),  # ignition on, off
)  # fmt: skip
"""The combine and message queues have no state field: phases come from these pairs alone."""

_LOW: Final[Groups] = {"power": {"low": True}}

_ALARMS: Final = (
    # Video security
    _Alarm("10001", "video.tampering", "Video Tampering", "warning"),
    _Alarm("10002", "video.motion", "Motion Detection", "info"),
    _Alarm("10016", "video.face.captured", "Face Capture", "info"),
    _Alarm("10019", "video.people.density", "People Density Detection", "notice"),
    _Alarm("10032", "video.fire", "Fire and Smoke Detection", "critical"),
    _Alarm("10033", "video.temperature.alarm", "Temperature Alarm", "warning"),
    _Alarm("10034", "video.temperature.difference", "Temperature Difference Alarm", "warning"),
    _Alarm("10035", "video.target.detected", "Multi-Target-Type Detection", "info"),
    _Alarm("10036", "video.temperature.prealarm", "Temperature Pre-Alarm", "notice"),
    _Alarm("10100", "video.line.crossed", "Line Crossing", "notice"),
    _Alarm("10101", "video.region.entered", "Region Entrance", "notice"),
    _Alarm("10102", "video.region.exited", "Region Exiting", "notice"),
    _Alarm("10103", "video.intrusion", "Intrusion", "warning"),
    _Alarm("10106", "video.fast_movement", "Fast Moving", "notice"),
    _Alarm("10500", "vehicle.passed", "License Plate BlockList", "warning", {"vehicle": {"list": "blocklist"}}),
    _Alarm("10501", "vehicle.passed", "License Plate Allowlist", "info", {"vehicle": {"list": "allowlist"}}),
    _Alarm("10610", "video.queue.time", "Queuing Time Alarm", "notice"),
    _Alarm("10611", "video.queue.length", "Number of Queuing People Detection", "notice"),
    _Alarm("10621", "video.people.abnormal", "Abnormal Number of People", "notice"),
    _Alarm("10630", "video.people.absent", "Police Absence", "warning"),
    _Alarm("10635", "video.mask.missing", "Not Wearing Mask", "notice"),
    _Alarm("10636", "video.distance.alarm", "Distance Measurement Alarm", "notice"),
    _Alarm("50000", "security.input.triggered", "Triggered by Alarm Input", "warning"),
    _Alarm("100105", "video.people.density", "People Density", "notice"),
    _Alarm("100657", "video.queue.left", "Leaving Queue Detection", "info"),
    _Alarm("100375", "driving.driver.match", "Person and Vehicle Match", "info"),
    _Alarm("100376", "driving.driver.mismatch", "Person and Vehicle Mismatch", "warning"),
    _Alarm("50101", "device.offline", "Device Offline", "warning"),
    _Alarm("50120", "device.online", "Device Reconnected", "info"),
    _Alarm("50102", "device.disk.full", "Encoding Device HDD Full", "warning"),
    _Alarm("50110", "security.login.illegal", "Invalid Access of Encoding Device", "warning"),
    _Alarm("50103", "device.disk.error", "Encoding Device HDD R/W Error", "warning"),
    # Alarm detection
    _Alarm("20008", "security.input.restored", "Restore Alarm Input", "info"),
    _Alarm("70001", "security.disarmed", "Disarm", "info", {"alarm": {"mode": "disarmed"}}),
    _Alarm("70002", "security.armed", "Arming", "info"),
    _Alarm("70003", "security.armed", "Instant Arming", "info", {"alarm": {"mode": "instant"}}),
    _Alarm("70004", "security.armed", "Stay Arming", "info", {"alarm": {"mode": "stay"}}),
    _Alarm("70006", "security.alarm.cleared", "Alarm Clearing", "info"),
    _Alarm("100302", "security.bypass.set", "Bypass", "notice"),
    _Alarm("100303", "security.bypass.restored", "Bypass Restored", "info"),
    # Maintenance
    _Alarm("10000", "video.lost", "Video Loss", "warning"),
    _Alarm("10056", "device.camera.online", "Camera Online", "info"),
    _Alarm("10057", "device.camera.offline", "Camera Offline", "warning"),
    _Alarm("11016", "device.online", "On-Board Device Online", "info"),
    _Alarm("11017", "device.offline", "On-Board Device Offline", "notice"),
    _Alarm("20002", "device.disk.bad_sector", "HDD Bad Sector", "warning"),
    _Alarm("20003", "device.disk.hot", "HDD High Temperature", "warning"),
    _Alarm("20005", "device.disk.impact", "HDD Impact Detection Event", "warning"),
    _Alarm("20006", "device.disk.failing", "HDD Severe Failure", "warning"),
    _Alarm("50002", "video.recording.failed", "Camera Recording Exception", "warning"),
    _Alarm("70007", "security.disarm.late", "Late to Disarm", "notice"),
    _Alarm("70113", "security.duress", "Duress Alarm Report", "critical"),
    _Alarm("70118", "security.keypad.locked", "Keypad Locked", "warning"),
    _Alarm("70119", "security.keypad.unlocked", "Keypad Unlocked", "info"),
    _Alarm("70200", "security.tampering", "Device Tampering Alarm", "critical"),
    _Alarm("70203", "device.power.lost", "Mains Power Lost", "warning"),
    _Alarm("70204", "device.battery.low", "Low Battery Voltage", "warning", _LOW),
    _Alarm("70205", "device.reset", "Host Machine Reset", "notice"),
    _Alarm("70213", "security.arm.failed", "Auto Arming Failed", "warning"),
    _Alarm("70221", "device.expander.offline", "Expander Disconnected", "warning"),
    _Alarm("70223", "device.cellular.offline", "Cellular Network Disconnected", "warning"),
    _Alarm("70224", "device.wired.offline", "Wired Network Disconnected", "warning"),
    _Alarm("70250", "device.detector.offline", "Wireless Detector Disconnected", "warning"),
    _Alarm("70253", "device.battery.low", "Wireless Detector Low Battery", "warning", _LOW),
    _Alarm("70255", "device.camera.offline", "Network Camera Disconnected", "warning"),
    _Alarm("70302", "device.ip.conflict", "IP Conflicted", "warning"),
    _Alarm("70307", "device.wifi.offline", "Wi-Fi Disconnected", "warning"),
    _Alarm("70308", "device.radio.fault", "RF Exception", "warning"),
    _Alarm("70309", "device.cellular.exceeded", "Cellular Network Data Exceeded", "notice"),
    _Alarm("70310", "device.battery.low", "Wireless Sounder Low Battery", "warning", _LOW),
    _Alarm("70311", "device.battery.fault", "Battery Fault", "warning"),
    _Alarm("70402", "device.repeater.offline", "Wireless Repeater Disconnected", "warning"),
    _Alarm("70451", "device.battery.low", "Wireless Peripheral Undervoltage", "warning", _LOW),
    _Alarm("70452", "device.peripheral.offline", "Wireless Peripheral Disconnected", "warning"),
    _Alarm("70453", "device.peripheral.deleted", "Wireless Peripheral Deleted", "notice"),
    _Alarm("70454", "device.peripheral.added", "Wireless Peripheral Added", "info"),
    _Alarm("70502", "device.sounder.offline", "Wireless Sounder Disconnected", "warning"),
    # Maintenance, on-board devices; 50101 and 50120 stand above
    _Alarm("50109", "device.disk.full", "HDD Full", "warning"),
    _Alarm("50112", "device.disk.error", "Read/Write Hard Disk Error", "warning"),
    _Alarm("50104", "device.video_standard.mismatch", "Standard Mismatched", "notice"),
    _Alarm("50111", "security.login.illegal", "Illegal Login", "warning"),
    _Alarm("300001", "device.signal.restored", "Normal Signal", "info"),
    _Alarm("300002", "device.signal.fault", "Signal Exception", "warning"),
    _Alarm("300003", "device.gps.fault", "GPS Module Error", "warning"),
    # Video intercom (V2) and GPS (V2); the calls' states have rows of their own below
    _Alarm("140001", "intercom.unknown", "Video Intercom Event", "info"),
    _Alarm("330001", "driving.position", "GPS Data Report", "info"),
)

_DRIVING: Final = (
    _Both("11009", "330405", "driving.speeding", "Speeding", "warning"),
    _Both("11010", "330404", "driving.rollover", "Rollover", "critical"),
    _Both("11011", "330406", "driving.collision", "Collision", "critical"),
    _Both("11012", "330401", "driving.sharp_turn", "Sharp Turn", "notice"),
    _Both("11013", "330402", "driving.sudden_brake", "Sudden Brake", "notice"),
    _Both("11014", "330403", "driving.sudden_acceleration", "Sudden Acceleration", "notice"),
    _Both("100351", "", "driving.fence.entered", "Fence for Entry Detection", "notice"),
    _Both("100352", "", "driving.route.deviated", "Deviation", "warning"),
    _Both("100359", "330501", "driving.driver.smoking", "Smoking", "notice"),
    _Both("100360", "330502", "driving.driver.phone", "Using Mobile Phone", "warning"),
    _Both("100361", "330503", "driving.driver.fatigued", "Fatigue Driving", "warning"),
    _Both("100362", "330504", "driving.driver.distracted", "Distraction", "warning"),
    _Both("100363", "330505", "driving.driver.seatbelt", "Seatbelt Unbuckled", "warning"),
    _Both("100364", "330201", "driving.warning.forward_collision", "Forward Collision Warning", "warning"),
    _Both("100365", "330202", "driving.warning.headway", "Headway Monitoring Warning", "notice"),
    _Both("100366", "330203", "driving.warning.lane_departure", "Lane Deviation Warning", "notice"),
    _Both("100367", "330204", "driving.warning.pedestrian", "Pedestrian Collision Warning", "warning"),
    _Both("100368", "330205", "driving.warning.speed_limit", "Speed Limit Warning", "notice"),
    _Both("100369", "330301", "driving.warning.blind_spot", "Blind Spot Warning", "notice"),
    _Both("100370", "", "security.panic", "Emergency Alarm", "critical"),
    _Both("", "330101", "security.panic", "Alarm Triggered by Panic Button", "critical"),
    _Both("100371", "330102", "security.input.triggered", "Alarm Input", "warning"),
    _Both("100372", "330507", "driving.driver.yawning", "Yawning", "notice"),
    _Both("100373", "330508", "driving.driver.sunglasses", "Wearing IR Interrupted Sunglasses", "notice"),
    _Both("100374", "330509", "driving.driver.absent", "Absence", "notice"),
    _Both("100377", "", "driving.driver.license_expired", "Driving License Expired", "warning"),
    _Both("100396", "330506", "video.tampering", "Video Tampering", "warning"),
    _Both("100398", "", "driving.route.entered", "Entering Route", "info"),
    _Both("330407", "", "driving.ignition.on", "ACC ON", "info"),
    _Both("330408", "", "driving.ignition.off", "ACC OFF", "info"),
    _Both("330510", "", "driving.passenger.detected", "Front Passenger Detection", "info"),
    _Both("", "335000", "driving.driver.match", "Person and Vehicle Match", "info"),
    _Both("", "335001", "driving.driver.mismatch", "Person and Vehicle Mismatch", "warning"),
)

_GRANTED: Final = (
    _Granted("80025", "110001", "Access Granted by Card and Fingerprint", "card and fingerprint"),
    _Granted("80021", "110002", "Access Granted by Card, Fingerprint, and PIN", "card, fingerprint and PIN"),
    _Granted("80001", "110003", "Access Granted by Card", "card"),
    _Granted("80002", "110004", "Access Granted by Card and PIN", "card and PIN"),
    _Granted("80032", "110005", "Access Granted by Fingerprint", "fingerprint"),
    _Granted("80034", "110006", "Access Granted by Fingerprint and PIN", "fingerprint and PIN"),
    _Granted("80072", "110008", "Access Granted by Face and Fingerprint", "face and fingerprint"),
    _Granted("80075", "110009", "Access Granted by Face and PIN", "face and PIN"),
    _Granted("80078", "110010", "Access Granted by Face and Card", "face and card"),
    _Granted("80081", "110011", "Access Granted by Face, PIN, and Fingerprint", "face, PIN and fingerprint"),
    _Granted("80084", "110012", "Access Granted by Face, Card, and Fingerprint", "face, card and fingerprint"),
    _Granted("80093", "110013", "Access Granted by Face", "face"),
    _Granted("80147", "110018", "Access Granted via Combined Authentication Modes", "combined modes"),
    _Granted("100344", "110020", "Password Authenticated", "password"),
    _Granted("100620", "110022", "Access Granted by Bluetooth", "Bluetooth"),
    _Granted("100571", "110023", "Access Granted via QR Code", "QR code"),
    _Granted("80273", "110024", "Access Granted via Keyfob", "keyfob"),
)

_DENIED: Final = (
    _Denied("80008", "", "Verifying Card Encryption Information Failed", "card", "card encryption"),
    _Denied("", "110501", "Verifying Card Encryption Failed", "card", "card encryption"),
    _Denied("80009", "110502", "Max. Card Access Failed Attempts", "card", "too many attempts"),
    _Denied("80016", "110505", "Card No. Expired", "card", "expired"),
    _Denied("80017", "110506", "Access Timed Out by Card and PIN", "card and PIN", "timed out"),
    _Denied("80018", "110507", "Access Denied (Door Remained Locked or Inactive)", None, "door locked or inactive"),
    _Denied("80020", "110509", "Access Denied by Card and PIN", "card and PIN", "rejected"),
    _Denied(
        "80022", "110510", "Access Timed Out by Card, Fingerprint, and PIN", "card, fingerprint and PIN",
        "timed out",
    ),
    _Denied("80023", "110511", "Access Denied by Card, Fingerprint, and PIN", "card, fingerprint and PIN", "rejected"),
    _Denied("80024", "110512", "Access Denied by Card and Fingerprint", "card and fingerprint", "rejected"),
    _Denied("80026", "110513", "Access Timed Out by Card and Fingerprint", "card and fingerprint", "timed out"),
    _Denied("80027", "110514", "No Access Level Assigned", None, "no access level"),
    _Denied("80028", "110515", "Card No. Does Not Exist", "card", "unknown card"),
    _Denied("80029", "110516", "Invalid Time Period", None, "outside the time period"),
    _Denied("80030", "110517", "Fingerprint Does Not Exist", "fingerprint", "unknown fingerprint"),
    _Denied("80031", "110518", "Access Denied by Fingerprint", "fingerprint", "rejected"),
    _Denied("80033", "110519", "Access Denied by Fingerprint and PIN", "fingerprint and PIN", "rejected"),
    _Denied("80035", "110520", "Access Timed Out by Fingerprint and PIN", "fingerprint and PIN", "timed out"),
    _Denied("80073", "110521", "Access Denied by Face and Fingerprint", "face and fingerprint", "rejected"),
    _Denied("80074", "110522", "Access Timed Out by Face and Fingerprint", "face and fingerprint", "timed out"),
    _Denied("80076", "110523", "Access Denied by Face and PIN", "face and PIN", "rejected"),
    _Denied("80077", "110524", "Access Timed Out by Face and PIN", "face and PIN", "timed out"),
    _Denied("80079", "110525", "Access Denied by Face and Card", "face and card", "rejected"),
    _Denied("80080", "110526", "Access Timed Out by Face and Card", "face and card", "timed out"),
    _Denied("80082", "110527", "Access Denied by Face, PIN, and Fingerprint", "face, PIN and fingerprint", "rejected"),
    _Denied(
        "80083", "110528", "Access Timed Out by Face, PIN, and Fingerprint", "face, PIN and fingerprint",
        "timed out",
    ),
    _Denied(
        "80085", "110529", "Access Denied by Face, Card, and Fingerprint", "face, card and fingerprint",
        "rejected",
    ),
    _Denied(
        "80086", "110530", "Access Timed Out by Face, Card, and Fingerprint", "face, card and fingerprint",
        "timed out",
    ),
    _Denied("80094", "110531", "Access Denied by Face", "face", "rejected"),
    _Denied("80099", "110533", "Live Facial Detection Failed", "face", "not a living face"),
    _Denied("80148", "110545", "Combined Authentication Timed Out", "combined modes", "timed out"),
    _Denied("80152", "110546", "Access Denied by Invalid M1 Card", "card", "invalid card"),
    _Denied("80153", "110547", "Verifying CPU Card Encryption Failed", "card", "card encryption"),
    _Denied("80154", "110548", "Access Denied (NFC Card Reading Disabled)", "card", "card type disabled"),
    _Denied("80155", "110549", "EM Card Reading Not Enabled", "card", "card type disabled"),
    _Denied("80156", "110550", "M1 Card Reading Not Enabled", "card", "card type disabled"),
    _Denied("80157", "110551", "CPU Card Reading Disabled", "card", "card type disabled"),
    _Denied("80173", "110552", "Authentication Mode Mismatch", None, "authentication mode mismatch"),
    _Denied("", "110554", "Max. Card and Password Authentication Times", "card and password", "too many attempts"),
    _Denied("80263", "110555", "Password Mismatches", "password", "wrong password"),
    _Denied("80264", "110556", "Employee ID Does Not Exist", None, "unknown person"),
    _Denied("", "110557", "Access Denied: Scheduled Sleep Mode", None, "sleep mode"),
    _Denied("100345", "110559", "Verifying Desfire Card Encryption Failed", "card", "card encryption"),
    _Denied("100348", "110561", "Authentication Failed Due to Abnormal Features "
     "(e.g., Not Wearing Mask, Abnormal Skin-Surface Temperature)", None, "abnormal features"),
    _Denied("100621", "110564", "Access Denied by Bluetooth", "Bluetooth", "rejected"),
    _Denied("100572", "110565", "Access Denied by QR Code", "QR code", "rejected"),
    _Denied("100574", "110566", "Verifying QR Code Secret Key Failed", "QR code", "QR code key"),
    _Denied("80274", "110567", "Access Denied via Keyfob", "keyfob", "rejected"),
)  # fmt: skip

_DOOR: Final = (
    _Both("80036", "110007", "security.duress", "Duress Alarm", "critical"),
    _Both("", "110019", "access.temperature", "Skin-Surface Temperature Measured", "info"),
    _Both("100346", "110560", "access.absence", "Absence", "info"),
)


def _table() -> dict[str, Code]:
    rows = [(one.code, Code(one.type, one.name, one.severity, preset=one.preset)) for one in _ALARMS]
    for both in (*_DRIVING, *_DOOR):
        row = Code(both.type, both.name, both.severity)
        rows += [(code, row) for code in (both.alarm, both.message) if code]
    for opened in _GRANTED:
        yes: Groups = {"access": {"granted": True, "method": opened.method}}
        row = Code("access.granted", opened.name, "info", preset=yes)
        rows += [(opened.alarm, row), (opened.message, row)]
    for shut in _DENIED:
        no: Groups = {"access": group(Access(granted=False, method=shut.method, reason=shut.reason)) or {}}
        row = Code("access.denied", shut.name, "notice", preset=no)
        rows += [(code, row) for code in (shut.alarm, shut.message) if code]
    table = dict(rows)
    if len(table) != len(rows):
        raise AssertionError("a code stands in two rows")
    for start, end in PAIRS:
        table[start] = table[start]._replace(phase="start", pair=start)
        table[end] = table[end]._replace(phase="end", pair=start)
    return table


CODES: Final[dict[str, Code]] = _table()

TWINS: Final = (
    *(Twin(row.alarm, row.message) for row in (*_DRIVING, *_DOOR)),
    *(Twin(row.alarm, row.message) for row in _GRANTED),
    *(Twin(row.alarm, row.message) for row in _DENIED),
)
"""The codes that the alarm and the message queue have for one thing."""

_BOTH: Final = ("330407", "330408", "330510")  # listed among the alarm types and among the message types
_SECOND: Final = ("140001", "330001")  # message types, and what A.1.5 has beyond A.1.4
_MESSAGES: Final = frozenset(message for _, message in TWINS if message) | {*_BOTH, *_SECOND}
_TYPES: Final = frozenset(CODES) - _MESSAGES | {*_BOTH}
LISTED: Final[dict[str, frozenset[str]]] = {
    "alarm": _TYPES, "combine": _TYPES | {*_SECOND}, "rawmsg": _MESSAGES
}  # fmt: skip
"""The codes that each queue has by the document (A.1.4, A.1.5, A.1.7)."""

CALLS: Final[dict[str, Call]] = {
    "0": Call(Code("intercom.call.started", "Call Pushed", "notice", "start"), "pushed"),
    "1": Call(Code("intercom.call.answered", "Call Answered by Others", "info", "update"), "answered by others"),
    "2": Call(Code("intercom.call.ended", "Call Hung Up by the Device", "info", "end"), "hung up by the device"),
    "3": Call(
        Code("intercom.call.missed", "Call Canceled, No One Answers", "notice", "end"), "canceled, no one answers"
    ),
}
"""DeviceTalkInfo's msgType (A.3.75): by its number."""
