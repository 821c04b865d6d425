"""Which resource of which device a record speaks of: from each queue's shape to `device`, `place` and subject."""

from __future__ import annotations

from typing import Any, NamedTuple

from pump.vendors.hik_connect import groups as read
from pump.vendors.hik_connect.fields import Group, child, text
from pump.vendors.hik_connect.words import DEVICE_CATEGORIES, DEVICE_SOURCES, ELEMENTS, SOURCE_PLACES, SOURCE_SUBJECTS


class Where(NamedTuple):
    """Which resource of which device a record speaks of."""

    kind: str | None
    id: str | None
    name: str | None
    area: str | None
    area_id: str | None
    device_id: str | None
    device_name: str | None
    serial: str | None
    category: str | None

    @property
    def door(self) -> str | None:
        """The name of the door, where the resource is one."""
        return self.name if self.kind == "door" else None

    def subject(self) -> str | None:
        """CloudEvents' subject: "camera/<id>", "door/<id>", "device/<id or serial>"."""
        if self.id is not None:
            kind = self.kind or "resource"
            return f"{SOURCE_SUBJECTS.get(kind, kind)}/{self.id}"
        if self.device_id is not None or self.serial is not None:
            return f"device/{self.device_id or self.serial}"
        return None


def of_alarm(origin: Group) -> Where:
    """AlarmEventSource and AlarmDeviceInfo (A.3.10, A.3.11)."""
    device = child(origin, "deviceInfo") or {}
    return Where(
        text(origin, "sourceType"),
        text(origin, "sourceID", "sourceld", "sourceId"),
        text(origin, "sourceName"),
        text(origin, "areaName"),
        text(origin, "areaID", "areald", "areaId", "arealD"),
        text(device, "devID", "id", "devld", "devId"),
        text(device, "devName", "name"),
        text(device, "deviceSerial"),
        text(device, "devCategory", "category"),
    )


def of_message(basic: Group, groups: Group) -> Where:
    """CombineResourceInfo and CombineDeviceInfo (A.3.62, A.3.59), Resource and DeviceBrief (A.3.142, A.3.68).

    A message's resource has no type in the field; with a vehicle's information it is a vehicle.
    """
    resource = child(basic, "resourceInfo", "resource") or {}
    device = child(resource, "deviceInfo", "device") or child(basic, "device", "deviceInfo") or {}
    kind = text(resource, "sourceType", "type")
    if kind is None and ("vehicleRelatedInfo" in groups or "vehicleReletedInfo" in groups):
        kind = "vehicle"
    return Where(
        kind,
        text(resource, "sourceID", "id", "sourceld", "sourceId"),
        text(resource, "sourceName", "name"),
        text(resource, "areaName"),
        text(resource, "areaID", "areald", "areaId", "arealD"),
        text(device, "id", "devID"),
        text(device, "name", "devName"),
        text(device, "deviceSerial"),
        text(device, "category", "devCategory"),
    )


def at_door(inner: Group, basic: Group) -> Where:
    """BasicInfo(2) of an access event (A.3.43), and what it leaves out from the message's own `basic`."""
    resource = child(basic, "resource", "resourceInfo") or {}
    device = child(basic, "device", "deviceInfo") or child(resource, "deviceInfo", "device") or {}
    element = text(inner, "elementType")
    return Where(
        ELEMENTS.get(element, element) if element is not None else text(resource, "type", "sourceType") or "door",
        text(inner, "elementId", "elementld", "elementID") or text(resource, "id", "sourceID"),
        text(inner, "elementName") or text(resource, "name", "sourceName"),
        text(inner, "areaName") or text(resource, "areaName"),
        text(inner, "areaId", "areald", "areaID") or text(resource, "areaID", "areald", "areaId", "arealD"),
        text(inner, "deviceId", "deviceld", "deviceID") or text(device, "id", "devID"),
        text(inner, "deviceName") or text(device, "name", "devName"),
        text(inner, "deviceSerial") or text(device, "deviceSerial"),
        text(device, "category", "devCategory") if device else None,
    )


def at_station(talk: Group, outer: Where) -> Where:
    """DeviceTalkInfo (A.3.75); `outer` is what stands around it."""
    door = read.talk_doors(talk) if outer.name is None else None
    return outer._replace(
        kind="door" if door is not None and outer.kind is None else outer.kind,
        name=outer.name or door,
        device_id=outer.device_id or text(talk, "deviceId", "deviceld", "deviceID"),
        device_name=outer.device_name or text(talk, "deviceName"),
        serial=outer.serial or text(talk, "deviceSerial"),
    )


def locate(where: Where, data: dict[str, Any]) -> None:
    """Add the groups `device` and `place` to an event's data."""
    kind, device_name = where.kind, where.device_name
    if device_name is None and kind in DEVICE_SOURCES:
        device_name = where.name
    device: Group = {}
    if where.device_id is not None:
        device["id"] = where.device_id
    if device_name is not None:
        device["name"] = device_name
    if where.serial is not None:
        device["serial"] = where.serial
    if where.category is not None:
        device["category"] = DEVICE_CATEGORIES.get(where.category, where.category)
    if device:
        data["device"] = device
    place: Group = {}
    if where.area is not None:
        place["area"] = where.area
    if where.area_id is not None:
        place["area_id"] = where.area_id
    if where.name is not None and kind is not None:
        field = SOURCE_PLACES.get(kind)
        if field is not None:
            place[field] = where.name
    if place:
        data["place"] = place
