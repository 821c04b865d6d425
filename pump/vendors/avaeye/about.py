"""What a camera says of itself (ANPR APIs 2.1, Basic Data): its row of the device table. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pump.core.groups import BOUNDS
from pump.vendors.avaeye import codes
from pump.vendors.avaeye.parse import Message
from pump.vendors.common.values import text, whole, written

_ID: Final = BOUNDS["id"]
ASKED: Final = "asked"
"""The fact that says how often a camera's keep-alives were refused, so that it introduces itself."""
REFUSALS: Final = 3
"""Keep-alives without a response after which a camera begins anew with its basic data (Interaction Model, step 2)."""
UNSAID: Final = frozenset(("address", ASKED))
"""The facts that a camera need not have said itself: one that has no others never introduced itself."""


def facts(message: Message) -> dict[str, Any]:
    """Basic Data: a row of the device table, without secrets, without what is missing."""
    inner = message.inner
    found: dict[str, Any] = {
        "name": text(inner.get("deviceName")),
        "serial": text(inner.get("serialNum")),
        "version": text(inner.get("softwareVersion")),
        "address": text(inner.get("ipAddress")),
        "resolution": text(inner.get("resolution")),
        "protocol": text(message.whole.get("version")),
        "category": _word(inner, "deviceType", codes.DEVICE_TYPES),
        "scene": _word(inner, "senceType", codes.SCENES) or _word(inner, "sceneType", codes.SCENES),
        "pictures": _word(inner, "picFillType", codes.PICTURE_MODES),
        "shot_from": _word(inner, "shootPosition", codes.POSITIONS),
        "spaces": whole(inner.get("totalParkNum")),
    }
    if (mqtt := whole(inner.get("mqttEnable"))) in (0, 1):
        found["mqtt"] = mqtt == 1
    able = inner.get("deviceCapability")
    if type(able) is dict:
        found["capabilities"] = sorted({word for key, word in codes.CAPABILITIES.items() if whole(able.get(key)) == 1})
    park = inner.get("parkInfo")
    bays = park.get("idInfo") if type(park) is dict else None
    if type(bays) is list:
        found["space_ids"] = [
            {"area": text(bay.get("area"), _ID), "id": text(bay.get("id"), _ID)}
            for bay in bays[:64]
            if type(bay) is dict
        ]
    return {name: value for name, value in found.items() if value is not None}


def keepalive(message: Message) -> float | None:
    """Basic Data, keepalive: the device's own interval, seconds; None where it says none that can be."""
    seconds = written(message.inner.get("keepalive"))
    return float(seconds) if seconds is not None and 0 < seconds <= 86400 else None


def _word(inner: Mapping[str, Any], key: str, words: Mapping[int, str]) -> str | None:
    code = whole(inner.get(key))
    return (words.get(code) if code is not None else None) or text(inner.get(key))
