"""The event types of ISAPI's EventNotificationAlert, and what each means to the pump.

Keys are the types in lower case, for devices disagree about the rest. Sources: the vendor's public ISAPI guides and
what devices send; the issue's own words for the types it names.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pump.core.taxonomy import Severity


@dataclass(slots=True, frozen=True)
class Row:
    """One event type."""

    type: str
    name: str
    severity: Severity = "notice"
    durative: bool = False
    """Repeated while it lasts and restored at its end: one start, one end. Else each message is an event, a pulse."""
    end: str | None = None
    """The type of the end, where it is another one."""
    pictures: bool = False
    """Pictures may follow although the message does not count them."""


def _lasting(
    type_: str, name: str, severity: Severity = "notice", *, end: str | None = None, pictures: bool = False
) -> Row:
    return Row(type_, name, severity, True, end, pictures)


HEARTBEATS: Final = frozenset({"heartbeat", "other", "cidevent"})
"""Types that say nothing but that the device lives, unless there is something in them (heartBeat: always)."""
SILENT_WHEN_INACTIVE: Final = frozenset({"videoloss"})
"""Types whose inactive form, with nothing active before it, is a heartbeat."""

CHANNELS_OF_DEVICES: Final = frozenset(
    ("device.unknown", "device.signal.fault", "device.camera.offline", "device.video_standard.mismatch")
)
"""Types below `device` that concern a channel; with all others the channel number means nothing."""

UNKNOWN: Final = Row("device.unknown", "Unknown event", "info", pictures=True)

EVENTS: Final[dict[str, Row]] = {
    # video
    "vmd": _lasting("video.motion", "Motion detection"),
    "motion": _lasting("video.motion", "Motion detection"),
    "videomotion": _lasting("video.motion", "Motion detection"),
    "linedetection": _lasting("video.line.crossed", "Line crossing detection", "warning", pictures=True),
    "fielddetection": _lasting("video.intrusion", "Intrusion detection", "warning", pictures=True),
    "regionentrance": _lasting("video.region.entered", "Region entrance detection", "warning", pictures=True),
    "regionexiting": _lasting("video.region.exited", "Region exiting detection", "warning", pictures=True),
    "loitering": _lasting("video.loitering", "Loitering detection", "warning", pictures=True),
    "group": _lasting("video.gathering", "People gathering detection", "warning", pictures=True),
    "rapidmove": _lasting("video.fast_movement", "Fast moving detection", "warning", pictures=True),
    "parking": _lasting("video.parking", "Parking detection", "warning", pictures=True),
    "unattendedbaggage": _lasting("video.baggage.unattended", "Unattended baggage detection", "warning", pictures=True),
    "attendedbaggage": _lasting("video.object.removed", "Object removal detection", "warning", pictures=True),
    "leaveposition": _lasting("video.people.absent", "Absence detection", "warning"),
    "peoplenumchange": _lasting("video.people.abnormal", "People number detection", "warning"),
    "violentmotion": _lasting("video.violence", "Violent motion detection", "warning"),
    "advreachheight": _lasting("video.climbing", "Climbing detection", "warning"),
    "falldown": _lasting("video.fall", "Falling down detection", "warning"),
    "running": _lasting("video.fast_movement", "Running detection", "warning"),
    "facedetection": _lasting("video.face.detected", "Face detection", pictures=True),
    "facesnap": Row("video.face.captured", "Face capture", "info", pictures=True),
    "facecapture": Row("video.face.captured", "Face capture", "info", pictures=True),
    "alarmresult": Row("video.face.compared", "Face picture comparison", "warning", pictures=True),
    "humanrecognition": Row("video.person.captured", "Human body capture", "info", pictures=True),
    "humanattribute": Row("video.person.captured", "Human body capture", "info", pictures=True),
    "mixedtargetdetection": Row("video.target.detected", "Multi-target detection", "info", pictures=True),
    "peopledetection": Row("video.target.detected", "People detection", "info", pictures=True),
    "shelteralarm": _lasting("video.tampering", "Video tampering", "warning"),
    "tamperdetection": _lasting("video.tampering", "Video tampering", "warning"),
    "scenechangedetection": _lasting("video.scene.changed", "Scene change detection", "warning"),
    "defocus": _lasting("video.defocused", "Defocus detection"),
    "defocusdetection": _lasting("video.defocused", "Defocus detection"),
    "videoloss": _lasting("video.lost", "Video loss", "warning"),
    "badvideo": _lasting("device.signal.fault", "Video signal exception", "warning"),
    "videomismatch": _lasting("device.video_standard.mismatch", "Video standard mismatch"),
    "resolutionmismatch": _lasting("device.video_standard.mismatch", "Resolution mismatch"),
    "recordingfailure": _lasting("video.recording.failed", "Recording failed", "warning"),
    "recordexception": _lasting("video.recording.failed", "Recording exception", "warning"),
    "audioexception": _lasting("video.audio.abnormal", "Audio exception detection"),
    "audiodetection": _lasting("video.audio.abnormal", "Sudden change of sound detection"),
    "firedetection": _lasting("video.fire", "Fire source detection", "critical", pictures=True),
    "smokedetection": _lasting("video.fire", "Smoke detection", "critical", pictures=True),
    "smokeandfiredetection": _lasting("video.fire", "Smoke and fire detection", "critical", pictures=True),
    "shipsdetection": _lasting("video.ship.detected", "Ship detection", pictures=True),
    # people counting, queues, heat
    "peoplecounting": Row("video.people.counted", "People counting", "info"),
    "counting": Row("video.people.counted", "People counting", "info"),
    "persondensitydetection": _lasting("video.people.density", "People density detection"),
    "framespeoplecounting": Row("video.people.counted", "People counting in the picture", "info"),
    "personqueuecounting": _lasting("video.queue.length", "People queuing-up alarm"),
    "personqueuetime": _lasting("video.queue.time", "Waiting time alarm"),
    "personqueuedetecton": _lasting("video.queue.length", "Queue detection"),
    "personqueuedetection": _lasting("video.queue.length", "Queue detection"),
    # thermometry
    "tma": _lasting("video.temperature.alarm", "Temperature alarm", "critical", pictures=True),
    "tmpa": _lasting("video.temperature.prealarm", "Temperature pre-alarm", "warning", pictures=True),
    "tmda": _lasting("video.temperature.difference", "Temperature difference alarm", "warning", pictures=True),
    "thermometry": _lasting("video.temperature.alarm", "Thermometry alarm", "warning", pictures=True),
    "thermaltemperature": Row("video.temperature.measured", "Temperature measured", "info"),
    "facetemperaturemeasurementevent": Row("access.temperature", "Face temperature", "info", pictures=True),
    # vehicles
    "anpr": Row("vehicle.passed", "Number plate recognition", "info", pictures=True),
    "vehicledetection": Row("vehicle.passed", "Vehicle detection", "info", pictures=True),
    "vehiclerecognition": Row("vehicle.passed", "Vehicle recognition", "info", pictures=True),
    # access and alarms
    "accesscontrollerevent": Row("access.unknown", "Access controller event", "info", pictures=True),
    "io": _lasting("security.input.triggered", "Alarm input", "warning", end="security.input.restored"),
    "pir": _lasting("security.presence", "PIR alarm", "warning"),
    "wlsensor": _lasting("security.input.triggered", "Wireless sensor alarm", "warning", end="security.input.restored"),
    "callhelp": Row("security.panic", "Call for help", "critical"),
    "emergencyalarm": Row("security.panic", "Emergency alarm", "critical"),
    "cidevent": Row("security.unknown", "CID event of a panel", "warning"),
    "voicetalkevent": Row("intercom.call.started", "Call of an intercom", "info"),
    "illaccess": Row("security.login.illegal", "Illegal login", "warning"),
    "illegallogin": Row("security.login.illegal", "Illegal login", "warning"),
    # storage and the device itself
    "diskfull": _lasting("device.disk.full", "Disk full", "warning"),
    "diskerror": _lasting("device.disk.error", "Disk error", "warning"),
    "diskunformat": _lasting("device.disk.error", "Disk not formatted", "warning"),
    "storagedetection": _lasting("device.disk.failing", "Storage health", "warning"),
    "raidfailure": _lasting("device.raid.fault", "RAID exception", "warning"),
    "radifailure": _lasting("device.raid.fault", "RAID exception", "warning"),
    "spareexception": _lasting("device.spare.fault", "Hot spare exception", "warning"),
    "nicbroken": _lasting("device.wired.offline", "Network disconnected", "warning"),
    "ipconflict": _lasting("device.ip.conflict", "IP address conflict", "warning"),
    "ipcconflict": _lasting("device.ip.conflict", "IP address conflict of a camera", "warning"),
    "ipcdisconnect": _lasting("device.camera.offline", "Camera disconnected", "warning"),
    "poepowerexception": _lasting("device.power.fault", "PoE power exception", "warning"),
    "fanfailure": _lasting("device.fan.fault", "Fan failure", "warning"),
    "overheat": _lasting("device.hot", "Device too hot", "warning"),
    "lowbattery": _lasting("device.battery.low", "Low battery", "warning"),
    "reboot": Row("device.reset", "Restart", "notice"),
}
"""Every event type that is known, by its name in lower case."""

PLATE_LISTS: Final[dict[str, str]] = {
    "allowlist": "allowlist", "whitelist": "allowlist", "blocklist": "blocklist", "blacklist": "blocklist",
    "otherlist": "other", "other": "other", "temporary": "temporary",
}  # fmt: skip
DIRECTIONS: Final[dict[str, str]] = {"forward": "forward", "reverse": "backward", "back": "backward"}
MASKS: Final[dict[str, str]] = {"yes": "wearing mask", "no": "no mask", "unknown": "unknown"}
ATTENDANCE: Final[dict[str, str]] = {
    "checkin": "on work", "checkout": "off work", "breakout": "break starts", "breakin": "break ends",
    "overtimein": "overtime starts", "overtimeout": "overtime ends",
}  # fmt: skip
NO_PLATE: Final = frozenset({"", "unknown", "noplate", "no plate", "unlicensed", "none", "无车牌", "车牌"})
UNSAID: Final = frozenset({"", "unknown", "undefined", "invalid", "other", "none"})
"""Words of attributes that say that the device does not know."""
