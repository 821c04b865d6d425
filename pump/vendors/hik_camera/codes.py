"""The event types of ISAPI's EventNotificationAlert, each with its meaning to the pump.

Keys are the types in lower case, for devices disagree about the rest. Sources: the vendor's public ISAPI and SDK guides
(values of EventTrigger and SubscribeEvent) and what devices send. A type that is no event of its own is in HEARTBEATS
or CONTINUES.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from pump.core.taxonomy import Severity


class Row(NamedTuple):
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
CONTINUES: Final = frozenset({"duration"})
"""Types that say that the matter of another type, their relationEvent, goes on."""
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
    "motiondetection": _lasting("video.motion", "Motion detection"),
    "vmdhumanvehicle": _lasting("video.motion", "Motion of people or vehicles"),
    "linedetection": _lasting("video.line.crossed", "Line crossing detection", "warning", pictures=True),
    "advtraverseplane": _lasting("video.line.crossed", "Crossing of a bent line", "warning", pictures=True),
    "fielddetection": _lasting("video.intrusion", "Intrusion detection", "warning", pictures=True),
    "regionentrance": _lasting("video.region.entered", "Region entrance detection", "warning", pictures=True),
    "regionexiting": _lasting("video.region.exited", "Region exiting detection", "warning", pictures=True),
    "humanenter": _lasting("video.region.entered", "Person near an automat", "warning"),
    "loitering": _lasting("video.loitering", "Loitering detection", "warning", pictures=True),
    "retention": _lasting("video.loitering", "People staying", "warning"),
    "toilettarry": _lasting("video.loitering", "Too long in a toilet", "warning"),
    "yardtarry": _lasting("video.loitering", "Too long in a yard", "warning"),
    "overtime": _lasting("video.loitering", "Operation takes too long", "warning"),
    "group": _lasting("video.gathering", "People gathering detection", "warning", pictures=True),
    "rapidmove": _lasting("video.fast_movement", "Fast moving detection", "warning", pictures=True),
    "parking": _lasting("video.parking", "Parking detection", "warning", pictures=True),
    "illegalparking": _lasting("video.parking", "Illegal parking", "warning", pictures=True),
    "parallelparking": _lasting("video.parking", "Parking in the second row", "warning", pictures=True),
    "unattendedbaggage": _lasting("video.baggage.unattended", "Unattended baggage detection", "warning", pictures=True),
    "attendedbaggage": _lasting("video.object.removed", "Object removal detection", "warning", pictures=True),
    "lefttake": _lasting("video.object.removed", "Object left or removed", "warning", pictures=True),
    "left": _lasting("video.baggage.unattended", "Object left", "warning", pictures=True),
    "take": _lasting("video.object.removed", "Object removed", "warning", pictures=True),
    "abandonedobject": _lasting("video.baggage.unattended", "Object left on a road", "warning", pictures=True),
    "leaveposition": _lasting("video.people.absent", "Absence detection", "warning"),
    "peoplenumchange": _lasting("video.people.abnormal", "People number detection", "warning"),
    "violentmotion": _lasting("video.violence", "Violent motion detection", "warning"),
    "advreachheight": _lasting("video.climbing", "Climbing detection", "warning"),
    "reachheight": _lasting("video.climbing", "Climbing detection", "warning"),
    "reachhight": _lasting("video.climbing", "Climbing detection", "warning"),
    "getup": _lasting("video.posture", "Getting up"),
    "keypersongetup": _lasting("video.posture", "Getting up of a key person", "warning"),
    "standup": _lasting("video.posture", "Standing up"),
    "sitquietly": _lasting("video.posture", "Sitting still"),
    "hands": _lasting("video.posture", "Hand raised"),
    "spacingchange": _lasting("video.distance.alarm", "Distance between people", "warning"),
    "trail": _lasting("video.tailgating", "Following somebody closely", "warning", pictures=True),
    "stickup": _lasting("video.tampering", "Something stuck to an automat", "warning"),
    "installscanner": _lasting("video.tampering", "Reader attached to an automat", "warning"),
    "safetyhelmetdetection": Row(
        "video.helmet.missing", "Nobody may be here without a helmet", "warning", pictures=True
    ),
    "playcellphone": _lasting("video.violation", "Use of a phone"),
    "smoking": _lasting("video.violation", "Smoking"),
    "smokingdetection": _lasting("video.violation", "Smoking"),
    "citymanagement": Row("video.violation", "Disorder in a street", pictures=True),
    "falldown": _lasting("video.fall", "Falling down detection", "warning"),
    "faildown": _lasting("video.fall", "Falling down detection", "warning"),
    "running": _lasting("video.fast_movement", "Running detection", "warning"),
    "facedetection": _lasting("video.face.detected", "Face detection", pictures=True),
    "facesnap": Row("video.face.captured", "Face capture", "info", pictures=True),
    "facecapture": Row("video.face.captured", "Face capture", "info", pictures=True),
    "facesnapmodeling": Row("video.face.captured", "Face capture with a model", "info", pictures=True),
    "alarmresult": Row("video.face.compared", "Face picture comparison", "warning", pictures=True),
    "facecontrast": Row("video.face.compared", "Face picture comparison", "warning", pictures=True),
    "blacklistfacecontrast": Row("video.face.compared", "Face of a block list", "warning", pictures=True),
    "whitelistfacecontrast": Row("video.face.compared", "Face of no list", "warning", pictures=True),
    "whitefacecontrast": Row("video.face.compared", "Face of no list", "warning", pictures=True),
    "facelib": Row("video.face.compared", "Face picture comparison", "warning", pictures=True),
    "cardmatch": Row("video.face.compared", "Comparison of a person and an ID card", "info", pictures=True),
    "hfpd": Row("video.face.compared", "Frequent visitor", "notice", pictures=True),
    "lfpd": Row("video.face.compared", "Rare visitor", "notice", pictures=True),
    "humanrecognition": Row("video.person.captured", "Human body capture", "info", pictures=True),
    "humanattribute": Row("video.person.captured", "Human body capture", "info", pictures=True),
    "mixedtargetdetection": Row("video.target.detected", "Multi-target detection", "info", pictures=True),
    "targetcapture": Row("video.target.detected", "Capture of a target", "info", pictures=True),
    "captureresult": Row("video.target.detected", "Capture of a target", "info", pictures=True),
    "analytics": Row("video.target.detected", "Video analysis", "info", pictures=True),
    "multiradartargetevent": _lasting("security.target.tracked", "Target of a radar"),
    "radartargetevent": _lasting("security.target.tracked", "Target of a radar"),
    "peopledetection": Row("video.target.detected", "People detection", "info", pictures=True),
    "shelteralarm": _lasting("video.tampering", "Video tampering", "warning"),
    "tamperdetection": _lasting("video.tampering", "Video tampering", "warning"),
    "scenechangedetection": _lasting("video.scene.changed", "Scene change detection", "warning"),
    "defocus": _lasting("video.defocused", "Defocus detection"),
    "defocusdetection": _lasting("video.defocused", "Defocus detection"),
    "videoloss": _lasting("video.lost", "Video loss", "warning"),
    "badvideo": _lasting("device.signal.fault", "Video signal exception", "warning"),
    "videoexception": _lasting("device.signal.fault", "Video signal exception", "warning"),
    "vqddiagnose": _lasting("device.signal.fault", "Video quality diagnosis", "warning"),
    "vqd": _lasting("device.signal.fault", "Video quality diagnosis", "warning"),
    "pocexception": _lasting("device.signal.fault", "Camera without power over its cable", "warning"),
    "videomismatch": _lasting("device.video_standard.mismatch", "Video standard mismatch"),
    "resolutionmismatch": _lasting("device.video_standard.mismatch", "Resolution mismatch"),
    "recordingfailure": _lasting("video.recording.failed", "Recording failed", "warning"),
    "recordexception": _lasting("video.recording.failed", "Recording exception", "warning"),
    "recordcycleabnormal": _lasting("video.recording.failed", "Recordings are kept too short", "warning"),
    "audioexception": _lasting("video.audio.abnormal", "Audio exception detection"),
    "audiodetection": _lasting("video.audio.abnormal", "Sudden change of sound detection"),
    "audioabnormal": _lasting("video.audio.abnormal", "Sudden change of sound detection"),
    "firedetection": _lasting("video.fire", "Fire source detection", "critical", pictures=True),
    "smokedetection": _lasting("video.fire", "Smoke detection", "critical", pictures=True),
    "smokeandfiredetection": _lasting("video.fire", "Smoke and fire detection", "critical", pictures=True),
    "shipsdetection": _lasting("video.ship.detected", "Ship detection", pictures=True),
    # people counting, queues, heat
    "peoplecounting": Row("video.people.counted", "People counting", "info"),
    "counting": Row("video.people.counted", "People counting", "info"),
    "persondensitydetection": _lasting("video.people.density", "People density detection"),
    "framespeoplecounting": Row("video.people.counted", "People counting in the picture", "info"),
    "peoplenumcounting": Row("video.people.counted", "People counting in a region", "info"),
    "personqueuerealtime": Row("video.people.counted", "People in a queue", "info"),
    "personqueuerealtimedata": Row("video.people.counted", "People in a queue", "info"),
    "regiontargetnumbercounting": Row("video.targets.counted", "Counting of people and vehicles in a region", "info"),
    "heatmap": Row("video.heatmap", "Heat map", "info", pictures=True),
    "personqueuecounting": _lasting("video.queue.length", "People queuing-up alarm"),
    "personqueuetime": _lasting("video.queue.time", "Waiting time alarm"),
    "personqueuedetecton": _lasting("video.queue.length", "Queue detection"),
    "personqueuedetection": _lasting("video.queue.length", "Queue detection"),
    # thermometry
    "tma": _lasting("video.temperature.alarm", "Temperature alarm", "critical", pictures=True),
    "tmpa": _lasting("video.temperature.prealarm", "Temperature pre-alarm", "warning", pictures=True),
    "tmda": _lasting("video.temperature.difference", "Temperature difference alarm", "warning", pictures=True),
    "temperature": _lasting("video.temperature.difference", "Temperature difference alarm", "warning", pictures=True),
    "thermometry": _lasting("video.temperature.alarm", "Thermometry alarm", "warning", pictures=True),
    "thermaltemperature": Row("video.temperature.measured", "Temperature measured", "info"),
    "temperatureintervalmeasurement": Row("video.temperature.measured", "Temperature measured", "info", pictures=True),
    "facetemperaturemeasurementevent": Row("access.temperature", "Face temperature", "info", pictures=True),
    # vehicles
    "anpr": Row("vehicle.passed", "Number plate recognition", "info", pictures=True),
    "vehicledetection": Row("vehicle.passed", "Vehicle detection", "info", pictures=True),
    "vehiclerecognition": Row("vehicle.passed", "Vehicle recognition", "info", pictures=True),
    "hvtvehicledetection": Row("vehicle.passed", "Vehicle detection", "info", pictures=True),
    "vehiclematchresult": Row("vehicle.matched", "Number plate compared with lists", "info"),
    "blacklist": Row("vehicle.matched", "Vehicle of a block list", "warning"),
    "whitelist": Row("vehicle.matched", "Vehicle of an allow list", "info"),
    "allvehiclelist": Row("vehicle.matched", "Vehicle, whatever its list", "info"),
    "othervehiclelist": Row("vehicle.matched", "Vehicle of no list", "info"),
    "vehiclercogresult": Row("vehicle.captured", "Picture of a vehicle recognized anew", "info", pictures=True),
    "aid": Row("video.traffic.incident", "Traffic incident", "warning", pictures=True),
    "tfs": Row("video.traffic.violation", "Traffic violation", "warning", pictures=True),
    "pedestrian": Row("video.traffic.incident", "Pedestrian on a road", "warning", pictures=True),
    "trafficaccident": Row("video.traffic.incident", "Traffic accident", "critical", pictures=True),
    "construction": Row("video.traffic.incident", "Road works", "notice", pictures=True),
    "roadblock": Row("video.traffic.incident", "Road blocked", "warning", pictures=True),
    "congestion": Row("video.traffic.incident", "Traffic jam", "notice", pictures=True),
    "wrongdirection": Row("video.traffic.violation", "Driving in the wrong direction", "warning", pictures=True),
    # access and alarms
    "accesscontrollerevent": Row("access.unknown", "Access controller event", "info", pictures=True),
    "io": _lasting("security.input.triggered", "Alarm input", "warning", end="security.input.restored"),
    "pir": _lasting("security.presence", "PIR alarm", "warning"),
    "wlsensor": _lasting("security.input.triggered", "Wireless sensor alarm", "warning", end="security.input.restored"),
    "callhelp": Row("security.panic", "Call for help", "critical"),
    "emergencyalarm": Row("security.panic", "Emergency alarm", "critical"),
    "cidevent": Row("security.unknown", "CID event of a panel", "warning"),
    "zoneupdate": Row("security.zone.updated", "Zone of a panel reported anew", "info"),
    "voicetalkevent": Row("intercom.call.started", "Call of an intercom", "info"),
    "videointercomevent": Row("intercom.unknown", "Event of an intercom", "info", pictures=True),
    "videointercomalarm": Row("security.unknown", "Alarm of an intercom", "warning", pictures=True),
    "illaccess": Row("security.login.illegal", "Illegal login", "warning"),
    "illegallogin": Row("security.login.illegal", "Illegal login", "warning"),
    # storage and the device itself
    "diskfull": _lasting("device.disk.full", "Disk full", "warning"),
    "diskerror": _lasting("device.disk.error", "Disk error", "warning"),
    "diskunformat": _lasting("device.disk.error", "Disk not formatted", "warning"),
    "highhdtemperature": _lasting("device.disk.hot", "Disk too hot", "warning"),
    "lowhdtemperature": _lasting("device.disk.failing", "Disk too cold", "warning"),
    "hdimpact": _lasting("device.disk.impact", "Shock to a disk", "warning"),
    "hdbadblock": _lasting("device.disk.bad_sector", "Bad sector of a disk", "warning"),
    "severehdfailure": _lasting("device.disk.failing", "Disk about to fail", "critical"),
    "sysstorfull": _lasting("device.disk.full", "Storage of a cluster full", "warning"),
    "facelibdiskerror": _lasting("device.library.fault", "Disk of the face library out of order", "warning"),
    "facelibmodifyerror": _lasting("device.library.fault", "Face library could not be changed", "warning"),
    "facelibpictureerror": _lasting(
        "device.library.fault", "Picture of the face library could not be changed", "warning"
    ),
    "storagedetection": _lasting("device.disk.failing", "Storage health", "warning"),
    "raidfailure": _lasting("device.raid.fault", "RAID exception", "warning"),
    "radifailure": _lasting("device.raid.fault", "RAID exception", "warning"),
    "spareexception": _lasting("device.spare.fault", "Hot spare exception", "warning"),
    "hotspare": _lasting("device.spare.fault", "Hot spare exception", "warning"),
    "nicbroken": _lasting("device.wired.offline", "Network disconnected", "warning"),
    "ipconflict": _lasting("device.ip.conflict", "IP address conflict", "warning"),
    "ipcconflict": _lasting("device.ip.conflict", "IP address conflict of a camera", "warning"),
    "ipcdisconnect": _lasting("device.camera.offline", "Camera disconnected", "warning"),
    "nodeoffline": _lasting("device.offline", "Node of a cluster offline", "warning"),
    "versionabnormal": _lasting("device.cluster.fault", "Versions of a cluster differ", "warning"),
    "ipctransferabnormal": _lasting("device.cluster.fault", "Camera could not be moved to another node", "warning"),
    "certificaterevocation": _lasting("device.certificate.expiring", "Certificate about to expire", "warning"),
    "poepowerexception": _lasting("device.power.fault", "PoE power exception", "warning"),
    "poe": _lasting("device.power.fault", "PoE power exception", "warning"),
    "voltageinstable": _lasting("device.power.fault", "Supply voltage unstable", "warning"),
    "fanfailure": _lasting("device.fan.fault", "Fan failure", "warning"),
    "overheat": _lasting("device.hot", "Device too hot", "warning"),
    "lowbattery": _lasting("device.battery.low", "Low battery", "warning"),
    "reboot": Row("device.reset", "Restart", "notice"),
    "pos": Row("device.message", "Text of a cash register", "info"),
    "taginfo": Row("device.message", "Tags in range", "info"),
    "basestationinfo": Row("device.message", "Base stations in range", "info"),
    "iotd": Row("device.message", "Event of a device that is no camera", "info"),
}
"""Every event type that is known, by its name in lower case."""

PLATE_LISTS: Final[dict[str, str]] = {
    "allowlist": "allowlist", "allow": "allowlist", "allowed": "allowlist", "whitelist": "allowlist",
    "white": "allowlist",
    "blocklist": "blocklist", "block": "blocklist", "blocked": "blocklist", "blacklist": "blocklist",
    "black": "blocklist", "otherlist": "other", "other": "other", "nolist": "other", "temporary": "temporary",
    "temporarylist": "temporary", "temp": "temporary", "templist": "temporary",
}  # fmt: skip
"""The words of cameras for the list that holds a plate, in lower case and without blanks and dashes."""
DIRECTIONS: Final[dict[str, str]] = {"forward": "forward", "reverse": "backward", "back": "backward"}
MASKS: Final[dict[str, str]] = {"yes": "wearing mask", "no": "no mask", "unknown": "unknown"}
ATTENDANCE: Final[dict[str, str]] = {
    "checkin": "on work", "checkout": "off work", "breakout": "break starts", "breakin": "break ends",
    "overtimein": "overtime starts", "overtimeout": "overtime ends",
}  # fmt: skip
NO_PLATE: Final = frozenset({"", "unknown", "noplate", "no plate", "unlicensed", "none", "无车牌", "车牌"})
UNSAID: Final = frozenset({"", "unknown", "undefined", "invalid", "other", "none"})
"""Words of attributes that say that the device does not know."""
