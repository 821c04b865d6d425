"""The pump's vocabulary: every event type with what it says, the phases, the severities. One table, no I/O.

Vendors' code tables name these types; a type that stands in no row here is a mistake that a test finds. Types are
`<domain>[.<object>].<what>`; a code that no vendor document lists becomes `<domain>.unknown`.
"""

from __future__ import annotations

from typing import Final, Literal

Phase = Literal["start", "end", "pulse", "update"]
PHASES: Final = ("start", "end", "pulse", "update")

Severity = Literal["info", "notice", "warning", "critical"]
SEVERITIES: Final[dict[str, int]] = {"info": 0, "notice": 1, "warning": 2, "critical": 3}
"""Name to rank; the spool keeps the rank."""

DOMAINS: Final = (
    "vehicle", "parking", "security", "video", "access", "driving", "intercom", "device", "command", "alarm", "media",
    "pump",
)  # fmt: skip

VEHICLE: Final[dict[str, str]] = {
    "vehicle.passed": "A vehicle was seen by a plate camera; vehicle.list says whether a list holds its plate",
}

SECURITY: Final[dict[str, str]] = {
    "security.alarm.cleared": "The alarms of a control panel were cleared",
    "security.arm.failed": "Arming by schedule did not succeed",
    "security.armed": "A partition was armed; alarm.mode says how where it is not the usual way",
    "security.bypass.restored": "A zone is watched again after a bypass",
    "security.bypass.set": "A zone is left out of the alarm system",
    "security.disarm.late": "A partition was disarmed later than its schedule wants",
    "security.disarmed": "A partition was disarmed",
    "security.duress": "Somebody opens or disarms under threat",
    "security.input.restored": "An alarm input is back at rest",
    "security.input.triggered": "An alarm input was triggered",
    "security.keypad.locked": "A keypad locked itself",
    "security.keypad.unlocked": "A keypad works again after a lock",
    "security.login.illegal": "Somebody tried to log in to a device without the right to",
    "security.panic": "Somebody pressed an emergency button",
    "security.tampering": "Somebody tampers with a device of the alarm system",
}

VIDEO: Final[dict[str, str]] = {
    "video.distance.alarm": "People are nearer to each other, or farther, than allowed",
    "video.face.captured": "A face was captured",
    "video.fast_movement": "Something moves fast in the picture",
    "video.fire": "Fire or smoke is seen",
    "video.intrusion": "Something is inside a region and stays there",
    "video.line.crossed": "Something crossed a line",
    "video.lost": "A channel's picture is gone",
    "video.mask.missing": "Somebody wears no mask",
    "video.motion": "Something moves in the picture",
    "video.people.absent": "A post that should be manned is empty",
    "video.people.abnormal": "There are more or fewer people than allowed",
    "video.people.density": "The density of people passed its threshold",
    "video.queue.left": "Somebody left a queue",
    "video.queue.length": "The number of people in a queue passed its threshold",
    "video.queue.time": "Somebody waits in a queue longer than its threshold",
    "video.recording.failed": "A camera's pictures are not recorded",
    "video.region.entered": "Something entered a region",
    "video.region.exited": "Something left a region",
    "video.tampering": "A camera's view is covered or turned away",
    "video.target.detected": "Targets of several kinds (people, faces, vehicles) were detected",
    "video.temperature.alarm": "A measured temperature passed its threshold",
    "video.temperature.difference": "Two measured temperatures differ by more than a threshold",
    "video.temperature.prealarm": "A measured temperature comes near its threshold",
}

ACCESS: Final[dict[str, str]] = {
    "access.absence": "Nobody was there to be authenticated",
    "access.denied": "Somebody was refused at a door; access.reason says why, access.method by what",
    "access.granted": "Somebody was let in at a door; access.method says by what",
    "access.temperature": "The temperature of somebody's skin was measured at a door",
}

DRIVING: Final[dict[str, str]] = {
    "driving.collision": "A vehicle collided",
    "driving.driver.absent": "Nobody sits at the wheel",
    "driving.driver.distracted": "The driver looks away",
    "driving.driver.fatigued": "The driver is tired",
    "driving.driver.license_expired": "The driver's licence is no longer valid",
    "driving.driver.match": "The driver is one of this vehicle's",
    "driving.driver.mismatch": "The driver is none of this vehicle's",
    "driving.driver.phone": "The driver uses a mobile phone",
    "driving.driver.seatbelt": "The driver wears no seat belt",
    "driving.driver.smoking": "The driver smokes",
    "driving.driver.sunglasses": "The driver's glasses keep the camera from seeing the eyes",
    "driving.driver.yawning": "The driver yawns",
    "driving.fence.entered": "A vehicle entered a fenced area of the map",
    "driving.ignition.off": "A vehicle's ignition was turned off",
    "driving.ignition.on": "A vehicle's ignition was turned on",
    "driving.passenger.detected": "Somebody sits on the front passenger's seat",
    "driving.position": "Where a vehicle is, and how it moves",
    "driving.rollover": "A vehicle rolled over",
    "driving.route.deviated": "A vehicle left its route",
    "driving.route.entered": "A vehicle entered its route",
    "driving.sharp_turn": "A vehicle turned sharply",
    "driving.speeding": "A vehicle drives faster than its limit",
    "driving.sudden_acceleration": "A vehicle accelerated suddenly",
    "driving.sudden_brake": "A vehicle braked suddenly",
    "driving.warning.blind_spot": "The driver was warned of something in the blind spot",
    "driving.warning.forward_collision": "The driver was warned of a collision ahead",
    "driving.warning.headway": "The driver was warned of too short a distance to the vehicle ahead",
    "driving.warning.lane_departure": "The driver was warned of leaving the lane",
    "driving.warning.pedestrian": "The driver was warned of a collision with a pedestrian",
    "driving.warning.speed_limit": "The driver was warned of a speed limit",
}

INTERCOM: Final[dict[str, str]] = {
    "intercom.call.answered": "A call was answered, perhaps on another station",
    "intercom.call.ended": "The calling device hung up",
    "intercom.call.missed": "The calling device gave up, for nobody answered",
    "intercom.call.started": "A device calls a room or the management center",
}

DEVICE: Final[dict[str, str]] = {
    "device.battery.fault": "A battery is broken or missing",
    "device.battery.low": "A battery or a supply has little left; the name says whose",
    "device.camera.offline": "A camera is not reachable",
    "device.camera.online": "A camera is reachable again",
    "device.cellular.exceeded": "The cellular data allowance is used up",
    "device.cellular.offline": "The cellular network is not reachable",
    "device.detector.offline": "A wireless detector is not reachable",
    "device.clock.off": "A device's clock is more than a minute off, as ten live events show; at the end: right again",
    "device.disk.bad_sector": "A disk has a bad sector",
    "device.disk.error": "A disk cannot be read or written",
    "device.disk.failing": "A disk fails its self-test",
    "device.disk.full": "A disk is full",
    "device.disk.hot": "A disk is too hot",
    "device.disk.impact": "A disk took a shock",
    "device.expander.offline": "An expander module is not reachable",
    "device.gps.fault": "A positioning module does not work",
    "device.ip.conflict": "Another device uses the same IP address",
    "device.offline": "A device is not reachable",
    "device.online": "A device is reachable again",
    "device.peripheral.added": "A wireless peripheral was added",
    "device.peripheral.deleted": "A wireless peripheral was deleted",
    "device.peripheral.offline": "A wireless peripheral is not reachable",
    "device.power.lost": "The mains supply is gone",
    "device.radio.fault": "The radio of a device is disturbed or broken",
    "device.repeater.offline": "A wireless repeater is not reachable",
    "device.reset": "A device was reset",
    "device.signal.fault": "A video signal is out of order",
    "device.signal.restored": "A video signal is in order again",
    "device.sounder.offline": "A wireless sounder is not reachable",
    "device.video_standard.mismatch": "The video standard of an input is not the one configured",
    "device.wifi.offline": "The Wi-Fi network is not reachable",
    "device.wired.offline": "The wired network is not reachable",
}

PANEL: Final[dict[str, str]] = {
    "device.bus.fault": "The supervision of a panel's bus finds a fault",
    "device.bus.open": "A panel's bus is open",
    "device.bus.short": "A panel's bus is shorted",
    "device.email.failed": "A device could not send an e-mail",
    "device.expander.fault": "An expander module is out of order",
    "device.keypad.offline": "A keypad is not reachable",
    "device.printer.offline": "A printer is not reachable",
    "device.radar.fault": "A radar transmitter is out of order",
    "device.relay.offline": "A relay module is not reachable",
    "device.sim.fault": "A SIM card does not work",
    "device.telephone.offline": "The telephone line is dead",
    "device.upload.failed": "A device could not upload a picture",
    "security.absence": "Nobody was where somebody should be, or gave a sign of life in time",
    "security.alarm.audible": "A zone that is always armed, and sounds, was triggered",
    "security.alarm.auxiliary": "An auxiliary zone that is always armed was triggered",
    "security.alarm.delayed": "A zone with an entry delay was triggered, and nobody disarmed in time",
    "security.alarm.instant": "A zone without delay was triggered",
    "security.alarm.overtime": "A zone was not triggered, or not at rest, for longer than allowed",
    "security.alarm.shock": "A shock sensor was triggered",
    "security.alarm.silent": "A zone that is always armed, and makes no sound, was triggered",
    "security.burglary": "A burglary alarm",
    "security.disarm.failed": "Disarming by schedule did not succeed",
    "security.fire": "A fire alarm",
    "security.gas": "A gas leak is reported",
    "security.interior": "A zone inside the building was triggered",
    "security.medical": "Somebody called for medical help",
    "security.moved": "A device of the alarm system was moved",
    "security.output.off": "An output was turned off by schedule",
    "security.output.off_failed": "An output could not be turned off",
    "security.output.on": "An output was turned on by schedule",
    "security.output.on_failed": "An output could not be turned on",
    "security.perimeter": "A zone of the perimeter was triggered",
    "security.prealarm": "A zone announces that it may raise an alarm",
    "security.programming.entered": "Somebody began to change a panel's configuration",
    "security.programming.exited": "A panel's configuration mode was left",
    "security.service.bus_query": "The devices of a panel's bus were queried",
    "security.service.bus_registration": "Devices were registered on a panel's bus",
    "security.service.consulted": "A consultation through the panel is over",
    "security.service.consulting": "Somebody asks for a consultation through the panel",
    "security.service.duty_check": "Whoever is on duty was asked for a sign of presence",
    "security.service.post_response": "Whoever is on duty gave a sign of presence",
    "security.service.zone_cleared": "The alarm of a single zone was cleared",
    "security.test.heartbeat": "A panel reported that it lives",
    "security.test.manual": "Somebody tested the reporting of a panel",
    "security.test.periodic": "A panel tested its reporting by schedule",
    "security.test.telephone": "A panel tested its telephone connection",
    "security.video_review": "A clip that shows what an alarm saw was uploaded; data.media has its address",
    "security.zone.open": "The circuit of a zone is open",
    "security.zone.short": "The circuit of a zone is shorted",
}
"""Reports of control panels beside the rows above (Hikvision's CID codes)."""

CAMERA: Final[dict[str, str]] = {
    "access.attempts.exceeded": "Somebody failed too often to be authenticated",
    "access.barrier.obstructed": "Something is in the way of a lane's barrier; at the end: no more",
    "access.captured": "A terminal took a picture, linked to something else or as asked",
    "access.confirmation.wanted": "Somebody waits at a door until the platform or a person lets them in",
    "access.door.closed": "A door was closed",
    "access.door.forced": "A door was opened without anybody having been let in",
    "access.door.held_closed": "A door is set to stay closed for everybody",
    "access.door.held_open": "A door is set to stay open for everybody",
    "access.door.locked": "A door was locked",
    "access.door.open_too_long": "A door has been open for longer than allowed",
    "access.door.opened": "A door was opened",
    "access.door.unlocked": "A door was unlocked; access.method says by what where somebody did it",
    "access.elevator.called": "Somebody called an elevator",
    "access.exit.released": "An exit button was released",
    "access.exit.requested": "Somebody pressed an exit button",
    "access.occupancy.high": "Nearly as many people are inside as are allowed",
    "access.passage.climbed": "Somebody climbs over the barrier of a lane",
    "access.passage.forced": "Somebody forces the barrier of a lane",
    "access.passage.intrusion": "Somebody enters a lane without having been let in",
    "access.passage.overtime": "Somebody takes too long to pass a lane",
    "access.passage.reversed": "Somebody passes a lane in the wrong direction",
    "access.passage.staying": "Somebody stays in a lane",
    "access.passage.tailgating": "Somebody passes a lane right behind another",
    "access.payment.failed": "A payment at a terminal did not succeed",
    "device.certificate.expiring": "A certificate of a device ends soon, or has ended",
    "device.cluster.fault": "The devices of a cluster do not work together",
    "device.configuration.changed": "The configuration of a device was changed",
    "device.configuration.exported": "The configuration of a device was read out",
    "device.fan.fault": "A fan does not turn",
    "device.hot": "A device is too hot",
    "device.input.fault": "The circuit of a door's input is shorted, open or otherwise out of order",
    "device.library.fault": "A library of faces cannot be read or changed",
    "device.login": "Somebody logged in to a device",
    "device.logout": "Somebody logged out of a device",
    "device.maintenance.requested": "Somebody pressed the maintenance button of a device; at the end: released it",
    "device.memory.full": "A device has hardly any memory left for events it cannot send",
    "device.part.fault": "A part of a device is out of order; at the end: it works again",
    "device.power.fault": "A device's supply of others (PoE) is out of order",
    "device.raid.fault": "A disk array is degraded or gone",
    "device.spare.fault": "A device's hot spare, or its duty for another, is out of order",
    "device.started": "A device was turned on",
    "device.stopped": "A device was turned off",
    "device.time.set": "A device's clock was set",
    "device.transaction": "Somebody pays at a cash register; at the end: it is done",
    "device.unauthorized": "A device at a controller is not authorized",
    "device.upgraded": "A device's firmware was changed",
    "security.presence": "An infrared detector sees somebody",
    "security.target.tracked": "A radar sees somebody or something move",
    "security.zone.updated": "A panel reported a zone anew; raw says what of it",
    "vehicle.matched": "A plate was compared with a camera's lists, beside its pass; vehicle.list says which holds it",
    "video.audio.abnormal": "A sound is lost, or changes suddenly",
    "video.baggage.unattended": "Something was left behind",
    "video.climbing": "Somebody climbs",
    "video.defocused": "A picture is out of focus",
    "video.face.compared": "A face was compared with a library",
    "video.face.detected": "A face is in the picture",
    "video.fall": "Somebody fell down",
    "video.gathering": "People gather in a region",
    "video.heatmap": "A map of where people stay or pass was made",
    "video.helmet.missing": "Somebody wears no helmet where one is wanted",
    "video.loitering": "Somebody stays in a region without going anywhere",
    "video.object.removed": "Something was taken away",
    "video.parking": "A vehicle stands where it should not",
    "video.people.counted": "People were counted: measure says whether in, out or present",
    "video.person.captured": "A person was captured, with what can be seen of them",
    "video.posture": "Somebody stands or gets up, sits still or raises a hand; the name says which",
    "video.scene.changed": "A camera sees another scene than before",
    "video.ship.detected": "A ship is in the picture",
    "video.tailgating": "Somebody follows somebody else closely",
    "video.targets.counted": "People and vehicles were counted: measure says what and which way",
    "video.temperature.measured": "A temperature was measured in the picture",
    "video.traffic.incident": "Something disturbs the traffic; the name says what",
    "video.traffic.violation": "A vehicle does what the traffic rules forbid; the name says what",
    "video.violation": "Somebody does what is forbidden there; the name says what",
    "video.violence": "People move violently",
}
"""Reports of cameras, recorders and access terminals beside the rows above (ISAPI)."""

BAY: Final[dict[str, str]] = {
    "command.result": "What became of a command to a device; command.status says how far it is",
    "device.activated": "A sensor that was deactivated works again",
    "device.battery.normal": "A battery that was low is not any more, or is well at its first sight",
    "device.deactivated": "A sensor was frozen: it reports nothing until it is activated",
    "device.fault.cleared": "A fault of a device is gone; the name says which",
    "device.fault.raised": "A device reports a fault; the name says which",
    "device.measure": "A value that a device measured: hourly, and at a change that matters",
    "device.status": "A device reported how it is, which is as it was",
    "device.tamper": "The cabinet of a device was opened; at the end: closed",
    "parking.lock.lowered": "A parking lock was lowered: the bay is open",
    "parking.lock.raised": "A parking lock was raised: the bay is barred",
    "parking.space.occupied": "A vehicle stands in a bay",
    "parking.space.vacated": "A bay is free",
}
"""Reports of the sensors and locks of parking bays (Kinot)."""

PLATES: Final[dict[str, str]] = {
    "device.message": "A device sent what stands for no event of its own: it is kept whole",
    "vehicle.captured": "A plate camera was told to capture: a vehicle was in view, which is no pass",
}
"""Messages of plate cameras beside passes (AvaEye)."""

COMMANDS: Final[dict[str, str]] = {
    "command.requested": "A command to a device was taken and is about to be sent; its result has the same request_id",
}
"""Commands of ours; their results are command.result, as those that devices report."""

PUMP: Final[dict[str, str]] = {
    "pump.started": "The daemon started",
    "pump.stopping": "The daemon is stopping, as asked",
    "pump.source.up": "A source reaches its vendor",
    "pump.source.down": "A source does not reach its vendor",
    "pump.gap": "Events of a span of time may be missing: from, to, how many, why",
    "pump.devices.full": "A device table is full: strangers forget each other, or more are known than it can hold",
    "pump.clock.jumped": "The wall clock has jumped by more than a minute: before, after, by how many seconds",
    "pump.media.evicted": "Pictures were removed for want of room before their retention was over: how many, bytes",
    "pump.dead.evicted": "A sink's oldest dead letters were removed, for they held more than their share",
    "pump.record.unparsed": "A vendor's record that could not be parsed, kept whole",
    "pump.spool.filling": "The spool is four fifths full; the data names who holds it",
    "pump.sink.repaired": "What a sink keeps was damaged and set aside; the data says what was carried over and lost",
    "pump.spool.repaired": "A damaged spool was set aside; the data tells what was carried over and what is lost",
}

ALARM: Final[dict[str, str]] = {
    "alarm.acknowledged": "Somebody at the operators' page has taken note of an alarm: alarm.user says who",
}
"""What people say of alarms; data.updates names the alarm's event, data.note what they wrote."""

MEDIA: Final[dict[str, str]] = {
    "media.failed": "A picture or clip could not be fetched from its link: data.reason says why",
    "media.stored": "A picture or clip was fetched from its link: data.media has its path, data.updates its event",
}
"""What became of links (pump/ingest/fetch)."""

UNKNOWN: Final[dict[str, str]] = {
    f"{domain}.unknown": f"A {domain} event whose code no vendor document lists; the code is kept"
    for domain in DOMAINS
    if domain not in ("alarm", "pump")  # of these all are ours
}

TYPES: Final[dict[str, str]] = {
    **VEHICLE, **SECURITY, **VIDEO, **ACCESS, **DRIVING, **INTERCOM, **DEVICE, **PANEL, **CAMERA, **BAY,
    **PLATES, **COMMANDS, **ALARM, **MEDIA, **PUMP, **UNKNOWN,
}  # fmt: skip
"""Every event type, with one line that says what it says."""
