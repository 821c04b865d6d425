"""The gateway's device list: names, models, serials (document, 8.1.5, 8.1.6, 9.4, 9.25, 9.26)."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Final

from pump.core.groups import BOUNDS
from pump.core.text import bounded
from pump.vendors.common.hik_status import status_number
from pump.vendors.hik_gateway.answers import Rejected, Trouble
from pump.vendors.hik_gateway.client import Client
from pump.vendors.hik_gateway.parse import Device

_PATH: Final = "/ISAPI/ContentMgmt/DeviceMgmt"
_PAGE: Final = 50
_PAGES: Final = 400
"""20,000 devices; a list that goes on is a gateway that does not count."""
_CATEGORIES: Final = {
    "encodingdev": "encoding device", "securitycp": "alarm device", "accesscontrol": "access control device",
}  # fmt: skip
"""devType (9.26), in lower case."""


Rows = dict[str, dict[str, Any]]
"""The list's own rows by devIndex."""


async def fetch(client: Client, known: dict[str, Device]) -> tuple[dict[str, Device], Rows]:
    """Every device by devIndex, and its row. The list has no serials: they are asked for apart, once a device.

    Raises Trouble, also for an answer that is no list: an empty one says that the gateway has no devices.
    """
    found: dict[str, Device] = {}
    listed: Rows = {}
    position = 0
    for _ in range(_PAGES):
        order = {"SearchDescription": {"position": position, "maxResult": _PAGE, "Filter": {}}}
        answer = await client.call("POST", f"{_PATH}/deviceList", order, what="the device list")
        result = answer.get("SearchResult") if isinstance(answer, dict) else None
        if not isinstance(result, dict):
            raise Trouble("the device list was answered without a SearchResult")
        total = status_number(result.get("totalMatches"))
        rows = result.get("MatchList")
        if not isinstance(rows, list) or not rows:
            if position == 0 and total:
                raise Trouble(f"the device list was answered without the {total} devices that it counts")
            break
        for index, row in _rows(rows):
            found[index] = _device(row, known.get(index))
            listed[index] = row
        position += len(rows)
        if total is not None and position >= total:
            break
    wanting = [index for index, device in found.items() if device.serial is None]
    for begin in range(0, len(wanting), _PAGE):
        try:
            answer = await client.call(
                "POST",
                f"{_PATH}/refreshDevInfo",
                {"DevList": wanting[begin : begin + _PAGE]},
                what="the devices' information",
            )
        except Rejected:
            raise
        except Trouble:
            break  # not every gateway has this call; names and models are there without it
        rows = answer.get("DeviceInfoList") if isinstance(answer, dict) else None
        for index, row in _rows(rows if isinstance(rows, list) else [rows]):
            if index in found:
                found[index] = _detailed(row, found[index])
    return found, listed


def to_state(devices: dict[str, Device]) -> dict[str, Any]:
    """The inventory as the spool keeps it, so that a restart knows the names from its first event on."""
    return {index: asdict(device) for index, device in devices.items()}


def from_state(stored: Any) -> dict[str, Device]:
    """What `to_state` made; empty where it is something else."""
    try:
        return {index: Device(**row) for index, row in stored.items()}
    except (AttributeError, TypeError):
        return {}


def _rows(rows: list[Any]) -> list[tuple[str, dict[str, Any]]]:
    found = []
    for entry in rows:
        row = entry.get("Device") or entry.get("DeviceInfo") or entry if isinstance(entry, dict) else None
        if isinstance(row, dict) and row.get("devIndex"):
            found.append((bounded(str(row["devIndex"]), BOUNDS["id"]), row))
    return found


def _device(row: dict[str, Any], known: Device | None) -> Device:
    category = _text(row, "devType")
    return Device(
        name=_text(row, "devName") or (known.name if known else None),
        model=_text(row, "devMode", "devModel", "model") or (known.model if known else None),
        serial=_text(row, "serialNumber", "devSerial") or (known.serial if known else None),
        category=_CATEGORIES.get((category or "").lower(), category),
    )


def _detailed(row: dict[str, Any], device: Device) -> Device:
    return Device(
        name=device.name or _text(row, "deviceName"),
        model=device.model or _text(row, "model"),
        serial=_text(row, "serialNumber") or device.serial,
        category=device.category,
    )


def _text(row: dict[str, Any], *names: str) -> str | None:
    found = next((str(row[name]).strip() for name in names if row.get(name) not in (None, "")), None)
    return None if found is None else bounded(found, BOUNDS["name"])
