"""The resource, and its device, that a record speaks of: from each queue's shape to `device`, `place` and subject."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final, NamedTuple

import orjson

from pump.core.groups import Device, Place, group
from pump.vendors.common.fields import Group, child, text
from pump.vendors.hik_connect import groups as read
from pump.vendors.hik_connect.words import DEVICE_CATEGORIES, DEVICE_SOURCES, ELEMENTS, SOURCE_PLACES, SOURCE_SUBJECTS

_KNOWN: Final = 2048
"""Resources remembered, each with about 1 KiB."""
_LONGEST: Final = 4 << 10
"""Bytes of a resource that is remembered by what was sent of it."""
_RESOURCES: Final = ("resourceInfo", "resource", "device", "deviceInfo")
_ELEMENT: Final = (
    "elementType", "elementId", "elementld", "elementID", "elementName", "areaName", "areaId", "areald", "areaID",
    "deviceId", "deviceld", "deviceID", "deviceName", "deviceSerial",
)  # fmt: skip


class Resource(NamedTuple):
    """The resource, and its device, that a record speaks of."""

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


def of_alarm(origin: Group) -> Resource:
    """AlarmEventSource and AlarmDeviceInfo (A.3.10, A.3.11)."""
    if "guid" in origin:  # the alarm itself, where a tenant's has no eventSource: no two are alike
        return _alarm(origin)
    sent = _sent(origin)
    return _alarm(origin) if sent is None else _alarm_again(sent)


def of_message(basic: Group, groups: Group) -> Resource:
    """CombineResourceInfo and CombineDeviceInfo (A.3.62, A.3.59), Resource and DeviceBrief (A.3.142, A.3.68).

    A message's resource has no type in the field; with a vehicle's information it is a vehicle.
    """
    vehicle = "vehicleRelatedInfo" in groups or "vehicleReletedInfo" in groups
    parts = list(map(basic.get, _RESOURCES))
    sent = _sent(parts)
    return _message(parts, vehicle) if sent is None else _message_again(sent, vehicle)


def at_door(inner: Group, basic: Group) -> Resource:
    """BasicInfo(2) of an access event (A.3.43), and what it leaves out from the message's own `basic`."""
    parts = [*map(inner.get, _ELEMENT), *map(basic.get, _RESOURCES)]
    sent = _sent(parts)
    return _door(parts) if sent is None else _door_again(sent)


# --- a site has some hundred resources, and each comes again and again: found by what was sent of it ----------------


def _sent(parts: object) -> bytes | None:
    """The words by which it is found again; None where there are none, or too many to be remembered."""
    try:
        sent = orjson.dumps(parts)
    except TypeError:
        return None
    return sent if len(sent) <= _LONGEST else None


@lru_cache(_KNOWN)
def _alarm_again(origin: bytes) -> Resource:
    return _alarm(orjson.loads(origin))


@lru_cache(_KNOWN)
def _message_again(parts: bytes, vehicle: bool) -> Resource:
    return _message(orjson.loads(parts), vehicle)


@lru_cache(_KNOWN)
def _door_again(parts: bytes) -> Resource:
    return _door(orjson.loads(parts))


def _alarm(origin: Group) -> Resource:
    device = child(origin, "deviceInfo") or {}
    return Resource(
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


def _message(parts: list[Any], vehicle: bool) -> Resource:
    basic = dict(zip(_RESOURCES, parts, strict=True))
    resource = child(basic, "resourceInfo", "resource") or {}
    device = child(resource, "deviceInfo", "device") or child(basic, "device", "deviceInfo") or {}
    kind = text(resource, "sourceType", "type")
    if kind is None and vehicle:
        kind = "vehicle"
    return Resource(
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


def _door(parts: list[Any]) -> Resource:
    inner = dict(zip(_ELEMENT + _RESOURCES, parts, strict=True))
    resource = child(inner, "resource", "resourceInfo") or {}
    device = child(inner, "device", "deviceInfo") or child(resource, "deviceInfo", "device") or {}
    element = text(inner, "elementType")
    return Resource(
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


def at_station(talk: Group, outer: Resource) -> Resource:
    """DeviceTalkInfo (A.3.75); `outer` is what stands around it."""
    door = read.talk_doors(talk) if outer.name is None else None
    return outer._replace(
        kind="door" if door is not None and outer.kind is None else outer.kind,
        name=outer.name or door,
        device_id=outer.device_id or text(talk, "deviceId", "deviceld", "deviceID"),
        device_name=outer.device_name or text(talk, "deviceName"),
        serial=outer.serial or text(talk, "deviceSerial"),
    )


def locate(where: Resource, data: dict[str, Any]) -> str | None:
    """Add the groups `device` and `place` to an event's data; the event's subject."""
    subject, device, place = _told(where)
    if device:
        data["device"] = device.copy()
    if place:
        data["place"] = place.copy()
    return subject


@lru_cache(_KNOWN)
def _told(where: Resource) -> tuple[str | None, Device, Place]:
    kind, device_name = where.kind, where.device_name
    if device_name is None and kind in DEVICE_SOURCES:
        device_name = where.name
    category = where.category
    if category is not None:
        category = DEVICE_CATEGORIES.get(category, category)
    device = group(Device(id=where.device_id, name=device_name, serial=where.serial, category=category))
    place = group(Place(area=where.area, area_id=where.area_id)) or Place()
    if where.name is not None and kind in SOURCE_PLACES:
        place[SOURCE_PLACES[kind]] = where.name
    return where.subject(), device or Device(), place
