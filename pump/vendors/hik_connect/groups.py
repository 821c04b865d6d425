"""The vendor's groups of a record, read into the event's groups, in the event's units.

`groups` is the object that holds them: an alarm itself, a combine event's eventData, a message's data.
"""

from __future__ import annotations

from pump.core.groups import Access, Intercom, Position, Queue, Vehicle, group
from pump.core.text import bounded
from pump.vendors.common import values
from pump.vendors.common.fields import Group, child, listed, number, text, word
from pump.vendors.hik_connect.words import (
    ATTENDANCE,
    CALL_TYPES,
    DRIVE_DIRECTIONS,
    MASKS,
    TEMPERATURES,
    VEHICLE_LISTS,
)

_KNOWN = (
    "vehicleRelatedInfo", "vehicleReletedInfo", "queueRelatedInfo", "queueReletedInfo", "anprinfo", "anprInfo",
    "ANPRInfo", "deviceTalkInfo", "openDoorInfo", "acsSnapPicList", "temperatureInfo",
)  # fmt: skip

_PERSON = ("personId", "personld", "personID")

_CENTIMETRES = 100_000  # in a kilometre
_ZERO_CELSIUS = 273.15  # kelvin


def plain(groups: Group) -> bool:
    """True where nothing but files is there to read: none of the groups below, in any spelling, or empty ones."""
    return not any(map(groups.get, _KNOWN))


def vehicle(groups: Group, preset: Vehicle | None) -> Vehicle | None:
    """ANPRInfo (A.3.31) and VehicleInfo(2) (A.3.167)."""
    found: Vehicle = {}
    anpr = child(groups, "anprinfo", "anprInfo", "ANPRInfo") or {}
    related = child(groups, "vehicleRelatedInfo", "vehicleReletedInfo")
    info = (child(related, "vehicleInfo") if related else None) or {}
    plate = text(anpr, "licensePlate") or text(info, "licensePlate", "licensePlateNo")
    if plate is not None:
        found["plate"] = plate
    if anpr:
        direction = word(anpr, DRIVE_DIRECTIONS, "driveDirection")
        if direction is not None:
            found["direction"] = direction
        on_list = word(anpr, VEHICLE_LISTS, "vehicleListType")
        if on_list is not None:
            found["list"] = on_list
    if preset is not None:
        found = found | preset | found  # what the record says goes before what its code does
    if info:
        limit = number(info, "speedLimit")
        if limit is not None and limit > 0:
            found["speed_limit_kmh"] = limit / _CENTIMETRES
        drivers = [text(driver, "driverName") for driver in listed(info, "driverInfos") if type(driver) is dict]
        drivers = [driver for driver in drivers if driver] or [text(info, "driverName")]
        if drivers[0]:
            found["driver"] = bounded(", ".join(driver for driver in drivers if driver), values.NAME)
    return found or None


def position(groups: Group) -> Position | None:
    """GPSInfo (A.3.100): hemispheres apart, hundredths of a degree, centimetres. Without a fix (0, 0) there is none."""
    related = child(groups, "vehicleRelatedInfo", "vehicleReletedInfo")
    gps = child(related, "gpsInfo") if related else None
    if gps is None:
        return None
    latitude = number(gps, "lat")
    longitude = number(gps, "lng", "Ing", "lon")
    if latitude is None or longitude is None or not (latitude or longitude):
        return None
    if abs(latitude) > 90 or abs(longitude) > 180:
        return None
    found: Position = {
        "latitude": -abs(latitude) if gps.get("ns") in ("S", "s") else latitude,
        "longitude": -abs(longitude) if gps.get("ew") in ("W", "w") else longitude,
    }
    heading = number(gps, "direction")
    if heading is not None and 0 <= heading <= 36_000:
        found["heading_deg"] = heading / 100 if heading > 360 else heading
    height = number(gps, "height")
    if height is not None:
        found["altitude_m"] = height / 100
    speed = number(gps, "speed")
    if speed is not None and speed >= 0:
        found["speed_kmh"] = speed / _CENTIMETRES
    return found


def queue(groups: Group) -> Queue | None:
    """QueueInfo (A.3.130)."""
    related = child(groups, "queueRelatedInfo", "queueReletedInfo")
    info = child(related, "queueInfo") if related else None
    if info is None:
        return None
    found: Queue = {}
    region = text(info, "regionName", "regionID", "regionld", "regionId")
    if region is not None:
        found["region"] = region
    threshold = number(info, "queueThreshold")
    if threshold is not None:
        found["threshold"] = threshold
    waited = number(info, "waitTime")
    if waited is not None:
        found["wait_s"] = waited
    return found or None


def call_id(talk: Group) -> str | None:
    """The call's identity, in each spelling; the document's own example has none."""
    return text(talk, "msgId", "msgld", "msgID")


def intercom(talk: Group, state: str | float | None) -> Intercom | None:
    """DeviceTalkInfo (A.3.75)."""
    return group(
        Intercom(
            call_id=call_id(talk),
            room=text(talk, "roomNumber"),
            call_type=word(talk, CALL_TYPES, "callType"),
            user=text(talk, "userId", "userld", "userID"),
            person_id=text(talk, *_PERSON),
            state=state,
        )
    )


def talk_doors(talk: Group) -> str | None:
    """The names of the doors beside the calling station."""
    names = [text(door, "doorName") for door in listed(talk, "doorInfos") if type(door) is dict]
    return values.text(", ".join(name for name in names if name))


def door_event(groups: Group) -> tuple[Group, Group, Group]:
    """Event(2) of an access event (A.3.92), its basicInfo and its intelliInfo; empty ones where they are not there."""
    door = child(groups, "openDoorInfo")
    event = (child(door, "event") or door) if door else None
    if event is None:
        return {}, {}, {}
    return event, child(event, "basicInfo") or {}, child(event, "intelliInfo") or {}


def access(
    preset: Access | None, door: str | None, groups: Group, event: Group, basic: Group, person: Group
) -> Access | None:
    """BasicInfo(2) and IntelliInfo (A.3.43, A.3.106); `preset` is what the code itself says.

    Temperature and mask are documented for the search of records (A.3.134) and read here wherever they stand.
    """
    found: Access = {**preset} if preset else {}
    if "granted" not in found:
        result = text(person, "authResult")
        if result in ("0", "1"):
            found["granted"] = result == "1"
    reason = found.pop("reason", None)
    if person:
        name = f"{text(person, 'firstName') or ''} {text(person, 'lastName') or ''}".strip()
        known = text(person, *_PERSON)
        if name or known:
            found["person"] = name or known
        if known:
            found["person_id"] = known
        card = text(person, "cardNumber")
        if card is not None:
            found["card"] = card
    if door is not None:
        found["door"] = door
    if basic:
        reader = text(basic, "cardReaderName", "cardReaderId", "cardReaderld", "cardReaderID")
        if reader is not None:
            found["reader"] = reader
    if reason is not None:
        found["reason"] = reason
    if person:
        attendance = word(person, ATTENDANCE, "attendanceStatus")
        if attendance is not None:
            found["attendance"] = attendance
    for part in (groups, event, basic, person):
        if "temperatureInfo" in part:
            info = child(part, "temperatureInfo") or {}
            degrees = _celsius(info)
            if degrees is not None:
                found["temperature_c"] = degrees
            status = word(info, TEMPERATURES, "temperatureStatus")
            if status is not None:
                found["temperature_status"] = status
        if "masksStatus" in part or "maskStatus" in part:
            mask = word(part, MASKS, "masksStatus", "maskStatus")
            if mask is not None:
                found["mask"] = mask
    return found or None


def _celsius(info: Group) -> float | None:
    degrees = number(info, "temperatureData")
    if degrees is None:
        return None
    unit = text(info, "temperatureUnit")
    if unit == "1":
        degrees = (degrees - 32) / 1.8
    elif unit == "2":
        degrees -= _ZERO_CELSIUS
    return round(degrees, 2)
